"Workbooks with Solver settings of each kind: fit reaches the known optimum, and save keeps the settings"
import itertools, math
import numpy as np
import pytest, torch
from formula_fuzz import F, write
from ddl_lesson8.sheets.address import SheetError, cell_name
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.xlsx import read_xlsx

REL = {'<=': 1, '=': 2, '>=': 3, 'int': 4, 'bin': 5, 'dif': 6}


def book(path, cells, opt, adj, goal='min', val=None, constraints=(), neg=True, sheet='s', more=None, settings={}):
    names = dict(opt=f'{sheet}!{opt}', adj=','.join(f'{sheet}!{a}' for a in adj.split(',')), typ={'max': 1, 'min': 2, 'value': 3}[goal], val=val or 0, num=len(constraints), neg=1 if neg else 2)
    for k, (left, op, right) in enumerate(constraints, 1): names |= {f'lhs{k}': f'{sheet}!{left}', f'rel{k}': REL[op], f'rhs{k}': right if isinstance(right, (int, float)) else f'{sheet}!{right}'}
    write(path, {sheet: cells} | (more or {}), [(f'solver_{k}', sheet, str(v)) for k, v in (names | settings).items()])
    return SheetModule.load(path)


def matrix(values, top=1, left=1): return {(top + i, left + j): float(v) for i, row in enumerate(values) for j, v in enumerate(row)}


def saved_again(m, path):
    m.save(path)
    assert read_xlsx(path).solver == read_xlsx(m.source).solver
    return SheetModule.load(path)


def test_a_portfolio_of_least_variance(tmp_path):
    S = np.array([[.04, .006, .01], [.006, .09, .02], [.01, .02, .16]])
    cells = matrix(S) | matrix([[1 / 3] * 3], 5) | {(7, 1): F('SUM(A5:C5)'), (8, 1): F('SUMPRODUCT(MMULT(A5:C5,A1:C3),A5:C5)')}
    m = book(tmp_path/'p.xlsx', cells, 'A8', 'A5:C5', constraints=[('A7', '=', 1)])
    fit = m.fit()
    w = np.linalg.solve(S, np.ones(3)); w /= w.sum()
    assert np.allclose(m['A5:C5'].detach().numpy().flatten(), w, atol=1e-5) and math.isclose(fit.value, w @ S @ w, rel_tol=1e-6)
    assert math.isclose(saved_again(m, tmp_path/'q.xlsx')['A7'].item(), 1, abs_tol=1e-7)


def test_a_portfolio_that_must_earn(tmp_path):
    S, mu = np.diag([.01, .04, .09]), [.02, .05, .1]
    cells = matrix(S) | matrix([[1., 0, 0]], 5) | matrix([mu], 6) | {(7, 1): F('SUM(A5:C5)'), (8, 1): F('SUMPRODUCT(MMULT(A5:C5,A1:C3),A5:C5)'), (9, 1): F('SUMPRODUCT(A5:C5,A6:C6)')}
    m = book(tmp_path/'p.xlsx', cells, 'A8', 'A5:C5', constraints=[('A7', '=', 1), ('A9', '>=', .06)])
    m.fit()
    w = m['A5:C5'].detach().numpy().flatten()
    A = np.block([[2 * S, np.array([[1, 1, 1], mu]).T], [np.array([[1, 1, 1], mu]), np.zeros((2, 2))]]) # Lagrange
    assert np.allclose(w, np.linalg.solve(A, [0, 0, 0, 1, .06])[:3], atol=1e-4)


def test_transport(tmp_path):
    cost, supply, demand = [[8, 6, 10], [9, 12, 13]], [35, 50], [45, 20, 20]
    cells = matrix(cost) | matrix([[0] * 3] * 2, 4) | {(r, 4): F(f'SUM(A{r}:C{r})') for r in (4, 5)} | {(6, c): F(f'SUM({cell_name(4, c)}:{cell_name(5, c)})') for c in (1, 2, 3)}
    cells |= matrix([[s] for s in supply], 4, 5) | matrix([demand], 7) | {(9, 1): F('SUMPRODUCT(A1:C2,A4:C5)')}
    m = book(tmp_path/'t.xlsx', cells, 'A9', 'A4:C5', constraints=[('D4:D5', '<=', 'E4:E5'), ('A6:C6', '=', 'A7:C7')])
    fit = m.fit()
    best = min(sum(c * x for c, x in zip(itertools.chain(*cost), (a, b, 35 - a - b, 45 - a, 20 - b, 20 - (35 - a - b)))) for a in range(36) for b in range(21) if 15 <= a + b <= 35)
    assert fit.converged and math.isclose(fit.value, best) and math.isclose(saved_again(m, tmp_path/'u.xlsx').values('A9'), best)


def test_shortest_path(tmp_path):
    edges = [(1, 2, 4), (1, 3, 2), (3, 2, 1), (2, 4, 5), (3, 4, 8), (4, 5, 3), (2, 5, 10)]
    cells = {}
    for r, (a, b, c) in enumerate(edges, 1): cells |= {(r, 1): float(a), (r, 2): float(b), (r, 3): float(c), (r, 4): 0.}
    cells |= {(r, 6): float(r) for r in range(1, 6)} | {(r, 7): F(f'SUMIF($A$1:$A$7,F{r},$D$1:$D$7)-SUMIF($B$1:$B$7,F{r},$D$1:$D$7)') for r in range(1, 6)}
    cells |= {(r, 8): v for r, v in enumerate([1., 0., 0., 0., -1.], 1)} | {(9, 1): F('SUMPRODUCT(C1:C7,D1:D7)')}
    m = book(tmp_path/'g.xlsx', cells, 'A9', 'D1:D7', constraints=[('G1:G5', '=', 'H1:H5'), ('D1:D7', 'bin', None)])
    assert m.fit().value == pytest.approx(11) and m['D1:D7'].flatten().tolist() == [0, 1, 1, 1, 0, 1, 0]


def test_staffing_in_whole_numbers(tmp_path):
    need = [17, 13, 15, 19, 14, 16, 11] # each works five days in a row
    cells = matrix([[0] * 7]) | matrix([need], 3) | {(2, d + 1): F('+'.join(cell_name(1, (d - k) % 7 + 1) for k in range(5))) for d in range(7)} | {(5, 1): F('SUM(A1:G1)')}
    m = book(tmp_path/'s.xlsx', cells, 'A5', 'A1:G1', constraints=[('A2:G2', '>=', 'A3:G3'), ('A1:G1', 'int', None)])
    assert m.fit().value == 23 and all(v == round(v) for v in m['A1:G1'].flatten().tolist()) and (m['A2:G2'] >= torch.tensor(need)).all()


def test_a_diet_and_the_largest_of_a_straight_line(tmp_path):
    cells = matrix([[2, 3.5], [60, 20], [4, 9]]) | matrix([[0, 0]], 5) | {(7, 1): F('SUMPRODUCT(A1:B1,A5:B5)'), (8, 1): F('SUMPRODUCT(A2:B2,A5:B5)'), (9, 1): F('SUMPRODUCT(A3:B3,A5:B5)')}
    m = book(tmp_path/'d.xlsx', cells, 'A7', 'A5:B5', constraints=[('A8', '>=', 300), ('A9', '>=', 60)])
    m.fit()
    assert m['A5:B5'].flatten().tolist() == pytest.approx(np.linalg.solve([[60, 20], [4, 9]], [300, 60]).tolist())
    best = book(tmp_path/'m.xlsx', cells, 'A7', 'A5:B5', 'max', constraints=[('A8', '<=', 300), ('A9', '<=', 60)])
    assert best.fit().value == pytest.approx(max(2 * a + 3.5 * b for a, b in ((5, 0), (0, 60 / 9), np.linalg.solve([[60, 20], [4, 9]], [300, 60]))))
    exact = book(tmp_path/'v.xlsx', cells, 'A7', 'A5:B5', 'value', 12, [('A8', '>=', 100), ('A5:B5', 'int', None)])
    assert exact.fit().value == pytest.approx(12) and exact['A8'].item() >= 100 and exact['A5'].item() == round(exact['A5'].item())


def test_logistic_regression_by_maximum_likelihood(tmp_path):
    g = np.random.default_rng(0)
    x = g.normal(size=30)
    y = (g.uniform(size=30) < 1 / (1 + np.exp(-(1.2 * x - .4)))).astype(float)
    cells = matrix(np.stack([x, y], 1)) | {(r, 3): F(f'1/(1+EXP(-($F$1*A{r}+$F$2)))') for r in range(1, 31)} | {(r, 4): F(f'B{r}*LN(C{r})+(1-B{r})*LN(1-C{r})') for r in range(1, 31)}
    cells |= {(1, 6): 0., (2, 6): 0., (3, 6): F('SUM(D1:D30)')}
    m = book(tmp_path/'l.xlsx', cells, 'F3', 'F1:F2', 'max', neg=False)
    m.fit()
    b, X = np.zeros(2), np.stack([x, np.ones(30)], 1)
    for _ in range(30): # Newton
        p = 1 / (1 + np.exp(-X @ b)); b += np.linalg.solve(X.T @ (X * (p * (1 - p))[:, None]), X.T @ (y - p))
    assert np.allclose(m['F1:F2'].detach().numpy().flatten(), b, atol=1e-5)


SQUARE = {(1, 1): 1., (2, 1): 1., (1, 3): F('(A1-3)^2+(A2+1)^2'), (2, 3): F('A1*A2'), (3, 3): F('A1+A2')}


def test_several_settings_and_a_stale_one_elsewhere(tmp_path):
    path = tmp_path/'m.xlsx'
    names = [('solver_opt', 's', 's!C1'), ('solver_adj', 's', 's!A1:A2'), ('solver_neg', 's', '2'), ('solver_opt', 't', 't!B1'), ('solver_adj', 't', 't!A1'), ('solver_neg', 't', '2'), ('solver_opt', 'u', 'u!#REF!'), ('solver_adj', 'u', 'u!#REF!')]
    write(path, {'s': SQUARE, 't': {(1, 1): 5., (1, 2): F('(A1-2)^2+1')}, 'u': {(1, 1): 1.}}, names)
    m = SheetModule.load(path)
    assert m.fit().value == pytest.approx(0, abs=1e-9) and m.fit(sheet='t').value == pytest.approx(1) and m['t!A1'].item() == pytest.approx(2)
    with pytest.raises(SheetError, match="in the Solver's settings"): m.fit(sheet='u')
    with pytest.raises(SheetError, match="'nowhere' has no Solver settings; these have: s, t, u"): m.fit(sheet='nowhere')


def test_constraints_by_hand_and_a_bound_that_moves(tmp_path):
    write(tmp_path/'c.xlsx', {'s': SQUARE})
    m = SheetModule.load(tmp_path/'c.xlsx', ['A1:A2'])
    m.fit('C1', constraints=[('A1', '<=', 'A2')])
    assert m['A1:A2'].flatten().tolist() == pytest.approx([1, 1], abs=1e-5)
    m.fit('C1', constraints=[('C3', '=', 4)])
    assert m['A1:A2'].flatten().tolist() == pytest.approx([4, 0], abs=1e-5)


def test_what_the_solver_cannot_do_is_refused_in_words(tmp_path):
    write(tmp_path/'r.xlsx', {'s': SQUARE})
    m = SheetModule.load(tmp_path/'r.xlsx', ['A1:A2'])
    for wish, words in (([('A1:A2', 'int', None)], 'the objective is no straight line; together with whole numbers'), ([('A1:A2', 'dif', None)], 'dif is not supported'), ([('C2', 'int', None)], 'for a cell that does not change'),
                        ([('C3', '>=', 5), ('C3', '<=', 4)], 'no way was found')):
        with pytest.raises(SheetError, match=words): m.fit('C1', constraints=wish)
    with pytest.raises(SheetError, match='no limit'): m.fit('C3', constraints=[('C3', '<=', 9)])
    with pytest.raises(SheetError, match='no values of the cells'): m.fit('C3', constraints=[('C3', '>=', 5), ('C3', '<=', 4)])
    assert m['A1:A2'].flatten().tolist() == [1, 1] # as it was


NAMES = dict(opt='s!$C$1', adj='s!$A$1:$A$2', typ='2', neg='2')
MORE = {(1, 2): 'ink', (4, 3): F('A1/0'), (1, 4): 2., (2, 4): 3., (3, 4): 4., (1, 5): 9.}


def odd(path, *constraints, **names):
    "A workbook with these Solver settings; constraints as the file names them: left, relation, right"
    for k, sides in enumerate(constraints, 1): names |= {f'{side}{k}': v for side, v in zip(('lhs', 'rel', 'rhs'), sides)}
    found = NAMES | dict(num=len(constraints)) | names
    write(path, {'s': SQUARE | MORE}, [(f'solver_{k}', 's', str(v)) for k, v in found.items() if v is not None])
    return SheetModule.load(path)


OWN, SUM = 's!$A$1:$A$2', 's!$C$3'
REFUSED = [
    ((), dict(opt=None), 'have no objective'), ((), dict(opt='#REF!'), 'names no cells'), ((), dict(opt='s!$C$1:$C$2'), 'the objective .* has 2 cells; name one'),
    ((), dict(opt='s!$D$1'), 'does not depend'), ((), dict(opt='s!$B$1'), "holds the text 'ink' where a number"), ((), dict(opt='s!$C$4'), 'holds the error #DIV/0!'),
    ((), dict(typ='x'), "solver_typ is 'x', no number"), ((), dict(typ='4'), 'known are 1 to 3'), ((), dict(typ='3', val='s!$D$1'), 'solver_val is .*, no number'),
    ((), dict(adj='s!$B$1'), 'must be a number'), ((), dict(adj=''), 'name no cells that change'), ((), dict(num='x'), "solver_num is 'x'"),
    ([(SUM, 1, 1)], dict(num=None), 'does not say how many'), ([(SUM, 1, 1)], dict(num=2), 'constraint 2 is incomplete'), ([(SUM, 7, 1)], {}, 'constraint 1 is incomplete'),
    ([('s!$B$1', 1, 1)], {}, "holds the text 'ink'"), ([('gone!$A$1', 1, 1)], {}, 'names no cells'), ([('s!$C$4', 1, 1)], {}, 'holds the error'),
    *[([(left, 1, right)], {}, words) for left in (OWN, SUM) for right, words in (('s!$B$1', "holds the text 'ink'"), ('"abc"', 'names no cells'), ('2*3', 'names no cells'), ('', 'names no cells'), ('nan', 'no number'))],
    ([(OWN, 3, 's!$D$1:$D$3')], {}, '2 cells have 3 limits'), ([('s!$A$1', 3, 's!$D$1:$D$2')], {}, '1 cells have 2 limits'), ([('s!$C$2:$C$3', 3, 's!$D$1:$D$3')], {}, '2 cells have 3 limits'),
    ([(OWN, 6, 'alldifferent')], {}, 'dif is not supported'), ([(SUM, 4, 'integer')], {}, 'for a cell that does not change'), ([(OWN, 1, 1), (OWN, 3, 2)], {}, 'lies above its upper bound')]


@pytest.mark.parametrize('constraints, names, words', REFUSED)
def test_odd_settings_are_refused_in_words(tmp_path, constraints, names, words):
    m = odd(tmp_path/'odd.xlsx', *constraints, **names)
    with pytest.raises(SheetError, match=words): m.fit()
    assert all(p.flatten().tolist() == [1, 1] for p in m.parameters())


@pytest.mark.parametrize('right', ['s!$D$1:$D$2', 's!$D$1:$E$1'])
def test_each_cell_has_its_own_limit(tmp_path, right):
    "As many limits as cells, in a column or in a row, also where the left side has two areas"
    for left in (OWN, 's!$A$1,s!$A$2'):
        m = odd(tmp_path/'own.xlsx', (left, 3, right))
        m.fit()
        assert m[OWN].flatten().tolist() == pytest.approx([3, {'s!$D$1:$D$2': 3, 's!$D$1:$E$1': 9}[right]])


def test_a_value_that_cannot_be_reached_is_no_success(tmp_path):
    assert not odd(tmp_path/'v.xlsx', typ='3', val='-5').fit().converged
    assert odd(tmp_path/'w.xlsx', typ='3', val='4').fit().converged


@pytest.mark.parametrize('setting, best', [(0, -10), (1, 0), (2, -10)]) # other programs write 0 where Excel writes 2
def test_only_one_setting_keeps_variables_at_zero(tmp_path, setting, best):
    cells = matrix([[1.]]) | {(2, 1): F('2*A1'), (3, 1): F('A1+5')}
    m = book(tmp_path/'n.xlsx', cells, 'A2', 'A1', constraints=[('A3', '>=', 0)], settings=dict(neg=setting))
    assert math.isclose(m.fit().value, best, abs_tol=1e-9)


def test_integer_constraints_that_are_to_be_ignored(tmp_path): # the limits of a binary cell stay
    cells = matrix([[1., 1.]]) | {(2, 1): F('-A1-2*B1'), (3, 1): F('A1+B1')}
    kept, ignored = (book(tmp_path/f'{k}.xlsx', cells, 'A2', 'A1:B1', constraints=[('A3', '<=', 2.5), ('A1', 'int', 0), ('B1', 'bin', 0)],
                          settings=dict(rlx=k)).fit() for k in (2, 1))
    assert math.isclose(kept.value, -3) and math.isclose(ignored.value, -3.5)


@pytest.mark.parametrize('left, right', [('A1:C1', 'A2:C2'), ('A1:B1', 'A3:B3')])
def test_a_lower_limit_of_any_kind_lets_a_cell_be_negative(tmp_path, left, right):
    "Beside the cells that change the first constraint has another one; the limits of the second are computed from what changes"
    cells = matrix([[0., 0., 5.], [-1., -2., 0.]]) | {(3, 1): F('-1+0*B1'), (3, 2): F('-2+0*A1'), (4, 1): F('2*A1+3*B1')}
    m = book(tmp_path/'l.xlsx', cells, 'A4', 'A1:B1', constraints=[(left, '>=', right)])
    assert math.isclose(m.fit().value, -8) and m.values('A1:B1') == [[-1., -2.]]


def test_an_objective_without_a_slope_is_named(tmp_path):
    m = book(tmp_path/'c.xlsx', matrix([[1., 2.]]) | {(2, 1): F('COUNTIF(A1:B1,">0")')}, 'A2', 'A1:B1', 'max')
    with pytest.raises(SheetError, match='only by comparing or rounding'): m.fit()


@pytest.mark.parametrize('least, picked', [(1, [[1., 0., 1.]]), (3, None)])
def test_whole_numbers_beside_a_crooked_constraint(tmp_path, least, picked): # solved without it: the answer meets it, or is refused
    cells = matrix([[0., 0., 0.], [5., 3., 4.], [2., 3., 1.]]) | {(4, 1): F('SUMPRODUCT(A1:C1,A2:C2)'), (5, 1): F('SUMPRODUCT(A1:C1,A3:C3)'), (6, 1): F('COUNTIF(A1:C1,">0.9")')}
    m = book(tmp_path/'w.xlsx', cells, 'A4', 'A1:C1', 'max', constraints=[('A1:C1', 'bin', 0), ('A5', '<=', 3), ('A6', '>=', least)])
    if picked: assert m.fit().value == 9 and m.values('A1:C1') == picked
    else:
        with pytest.raises(SheetError, match=r'A\$?6 >= 3 is no straight line; together with whole numbers'): m.fit()
        assert m.values('A1:C1') == [[0., 0., 0.]]


@pytest.mark.parametrize('formula, what', [('LN(A1-1)', 'the error #NUM!'), ('A1*B1', 'the error #VALUE!')])
def test_a_search_that_begins_at_an_error_names_it(tmp_path, formula, what):
    m = book(tmp_path/'e.xlsx', {(1, 1): 1., (1, 2): 'xx', (2, 1): F(formula), (3, 1): F('A1^2')}, 'A2', 'A1', constraints=[('A3', '<=', 4)])
    with pytest.raises(SheetError, match=f's!A2 holds {what} where a number should be'): m.fit()
