"Exercises: how an answer is judged, and that every exercise of the book has its checker and a solution that passes"
import ast, importlib, json, re
from pathlib import Path
import pytest
import torch
import torch.nn.functional as F
from ddl_lesson8.book.exercises import check_exercise, check_sheet_exercise, find_checker
from ddl_lesson8.sheets.book import Book

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def source_of(nb, kind): return '\n'.join(''.join(c['source']) for c in json.loads(nb.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == kind)


ASKED = {m: nb for nb in PAGES if nb.parent.name == 'nbs' for m in re.findall(r'^check_(?:sheet_)?exercise\([\'"]?(\w+)[\'"]?(?:, [^,]*\.xlsx.*)?\)', source_of(nb, 'code'), re.M)}
SOLUTIONS = [(nb, code) for nb in PAGES if nb.parent.name == 'nbs' for fold in re.findall(r'<details>.*?</details>', source_of(nb, 'markdown'), re.S)
             for code in re.findall(r'```python\n(.*?)```', fold, re.S) if 'def my_' in code]


@pytest.mark.parametrize('name', ASKED)
def test_every_exercise_of_a_page_has_a_checker(name): assert callable(find_checker(name))


@pytest.mark.parametrize('nb, code', SOLUTIONS, ids=[f'{nb.stem}-{re.search(r"def (my_[a-z0-9_]+)", code)[1]}' for nb, code in SOLUTIONS])
def test_the_worked_solutions_pass(nb, code):
    "In the names that the page has imported so far, as a reader would run them"
    page = ast.parse(re.sub(r'^[%!].*$', '', source_of(nb, 'code'), flags=re.M))
    imports = [node for node in page.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    own = re.search(r'^#\| *default_exp +([\w.]+)', source_of(nb, 'code'), re.M)
    here = {'torch': torch, 'F': F} | (vars(importlib.import_module(f'ddl_lesson8.{own[1]}')) if own else {})
    for node in imports: exec(ast.unparse(node), here)
    exec(code, here)
    for name in re.findall(r'^def (my_\w+)', code, re.M): assert check_exercise(here[name]), check_exercise(here[name])


def test_two_checkers_of_one_name_would_be_noticed(tmp_path):
    for chapter in 'ab': (tmp_path/f'checks_{chapter}.py').write_text('def check_same(f): pass')
    with pytest.raises(LookupError, match='checks_a and in checks_b'): find_checker('my_same', tmp_path)
    with pytest.raises(LookupError, match='did you mean my_same'): find_checker('my_sane', tmp_path)
    with pytest.raises(LookupError, match="no exercise 'my_other'"): find_checker('my_other', tmp_path)


def test_a_forgotten_return_is_named():
    def my_sum(a, b): a + b
    def checker(f): assert float(f(1, 2)) == 3, 'the sum of 1 and 2 is 3'
    assert check_exercise(my_sum, checker).hint == 'my_sum returned None: does it end with `return`?'
    def tells(f): assert f(1, 2) == 3, f'the sum of 1 and 2 is 3, not {f(1, 2)}'
    assert 'does it end with' in check_exercise(my_sum, tells).hint
    def my_fill(values): values.append(1) # a function that may return nothing
    def in_place(f):
        f(values := [])
        assert values == [2], 'a 2 should be in the list'
    assert check_exercise(my_fill, in_place).hint.splitlines()[0] == 'a 2 should be in the list'
    def my_half(a, b): return a if a > b else None
    assert 'my_half returned None, and the check cannot use that' in check_exercise(my_half, lambda f: [f(2, 1), f(1, 2) + 1]).hint # it does return something


def test_a_watched_answer_still_is_the_readers_function():
    def my_twice(x, times=2): return x * times
    def checker(f):
        import inspect
        assert f.__name__ == 'my_twice' and 'times' in inspect.signature(f).parameters
        assert 'x * times' in inspect.getsource(f) and f.__code__.co_argcount == 2
    assert check_exercise(my_twice, checker)


def test_a_sheet_that_cannot_be_read_is_no_crash(tmp_path):
    checker = lambda book: book.cell('none', 1, 1)
    (tmp_path/'text.xlsx').write_text('no workbook')
    assert check_sheet_exercise('sheet_x', tmp_path/'absent.xlsx', checker).state == 'open'
    assert check_sheet_exercise('sheet_x', tmp_path/'text.xlsx', checker).state == 'not yet'
    book = Book()
    book.sheet('s').put(1.)
    outcome = check_sheet_exercise('sheet_x', book.save(tmp_path/'b.xlsx'), checker)
    assert outcome.state == 'not yet' and 'none' in outcome.hint
