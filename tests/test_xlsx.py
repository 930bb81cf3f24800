"What the reader of .xlsx files understands, what it refuses, and what rewriting leaves alone"
import io, os, re, zipfile
from pathlib import Path
import pytest, torch
from hypothesis import given, settings, strategies as st
from ddl_lesson8.sheets.address import SheetError, col_name, shift_formula
from ddl_lesson8.sheets.package import SMALL_PART
from ddl_lesson8.sheets.rewrite import rewrite_xlsx
from ddl_lesson8.sheets.xlsx import Cell, ErrorValue, SolverSettings, Table, read_xlsx

M = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
R = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
SM, SR = 'http://purl.oclc.org/ooxml/spreadsheetml/main', 'http://purl.oclc.org/ooxml/officeDocument/relationships'
P = 'http://schemas.openxmlformats.org/package/2006/relationships'


def rels(*links, base=R): # (id, kind, target[, outside])
    one = lambda i, kind, target, *out: f'<Relationship Id="{i}" Type="{base}/{kind}" Target="{target}"' + (' TargetMode="External"' if out else '') + '/>'
    return f'<Relationships xmlns="{P}">{"".join(one(*k) for k in links)}</Relationships>'


def sheet_xml(rows, head='', tail='', main=M): return f'<?xml version="1.0"?><worksheet xmlns="{main}">{head}<sheetData>{rows}</sheetData>{tail}</worksheet>'


@pytest.fixture
def make(tmp_path):
    def make(*sheets, book='', links=(), parts=None, front='', main=M, base=R, view='', name='t.xlsx', drop=(), kinds=None, names=None):
        "A package from the XML of its sheets' rows"
        titles = names or [f's{k}' for k in range(1, len(sheets) + 1)]
        kinds = kinds or ['worksheet'] * len(sheets)
        listed = ''.join(f'<sheet name="{t}" sheetId="{k}" r:id="r{k}"/>' for k, t in enumerate(titles, 1))
        files = {'[Content_Types].xml': '<Types/>', '_rels/.rels': rels(('a', 'officeDocument', 'xl/workbook.xml'), base=base),
                 'xl/workbook.xml': f'<workbook xmlns="{main}" xmlns:r="{base}">{front}<bookViews>{view}</bookViews><sheets>{listed}</sheets>{book}</workbook>',
                 'xl/_rels/workbook.xml.rels': rels(*[(f'r{k}', kind, f'worksheets/sheet{k}.xml') for k, kind in enumerate(kinds, 1)], *links, base=base)}
        for k, rows in enumerate(sheets, 1): files[f'xl/worksheets/sheet{k}.xml'] = rows if rows.lstrip().startswith(('<?', '<w', '<!', '<x', '<c')) and 'sheetData' in rows or 'chartsheet' in rows else sheet_xml(rows, main=main)
        files |= parts or {}
        with zipfile.ZipFile(tmp_path/name, 'w', zipfile.ZIP_DEFLATED) as z:
            for part, text in files.items():
                if part not in drop: z.writestr(part, text)
        return tmp_path/name
    return make


def cells(path, sheet='s1'): return read_xlsx(path).sheets[sheet].cells
def values(path, sheet='s1'): return {k: c.value for k, c in cells(path, sheet).items()}
def formulas(path, sheet='s1'): return {k: c.formula for k, c in cells(path, sheet).items() if c.formula}


# values

def test_every_type_of_value(make):
    strings = f'<sst xmlns="{M}"><si><t>plain</t></si><si><r><t xml:space="preserve">rich </t></r><r><rPr><b/></rPr><t>text</t></r><rPh sb="0" eb="1"><t>hint</t></rPh></si><si><t>a_x000D_b _x005F_x0041_</t></si></sst>'
    p = make('<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>'
             '<row r="2"><c r="A2" t="inlineStr"><is><t>in</t><rPh sb="0" eb="1"><t>hint</t></rPh><r><t>line</t></r></is></c>'
             '<c r="B2" t="b"><v>1</v></c><c r="C2" t="b"><v>0</v></c><c r="D2" t="e"><v>#DIV/0!</v></c><c r="E2" t="b"><v>-0</v></c></row>' # as LibreOffice writes it
             '<row r="3"><c r="A3"><v>1.5E-3</v></c><c r="B3" t="n"><v>-2</v></c><c r="C3" t="str"><f>"a"&amp;"b"</f><v>ab</v></c><c r="D3" t="str"><f>""</f><v></v></c><c r="E3" s="4"/></row>',
             links=[('x', 'sharedStrings', 'sharedStrings.xml')], parts={'xl/sharedStrings.xml': strings})
    assert values(p) == {(1, 1): 'plain', (1, 2): 'rich text', (1, 3): 'a\rb _x0041_', (2, 1): 'inline', (2, 2): True, (2, 3): False,
                         (2, 4): '#DIV/0!', (2, 5): False, (3, 1): .0015, (3, 2): -2., (3, 3): 'ab', (3, 4): ''}
    c = cells(p)
    assert isinstance(c[2, 4].value, ErrorValue) and c[2, 2].value is True and c[3, 3].formula == '"a"&"b"' and c[3, 4].formula == '""'


@pytest.mark.parametrize('text, usual, old_mac', [('2024-02-29', 45351., 43889.), ('1900-03-01', 61., None), ('1900-02-28', 59., None),
                                                  ('2000-01-01T06:00:00Z', 36526.25, 35064.25)])
def test_dates_are_numbers(make, text, usual, old_mac):
    row = f'<row><c t="d"><v>{text}</v></c></row>'
    assert values(make(row))[1, 1] == usual and not read_xlsx(make(row)).date1904
    file = read_xlsx(make(row, front='<workbookPr date1904="1"/>'))
    assert file.date1904 and (old_mac is None or file.sheets['s1'].cells[1, 1].value == old_mac)


def test_addresses_may_be_missing_and_the_dimension_wrong(make):
    rows = '<row><c><v>1</v></c><c/><c><v>3</v></c></row><row r="5"><c r="D5"><v>4</v></c><c><v>5</v></c></row><row><c><v>6</v></c></row>'
    assert values(make(sheet_xml(rows, '<dimension ref="B2:C3"/>'))) == {(1, 1): 1., (1, 3): 3., (5, 4): 4., (5, 5): 5., (6, 1): 6.}


def test_prefixes_encodings_and_the_strict_form(make):
    x = f'<?xml version="1.0" encoding="{{}}"?><x:worksheet xmlns:x="{M}"><x:sheetData><x:row><x:c t="str"><x:f>A2</x:f><x:v>é</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    for enc in ('utf-8', 'utf-16', 'iso-8859-1'):
        p = make('', parts={'xl/worksheets/sheet1.xml': x.format(enc).encode(enc)})
        assert cells(p) == {(1, 1): Cell('é', 'A2', 'normal')}
    strings = f'<sst xmlns="{SM}"><si><t>strict</t></si></sst>'
    p = make('<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="d"><v>2000-01-01</v></c></row>', main=SM, base=SR,
             links=[('x', 'sharedStrings', 'sharedStrings.xml')], parts={'xl/sharedStrings.xml': strings}, book='<definedNames><definedName name="k">s1!$A$1</definedName></definedNames>')
    assert values(p) == {(1, 1): 'strict', (1, 2): 36526.} and read_xlsx(p).names == {(None, 'K'): 's1!$A$1'}


def test_the_main_part_may_have_another_name(make):
    src = make('<row><c><v>7</v></c></row>')
    with zipfile.ZipFile(src) as z: parts = {n: z.read(n) for n in z.namelist()}
    parts['xl/workbook2.xml'], parts['xl/_rels/workbook2.xml.rels'] = parts.pop('xl/workbook.xml'), parts.pop('xl/_rels/workbook.xml.rels')
    parts['_rels/.rels'] = parts['_rels/.rels'].replace(b'workbook.xml', b'workbook2.xml')
    with zipfile.ZipFile(src, 'w') as z: [z.writestr(k, v) for k, v in parts.items()]
    assert values(src) == {(1, 1): 7.}


# formulas

def test_shared_formulas(make):
    rows = ('<row r="1"><c r="A1"><f t="shared" ref="A1:A3" si="0">B1+$B$1&amp;"B1"&amp;SUM(B:B,1:1)</f><v>1</v></c><c r="D1"><f t="shared" si="1"/><v>0</v></c></row>'
            '<row r="2"><c r="A2"><f t="shared" si="0"/><v>2</v></c><c r="D2"><f t="shared" ref="D1:D2" si="1">E2</f></c></row>'
            '<row r="3"><c r="A3"><f t="shared" si="0">own</f><v>3</v></c></row>'
            '<row r="4"><c r="A4"><f t="shared" ref="A4:A5" si="0">C4</f></c></row><row r="5"><c r="A5"><f t="shared" si="0"/></c></row>')
    assert formulas(make(rows)) == {(1, 1): 'B1+$B$1&"B1"&SUM(B:B,1:1)', (2, 1): 'B2+$B$1&"B1"&SUM(B:B,2:2)', (3, 1): 'own', (1, 4): 'E1',
                                    (2, 4): 'E2', (4, 1): 'C4', (5, 1): 'C5'}
    with pytest.raises(SheetError, match=r"sheet 's1': cell A1 is damaged: it shares the formula number 9"): cells(make('<row><c><f t="shared" si="9"/></c></row>'))


METADATA = (f'<metadata xmlns="{M}" xmlns:xda="http://schemas.microsoft.com/office/spreadsheetml/2017/dynamicarray"><metadataTypes count="2">'
            '<metadataType name="XLRICHVALUE"/><metadataType name="XLDAPR"/></metadataTypes><futureMetadata name="XLDAPR" count="1"><bk><extLst>'
            '<ext uri="{bdbb8cdc-fa1e-496e-a857-3c3f30c029c3}"><xda:dynamicArrayProperties fDynamic="1" fCollapsed="0"/></ext></extLst></bk></futureMetadata>'
            '<cellMetadata count="2"><bk><rc t="1" v="0"/></bk><bk><rc t="2" v="0"/></bk></cellMetadata></metadata>')


def test_array_formulas(make):
    rows = ('<row r="1"><c r="A1"><f t="array" ref="A1">SUM(B1:B2*C1:C2)</f><v>1</v></c><c r="E1"><f t="array" ref="E1:F2">MMULT(B1:C2,B1:C2)</f><v>1</v></c><c r="F1"><v>2</v></c>'
            '<c r="H1" cm="2"><f t="array" ref="H1:H3">_xlfn._xlws.SORT(B1:B3)</f><v>1</v></c><c r="J1" cm="1"><f t="array" ref="J1">B1</f><v>1</v></c></row>'
            '<row r="2"><c r="A2"><f t="dataTable" ref="A2:B3" dt2D="1" dtr="1" r1="C1" r2="C2"/><v>8</v></c><c r="C2"><f></f><v>9</v></c></row>')
    c = cells(make(rows, links=[('m', 'sheetMetadata', 'metadata.xml')], parts={'xl/metadata.xml': METADATA}))
    assert c[1, 1] == (1., 'SUM(B1:B2*C1:C2)', 'array', (1, 1, 1, 1)) and c[1, 5][2:] == ('array', (1, 5, 2, 6)) and c[1, 6] == (2., None, 'value', None)
    assert c[1, 8] == (1., '_xlfn._xlws.SORT(B1:B3)', 'dynamic', (1, 8, 3, 8)) and c[1, 10].kind == 'array'
    assert c[2, 1] == (8., 'TABLE(C1,C2)', 'table', (2, 1, 3, 2)) and c[2, 3] == (9., None, 'value', None)


ref = st.builds(lambda a, c, b, r: f'{a}{col_name(c)}{b}{r}', st.sampled_from(['', '$']), st.integers(1, 700), st.sampled_from(['', '$']), st.integers(1, 9000))
ends = st.lists(st.tuples(st.sampled_from(['', '$']), st.integers(1, 90)), min_size=2, max_size=2)
piece = st.one_of(ref, st.builds('{}:{}'.format, ref, ref), ends.map(lambda e: ':'.join(d + col_name(n) for d, n in e)),
                  ends.map(lambda e: ':'.join(d + str(n) for d, n in e)), ref.map("'a B2'!{}".format), ref.map("'it''s A1'!{}".format), ref.map('Sheet1!{}'.format),
                  st.sampled_from(['"A1"', '"say ""B2"""', '1E5', '2.5', 'TRUE', 'rate', 'x_A1', '#N/A', '#DIV/0!', 'LOG10(2)', 'ATAN2(1,2)']))
formula = st.recursive(piece, lambda f: st.one_of(st.builds('{}{}{}'.format, f, st.sampled_from(['+', '-', '&', '<=', '^', '*']), f), st.builds('SUM({},{})'.format, f, f), f.map('({})'.format)), max_leaves=6)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(formula, st.integers(0, 40), st.integers(0, 40))
def test_copies_move_as_openpyxl_moves_them(text, rows, cols):
    translate = pytest.importorskip('openpyxl.formula.translate')
    assert '=' + shift_formula(text, rows, cols) == translate.Translator('=' + text, 'A1').translate_formula(row_delta=rows, col_delta=cols)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(formula, st.integers(0, 500), st.integers(0, 60))
def test_moving_there_and_back_changes_nothing(text, rows, cols): assert shift_formula(shift_formula(text, rows, cols), -rows, -cols) == text


@pytest.mark.parametrize('text, moved', [('A1', '#REF!'), ('$A$1', '$A$1'), ('B5:C1', '#REF!'), ('Tab[A2]+B2', 'Tab[A2]+A1'), ("T[[#This Row],[it''s B2]]+B2", "T[[#This Row],[it''s B2]]+A1"),
                                         ('XFE10+B2', 'XFE10+A1'), ('A1048577', 'A1048577'), ('tax2024x', 'tax2024x'), ('B2.x', 'B2.x'), ('B2!C3', 'B2!B2'), ('_xlfn.STDEV.S(B2)', '_xlfn.STDEV.S(A1)'),
                                         ('B2#', 'A1#'), ('@B2', '@A1'), ('{1,2;3,4}*B2', '{1,2;3,4}*A1'), ('-B2%', '-A1%'), ('B2 B2:C3', 'A1 A1:B2'), ('SUM(B2:INDEX(B:B,3))', 'SUM(A1:INDEX(A:A,3))')])
def test_moving_up_and_left(text, moved): assert shift_formula(text, -1, -1) == moved


# names, tables, Solver

def test_names_and_hidden_sheets_and_chart_sheets(make):
    p = make('<row><c><v>1</v></c></row>', f'<chartsheet xmlns="{M}"/>', '<row><c><v>2</v></c></row>', kinds=['worksheet', 'chartsheet', 'worksheet'],
             names=['a b', 'chart', 'c'], view='<workbookView activeTab="2"/>', book='<definedNames><definedName name="Rate">\'a b\'!$A$1</definedName>'
             '<definedName name="rate" localSheetId="2" hidden="1">c!$A$1</definedName><definedName name="twice">2*Rate</definedName></definedNames>')
    f = read_xlsx(p)
    assert list(f.sheets) == ['a b', 'c'] and f.active_sheet == 'c'
    assert f.names == {(None, 'RATE'): "'a b'!$A$1", ('c', 'RATE'): 'c!$A$1', (None, 'TWICE'): '2*Rate'}


def test_tables(make):
    table = f'<table xmlns="{M}" id="1" name="t" displayName="Sales" ref="A1:B4" totalsRowCount="1"><tableColumns count="2"><tableColumn id="1" name="net"/><tableColumn id="2" name="new_x000a_line"><calculatedColumnFormula>Sales[net]*2</calculatedColumnFormula></tableColumn></tableColumns></table>'
    p = make('<row r="2"><c r="B2"><f>Sales[[#This Row],[net]]*2</f></c></row>', parts={'xl/worksheets/_rels/sheet1.xml.rels': rels(('t', 'table', '../tables/table1.xml')), 'xl/tables/table1.xml': table})
    assert read_xlsx(p).tables == {'Sales': Table('Sales', 's1', (1, 1, 4, 2), ['net', 'new\nline'], 1, 1)}
    p = make('', parts={'xl/worksheets/_rels/sheet1.xml.rels': rels(('t', 'table', '/xl/tables/table1.xml')), 'xl/tables/table1.xml': table.replace('A1:B4', 'A1:C4')})
    with pytest.raises(SheetError, match='a table of sheet .s1. is damaged'): read_xlsx(p)


def solver(**names): return '<definedNames>' + ''.join(f'<definedName name="solver_{k}" localSheetId="0" hidden="1">{v}</definedName>' for k, v in names.items()) + '</definedNames>'


def test_settings_of_the_solver(make):
    book = solver(opt='s1!$D$1', adj='s1!$A$1:$A$3,s1!$C$3', typ=3, val='2.5', num=3, lhs1='s1!$A$1:$A$3', rel1=1, rhs1='s1!$B$1:$B$3', lhs2='s1!$A$1', rel2=4, rhs2='&quot;integer&quot;',
                  lhs3='s1!$C$3', rel3=3, rhs3='-1', lhs4='old', rel4=6, rhs4='x', neg=2, eng=1)
    assert read_xlsx(make('', book=book)).solver == {'s1': SolverSettings('s1!$D$1', ['s1!$A$1:$A$3', 's1!$C$3'], 'value', 2.5, [
        ('s1!$A$1:$A$3', '<=', 's1!$B$1:$B$3'), ('s1!$A$1', 'int', None), ('s1!$C$3', '>=', '-1')], False)}
    assert read_xlsx(make('', book=solver(adj='s1!$A$1', opt='s1!$B$1', typ=1))).solver['s1'] == ('s1!$B$1', ['s1!$A$1'], 'max', None, [], True)
    assert read_xlsx(make('', book=solver(eng=1))).solver == {}
    for bad in (solver(opt='A1', typ=7), solver(opt='A1', num='x'), solver(opt='A1', num=1)):
        file = read_xlsx(make('', book=bad)) # the numbers stand without them
        assert not file.solver and "Solver settings of sheet 's1' are damaged" in file.solver_trouble['s1']


def test_formulas_that_need_another_file(make):
    links = [('e', 'externalLink', 'externalLinks/externalLink1.xml')]
    parts = {'xl/externalLinks/externalLink1.xml': '<externalLink/>', 'xl/externalLinks/_rels/externalLink1.xml.rels': rels(('f', 'externalLinkPath', 'May%20prices.xlsx', True))}
    book = '<externalReferences><externalReference r:id="e"/></externalReferences><definedNames><definedName name="far">[1]Sheet1!$A$1</definedName></definedNames>'
    make_it = lambda f: make(f'<row><c><f>{f}</f><v>1</v></c></row>', links=links, parts=parts, book=book)
    for text in ('[1]Sheet1!A1', "SUM('[1]my sheet'!A1:B2)", '2*far', "'C:\\x\\[May prices.xlsx]s'!A1", '[1]!rate'):
        with pytest.raises(SheetError, match=r"t.xlsx: 's1'!A1: its formula needs the workbook 'May prices.xlsx'"): read_xlsx(make_it(text))
    for text in ('"[1]Sheet1!A1"', 'faraway+1', 'Sales[net]+Sales[[#This Row],[1]]', '[0]!rate', '"far"'): assert formulas(make_it(text)) == {(1, 1): text}


# files that must be refused

def zipped(path, **parts):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z: [z.writestr(k, v) for k, v in parts.items()]
    return path


@pytest.mark.parametrize('doctype', ['<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', '<!DOCTYPE x SYSTEM "file:///etc/passwd">', '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://x/y">%p;]>', '<!DOCTYPE x>'])
@pytest.mark.parametrize('part', ['xl/workbook.xml', 'xl/worksheets/sheet1.xml', 'xl/sharedStrings.xml', 'xl/_rels/workbook.xml.rels'])
def test_definitions_in_xml_are_refused(make, doctype, part):
    base = make('<row><c t="s"><v>0</v></c></row>', links=[('x', 'sharedStrings', 'sharedStrings.xml')], parts={'xl/sharedStrings.xml': f'<sst xmlns="{M}"><si><t>a</t></si></sst>'})
    with zipfile.ZipFile(base) as z: parts = {n: z.read(n).decode() for n in z.namelist()}
    parts[part] = doctype + parts[part].split('?>')[-1]
    with zipfile.ZipFile(base, 'w') as z: [z.writestr(k, v) for k, v in parts.items()]
    with pytest.raises(SheetError, match='t.xlsx.*defines a document type'): read_xlsx(base)
    if 'sharedStrings' not in part:
        with pytest.raises(SheetError, match='defines a document type'): rewrite_xlsx(base, base.with_name('o.xlsx'), {('s1', 1, 1): 2.})


def test_zip_bombs(make, monkeypatch):
    with pytest.raises(SheetError, match="bomb.bin' unpacks to .* times its size"): read_xlsx(make('', parts={'bomb.bin': b'\0' * (SMALL_PART + 1)}))
    import ddl_lesson8.sheets.package as x
    monkeypatch.setattr(x, 'MAX_PARTS', 3)
    with pytest.raises(SheetError, match='parts; at most 3 are read'): read_xlsx(make(''))
    monkeypatch.setattr(x, 'MAX_PARTS', 30), monkeypatch.setattr(x, '_MAX_ALL', 50)
    with pytest.raises(SheetError, match='unpacks to .* MiB; at most'): read_xlsx(make(''))
    monkeypatch.setattr(x, '_MAX_ALL', 5000), monkeypatch.setattr(x, '_MAX_PART', 100)
    with pytest.raises(SheetError, match='has .* MiB; at most'): read_xlsx(make(''))


def test_a_part_that_lies_about_its_size(make):
    p = make('<row><c><v>1</v></c></row>' + ' ' * 5000)
    data = p.read_bytes()
    at = data.rindex(b'PK\x01\x02', 0, data.index(b'xl/worksheets/sheet1.xml', data.index(b'PK\x01\x02')))
    p.write_bytes(data[:at + 24] + (40).to_bytes(4, 'little') + data[at + 28:])
    with pytest.raises(SheetError, match='damaged'): read_xlsx(p)


@pytest.mark.parametrize('name', ['../../evil.xml', '/etc/passwd', 'C:\\evil.xml', 'xl\\..\\..\\evil'])
def test_parts_outside_the_file(make, name):
    with pytest.raises(SheetError, match='points outside the file'): read_xlsx(make('', parts={name: 'x'}))


def test_links_that_leave_the_file_find_nothing(make):
    p = make('', parts={'xl/_rels/workbook.xml.rels': rels(('r1', 'worksheet', '../../../../etc/passwd'))})
    with pytest.raises(SheetError, match='etc/passwd is missing'): read_xlsx(p)


def test_what_is_no_workbook(make, tmp_path):
    p = make('<row><c><v>1</v></c></row>')
    whole = p.read_bytes()
    for n in (0, 3, 50, len(whole) // 2, len(whole) - 10):
        p.write_bytes(whole[:n])
        with pytest.raises(SheetError, match='t.xlsx: (is damaged or cut off|is empty|is not a workbook)'): read_xlsx(p)
    p.write_bytes(b'\xd0\xcf\x11\xe0' + 'EncryptedPackage'.encode('utf-16-le'))
    with pytest.raises(SheetError, match='protected with a password'): read_xlsx(p)
    p.write_bytes(b'a,b\n1,2')
    with pytest.raises(SheetError, match='is not a workbook'): read_xlsx(p)
    with pytest.raises(SheetError, match='there is no such file'): read_xlsx(tmp_path/'none.xlsx')
    with pytest.raises(SheetError, match='is a folder'): read_xlsx(tmp_path)
    with pytest.raises(SheetError, match='is not a workbook'): read_xlsx(zipped(tmp_path/'doc.xlsx', **{'word/document.xml': '<x/>'}))
    with pytest.raises(SheetError, match='is damaged'): read_xlsx(make('', drop=['xl/worksheets/sheet1.xml']))
    with pytest.raises(SheetError, match='has no part'): read_xlsx(make('', drop=['xl/_rels/workbook.xml.rels']))


def test_two_parts_of_one_name(make):
    p = make('')
    with zipfile.ZipFile(p, 'a') as z: z.writestr('XL/workbook.xml', 'x')
    with pytest.raises(SheetError, match='twice'): read_xlsx(p)


@pytest.mark.parametrize('rows, problem', [('<row><c><v>abc</v></c></row>', 'cell A1 is damaged'), ('<row><c><v>1e999</v></c></row>', 'no number'), ('<row><c><v>nan</v></c></row>', 'no number'),
                                           ('<row><c t="zz"><v>1</v></c></row>', 'its type'), ('<row><c r="A0"><v>1</v></c></row>', 'outside'), ('<row><c r="ZZZZ1"><v>1</v></c></row>', 'no address'),
                                           ('<row><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>', 'twice'), ('<row r="x"><c><v>1</v></c></row>', 'which is no number'), ('<row><c><v>1</c></row>', 'damaged'),
                                           ('<row><c r="1A"><v>1</v></c></row>', 'no address'), ('<row><c t="d"><v>soon</v></c></row>', 'cell A1'), ('<row><c><f t="array" ref="?">1</f></c></row>', 'cell A1')])
def test_damaged_cells_are_named(make, rows, problem):
    with pytest.raises(SheetError, match=f't.xlsx: sheet .s1..*({problem})'): read_xlsx(make(rows))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_any_damage_is_a_sheet_error_or_still_a_workbook(tmp_path_factory, where, noise):
    path = tmp_path_factory.getbasetemp()/'noise.xlsx'
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as z:
        for n, t in {'_rels/.rels': rels(('a', 'officeDocument', 'xl/workbook.xml')), 'xl/_rels/workbook.xml.rels': rels(('r', 'worksheet', 's.xml')),
                     'xl/workbook.xml': f'<workbook xmlns="{M}" xmlns:r="{R}"><sheets><sheet name="s" r:id="r"/></sheets></workbook>', 'xl/s.xml': sheet_xml('<row r="1"><c r="A1"><f>B1</f><v>1</v></c></row>')}.items(): z.writestr(n, t)
    data = bytearray(out.getvalue())
    data[where % len(data):where % len(data) + len(noise)] = noise
    path.write_bytes(data)
    try: read_xlsx(path)
    except SheetError as e: assert 'noise.xlsx' in str(e)


# rewriting

def parts_of(path):
    with zipfile.ZipFile(path) as z: return {n: z.read(n) for n in z.namelist()}


@pytest.fixture
def rich(tmp_path):
    "A workbook with a chart, a comment, a table, a picture, conditional formats, made with openpyxl"
    openpyxl = pytest.importorskip('openpyxl')
    pil = pytest.importorskip('PIL.Image')
    from openpyxl.chart import LineChart, Reference
    from openpyxl.comments import Comment
    from openpyxl.drawing.image import Image
    from openpyxl.formatting.rule import ColorScaleRule
    from openpyxl.worksheet.table import Table as XTable
    wb = openpyxl.Workbook()
    ws = wb.active
    ws.title = 'my data'
    for row in (['x', 'y'], [1, '=A2*2'], [2.5, '=A3*2'], ['text', True]): ws.append(row)
    ws['B2'].comment = Comment('careful', 'me')
    ws.add_table(XTable(displayName='T', ref='A1:B3'))
    ws.conditional_formatting.add('A2:A3', ColorScaleRule(start_type='min', start_color='FFFFFF', end_type='max', end_color='FF0000'))
    chart = LineChart()
    chart.add_data(Reference(ws, min_col=1, min_row=1, max_row=3), titles_from_data=True)
    ws.add_chart(chart, 'D2')
    pil.new('RGB', (4, 4), 'red').save(tmp_path/'p.png')
    ws.add_image(Image(str(tmp_path/'p.png')), 'D20')
    wb.create_sheet('other')['A1'] = 5
    wb.save(tmp_path/'rich.xlsx')
    return tmp_path/'rich.xlsx'


def test_only_the_named_cells_change(rich, tmp_path):
    new = {('my data', 2, 1): 7., ('my data', 2, 2): 14., ('my data', 3, 2): ErrorValue('#NUM!'), ('my data', 4, 1): 'a <b> & "é"', ('my data', 4, 2): None, ('my data', 9, 5): False}
    out = rewrite_xlsx(rich, tmp_path/'out.xlsx', new)
    before, after = parts_of(rich), parts_of(out)
    assert list(before) == list(after) and [n for n in before if before[n] != after[n]] == ['xl/worksheets/sheet1.xml']
    got, old = read_xlsx(out), read_xlsx(rich)
    for sheet in old.sheets:
        a, b = old.sheets[sheet].cells, got.sheets[sheet].cells
        for at in a.keys() | b.keys():
            value = new.get((sheet, *at), a[at].value if at in a else None)
            assert (b[at].value if at in b else None) == value and (b[at].formula if at in b else None) == (a[at].formula if at in a else None)
    strip = lambda x: re.sub(rb'<c r="(A2|B2|B3|A4|B4|E9)"[^>]*?(/>|>.*?</c>)', b'', x).replace(b'<row r="9"></row>', b'')
    assert strip(after['xl/worksheets/sheet1.xml']) == strip(before['xl/worksheets/sheet1.xml'])
    import openpyxl
    ws = openpyxl.load_workbook(out)['my data']
    assert ws['A2'].value == 7 and ws['B2'].value == '=A2*2' and ws['B2'].comment.text == 'careful' and ws['A4'].value == 'a <b> & "é"' and len(ws._charts) == len(ws._images) == 1
    assert openpyxl.load_workbook(out, data_only=True)['my data']['B2'].value == 14


def test_nothing_to_change_changes_nothing(rich, tmp_path): assert parts_of(rewrite_xlsx(rich, tmp_path/'o.xlsx', {})) == parts_of(rich)


def test_a_file_may_replace_itself(make):
    p = make('<row r="1"><c r="A1" s="3"><v>1</v></c></row>')
    assert rewrite_xlsx(p, p, {('s1', 1, 1): 2}) == p and parts_of(p)['xl/worksheets/sheet1.xml'].count(b'<c r="A1" s="3"><v>2</v></c>') == 1
    assert os.listdir(p.parent) == ['t.xlsx']


def test_cells_of_every_form(make):
    rows = ("<row r='1'><c r='A1' t='s' s='1'><v>0</v></c><c r=\"B1\" s=\"2\"/><c r=\"C1\" t=\"str\" cm=\"1\" vm=\"4\"><f t=\"array\" ref=\"C1:D1\">X(1)</f><v>old</v><extLst><ext uri=\"u\"/></extLst></c>\n"
            '<c r="D1"><v>1</v></c></row><row r="2"/><row r="4"><c r="B4"><is><t>x</t></is></c></row>')
    p = make(rows, links=[('x', 'sharedStrings', 'sharedStrings.xml')], parts={'xl/sharedStrings.xml': f'<sst xmlns="{M}"><si><t>a</t></si></sst>'})
    new = {(1, 1): 1.5, (1, 2): 'two', (1, 3): True, (1, 4): 1e300, (2, 3): 3., (2, 1): 0.1, (3, 2): 'x', (4, 1): 1., (4, 3): 3., (4, 2): 2., (6, 1): 6., (5, 700): -0.5}
    out = rewrite_xlsx(p, p.with_name('o.xlsx'), {('s1', *k): v for k, v in new.items()})
    xml = parts_of(out)['xl/worksheets/sheet1.xml'].decode()
    assert values(out) == new and [k for k in cells(out)] == sorted(new) and cells(out)[1, 3][1:] == ('X(1)', 'array', (1, 3, 1, 4))
    assert '<c r=\'A1\' s=\'1\'><v>1.5</v></c>' in xml and 'vm=' not in xml and '<extLst><ext uri="u"/></extLst></c>' in xml
    assert [int(n) for n in re.findall(r'<row r=.(\d)', xml)] == [1, 2, 3, 4, 5, 6]


def test_an_empty_sheet_with_prefixes_gets_cells(make):
    for data in ('<x:sheetData/>', '<x:sheetData></x:sheetData>'):
        p = make(f'<x:worksheet xmlns:x="{M}">{data}</x:worksheet>')
        assert values(rewrite_xlsx(p, p, {('s1', 2, 2): 'x', ('s1', 1, 1): 1.})) == {(1, 1): 1., (2, 2): 'x'}


value = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(st.characters(exclude_categories=['Cs']), max_size=20), st.integers(-10**15, 10**15), st.none(),
                  st.sampled_from(['#N/A', '#DIV/0!', '#VALUE!', '#REF!', '#NAME?', '#NUM!', '#NULL!']).map(ErrorValue))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.dictionaries(st.tuples(st.integers(1, 8), st.integers(1, 6)), value, max_size=12))
def test_any_value_anywhere_reads_back(tmp_path_factory, new):
    folder = tmp_path_factory.getbasetemp()
    old, path, rows = {}, folder/'base.xlsx', ''
    for r in (1, 2, 3, 5, 6):
        row = ''.join(f'<c r="{col_name(c)}{r}"{" t=" + chr(34) + "str" + chr(34) if c == 3 else ""}>{"<f>A1</f>" if c == 3 else ""}<v>{r * c}</v></c>' for c in (2, 3, 5))
        old |= {(r, c): (str(r * c) if c == 3 else float(r * c)) for c in (2, 3, 5)}
        rows += f'<row r="{r}">{row}</row>'
    zipped(path, **{'_rels/.rels': rels(('a', 'officeDocument', 'xl/workbook.xml')), 'xl/_rels/workbook.xml.rels': rels(('r', 'worksheet', 's.xml')),
                    'xl/workbook.xml': f'<workbook xmlns="{M}" xmlns:r="{R}"><sheets><sheet name="s" r:id="r"/></sheets></workbook>', 'xl/s.xml': sheet_xml(rows)})
    got = read_xlsx(rewrite_xlsx(path, folder/'out.xlsx', {('s', *k): v for k, v in new.items()})).sheets['s'].cells
    want = old | new
    for at in want.keys() | got.keys():
        g = got[at].value if at in got else None
        assert g == want[at] and (want[at] is None or isinstance(want[at], (int, float)) or type(g) is type(want[at])), (at, g, want[at])


# tags that close themselves

def prefixed(xml, x): return re.sub(r'<(/?)(?=[a-zA-Z])', rf'<\1{x}', xml)


def closed_sheet(rows, x='', end='/>'): # a sheet whose tags have a prefix and close themselves with `end`
    ns = f'xmlns:{x[:-1]}="{M}"' if x else f'xmlns="{M}"'
    data = f'<sheetData>{rows}</sheetData>' if rows is not None else '<sheetData/>'
    return prefixed(f'<worksheet>{data}</worksheet>', x).replace('worksheet>', f'worksheet {ns}>', 1).replace('/>', end)


def well_formed(path): # every cell stands in the row that its address names
    from xml.etree import ElementTree
    root, tag = ElementTree.fromstring(parts_of(path)['xl/worksheets/sheet1.xml']), f'{{{M}}}'.__add__
    inside = [(row.get('r'), c.get('r')) for row in root.find(tag('sheetData')).findall(tag('row')) for c in row.findall(tag('c'))]
    assert len(inside) == len(list(root.iter(tag('c')))) == len(set(inside)) and all(re.sub('[A-Z]', '', c) == r for r, c in inside)


CLOSED = [('<row r="1"><c r="A1"><f>1+B1</f></c><c r="B1" s="0"/></row><row r="2"><c r="A2"><v>1</v></c></row>', {(1, 1): 6., (1, 2): 5.}, {(1, 1): 6., (1, 2): 5., (2, 1): 1.}),
          ('<row r="1"><c r="A1" s="0"><f t="array" ref="A1:B2">1+2</f></c><c r="B1" s="0"/></row><row r="2"><c r="A2" s="0"/><c r="B2" s="0"/></row>', dict.fromkeys([(1, 1), (1, 2), (2, 1), (2, 2)], 3.), dict.fromkeys([(1, 1), (1, 2), (2, 1), (2, 2)], 3.)),
          ('<row r="1"><c r="A1"><f t="shared" ref="A1:A2" si="0">1+B1</f><v>1</v></c></row><row r="2"><c r="A2"><f t="shared" si="0"/></c></row>', {(2, 1): 4.}, {(1, 1): 1., (2, 1): 4.}),
          ('<row r="1"><c r="A1"><f>1+A2</f></c></row><row r="2"/>', {(1, 1): 6., (2, 1): 5.}, {(1, 1): 6., (2, 1): 5.}),
          ('<row r="1"><c r="A1"><v>1</v><extLst/></c></row>', {(1, 1): 2.}, {(1, 1): 2.}),
          (None, {(1, 1): 5.}, {(1, 1): 5.})]


@pytest.mark.parametrize('rows, new, want', CLOSED)
@pytest.mark.parametrize('end', ['/>', ' />', '\n/>'])
@pytest.mark.parametrize('x', ['', 'x:', 'é:'])
def test_a_tag_that_closes_itself_may_come_last(make, rows, new, want, end, x):
    p = make('', parts={'xl/worksheets/sheet1.xml': closed_sheet(rows, x, end)})
    old = formulas(p)
    rewrite_xlsx(p, p, {('s1', *k): v for k, v in new.items()})
    well_formed(p)
    assert values(p) == want and formulas(p) == old


def test_a_bordered_blank_cell_of_openpyxl_is_filled(tmp_path):
    from openpyxl import Workbook, load_workbook
    from openpyxl.styles import Border, Side
    wb = Workbook()
    wb.active.title, wb.active['A1'], wb.active['A2'] = 's1', 'slope', '=B1*2'
    wb.active['B1'].border = Border(bottom=Side('thin'))
    wb.save(tmp_path/'b.xlsx')
    p = rewrite_xlsx(tmp_path/'b.xlsx', tmp_path/'b.xlsx', {('s1', 1, 2): 2.5, ('s1', 2, 1): 5.})
    ws = load_workbook(p)['s1']
    assert (ws['A1'].value, ws['B1'].value, ws['A2'].value, ws['B1'].border.bottom.style) == ('slope', 2.5, '=B1*2', 'thin')
    assert load_workbook(p, data_only=True)['s1']['A2'].value == 5


FORMS = ['', '<c r="{a}"/>', '<c r="{a}" s="0"/>', '<c r="{a}"><v>3</v></c>', '<c r="{a}"><v/></c>', '<c r="{a}" t="str"><v>a/b</v></c>', '<c r="{a}"><f>1+2</f></c>',
         '<c r="{a}"><f t="shared" si="0"/></c>', '<c r="{a}"><f t="shared" si="0"/><v>4</v></c>', '<c r="{a}"><v>1</v><extLst/></c>', '<c r="{a}" t="inlineStr"><is><t/></is></c>']


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(st.one_of(st.none(), st.lists(st.sampled_from(FORMS), max_size=4)), max_size=4), st.sampled_from(['', 'x:', 'a-b.c:']), st.sampled_from(['/>', ' />', '\n/>']),
       st.dictionaries(st.tuples(st.integers(1, 6), st.integers(2, 7)), value, max_size=8))
def test_what_is_not_written_stays_whatever_closes_itself(tmp_path_factory, grid, x, end, new):
    folder = tmp_path_factory.getbasetemp()
    row = lambda r, forms: f'<row r="{r}">' + ''.join(f.format(a=f'{col_name(c)}{r}') for c, f in enumerate(forms, 2)) + '</row>'
    rows = '<row r="1"><c r="A1"><f t="shared" ref="A1:F6" si="0">1+H1</f></c></row>' if grid else None
    for r, forms in enumerate(grid, 2): rows += f'<row r="{r}"/>' if forms is None else row(r, forms)
    path = zipped(folder/'closed.xlsx', **{'_rels/.rels': rels(('a', 'officeDocument', 'xl/workbook.xml')), 'xl/_rels/workbook.xml.rels': rels(('r', 'worksheet', 'worksheets/sheet1.xml')),
                  'xl/workbook.xml': f'<workbook xmlns="{M}" xmlns:r="{R}"><sheets><sheet name="s1" r:id="r"/></sheets></workbook>', 'xl/worksheets/sheet1.xml': closed_sheet(rows, x, end)})
    old = cells(path)
    out = rewrite_xlsx(path, folder/'closed_out.xlsx', {('s1', *k): v for k, v in new.items()})
    well_formed(out)
    got, blank = cells(out), Cell()
    for at in old.keys() | got.keys() | new.keys():
        was = old.get(at, blank)
        assert got.get(at, blank) == was._replace(value=new.get(at, was.value)), at


def test_a_copy_that_does_not_read_back_replaces_nothing(make, monkeypatch):
    from ddl_lesson8.sheets import rewrite
    p = make('<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row>')
    before, edited = p.read_bytes(), rewrite._edited
    for spoil, problem in [((b'</row>', b''), 'is damaged'), ((b'<v>2</v>', b'<v>3</v>'), "'s1'!B1 would be lost")]:
        monkeypatch.setattr(rewrite, '_edited', lambda *a: edited(*a).replace(*spoil))
        with pytest.raises(SheetError, match=f'nothing was replaced.*{problem}'): rewrite_xlsx(p, p, {('s1', 1, 1): 7.})
        assert p.read_bytes() == before and os.listdir(p.parent) == ['t.xlsx']


def test_a_cell_outside_a_row_is_damage(make):
    with pytest.raises(SheetError, match='cell A2 stands outside a row'): read_xlsx(make('<row r="1"/><c r="A2"><v>1</v></c>'))


@pytest.mark.parametrize('values, problem', [({('nope', 1, 1): 1.}, "has no sheet 'nope'"), ({('s1', 1, 1): float('inf')}, "'s1'!A1: inf cannot"), ({('s1', 0, 1): 1.}, 'outside'), ({('s1', 1, 16385): 1.}, 'outside')])
def test_a_bad_order_leaves_the_target_alone(make, values, problem):
    p = make('<row><c><v>1</v></c></row>')
    target = p.with_name('target.xlsx')
    target.write_bytes(b'precious')
    with pytest.raises(SheetError, match=problem): rewrite_xlsx(p, target, values)
    assert target.read_bytes() == b'precious' and sorted(os.listdir(p.parent)) == ['t.xlsx', 'target.xlsx']


def test_bad_sources_and_targets(make, tmp_path):
    p = make('<row><c><v>1</v></c></row>')
    with pytest.raises(SheetError, match='there is no folder'): rewrite_xlsx(p, tmp_path/'no'/'t.xlsx', {})
    with pytest.raises(SheetError, match='there is no such file'): rewrite_xlsx(tmp_path/'no.xlsx', p, {})
    q = make('', name='q.xlsx', parts={'xl/worksheets/sheet1.xml': f'<?xml version="1.0" encoding="utf-16"?><worksheet xmlns="{M}"><sheetData/></worksheet>'.encode('utf-16')})
    with pytest.raises(SheetError, match='UTF-16'): rewrite_xlsx(q, tmp_path/'o.xlsx', {('s1', 1, 1): 1.})


# the course's own workbook

DATA = Path(os.environ.get('DDL_LESSON8_DATA', 'no such folder'))
COURSE = next((p for p in (DATA/'conv-example.xlsx', DATA.parent/'xl'/'conv-example.xlsx') if p.exists()), None)


@pytest.mark.skipif(COURSE is None, reason="the course's conv-example.xlsx is not in the folder that DDL_LESSON8_DATA names")
def test_the_courses_workbook(tmp_path):
    file = read_xlsx(COURSE)
    assert sum(c.formula is not None for s in file.sheets.values() for c in s.cells.values()) == 9336 and file.active_sheet == 'conv-example'
    out = rewrite_xlsx(COURSE, tmp_path/'o.xlsx', {(n, *k): c.value for n, s in file.sheets.items() for k, c in s.cells.items()})
    assert {n: s.cells for n, s in read_xlsx(out).sheets.items()} == {n: s.cells for n, s in file.sheets.items()}


# saving keeps what belongs to the file itself

@pytest.mark.skipif(os.name == 'nt', reason='permissions and links as Unix has them')
def test_a_saved_file_keeps_its_permissions_and_its_link(tmp_path):
    from ddl_lesson8.sheets.book import Book
    (tmp_path/'real').mkdir()
    (tmp_path/'real'/'b.xlsx').write_bytes(b'')
    (tmp_path/'real'/'b.xlsx').chmod(0o640)
    link = tmp_path/'b.xlsx'
    link.symlink_to(tmp_path/'real'/'b.xlsx')
    book = Book()
    book.sheet('s').put(torch.ones(2, 2), 'x', at='A2')
    book.save(link)
    sheet = read_xlsx(link).sheets['s']
    at = next(k for k, c in sheet.cells.items() if c.value == 1)
    for _ in range(2):
        rewrite_xlsx(link, link, {('s', *at): 7.})
        assert link.is_symlink() and (tmp_path/'real'/'b.xlsx').stat().st_mode & 0o777 == 0o640
    assert read_xlsx(tmp_path/'real'/'b.xlsx').sheets['s'].cells[at].value == 7 and len(list((tmp_path/'real').iterdir())) == 1
    long = tmp_path/('n' * 245 + '.xlsx')
    rewrite_xlsx(link, long, {})
    assert long.exists()
    with pytest.raises(SheetError, match='no ordinary file'): rewrite_xlsx(link, '/dev/null', {})
