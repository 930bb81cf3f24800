"Workbooks that ask for more work than ten seconds: `SheetModule` counts it before it begins, and says what is too much"
import random, sys, time
from xml.sax.saxutils import escape
import pytest
import torch
from ddl_lesson8.sheets.address import SheetError, col_name
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.xlsx import open_workbook
from test_hostile import fuzz, make

SECONDS = 60 if 'coverage' in sys.modules else 10 # of computing time; counting the lines that run takes its own


def cells(**formulas): # XML of rows: formulas and numbers by address, those of one row next to each other
    rows = {}
    for at, v in formulas.items(): rows.setdefault(int(at.lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZ')), []).append((at, v))
    one = lambda at, v: f'<c r="{at}"><f>{escape(v)}</f><v>1</v></c>' if isinstance(v, str) else f'<c r="{at}"><v>{v}</v></c>'
    return ''.join(f'<row r="{r}">' + ''.join(one(*c) for c in found) + '</row>' for r, found in sorted(rows.items()))


def column(n, text): return cells(**{f'A{i}': text(i) for i in range(1, n + 1)})
def names(**texts): return ''.join(f'<definedName name="{n}">{escape(t)}</definedName>' for n, t in texts.items())
def solver(**texts): return ''.join(f'<definedName name="solver_{n}" localSheetId="0">{t}</definedName>' for n, t in texts.items())
def doubling(n): return ''.join(f'a{i}x,' + '+'.join([f'a{i - 1}x' if i else 'B1'] * 2) + ',' for i in range(n)) + f'a{n - 1}x'


def timed(f): # what it gives, and that it did not take too long
    began = time.process_time()
    try: return f()
    finally: assert time.process_time() - began < SECONDS


TOO_MUCH = {
    'arrays': (dict(rows=''.join(f'<row r="{i}"><c r="{col_name(i)}{i}"><f t="array" ref="{col_name(i)}{i}:{col_name(i)}{i + 900_000}">1</f><v>1</v></c></row>' for i in (1, 2))), 'the most that all array formulas may fill'),
    'a large range': (dict(rows=cells(A1='SUM(C1:ZZ250000)')), 'formulas up to here read 175,000,000 cells'),
    'many large ranges': (dict(rows=column(100, lambda i: f'SUM(C1:AZ{40_000 + i})')), 'formulas up to here read'),
    'ranges that move': (dict(rows=column(1500, lambda i: f'SUM(C{i}:CX{i + 1000})')), 'formulas up to here read 150,150,000 cells'),
    'places that are known late': (dict(rows=column(400, lambda i: f'OFFSET(C1,B{i},{i})')), 'may look anywhere'),
    'many different formulas': (dict(rows=column(30_010, lambda i: f'B1+{i}')), '30,001 formulas that are no copies of each other'),
    'long different formulas': (dict(rows=column(150, lambda i: '+'.join(['B1'] * 2600) + f'+{i}')), 'letters; at most'),
    'many terms': (dict(rows=column(200, lambda i: f'{i}+m3x'), names=names(m0x='+'.join(['1'] * 20), m1x='+'.join(['m0x'] * 8), m2x='+'.join(['m1x'] * 8), m3x='+'.join(['m2x'] * 8))), 'the formulas up to here have more than 400,000 terms')}


@pytest.mark.parametrize('what', TOO_MUCH)
def test_too_much_work_is_refused_at_load(make, what):
    made, words = TOO_MUCH[what]
    path = make(**made)
    open_workbook(path) # to look at it is no work
    with pytest.raises(SheetError, match=words) as e: timed(lambda: SheetModule.load(path, []))
    assert str(path) in str(e.value) and 'data!' in str(e.value)


def test_a_long_chain(make):
    path = make(column(20_010, lambda i: f'A{i - 1}+1' if i > 1 else '1'))
    with pytest.raises(SheetError, match='each waits for the one before'): timed(lambda: SheetModule.load(path, []))


@pytest.mark.parametrize('formula', [f'LET({doubling(60)})', f'LAMBDA(x,LET({doubling(60)}))(1)', 'LET(' + ','.join(f'a{i}x,' + '(' * 40 + (f'a{i - 1}x' if i else 'B1') + '+1)' * 40 for i in range(45)) + ',a44x)'])
def test_a_let_that_grows_keeps_its_saved_result(make, formula):
    path = make(cells(A1=formula, B1=5))
    module = timed(lambda: SheetModule.load(path))
    assert module.how('A1') == 'frozen' and module.values('A1') == 1. and 'grows too large' in module.frozen[0].function
    with pytest.raises(SheetError, match='data!A1: .*grows too large'): timed(lambda: SheetModule.load(path, unknown='refuse'))


def test_names_that_lie_deep_inside_each_other(make):
    chain = dict(n0x='data!$B$1', **{f'n{i}x': '(' * 60 + f'n{i - 1}x' + '+1)' * 60 for i in range(1, 45)})
    path = make(cells(A1='n44x', B1=5), names=names(**chain))
    try: module = timed(lambda: SheetModule.load(path))
    except SheetError as e: assert 'too deep inside each other' in str(e)
    else: assert module.values('A1') in (1., 5. + 60 * 44)


def test_the_engine_is_not_asked_to_look_at_a_sheet(make):
    path = make(cells(A1='BESSELJ(COUNTIF(C2:Z250001,1),1)', A2='BESSELJ(COUNTA(SEQUENCE(1000000,1000)),1)', B1=5))
    module = timed(lambda: SheetModule.load(path))
    assert timed(lambda: module({'B1': [[6.]]}).values('A2')) == 1. and module.how('A2') == 'frozen'


def test_what_large_honest_sheets_need_is_computed(make):
    n = 10_000
    rows = ''.join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c><c r="B{i}"><f>SUM(A$1:A{i})</f><v>0</v></c><c r="C{i}"><f>{"C%d+A%d" % (i - 1, i) if i > 1 else "A1"}</f><v>0</v></c></row>' for i in range(1, n + 1))
    sheets = timed(lambda: SheetModule.load(make(rows), []))()
    assert sheets.values(f'B{n}') == sheets.values(f'C{n}') == n * (n + 1) / 2


KINDS = [lambda i: i * 1.25, lambda i: -i / 3, lambda i: None, lambda i: ('str', 'words'), lambda i: ('b', '1'), lambda i: f'D{i}*2', lambda i: 1e300 * 1e8, lambda i: f'B{i - 1}/7', lambda i: f'C{i - 1}-1', lambda i: '1/0', lambda i: 'NA()', lambda i: 'BESSELJ(D1,1)']


@pytest.mark.parametrize('seed', range(24))
def test_running_sums_are_sums(make, seed): # right: SUM with a second argument, which adds each range by itself
    rng = random.Random(seed)
    first = rng.choice([2, 2, 4]) # from 4 on ranges above turn round: no cell may see the row before
    kinds = rng.sample(KINDS[:7] if first == 4 else KINDS[:9 if seed % 3 else 12], 4) + KINDS[:3] * 2
    columns = {'A': lambda i: rng.choice(kinds)(i), 'D': lambda i: i * .5, 'B': lambda i: f'SUM($A${first}:$A{i})', 'C': lambda i: f'SUM($A${first}:$A{i},0)',
               'E': lambda i: f'SUM(D${first}:D{i})-SUM($B$2:B{i})', 'F': lambda i: f'SUM(D${first}:D{i},0)-SUM($C$2:C{i},0)'}
    def cell(at, v):
        if v is None: return ''
        if isinstance(v, tuple): return f'<c r="{at}" t="{v[0]}"><v>{v[1]}</v></c>'
        return f'<c r="{at}"><f>{escape(v)}</f><v>1</v></c>' if isinstance(v, str) else f'<c r="{at}"><v>{v!r}</v></c>'
    rows = ''.join(f'<row r="{i}">' + ''.join(cell(f'{c}{i}', columns[c](i)) for c in 'ABCDEF') + '</row>' for i in range(2, 14))
    module = SheetModule.load(make(rows), [])
    for inputs in ({}, {'D2:D13': torch.arange(24.).reshape(2, 12, 1) - 5}, {'A4': torch.tensor([[3.]])}):
        sheets = module(inputs)
        for ours, plain in (('B', 'C'), ('E', 'F')):
            def read(c):
                try: return sheets.values(f'{c}2:{c}13')
                except SheetError as e: return 'depends' in str(e) or 'cannot be computed' in str(e)
            assert read(ours) == read(plain), (inputs, read(ours), read(plain))


@pytest.mark.parametrize('f, right', [('MAX', 1008.), ('AVERAGE', 504.1671)])
def test_what_runs_over_10_000_rows_is_computed_or_refused_in_words(make, f, right): # no group of its own, as a running sum is
    def rows(n): return ''.join(f'<row r="{i}"><c r="A{i}"><v>{i * 7919 % 1009}</v></c><c r="B{i}"><f>{f}($A$1:A{i})</f><v>1</v></c></row>' for i in range(1, n + 1))
    path, began = make(rows(10_000)), time.process_time()
    assert SheetModule.load(path, []).values('B10000') == pytest.approx(right) and time.process_time() - began < SECONDS
    path, began = make(rows(20_000)), time.process_time()
    with pytest.raises(SheetError, match='cells; at most 100,000,000'): SheetModule.load(path, [])
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize('bad', [dict(typ='7'), dict(num='x'), dict(num='1000000000'), dict(adj='data!$A:$XFD'), dict(adj='data!$A$1:$XFD$1000000'), dict(adj='nonsense'), dict(typ='3', val='nan')])
def test_damaged_settings_of_the_solver_stop_only_fit(make, bad):
    path = make(cells(A1=2, B1='A1*3'), names=solver(**{**dict(opt='data!$B$1', adj='data!$A$1'), **bad}))
    module = timed(lambda: SheetModule.load(path))
    assert module.values('B1') == 6. and list(module.solver_trouble) == ['data']
    with pytest.raises(SheetError, match=str(path)): module.fit()
    with pytest.raises(SheetError, match=str(path)): module.fit(sheet='data')
    again = SheetModule.load(path, ['A1'])
    assert abs(again.fit('B1', goal='value', target=12.).value - 12) < 1e-3


def test_many_ranges_of_the_solver(make):
    path = make(cells(A1=2), names=solver(opt='data!$A$1', adj=','.join(f'data!${col_name(i)}$1' for i in range(1, 900))))
    assert len(timed(lambda: SheetModule.load(path)).areas) == 899


def test_an_escape_in_a_formula_keeps_the_saved_result(make):
    path = make(cells(A1='IF("_x0041_"="A",7,8)', B1='IF("_x41_"="_x41_",5,8)'))
    module = SheetModule.load(path)
    assert module.how('A1') == 'frozen' and module.values('A1') == 1. and module.values('B1') == 5.
    assert 'means one text by the format' in module.frozen[0].function


@pytest.mark.parametrize('text', ["'a[" * 2700, ']' + "'a[" * 2700, "'[a]" * 2000, 'T[[a]' + "'[" * 4000 + ']'])
def test_no_formula_makes_the_search_for_other_files_slow(make, text):
    rows = ''.join(f'<row r="{i}"><c r="A{i}"><f>{text}+{i}</f><v>1</v></c></row>' for i in range(1, 101))
    timed(lambda: open_workbook(make(rows)))
    try: timed(lambda: SheetModule.load(make(rows), []))
    except SheetError as e: assert 't.xlsx' in str(e)


def test_many_names_of_another_file_are_found_fast(make):
    path = make(column(5000, lambda i: f'B{i}+far1999x'), names=names(**{f'far{i}x': '[1]s!A1' for i in range(2000)}))
    assert len(timed(lambda: open_workbook(path)).outside) == 5000


def test_long_formulas_that_are_shared_often(make):
    rows = f'<row r="1"><c r="A1"><f t="shared" si="0" ref="A1:A2000">{"B1+" * 2000}1</f><v>1</v></c></row>' + ''.join(f'<row r="{i}"><c r="A{i}"><f t="shared" si="0"/><v>1</v></c></row>' for i in range(2, 2001))
    with pytest.raises(SheetError, match='shared formulas have more than'): timed(lambda: open_workbook(make(rows)))


def test_a_text_that_doubles_ends_where_excel_ends_it(make):
    path = make(cells(A1='"x"', **{f'A{i}': f'A{i - 1}&A{i - 1}' for i in range(2, 50)}))
    sheets = timed(lambda: SheetModule.load(path)())
    assert sheets.values('A15') == 'x' * 2**14 and sheets.values('A16') == sheets.values('A49') == '#VALUE!'


def test_a_column_times_a_row_is_refused(make):
    path = make('<row r="1"><c r="B1"><v>1</v></c><c r="C1"><f t="array" ref="C1:C1">SUM(A1:A30000*TRANSPOSE(A1:A30000))</f><v>1</v></c></row>')
    with pytest.raises(SheetError, match='data!C1: a column and a row that become 900,000,000 numbers'): timed(lambda: SheetModule.load(path, unknown='refuse')())


MUCH = {'an array': dict(A1='SUM(SEQUENCE(30000,30000))'), 'a made array': dict(A1='SUM(MAKEARRAY(100000,1000,LAMBDA(r,c,r*c)))'),
        'places that move': {f'A{i}': f'SUM(OFFSET(C1,0,0,600000,50+B{i}))' for i in range(1, 60)},
        'arrays in each formula': {f'A{i}': f'SUM(SEQUENCE(5000,5000)+{i})' for i in range(1, 600)}}


@pytest.mark.parametrize('what', MUCH)
def test_too_much_work_is_refused_while_it_is_computed(make, what):
    path = make(cells(**MUCH[what]))
    module = timed(lambda: SheetModule.load(path, [], max_work=1e9))
    with pytest.raises(SheetError, match=r'data!A\d+: .*(at once|allow more with max_work)'): timed(module)


def test_the_work_that_is_allowed_can_be_chosen(make):
    n = 2000
    path = make(cells(**{f'A{i}': i for i in range(1, n + 1)}, **{f'B{i}': f'MATCH(A{i},A$1:A${n},0)' for i in range(1, n + 1)}))
    for most in (1e6, 1e9):
        module = SheetModule.load(path, [], max_work=most)
        if most == 1e6:
            with pytest.raises(SheetError, match='make more than'): module()
            assert module.values('A1') == 1.
        else: assert module().values(f'B1:B{n}') == [[float(i)] for i in range(1, n + 1)]
    batch = torch.arange(1., n + 1)[None, :, None].expand(1000, n, 1)
    with pytest.raises(SheetError, match='smaller batch'): timed(lambda: module({f'A1:A{n}': batch}))


def test_many_pairs_are_computed_in_parts(make, monkeypatch): # right: the same in one piece
    from ddl_lesson8.sheets import plan
    path = make(cells(**{f'A{i}': i % 17 for i in range(1, 101)}, **{f'B{i}': f'COUNTIF(A$1:A$100,A{i})+A{i}/7' for i in range(1, 101)}))
    x = {'A1:A100': torch.arange(300.).reshape(3, 100, 1) % 13}
    whole = SheetModule.load(path, [])
    monkeypatch.setattr(plan, '_MANY', 900)
    parts = SheetModule.load(path, [])
    assert torch.equal(whole()['B1:B100'], parts()['B1:B100']) and torch.equal(whole(x)['B1:B100'], parts(x)['B1:B100'])


def test_unique_of_many_is_fast(make): # right: the numbers that are there
    path = make(cells(A1='SUM(UNIQUE(SEQUENCE(100000)))', A2='SUM(UNIQUE(MOD(SEQUENCE(20000),7)))', A3='SUM(UNIQUE(SEQUENCE(5),FALSE,TRUE))'))
    sheets = timed(SheetModule.load(path, []))
    assert [sheets.values(f'A{i}') for i in (1, 2, 3)] == [100000 * 100001 / 2, 21., 15.]


def test_a_formula_that_keeps_the_engine_busy_keeps_its_saved_result(make, monkeypatch):
    from ddl_lesson8.sheets import engine
    monkeypatch.setattr(engine, '_ENGINE_SECONDS', 2)
    path = make(cells(A1='COMBIN(1E15,B1)', B1=5e14, A2='WEIBULL.DIST(B2,2,3,TRUE)', B2=1., A3='B2*2'))
    module = timed(lambda: SheetModule.load(path, []))
    assert timed(lambda: module.how('A1')) == 'frozen' and module.values('A1') == 1.
    sheets = timed(lambda: module({'B1': [[7.]], 'B2': [[3.]]}))
    assert sheets.values('A3') == 6.
    with pytest.raises(SheetError, match='data!A1 cannot be computed'): sheets.values('A1')
