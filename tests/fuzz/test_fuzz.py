"A short search for files that break the library; `make fuzz HOURS=8` is the long one"
import os, sys
from pathlib import Path
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fuzz

pytestmark = pytest.mark.skipif(os.name == 'nt', reason='limits of time and memory as Unix has them')


def test_a_file_follows_from_its_number():
    whole = fuzz.originals()
    assert len(whole) >= 6 and whole == fuzz.originals()
    made = [fuzz.mutated(n, whole) for n in range(200)]
    assert made == [fuzz.mutated(n, whole) for n in range(200)]
    assert {level for _, level, _ in made} == set(fuzz.LEVELS) and {name for name, *_ in made} == set(whole)
    assert sum(data != whole[name] for name, _, data in made) > 180


@pytest.mark.parametrize('fault, said', [(lambda: 1 / 0, 'ZeroDivisionError'), (lambda: exec('while True: pass'), 'not done'), (None, 'the file was changed')])
def test_the_watch_notices(fault, said, tmp_path, monkeypatch):
    whole = {'x': b'1234567890' * 20}
    monkeypatch.setattr(fuzz, 'mutated', lambda *_: ('x', 'raw', whole['x'])), monkeypatch.setattr(fuzz, 'SECONDS', 1)
    monkeypatch.setattr(fuzz, 'uses', lambda n, path, *_: [('fault', fault or (lambda: path.write_bytes(b'other')))])
    fuzz.signal.signal(fuzz.signal.SIGPROF, fuzz.late)
    _, wrong = fuzz.one(0, whole, {'x': None}, tmp_path)
    assert said in wrong[0][-1]


def test_mutated_workbooks_are_read_or_refused_in_words():
    got = fuzz.run(10**6, hours=30 / 3600, show=lambda *_: None)
    assert got['files'] > 20 and not got['wrong'], got['wrong'][:5]
