"Files of models and of scanned ratings that a stranger could send"
import random, time
import pytest
import torch
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data import files
from ddl_lesson8.data.scan import ScannedRatings, scan_ratings
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
