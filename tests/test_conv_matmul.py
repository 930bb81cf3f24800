"The matrix of a convolution against PyTorch, for random sizes and options"
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from answers import answer_tests, sheet_judge
from ddl_lesson8.book import checks_conv_matmul
from ddl_lesson8.book.sheet_conv_matmul import conv_matmul_sheet
from ddl_lesson8.sheets.address import cell_name
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.conv_matmul import (as_polynomial, coefficient, letters, conv_entries, conv_sources, conv_matrix, conv2d_matmul,
    conv2d_unfold, conv_out_shape, conv_transpose2d_matmul, conv_violation, matrix_counts, show_conv_matrix)

fixed = settings(derandomize=True, deadline=None, max_examples=25)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here')

@st.composite
def cases(draw):
    "Options of a convolution, an image and kernels that fit"
    n = lambda a, b: draw(st.integers(a, b))
    groups = n(1, 3)
    kernel = n(1, 3), n(1, 3)
    o = dict(stride=(n(1, 3), n(1, 3)), padding=(n(0, 2), n(0, 2)), dilation=(n(1, 3), n(1, 3)), groups=groups)
    size = [n(max(1, d * (k - 1) + 1 - 2 * p), 9) for k, p, d in zip(kernel, o['padding'], o['dilation'])]
    g = torch.Generator().manual_seed(n(0, 10**6))
    in_ch, out_ch, batch = n(1, 2), n(1, 2) * groups, n(1, 2)
    x = torch.randn(batch, in_ch * groups, *size, generator=g, dtype=torch.float64)
    w = torch.randn(out_ch, in_ch, *kernel, generator=g, dtype=torch.float64)
    return x, w, torch.randn(out_ch, generator=g, dtype=torch.float64), o

@given(cases(), st.sampled_from(['dense', 'csr']))
@fixed
def test_equals_conv2d(case, layout):
    x, w, b, o = case
    ours, theirs = conv2d_matmul(x, w, b, **o, layout=layout), F.conv2d(x, w, b, **o)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert conv_out_shape(w, x.shape[-2:], o['stride'], o['padding'], o['dilation']) == tuple(theirs.shape[1:])
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)

@given(cases(), st.sampled_from(['dense', 'csr']))
@fixed
def test_equal_bits_for_whole_numbers(case, layout):
    "Sums of whole numbers are exact in any order, so nothing may differ"
    x, w, b, o = case
    x, w, b = (4 * x).round(), (4 * w).round(), (4 * b).round()
    assert torch.equal(conv2d_matmul(x, w, b, **o, layout=layout), F.conv2d(x, w, b, **o))

@given(cases())
@fixed
def test_equal_bits_in_one_order(case):
    "Row of the matrix and window, both summed from left to right: the same bits for any numbers"
    x, w, _, o = case
    matrix, (rows, cols, source, _, shape) = conv_matrix(w, x.shape[-2:], **o), conv_entries(w.shape, x.shape[-2:], **o)
    flat = x[0].flatten()
    for r in range(matrix.shape[0]):
        by_matrix, by_window = 0., 0.
        for m, v in zip(matrix[r].tolist(), flat.tolist()): by_matrix += m * v
        for c, s in zip(cols[rows == r].tolist(), source[rows == r].tolist()): by_window += w.flatten()[s].item() * flat[c].item()
        assert by_matrix == by_window

@given(cases(), st.sampled_from(['dense', 'csr']))
@fixed
def test_transpose_is_gradient_and_transposed_convolution(case, layout):
    x, w, _, o = case
    x.requires_grad_()
    y = F.conv2d(x, w, **o)
    arriving = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grad, = torch.autograd.grad(y, x, arriving)
    back = conv_transpose2d_matmul(arriving, w, x.shape[-2:], **o, layout=layout)
    torch.testing.assert_close(back, grad, rtol=1e-12, atol=1e-12)
    rest = [(n + 2*p - d*(k - 1) - 1) % s for n, k, s, p, d in zip(x.shape[-2:], w.shape[-2:], o['stride'], o['padding'], o['dilation'])]
    if all(r < max(s, d) for r, s, d in zip(rest, o['stride'], o['dilation'])):
        torch.testing.assert_close(back, F.conv_transpose2d(arriving, w, output_padding=rest, **o), rtol=1e-12, atol=1e-12)

@given(cases())
@fixed
def test_gradient_of_the_kernel_is_the_sum_over_its_copies(case):
    x, w, _, o = case
    tied = w.clone().requires_grad_()
    free = conv_matrix(w, x.shape[-2:], **o).requires_grad_()
    conv2d_matmul(x, tied, **o).square().sum().backward()
    (x.flatten(1) @ free.T).square().sum().backward()
    rows, cols, source, _, _ = conv_entries(w.shape, x.shape[-2:], **o)
    summed = torch.zeros(w.numel(), dtype=torch.float64).index_add(0, source, free.grad[rows, cols]).view_as(w)
    torch.testing.assert_close(tied.grad, summed, rtol=1e-10, atol=1e-10)

@given(cases())
@fixed
def test_counts(case):
    x, w, _, o = case
    counts, sources = matrix_counts(w.shape, x.shape[-2:], **o), conv_sources(w.shape, x.shape[-2:], **o)
    assert counts['cells'] == sources.numel() == counts['fixed_zeros'] + counts['distinct_weights'] + counts['tied_copies']
    assert counts['fixed_zeros'] == (sources < 0).sum()
    if counts['cells'] > counts['fixed_zeros']: assert conv_violation(conv_matrix(w, x.shape[-2:], **o), sources) == (0, 0)

@pytest.mark.parametrize('layout', ['dense', 'csr'])
def test_gradcheck(layout):
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, 2, 4, 4, generator=g, dtype=torch.float64), torch.randn(2, 1, 2, 2, generator=g, dtype=torch.float64)
    f = lambda x, w: conv2d_matmul(x, w, stride=2, padding=1, groups=2, layout=layout)
    assert torch.autograd.gradcheck(f, (x.requires_grad_(), w.requires_grad_()))

@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_keeps_dtype(dtype):
    x, w = torch.ones(1, 1, 4, 4, dtype=dtype), torch.ones(1, 1, 2, 2, dtype=dtype)
    assert conv2d_matmul(x, w).dtype == dtype and conv_matrix(w, 4).dtype == dtype
    assert torch.equal(conv2d_matmul(x, w), torch.full((1, 1, 3, 3), 4, dtype=dtype))

@cuda
@pytest.mark.parametrize('layout', ['dense', 'csr'])
def test_cuda(layout):
    x, w = torch.randn(2, 3, 9, 9, dtype=torch.float64, device='cuda'), torch.randn(4, 3, 3, 3, dtype=torch.float64, device='cuda')
    out = conv2d_matmul(x, w, stride=2, padding=1, layout=layout)
    assert out.device == x.device
    torch.testing.assert_close(out, F.conv2d(x, w, stride=2, padding=1), rtol=1e-10, atol=1e-10)

@given(cases())
@fixed
def test_unfold(case):
    x, w, _, o = case
    o.pop('groups')
    x = x[:, :w.shape[1]]
    torch.testing.assert_close(conv2d_unfold(x, w, **o), F.conv2d(x, w, **o), rtol=1e-12, atol=1e-12)

def test_algebra_agrees_with_sympy():
    sympy = pytest.importorskip('sympy')
    names, greek = sympy.symbols('A B C D E F G H J'), sympy.symbols('α β γ δ')
    matrix = sympy.zeros(4, 9)
    for r, c, k in zip(*(t.tolist() for t in conv_entries((1, 1, 2, 2), 3)[:3])): matrix[r, c] = greek[k]
    equations = [sum(greek[2*i + j] * names[3*(r + i) + c + j] for i in range(2) for j in range(2)) for r in range(2) for c in range(2)]
    assert list(matrix * sympy.Matrix(names)) == equations
    image, kernel = letters('ABCDEFGHJ', 3, 3), letters('αβγδ', 2, 2)
    ours = [(image[r:r+2, c:c+2] * kernel).sum() for r in range(2) for c in range(2)]
    as_sympy = lambda p: sum(n * sympy.Mul(*map(sympy.Symbol, k)) for k, n in p.terms.items())
    assert [as_sympy(p) for p in ours] == equations
    assert [[as_sympy(as_polynomial(coefficient(p, str(n)))) for n in names] for p in ours] == matrix.tolist()

@given(st.lists(st.sampled_from('abc'), max_size=3), st.lists(st.sampled_from('abc'), max_size=3), st.integers(0, 4))
@fixed
def test_algebra(left, right, n):
    a, b = sum(map(as_polynomial, left), as_polynomial(n)), sum(map(as_polynomial, right), as_polynomial(1))
    assert a + b == b + a and a * b == b * a and a * (b + 1) == a * b + a and a * 0 == 0 and isinstance(repr(a * b), str)

def test_errors():
    w = torch.zeros(2, 1, 3, 3)
    with pytest.raises(ValueError, match="use layout='csr'"): conv_matrix(torch.zeros(8, 3, 3, 3), 224)
    with pytest.raises(ValueError, match='does not fit'): conv_matrix(w, 2)
    with pytest.raises(ValueError, match='layout'): conv_matrix(w, 5, layout='coo')
    with pytest.raises(ValueError, match='groups'): conv_matrix(w, 5, groups=3)
    with pytest.raises(ValueError, match='stride'): conv_matrix(w, 5, stride=0)
    with pytest.raises(ValueError, match='channels'): conv2d_matmul(torch.zeros(1, 3, 5, 5), w)
    with pytest.raises(ValueError, match=r'\(batch, channels'): conv2d_matmul(torch.zeros(5, 5), w)
    with pytest.raises(ValueError, match='numbers for each image'): conv_transpose2d_matmul(torch.zeros(1, 2, 2, 2), w, 5)
    with pytest.raises(ValueError, match='map of its weights'): conv_violation(torch.zeros(2, 2), conv_sources((1, 1, 1, 1), 3))

def test_draws():
    import matplotlib
    matplotlib.use('Agg')
    ax = show_conv_matrix(conv_sources((1, 1, 3, 3), 4), labels='')
    assert ax.get_xlabel() and ax.get_ylabel()

# ---- the checkers of the exercises

def zeros(size, k): return (size - k + 1)**2 * (size**2 - k**2)

def one_at(i, j, value=1.):
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, i, j] = value
    return kernel

def pool(size, stride=2, weight=.25): return conv_matrix(torch.full((1, 1, 2, 2), weight), size, stride=stride)

def pool_beside(size): # averages of cells that follow each other instead of a square
    matrix = torch.zeros(size**2 // 4, size**2)
    for i in range(len(matrix)): matrix[i, 4*i : 4*i + 4] = .25
    return matrix

def two(first, second, size): return conv_matrix(second, size - 2) @ conv_matrix(first, size)

RIGHT = [(zeros, 'check_fixed_zeros'), (lambda: one_at(1, 1), 'check_identity_kernel'), (pool, 'check_avg_pool_matrix'), (two, 'check_two_in_one'),
         (lambda a, b, size: conv_matrix(F.conv2d(F.pad(a, (2,) * 4), b.flip(2, 3)), size), 'check_two_in_one'), # one 5x5 kernel
         (lambda a, b: a + b - 1, 'check_joint_size')]
WRONG = [
    (lambda size, k: (size - k + 1)**2 * k**2, 'check_fixed_zeros', 'hold a weight'), (lambda size, k: 36, 'check_fixed_zeros', 'not 36'),
    (lambda size, k: 20, 'check_fixed_zeros', 'right for 3x3'), (lambda size, k: (size - k + 1)**2 * size**2 - 16, 'check_fixed_zeros', 'how many rows'),
    (lambda: torch.eye(3), 'check_identity_kernel', 'shape (1, 1, 3, 3)'), (lambda: torch.eye(3).view(1, 1, 3, 3), 'check_identity_kernel', 'a diagonal'),
    (lambda: torch.ones(1, 1, 3, 3), 'check_identity_kernel', 'a single 1'), (lambda: one_at(0, 0), 'check_identity_kernel', 'a neighbour'),
    (lambda: one_at(1, 1, 2.), 'check_identity_kernel', 'the number is not'),
    (lambda size: pool(size, 1), 'check_avg_pool_matrix', 'do not overlap'), (lambda size: pool(size, weight=1.), 'check_avg_pool_matrix', 'add up to 1'),
    (pool_beside, 'check_avg_pool_matrix', 'which columns'), (lambda size: pool(6), 'check_avg_pool_matrix', 'wrong for 4x4'), (lambda size: pool(size).T, 'check_avg_pool_matrix', '9 columns'),
    (lambda a, b, size: conv_matrix(b, size) @ conv_matrix(a, size), 'check_two_in_one', 'how large is the image'),
    (lambda a, b, size: conv_matrix(a, size), 'check_two_in_one', '16 rows'), (lambda a, b, size: two(a, a, size), 'check_two_in_one', 'other numbers'),
    (lambda a, b, size: conv_matrix(F.conv2d(F.pad(a, (2,) * 4), b), size), 'check_two_in_one', 'other numbers'),
    (lambda a, b: a + b, 'check_joint_size', 'six cells'), (lambda a, b: a * b, 'check_joint_size', 'do not multiply'),
    (lambda a, b: 5, 'check_joint_size', 'depends on')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks_conv_matmul, RIGHT, WRONG)

def test_the_exercise_on_the_sheet(tmp_path):
    conv_matmul_sheet(book := Book())
    sheet = book['convolution = matrix']
    kernel = next(b for b in sheet.blocks if b.label == 'kernel α β γ δ')
    cells = [f"'convolution = matrix'!{cell_name(*kernel.at(i, j))}" for i in range(2) for j in range(2)]
    elsewhere = f"'convolution = matrix'!{cell_name(*sheet.blocks[0].at(0, 0))}"
    judge = sheet_judge(conv_matmul_sheet, 'sheet_corner', tmp_path)
    assert judge(dict(zip(cells, (0, 0, 0, 1))))
    cases = [((1, 2, 3, 4), 'nothing has changed'), ((0, 0, 0, 4), '4 times as large'), ((0, 0, 1, 0), 'does not come through'),
             ((0, 0, 1, 1), 'some other cell')]
    for weights, hint in cases: assert hint in judge(dict(zip(cells, weights))).hint
    assert 'none of the four weights' in judge(dict(zip(cells, (0, 0, 0, 1))) | {elsewhere: 9}).hint
