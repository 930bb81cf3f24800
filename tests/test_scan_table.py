"Tables on disk: equal to tables in memory, whatever the files; faults by column and row; memory that does not grow"
import os, subprocess, sys
from pathlib import Path
import pytest, torch
pl, np = pytest.importorskip('polars'), pytest.importorskip('numpy')
from ddl_lesson8.data.columns import ColumnPrep, cont_cat_split
from ddl_lesson8.data.files import read_values, write_values
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.data.scan_table import ScannedTable, _kth, _median, scan_table
from ddl_lesson8.train.command import train_main
from ddl_lesson8.tabular import tabular_learner
from ddl_lesson8.train.learner import load_learner

def table(n=3000, seed=0):
    g = np.random.default_rng(seed)
    start = np.datetime64('2020-01-01')
    columns = dict(town=g.choice(['Zürich', 'Ulm', 'Bonn', None], n).tolist(), rooms=g.integers(1, 6, n), built=g.integers(1900, 2000, n), sold=start + g.integers(0, 9, n),
                   garden=g.random(n) < .3, grade=g.choice([1., 2.5, 3.], n), area=g.lognormal(4, 1, n), tax=np.round(g.normal(size=n), 1), flat=np.full(n, 7.5))
    frame = pl.DataFrame(columns).with_columns(pl.when(pl.Series(g.random(n) < .1)).then(None).otherwise(pl.col('area')).alias('area'))
    return frame.with_columns((pl.col('tax') * 2 + pl.col('rooms')).alias('price'), pl.Series('kind', g.choice(['good', 'bad'], n)))

def same(scanned, frame, cats, conts, targets, y_kind=None):
    "Does `ColumnPrep` make the same of the same rows?"
    prep = ColumnPrep(cats, conts, targets, y_kind)
    rows = [scanned.column('row', p).numpy() for p in ('train', 'valid')]
    assert sorted(np.concatenate(rows)) == list(range(len(frame)))
    parts = prep.parts(frame, *rows, fit=True)
    own = scanned.prep
    assert (own.classes, own.y_classes, own.kinds, own.y_kind, own.cat_names, own.cont_names) == (prep.classes, prep.y_classes, prep.kinds, prep.y_kind, prep.cat_names, prep.cont_names)
    for n, told in prep.numbers.items(): assert own.numbers[n] == pytest.approx(told, rel=1e-12) and own.numbers[n]['median'] == told['median'], n
    for part, (cat, cont, y) in zip(('train', 'valid'), parts):
        x, c, t = scanned.tensors(part)
        assert x.dtype == torch.int32 and torch.equal(x.long(), cat)
        assert c.dtype == torch.float32 and torch.allclose(c, cont, rtol=1e-6, atol=1e-6)
        assert torch.equal(t.to(y.dtype), y)
    return True

@pytest.mark.parametrize('target', ['price', 'kind', ['price', 'area2']])
@pytest.mark.parametrize('kind', ['parquet', 'ipc', 'csv', 'folder', 'csvs'])
def test_the_same_as_in_memory(tmp_path, kind, target):
    frame, path = table().with_columns((pl.col('built') * .5).alias('area2')), tmp_path/f't.{kind}'
    if kind in ('folder', 'csvs'):
        path.mkdir()
        for k in range(3): (frame[k * 1000:][:1000].write_parquet if kind == 'folder' else frame[k * 1000:][:1000].write_csv)(path/f'{k}.{"parquet" if kind == "folder" else "csv"}')
    elif kind == 'csv': frame.write_csv(path)
    else: getattr(frame, f'write_{kind}')(path)
    if 'csv' in kind: frame = pl.read_csv(path if kind == 'csv' else path/'*.csv')
    conts, cats = cont_cat_split(frame, dep_var=target)
    assert len(conts) >= 4 and len(cats) >= 4
    names = [target] if isinstance(target, str) else target
    assert same(scan_table(path, target, pile_rows=400), frame, cats, conts, names)

def test_by_time_and_named_columns(tmp_path):
    frame = table()
    frame.write_parquet(tmp_path/'t.parquet')
    scanned = scan_table(tmp_path/'t.parquet', 'rooms', 'town', ['area', 'built'], y_kind='class', split='time', timestamp='sold')
    days = [frame['sold'].to_numpy()[scanned.column('row', p).numpy()] for p in ('train', 'valid')]
    assert days[0].max() < days[1].min() and same(scanned, frame, ['town'], ['area', 'built'], ['rooms'], 'class')

def test_values_that_only_held_back_rows_have_are_told(tmp_path):
    pl.DataFrame(dict(c=['a'] * 9 + ['b'], x=[None, *range(9)], y=range(10), when=range(10))).write_parquet(tmp_path/'t.parquet')
    with pytest.warns(UserWarning, match="'c' in 1 of 10 rows, such as 'b'"):
        scanned = scan_table(tmp_path/'t.parquet', 'y', 'c', 'x', split='time', timestamp='when')
    assert scanned.prep.classes['c'] == ['#na#', 'a'] and scanned.column('cats', 'valid')[:, 0].sort().values.tolist() == [0, 1]

def test_found_again_made_again(tmp_path):
    path = tmp_path/'t.parquet'
    table().write_parquet(path)
    def made(**settings): return (scan_table(path, 'price', **settings).folder/'manifest.json').stat().st_mtime_ns
    first = made()
    assert made() == first
    assert made(seed=1) > first
    first = made()
    table(seed=1).write_parquet(path)
    assert made() > first and same(scan_table(path, 'price', 'town', 'area'), table(seed=1), ['town'], ['area'], ['price'])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith('.')] == []

@pytest.mark.parametrize('name', ['cats', 'conts', 'target', 'row'])
def test_a_damaged_column_is_refused(tmp_path, name):
    table().write_parquet(tmp_path/'t.parquet')
    file = scan_table(tmp_path/'t.parquet', 'kind').folder/f'valid-{name}.bin'
    data = file.read_bytes()
    file.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    for read in (lambda: scan_table(tmp_path/'t.parquet', 'kind'), lambda: ScannedTable(file.parent)):
        with pytest.raises(ValueError, match=f'valid-{name}.bin is damaged'): read()
    file.write_bytes(data[:-1])
    with pytest.raises(ValueError, match='bytes, not'): ScannedTable(file.parent)
    file.unlink()
    with pytest.raises(ValueError, match='is not there'): ScannedTable(file.parent)

def test_a_manifest_that_promises_other_classes(tmp_path):
    table().write_parquet(tmp_path/'t.parquet')
    scanned = scan_table(tmp_path/'t.parquet', 'kind', 'town')
    said = scanned.manifest
    said['prep']['classes']['town'] = said['prep']['classes']['town'][:2]
    write_values(scanned.folder/'manifest.json', said)
    with pytest.raises(ValueError, match='cats name classes that are not there'): ScannedTable(scanned.folder)
    write_values(scanned.folder/'manifest.json', said | dict(prep=dict(format='?')))
    with pytest.raises(ValueError, match='no saved ColumnPrep'): ScannedTable(scanned.folder)

BAD = [
    (dict(y=[1., None]), "'y', row 1: the target is missing"), (dict(y=['a', None]), "'y', row 1: the target is missing"), (dict(y=[1., float('nan')]), "'y', row 1: the target is missing"),
    (dict(x=[None, 'many']), "'x', row 1: 'many' is no number"), (dict(x=[1., float('inf')]), "'x', row 1: inf is not a finite number"), (dict(x=[1., 1e200]), "row 1: 1e.200 is too large"),
    (dict(x=[None, None]), "'x' has no number"), (dict(c=['a', '#na#']), "'c' holds the text '#na#'"), (dict(c=[['a'], ['b']]), "'c', row 0"), (dict(c=[1., float('inf')]), "'c', row 1"),
    (dict(x=[1., None], x_na=[1, 2]), "would be called 'x_na'"), (dict(y=[1., 1e60]), "'y', row 1.*too large for torch.float32"), (dict(z=[1, 2]), "no column 'y'")]
@pytest.mark.parametrize('columns, words', BAD)
def test_what_is_refused(tmp_path, columns, words):
    usual = dict(c=['a', 'b'], x=[1., 2.]) | ({} if 'z' in columns else dict(y=[1., 2.]))
    pl.DataFrame(usual | columns, strict=False).write_parquet(tmp_path/'t.parquet')
    cats = ['c', *[n for n in columns if n == 'x_na']]
    with pytest.raises(ValueError, match=words): scan_table(tmp_path/'t.parquet', 'y', cats, 'x', valid=0, pile_rows=1)
    assert [p.name for p in tmp_path.iterdir()] == ['t.parquet']

@pytest.mark.parametrize('settings, words', [
    (dict(valid=1), 'valid=1'), (dict(split='last'), "choose 'random' or 'time'"), (dict(split='time'), 'go together'), (dict(timestamp='x'), 'go together'), (dict(cat_names='town', cont_names='town'), 'two roles'),
    (dict(split='time', timestamp='town'), "'town', the timestamp, holds String"), (dict(split='time', timestamp='area'), "'area', row .*no time"), (dict(split='time', timestamp='when'), "no column 'when'"), (dict(y_kind='x'), 'y_kind')])
def test_settings_that_make_no_sense(tmp_path, settings, words):
    table(100).write_parquet(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match=words): scan_table(tmp_path/'t.parquet', 'price', **settings)

def test_whole_numbers_that_turn_into_fractions_late(tmp_path):
    (tmp_path/'t.csv').write_text('c,x,y\n' + 'a,1,2\n' * 5000 + 'b,1.5,3\n')
    assert scan_table(tmp_path/'t.csv', 'y', 'c', 'x', valid=0).prep.numbers['x']['mean'] == pytest.approx(1 + .5 / 5001)

def test_a_folder_of_several_kinds(tmp_path):
    frame, folder = table(100), tmp_path/'t'
    folder.mkdir()
    for name in ('a.parquet', 'b.pq'): frame.write_parquet(folder/name) # two endings of one kind
    assert len(scan_table(folder, 'price')) == 200
    frame.write_csv(folder/'c.csv') # the same rows, perhaps
    with pytest.raises(ValueError, match='holds 1 .csv and 1 .parquet and 1 .pq files, which may be the same rows twice'): scan_table(folder, 'price')

def test_files_that_cannot_be_read(tmp_path):
    (tmp_path/'t.csv').write_text('c,x,y\n' + 'a,1,2\n' * 20_000 + 'b,many,3\n')
    with pytest.raises(ValueError, match="'x', row 20000: 'many' is no number"): scan_table(tmp_path/'t.csv', 'y', 'c', 'x')
    (tmp_path/'t.csv').write_text('c,x,y\n')
    with pytest.raises(ValueError, match='no row'): scan_table(tmp_path/'t.csv', 'y', 'c', 'x')
    with pytest.raises(FileNotFoundError, match='nowhere'): scan_table(tmp_path/'nowhere.csv', 'y')

@pytest.mark.parametrize('n', [1, 2, 1000, 1001])
def test_a_median_in_pieces(n):
    g = np.random.default_rng(n)
    for x in (g.normal(size=n), g.integers(-3, 3, n) * 1., np.r_[g.normal(size=n - 1), -0.] * 1e90, np.full(n, -1.5)):
        def pieces(): return iter(np.array_split(x, 3))
        assert _median(pieces, n) == np.median(x)
        assert [_kth(pieces, k, most=3) for k in (0, n // 3, n - 1)] == np.sort(x)[[0, n // 3, n - 1]].tolist()

@pytest.mark.parametrize('target', ['price', 'kind'])
def test_a_learner_trains_and_loads(tmp_path, target):
    frame = table()
    frame.write_parquet(tmp_path/'t.parquet')
    scanned = scan_table(tmp_path/'t.parquet', target)
    options = dict(layers=(20,), batch_size=256, device='cpu', progress=False, metrics=[torch.nn.functional.l1_loss] if target == 'price' else None)
    learn = tabular_learner(scanned, **options)
    rows = [scanned.column('row', p).numpy() for p in ('train', 'valid')]
    inside = tabular_learner(frame, target, splits=rows, **options)
    assert learn.validate() == pytest.approx(inside.validate(), rel=1e-5)
    for l in (learn, inside): l.fit_one_cycle(4, .02)
    assert learn.validate()['loss'] == pytest.approx(inside.validate()['loss'], rel=.3)
    if target == 'price': assert learn.validate()['loss'] < .3
    learn.save(tmp_path/'l')
    again = load_learner(tmp_path/'l', device='cpu')
    assert torch.equal(again.predict(frame[:9]), learn.predict(frame[:9]))
    again = load_learner(tmp_path/'l', scanned, device='cpu')
    assert again.validate()['loss'] == pytest.approx(learn.validate()['loss'])
    again.fit(1)
    other = scan_table(tmp_path/'t.parquet', target, seed=1)
    with pytest.raises(ValueError, match='trained on another table'): load_learner(tmp_path/'l', other, device='cpu')

def test_a_learner_says_what_was_settled(tmp_path):
    table().write_parquet(tmp_path/'t.parquet')
    scanned = scan_table(tmp_path/'t.parquet', 'price')
    assert tabular_learner(scanned, 'price', device='cpu').prep.y_names == ['price']
    for settled in (dict(y_names='kind'), dict(cat_names=['town']), dict(splits=([0], [1]))):
        with pytest.raises(ValueError, match=f'{[*settled][0]} was settled'): tabular_learner(scanned, **settled)
    with pytest.raises(ValueError, match='y_range'): tabular_learner(scanned, y_range=(0, .1), device='cpu')
    with pytest.raises(ValueError, match='which column'): tabular_learner(table())

def test_two_processes_train_as_one(tmp_path):
    table().write_parquet(tmp_path/'t.parquet')
    def order(n): return [str(tmp_path/'t.parquet'), '--model', 'table', '--target', 'price', '--scan', '--epochs', '2', '--out', str(tmp_path/f'm{n}')]
    assert train_main(order(1)) == 0
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get('PYTHONPATH', '')]))
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m', 'ddl_lesson8.train', *order(2)], env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    losses = [read_values(tmp_path/f'm{n}'/'report.json')['valid_loss'] for n in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

PEAK = """
import sys, torch
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.data.scan_table import scan_table
from ddl_lesson8.tabular import tabular_learner
def peak(): return next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM'))
scanned = scan_table(sys.argv[1], 'y', pile_rows=100_000)
scan = peak()
tabular_learner(scanned, layers=(8,), batch_size=65536, device='cpu', progress=False).fit(1)
print(scan, peak())"""

@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_more_rows_take_no_more_memory(tmp_path):
    peaks = {}
    for n in (1_000_000, 4_000_000): # their columns, prepared, are 48 and 192 MB
        g = np.random.default_rng(0)
        pl.DataFrame(dict(c=g.integers(0, 9, n), **{f'x{k}': g.normal(size=n) for k in range(8)}, y=g.normal(size=n))).write_parquet(tmp_path/f'{n}.parquet', row_group_size=100_000)
        env = dict(os.environ, OMP_NUM_THREADS='1', POLARS_MAX_THREADS='2', PYTHONPATH=os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get('PYTHONPATH', '')]))
        done = subprocess.run([sys.executable, '-c', PEAK, str(tmp_path/f'{n}.parquet')], env=env, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        peaks[n] = [int(v) for v in done.stdout.split()]
    assert all(b - a < 100 for a, b in zip(*peaks.values())), peaks

# what belongs to somebody else, and names that are patterns

def small(path, **columns): pl.DataFrame(dict(c=['a', 'b'] * 6, x=np.arange(12) * .5, y=np.arange(12) * 2.) | columns).write_parquet(path)

@pytest.mark.parametrize('file, said', [('manifest.json', '{"name": "my app"}'), ('notes.txt', 'mine'), ('manifest.json', '')])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, file, said): # a folder with a manifest.json was deleted whole
    small(tmp_path/'t.parquet')
    (tmp_path/'app').mkdir()
    (tmp_path/'app'/file).write_text(said)
    for scan in (lambda: scan_table(tmp_path/'t.parquet', 'y', folder=tmp_path/'app'), lambda: scan_ratings(tmp_path/'t.parquet', tmp_path/'app', 'c', 'x', 'y')):
        with pytest.raises(ValueError, match=f'app holds {file}, which is no part of a scan'): scan()
    assert (tmp_path/'app'/file).read_text() == said
    with pytest.raises(ValueError, match='is a file'): scan_table(tmp_path/'t.parquet', 'y', folder=tmp_path/'app'/file)

def test_a_note_beside_columns_is_left_alone(tmp_path):
    small(tmp_path/'t.parquet')
    folder = scan_table(tmp_path/'t.parquet', 'y').folder
    (folder/'notes.txt').write_text('mine')
    with pytest.raises(ValueError, match='holds notes.txt'): scan_table(tmp_path/'t.parquet', 'y', seed=1)
    assert (folder/'notes.txt').read_text() == 'mine' and len(scan_table(tmp_path/'t.parquet', 'y')) == 12

def test_a_link_to_the_folder_stays_one(tmp_path):
    small(tmp_path/'t.parquet')
    (tmp_path/'far').mkdir()
    (tmp_path/'near').symlink_to(tmp_path/'far')
    for seed in (0, 1): assert len(scan_table(tmp_path/'t.parquet', 'y', folder=tmp_path/'near', seed=seed)) == 12
    assert (tmp_path/'near').is_symlink() and (tmp_path/'far'/'manifest.json').exists()

@pytest.mark.parametrize('kind', ['parquet', 'csv', 'arrow'])
@pytest.mark.parametrize('name, other', [('t[1]', 't1'), ('t*', 'tt'), ('t?', 'tt')])
def test_a_name_is_no_pattern(tmp_path, name, other, kind): # t1.csv was read in place of t[1].csv
    write = dict(parquet='write_parquet', csv='write_csv', arrow='write_ipc')[kind]
    for n, c in ((name, 'right'), (other, 'wrong')): getattr(pl.DataFrame(dict(c=[c, c], x=[1., 2.], y=[1., 2.])), write)(tmp_path/f'{n}.{kind}')
    assert scan_table(tmp_path/f'{name}.{kind}', 'y', 'c', 'x', valid=0).prep.classes['c'] == ['#na#', 'right']

@pytest.mark.parametrize('settings, words', [
    (dict(seed=-1), 'seed=-1'), (dict(seed=1.5), 'seed=1.5'), (dict(seed=2**64), 'seed=1844'), (dict(seed=True), 'seed=True'), (dict(valid='.2'), "valid='.2'"), (dict(valid=True), 'valid=True'),
    (dict(pile_rows=0), 'pile_rows=0'), (dict(max_card=None), 'max_card=None'), (dict(cat_names=[0]), r'named by texts, not by \[0\]'), (dict(target=None), 'which column to predict'),
    (dict(target=[]), 'which column to predict'), (dict(target=3), 'named by texts'), (dict(target=[['y']]), 'named by texts')])
def test_settings_of_another_kind(tmp_path, settings, words):
    small(tmp_path/'t.parquet')
    with pytest.raises(ValueError, match=words): scan_table(tmp_path/'t.parquet', **dict(target='y') | settings)
    assert [p.name for p in tmp_path.iterdir()] == ['t.parquet']

def test_settings_of_numpy(tmp_path): # JSON has no such numbers
    small(tmp_path/'t.parquet')
    assert len(scan_table(tmp_path/'t.parquet', 'y', seed=np.int64(3), valid=np.float32(.25))) == 12

@pytest.mark.parametrize('when', [1_600_000_000_000_000_000 + np.arange(12), (2**63 + np.arange(12, dtype=np.uint64)), np.arange(12) * .5 + .25])
def test_times_that_a_float_cannot_tell_apart(tmp_path, when): # the engine's quantile is a float: all twelve were held back
    small(tmp_path/'t.parquet', when=when)
    assert sorted(scan_table(tmp_path/'t.parquet', 'y', [], 'x', valid=.25, split='time', timestamp='when').column('row', 'valid').tolist()) == [9, 10, 11]

def test_a_split_that_leaves_nothing(tmp_path):
    small(tmp_path/'t.parquet', when=[1] * 12)
    with pytest.raises(ValueError, match='no row to train on'): scan_table(tmp_path/'t.parquet', 'y', split='time', timestamp='when')

def test_a_column_that_comes_twice_in_a_file_of_text(tmp_path): # polars calls the second one x_duplicated_0
    (tmp_path/'t.csv').write_text('x,c,x,y\n1,a,2,3\n')
    with pytest.raises(ValueError, match='t.csv names a column twice'): scan_table(tmp_path/'t.csv', 'y')

def test_columns_with_lists_and_far_dates_are_named(tmp_path, capfd):
    for c, words in (([[1]] * 12, "column 'c', row 0: .* a category is text"), (pl.Series([2**31 - 1] * 12, dtype=pl.Int32).cast(pl.Date), "'c', row 0: .* too far away")):
        small(tmp_path/'t.parquet', c=c)
        with pytest.raises(ValueError, match=words): scan_table(tmp_path/'t.parquet', 'y')
    assert 'panicked' not in capfd.readouterr().err
