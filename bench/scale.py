"""What training past one machine costs, each table in one run: processes, disk, the growth of cost, and others on the same rows.

    OMP_NUM_THREADS=1 python bench/scale.py [--no-write] [processes] [disk] [growth] [others] [memory] [recommend] [tables]

processes: rows a second, memory and bytes of 1, 2 and 4 processes with one thread each, beside the plan. disk: an epoch from disk beside the
same rows as resident tensors. growth: how the cost grows with users, items, ratings, factors. others: an epoch of ours, fastai and implicit on
the same rows (those that are installed). memory: the peak of a training from disk over the rows; not in the usual run, and `--rows 250000000`
adds that many. recommend: `ddl8-recommend` for a million users, the best 10 of 100,000 items; not in the usual run, `--users 100000` asks for fewer.
tables: a table with a target, prepared by `scan_table`, an epoch of it from disk beside the same rows as resident tensors, and the peak; not in the usual run, and `--table-rows 2500000` asks for a
smaller one. Synthetic ratings, Zipf both ways, made in a temporary folder. Writes bench/results/scale.md, a section for each table.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path
import numpy as np, torch
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import Ratings
from ddl_lesson8.data.scan import ScannedRatings, scan_ratings
from ddl_lesson8.train.disk import DiskData
from ddl_lesson8.train.distributed import measured_team, plan
from ddl_lesson8.train.learner import Data

SIZES = 250_000, 50_000, 50, 200_000, 20_000 # users, items, factors, ratings, batch
RESULT = Path(__file__).parent/'results'/'scale.md'

def zipf(g, n, size, power):
    "Row numbers by a bounded power law"
    u = g.random(n)
    return np.minimum((((size + 1)**(1 - power) - 1) * u + 1)**(1 / (1 - power)) - 1, size - 1).astype(np.int32)

def write_ratings(folder, n, users=1_000_000, items=100_000, piece=12_500_000):
    "Synthetic ratings as Parquet files"
    import polars as pl
    folder.mkdir(parents=True)
    for k in range(0, n, piece):
        g, m = np.random.default_rng(k), min(piece, n - k)
        u, i = zipf(g, m, users, .6), zipf(g, m, items, .9)
        stars = 3.5 + .7 * np.sin(u * 12.9898) + .7 * np.cos(i * 78.233) + .8 * g.normal(size=m)
        pl.DataFrame(dict(user=u, item=i, rating=np.clip(np.round(2 * stars) / 2, .5, 5).astype(np.float32))).write_parquet(folder/f'{k // piece:03}.parquet')
    return folder

def processes():
    "One line for each number of processes, whole tables and cut ones"
    ways, base = [(1, None), (2, None), (2, 2), (4, None), (4, 4)], None
    for n, shard in ways:
        runs = [measured_team(n, *SIZES, shard=shard) for _ in range(3)]
        got, p = sorted(runs, key=lambda r: r['seconds'])[1], plan(*SIZES, world=n, shards=shard or 1)
        base = base or got['seconds']
        yield {'processes': f'{n}{"" if n <= (os.cpu_count() or 1) else ", oversubscribed"}', 'tables': 'cut' if shard else 'whole', 'rows a second': f"{SIZES[4] / got['seconds']:,.0f}",
               'efficiency': f"{base / got['seconds'] / n:.2f}", 'memory / plan': f"{got['memory'] / p.memory:.2f}", 'MB sent a step': f"{got['sent'] / 1e6:.1f}",
               'sent / plan': f"{got['sent'] / p.sent:.2f}" if p.sent else ''}

def epoch(learn):
    "Seconds of one epoch, without validation"
    start = time.perf_counter()
    learn.fit(1, .01)
    return time.perf_counter() - start

def disk(n=5_000_000, times=3):
    "A whole epoch from disk, and of the same rows as resident tensors, in turns"
    with tempfile.TemporaryDirectory() as folder:
        scanned = scan_ratings(write_ratings(Path(folder)/'r', n, 100_000, 20_000), duplicates='keep', valid=0)
        resident = Data(tuple(t.long() if not t.is_floating_point() else t.clone() for t in scanned.tensors()), batch_size=32_768)
        took = {'disk': [], 'resident': []}
        for _ in range(times):
            for kind, data in (('disk', DiskData(scanned, 32_768)), ('resident', resident)):
                learn = collab_learner(scanned, n_factors=16, batch_size=32_768, device='cpu', progress=False)
                learn.data = data
                took[kind].append(epoch(learn))
        ratios = [d / r for d, r in zip(took['disk'], took['resident'])]
        yield {'rows': f'{n:,}', **{f'{k}, s': f'{statistics.median(v):.2f}' for k, v in took.items()}, 'ratio': f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})'}

def growth():
    "The same training with one size doubled at a time"
    base = dict(users=100_000, items=20_000, factors=32, ratings=400_000, batch=20_000)
    for name in (None, 'users', 'items', 'factors', 'ratings', 'batch'):
        sizes = base | ({name: 2 * base[name]} if name else {})
        got, p = measured_team(1, *sizes.values()), plan(*sizes.values())
        yield {'doubled': name or 'nothing', 'ms a step': f"{got['seconds'] * 1000:.0f}", 'steps': got['steps'], 's an epoch': f"{got['seconds'] * got['steps']:.2f}", 'MB': f"{got['memory'] / 1e6:.0f}",
               'MB planned': f'{p.memory / 1e6:.0f}'}

def others(n=1_000_000, users=50_000, items=10_000, factors=32):
    "An epoch of several libraries on the same rows; one thread"
    with tempfile.TemporaryDirectory() as folder:
        scanned = scan_ratings(write_ratings(Path(folder)/'r', n, users, items), duplicates='last', valid=0)
        u, i, r = (t.clone() for t in scanned.tensors())
    ratings = Ratings(u.long(), i.long(), r, scanned_names(u), scanned_names(i))
    learn = collab_learner((ratings, None), factors, batch_size=8192, device='cpu', progress=False)
    seconds = {'ours: collab_learner, batch 8,192': epoch(learn)}
    for name, f in (('fastai: collab_learner, batch 8,192', fastai_epoch), ('implicit: ALS, one iteration', implicit_epoch)):
        try: seconds[name] = f(u, i, r, factors)
        except ImportError: seconds[name] = None
    first = next(iter(seconds.values()))
    for name, s in seconds.items(): yield {'what': name, 's an epoch': f'{s:.2f}' if s else 'not installed', 'rows a second': f'{len(r) / s:,.0f}' if s else '', 'times ours': f'{s / first:.1f}' if s else ''}

def scanned_names(rows): return list(map(str, range(int(rows.max()) + 1)))

def fastai_epoch(u, i, r, factors):
    "One epoch of fastai, without validation and progress"
    from fastai.collab import CollabDataLoaders, collab_learner as theirs
    import pandas as pd
    dls = CollabDataLoaders.from_df(pd.DataFrame(dict(user=u.numpy(), item=i.numpy(), rating=r.numpy())), valid_pct=1e-4, bs=8192, seed=0)
    learn = theirs(dls, n_factors=factors, y_range=(.25, 5.25))
    with learn.no_bar(), learn.no_logging(): return epoch(learn)

def implicit_epoch(u, i, r, factors):
    "One iteration of alternating least squares"
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    rows = csr_matrix((r.numpy(), (u.numpy(), i.numpy())))
    seconds = []
    for n in (1, 3): # what is prepared once is left out
        start = time.perf_counter()
        AlternatingLeastSquares(factors=factors, iterations=n, num_threads=1).fit(rows, show_progress=False)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / 2

PEAK = """import json, sys, time
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.scan import ScannedRatings
learn = collab_learner(ScannedRatings(sys.argv[1], verify=False), n_factors=16, batch_size=262_144, device='cpu', progress=False)
start = time.perf_counter()
learn.fit_one_cycle(1)
kb = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))
print(json.dumps(dict(mb=kb // 1024, seconds=time.perf_counter() - start, loss=learn.recorder.epochs[-1]['valid_loss'])))"""

def memory(sizes=(2_500_000, 25_000_000)):
    "The peak of a training from disk, preparing left out"
    for n in (*sizes, *ARGS.rows):
        with tempfile.TemporaryDirectory(dir=os.environ.get('DDL_LESSON8_BENCH')) as folder:
            source, start = write_ratings(Path(folder)/'r', n), time.perf_counter()
            scanned = scan_ratings(source, duplicates='keep')
            prepared = time.perf_counter() - start
            got = json.loads(subprocess.run([sys.executable, '-c', PEAK, str(scanned.folder)], capture_output=True, text=True, check=True).stdout)
            yield {'rows': f'{n:,}', 'users': f'{scanned.n_users:,}', 'prepared, s': f'{prepared:.0f}', 'an epoch, s': f"{got['seconds']:.0f}", 'peak, MB': got['mb'], 'validation loss': f"{got['loss']:.3f}"}

LISTS = """import json, sys, time
from ddl_lesson8.train.command import recommend_main
start = time.perf_counter()
assert recommend_main(sys.argv[1:]) == 0
kb = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))
print(json.dumps(dict(mb=kb // 1024, seconds=time.perf_counter() - start)))"""

def recommend(n=5_000_000):
    "Lists for all users of a table of ratings, those they rated left out; the model is not trained, which changes no time"
    import polars as pl
    from ddl_lesson8.train.command import scanned_learner
    with tempfile.TemporaryDirectory(dir=os.environ.get('DDL_LESSON8_BENCH')) as folder:
        folder = Path(folder)
        scanned = scan_ratings(write_ratings(folder/'r', n), folder/'model'/'columns', duplicates='keep', valid=0)
        scanned_learner(scanned, 16).save(folder/'model'/'model.pt')
        few = ARGS.users
        if few: (folder/'users').write_text('\n'.join(map(str, scanned.users[:few[0]])))
        order = [str(folder/'model'), '--out', str(folder/'lists.parquet'), *(['--users', str(folder/'users')] if few else [])]
        got = json.loads(subprocess.run([sys.executable, '-c', LISTS, *order], capture_output=True, text=True, check=True).stdout)
        users = pl.read_parquet(folder/'lists.parquet', columns=['user'])['user'].n_unique()
        yield {'users': f'{users:,}', 'items': f'{scanned.n_items:,}', 'seconds': f"{got['seconds']:.0f}", 'users a second': f"{users / got['seconds']:,.0f}", 'peak, MB': got['mb'],
               'all scores would be, MB': f'{users * scanned.n_items * 4 / 1e6:,.0f}', 'file, MB': f"{(folder/'lists.parquet').stat().st_size / 1e6:.0f}"}

def write_table(folder, n, piece=2_500_000):
    "A synthetic table as Parquet files: two categories, eight numbers and a target"
    import polars as pl
    folder.mkdir(parents=True)
    for k in range(0, n, piece):
        g, m = np.random.default_rng(k), min(piece, n - k)
        shop, day, x = g.integers(0, 1000, m), g.integers(0, 7, m), g.normal(size=(m, 8)).astype(np.float32)
        y = np.sin(shop) + .1 * day + x[:, 0] * x[:, 1] + .1 * g.normal(size=m)
        columns = dict(shop=pl.Series(shop).cast(pl.String), day=day, **{f'x{j}': x[:, j] for j in range(8)}, y=y)
        pl.DataFrame(columns).write_parquet(folder/f'{k // piece:03}.parquet', row_group_size=100_000)
    return folder

TABLE = """import json, sys, time
import torch
from ddl_lesson8.data.scan_table import scan_table
from ddl_lesson8.tabular import tabular_learner
from ddl_lesson8.train.learner import Data
torch.set_num_threads(1)
source, resident = sys.argv[1], sys.argv[2] == 'resident'
start = time.perf_counter()
scanned = scan_table(source, 'y', ['shop', 'day'], [f'x{j}' for j in range(8)], valid=.1)
prepared = time.perf_counter() - start
learn = tabular_learner(scanned, layers=(64, 32), batch_size=32_768, device='cpu', progress=False)
def held(part): return tuple(t.clone() if t.is_floating_point() else t.long() for t in scanned.tensors(part))
if resident: learn.data = Data(held('train'), held('valid'), 32_768)
start = time.perf_counter()
learn.fit(1, .01)
seconds = time.perf_counter() - start
mb = next(int(l.split()[1]) // 1024 for l in open('/proc/self/status') if l.startswith('VmHWM'))
print(json.dumps(dict(prepared=prepared, seconds=seconds, mb=mb, loss=learn.recorder.epochs[-1]['valid_loss'])))"""

def tables(times=3):
    "Preparing a table, and an epoch with its validation from disk and from memory in turns, each in a process of its own"
    for n in ARGS.table_rows or [25_000_000]:
        with tempfile.TemporaryDirectory(dir=os.environ.get('DDL_LESSON8_BENCH')) as folder:
            source, got = write_table(Path(folder)/'t', n), {'disk': [], 'resident': []}
            for _ in range(times):
                for kind, runs in got.items():
                    runs.append(json.loads(subprocess.run([sys.executable, '-c', TABLE, str(source), kind], capture_output=True, text=True, check=True).stdout))
        disk, resident = got.values()
        ratios, first = [d['seconds'] / r['seconds'] for d, r in zip(disk, resident)], disk[0]
        yield {'rows': f'{n:,}', 'prepared, s': f"{first['prepared']:.0f}", 'rows a second, prepared': f"{n / first['prepared']:,.0f}", 'an epoch, s': f"{statistics.median(d['seconds'] for d in disk):.1f}",
               'rows a second': f"{n / statistics.median(d['seconds'] for d in disk):,.0f}", 'times resident': f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})',
               'peak, MB, preparing included': first['mb'], 'resident, MB': max(r['mb'] for r in resident), 'validation loss': f"{first['loss']:.3f}"}

TITLES = {'processes': f'Several processes: {SIZES[0]:,} users, {SIZES[1]:,} items, {SIZES[2]} factors, batch {SIZES[4]:,}, AdamW', 'disk': 'An epoch from disk and from memory, 16 factors, batch 32,768',
          'growth': 'What grows: 100,000 users, 20,000 items, 32 factors, 400,000 ratings, batch 20,000, and one of them doubled', 'others': 'One epoch of a million ratings, 50,000 users, 10,000 items, 32 factors',
          'memory': 'Peak memory of training from disk, 16 factors, batch 262,144',
          'tables': 'A table with a target on disk: two categories, eight numbers, layers of 64 and 32, batch 32,768',
          'recommend': 'Lists of the best 10 items by ddl8-recommend, 16 factors, what each user rated left out, one thread'}

def section(name):
    "A heading, the machine, and a table"
    rows = list(globals()[name]())
    head = list(rows[0])
    lines = [f'## {TITLES[name]}', '', f'torch {torch.__version__}, one thread for each process, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores', '', '| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    return '\n'.join([*lines, *('| ' + ' | '.join(str(r[h]) for h in head) + ' |' for r in rows)])

def written():
    "Sections of the last run, by title"
    text = RESULT.read_text(encoding='utf-8') if RESULT.exists() else ''
    return {s.partition('\n')[0]: '## ' + s.strip() for s in text.split('## ')[1:]}

LAST = '''## TorchRec: not used

Its newest CPU kernels (fbgemm-gpu-cpu 1.9.0) do not load beside torch 2.13 (undefined symbol in fbgemm_gpu_tbe_index_select.so), and it asks for torchmetrics 1.0.3, tensordict and pyre-extensions besides. What it
would bring, sparse gradients and tables in parts, is here touched rows, `lazy_adagrad` and DTensor. Steps on one large table, dense and lazy: lazy.md.'''

def main():
    global ARGS
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('sections', nargs='*', choices=[*TITLES, []], metavar='section')
    p.add_argument('--no-write', action='store_true', help='only print')
    for name in ('--rows', '--users', '--table-rows'): p.add_argument(name, type=int, action='append', default=[])
    ARGS = p.parse_args()
    torch.set_num_threads(1)
    old = written()
    for name in ARGS.sections or ['processes', 'disk', 'growth', 'others']:
        old[TITLES[name]] = section(name)
        print(old[TITLES[name]], '', sep='\n', flush=True)
        kept = [old[t] for t in TITLES.values() if t in old]
        if not ARGS.no_write: RESULT.write_text('\n\n'.join([*kept, LAST]) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
