"Training from disk: memory that does not grow with the rows, lists that equal those in memory, faults that are named"
import os, subprocess, sys
from pathlib import Path
import pytest, torch
pl, np = pytest.importorskip('polars'), pytest.importorskip('numpy')
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.files import write_values
from ddl_lesson8.data.rated import rated_items
from ddl_lesson8.data.ratings import Ratings
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.train.disk import DiskData
from ddl_lesson8.train.learner import load_learner
from ddl_lesson8.train.memory import DiskMemory, Memory
from ddl_lesson8.train.newcomer import score_for

PEAK = """
import sys
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.scan import ScannedRatings
learn = collab_learner(ScannedRatings(sys.argv[1]), n_factors=4, batch_size=65536, device='cpu', progress=False)
learn.fit_one_cycle(1)
print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))""" # ru_maxrss counts the parent, too

def rows(n, seed=0, users=20_000, items=2_000):
    g = np.random.default_rng(seed)
    return pl.DataFrame(dict(user=np.r_[np.arange(users), g.integers(0, users, n - users)], item=np.r_[np.arange(users) % items, g.integers(0, items, n - users)],
                             rating=g.integers(1, 6, n).astype(np.float32)))

@pytest.fixture
def scanned(tmp_path):
    rows(60_000).write_parquet(tmp_path/'r.parquet')
    return scan_ratings(tmp_path/'r.parquet', duplicates='keep')

@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_training_takes_no_more_memory_for_more_rows(tmp_path):
    peak = {}
    for n in (1_000_000, 5_000_000): # their columns are 12 and 60 MB, their pairs as whole numbers 8 and 40
        rows(n).write_parquet(tmp_path/f'{n}.parquet')
        scan = scan_ratings(tmp_path/f'{n}.parquet', duplicates='keep')
        env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get('PYTHONPATH', '')]))
        done = subprocess.run([sys.executable, '-c', PEAK, str(scan.folder)], env=env, capture_output=True, text=True, check=True)
        peak[n] = int(done.stdout)
    assert peak[5_000_000] - peak[1_000_000] < 50, peak

def test_lists_on_disk_are_those_in_memory(scanned):
    def part(p): return Ratings(*(t.long() for t in scanned.tensors(p)[:2]), scanned.column('rating', p), scanned.users, scanned.items)
    here, there = Memory.of(part('train'), part('valid')), DiskMemory.of(scanned)
    assert rated_items(scanned, most=7_000)[1].tolist() == here.items.tolist()
    for name in ('starts', 'items', 'trained', 'user', 'item'): assert torch.equal(getattr(here, name), getattr(there, name)), name
    assert (here.low, here.high) == (there.low, there.high) and here.mean == pytest.approx(there.mean)

def test_a_file_names_other_ratings(scanned, tmp_path):
    learn = collab_learner(scanned, n_factors=2, device='cpu', progress=False)
    learn.fit(1)
    learn.save(tmp_path/'l')
    rows(60_000, seed=1).write_parquet(tmp_path/'r.parquet')
    scan_ratings(tmp_path/'r.parquet', duplicates='keep')
    again = load_learner(tmp_path/'l', device='cpu')
    assert again.predict('5', '7') == learn.predict('5', '7')
    with pytest.raises(ValueError, match='other ratings'): again.memory.seen(5)

def test_judging_by_pieces_is_judging_all_at_once(scanned, monkeypatch):
    metrics = dict(mae=torch.nn.functional.l1_loss)
    learn = collab_learner(scanned, n_factors=2, device='cpu', progress=False, metrics=metrics, lr=.1)
    learn.fit(1)
    whole = learn.validate(scanned.tensors('valid'))
    assert learn.validate() == pytest.approx(whole)
    pieces = list(learn.data.valid_pieces())[0]
    monkeypatch.setattr(DiskData, 'valid_pieces', lambda self: zip(*(t.split(701) for t in pieces)))
    assert learn.validate() == pytest.approx(whole, rel=1e-5)

def test_a_scan_of_an_older_kind_is_made_again(scanned, tmp_path):
    write_values(scanned.folder/'manifest.json', scanned.manifest | dict(version=1))
    assert scan_ratings(tmp_path/'r.parquet', duplicates='keep').manifest == scanned.manifest

def test_nothing_to_train_on_is_said(tmp_path):
    pl.DataFrame(dict(user=[1], item=[1], rating=[3.])).write_parquet(tmp_path/'r.parquet')
    with pytest.raises(ValueError, match='smaller share'): collab_learner(scan_ratings(tmp_path/'r.parquet', valid=.999999), device='cpu')


def test_somebody_new_is_estimated_from_ratings_on_disk(scanned, tmp_path):
    "It ended in PyTorch's words: nobody had measured how ratings scatter around their scores. A loaded file without that number is refused in ours"
    learn = collab_learner(scanned, n_factors=2, device='cpu', progress=False)
    learn.fit(1)
    user, item, rating = (t.long() for t in scanned.tensors())
    with torch.no_grad(): errors = score_for(rating.float(), learn.model.y_range) - learn.model.score(user, item)
    assert learn.noise() == pytest.approx(errors.square().mean().item(), rel=1e-4)
    guess = learn.newcomer({scanned.items[0]: 4.})
    loaded = load_learner(learn.save(tmp_path/'a.pt'), device='cpu')
    assert torch.allclose(loaded.newcomer({scanned.items[0]: 4.}), guess, atol=1e-5)
    loaded.memory.noise = None
    with pytest.raises(ValueError, match='how ratings scatter'): loaded.newcomer({scanned.items[0]: 4.})

# ids and times as the file has them

def scan_of(folder, text='user,item,rating\n', **settings):
    (folder/'t.csv').write_text(text)
    return scan_ratings(folder/'t.csv', valid=0, **settings)

def test_leading_zeros_tell_ids_apart(tmp_path): # as in memory; polars read 007 as 7
    scanned = scan_of(tmp_path, 'user,item,rating\n007,1,5\n7,2,3\n12,1,1\n')
    assert scanned.users == ['007', '12', '7'] and scanned.items == [1, 2]
    assert scan_of(tmp_path, 'user,item,rating\n0,1,5\n7,10,3\n').users == [0, 7] # a zero alone is a number

@pytest.mark.parametrize('ids, users', [(['café', 'cafe\u0301', 'x'], ['café', 'x']), ([' a', 'a ', 'b'], ['a', 'b'])])
def test_one_name_in_two_spellings(tmp_path, ids, users): # as in memory
    pl.DataFrame(dict(user=ids, item=[1, 2, 3], rating=[1., 2., 3.])).write_parquet(tmp_path/'t.parquet')
    scanned = scan_ratings(tmp_path/'t.parquet', valid=0)
    assert scanned.users == users and scanned.column('user').bincount().tolist() == [2, 1]

def test_the_same_pair_in_two_spellings_is_found(tmp_path):
    pl.DataFrame(dict(user=['café', 'cafe\u0301'], item=[1, 1], rating=[1., 2.])).write_parquet(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match="user 'café' rated item 1 more than once"): scan_ratings(tmp_path/'t.parquet')

@pytest.mark.parametrize('when, words', [([.1, .9], 'row 1: the time 0.1 is no whole number'), ([1, None], 'row 2 is incomplete'), ([1., float('nan')], 'row 2: the time nan'), ([1., 1e300], 'row 2: the time 1e.300')])
def test_times_that_are_no_whole_numbers(tmp_path, when, words): # .1 and .9 became 0 and 0, so the earlier one was the last
    pl.DataFrame(dict(user=[1, 1], item=[1, 2], rating=[1., 2.], when=when)).write_parquet(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match=words): scan_ratings(tmp_path/'t.parquet', split='last', timestamp='when')

def test_whole_times_in_a_column_of_fractions(tmp_path):
    pl.DataFrame(dict(user=[1] * 3, item=[1, 2, 3], rating=[1., 2., 3.], when=[1., 9., 5.])).write_parquet(tmp_path/'t.parquet')
    scanned = scan_ratings(tmp_path/'t.parquet', split='last', timestamp='when')
    assert [scanned.items[k] for k in scanned.column('item', 'valid')] == [2]

def test_a_split_by_time_of_nanoseconds(tmp_path): # the engine's quantile is a float: every row was held back, and none left to train on
    pl.DataFrame(dict(user=range(12), item=range(12), rating=[1.] * 12, when=1_600_000_000_000_000_000 + np.arange(12))).write_parquet(tmp_path/'t.parquet')
    scanned = scan_ratings(tmp_path/'t.parquet', split='time', timestamp='when', valid=.25)
    assert sorted(scanned.users[k] for k in scanned.column('user', 'valid')) == [9, 10, 11]

def test_a_split_of_ratings_that_leaves_nothing(tmp_path):
    pl.DataFrame(dict(user=[1, 2], item=[1, 2], rating=[1., 2.], when=[5, 5])).write_parquet(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match='no row to train on'): scan_ratings(tmp_path/'t.parquet', split='time', timestamp='when')

@pytest.mark.parametrize('settings, words', [(dict(seed=-1), 'seed=-1'), (dict(pile_rows=0), 'pile_rows=0'), (dict(valid='.1'), "valid='.1'"), (dict(rating=['rating']), 'the name of one column'), (dict(user=None), 'the name of one column')])
def test_settings_of_another_kind(tmp_path, settings, words):
    pl.DataFrame(dict(user=[1, 2], item=[1, 2], rating=[1., 2.])).write_parquet(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match=words): scan_ratings(tmp_path/'t.parquet', **settings)

def test_a_file_of_ratings_whose_name_is_a_pattern(tmp_path):
    from ddl_lesson8.data.read_ratings import ratings_from_table
    (tmp_path/'a[1]').mkdir()
    for name, user in (('t[1]', 1), ('t1', 2)): pl.DataFrame(dict(user=[user, 3], item=[1, 2], rating=[1., 2.])).write_parquet(tmp_path/'a[1]'/f'{name}.parquet')
    scanned = scan_ratings(tmp_path/'a[1]'/'t[1].parquet', valid=0)
    assert scanned.users == [1, 3] and ratings_from_table(tmp_path/'a[1]'/'t[1].parquet').users == ['1', '3']

def test_two_processes_scan_at_once(tmp_path): # the slower one found a folder in its place
    rows(30_000).write_parquet(tmp_path/'t.parquet')
    code = f"from ddl_lesson8.data.scan import scan_ratings; print(len(scan_ratings({str(tmp_path/'t.parquet')!r}, duplicates='keep')))"
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get('PYTHONPATH', '')]))
    both = [subprocess.Popen([sys.executable, '-c', code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate() for p in both] == [('30000\n', '')] * 2
