"A short search for files that break the library; `make fuzz HOURS=8` is the long one"
import os, sys
from pathlib import Path
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fuzz, others

pytestmark = pytest.mark.skipif(os.name == 'nt', reason='limits of time and memory as Unix has them')


def test_a_file_follows_from_its_number():
    whole = fuzz.originals()
    assert len(whole) >= 6 and whole == fuzz.originals()
    made = [fuzz.mutated(n, whole) for n in range(200)]
    assert made == [fuzz.mutated(n, whole) for n in range(200)]
    assert {level for _, level, _ in made} == set(fuzz.LEVELS) and {name for name, *_ in made} == set(whole)
    assert sum(data != whole[name] for name, _, data in made) > 180


def test_what_is_no_workbook_follows_from_its_number_too(tmp_path):
    pytest.importorskip('polars'), pytest.importorskip('fastapi')
    whole = others.originals(tmp_path/'a')
    assert whole == others.originals(tmp_path/'b')
    made = [others.mutated(n, whole) for n in range(300)]
    assert {(name, level) for name, level, _ in made} == {(n, f.__name__) for n, levels in others.LEVELS.items() for f in levels}
    assert sum(parts != whole[name] for name, _, parts in made) > 250


def test_only_our_own_lines_are_words():
    from ddl_lesson8.data.files import check_kinds, read_values
    for f, ours in ((lambda: check_kinds(1, str, 'x'), True), (lambda: read_values('/nowhere'), True), (lambda: int('x'), False), (lambda: {}['x'], False), (lambda: check_kinds(1, list, *'abc'), False)):
        try: f()
        except Exception as e: assert others.in_words(e) == ours


@pytest.mark.parametrize('fault, said', [(lambda: 1 / 0, 'ZeroDivisionError'), (lambda: exec('while True: pass'), 'not done'), (None, 'the file was changed')])
def test_the_watch_notices(fault, said, tmp_path, monkeypatch):
    whole = {'x': b'1234567890' * 20}
    monkeypatch.setattr(fuzz, 'mutated', lambda *_: ('x', 'raw', whole['x'])), monkeypatch.setattr(fuzz, 'SECONDS', 1)
    monkeypatch.setattr(fuzz, 'uses', lambda n, path, *_: [('fault', fault or (lambda: path.write_bytes(b'other')))])
    fuzz.signal.signal(fuzz.signal.SIGPROF, fuzz.late)
    _, wrong = fuzz.one(0, whole, {'x': None}, tmp_path)
    assert said in wrong[0][-1]


def test_mutated_workbooks_are_read_or_refused_in_words():
    seconds = float(os.environ.get('DDL_LESSON8_FUZZ_SECONDS', 30)) # two minutes for each change, see .ci/run
    got = fuzz.run(10**6, hours=seconds / 3600, show=lambda *_: None)
    assert got['files'] > 20 and not got['wrong'], got['wrong'][:5]
