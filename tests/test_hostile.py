"Workbooks that a stranger could send, accidents while one is saved, and texts that a careless writer would change"
import csv, os, shutil, subprocess, sys, threading, time, zipfile
from pathlib import Path
import pytest
from ddl_lesson8.sheets import package, xlsx
from ddl_lesson8.sheets.address import SheetError, col_name, parse_area
from ddl_lesson8.sheets.audit import audit
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import read_range
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.package import replacing
from ddl_lesson8.sheets.rewrite import rewrite_xlsx
from ddl_lesson8.sheets.view import sheet_document
from ddl_lesson8.sheets.xlsx import open_workbook, read_xlsx

sys.path.insert(0, str(Path(__file__).resolve().parent/'fuzz'))
import fuzz

SOFFICE = shutil.which('soffice') or shutil.which('libreoffice')
UNIX = pytest.mark.skipif(os.name == 'nt', reason='limits and signals as Unix has them')


@pytest.fixture
def make(tmp_path):
    def make(rows='', names='', more='', extra=None, tail='', name='t.xlsx'):
        (tmp_path/name).write_bytes(fuzz.packed(fuzz.by_hand(rows, names, more, extra, tail)))
        return tmp_path/name
    return make


def formulas(*texts): return ''.join(f'<row r="{i}"><c r="A{i}"><f>{t}</f><v>1</v></c><c r="B{i}"><v>5</v></c></row>' for i, t in enumerate(texts, 1))


def every_entry(path): # each way into a workbook
    return {'open_workbook': lambda: open_workbook(path), 'read_range': lambda: read_range(path, 'data!B1'), 'recalculate': lambda: read_range(path, 'data!B1', recalculate=True),
            'SheetModule': lambda: SheetModule.load(path), 'rewrite_xlsx': lambda: rewrite_xlsx(path, path.with_name('copy.xlsx'), {}), 'audit': lambda: audit(path), 'Engine': lambda: Engine(path)}


REFUSED = {
    'nested parentheses': (dict(rows=formulas('(' * 4000 + '1' + ')' * 4000)), '4,000 parentheses inside each other'),
    'a long formula': (dict(rows=formulas('+'.join(['1'] * 10_000))), '19,999 characters'),
    'a long text': (dict(rows='<row r="1"><c r="A1" t="inlineStr"><is><t>' + 'x' * 40_000 + '</t></is></c></row>'), 'a text has 40,000 characters'),
    'a deep part': (dict(extra={'xl/sharedStrings.xml': f'<sst xmlns="{fuzz.M}">' + '<si>' * 100_000 + '</si>' * 100_000 + '</sst>'}), 'inside'),
    'a deep sheet': (dict(tail='<x>' * 70 + '</x>' * 70), 'inside each other'),
    'entities': (dict(extra={'xl/workbook.xml': '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}), 'defines a document type'),
    'a bomb': (dict(extra={'xl/media/zeros.bin': b'\0' * 9_000_000}), 'times its size'),
    'a part outside': (dict(extra={'../evil.xml': '<x/>'}), 'points outside the file'),
    'a cell in row 0': (dict(rows='<row r="1"><c r="A0"><v>1</v></c></row>'), 'outside a sheet'), 'a cell past the edge': (dict(rows='<row r="1"><c r="XFE1"><v>1</v></c></row>'), 'outside a sheet'),
    'a cell below the edge': (dict(rows='<row r="1048577"><c><v>1</v></c></row>'), 'outside a sheet'), 'a column without a row': (dict(rows='<row r="1"><c r="AB"><v>1</v></c></row>'), 'no address'),
    'a cell in another row': (dict(rows='<row r="1"><c r="A5"><v>1</v></c></row>'), 'stands in row 1'), 'a cell twice': (dict(rows='<row r="1"><c r="a1"><v>1</v></c><c r="A1"><v>2</v></c></row>'), 'twice'),
    'a value in a value': (dict(rows='<row r="1"><c r="A1"><v>1<v>2</v></v></c></row>'), 'inside a value'), 'an element in a value': (dict(rows='<row r="1"><c r="A1"><v><x>7</x>45299</v></c></row>'), 'inside a value'),
    'two values': (dict(rows='<row r="1"><c r="A1"><v>1</v><v>2</v></c></row>'), 'two values'), 'a cell in a cell': (dict(rows='<row r="1"><c r="A1"><c r="B1"><v>1</v></c></c></row>'), 'outside a row'),
    'text -1': (dict(rows='<row r="1"><c r="A1" t="s"><v>-1</v></c></row>'), 'no number'), 'a superscript for a row': (dict(rows='<row r="²"><c r="A1"><v>1</v></c></row>'), 'no number'),
    'blanks around a number': (dict(rows='<row r="1"><c r="A1"><v> 5 </v></c></row>'), 'no number'),
    'other digits': (dict(rows='<row r="1"><c r="A1"><v>١</v></c></row>'), 'no number'), 'half a character': (dict(rows='<row r="1"><c r="A1" t="str"><v>_xD800_</v></c></row>'), 'half a character'),
    'an unknown encoding': (dict(extra={'xl/worksheets/sheet1.xml': '<?xml version="1.0" encoding="bogus-9"?><worksheet/>'}), 'damaged'),
    'texts for a sheet': (dict(extra={'xl/worksheets/sheet1.xml': f'<sst xmlns="{fuzz.M}"/>'}), 'no .worksheet.'), 'a sheet of another family': (dict(extra={'xl/worksheets/sheet1.xml': '<worksheet xmlns="x"/>'}), 'no .worksheet.'),
    'a sheet for texts': (dict(extra={'xl/sharedStrings.xml': f'<worksheet xmlns="{fuzz.M}"/>'}), 'no .sst.'), 'no workbook inside': (dict(extra={'xl/workbook.xml': '<x/>'}), 'no workbook, but')}


@pytest.mark.parametrize('what', REFUSED)
def test_every_entry_refuses_in_words(make, what):
    given, said = REFUSED[what]
    path = make(**{'rows': formulas('1+1'), **given})
    before, began = path.read_bytes(), time.process_time()
    for entry, use in every_entry(path).items():
        with pytest.raises(SheetError, match=f't.xlsx.*{said}'): use(); pytest.fail(entry)
    assert path.read_bytes() == before and time.process_time() - began < 10


def test_a_table_with_odd_counts_is_refused(make):
    for count in (' 5 ', '5', '-1', '2', '²'):
        parts = fuzz.table()
        parts['xl/tables/table1.xml'] = parts['xl/tables/table1.xml'].replace('totalsRowCount="0"', f'headerRowCount="{count}"')
        path = make()
        path.write_bytes(fuzz.packed(parts))
        with pytest.raises(SheetError, match='a table of sheet'): open_workbook(path)


def test_a_copy_above_its_first_is_read(make):
    path = make('<row r="1"><c r="A1"><f t="shared" si="0"/><v>1</v></c></row><row r="2"><c r="A2"><f t="shared" si="0" ref="A1:A2">B2+1</f><v>1</v></c></row>')
    assert open_workbook(path).cell('data', 1, 1).formula == 'B1+1'
    gone = make('<row r="2"><c r="D2"><f t="shared" si="0" ref="B1:D3">A1</f><v>1</v></c></row><row r="3"><c r="B3"><f t="shared" si="0"/><v>1</v></c></row>')
    assert open_workbook(gone).cell('data', 3, 2).formula == '#REF!'


def test_a_relationship_of_another_family_is_none(make):
    parts = fuzz.by_hand(formulas('1+1'))
    parts['xl/_rels/workbook.xml.rels'] = parts['xl/_rels/workbook.xml.rels'].replace(fuzz.R + '/worksheet', 'http://example.com/worksheet')
    path = make()
    path.write_bytes(fuzz.packed(parts))
    with pytest.raises(SheetError, match='no sheet with cells'): open_workbook(path)


def test_macro_sheets_and_dates_are_no_damage(make):
    more = 'http://schemas.microsoft.com/office/2006/relationships/xlMacrosheet'
    parts = fuzz.by_hand('<row r="1"><c r="A1" t="d"><v>2024-02-29T06:00:00Z</v></c></row>', links=[('r3', 'X', 'macrosheets/sheet1.xml')])
    parts['xl/_rels/workbook.xml.rels'] = parts['xl/_rels/workbook.xml.rels'].replace(fuzz.R + '/X', more)
    parts['xl/workbook.xml'] = parts['xl/workbook.xml'].replace('</sheets>', '<sheet name="macro" sheetId="2" r:id="r3"/></sheets>')
    parts['xl/macrosheets/sheet1.xml'] = '<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"/>'
    path = make()
    path.write_bytes(fuzz.packed(parts))
    file = read_xlsx(path)
    assert list(file.sheets) == ['data'] and file.cell('data', 1, 1).value == 45351.25


def test_a_name_that_stands_for_nothing_is_not_shown(make): # found by the long search
    names = '<definedName name="nothing"/><definedName name="five">data!$B$1</definedName>'
    assert sheet_document(make(formulas('five'), names))['names'] == {'five': 'data!B1'}


@pytest.mark.parametrize('n', [18, 40])
def test_names_that_double_are_refused_at_once(make, n):
    names = '<definedName name="n_0">data!$B$1</definedName>' + ''.join(f'<definedName name="n_{i}">n_{i-1}+n_{i-1}</definedName>' for i in range(1, n + 1))
    began = time.process_time()
    with pytest.raises(SheetError): SheetModule.load(make(formulas(f'n_{n}'), names))
    assert time.process_time() - began < 10


def test_a_workbook_of_too_many_cells(make, monkeypatch):
    monkeypatch.setattr(xlsx, '_MAX_CELLS', 5)
    with pytest.raises(SheetError, match='more than 5 cells'): open_workbook(make(fuzz.numbers()))
    monkeypatch.setattr(package, 'MAX_PARTS', 0)
    with pytest.raises(SheetError, match='more parts than'): open_workbook(make())


def test_no_column_below_one():
    for n in (0, -1):
        with pytest.raises(SheetError, match='no column'): col_name(n)
    with pytest.raises(SheetError): parse_area('A١')


# the engine

@UNIX
@pytest.mark.parametrize('formula', ['SUM(ROW(1:1048576)*COLUMN(A:XFD))', 'SUM(_xlfn.EXPAND(1,1048576,16384,1))', 'COUNTIF(A:XFD,1)', 'SUM(A:XFD)', 'LEN(REPT("x",1E9))'])
def test_nothing_that_the_engine_does_ends_the_program(make, capfd, formula):
    path = make(formulas(formula.replace('"', '&quot;')))
    try: read_range(path, 'data!A1', recalculate=True)
    except SheetError as e: assert 't.xlsx' in str(e)
    assert 'panicked' not in capfd.readouterr().err


@UNIX
def test_an_engine_that_hangs_is_stopped(make, monkeypatch):
    import ddl_lesson8.sheets.engine as e
    engine = Engine(make(formulas('1+1')))
    monkeypatch.setattr(e, '_WAIT_SECONDS', .2)
    os.kill(engine._child.process.pid, 19) # stopped, not ended
    with pytest.raises(SheetError, match='took too long'): engine.change({'data!B1': 2})


# saving

def small(n=3):
    book = Book()
    s = book.sheet('s')
    x = s.put([1.] * n, 'x', at='A2')
    s.formula((n,), lambda i: f'{x.ref(i)}+1', 'y')
    return book


def test_two_threads_save_to_one_path(tmp_path):
    errors, books = [], [small(2), small(4)]
    def work(b):
        for _ in range(4):
            try: b.save(tmp_path/'two.xlsx')
            except BaseException as e: errors.append(e)
    threads = [threading.Thread(target=work, args=(b,)) for b in books]
    [t.start() for t in threads], [t.join() for t in threads]
    assert not errors and len(open_workbook(tmp_path/'two.xlsx').cells('s')) in (7, 11) and os.listdir(tmp_path) == ['two.xlsx']


def test_leftovers_are_swept_when_they_are_old(tmp_path):
    for name, age in (('.x.bin.elsewhere-1-0.part', 90_000), ('.x.bin.elsewhere-1-1.part', 10)):
        (tmp_path/name).write_text('half')
        os.utime(tmp_path/name, (time.time() - age,) * 2)
    (tmp_path/'.other').write_text('mine')
    with replacing(tmp_path/'x.bin') as put: put(b'1')
    assert sorted(os.listdir(tmp_path)) == ['.other', '.x.bin.elsewhere-1-1.part', 'x.bin']


@UNIX
def test_a_full_disk_gives_one_message(tmp_path):
    (tmp_path/'x.xlsx').write_bytes(b'old')
    pid = os.fork()
    if pid == 0:
        import resource, signal
        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            try:
                with replacing(tmp_path/'x.xlsx') as put: put(b'x' * 5000)
            except SheetError as e: status = 0 if 'the disk is full' in str(e) else 2
        finally: os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0 and (tmp_path/'x.xlsx').read_bytes() == b'old' and os.listdir(tmp_path) == ['x.xlsx']


@UNIX
def test_devices_pipes_and_new_files(tmp_path):
    os.mkfifo(tmp_path/'pipe')
    with pytest.raises(SheetError, match='no ordinary file'): small().save(tmp_path/'pipe')
    with pytest.raises(SheetError, match='no ordinary file'): small().save('/dev/null')
    (tmp_path/'gone').symlink_to(tmp_path/'none'/'x.xlsx')
    with pytest.raises(SheetError, match='no folder'): small().save(tmp_path/'gone')
    before = os.umask(0o027)
    try: assert small().save(tmp_path/'n.xlsx').stat().st_mode & 0o777 == 0o640
    finally: os.umask(before)


# texts

WORDS = ['=1+1', '+1', '-1+1', '@SUM(1)', "'quoted", '\r=1', '\n=1', '\t=1', ' =1', '_x0041_', '_x005F_x0041_', '\x01', 'a\rb', 'a\nb', 'plain', '<&>"', 'é', '😀']


def test_a_text_is_that_text(tmp_path):
    import openpyxl
    book = Book()
    s = book.sheet('a')
    there = s.put(WORDS, 'x', vertical=True)
    same = s.formula((len(WORDS),), lambda i: f'{there.ref(i)}&""', 'again', vertical=True)
    long = s.formula((len(WORDS),), lambda i: f'LEN({there.ref(i)})', 'length', vertical=True)
    file = open_workbook(book.save(tmp_path/'t.xlsx'))
    for block in (there, same): assert [file.cell('a', *block.at(i)).value for i in range(len(WORDS))] == WORDS
    assert [file.cell('a', *long.at(i)).value for i in range(len(WORDS) - 1)] == [float(len(w)) for w in WORDS[:-1]]
    cells = {c.coordinate: c for r in openpyxl.load_workbook(tmp_path/'t.xlsx')['a'] for c in r}
    for i, w in enumerate(WORDS):
        c = cells[there.ref(i)]
        assert c.data_type == 's' and bool(c.quotePrefix) == (w.lstrip()[:1] in tuple("=+-@'"))  # those that are numbers or dates: below
    with zipfile.ZipFile(tmp_path/'t.xlsx') as z: whole = b''.join(map(z.read, z.namelist()))
    assert b'_x0001_' in whole and b'_x005F_x0041_' in whole and b'_x000D_=1' in whole


FORMULAS = ['=1+1', '+1', '-1+1', '@SUM(1)', "'quoted", "''", "'", '\n=1', '\t=1', ' =1', '\xa0=1', '=', '+', '-', '@', "=cmd|' /C calc'!A0", '=HYPERLINK("http://a","b")', '=-1', '{=1}', '＝1+1', '\u200b=1', '\\=1']
NUMBERS = ['1', '007', '1e5', ' 1 ', '$5', '€5', '(5)', '.5', ',5', '50%', '%5', '1,000', '1/2', '10:30', '2020-01-01', 'TRUE', 'false ', 'Jan 5', 'May-5', 'december 2020', '#N/A', '#REF!']
PLAIN = ['a\nb', '<&>"', 'é', '😀', 'x1', 'true love', 'May I', 'north', '  ', 'http://example.org', 'a@b.org']

def texts_by(writer, path, words): # a workbook with the words in the column of A1 of its first sheet
    book = Book()
    there = book.sheet('a').put(words if writer == 'put' else [0.] * len(words), 'x', vertical=True)
    book.save(path)
    if writer == 'rewrite': rewrite_xlsx(path, path, {('a', *there.at(k)): w for k, w in enumerate(words)})
    return [there.at(k) for k in range(len(words))]

@pytest.mark.parametrize('writer', ['put', 'rewrite'])
def test_a_text_that_is_typed_again_stays_that_text(tmp_path, writer):
    "As a person who goes into the cell and presses Enter; the judges are ironcalc, another program's model of it, and openpyxl"
    ironcalc, openpyxl = pytest.importorskip('ironcalc'), pytest.importorskip('openpyxl')
    words = FORMULAS + NUMBERS + PLAIN
    places = texts_by(writer, tmp_path/'t.xlsx', words)
    model, sheet = ironcalc.create_user_model_from_xlsx(str(tmp_path/'t.xlsx')), openpyxl.load_workbook(tmp_path/'t.xlsx')['a']
    for (row, col), word in zip(places, words):
        model.set_user_input(0, row, col, model.get_cell_content(0, row, col))
        assert (model.get_cell_value(0, row, col), model.get_cell_formula(0, row, col)) == (word, None)
        cell = sheet.cell(row, col)
        assert (cell.value, cell.data_type) == (word, 's')
        if word not in ('{=1}', '＝1+1', '\u200b=1', '\\=1'): assert bool(cell.quotePrefix) == (word not in PLAIN), word # those four no program reads as more than a text

def test_the_names_of_answers_stay_texts_when_typed_again(tmp_path): # in a model's workbook
    ironcalc, torch = pytest.importorskip('ironcalc'), pytest.importorskip('torch')
    from ddl_lesson8.sheets.from_model import to_workbook
    labels = ['=1+1', '007', '@b']
    made = to_workbook(torch.nn.Linear(2, 3), torch.ones(1, 2), tmp_path/'t.xlsx', labels=labels)
    model, found = ironcalc.create_user_model_from_xlsx(str(made.path)), set()
    for sheet in range(len(model.get_worksheets_properties())):
        for row in range(1, 40):
            for col in range(1, 40):
                if model.get_cell_value(sheet, row, col) in labels and not model.get_cell_formula(sheet, row, col):
                    before = model.get_cell_value(sheet, row, col)
                    model.set_user_input(sheet, row, col, model.get_cell_content(sheet, row, col))
                    assert (model.get_cell_value(sheet, row, col), model.get_cell_formula(sheet, row, col)) == (before, None)
                    found.add(before)
    assert found == {*labels}

@pytest.mark.skipif(not SOFFICE, reason='LibreOffice is not installed')
@pytest.mark.parametrize('writer', ['put', 'rewrite'])
def test_libreoffice_keeps_a_text_that_text(tmp_path, writer): # saved as xlsx, and as ods and then as xlsx; as csv it is the text itself
    words = FORMULAS + NUMBERS + PLAIN # what the format escapes, such as _x0041_, LibreOffice reads well and writes without escapes
    places = texts_by(writer, tmp_path/'t.xlsx', words)
    def saved(path, kind, folder):
        subprocess.run([SOFFICE, f'-env:UserInstallation=file://{tmp_path}/profile', '--headless', '--convert-to', kind, '--outdir', str(tmp_path/folder), str(path)], check=True, capture_output=True, timeout=180)
        return tmp_path/folder/f'{path.stem}.{kind.partition(":")[0]}'
    hard = 'xlsx:Calc MS Excel 2007 XML'
    for path, seen in ((saved(tmp_path/'t.xlsx', hard, 'x'), str), (saved(saved(tmp_path/'t.xlsx', 'ods', 'o'), hard, 'ox'), lambda w: ' '.join(w.split()))): # ods has no tabs and no rows of blanks
        file = open_workbook(path)
        assert [(seen(file.cell('a', *at).value), file.cell('a', *at).formula) for at in places] == [(seen(w), None) for w in words]
    rows = list(csv.reader(open(saved(tmp_path/'t.xlsx', 'csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false', 'c'), encoding='utf-8', newline='')))
    assert [rows[r - 1][c - 1] for r, c in places] == words


@pytest.mark.parametrize('word', ['\uffff', '\ufffe', '\ud800', 'x' * 32_768])
def test_what_no_cell_can_hold_is_refused_before_anything_is_written(tmp_path, word):
    with pytest.raises(SheetError): Book().sheet('a').put([word])
    with pytest.raises(SheetError): Book().sheet('a').text('A1', word)
    with pytest.raises(SheetError): rewrite_xlsx(small().save(tmp_path/'a.xlsx'), tmp_path/'b.xlsx', {('s', 2, 1): word})
    assert os.listdir(tmp_path) == ['a.xlsx']


LONG = 'x' * 40_000
@pytest.mark.parametrize('text', ['a\x01b', '\0', '\ud800', 'a\uffff', LONG, 'a\r\nb', '\x0b'])
@pytest.mark.parametrize('where', ['link', 'address', 'format', 'chart', 'axis', 'line'])
def test_what_the_format_does_not_escape_is_refused_in_words(tmp_path, text, where): # lxml and the encoder spoke before
    from ddl_lesson8.book.charts import line_chart
    book, path = Book(), tmp_path/'b.xlsx'
    sheet = book.sheet('s')
    path.write_bytes(b'the old one')
    x = sheet.put([1., 2.], 'x', vertical=True, fmt=text if where == 'format' else None)
    if where in ('link', 'address'): sheet.text('F1', 'here', link='https://example.com/' * (where == 'address') + text)
    with pytest.raises(SheetError):
        y = sheet.put([1., 2.], text if where == 'line' else 'y', right_of=x, vertical=True)
        line_chart(sheet, 'H2', text if where == 'chart' else 'T', x, [y], axes=(text if where == 'axis' else 'x', 'y'))
        book.save(path)
    assert path.read_bytes() == b'the old one'


@pytest.mark.parametrize('link, words', [('nowhere', 'no such sheet'), ('javascript:alert(1)', 'no such sheet'), ('file:///etc/passwd', 'no such sheet'), ('http://example.com', 'no such sheet'), ('https://a b', 'no address'), ('https://a/"<x>', 'no address')])
def test_a_link_leads_to_a_sheet_or_into_the_web(tmp_path, link, words):
    book = Book()
    book.sheet('s').text('A1', 'here', link=link)
    with pytest.raises(SheetError, match=words): book.save(tmp_path/'b.xlsx')
    book = Book()
    book.sheet('s').text('A1', 'here', link="it's")
    book.sheet("it's").text('A1', '=1+1', link='https://example.com/_x0041_?a=1&b=%22#c')
    import openpyxl
    made = openpyxl.load_workbook(book.save(tmp_path/'b.xlsx'))
    assert made['s']['A1'].hyperlink.location == "'it''s'!A1" and made["it's"]['A1'].hyperlink.target == 'https://example.com/_x0041_?a=1&b=%22#c'


@pytest.mark.parametrize('text', ['_x0041_', '=1+1', '<b>&"\'', 'Grüße 中 🦉', 'two\nlines'])
def test_a_text_of_a_chart_is_that_text(tmp_path, text):
    from xml.etree import ElementTree
    from ddl_lesson8.book.charts import line_chart
    book = Book()
    sheet = book.sheet('s')
    x = sheet.put([1., 2.], 'x', vertical=True)
    line_chart(sheet, 'H2', text, x, [sheet.put([1., 2.], 'y', right_of=x, vertical=True)], axes=(text, text))
    with zipfile.ZipFile(book.save(tmp_path/'b.xlsx')) as z: tree = ElementTree.fromstring(z.read('xl/charts/chart1.xml'))
    titles = ['\n'.join(e.text for e in title.iter() if e.tag.endswith('}t')) for title in tree.iter() if title.tag.endswith('}title')]
    assert titles == [text] * 3
