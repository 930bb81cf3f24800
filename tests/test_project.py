"The house rules that a program can check."
import ast, importlib.util, json, os, re, subprocess, sys, tomllib
from configparser import ConfigParser
from pathlib import Path
import pytest, torch
from ddl_lesson8.book.claims import agreement, paired

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
WINGS = ('book', 'train', 'data', 'sheets')  # from the upper floor to the lower
CHAPTERS = [p for p in NOTEBOOKS if re.match(r'\d', p.name) and p.parent.name == 'nbs']


def cells(nb:Path, kind:str)->list[str]:
    return [''.join(c['source']) for c in json.loads(nb.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == kind]


def module(nb:Path)->str|None:
    "The module that a notebook exports, `sheets.book` say"
    found = re.search(r'^#\| *default_exp +([\w.]+)', '\n'.join(cells(nb, 'code')), re.M)
    return found and found[1]


def wing(name:str)->str:
    "The wing that a module stands in, or '' for a chapter"
    return name.split('.')[0] if name.split('.')[0] in WINGS else ''


MODULES = {module(p): p for p in NOTEBOOKS if module(p)}


def imports(code:str)->set[str]:
    "Modules of the library that a piece of code imports, those inside functions too"
    names = set()
    for node in ast.walk(ast.parse(re.sub(r'^[%!].*$', '', code, flags=re.M))):
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'ddl_lesson8':
            base = node.module.removeprefix('ddl_lesson8').removeprefix('.')
            names |= {base} if base in MODULES else {f'{base}.{a.name}'.removeprefix('.') for a in node.names} & MODULES.keys()
        if isinstance(node, ast.Import): names |= {a.name.removeprefix('ddl_lesson8.') for a in node.names} & MODULES.keys()
    return names


def imported(nb:Path, exported_only:bool)->set[str]:
    "Modules of the library that a notebook imports"
    sources = [s for s in cells(nb, 'code') if not exported_only or re.search(r'^#\| *export[si]?\b', s, re.M)]
    return set().union(*map(imports, sources))


def climbs(name:str, names:set[str])->set[str]:
    "Imports that point up: a wing that uses a chapter, or sheets that use anything else of ours"
    allowed = {'sheets': {'sheets'}, 'data': {'data', 'sheets'}, 'train': {'train', 'data', 'sheets'}, 'book': {*WINGS, ''}}
    return {n for n in names - {'book.plots'} if n != name and wing(n) not in allowed.get(wing(name), {*WINGS, ''})}


def test_the_pen_may_be_taken_by_everyone_because_it_takes_nothing():
    assert not imported(MODULES['book.plots'], exported_only=True)


def test_both_settings_files_agree():
    parser = ConfigParser(delimiters=['='])
    parser.read(ROOT/'settings.ini', encoding='utf-8')
    project = tomllib.loads((ROOT/'pyproject.toml').read_text(encoding='utf-8'))['project']
    assert project['name'] == parser['DEFAULT']['lib_name']
    assert project['requires-python'] == '>=' + parser['DEFAULT']['min_python']


@pytest.mark.parametrize('name', [m for m in MODULES if wing(m)])
def test_wings_import_only_from_below(name):
    assert not climbs(name, imported(MODULES[name], exported_only=True))


@pytest.mark.parametrize('name', [m for m in MODULES if wing(m)])
def test_a_wing_is_numbered_in_the_order_of_its_imports(name):
    own = {n for n in imported(MODULES[name], exported_only=True) if wing(n) == wing(name) and n != name}
    assert not {n for n in own if MODULES[n].name > MODULES[name].name}


@pytest.mark.parametrize('name', MODULES)
def test_a_module_is_short_enough_to_be_read(name):
    "A chapter holds one idea, a tool one job"
    lines = (ROOT/'ddl_lesson8'/f"{name.replace('.', '/')}.py").read_text(encoding='utf-8').count('\n')
    assert lines <= (600 if wing(name) else 350)


def test_an_import_that_points_up_would_be_noticed():
    assert climbs('sheets.book', imports('def f():\n    from ddl_lesson8.train.learner import Learner')) == {'train.learner'}
    assert climbs('data.ratings', imports('from ddl_lesson8 import collab')) == {'collab'}
    assert climbs('train.learner', imports('import ddl_lesson8.book.claims')) == {'book.claims'}
    assert not climbs('train.learner', imports('from ddl_lesson8.data.ratings import Ratings'))


def test_a_changed_module_of_a_wing_would_be_noticed(tmp_path):
    sys.path.insert(0, str(ROOT/'tools'))
    from check import digests
    (tmp_path/'sheets').mkdir()
    (tmp_path/'sheets'/'book.py').write_text('1')
    before = digests(tmp_path)
    (tmp_path/'sheets'/'book.py').write_text('2')
    assert before.keys() == {'sheets/book.py'} and digests(tmp_path) != before


def test_the_picture_of_the_house_shows_the_imports():
    subprocess.run([sys.executable, 'tools/house.py', '--check'], cwd=ROOT, check=True)


def test_every_generated_module_is_marked_as_generated():
    files = [p.relative_to(ROOT).as_posix() for p in (ROOT/'ddl_lesson8').rglob('*.py')]
    said = subprocess.run(['git', 'check-attr', 'linguist-generated', *files], cwd=ROOT, capture_output=True, text=True)
    if said.returncode: pytest.skip('not a git checkout')
    assert all(line.endswith(': set') for line in said.stdout.splitlines()), said.stdout


@pytest.mark.parametrize('nb', CHAPTERS, ids=lambda p: p.stem)
def test_chapters_import_earlier_ones_only(nb):
    later = {module(p) for p in CHAPTERS if p.name >= nb.name} - {None, module(nb)}
    assert not imported(nb, exported_only=False) & later


def test_site_lists_every_notebook():
    listed = re.findall(r'- (?:file: )?(\S+)\.ipynb', (ROOT/'_quarto.yml').read_text(encoding='utf-8'))
    pages = [(p.relative_to(ROOT/'nbs').parent/re.sub(r'^\d+[a-z]?_', '', p.stem)).as_posix() for p in NOTEBOOKS]
    assert sorted(listed) == sorted(pages)


def test_pages_have_a_title_and_a_summary():
    for nb in NOTEBOOKS:
        first = next(c for c in cells(nb, 'markdown'))
        assert re.fullmatch(r'# .+\n+> .+\n*', first), f'{nb.name}: only the title and the summary belong into {first[:60]!r}'


def test_import_is_cheap_and_needs_no_extra():
    code = ('import torch, time, sys; t = time.perf_counter(); import ddl_lesson8.all; '
            'heavy = {"pandas", "sklearn", "sympy", "openpyxl", "ironcalc", "matplotlib.pyplot"} & set(sys.modules); assert not heavy, heavy')
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def test_no_data_set_in_the_project():
    files = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True)
    if files.returncode: pytest.skip('not a git checkout')
    bad = [f for f in files.stdout.split() if re.search(r'(u\.(data|item|user)|-ubyte(\.gz)?|\.xlsx)$', f)]
    assert not bad


@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_imports_stand_in_cells_of_their_own(nb):
    "The site's build executes every cell with an import, alone; anything else in such a cell would fail there"
    for source in cells(nb, 'code'):
        if re.search(r'^#\| *(export|exports|exporti|exec_doc)\b', source, re.M): continue
        tree = ast.parse(re.sub(r'^[%!].*$', '', source, flags=re.M))
        found = any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.walk(tree))
        only = all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body)
        assert only or not found, f'{nb.name}: imports mixed with other code in\n{source[:200]}'


def test_the_front_page_shows_the_ledgers_counts():
    from ddl_lesson8.book.claims import Ledger
    cells = json.loads((ROOT/'nbs'/'index.ipynb').read_text(encoding='utf-8'))['cells']
    shown = ''.join(''.join(o.get('data', {}).get('text/markdown', '')) for c in cells for o in c.get('outputs', []))
    for verdict, n in Ledger(ROOT/'nbs').counts.items():
        assert f'| *{verdict}* | {n} |' in shown, 'run make notebooks, then make readme'


@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_no_saved_output_is_a_warning_or_names_a_place_of_the_machine(nb):
    said = [json.dumps(o) for c in json.loads(nb.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', [])]
    assert not re.findall(r'\w*Warning: .{,80}|\S{,60}site-packages\S{,60}|<ipython-input\S+|/tmp/\S{,60}', ' '.join(said))

def test_the_shipped_ledger_is_that_of_the_notebooks():
    from ddl_lesson8.book.claims import Ledger
    assert Ledger().claims == Ledger(ROOT/'nbs').claims, 'run make notebooks'


def test_the_ledger_has_the_same_numbers_away_from_the_repository(tmp_path):
    from ddl_lesson8.book.claims import Ledger
    code = "from ddl_lesson8.book.claims import Ledger; print(len(Ledger().ids))"
    said = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert int(said.stdout) == len(Ledger(ROOT/'nbs').ids)


def test_a_star_brings_what_the_page_promises():
    here = {}
    exec('from ddl_lesson8.all import *', here)
    assert {'create_params', 'DotProduct', 'collab_learner', 'conv2d', 'SheetModule', 'Learner'} <= here.keys()


def test_the_public_surface_stays_small():
    from ddl_lesson8.all import __all__ as names
    assert {'conv2d', 'SheetModule'} <= set(names)
    assert len(names) < 250, 'write #| exporti where only other modules of ours use a name, `_name` where nobody does'


def test_the_package_knows_its_version_and_its_modules():
    code = "import ddl_lesson8 as d; assert d.__doc__ and d.__version__ and 'collab' in dir(d) and d.collab.DotProduct and d.sheets"
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def test_help_shows_the_parameters():
    "In a process of its own, because with nbdev's documentation loaded a docstring stays one line"
    code = """if True:
        import inspect, pickle
        from ddl_lesson8.conv import conv2d, conv_output_size
        from ddl_lesson8.book.claims import Claim
        from ddl_lesson8.train.learner import Learner
        said = inspect.getdoc(conv_output_size)
        assert said.startswith(conv_output_size.__doc__) and 'Parameters' in said and '    stride: ' in said and 'Returns ' in said, said
        from ddl_lesson8.collab import collab_learner
        from ddl_lesson8.sheets.book import Sheet
        assert 'patience: stop after' in inspect.getdoc(Learner.fit) and 'patience: stop after' in inspect.getdoc(Learner.fit_one_cycle)
        assert '    amp: ' in inspect.getdoc(collab_learner) and 'kwargs' not in inspect.getdoc(collab_learner)
        assert '    right_of: ' in inspect.getdoc(Sheet.mse) and '    reduction: ' in inspect.getdoc(Sheet.mae)
        assert '    lr: ' in inspect.getdoc(Learner) and '    verdict: ' in inspect.getdoc(Claim)
        assert type(pickle.loads(pickle.dumps(conv2d.__doc__))) is str and '\\n' not in conv2d.__doc__
        import nbdev.showdoc
        assert inspect.getdoc(conv2d) == conv2d.__doc__
    """
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_alternative_texts_are_plain_yaml(nb):
    "A colon and a space inside a plain value would make the whole text vanish from the page"
    cells = json.loads(nb.read_text(encoding='utf-8'))['cells']
    texts = re.findall(r'^#\| fig-alt: (.*)$', '\n'.join(''.join(c['source']) for c in cells), re.M)
    assert not [t for t in texts if ': ' in t or ' #' in t]


def test_addresses_follow_from_the_settings():
    subprocess.run([sys.executable, 'tools/owner.py', '--check'], cwd=ROOT, check=True)


def test_another_owner_would_reach_every_address():
    sys.path.insert(0, str(ROOT/'tools'))
    import owner
    new = ('somebody', 'book')
    for path in owner.files():
        text = owner.moved(path.read_text(encoding='utf-8'), owner.standing(), new)
        assert not re.search(r'ddl-lesson8[./]', text.replace('vnd.ddl-lesson8.claim', '')), path.name


def test_the_version_stands_in_the_citation_too():
    parser = ConfigParser(delimiters=['='])
    parser.read(ROOT/'settings.ini', encoding='utf-8')
    assert f"version: {parser['DEFAULT']['version']}\n" in (ROOT/'CITATION.cff').read_text(encoding='utf-8')


def test_a_result_agrees_relative_to_the_largest_number_of_the_first():
    assert agreement(scratch=torch.tensor([0., 100.]), pytorch=torch.tensor([0., 100.001]), tol=1e-4).rows[1][-1] == pytest.approx(1e-5, rel=1e-2)
    with pytest.raises(AssertionError, match='pytorch differs from scratch'):
        agreement(scratch=torch.tensor([0., 100.]), pytorch=torch.tensor([0., 101.]), tol=1e-4)


def test_a_tie_is_no_win():
    assert paired([1, 2, 3], [2, 2, 2]).wins == 1


def stumbles(nb:Path)->list[str]:
    "Where a reader stops: a public definition without a sentence before or a check below, more than four code cells in a row, a cell longer than a screen"
    cells = [(c['cell_type'], ''.join(c['source'])) for c in json.loads(nb.read_text(encoding='utf-8'))['cells']]
    cells = [(kind == 'code', s) for kind, s in cells if re.search(r'^(?!#\||import |from |\s*$)', s, re.M)]  # imports stop nobody
    found, in_a_row = [], 0
    for i, (is_code, source) in enumerate(cells):
        in_a_row = in_a_row + 1 if is_code else 0
        begins = f'begins {source[:40]!r}'
        if in_a_row == 5: found.append(f'the fifth code cell in a row {begins}')
        if is_code and len(re.findall(r'^(?!#\|)', source, re.M)) > 45: found.append(f'a cell of more than 45 lines {begins}')
        if not is_code or not (names := re.search(r'^#\| *export', source, re.M) and re.findall(r'^(?:def|class) ([a-zA-Z]\w*)', source, re.M)): continue
        if in_a_row > 1: found.append(f'no sentence before {", ".join(names)}')
        below = next((s for is_code, s in cells[i+1:] if is_code), '#| export')
        if re.search(r'^#\| *export', below, re.M): found.append(f'no check below {", ".join(names)}')
    return found


@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_reads_from_top_to_bottom(nb):
    assert not stumbles(nb), '\n'.join(stumbles(nb))


@pytest.mark.parametrize('path', sorted((ROOT/'bench').glob('*.py')), ids=lambda p: p.name)
def test_a_bench_imports_what_is_there(path):
    "No test runs the benches, so a name that moved would be noticed only by who measures; their programs in strings count too"
    text = path.read_text(encoding='utf-8')
    for module, names in re.findall(r'^from (ddl_lesson8[\w.]*) import ([\w, ]+)', text, re.M):
        there = importlib.import_module(module)
        for name in names.split(', '): assert hasattr(there, name) or importlib.util.find_spec(f'{module}.{name}'), f'{module} has no {name}'
