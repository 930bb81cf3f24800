"""Ratings: the public `collab_learner` with its defaults against fastai's recipe, scikit-surprise and a plain loop, on MovieLens 100k.

Random 80/20 splits, the same for everybody, in turns within one run; the mean over the splits is reported. Times are of fitting
alone: making the learner, and reading the data, are left out for all. The progress bar of `collab_learner` is on.
Peers that are not installed are skipped with a note. Needs the data: DDL_LESSON8_DATA. Writes bench/results/collab.md.

    OMP_NUM_THREADS=2 DDL_LESSON8_DATA=… python bench/collab.py [--splits 5] [--only ours,plain] [--no-write]
"""
import argparse, contextlib, io, os, platform, statistics, subprocess, sys, tempfile, time, warnings
from pathlib import Path
import torch
from torch import nn
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import movielens
from ddl_lesson8.train.schedule import one_cycle, seeded


def timed(f):
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result

def mse(pred, valid): return (pred - valid.rating).square().mean().item()


def ours(train, valid, seed, n_epochs=5, **kwargs):
    learn = collab_learner((train, valid), seed=seed, device='cpu', progress=True, **kwargs)
    with contextlib.redirect_stderr(io.StringIO()): seconds, _ = timed(lambda: learn.fit_one_cycle(n_epochs))
    return seconds, learn.predict(valid.user, valid.item, unknown='average')

def defaults(train, valid, seed): return ours(train, valid, seed)
def lecture(train, valid, seed): return ours(train, valid, seed, batch_size=64, lr=5e-3, wd=.1, y_range=(0, 5.5))
def network(train, valid, seed): return ours(train, valid, seed, use_nn=True, layers=[100, 50])
def combined(train, valid, seed): return ours(train, valid, seed, metadata=True, layers=[100, 50], batch_size=512)

def best(train, valid, seed):
    "Eight combined models with wide embeddings and other first numbers, averaged"
    runs = [ours(train, valid, 8 * seed + k, metadata=True, layers=[100, 50], batch_size=512, emb_szs=dict(user=24, item=24)) for k in range(8)]
    return sum(s for s, _ in runs), torch.stack([p for _, p in runs]).mean(0)


class Plain(nn.Module):
    def __init__(self, n_users, n_items, n_factors=50):
        super().__init__()
        self.u, self.i = nn.Embedding(n_users, n_factors), nn.Embedding(n_items, n_factors)
        self.bu, self.bi = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)
        for t in self.children(): nn.init.normal_(t.weight, std=.01)

    def forward(self, u, i):
        score = (self.u(u) * self.i(i)).sum(1) + self.bu(u)[:, 0] + self.bi(i)[:, 0]
        return torch.sigmoid(score) * 5 + .5

def plain_loop(train, valid, seed, batch=1024, n_epochs=5, lr=8e-3, wd=.4):
    "The same model and settings as the defaults: tensors, a loop, nothing else"
    with seeded(seed): model = Plain(train.n_users, train.n_items)
    opt = torch.optim.AdamW(model.parameters(), lr, betas=(.9, .99), eps=1e-5, weight_decay=wd, fused=True)
    u, i, y = train.tensors()
    steps = -(-len(y) // batch)
    def fit():
        done, g = 0, torch.Generator().manual_seed(seed)
        for _ in range(n_epochs):
            for rows in torch.randperm(len(y), generator=g).tensor_split(steps):
                rate, mom = one_cycle(done / (steps * n_epochs), lr)
                opt.param_groups[0].update(lr=rate, betas=(mom, .99))
                loss = nn.functional.mse_loss(model(u[rows], i[rows]), y[rows])
                opt.zero_grad()
                loss.backward()
                opt.step()
                done += 1
            with torch.no_grad(): nn.functional.mse_loss(model(valid.user, valid.item), valid.rating).item()
    seconds, _ = timed(fit)
    with torch.no_grad(): return seconds, model(valid.user, valid.item)


def fastai_peer():
    try:
        import pandas as pd
        from fastai.collab import Categorify, TabularCollab, TransformBlock, collab_learner as fastai_learner
    except ImportError: return {}
    def run(train, valid, seed):
        both = [torch.cat(pair).numpy().copy() for pair in zip(train.tensors(), valid.tensors())]
        table, n = pd.DataFrame(dict(zip(('user', 'item', 'rating'), both))), len(train)
        torch.manual_seed(seed)
        splits = list(range(n)), list(range(n, len(table))) # CollabDataLoaders.from_df would draw a split of its own
        to = TabularCollab(table, [Categorify], ['user', 'item'], y_names=['rating'], y_block=TransformBlock(), splits=splits)
        loaders = to.dataloaders(bs=64)
        learn = fastai_learner(loaders, n_factors=50, y_range=(0, 5.5))
        with learn.no_bar(), learn.no_logging(): # faster for fastai; its bar is off, ours is on
            seconds, _ = timed(lambda: learn.fit_one_cycle(5, 5e-3, wd=.1))
            pred, target = learn.get_preds(dl=loaders.valid)
        assert torch.equal(target.flatten(), valid.rating), 'the validation rows must be in order'
        return seconds, pred.flatten()
    return {"fastai 2: collab_learner, 5 epochs": run}

def surprise_peers():
    try: import pandas as pd, surprise
    except ImportError: return {}
    def runner(make):
        def run(train, valid, seed):
            table = pd.DataFrame(dict(zip(('user', 'item', 'rating'), (t.numpy() for t in train.tensors()))))
            data = surprise.Dataset.load_from_df(table, surprise.Reader(rating_scale=(1, 5))).build_full_trainset()
            model = make(seed)
            seconds, _ = timed(lambda: model.fit(data))
            return seconds, torch.tensor([model.predict(u, i).est for u, i in zip(valid.user.tolist(), valid.item.tolist())])
        return run
    return {'scikit-surprise: SVD': runner(lambda s: surprise.SVD(random_state=s)), 'scikit-surprise: SVD++': runner(lambda s: surprise.SVDpp(random_state=s))}


def import_seconds(rounds=5):
    "Of `import ddl_lesson8.all` after `import torch`, in fresh processes: the first, which compiles it, and the others"
    code = 'import torch, time; t = time.perf_counter(); import ddl_lesson8.all; print(time.perf_counter() - t)'
    with tempfile.TemporaryDirectory() as cache:
        env = {k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'} | {'PYTHONPYCACHEPREFIX': cache}
        one = lambda: float(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=env).stdout)
        return one(), [one() for _ in range(rounds)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--splits', type=int, default=5)
    parser.add_argument('--only', default='', help='names to keep, a part of each, with commas between')
    parser.add_argument('--no-write', action='store_true')
    args = parser.parse_args()
    warnings.filterwarnings('ignore')
    runs = {'ours: collab_learner, defaults': defaults, 'plain loop, the same model and settings': plain_loop, **fastai_peer(), **surprise_peers(),
            "ours: the lecture's recipe (batch 64, lr 5e-3, wd 0.1)": lecture, 'ours: network (100, 50)': network,
            'ours: combined model, (100, 50), batch 512': combined, 'ours: 8 combined models, averaged': best}
    missing = [name for name, there in (('fastai', any('fastai' in k for k in runs)), ('scikit-surprise', any('surprise' in k for k in runs))) if not there]
    if args.only: runs = {k: f for k, f in runs.items() if any(part in k for part in args.only.split(','))}
    ratings, found = movielens(), {k: [] for k in runs}
    warm = ratings.split(seed=99)
    defaults(*warm, 0) # first use of the optimiser imports half of torch
    for seed in range(args.splits):
        train, valid = ratings.split(seed=seed)
        for name, f in runs.items():
            seconds, pred = f(train, valid, seed)
            found[name].append((seconds, mse(pred, valid)))
            print(f'split {seed}  {name:56s} {seconds:8.2f} s  MSE {found[name][-1][1]:.4f}', flush=True)
    text = report(found, missing, import_seconds())
    print(text)
    if args.no_write: return
    out = Path(__file__).parent/'results'/'collab.md'
    out.parent.mkdir(exist_ok=True)
    part = out.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, out)


def report(found, missing, imports):
    "The table; `found`: name -> (seconds, MSE) of each split"
    first = next(iter(found))
    lines = [f'# Ratings: MovieLens 100k, {len(found[first])} random 80/20 splits', '',
             f'torch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}, in turns in one run. Seconds are of fitting alone, '
             'the median over the splits. The ratio says how many times longer it takes than the first line: the median over the splits, and the range. '
             'MSE is the mean over the splits. The progress bar is on for our models, off for fastai.', '',
             '| what | seconds | ratio | validation MSE | minus the first line, paired |', '|---|---|---|---|---|']
    for name, runs in found.items():
        gaps = [e - e0 for (_, e), (_, e0) in zip(runs, found[first])]
        ratios = [s / s0 for (s, _), (s0, _) in zip(runs, found[first])]
        spread = f'{statistics.mean(gaps):+.4f} ± {statistics.stdev(gaps):.4f}' if len(gaps) > 1 and name != first else ''
        times = f'{statistics.median(ratios):.1f}' + (f' ({min(ratios):.1f} to {max(ratios):.1f})' if len(gaps) > 1 and name != first else '')
        lines.append(f'| {name} | {statistics.median(s for s, _ in runs):.2f} | {times} | {statistics.mean(e for _, e in runs):.4f} | {spread} |')
    first, others = imports
    lines += ['', f'`import ddl_lesson8.all` adds {statistics.median(others):.2f} s to `import torch` (median of {len(others)} fresh processes), and '
              f'{first:.2f} s the first time, when Python compiles it.']
    if missing: lines += ['', f'Not installed here, so left out: {", ".join(missing)}.']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__': main()
