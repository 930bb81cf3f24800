"The lesson's workbook, the check of the course's workbook, and the command"
import importlib.machinery, os, random, re, shutil, subprocess, sys, zipfile
from pathlib import Path
import pytest, torch
from ddl_lesson8.book import workbook
from ddl_lesson8.sheets.address import SheetError, cell_name, parse_area
from ddl_lesson8.sheets import package, xlsx
from ddl_lesson8.sheets.xlsx import open_workbook
from ddl_lesson8.sheets.check import Check
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.book.workbook import (CHAPTERS, COURSE, check_course_workbook, check_lesson_workbook, check_workbook, chapter_sheets, find_course_sheets,
                                  lesson_book, lesson_workbook, main)

LONG = pytest.mark.skipif(os.environ.get('DDL_LESSON8_LONG') != '1', reason='set DDL_LESSON8_LONG=1 for the long search')
DATA = Path(os.environ.get('DDL_LESSON8_DATA', 'no such folder'))
COURSE_FILE = next((p for p in (DATA/'conv-example.xlsx', DATA.parent/'xl'/'conv-example.xlsx') if p.exists()), None)
needs_course = pytest.mark.skipif(COURSE_FILE is None, reason="the course's conv-example.xlsx is not in the folder that DDL_LESSON8_DATA names")


# a stand-in with the layout of the course's workbook and numbers of our own

def planes_of(part, value): # {(row, column): value(k, i, j)} for every cell of a block
    for k, text in enumerate(part.ranges):
        a = parse_area(text)
        for r in range(a.top, a.bottom + 1, part.step):
            for c in range(a.left, a.right + 1, part.step): yield (r, c), value(k, r - a.top, c - a.left)


def stand_in(folder):
    "A workbook with the course's layout and formulas, and numbers drawn here; the digests that belong to it"
    book, rng, digests, drawn = Book(), random.Random(0), {}, {}
    for name, parts in reversed(COURSE.items()):
        s = book.sheet(name)
        for p in parts:
            if not p.first: drawn.setdefault(p.name, [rng.uniform(-1, 2) for _ in planes_of(p, lambda *_: 0)])
            numbers = iter(drawn.get(p.name, ()))
            for at, formula in workbook._cells_of(p):
                s.cells[at] = ('number', .5 if p.name == 'dropout rate' else next(numbers), 'General') if not p.first else ('array' if 'SUM(' in formula else 'formula', formula, 'General')
        s.cells[1, 1] = ('text', name, 'label')
    path = book.save(folder/'stand-in.xlsx')
    file = open_workbook(path)
    for name, parts in COURSE.items():
        for p in parts:
            if p.first: continue
            t = workbook.numbers(file, [parse_area(r, name) for r in p.ranges], p.step)
            digests[p.name] = [''.join(map(workbook._digest, [*m.tolist(), *m.T.tolist()])) for m in t]
    return path, digests


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    path, digests = stand_in(tmp_path_factory.mktemp('course'))
    with zipfile.ZipFile(path) as z: return path, digests, {n: z.read(n) for n in z.namelist()}


@pytest.fixture
def course(original, monkeypatch):
    monkeypatch.setattr(workbook, '_DIGESTS', original[1])
    return original


def rewritten(content, out, edits):
    "Write a workbook in which some cells are changed: {(sheet file, address): function of the cell's XML}"
    new = dict(content)
    for (part, ref), change in edits.items():
        xml = new[part].decode()
        old = re.search(rf'<c r="{ref}"[^>]*?(?:/>|>.*?</c>)', xml, re.S)[0]
        assert change(old) != old, (ref, old)
        new[part] = xml.replace(old, change(old)).encode()
    with zipfile.ZipFile(out, 'w') as z:
        for name, data in new.items(): z.writestr(name, data)
    return out


def head(cell): return re.match(r'<c r="[A-Z]+\d+"( s="\d+")?', cell)[0]


EDITS = {
    'saved result': lambda c: re.sub(r'<v>([^<]*)</v>', lambda m: f'<v>{float(m[1]) + 1e-6!r}</v>', c),
    'formula': lambda c: re.sub(r'<f([^>]*?)(/>|>([^<]*)</f>)', lambda m: f'<f{m[1] if "array" in m[1] else ""}>{m[3] or 1}+0</f>', c),
    'number for a formula': lambda c: re.sub(r'<f.*?(/>|</f>)', '', c),
    'text': lambda c: head(c) + ' t="str"><v>hello</v></c>',
    'text like a number': lambda c: head(c) + ' t="str"><v>1</v></c>',
    'error value': lambda c: head(c) + ' t="e"><v>#DIV/0!</v></c>',
    'truth value': lambda c: head(c) + ' t="b"><v>1</v></c>',
    'blank': lambda c: head(c) + '/>'}


def names(report, ref): return [p for p in report.problems if re.search(rf'[! ]{ref}\b', p)]


def is_named(check, path, ref): # or the file is refused, because copies of the changed formula have lost it
    try: report = check(path)
    except SheetError as e: return 'shares the formula number' in str(e)
    return not report and bool(names(report, ref))


def sheet_parts(path): # the part of each sheet
    with package.Package(path) as p: return {n: part for n, _, part in xlsx.sheet_parts(p)[2]}


def some_cell(part, seed=0): return random.Random(f'{part.name}{seed}').choice([at for at, _ in workbook._cells_of(part)])


def test_stand_in_agrees(course):
    report = check_course_workbook(course[0])
    assert report, report
    assert len(report) == 25 and {r.sheet for r in report.rows} == set(COURSE)


@pytest.mark.parametrize('kind', ['saved result', 'formula', 'number for a formula', 'text', 'error value', 'blank'])
def test_every_block_notices_a_changed_formula_cell(course, tmp_path, kind):
    "One cell of each block of formulas is changed, and each of them is named"
    parts = sheet_parts(course[0])
    edits = {(parts[s], cell_name(*some_cell(p))): EDITS[kind] for s, ps in COURSE.items() for p in ps if p.first and (p.name != 'random numbers' or kind != 'saved result')}
    report = check_course_workbook(rewritten(course[2], tmp_path/'x.xlsx', edits))
    assert not report and all(names(report, ref) for _, ref in edits)


@pytest.mark.parametrize('kind', ['saved result', 'text like a number', 'blank'])
def test_every_block_notices_a_changed_input(course, tmp_path, kind):
    parts = sheet_parts(course[0])
    edits = {(parts[s], cell_name(*some_cell(p))): EDITS[kind] for s, ps in COURSE.items() for p in ps if not p.first}
    report = check_course_workbook(rewritten(course[2], tmp_path/'x.xlsx', edits))
    assert not report and all(names(report, ref) for _, ref in edits)


def test_plain_formula_for_an_array_formula(course, tmp_path):
    edit = {(sheet_parts(course[0])['conv-example'], 'AK9'): lambda c: re.sub('<f[^>]*>', '<f>', c)}
    assert 'as an array formula' in names(check_course_workbook(rewritten(course[2], tmp_path/'x.xlsx', edit)), 'AK9')[0]


def test_an_array_formula_that_spills(course, tmp_path):
    edit = {(sheet_parts(course[0])['conv-example'], 'AK9'): lambda c: c.replace('ref="AK9"', 'ref="AK9:AL9"')}
    assert names(check_course_workbook(rewritten(course[2], tmp_path/'x.xlsx', edit)), 'AK9')


@pytest.mark.parametrize('ref', ['CN5', 'BH7'])
def test_a_number_where_the_course_has_none(course, tmp_path, ref):
    part = sheet_parts(course[0])['conv-example']
    row = re.search(r'\d+', ref)[0]
    content = dict(course[2])
    xml = content[part].decode()
    xml = re.sub(rf'(<row r="{row}"[^>]*>)', rf'\1<c r="{ref}"><v>3</v></c>', xml) if f'<row r="{row}"' in xml else xml.replace('</sheetData>', f'<row r="{row}"><c r="{ref}"><v>3</v></c></row></sheetData>')
    content[part] = xml.encode()
    assert names(check_course_workbook(rewritten(content, tmp_path/'x.xlsx', {})), ref)


def test_dropped_cells_must_follow_from_random_numbers(course, tmp_path):
    part, file = sheet_parts(course[0])['conv-example (dropout)'], open_workbook(course[0])
    kept = next(at for at, _ in workbook._cells_of(COURSE['conv-example (dropout)'][7]) if file.cell('conv-example (dropout)', *at).value > 0)
    drawn = cell_name(kept[0], kept[1] - 31)
    report = check_course_workbook(rewritten(course[2], tmp_path/'x.xlsx', {(part, drawn): EDITS['saved result']}))
    assert names(report, cell_name(*kept))
    report = check_course_workbook(rewritten(course[2], tmp_path/'y.xlsx', {(part, drawn): lambda c: re.sub('<v>.*</v>', '<v>1.5</v>', c)}))
    assert names(report, drawn)


def renamed(content, old, new): return content | {'xl/workbook.xml': content['xl/workbook.xml'].replace(old, new)}


def test_sheets_are_recognised_by_their_formulas(course, tmp_path):
    path = rewritten(renamed(course[2], b'name="conv-example"', b'name="My copy"'), tmp_path/'x.xlsx', {})
    assert find_course_sheets(path) == {'conv-example': 'My copy', 'conv-example (dropout)': 'conv-example (dropout)'}
    assert check_workbook(path)


def test_a_missing_sheet_is_a_difference(course, tmp_path):
    book, other = course[2]['xl/workbook.xml'].decode(), tmp_path/'x.xlsx'
    book = re.sub(r'<sheet [^>]*name="conv-example"[^>]*/>', '', book)
    report = check_course_workbook(rewritten(course[2] | {'xl/workbook.xml': book.encode()}, other, {}))
    assert not report and "no sheet looks like 'conv-example'" in report.problems[0]


# the course's own file

@needs_course
def test_the_course_agrees_in_under_three_seconds():
    code = 'import sys, time; from ddl_lesson8.book.workbook import main; status = main(sys.argv[1:]); assert "sympy" not in sys.modules; print(time.process_time()); sys.exit(status)'
    done = subprocess.run([sys.executable, '-c', code, str(COURSE_FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'all 25 comparisons agree' in done.stdout
    if os.environ.get('DDL_LESSON8_LONG') == '1': assert float(done.stdout.split()[-1]) < 3


@LONG
@needs_course
@pytest.mark.parametrize('kind', EDITS)
@pytest.mark.parametrize('sheet', COURSE)
def test_every_single_change_of_the_course_is_named(tmp_path, kind, sheet):
    "One cell at a time, three of each block"
    with zipfile.ZipFile(COURSE_FILE) as z: content = {n: z.read(n) for n in z.namelist()}
    part = sheet_parts(COURSE_FILE)[sheet]
    for p in COURSE[sheet]:
        if ('formula' in kind and not p.first) or (p.name == 'random numbers' and kind == 'saved result'): continue
        for seed in range(3):
            ref = cell_name(*some_cell(p, seed))
            assert is_named(check_course_workbook, rewritten(content, tmp_path/'x.xlsx', {(part, ref): EDITS[kind]}), ref), (p.name, ref, kind)


# one cell anywhere, changed in any way

def changes_of(file, sheet, cell, at): # the kinds of change that must be found in a cell
    if cell.formula is None and cell.type != 'number': return ['text', 'blank', 'error value'] # a label
    kinds = [k for k in EDITS if cell.formula or 'formula' not in k]
    free = cell.formula == 'RAND()' or cell.type == 'text' # any number from 0 to 1 may stand there; a text has no neighbour
    return [k for k in kinds if not (free and k == 'saved result')]


def one_change_at_a_time(path, check, wanted, out, n, rng):
    "Change n random cells of a kind, one by one; each must be named"
    file = open_workbook(path)
    with zipfile.ZipFile(path) as z: content = {name: z.read(name) for name in z.namelist()}
    cells = [(s, at, c) for s in file.sheets for at, c in file.cells(s).items() if wanted(c)]
    for s, at, c in rng.sample(cells, min(n, len(cells))):
        kind, ref = rng.choice(changes_of(file, s, c, at)), cell_name(*at)
        assert is_named(check, rewritten(content, out, {(sheet_parts(file.path)[s], ref): EDITS[kind]}), ref), (s, ref, kind)


N_CHANGES = 60 if os.environ.get('DDL_LESSON8_LONG') == '1' else 2
WANTED = {'numbers': lambda c: c.type == 'number' and not c.formula, 'formulas': lambda c: c.formula}


@needs_course
@pytest.mark.parametrize('which', WANTED)
def test_a_changed_cell_of_the_course_is_named(tmp_path, which):
    one_change_at_a_time(COURSE_FILE, check_course_workbook, WANTED[which], tmp_path/'x.xlsx', N_CHANGES, random.Random(which))


@pytest.fixture(scope='module')
def lesson(tmp_path_factory):
    "The lesson's workbook, built once: its file, and a book that is saved already"
    book, checks = lesson_book()
    path = book.save(tmp_path_factory.mktemp('lesson')/'lesson8.xlsx')
    class Saved:
        def save(self, where, file=open_workbook(path)): return file
    return path, (Saved(), checks)


@pytest.mark.parametrize('which', [*WANTED, 'labels'])
def test_a_changed_cell_of_the_lesson_is_named(lesson, tmp_path, monkeypatch, which):
    path, built = lesson
    monkeypatch.setattr(workbook, 'lesson_book', lambda: built)
    wanted = WANTED.get(which, lambda c: c.type == 'text' and not c.formula)
    one_change_at_a_time(path, check_lesson_workbook, wanted, tmp_path/'x.xlsx', N_CHANGES, random.Random(which))


# a copy of the lesson's workbook; a small book stands in for the chapters

def demo_sheet(book):
    s = book.sheet('demo', about='Small')
    x = s.put(torch.arange(6., dtype=torch.float64).reshape(2, 3) / 7, 'x', at='A3')
    words = s.put(['b', 'a'], 'words', vertical=True)
    ids = s.match(words, s.put(['a', 'b'], 'vocab', vertical=True))
    y, m = s.relu(x, below=x, label='y'), s.matmul(x, s.put(torch.eye(3, dtype=torch.float64), 'eye'))
    drop = s.dropout(x, s.put(.5, 'p'))
    t = torch.arange(6., dtype=torch.float64).reshape(2, 3) / 7
    return [Check('y', y, PyTorch=t.relu()), Check('product', m, PyTorch=t), Check('ids', ids, PyTorch=torch.tensor([1, 0])),
            Check('kept', drop.out, PyTorch=lambda read: t * read(drop.mask) * 2)]


@pytest.fixture
def demo(monkeypatch, tmp_path):
    monkeypatch.setattr(workbook, 'chapter_sheets', lambda chapters: {'demo': demo_sheet})
    path = tmp_path/'lesson8.xlsx'
    assert lesson_workbook(path)
    with zipfile.ZipFile(path) as z: return path, {n: z.read(n) for n in z.namelist()}


def test_a_copy_agrees_even_recalculated(demo, tmp_path):
    report = check_workbook(demo[0])
    assert report and len(report) == 8
    from ddl_lesson8.sheets.engine import Engine
    Engine(demo[0]).save(tmp_path/'again.xlsx')
    assert check_lesson_workbook(tmp_path/'again.xlsx')


def test_every_changed_cell_of_a_copy_is_named(demo, tmp_path):
    part, cells, n = sheet_parts(demo[0])['demo'], open_workbook(demo[0]).cells('demo'), 0
    for at, cell in cells.items():
        if at[0] == 2 or cell.type == 'text' and at[0] > 4: continue # labels
        kinds = EDITS if cell.formula else {k: f for k, f in EDITS.items() if 'formula' not in k and (cell.type == 'number' or k != 'saved result')}
        for kind in random.Random(str(at)).sample(sorted(kinds), len(kinds) if os.environ.get('DDL_LESSON8_LONG') == '1' else 1):
            if cell.formula == 'RAND()' and kind == 'saved result': continue
            report = check_lesson_workbook(rewritten(demo[1], tmp_path/'x.xlsx', {(part, cell_name(*at)): EDITS[kind]}))
            n += 1
            assert not report and names(report, cell_name(*at)), (at, kind, report)
    assert n > 30


def test_other_differences_of_a_copy(demo, tmp_path):
    part = sheet_parts(demo[0])['demo']
    extra = demo[1] | {part: demo[1][part].replace(b'</sheetData>', b'<row r="99"><c r="B99"><v>1</v></c></row></sheetData>')}
    assert names(check_lesson_workbook(rewritten(extra, tmp_path/'x.xlsx', {})), 'B99')
    report = check_lesson_workbook(rewritten(renamed(demo[1], b'name="demo"', b'name="Demo2"'), tmp_path/'x.xlsx', {}))
    assert "sheet 'demo' is missing" in repr(report) and "sheet 'Demo2' is not of the book" in repr(report)


def test_contents_come_first_and_link(demo):
    import openpyxl
    ws = openpyxl.load_workbook(demo[0]).worksheets[0]
    assert ws.title == 'contents' and ws['B5'].value == 'demo' and ws['B5'].hyperlink.location == 'demo!A1' and ws['C5'].value == 'Small'


# the chapters

def sheets_written(package):
    "Names of chapters for which any module, in wings too, has a function `<chapter>_sheet(book)`; one name for each function"
    sources = [p.read_text(encoding='utf-8') for p in package.rglob('*.py')]
    return sorted(name for text in sources for name in re.findall(r'^def ([a-z]\w*)_sheet\(\s*book\b', text, re.M))


def test_no_chapter_is_lost():
    "Every such function is found, in the order of the book, and none is written twice"
    assert sheets_written(Path(workbook.__file__).parent.parent) == sorted(chapter_sheets())
    assert list(chapter_sheets()) == [c for c in CHAPTERS if c in chapter_sheets()]


@pytest.mark.parametrize('file', ['attention.py', 'book/sheet_attention.py', 'book/checks_attention.py'])
def test_a_sheet_that_nobody_collects_would_be_noticed(tmp_path, file):
    (tmp_path/'book').mkdir()
    (tmp_path/file).write_text('def attention_sheet(\n    book # the `Book`\n)->list:\n    "Add it"')
    assert sheets_written(tmp_path) == ['attention']


def test_a_sheet_is_found_beside_the_workbook(monkeypatch):
    import types
    def fake(book): return []
    module = types.ModuleType(name := 'ddl_lesson8.book.sheet_fake')
    module.__spec__, module.fake_sheet = importlib.machinery.ModuleSpec(name, None), fake
    monkeypatch.setitem(sys.modules, name, module)
    assert chapter_sheets(('fake', 'absent')) == {'fake': fake}


def test_the_lesson_agrees(tmp_path):
    report = lesson_workbook(tmp_path/'lesson8.xlsx')
    assert report, report
    assert all(r.sheet for r in report.rows) and {r.sheet for r in report.rows} | {'contents'} == set(open_workbook(tmp_path/'lesson8.xlsx').sheets)
    for row in report.rows: assert row.given or 'PyTorch' in row.against or 'from scratch' in row.against, row


def test_labels_can_be_read():
    "No label is cut off by its neighbour"
    book, _ = lesson_book()
    for s in book.sheets.values():
        texts = {at: v for at, (kind, v, style) in s.cells.items() if kind == 'text' and style == 'label'}
        for (r, c), label in texts.items():
            after = [k for (q, k) in s.cells if q == r and k > c]
            if not after: continue
            room = sum(s.widths.get(k, s.cell) for k in range(c, min(after)))
            assert len(label) * 6 <= room + 12, f'{s.name}!{cell_name(r, c)}: {label!r} has {room} pixels'


# another program

def without_results(path, out): # the same formulas, and nothing to show for them
    with zipfile.ZipFile(path) as z: content = {n: z.read(n) for n in z.namelist()}
    n_removed = 0
    for part in content:
        if 'worksheets/sheet' in part:
            content[part], n = re.subn(rb'</f><v>[^<]*</v>', rb'</f>', content[part])
            n_removed += n
    rewritten(content, out, {})
    return n_removed


@pytest.mark.skipif(shutil.which('soffice') is None, reason='LibreOffice is not installed')
def test_libreoffice_computes_the_same_numbers(lesson, tmp_path, monkeypatch):
    "LibreOffice computes every formula from nothing; its copy passes the whole check"
    monkeypatch.setattr(workbook, 'lesson_book', lambda: lesson[1])
    assert without_results(lesson[0], tmp_path/'lesson8.xlsx') > 5_000
    profile = f'-env:UserInstallation=file://{tmp_path}/profile'
    done = subprocess.run(['soffice', profile, '--headless', '--convert-to', 'xlsx', '--outdir', str(tmp_path/'out'), str(tmp_path/'lesson8.xlsx')], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = check_lesson_workbook(tmp_path/'out'/'lesson8.xlsx')
    assert report, report


# a machine that has only what the library itself needs

BLOCKED = 'pandas', 'sklearn', 'narwhals', 'IPython', 'scipy', 'nbdev', 'polars' # sympy comes with torch

def test_the_command_needs_only_the_core(tmp_path):
    "With every optional package out of reach the workbook is built and checked, all chapters in it"
    code = f"""
import sys
sys.modules |= dict.fromkeys({BLOCKED}) # None: cannot be imported
from ddl_lesson8.book.workbook import CHAPTERS, chapter_sheets, main
print(*chapter_sheets(CHAPTERS))
status = main(['--save', sys.argv[1]])
sys.exit(status or main([sys.argv[1]]))
"""
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path/'lesson8.xlsx')], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].split() == list(chapter_sheets())


# the command

def test_exit_status(demo, tmp_path, capsys):
    assert main([]) == 0 and 'all 4 comparisons agree' in capsys.readouterr().out
    assert main(['--save', str(tmp_path/'kept.xlsx')]) == 0 and (tmp_path/'kept.xlsx').exists()
    assert main([str(tmp_path/'kept.xlsx')]) == 0
    bad = rewritten(demo[1], tmp_path/'bad.xlsx', {(sheet_parts(demo[0])['demo'], 'A3'): EDITS['saved result']})
    assert main([str(bad)]) == 1 and 'demo!A3' in capsys.readouterr().out


def test_unusable_input_is_status_two(demo, tmp_path, capsys):
    (tmp_path/'text.xlsx').write_text('no workbook')
    (tmp_path/'cut.xlsx').write_bytes(demo[0].read_bytes()[:2000])
    (tmp_path/'locked.xlsx').write_bytes(b'\xd0\xcf\x11\xe0' + 'EncryptedPackage'.encode('utf-16-le'))
    other = Book()
    other.sheet('s').put(1., 'x')
    other.save(tmp_path/'other.xlsx')
    (tmp_path/'read-only.xlsx').write_text('old')
    (tmp_path/'read-only.xlsx').chmod(0o444)
    for name, why in {'none.xlsx': 'no such file', 'text.xlsx': 'is not a workbook', 'cut.xlsx': 'damaged', 'locked.xlsx': 'password'}.items():
        assert main([str(tmp_path/name)]) == 2
        said = capsys.readouterr()
        assert why in said.err and name in said.err and not said.out
    assert main([str(tmp_path/'other.xlsx')]) == 0 # any other workbook is audited
    capsys.readouterr()
    assert main(['--save', str(tmp_path/'read-only.xlsx')]) == 2 and 'read-only' in capsys.readouterr().err
    with pytest.raises(SystemExit) as e: main(['a.xlsx', '--save', 'b.xlsx'])
    assert e.value.code == 2


def test_words_are_chosen_from_lists_and_every_sheet_leads_back(tmp_path):
    "What a person sees who opens the file: lists, a title that stays, links to the contents and to the page"
    import openpyxl
    from ddl_lesson8.book.workbook import lesson_book
    book = openpyxl.load_workbook(lesson_book(('parameters', 'embeddings', 'tabular'))[0].save(tmp_path/'a.xlsx'))
    lists = {ws.title: {str(d.sqref): d.formula1 for d in ws.data_validations.dataValidation} for ws in book}
    assert lists['embeddings'] == {'J3:J26': '=$A$3:$A$16'} and len(lists['tabular']) == 2
    for ws in book.worksheets[1:]:
        links = [c.hyperlink.location or c.hyperlink.target for r in ws.iter_rows() for c in r if c.hyperlink]
        assert ws.freeze_panes and 'contents!A1' in links and f'https://ddl-lesson8.github.io/ddl_lesson8/{ws.title}.html' in links
