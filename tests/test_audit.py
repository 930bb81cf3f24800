"What the auditor finds in a workbook, and what the command says about it"
import json, zipfile
import pytest
from ddl_lesson8.book.workbook import main
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.audit import ADVICE, _agree, audit, audit_all
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.rewrite import rewrite_xlsx
from ddl_lesson8.sheets.xlsx import ErrorValue
from formula_fuzz import F, write


@pytest.fixture
def path(tmp_path):
    book = Book()
    s = book.sheet('s')
    s.put([2., 3.], 'x', at='A2')
    s.formula((3,), lambda i: ('A2+B2', 'A2&"!"', 'A2<B2')[i], 'y', at='D2')
    s.formula((), lambda: 'SUM(OFFSET(A2,0,0,1,2))', 'z', at='J2')
    return book.save(tmp_path/'a.xlsx')


def formula(path, old, new): # another formula, whose result stays
    with zipfile.ZipFile(path) as z: parts = {n: z.read(n) for n in z.namelist()}
    assert old in parts['xl/worksheets/sheet1.xml']
    parts['xl/worksheets/sheet1.xml'] = parts['xl/worksheets/sheet1.xml'].replace(old, new)
    with zipfile.ZipFile(path, 'w') as z: [z.writestr(k, v) for k, v in parts.items()]
    return path


def found(a, what): return [f.cell for f in a.findings if f.what == what]


def test_what_stands(path):
    a = audit(path)
    assert a and (a.formulas, a.recalculated, a.counts) == (4, 4, {'volatile': 1}) and found(a, 'volatile') == ['s!J2']


@pytest.mark.parametrize('at, value', [((2, 4), 5.1), ((2, 5), '3!'), ((2, 6), False), ((2, 4), 'five'), ((2, 4), ErrorValue('#N/A')), ((2, 10), -5.)])
def test_a_typed_result_is_named(path, at, value):
    a = audit(rewrite_xlsx(path, path.with_name('b.xlsx'), {('s', *at): value}))
    assert a.status == 1 and [f.saved for f in a.findings if f.what == 'stale'] == [value]


def test_a_result_that_was_never_saved(path):
    a = audit(rewrite_xlsx(path, path.with_name('b.xlsx'), {('s', 2, 4): None}))
    assert a.status == 1 and found(a, 'unsaved') == ['s!D2']


def test_what_nobody_computes_is_listed_and_no_fault(path):
    a = audit(formula(path, b'A2&amp;"!"', b'MYADDIN(A2)'))
    assert found(a, 'frozen') == ['s!E2'] or found(a, 'engine') == ['s!E2'] or a.notes


def test_another_workbook_is_frozen(path):
    a = audit(formula(path, b'<f>A2+B2</f>', b"<f>'[other.xlsx]s'!A1</f>"))
    assert 's!D2' in found(a, 'frozen') and not found(a, 'stale')


def test_saved_errors_are_listed(path):
    a = audit(rewrite_xlsx(formula(path, b'A2+B2', b'A2/0'), path.with_name('b.xlsx'), {('s', 2, 4): ErrorValue('#DIV/0!')}))
    assert found(a, 'error') == ['s!D2'] and not a.status


def test_agreement():
    assert _agree(1., 1 + 1e-12) and _agree(None, '') and _agree(0., 1e-17) and not _agree(1., True) and not _agree(1., 1.0001) and not _agree('1', 1.)
    assert not _agree(ErrorValue('#N/A'), '#N/A') and _agree(ErrorValue('#N/A'), ErrorValue('#N/A'))


def test_status_and_data_of_the_command(path, capsys):
    typed = rewrite_xlsx(path, path.with_name('typed.xlsx'), {('s', 2, 4): 7.})
    assert main([str(path)]) == 0 and 'nothing' not in capsys.readouterr().err
    assert main([str(typed)]) == 1 and ADVICE['stale'] in capsys.readouterr().out
    assert main([str(typed), '--json']) == 1
    data = json.loads(capsys.readouterr().out)
    assert data['counts']['stale'] == 1 and data['findings'][0]['cell'] == 's!D2' and data['status'] == 1
    assert main([str(path.with_name('none.xlsx')), '--json']) == 2 and 'no such file' in json.loads(capsys.readouterr().out)['error']


def test_a_folder(path, tmp_path, capsys):
    (tmp_path/'deep').mkdir()
    rewrite_xlsx(path, tmp_path/'deep'/'typed.xlsx', {('s', 2, 4): 7.})
    assert len(audit_all(tmp_path)) == 2 and main([str(tmp_path)]) == 1 and '1 stand, 1 do not' in capsys.readouterr().out
    (tmp_path/'bad.xlsx').write_bytes(b'PK')
    assert main([str(tmp_path)]) == 2 and main([str(tmp_path), '--json']) == 2
    assert main([str(tmp_path/'deep'/'typed.xlsx')]) == 1
    (tmp_path/'empty').mkdir()
    assert main([str(tmp_path/'empty')]) == 2
    with pytest.raises(SheetError, match='cut off'): audit(tmp_path/'bad.xlsx')


@pytest.mark.parametrize('text, saved', [('1,5', 1.5), ('1,234', 1.234), ('1.234,5', 1234.5), ('31.12.2024', 45657.), ('01/02/2024', 45323.)])
def test_results_of_a_program_with_other_habits_are_named(tmp_path, text, saved):
    "Decimal commas and days before months, as texts: here they are read as in the United States, and never in silence"
    write(tmp_path/'de.xlsx', {'s': {(1, 1): text, (1, 2): F('A1*1')}}, saved=f'<v>{saved}</v>')
    a = audit(tmp_path/'de.xlsx')
    assert not a and found(a, 'stale') == ['s!B1']
