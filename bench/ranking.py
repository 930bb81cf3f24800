"""Lists: `collab_learner` trained for order, and our least squares, against `implicit`, on MovieLens 100k, the last film of each person.

Hit rate at 10 over all items, those of training left out. `--tune` tries the small grid below on a cut of its own, the last but one film of
each person; the first setting of each contestant then runs with five seeds on the last film. Times are of fitting alone, one thread,
processor time, in turns within one run. `implicit` is left out with a note where it is not installed. Needs the data: DDL_LESSON8_DATA. Writes bench/results/ranking.md.

    OMP_NUM_THREADS=1 DDL_LESSON8_DATA=… python bench/ranking.py [--seeds 5] [--tune] [--no-write]
"""
import argparse, os, statistics, time, warnings
from pathlib import Path
import torch
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import movielens
from ddl_lesson8.ranking import ALS, ranking_report


def timed(f): # processor time, which other work on the machine changes little
    start = time.process_time()
    result = f()
    return time.process_time() - start, result

def ours(n_epochs, **kwargs):
    def run(train, seed):
        learn = collab_learner((train, None), seed=seed, device='cpu', progress=False, **kwargs)
        seconds, _ = timed(lambda: learn.fit_one_cycle(n_epochs))
        return seconds, learn
    return run

def least_squares(n_turns=15, **kwargs):
    def run(train, seed):
        model = ALS(train, seed=seed, **kwargs)
        seconds, _ = timed(lambda: model.fit(n_turns))
        return seconds, model
    return run

class Theirs:
    "A model of `implicit`, as `ranking_report` wants it"
    def __init__(self, train, model):
        from ddl_lesson8.train.rating_learner import Memory
        self.users, self.items, self.memory, self.model = train.users, train.items, Memory.of(train, None), model
    def scores(self, users): return torch.from_numpy(self.model.user_factors[users.numpy()] @ self.model.item_factors.T)

def theirs(name, **kwargs):
    def run(train, seed):
        import implicit, scipy.sparse as sp
        table = sp.csr_matrix((torch.ones(len(train)).numpy(), (train.user.numpy(), train.item.numpy())), shape=(train.n_users, train.n_items))
        kind = dict(als=implicit.als.AlternatingLeastSquares, bpr=implicit.bpr.BayesianPersonalizedRanking)[name]
        model = kind(random_state=seed, num_threads=1, **kwargs)
        seconds, _ = timed(lambda: model.fit(table, show_progress=False))
        return seconds, Theirs(train, model)
    return run


GRID = { # settings for --tune; the first of each runs in the contest
    'ours: softmax': [ours(20, loss='softmax', n_factors=64, wd=w) for w in (.8, .4, .2)],
    'ours: BPR': [ours(n, loss='bpr', n_factors=64, negatives=k, wd=w) for n, k, w in ((20, 16, .5), (20, 16, .8), (10, 16, .5), (20, 32, .5), (20, 5, .5), (20, 1, .2))],
    'ours: ALS': [least_squares(n_factors=64, alpha=a, penalty=p) for a, p in ((1., 8.), (1., 15.), (3., 15.), (8., 30.), (.5, 8.), (1., 4.))],
    'implicit: ALS': [theirs('als', factors=64, regularization=r, alpha=a, iterations=15) for a, r in ((1.5, 8.), (2., 8.), (2., 15.), (4., 15.), (9., 30.), (2., 4.))],
    'implicit: BPR': [theirs('bpr', factors=64, iterations=n, learning_rate=lr, regularization=.01) for n, lr in ((100, .01), (200, .01), (100, .05))]}


def hit_rate(run, train, last, seed):
    seconds, model = run(train, seed)
    return seconds, ranking_report(model, last).rows['model']['hit rate']

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--tune', action='store_true')
    parser.add_argument('--no-write', action='store_true')
    args = parser.parse_args()
    warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    grid, note = dict(GRID), ''
    try: import implicit
    except ImportError: grid, note = {k: v for k, v in grid.items() if 'implicit' not in k}, 'Not installed here, so left out: implicit.'
    train, last = movielens().split('leave_last_out')
    if args.tune:
        shorter, cut = train.split('leave_last_out')
        for name, runs in grid.items():
            for k, run in enumerate(runs): print(f'{name:16s} setting {k}', *(f'{hit_rate(run, shorter, cut, s)[1]:.4f}' for s in range(2)), flush=True)
        return
    found = {name: [] for name in grid}
    for seed in range(args.seeds):
        for name, runs in grid.items():
            found[name].append(hit_rate(runs[0], train, last, seed))
            print(f'seed {seed}  {name:16s} {found[name][-1][0]:7.2f} s  hit rate {found[name][-1][1]:.4f}', flush=True)
    text = report(found, ranking_report(least_squares(1, n_factors=2)(train, 0)[1], last), note)
    print(text)
    if args.no_write: return
    out = Path(__file__).parent/'results'/'ranking.md'
    part = out.with_suffix('.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, out)

def report(found, plain, note):
    "The table; `found`: name -> (seconds, hit rate) of each seed"
    n = len(next(iter(found.values())))
    lines = [f'# Lists: MovieLens 100k, the last film of each person, {n} seeds', '',
             f'torch {torch.__version__}, one thread, in turns in one run. Hit rate at 10 over all items, those of training left out. Seconds are processor time of fitting alone, the median. '
             'Settings are the first of each in the grid of the script, the best on the last but one film of each person (`--tune`). '
             f'The same data in each seed, other first numbers. Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, so seconds are for ratios only.', '',
             '| what | hit rate at 10 | spread over seeds | seconds |', '|---|---|---|---|']
    for name, runs in found.items():
        rates = [r for _, r in runs]
        spread = statistics.stdev(rates) if n > 1 else 0.
        lines.append(f'| {name} | {statistics.mean(rates):.4f} | {spread:.4f} | {statistics.median(s for s, _ in runs):.2f} |')
    lines += [f'| {what} | {plain.rows[what]["hit rate"]:.4f} | | |' for what in ('popularity', 'random')]
    return '\n'.join(lines + ([''] + [note] if note else [])) + '\n'


if __name__ == '__main__': main()
