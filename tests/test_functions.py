"Functions of the families against ironcalc, and their gradients against differences"
import pytest, torch
from formula_fuzz import F
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.evaluate import SmallSheet, calculate, evaluate
from ddl_lesson8.sheets.formulas import Fault, parse_formula
from ddl_lesson8.sheets.functions import FUNCTIONS
from ddl_lesson8.sheets.keep import Helper, KeptFormulas
from ddl_lesson8.sheets.values import Cells
from ddl_lesson8.sheets.xlsx import ErrorValue

ROWS = [[2., 6.], [3., 5.], [9., 11.], [1., 7.], [8., 5.], [7., 4.], [5., 4.]]
FORMULAS = '''CEILING(A1*1.3,0.7) CEILING(-2.5,-2) CEILING(-2.5,2) FLOOR(3.7,2) FLOOR(-2.5,-2) MROUND(10,3) MROUND(-10,-3) CEILING.MATH(24.3,5) CEILING.MATH(-8.1,2) CEILING.MATH(-5.5,2,-1)
FLOOR.MATH(-8.1,2) FLOOR.MATH(-5.5,2,-1) PERCENTILE(A1:A7,0.3) PERCENTILE.INC(A1:A7,0.85) PERCENTILE.EXC(A1:A7,0.3) QUARTILE(A1:A7,1) QUARTILE.INC(A1:A7,3) QUARTILE.EXC(A1:A7,3) PERCENTILE(A1:A7,2)
SKEW(A1:A7) SKEW.P(A1:A7) KURT(A1:A7) AVEDEV(A1:A7) GEOMEAN(A1:A7) HARMEAN(A1:A7) SLOPE(A1:A7,B1:B7) INTERCEPT(A1:A7,B1:B7) RSQ(A1:A7,B1:B7) STEYX(A1:A7,B1:B7) FORECAST.LINEAR(3.5,A1:A7,B1:B7)
T.DIST(1.3,4,TRUE) T.DIST(-1.3,4,FALSE) T.DIST.2T(1.3,7) T.DIST.RT(1.3,7) T.INV(0.3,5) T.INV.2T(0.3,5) TDIST(1.3,5,2) NORM.DIST(1,0.5,2,TRUE) NORM.S.DIST(0.7,FALSE) NORM.INV(0.3,1,2) NORM.S.INV(0.3)
STANDARDIZE(A3,4,2) CONFIDENCE.NORM(0.05,2.5,50) PHI(0.3) GAUSS(0.3) FV(0.005,10,-200,-500,1) FV(0,10,-200) PV(0.006,240,500) PMT(0.006,10,10000) PMT(0,10,10000) NPER(0.01,-100,-1000,10000,1)
NPV(0.1,A1:A7) NPV(0.1,-10000,3000,4200,6800) SLN(30000,7500,10) EFFECT(0.0525,4) ROUND(123.456,1) ROUNDUP(-3.14159,3) ROUNDDOWN(98.765,2)
ROUND(-1234.5,-2) ROUND(4503599627370497.5,1)'''.split()


@pytest.fixture(scope='module')
def engine():
    cells = {('s', r, c): v for r, row in enumerate(ROWS, 1) for c, v in enumerate(row, 1)}
    return KeptFormulas({('s', k + 1, 9): (f, 'normal', (1, 1)) for k, f in enumerate(FORMULAS)}, Helper())(cells)


@pytest.mark.parametrize('k', range(len(FORMULAS)), ids=lambda k: FORMULAS[k])
def test_a_function_gives_what_ironcalc_gives(engine, k):
    got, want = calculate(FORMULAS[k], ROWS, functions=FUNCTIONS), engine['s', k + 1, 9]
    want = want.value if isinstance(want, Fault) else want
    assert got == want if isinstance(want, str) else got == pytest.approx(want, rel=1e-8, abs=1e-12)


SMOOTH = '''PERCENTILE(A1:A7,0.3) PERCENTILE.EXC(A1:A7,0.3) SKEW(A1:A7) SKEW.P(A1:A7) KURT(A1:A7) AVEDEV(A1:A7) GEOMEAN(A1:A7) HARMEAN(A1:A7) SLOPE(A1:A7,B1:B7) INTERCEPT(A1:A7,B1:B7)
RSQ(A1:A7,B1:B7) STEYX(A1:A7,B1:B7) FORECAST.LINEAR(A2,A1:A7,B1:B7) LINEST(A1:A7,B1:B7) LINEST(A1:A7,B1:B7,TRUE,TRUE) T.DIST(A1/3,4,TRUE) T.DIST(A1/3,4,FALSE) T.DIST.2T(A1,7) T.INV(A1/10,5) T.INV.2T(A1/10,5)
FV(A1/100,A2,A3,A4,1) PV(A1/100,A2,A3,A4) PMT(A1/100,A2,A3,A4) NPER(A1/100,A2,-A3,-A4) NPV(A1/10,B1:B7) NORM.DIST(A1,B1,A3,TRUE) NORM.INV(A1/10,B1,A3) CONFIDENCE.NORM(A1/10,A2,50)'''.split()


@pytest.mark.parametrize('formula', SMOOTH)
def test_a_function_has_the_slope_of_its_differences(formula):
    tree = parse_formula(formula, 2, 100)
    def f(t):
        sheet = SmallSheet(ROWS, functions=FUNCTIONS)
        sheet.cells = Cells(t[None])
        x = evaluate(tree, sheet, True)
        return x.num if x.kind is None else torch.where(x.kind == 0, x.num, 0.)
    x = torch.tensor(ROWS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, x, atol=1e-6, rtol=1e-5)


def test_linest_of_two_columns():
    g = torch.Generator().manual_seed(0)
    A = torch.rand(9, 2, generator=g, dtype=torch.float64)
    y = A @ torch.tensor([2., -3.], dtype=torch.float64) + 5
    rows = torch.cat([A, y[:, None]], 1).tolist()
    assert calculate('LINEST(C1:C9,A1:B9)', rows, array=True, functions=FUNCTIONS)[0] == pytest.approx([-3, 2, 5])
    assert calculate('LINEST(C1:C9,A1:B9,FALSE)', rows, array=True, functions=FUNCTIONS)[0][2] == 0
    with pytest.raises(SheetError, match='depend on each other'): calculate('LINEST(C1:C9,A1:B9)', [[r[0], r[0], r[2]] for r in rows], functions=FUNCTIONS)


def answers(tmp_path, formulas, names=(), cells=None, **kwargs):
    from formula_fuzz import F, write
    from ddl_lesson8.sheets.module import SheetModule
    grid = {(r, c): v for r, row in enumerate(ROWS, 1) for c, v in enumerate(row, 1)} | (cells or {})
    return SheetModule.load(write(tmp_path/'a.xlsx', {'s': grid | {(20 + k, 9): F(f, f'I{20 + k}') for k, f in enumerate(formulas)}}, names), **kwargs)


LET = {'_xlfn.LET(_xlpm.x,A1,_xlpm.y,_xlpm.x+B1,_xlpm.x*_xlpm.y)': 16., '_xlfn.LAMBDA(_xlpm.x,_xlpm.x^2)(A3)': 81., 'GELU(1)': 0.5 * (1 + torch.erf(torch.tensor(1 / 2**.5, dtype=torch.float64)).item()),
       'SUM(SOFTMAX(A1:A7))': 1., 'INDEX(SOFTMAX(A1:A7),3)': torch.tensor([r[0] for r in ROWS], dtype=torch.float64).softmax(0)[2].item(), 'SUM(MAP(A1:A7,LAMBDA(_xlpm.a,MAX(_xlpm.a,4))))': 41.,
       'SUM(MAP(A1:A7,B1:B7,LAMBDA(a,b,SUM(a,b)*A1)))': 154., 'REDUCE(0,A1:A7,LAMBDA(s,v,s+v^2))': 233., 'MAX(BYROW(A1:B7,LAMBDA(r,SUM(r))))': 20., 'SUM(BYROW(A1:B7,_xleta.MAX))': 49.,
       'SUM(BYCOL(A1:B7,LAMBDA(r,MAX(r))))': 20., 'SUM(SEQUENCE(4,2))': 36., 'SUM(FILTER(A1:A7,B1:B7>5))': 12., 'INDEX(SORT(A1:A7,1,-1),2)': 8., 'ROWS(UNIQUE(B1:B7))': 5., 'SUM(MAP(A1:A7,GELU2))': 105.,
       'INDIRECT("A"&3)': 9., 'SUM(INDIRECT("s!A1:"&ADDRESS(3,1)))': 14., 'INDIRECT("far")*2': 10., 'INDIRECT("no way")': '#REF!', 'SUM(SCAN(0,A1:A3,LAMBDA(a,b,a+b)))': 21., 'LET(f,LAMBDA(x,x+1),f(f(A1)))': 4.}
NAMED = [('GELU', None, '_xlfn.LAMBDA(_xlpm.x,_xlpm.x*NORM.S.DIST(_xlpm.x,TRUE))'), ('SOFTMAX', None, '_xlfn.LAMBDA(_xlpm.z,_xlfn.LET(_xlpm.e,EXP(_xlpm.z-MAX(_xlpm.z)),_xlpm.e/SUM(_xlpm.e)))'),
         ('GELU2', None, 'LAMBDA(x,3*x)'), ('far', None, 's!$A$7')]


def test_let_lambda_and_indirect(tmp_path):
    m = answers(tmp_path, LET, NAMED)
    got = {f: m.values(f'I{20 + k}') for k, f in enumerate(LET)}
    assert {f: v for f, v in got.items() if v != pytest.approx(LET[f])} == {} and m.frozen == []


def test_gradients_and_batches_go_through_map_and_reduce(tmp_path):
    formulas = ['SUM(MAP(A1:A7,LAMBDA(a,a^3)))', 'REDUCE(1,A1:A7,LAMBDA(p,v,p*v))', 'SUM(SOFTMAX(A1:A7)*B1:B7)', 'SUM(BYROW(A1:B7,LAMBDA(r,MAX(r)^2)))', 'GELU(A1)']
    m = answers(tmp_path, formulas, NAMED)
    x = torch.tensor([[r[0]] for r in ROWS], dtype=torch.float64) / 7
    assert torch.autograd.gradcheck(lambda t: m({'A1:A7': t})['I20:I24'], x.requires_grad_())
    batch = torch.stack([x.detach(), 2 * x.detach()])
    assert torch.allclose(m({'A1:A7': batch})['I20:I24'], torch.stack([m({'A1:A7': b})['I20:I24'] for b in batch]))


def test_what_is_no_fixed_text_or_calls_itself_is_kept(tmp_path):
    m = answers(tmp_path, ['INDIRECT(D1)', 'F(3)', 'A1+1'], [('F', None, 'LAMBDA(n,IF(n<1,0,F(n-1)))')], {(1, 4): 'A1'})
    assert 'INDIRECT' in [f.function for f in m.frozen] and m.how('I22') == 'tensor'
    new = m({'A1': torch.tensor(3.)})
    assert new['I22'].item() == 4
    with pytest.raises(SheetError, match='I20 cannot be computed: INDIRECT'): new['I20']


def test_a_spilled_result_may_shrink(tmp_path):
    import zipfile
    from formula_fuzz import F, write
    from ddl_lesson8.sheets.module import SheetModule
    plain = write(tmp_path/'p.xlsx', {'s': {(1, 1): 1., (2, 1): 2., (3, 1): 3., (1, 3): F('_xlfn.FILTER(A1:A3,A1:A3>0)', 'C1:C3'), (1, 5): F('SUM(C1:C3)')}})
    xml = ('<metadata xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><metadataTypes count="1"><metadataType name="XLDAPR" minSupportedVersion="120000" cellMeta="1"/></metadataTypes>'
           '<cellMetadata count="1"><bk><rc t="1" v="0"/></bk></cellMetadata></metadata>')
    with zipfile.ZipFile(plain) as z, zipfile.ZipFile(tmp_path/'d.xlsx', 'w') as out:
        for name in z.namelist():
            text = z.read(name).decode().replace('<c r="C1">', '<c r="C1" cm="1">')
            if name.endswith('workbook.xml.rels'):
                text = text.replace('</Relationships>', '<Relationship Id="m" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sheetMetadata" Target="metadata.xml"/></Relationships>')
            out.writestr(name, text)
        out.writestr('xl/metadata.xml', xml)
    m = SheetModule.load(tmp_path/'d.xlsx')
    assert m.values('C1:E1')[0][0] == 1 and m['E1'].item() == 6
    fewer = m({'A2': torch.tensor(-5.)})
    assert fewer.values('C1:C3') == [[1.], [3.], [None]] and fewer['E1'].item() == 4


NAMED_IN_THE_PLAN = [f'SUBTOTAL({k},A1:A7)' for k in (*range(1, 12), *range(101, 112))] + [f'AGGREGATE({k},{k % 8},A1:A7)' for k in range(1, 14)] + [f'AGGREGATE({k},6,A1:A7/B1:B7,1)' for k in range(14, 20)] + [
    'FORECAST(3,A1:A7,B1:B7)', 'LINEST(A1:A7,B1:B7)', 'CEILING.PRECISE(A1,2)', 'FLOOR.PRECISE(A1,2)', 'ISO.CEILING(A1,2)', 'NORMDIST(A1,0,1,TRUE)', 'NORMSDIST(A1)', 'NORMINV(0.3,A1,1)', 'NORMSINV(0.3)', 'TINV(0.3,5)',
    'ADDRESS(1,2)', 'MODE(A1:A7)', 'MMULT(A1:B2,A3:B4)', 'SORT(A1:A7)', 'UNIQUE(A1:A7)', 'FILTER(A1:A7,B1:B7>4)', 'SEQUENCE(3)']


def test_every_function_that_teaching_workbooks_live_on_is_computed_by_tensors(tmp_path):
    formulas = FORMULAS + NAMED_IN_THE_PLAN + list(LET)
    m = answers(tmp_path, formulas, NAMED)
    assert {f: m.how(f'I{20 + k}') for k, f in enumerate(formulas) if m.how(f'I{20 + k}') != 'tensor'} == {} and m.frozen == []


@pytest.mark.parametrize('formula', 'SUBTOTAL(1,A1:B7) SUBTOTAL(107,A1:B7) AGGREGATE(9,6,A1:A7) AGGREGATE(12,2,A1:B7) AGGREGATE(16,6,A1:A7/B1:B7,0.3) AGGREGATE(14,4,A1:B7,2)'.split())
def test_totals_have_the_slope_of_their_differences(tmp_path, formula):
    m = answers(tmp_path, [formula])
    x = torch.tensor(ROWS, dtype=torch.float64) + torch.linspace(0, .3, 14, dtype=torch.float64).reshape(7, 2) # no two alike
    assert torch.autograd.gradcheck(lambda t: m({'A1:B7': t})['I20'], x.requires_grad_())


def test_a_range_of_sumif_that_is_computed_is_no_crash(tmp_path): # Excel takes ranges only; ironcalc gives #VALUE! too
    m = answers(tmp_path, ['SUMIF(A1:A7*1,">3",B1:B7)', 'AVERAGEIF(TRUE,1,B1:B7)', 'SUMIF(A1:A7,">3",B1:B7)', 'SUMIF(CHOOSE(1,A1:A7),">3")'])
    assert [m.how(f'I{k}') for k in range(20, 24)] == ['frozen', 'frozen', 'tensor', 'tensor']
    assert m.values('I22:I23') == [[24.], [29.]]


ODD = {(1, 1): 1., (1, 2): 2., (2, 1): 3., (2, 2): 5., (3, 1): 'x', (3, 2): 7., (4, 1): 9., (4, 2): 4., (5, 1): 2., (5, 2): 6., (6, 1): ErrorValue('#N/A'), (6, 2): 8., (7, 1): 1., (7, 2): 3.,
       **{(k, 4): v for k, v in enumerate((1., 2., 4., 9., 'x', 1., 3.), 1)}}

@pytest.mark.parametrize('formula', ['SUM(MMULT(A{0}:B{0},$D$1:$D$2))', 'MDETERM(A{0}:B{1})', 'SUM(MINVERSE(A{0}:B{1}))', 'SUM(LINEST(B{0}:B{2},D{0}:D{2}))', 'SUM(OFFSET($B$1,A{0},0))',
                                     'SUM(OFFSET($B$1,0,0,D{0}))', 'IFNA(OFFSET($B$1,A{0},0),-1)', 'SUM(_xlfn._xlws.FILTER(B{0}:B{1},A{0}:A{1}))'])
def test_a_text_or_an_error_of_one_copy_stays_there(formula, tmp_path): # each copy by itself, and ironcalc
    from formula_fuzz import F, from_ironcalc, from_module, same, write
    copies = {(k, 9): F(formula.format(k, k + 1, k + 2)) for k in range(1, 6)}
    def values(engine, formulas): return engine(write(tmp_path/'copies.xlsx', {'s': ODD | formulas}, saved=''), [('s', *at) for at in formulas])
    got, want = values(from_module, copies), values(from_ironcalc, copies)
    assert [at for at in got if not same(got[at], want[at], 1e-9)] == [] and len(set(map(str, got.values()))) > 1
    for at, f in copies.items(): assert str(values(from_module, {at: f})['s', *at]) == str(got['s', *at])


@pytest.mark.parametrize('formula,want', [('OFFSET(A1,B1/0,0)', '#DIV/0!'), ('SUM(OFFSET(A1,MATCH(99,A1:A7,0),0))', '#N/A'), ('IFNA(OFFSET(A1,MATCH(99,A1:A7,0),0),7)', 7.), ('OFFSET(A1,"x",0)', '#VALUE!'), ('OFFSET(A1,-1,0)', '#REF!')])
def test_offset_passes_an_error_on(formula, want): # as ironcalc and LibreOffice
    assert calculate(formula, ROWS, functions=FUNCTIONS) == want


@pytest.mark.parametrize('formula', ['MATCH(4,A1:A7,C1)', 'VLOOKUP(4,A1:B7,2,C1)', 'XMATCH(4,A1:A7,C1)', 'SUBTOTAL(C1,A1:A7)', 'COLUMNS(-C1)', 'ROWS(C1*1)', 'SUMIF(C1+0,"<5")', 'SUM(OFFSET(A1,C1,0))'])
def test_an_error_of_one_element_of_a_batch_stays_there(formula, tmp_path): # the right one is the element by itself
    m = answers(tmp_path, [formula], cells={(1, 3): F('IF(A1>5,1/0,IF(A1>3,1,2))', None), (7, 1): 4.})
    x = torch.tensor([2., 9., 4., 1.], dtype=torch.float64)
    alone = [m({'A1': v}).values('I20') for v in x]
    assert m({'A1': x}).values('I20') == alone and alone[1] == '#DIV/0!' != alone[0]


@pytest.mark.parametrize('formula,want', [('#REF!A1+1', '#REF!'), ('SUM(#REF!A1:B2,1)', '#REF!'), ('IFERROR(#REF!$A:$A,7)', 7.)])
def test_what_a_deleted_sheet_leaves_behind(formula, want): # Excel writes the cells of a deleted sheet so
    assert calculate(formula, ROWS, functions=FUNCTIONS) == want


@pytest.mark.parametrize('formula', ['1E400', '-1E309', '{1,1E999}'])
def test_a_number_in_a_formula_is_finite(formula): # ironcalc and LibreOffice refuse it too
    with pytest.raises(SheetError, match='^=[^=]*is larger than any number'): parse_formula(formula)


PICKED = {'SUM(IF(A1>99,B1:B7,1))': 1., 'SUM(IF(A1>0,B1:B7,1))': 42., 'COUNT(IF(A1>99,B1:B7,1))': 1., 'SUM(IF(A1>99,B1:B7,A1:A3))': 14., 'SUM(IF(A1>0,B1:B7,A1:B1))': 42., 'SUM(IFERROR(A1,B1:B7))': 2.,
          'SUM(IFNA(NA(),B1:B7))': 42., 'SUM(SWITCH(A1,99,B1:B7,1))': 1., 'SUM(IFS(A1>99,B1:B7,TRUE,1))': 1., 'SUM(IF(A1:A7>4,B1:B7,1))': 27., 'SUM(IF(A1>99,B1:B7,{1,2}))': 3.}

@pytest.mark.parametrize('formula', PICKED)
def test_one_condition_picks_a_whole_branch(formula, tmp_path): # as ironcalc (array formulas) and LibreOffice; the sizes of the branches differ
    m = answers(tmp_path, [formula])
    assert m.values('I20') == PICKED[formula]
    x = torch.tensor([100., 2.], dtype=torch.float64)
    assert m({'A1': x})['I20'].expand(2).tolist() == [m({'A1': v}).values('I20') for v in x]


def test_offset_at_several_places_is_no_single_place(tmp_path): # SUMPRODUCT(SUBTOTAL(9,OFFSET(A1,ROW(A1:A7)-1,0))) is 35 in LibreOffice; one place would give 2
    m = answers(tmp_path, ['SUMPRODUCT(SUBTOTAL(9,OFFSET(A1,ROW(A1:A7)-1,0)))', 'SUM(OFFSET(A1,ROWS(A1:A3),0,2))'])
    changed = m({'B1': torch.tensor(7., dtype=torch.float64)})
    with pytest.raises(SheetError, match='OFFSET with an array'): m({'A1': torch.tensor(7., dtype=torch.float64)})['I20']
    assert changed['I21'].item() == 9.


def test_sortby_whose_keys_move_with_the_formula(tmp_path): # as ironcalc
    m = answers(tmp_path, ['SUM(SORTBY($A$1:$A$3,B1:B3)*{1;2;3})', 'SUM(SORTBY($A$1:$A$3,B2:B4)*{1;2;3})'])
    assert m.values('I20:I21') == [[34.], [29.]]


def test_the_middle_of_large_numbers_is_finite(): assert calculate('MEDIAN({1E308,1E308,-1E308})', functions=FUNCTIONS) == 1e308


@pytest.mark.parametrize('formula', ['NPV(-1,1,2)', 'NPV(-1,0)', 'NPV(-1,1,-2)', 'NPV(-1+1E-300,1)'])
def test_npv_where_each_period_takes_all(formula): # as ironcalc and LibreOffice; infinite or no number before
    assert calculate(formula, ROWS, functions=FUNCTIONS) == '#NUM!'


@pytest.mark.parametrize('df', [1, 5, 1999, 2001, 1e6, 1e10])
def test_the_density_of_t_for_many_degrees(df): # scipy's density; at 1e10 it was 6e-7 off, and is the normal one to 1e-10
    from scipy import stats
    want = stats.norm.pdf(1.) if df == 1e10 else stats.t.pdf(1., df)
    assert calculate(f'T.DIST(1,{df:.0f},FALSE)', functions=FUNCTIONS) == pytest.approx(want, rel=2e-10)


FOUR = [[1., 10.], [2., 9.], [3., 8.], [5., 7.]]
RIGHT = [ # as ironcalc and LibreOffice give, where nothing else is said
    ('ROUND(1.1,-400)', 0.), ('TRUNC(5,-400)', 0.), ('ROUNDUP(0,-400)', 0.), ('ROUNDUP(1.1,-400)', '#NUM!'), ('ROUNDUP(1.1,-2)', 100.),
    ('STEYX(A1:A2,B1:B2)', '#DIV/0!'), # "less than three data points" (Excel's page of STEYX)
    ('LARGE(A1:A4,0.5)', '#NUM!'), ('SMALL(A1:A4,0.5)', '#NUM!'), ('LARGE(A1:A4,1)', 5.), ('QUARTILE(A1:A4,-0.5)', '#NUM!'), ('QUARTILE(A1:A4,1.9)', 1.75),
    ('MATCH(2,{2;-3.5;0;5;2;-1},0.5)', 1.),
    ('SUM(SEQUENCE(2,1,"x"))', '#VALUE!'), ('SUM(SEQUENCE(3,1,1,1/0))', '#DIV/0!'), ('SUM(SEQUENCE(3,2,1,"2"))', 36.), # ironcalc
    ('INDEX(SORT(A1:A4,,-1),1)', 5.), # "If not provided, row1/col1 will be presumed" (Excel's page of SORT)
    ('INDEX(SORT(A1:A4,1,2),1)', '#VALUE!'), ('INDEX(SORTBY(A1:A4,B1:B4,0),1)', '#VALUE!'), # ironcalc
    ('NPER(1E-11,-100,1000)', 10.00000000055), # 10 (1 + 5.5 rate), by its series
    ('INDEX(LINEST({1;1;1},{1;1;1},FALSE,TRUE),4,1)', '#NUM!'), # ironcalc
    ('NPER(0,0,1000)', '#NUM!'), ('FV(-2,3,100)', -100.)]

@pytest.mark.parametrize('formula,want', RIGHT)
def test_edges_of_arguments(formula, want):
    assert calculate(formula, FOUR, functions=FUNCTIONS) == (want if isinstance(want, str) else pytest.approx(want, rel=1e-13))


@pytest.mark.parametrize('formula,want', [('(-2)^A1', 0.), ('POWER(-2,A1-4)', 0.), ('STEYX({2;4;6},{1;2;3}*A1)', 0.), ('INDEX(LINEST({1;1;1},{1;1;1}*(A1-2),FALSE,TRUE),5,2)', 0.), # no slope, and not NaN
                                          ('NPER(A2,-100,1000)', 55.), ('PMT(A2*1E-7,10,1000)', -5.5e-5), ('FV(A2*1E-8,10,-1)', 4.5e-7)]) # n (n + 1) / 2 and its like, by series
def test_slopes_where_a_formula_has_an_edge(formula, want):
    x = torch.tensor([[3.], [0.]] if 'A2' in formula and '*' not in formula else [[3.], [1.]], dtype=torch.float64, requires_grad=True)
    sheet = SmallSheet([[0.], [0.]], functions=FUNCTIONS)
    sheet.cells = Cells(x[None])
    evaluate(parse_formula(formula, 2, 100), sheet, True).num.sum().backward()
    assert x.grad.sum().item() == pytest.approx(want, rel=1e-5)
