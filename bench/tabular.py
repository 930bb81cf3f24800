"""Training and preparing a table: this library, a plain loop, fastai (where installed) and the matrix products alone.

100,000 rows, 6 categorical columns (6, 2, 500, 17, 52, 7 values) and 4 continuous ones, layers (500, 250), batches of 1024,
three epochs of one-cycle. Best of N rounds, all in one run, in turns. Writes bench/results/tabular.md.
"""
import argparse, contextlib, io, os, platform, time
from pathlib import Path
import numpy as np, pandas as pd, torch
from torch import nn
from ddl_lesson8.data.columns import ColumnPrep, split_rows
from ddl_lesson8.train.learner import seeded
from ddl_lesson8.collab import get_emb_sz
from ddl_lesson8.tabular import class_counts, tabular_learner
from ddl_lesson8.train.tabular_model import TabularModel

CARDS = dict(size=6, coupler=2, model=500, tyre=17, week=52, weekday=7)
CONTS = ['age', 'hours', 'elapsed', 'weight']
LAYERS, BATCH, EPOCHS, LR = [500, 250], 1024, 3, 1e-2


def make_table(n=100_000, seed=0):
    rng = np.random.default_rng(seed)
    ids = {k: rng.integers(0, c, n) for k, c in CARDS.items()}
    conts = {k: rng.normal(size=n) for k in CONTS}
    effect = sum(rng.normal(0, .4, c)[ids[k]] for k, c in CARDS.items())
    y = 10 + effect + .3 * conts['age'] * (ids['size'] - 2.5) / 2 - .2 * np.tanh(conts['hours']) + rng.normal(0, .2, n)
    text = {k: np.array([f'{k} {i:03d}' for i in range(CARDS[k])])[v] if k not in ('week', 'weekday') else v for k, v in ids.items()}
    conts['hours'][rng.random(n) < .1] = np.nan
    return pd.DataFrame({**text, **conts, 'y': y})


def timed(f):
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result


def ours(table, splits):
    learn = tabular_learner(table, 'y', list(CARDS), CONTS, splits, layers=LAYERS, batch_size=BATCH, device='cpu')
    learn.progress = False
    seconds, _ = timed(lambda: learn.fit_one_cycle(EPOCHS, LR))
    return seconds, learn.validate()['loss']


def ours_prepare(table, splits):
    prep = ColumnPrep(list(CARDS), CONTS, 'y')
    return timed(lambda: prep.parts(table, *splits, fit=True))[0], None


def plain_loop(table, splits):
    prep = ColumnPrep(list(CARDS), CONTS, 'y')
    (xc, xn, y), (vc, vn, vy) = prep.parts(table, *splits, fit=True)
    with seeded(0): model = TabularModel(get_emb_sz(class_counts(prep)), len(CONTS), 1, LAYERS)
    opt = torch.optim.AdamW(model.parameters(), LR, betas=(.9, .99), eps=1e-5, weight_decay=.01)
    n = -(-len(y) // BATCH)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=n * EPOCHS, pct_start=.25)
    def train():
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(y)).tensor_split(n):
                loss = nn.functional.mse_loss(model(xc[rows], xn[rows]), y[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
                plan.step()
            model.eval()
            with torch.no_grad(): nn.functional.mse_loss(model(vc, vn), vy)
            model.train()
    seconds, _ = timed(train)
    model.eval()
    with torch.no_grad(): return seconds, nn.functional.mse_loss(model(vc, vn), vy).item()


def products_alone(table, splits):
    "The three products of each linear layer, forward and backward, for as many batches; and forward for the validation rows"
    prep = ColumnPrep(list(CARDS), CONTS, 'y').fit(table, splits[0])
    sizes = [sum(s for _, s in get_emb_sz(class_counts(prep))) + len(CONTS), *LAYERS, 1]
    shapes = [(torch.randn(BATCH, i), torch.randn(o, i), torch.randn(BATCH, o)) for i, o in zip(sizes, sizes[1:])]
    steps, checks = EPOCHS * -(-len(splits[0]) // BATCH), EPOCHS * -(-len(splits[1]) // BATCH)
    def products():
        for _ in range(steps):
            for x, w, g in shapes: x @ w.T, g.T @ x, g @ w
        for _ in range(checks):
            for x, w, _ in shapes: x @ w.T
    return timed(products)[0], None


def fastai_peers():
    try: from fastai.tabular import all as fai
    except ImportError: return {}
    def prepare(table, splits):
        return timed(lambda: fai.TabularPandas(table, [fai.Categorify, fai.FillMissing, fai.Normalize], list(CARDS), list(CONTS), 'y',
                                               splits=tuple(list(map(int, s)) for s in splits)))
    def train(table, splits):
        dls = prepare(table, splits)[1].dataloaders(BATCH, device='cpu')
        learn = fai.tabular_learner(dls, layers=LAYERS, loss_func=fai.MSELossFlat(), n_out=1)
        with learn.no_bar(), learn.no_logging(), contextlib.redirect_stdout(io.StringIO()):
            seconds, _ = timed(lambda: learn.fit_one_cycle(EPOCHS, LR))
            return seconds, learn.validate()[0]
    return {'fastai: tabular_learner': train, 'fastai: TabularPandas': lambda t, s: (prepare(t, s)[0], None)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--rows', type=int, default=100_000)
    args = parser.parse_args()
    table = make_table(args.rows)
    splits = split_rows(table, valid=.2, seed=0)
    runs = {'ours: fit_one_cycle': ours, 'plain loop, resident tensors': plain_loop, 'matrix products alone': products_alone,
            'ours: ColumnPrep': ours_prepare, **fastai_peers()}
    found = {k: [] for k in runs}
    for _ in range(args.rounds):
        for k, f in runs.items(): found[k].append(f(table, splits))
    best = {k: min(s for s, _ in v) for k, v in found.items()}
    own = lambda k: best['ours: ColumnPrep' if 'Prep' in k or 'Pandas' in k else 'ours: fit_one_cycle']
    lines = [f'# Tables: {args.rows:,} rows, layers {LAYERS}, batches of {BATCH}, {EPOCHS} epochs', '',
             f'torch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}, best of {args.rounds} rounds in turns. '
             'A ratio above 1 says how many times faster this library is; the noise of the target alone is a loss of 0.040.', '',
             '| what | seconds | ratio to ours | validation loss |', '|---|---|---|---|']
    for k, s in best.items():
        losses = [e for _, e in found[k] if e is not None]
        lines.append(f"| {k} | {s:.3f} | {s / own(k):.2f} | {f'{np.mean(losses):.4f}' if losses else ''} |")
    share = best['matrix products alone'] / best['ours: fit_one_cycle']
    lines += ['', f'Where the time goes: the matrix products alone take {share:.0%} of our training; lookups, batch norm, ReLU, the optimiser, '
              f'validation and Python share the other {1 - share:.0%}. So even a perfect loop would be only {1 / share:.2f} times faster. '
              'ColumnPrep is timed with the target, the tensors and the split; TabularPandas without its tensors.']
    text = '\n'.join(lines) + '\n'
    print(text)
    out = Path(__file__).parent/'results'/'tabular.md'
    out.parent.mkdir(exist_ok=True)
    part = out.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, out)


if __name__ == '__main__': main()
