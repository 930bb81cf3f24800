"Files of models and of scanned ratings that a stranger could send"
import io, json, math, random, time, zipfile
import pytest
import torch
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data import files
from ddl_lesson8.data.scan import ScannedRatings, scan_ratings
from ddl_lesson8.tabular import tabular_learner
from ddl_lesson8.train.learner import load_learner


@pytest.fixture(scope='module')
def saved(tmp_path_factory): # what a learner writes
    learn = collab_learner(dict(user=[1, 1, 2, 2, 3, 3], item=list('abcabc'), rating=[1., 2, 3, 4, 5, 1]), 3, device='cpu', progress=False)
    learn.fit(1)
    return files.read_tensors(learn.save(tmp_path_factory.mktemp('m')/'whole.pt'))


def laughs(deep=40): # a small file that grows to 2**40 ones where somebody walks through it
    x = [1]
    for _ in range(deep): x = [x, x]
    return x


ODD = {'laughs': laughs(), 'nothing': None, 'a text': 'x', 'a list': [1, 2], 'a dict': {'a': 1}, 'a number': -1, 'large': 1 << 40, 'nan': float('nan'), 'a tensor': torch.zeros(3), 'of another type': torch.zeros(2, dtype=torch.complex64), 'empty': torch.empty(0)}


def written(path, content, monkeypatch): # with a right checksum, as a stranger would
    with monkeypatch.context() as m:
        m.setattr(files, '_check_plain', lambda *_: None)
        return files.write_tensors(path, content)


@pytest.mark.parametrize('odd', ODD)
def test_a_file_with_odd_contents_loads_or_is_refused_in_words(saved, odd, tmp_path, monkeypatch): # right: no error but ours, and no long wait
    places = [(k,) for k in saved] + [(k, j) for k in ('about', 'state') for j in saved[k]] + [('state', 'model', j) for j in saved['state']['model']]
    for place in places:
        content = dict(saved)
        at = content
        for key in place[:-1]: at[key] = dict(at[key]); at = at[key]
        at[place[-1]] = ODD[odd]
        path, began = written(tmp_path/'odd.pt', content, monkeypatch), time.process_time()
        try: load_learner(path, device='cpu')
        except ValueError as e: assert 'odd.pt' in str(e), (place, e)
        assert time.process_time() - began < 5, place


def test_no_damaged_scan_is_opened(tmp_path): # right: checksums over every file of the folder
    (tmp_path/'r.csv').write_text('user,item,rating\n' + '\n'.join(f'{u},{i},{u * i % 5 + 1}' for u in range(1, 41) for i in range(1, 21)))
    scan_ratings(tmp_path/'r.csv', tmp_path/'scan')
    parts, g = sorted((tmp_path/'scan').iterdir()), random.Random(1)
    assert len(parts) == 9 and len(ScannedRatings(tmp_path/'scan')) == 800
    for _ in range(200):
        part = g.choice(parts)
        raw = part.read_bytes()
        at = g.randrange(len(raw) * 8)
        part.write_bytes(raw[:at // 8] + bytes([raw[at // 8] ^ 1 << at % 8]) + raw[at // 8 + 1:] if g.random() < .8 else raw[:at // 8])
        with pytest.raises(ValueError, match='damaged'): ScannedRatings(tmp_path/'scan')
        part.write_bytes(raw)
    assert len(ScannedRatings(tmp_path/'scan').users) == 40


def changed(content, at, value): # a copy with another value there
    if not at: return value
    if isinstance(content, dict): return {k: changed(v, at[1:], value) if k == at[0] else v for k, v in content.items()}
    return type(content)(changed(v, at[1:], value) if k == at[0] else v for k, v in enumerate(content))

KNOWN, SETTINGS = ('about', 'known'), ('about', 'settings')
@pytest.mark.parametrize('at, value', [((*KNOWN, 'mean'), 'x'), ((*KNOWN, 'mean'), float('nan')), ((*KNOWN, 'low'), [1.]), ((*KNOWN, 'item'), 7), ((*KNOWN, 'item'), torch.ones(2, dtype=torch.bool)),
    ((*KNOWN, 'starts'), torch.tensor([0, 9, 9, 6])), ((*KNOWN, 'items'), torch.tensor([0, 1, 2, 0, 1, 99], dtype=torch.int32)), ((*KNOWN, 'noise'), torch.ones(3)), ((*SETTINGS, 'y_range'), 'xy'), ((*SETTINGS, 'y_range'), (5., 1.)),
    ((*SETTINGS, 'y_range'), 3.), (('state', 'recorder', 'losses'), {}), (('state', 'recorder', 'epochs'), ['x']), (('state', 'plan', 'done'), 'x'), (('state', 'plan', 'first_batch'), None), (('state', 'random', 'cpu'), torch.zeros(5)),
    (('state', 'opt', 'param_groups', 0, 'lr'), 'fast'), (('state', 'opt', 'state', 0, 'exp_avg'), torch.zeros(2, 2)), (('state', 'epoch'), None)])
def test_what_would_fail_later_is_refused_at_load(saved, at, value, tmp_path):
    path = files.write_tensors(tmp_path/'odd.pt', changed(saved, at, value))
    with pytest.raises(ValueError, match='odd.pt'): load_learner(path, device='cpu')


def table_file(path):
    rows = dict(colour=list('aab') * 4, size=[k / 7 if k else None for k in range(12)], price=[float(k) for k in range(12)])
    learn = tabular_learner(rows, 'price', ['colour'], ['size'], splits=(torch.arange(9), torch.arange(9, 12)), layers=[4], device='cpu', progress=False)
    learn.fit(1)
    return files.read_tensors(learn.save(path))

PREP, CONFIG = ('about', 'prep'), ('about', 'config')
@pytest.mark.parametrize('at, value', [((*PREP, 'classes', 'colour'), 1.5), ((*PREP, 'classes', 'colour'), ['#na#']), ((*PREP, 'numbers', 'size'), {}), ((*PREP, 'numbers', 'size', 'std'), 0.), ((*PREP, 'numbers', 'size', 'mean'), torch.empty(0)),
    ((*PREP, 'numbers', 'size', 'flag'), False), ((*PREP, 'cont_names'), ['size', 'more']), ((*PREP, 'numbers'), torch.zeros(0)), ((*PREP, 'kinds', 'colour'), torch.ones(7, 4)), ((*CONFIG, 'n_cont'), 3), ((*CONFIG, 'act'), 'Linear'), ((*CONFIG, 'act'), 'modules'),
    ((*CONFIG, 'layers'), [100_000, 100_000, 4]), ((*CONFIG, 'emb_szs'), [(3, 1 << 30), (3, 3)])])
def test_a_table_model_that_does_not_fit_is_refused_at_load(at, value, tmp_path): # the large ones: before memory is taken
    path, began = files.write_tensors(tmp_path/'odd.pt', changed(table_file(tmp_path/'t.pt'), at, value)), time.process_time()
    with pytest.raises(ValueError, match='odd.pt'): load_learner(path, device='cpu')
    assert time.process_time() - began < 3


def test_a_packed_model_file_is_refused(tmp_path): # 20 MB of zeros in 20 kB; PyTorch itself does not pack
    out, packed = io.BytesIO(), io.BytesIO()
    torch.save(dict(weight=torch.zeros(5_000_000)), out)
    with zipfile.ZipFile(out) as a, zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as b:
        for n in a.namelist(): b.writestr(n, a.read(n))
    def sealed(data): # as `write_tensors` does
        data = data[:-2] + (71).to_bytes(2, 'little')
        return data + b'sha256:' + files.hashlib.sha256(data).hexdigest().encode()
    for data, good in ((out.getvalue(), True), (packed.getvalue(), False)):
        (tmp_path/'m.pt').write_bytes(sealed(data))
        if good: assert len(files.read_tensors(tmp_path/'m.pt')['weight']) == 5_000_000
        else:
            with pytest.raises(ValueError, match='m.pt unpacks to more than it holds'): files.read_tensors(tmp_path/'m.pt')


# ---- scans

def scan(tmp_path, rows='user,item,rating\n1,a,4.5\n1,b,1\n2,a,3\n2,b,2\n'):
    pytest.importorskip('polars')
    (tmp_path/'r.csv').write_text(rows)
    return scan_ratings(tmp_path/'r.csv', tmp_path/'scan', valid=0)

def test_a_rating_too_large_for_its_column_is_refused(tmp_path): # it became infinite
    with pytest.raises(ValueError, match='row 3 is incomplete.*1e\\+39'): scan(tmp_path, 'user,item,rating\n1,a,4.5\n1,b,1\n2,a,1e39\n')

@pytest.mark.parametrize('at, value', [(('n_users',), 1), (('n_users',), '2'), (('rows',), None), (('rows', 'train'), 4.), (('rows', 'train'), 10**9), (('checksums',), 3), (('checksums',), {}), (('tables', 'users.parquet'), 'x'),
    (('ratings', 'mean'), None), (('ratings', 'low'), '1'), (('ratings',), []), (('checksums', '../../x'), 0), ((), None)])
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, at, value): # with a right checksum, as a stranger would write it
    folder = scan(tmp_path).folder
    manifest = files.read_values(folder/'manifest.json')
    if at == ('checksums', '../../x'): manifest['checksums'][at[1]] = 0
    files.write_values(folder/'manifest.json', changed(manifest, at, value))
    with pytest.raises(ValueError, match='scan'): ScannedRatings(folder)

@pytest.mark.parametrize('name', ['train-user.bin', 'train-rating.bin', 'users.parquet'])
def test_a_scan_without_one_of_its_files_is_refused(tmp_path, name):
    folder = scan(tmp_path).folder
    (folder/name).unlink()
    with pytest.raises(ValueError, match=f'{name} is not there'): ScannedRatings(folder)

@pytest.mark.parametrize('kind', ['parquet', 'arrow'])
def test_damaged_columns_are_refused_in_words(tmp_path, kind): # their readers panic, which is no Exception
    polars = pytest.importorskip('polars')
    from ddl_lesson8.data.read_ratings import ratings_from_table
    frame, out, rng = polars.DataFrame(dict(user=list(range(40)), item=[f'i{k}' for k in range(40)], rating=[k / 7 for k in range(40)])), io.BytesIO(), random.Random(0)
    frame.write_parquet(out) if kind == 'parquet' else frame.write_ipc(out)
    path = tmp_path/f'r.{kind}'
    for _ in range(150):
        data = bytearray(out.getvalue())
        for _ in range(rng.choice([1, 3])): data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        for read in (lambda: scan_ratings(path, tmp_path/'scan', duplicates='keep').tensors()[2], *([lambda: ratings_from_table(path).rating] if kind == 'parquet' else [])):
            try: assert read().isfinite().all()
            except ValueError as e: assert str(path) in str(e) or 'column' in str(e) or 'row' in str(e), e


def test_half_characters_in_names_travel_whole(tmp_path): # a lone surrogate is a text for Python, and stays that text
    rows = dict(user=['a\ud800', 'b\udfff', 'a', 'c'] * 3, item=list('abcd') * 2 + list('bcda'), rating=[1., 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2])
    from ddl_lesson8.data.read_ratings import ratings_from_table
    learn = collab_learner(ratings_from_table(rows, duplicates='mean'), 3, device='cpu', progress=False)
    again = load_learner(learn.save(tmp_path/'l'), device='cpu')
    assert again.users.items == learn.users.items == ['a', 'a\ud800', 'b\udfff', 'c'] and again.recommend('a\ud800', 1) == learn.recommend('a\ud800', 1) != learn.recommend('a', 1)
    table = tabular_learner(dict(c=['x\ud800', 'y', 'x'] * 4, y=[float(k) for k in range(12)]), 'y', ['c'], [], splits=(torch.arange(9), torch.arange(9, 12)), layers=[4], device='cpu', progress=False)
    same = load_learner(table.save(tmp_path/'t'), device='cpu')
    assert torch.equal(same.predict(dict(c=['x\ud800', 'x'])), table.predict(dict(c=['x\ud800', 'x']))) and type(table.prep).load(table.prep.save(tmp_path/'p')).classes == table.prep.classes


@pytest.mark.parametrize('loss', [torch.nn.functional.mse_loss, lambda p, t: (p - t).square().mean()])
def test_the_plain_loop_does_not_stretch_either(loss): # it trained on 20 x 20 pairs, with a warning
    from ddl_lesson8.train.learner import train_plainly
    x, model = torch.randn(20, 3), torch.nn.Linear(3, 1)
    with pytest.raises(ValueError, match='the same shape'): train_plainly(model, x, torch.randn(20), loss, 1)
    assert len(train_plainly(model, x, torch.randn(20, 1), loss, 2)) == 2
