"Sliding windows and pools against PyTorch, in value and gradient"
import math, os, subprocess, sys
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from torch import nn
from ddl_lesson8 import conv_fast
from ddl_lesson8.book import checks_conv
from ddl_lesson8.book.exercises import check_exercise
from ddl_lesson8.book.sheet_conv import conv_sheet
from ddl_lesson8.conv import Conv2d, apply_kernel, conv2d, conv_output_size, edge_kernels, slide_kernel
from ddl_lesson8.conv_fast import FastConv2d, conv2d_fast, fast_choice
from ddl_lesson8.pooling import (AdaptiveConcatPool2d, AvgPool2d, MaxPool2d, adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d,
                                 receptive_field)

LONG = os.environ.get('DDL_LESSON8_LONG') == '1'
search = settings(derandomize=True, deadline=None, max_examples=2000 if LONG else 150, suppress_health_check=list(HealthCheck))
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'") # PyTorch says that it copies the input
devices = ['cpu'] + ['cuda'] * torch.cuda.is_available()

def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

def same_with_gradients(ours, theirs, *inputs, tol=1e-12):
    "Equal results, and equal gradients for every input"
    mine, its = [[t.clone().requires_grad_() for t in inputs] for _ in range(2)]
    a, b = ours(*mine), theirs(*its)
    assert a.shape == b.shape and a.dtype == b.dtype
    grad = normal(*a.shape, seed=1, dtype=a.dtype)
    for x, y in zip((a, *torch.autograd.grad(a, mine, grad)), (b, *torch.autograd.grad(b, its, grad))):
        assert torch.allclose(x, y, rtol=tol, atol=tol * max(1., y.abs().max().item() if y.numel() else 1.)), (x - y).abs().max()

small = lambda lo, hi: st.one_of(st.integers(lo, hi), st.tuples(st.integers(lo, hi), st.integers(lo, hi)))
two = lambda v: v if isinstance(v, tuple) else (v, v)

@st.composite
def conv_cases(draw):
    groups, k = draw(st.integers(1, 3)), (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    n_in, n_out = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    stride, dilation = draw(small(1, 3)), draw(small(1, 3))
    padding = draw(st.one_of(small(0, 4), st.sampled_from(['same', 'valid'])))
    if padding == 'same': stride = 1
    x = normal(*draw(st.sampled_from([(), (1,), (2,), (0,)])), n_in, draw(st.integers(1, 9)), draw(st.integers(1, 9)), seed=draw(st.integers(0, 99)))
    p = (0, 0) if isinstance(padding, str) else two(padding)
    if padding != 'same': assume(all(n + 2*q >= d * (s - 1) + 1 for n, q, d, s in zip(x.shape[-2:], p, two(dilation), k)))
    return x, normal(n_out, n_in // groups, *k, seed=1), draw(st.sampled_from([None, normal(n_out, seed=2)])), dict(stride=stride, padding=padding, dilation=dilation, groups=groups)

@given(conv_cases())
@search
def test_conv2d_is_pytorchs(case):
    x, w, b, kw = case
    inputs = [x, w] if b is None else [x, w, b]
    same_with_gradients(lambda *t: conv2d(*t, **kw), lambda *t: F.conv2d(*t, **kw), *inputs)

@st.composite
def pool_cases(draw, average):
    k = draw(small(1, 4))
    padding = tuple(draw(st.integers(0, s // 2)) for s in two(k))
    kw = dict(kernel_size=k, stride=draw(st.one_of(st.none(), small(1, 4))), padding=padding, ceil_mode=draw(st.booleans()))
    if average: kw |= dict(count_include_pad=draw(st.booleans()), divisor_override=draw(st.sampled_from([None, None, 3, -2])))
    else: kw |= dict(dilation=draw(small(1, 3)))
    x = normal(*draw(st.sampled_from([(), (1,), (2,), (0,)])), draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)), seed=draw(st.integers(0, 99)))
    return (x.round() if draw(st.booleans()) else x), kw # rounded numbers tie

def same_or_both_refuse(ours, theirs, x):
    try: ours(x)
    except ValueError as e:
        if 'sees nothing' in str(e): return # PyTorch gives -inf, and its backward writes outside the picture
    try: theirs(x)
    except RuntimeError:
        with pytest.raises(ValueError): ours(x)
    else: same_with_gradients(ours, theirs, x)

@given(pool_cases(average=False))
@search
def test_max_pool2d_is_pytorchs(case):
    x, kw = case
    same_or_both_refuse(lambda t: max_pool2d(t, **kw), lambda t: F.max_pool2d(t, **kw), x)

@given(pool_cases(average=True))
@search
def test_avg_pool2d_is_pytorchs(case):
    x, kw = case
    same_or_both_refuse(lambda t: avg_pool2d(t, **kw), lambda t: F.avg_pool2d(t, **kw), x)

@given(st.integers(1, 9), st.integers(1, 9), st.tuples(*[st.one_of(st.none(), st.integers(1, 10))] * 2), st.booleans())
@search
def test_adaptive_pools_are_pytorchs(h, w, size, batched):
    x = normal(*([2] if batched else []), 3, h, w).round(decimals=1)
    same_with_gradients(lambda t: adaptive_max_pool2d(t, size), lambda t: F.adaptive_max_pool2d(t, size), x)
    same_with_gradients(lambda t: adaptive_avg_pool2d(t, size), lambda t: F.adaptive_avg_pool2d(t, size), x)

def test_concat_pool_has_maxima_first():
    x = normal(2, 3, 7, 7)
    y = AdaptiveConcatPool2d()(x)
    assert y.shape == (2, 6, 1, 1) and torch.equal(y[:, :3, 0, 0], x.amax((2, 3))) and torch.allclose(y[:, 3:, 0, 0], x.mean((2, 3)))
    assert AdaptiveConcatPool2d((2, 3))(x[0]).shape == (6, 2, 3)

@given(st.integers(0, 30), st.integers(1, 6), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
@search
def test_output_size(n, k, s, p, d):
    if n + 2*p < d * (k - 1) + 1:
        with pytest.raises(ValueError, match='does not fit'): conv_output_size(n, k, s, p, d)
    else:
        starts = [i for i in range(0, n + 2*p, s) if i + d * (k - 1) < n + 2*p] # places, counted
        assert conv_output_size(n, k, s, p, d) == len(starts)

def test_slow_form_and_one_place():
    x, k = normal(7, 6), normal(2, 3, seed=1)
    assert torch.allclose(slide_kernel(x, k, stride=2), F.conv2d(x[None, None], k[None, None], stride=2)[0, 0])
    assert torch.allclose(apply_kernel(x, k, 5, 3), F.conv2d(x[None, None], k[None, None])[0, 0, 5, 3])
    for row, col in ((-1, 0), (0, -1), (6, 0), (0, 4)):
        with pytest.raises(ValueError, match='leaves the'): apply_kernel(x, k, row, col)

@pytest.mark.parametrize('dtype, tol', [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize('device', devices)
def test_dtypes_and_devices_are_kept(dtype, tol, device):
    x, w = normal(2, 3, 9, 9).to(device, dtype), normal(4, 3, 3, 3, seed=1).to(device, dtype)
    for ours, theirs in ((conv2d(x, w), F.conv2d(x, w)), (max_pool2d(x, 2), F.max_pool2d(x, 2)), (avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)),
                         (conv2d_fast(x, w), F.conv2d(x, w)), (adaptive_avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 2))):
        assert ours.dtype == theirs.dtype == dtype and ours.device == theirs.device
        assert torch.allclose(ours, theirs, rtol=tol, atol=tol * 10)

def test_whole_numbers_are_exact():
    x, w = torch.arange(50).view(1, 2, 5, 5), torch.arange(18).view(1, 2, 3, 3) - 9
    assert torch.equal(conv2d(x, w), F.conv2d(x, w)) and torch.equal(max_pool2d(-x, 2, padding=1), F.max_pool2d(-x, 2, padding=1))
    assert torch.equal(avg_pool2d(x, 2), F.avg_pool2d(x, 2))

def test_nan_and_infinity_pass_through():
    x = normal(1, 4, 4); x[0, 1, 1], x[0, 3, 3] = float('nan'), float('inf')
    assert torch.equal(max_pool2d(x, 2).isnan(), F.max_pool2d(x, 2).isnan()) and max_pool2d(x, 2)[0, 1, 1] == float('inf')

x, w = normal(1, 2, 5, 5), normal(4, 2, 3, 3)
@pytest.mark.parametrize('args, kw, says', [
    ((x[0, 0], w), {}, 'not shape'), ((x, w[0]), {}, 'must be .outputs'), ((x, w[:, :, :0]), {}, 'computes nothing'), ((x, w[:0]), {}, 'computes nothing'),
    ((x, w[:, :1]), {}, 'the input has 2 channels'), ((x, w), dict(groups=3), 'divides the 4 outputs'), ((x, w), dict(groups=0), 'divides'),
    ((x, w, normal(3)), {}, 'one for each output'), ((x.float(), w), {}, 'convert one of them'), ((x, w, normal(4).float()), {}, 'convert one of them'),
    ((x, w), dict(stride=0), 'at least 1'), ((x, w), dict(stride=1.5), 'whole number'), ((x, w), dict(stride=(1, 2, 3)), 'whole number'), ((x, w), dict(stride='2'), 'whole number'),
    ((x, w), dict(padding=-1), 'at least 0'), ((x, w), dict(padding='full'), "'valid'"), ((x, w), dict(padding='same', stride=2), 'needs stride 1'),
    ((x, w), dict(dilation=0), 'at least 1'), ((x, w), dict(dilation=3), 'does not fit'), ((x[:, :, :2], w), {}, 'does not fit'), ((x[:, :, :0], w), dict(padding=2), 'has no cells')])
@pytest.mark.parametrize('f', [conv2d, conv2d_fast])
def test_conv2d_says_what_is_wrong(args, kw, says, f):
    with pytest.raises(ValueError, match=says): f(*args, **kw)

@pytest.mark.parametrize('f', [max_pool2d, avg_pool2d])
@pytest.mark.parametrize('x, kw, says', [
    (x[0, 0], dict(kernel_size=2), 'not shape'), (x, dict(kernel_size=0), 'at least 1'), (x, dict(kernel_size=2, stride=0), 'at least 1'), (x, dict(kernel_size=7), 'does not fit'),
    (x, dict(kernel_size=2, padding=2), 'more than half'), (x[:, :0], dict(kernel_size=2), 'no channels'), (x[:, :, :0], dict(kernel_size=2), 'does not fit'),
    (x > 0, dict(kernel_size=2), 'cannot pool torch.bool')])
def test_pools_say_what_is_wrong(f, x, kw, says):
    with pytest.raises(ValueError, match=says): f(x, **kw)

def test_other_errors():
    with pytest.raises(ValueError, match='sees nothing'): max_pool2d(x[:, :, :2, :2], 2, 1, padding=1, dilation=3)
    with pytest.raises(ValueError, match='divisor_override'): avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(ValueError, match='is empty'): adaptive_max_pool2d(x[:, :, :0])
    with pytest.raises(ValueError, match='into 3 groups'): Conv2d(4, 6, 3, groups=3)
    with pytest.raises(ValueError, match='kernel_size'): Conv2d(4, 6, 0)

@pytest.mark.parametrize('kw', [{}, dict(stride=2, padding=1), dict(groups=2, bias=False), dict(dilation=2, padding='same')])
def test_modules_exchange_weights_and_seeds(kw):
    torch.manual_seed(3); ours = Conv2d(2, 4, (3, 5), **kw)
    torch.manual_seed(3); theirs = nn.Conv2d(2, 4, (3, 5), **kw)
    x = normal(3, 2, 12, 13, dtype=torch.float32)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters())) # the same seed draws the same weights
    theirs.load_state_dict(ours.double().state_dict())
    assert torch.allclose(ours(x.double()).float(), theirs(x), atol=1e-5) and '2, 4' in repr(ours)

def test_pool_modules():
    x = normal(2, 3, 9, 9)
    assert torch.equal(MaxPool2d(3, 2, 1, ceil_mode=True)(x), nn.MaxPool2d(3, 2, 1, ceil_mode=True)(x))
    assert torch.allclose(AvgPool2d(3, 2, 1, count_include_pad=False)(x), nn.AvgPool2d(3, 2, 1, count_include_pad=False)(x)) and '3' in repr(AvgPool2d(3))

def test_gradients_of_gradients():
    x, w = normal(1, 1, 4, 4).requires_grad_(), normal(2, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(conv2d, (x, w))

# the fast window: forced, so that every shape goes through it, whatever a race says

needs_window = pytest.mark.skipif(conv_fast._window(torch.float32) is None, reason='no C compiler here')

@pytest.fixture
def forced(monkeypatch):
    "The window always wins"
    monkeypatch.setattr(conv_fast, '_race', lambda ours, theirs: True)
    monkeypatch.setattr(conv_fast, '_CHOICES', {})

@st.composite
def window_cases(draw):
    k, p, s = (draw(st.integers(1, 5)), draw(st.integers(1, 5))), draw(st.integers(0, 3)), draw(st.integers(1, 4))
    n, n_in, n_out, h, w = (draw(st.integers(1, top)) for top in (3, 3, 5, 9, 70))
    assume(h + 2*p >= k[0] and w + 2*p >= k[1] and n_out * n_in * k[0] * k[1] <= 100)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    bias = draw(st.sampled_from([None, normal(n_out, seed=2, dtype=dtype)]))
    return normal(n, n_in, h, w, seed=draw(st.integers(0, 99)), dtype=dtype), normal(n_out, n_in, *k, seed=1, dtype=dtype), bias, s, p

@needs_window
@given(window_cases())
@search
def test_the_window_is_pytorchs(forced, case):
    x, w, b, s, p = case
    assert fast_choice(x, w, b, s, p) == 'window'
    assert torch.allclose(conv2d_fast(x, w, b, s, p), F.conv2d(x, w, b, s, p), rtol=1e-4, atol=1e-4 if x.dtype == torch.float32 else 1e-11)
    inputs = [x, w] if b is None else [x, w, b]
    same_with_gradients(lambda *t: conv2d_fast(*t, stride=s, padding=p), lambda *t: F.conv2d(*t, stride=s, padding=p), *inputs, tol=1e-3 if x.dtype == torch.float32 else 1e-10)

@needs_window
def test_many_images_share_the_work(forced):
    x, w = normal(700, 1, 28, 28, dtype=torch.float32), normal(3, 1, 3, 3, seed=1, dtype=torch.float32) # large enough for several threads
    same_with_gradients(conv2d_fast, F.conv2d, x, w, tol=2e-3)

@needs_window
def test_gradients_of_gradients_of_the_window(forced):
    x, w, b = normal(2, 1, 5, 5).requires_grad_(), normal(2, 1, 3, 3, seed=1).requires_grad_(), normal(2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(conv2d_fast, (x, w, b)) and torch.autograd.gradgradcheck(conv2d_fast, (x, w, b))
    assert fast_choice(x, w, b) == 'window'

@needs_window
def test_what_is_no_plain_tensor_is_handed_over(forced):
    x, w = normal(4, 1, 8, 8), normal(2, 1, 3, 3, seed=1)
    y = conv2d_fast(x, w)
    assert fast_choice(x, w) == 'window'
    assert torch.allclose(conv2d_fast(x.mT.contiguous().mT, w), F.conv2d(x, w)) and fast_choice(x.mT.contiguous().mT, w) == 'F.conv2d' # rows of the copy are columns
    per_image = torch.func.vmap(lambda one: conv2d_fast(one[None], w)[0])(x)
    assert torch.allclose(per_image, y)
    _, tangent = torch.func.jvp(lambda v: conv2d_fast(x, v), (w,), (w,))
    assert torch.allclose(tangent, y)
    assert torch.allclose(torch.func.grad(lambda v: conv2d_fast(x, v).sum())(w), torch.autograd.grad(F.conv2d(x, v := w.clone().requires_grad_()).sum(), v)[0])
    with torch.autocast('cpu', torch.bfloat16): assert conv2d_fast(x.float(), w.float()).dtype == torch.bfloat16
    assert conv2d_fast(x.to('meta'), w.to('meta')).shape == y.shape
    with pytest.raises(ValueError, match='convert one of them'): conv2d_fast(x, w.float())
    with pytest.raises(ValueError, match='one for each output'): conv2d_fast(x, w, normal(1))
    with pytest.raises(ValueError, match='does not fit'): conv2d_fast(x, normal(2, 1, 9, 9))

def test_the_faster_form_is_remembered(monkeypatch):
    x, w, races = normal(4, 1, 8, 8, dtype=torch.float32), normal(2, 1, 3, 3, dtype=torch.float32), []
    monkeypatch.setattr(conv_fast, '_CHOICES', {})
    monkeypatch.setattr(conv_fast, '_window', lambda dtype: (None, None))
    monkeypatch.setattr(conv_fast, '_race', lambda ours, theirs: races.append(1))
    for _ in range(3): assert torch.equal(conv2d_fast(x, w), F.conv2d(x, w)) # the window lost
    assert races == [1]
    conv2d_fast(x, w.clone().requires_grad_())
    assert races == [1, 1] # training is another shape
    for stride in range(1, 600): conv2d_fast(x, w, stride=(stride, stride))
    assert len(conv_fast._CHOICES) <= 500

def test_a_race_is_won_by_a_fifth_only(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(conv_fast.time, 'perf_counter', lambda: next(clock)) # each form takes one tick: a draw
    assert not conv_fast._race(lambda: None, lambda: None)
    assert conv_fast._race(lambda: None, lambda: next(clock))
    assert not conv_fast._race(lambda: next(clock), lambda: None)

def test_fast_choice_hands_over():
    few, x = edge_kernels(), torch.rand(8, 1, 28, 28)
    for x, w, kw in ((x.bfloat16(), few.bfloat16(), {}), (x, torch.rand(12, 1, 3, 3), {}), (x, few, dict(stride=(1, 2))), (x, few, dict(padding='same')), (x[0], few, {}), (x[:0], few, {})):
        assert fast_choice(x, w, **kw) == 'F.conv2d' and torch.equal(conv2d_fast(x, w, **kw), F.conv2d(x, w, **kw))
    assert torch.equal(conv2d_fast(x, few, dilation=2) if x.ndim == 4 and len(x) else few, F.conv2d(x, few, dilation=2) if x.ndim == 4 and len(x) else few)

@pytest.mark.parametrize('compiler', ['no-such-compiler', 'false'])
def test_without_a_compiler_it_goes_on(compiler):
    "A process in which CC names no program, or one that fails: one warning, and PyTorch's results"
    code = ("import warnings, torch, torch.nn.functional as F\nfrom ddl_lesson8.conv_fast import conv2d_fast, fast_choice\n"
            "x, w = torch.rand(64, 1, 28, 28), torch.rand(2, 1, 3, 3)\nwith warnings.catch_warnings(record=True) as caught:\n    warnings.simplefilter('always')\n"
            "    for _ in range(3): y = conv2d_fast(x, w)\nassert torch.equal(y, F.conv2d(x, w)) and fast_choice(x, w) == 'F.conv2d'\n"
            "assert ['no C compiler works here' in str(c.message) for c in caught] == [True], caught")
    subprocess.run([sys.executable, '-c', code], env=dict(os.environ, CC=compiler), check=True, timeout=300)

def test_the_fast_layer():
    torch.manual_seed(3); ours = FastConv2d(2, 4, (3, 5), padding=1)
    torch.manual_seed(3); theirs = nn.Conv2d(2, 4, (3, 5), padding=1)
    x = normal(3, 2, 12, 13, dtype=torch.float32)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)

def test_receptive_field_is_where_the_gradient_is():
    layers = [(5, 2), (3, 1), (2, 2)]
    x = torch.ones(1, 40, 40, requires_grad=True); y = x
    for k, s in layers: y = conv2d(y, torch.ones(1, 1, k, k), stride=s)
    y[0, 3, 3].backward()
    assert int((x.grad[0] != 0).sum()) == receptive_field(layers)[0] ** 2

def test_sheet_agrees_and_any_change_is_found(tmp_path):
    from ddl_lesson8.sheets.book import Book, crosscheck, read_range
    book = Book()
    checks = conv_sheet(book)
    path = book.save(tmp_path/'conv.xlsx')
    assert crosscheck(path, checks)
    soft = read_range(path, 'conv_softmax')
    assert abs(soft.sum().item() - 1) < 1e-12
    assert not torch.equal(read_range(path, 'conv_softmax', changes={'convolutions!AE13': 2.}), soft) # the formulas are alive

def test_the_exercise_on_the_sheet(tmp_path):
    from ddl_lesson8.book.exercises import check_sheet_exercise
    from ddl_lesson8.sheets.address import cell_name
    from ddl_lesson8.sheets.book import Book
    from ddl_lesson8.sheets.engine import Engine
    conv_sheet(book := Book())
    path = book.save(tmp_path/'lesson.xlsx')
    assert 'still the old one' in check_sheet_exercise('sheet_thin_line', path).hint
    row, col = checks_conv.KERNEL
    for name, kernel, solved in (('right', LINE, True), ('wrong', -TOP, False)):
        changes = {f'convolutions!{cell_name(row + r, col + c)}': kernel[r, c].item() for r in range(3) for c in range(3)}
        Engine(path).change(changes).save(tmp_path/f'{name}.xlsx')
        assert bool(check_sheet_exercise('sheet_thin_line', tmp_path/f'{name}.xlsx')) == solved

# the exercises: right answers pass, wrong ones get a hint that does not give the answer away

TOP = torch.tensor([[1., 1, 1], [0, 0, 0], [-1, -1, -1]])
def one(r, c): return torch.zeros(3, 3).index_put((torch.tensor(r), torch.tensor(c)), torch.tensor(1.))
LINE = torch.tensor([[-1., -1, -1], [1, 1, 1], [-1, -1, -1]])
RIGHT = {'check_upper_edge': [lambda: -TOP, lambda: -TOP.double(), lambda: [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]],
         'check_blur': [lambda: torch.full((3, 3), 1/9), lambda: torch.ones(3, 3).double() / 9],
         'check_n_layers': [lambda n: math.ceil((n - 1) / 2), lambda n: n // 2],
         'check_max_pool': [lambda x: x.reshape(x.shape[0] // 2, 2, -1, 2).amax((1, 3)), lambda x: F.max_pool2d(x[None], 2)[0],
                             lambda x: torch.stack([x[::2, ::2], x[1::2, ::2], x[::2, 1::2], x[1::2, 1::2]]).amax(0)],
         'check_same': [lambda: one(1, 1), lambda: one(1, 1).double()], 'check_sharpen': [lambda: 2 * one(1, 1) - torch.ones(3, 3) / 9],
         'check_slide': [lambda x, k: slide_kernel(x, k), lambda x, k: F.conv2d(x[None, None], k[None, None])[0, 0], lambda x, k: conv2d(x[None], k[None, None])[0].tolist()],
         'check_thin_line': [lambda: LINE, lambda: torch.tensor([[-2., -1, 0], [1, 1, 1], [0, -1, -2]])],
         'check_n_weights': [lambda i, o, k: o * (i * k * k + 1)], 'check_places': [lambda n, k, p, s: (n + 2*p - k) // s + 1],
         'check_padding': [lambda k: k // 2, lambda k: (k - 1) // 2], 'check_average_weight': [lambda: torch.ones(1, 1, 2, 2) / 4, lambda: [[[[.25] * 2] * 2]]],
         'check_grey': [lambda: torch.full((1, 3, 1, 1), 1 / 3)]}
WRONG = {'check_upper_edge': [(lambda: TOP, 'lower edge'), (lambda: -TOP.T, 'vertical edges'), (lambda: -TOP / 2, 'answers 1.5'), (lambda: TOP * 0, 'never'),
                               (lambda: torch.ones(3), 'three rows'), (lambda: -TOP.abs(), 'solid ink'), (lambda: 'minus', 'a text')],
         'check_blur': [(lambda: torch.ones(3, 3), 'answers 63'), (lambda: torch.eye(3) / 3, 'all nine'), (lambda: torch.full((2, 2), .25), 'three rows'), (lambda: 1 / 9, 'three rows')],
         'check_n_layers': [(lambda n: 13, 'sees 27 of 28'), (lambda n: 14, 'fewer'), (lambda n: n, 'fewer'), (lambda n: (n - 1) / 2, 'whole number'), (lambda n: (n - 1) // 2, 'sees'),
                             (lambda n: n // 2 - 1, 'sees')],
         'check_max_pool': [(lambda x: F.avg_pool2d(x[None], 2)[0], 'mean'), (lambda x: x.reshape(2, 2, 2, 2).amax((1, 3)), 'Error'), (lambda x: x.clamp_min(0).reshape(2, 2, 2, 2).amax((1, 3)), 'negative'),
                             (lambda x: x.reshape(2, 2, 2, 2).amax((2, 3)), '2 x 2 window'), (lambda x: x.max(), 'a 4 x 4'), (lambda x: -F.max_pool2d(-x[None], 2)[0], '2 x 2 window')],
         'check_same': [(lambda: torch.eye(3), 'diagonal'), (lambda: one(0, 1), 'moves'), (lambda: 2 * one(1, 1), 'the number'), (lambda: torch.zeros(3, 3), 'one weight'), (lambda: [None][0], 'return')],
         'check_sharpen': [(lambda: torch.ones(3, 3) / 9, 'blurs'), (lambda: one(1, 1), 'as it is'), (lambda: torch.tensor([[0., -1, 0], [-1, 5, -1], [0, -1, 0]]), 'the cell, plus'), (lambda: one(1, 1) - 1 / 9, 'add up to')],
         'check_slide': [(lambda x, k: slide_kernel(x, k.flip(0, 1)), 'not turned'), (lambda x, k: slide_kernel(x, k)[:-1], 'answers are'), (lambda x, k: slide_kernel(x, k).relu() * 2, 'wrong'), (lambda x, k: x.unfold(0, 3, 1).unfold(1, 3, 1).sum((-2, -1)), 'wrong')],
         'check_thin_line': [(lambda: TOP, 'edge of a thick'), (lambda: LINE / 3, 'answers 1'), (lambda: -LINE, 'inside'), (lambda: torch.zeros(3, 3), 'not 3'), (lambda: torch.tensor([[0., 0, 0], [1, 1, 1], [0, 0, 0]]), 'inside')],
         'check_n_weights': [(lambda i, o, k: o * i * k * k, 'has a bias'), (lambda i, o, k: o * i * k * k + 1, 'how many numbers'), (lambda i, o, k: o * i * (k * k + 1), 'how many')],
         'check_places': [(lambda n, k, p, s: (n + 2*p - k) // s, 'first place'), (lambda n, k, p, s: (n + p - k) // s + 1, 'not'), (lambda n, k, p, s: (n + 2*p - k) / s + 1, 'whole number'), (lambda n, k, p, s: n // s, 'not')],
         'check_padding': [(lambda k: 1, 'zeros on each side'), (lambda k: k - 1, 'become 30'), (lambda k: k / 2, 'whole number'), (lambda k: (k + 1) // 2, 'become 30')],
         'check_average_weight': [(lambda: torch.ones(1, 1, 2, 2), 'add up to 1'), (lambda: torch.ones(2, 2) / 4, 'two rows'), (lambda: torch.tensor([[[[1., 0], [0, 0]]]]), 'alike')],
         'check_grey': [(lambda: torch.ones(1, 3, 1, 1), 'sum of the three'), (lambda: torch.ones(3) / 3, 'three channels'), (lambda: torch.tensor([.3, .6, .1]).view(1, 3, 1, 1), 'alike')]}

@pytest.mark.parametrize('check', RIGHT)
def test_exercises(check):
    checker = getattr(checks_conv, check)
    for answer in RIGHT[check]: assert check_exercise(answer, checker), check_exercise(answer, checker)
    for answer, hint in WRONG[check]:
        outcome = check_exercise(answer, checker)
        assert outcome.state == 'not yet' and hint in outcome.hint, outcome

def test_every_checker_is_tried():
    assert {n for n in vars(checks_conv) if n.startswith('check_') and n not in ('check_exercise', 'check_sheet_thin_line')} == set(RIGHT) == set(WRONG)


def test_a_dilated_window_that_sees_its_last_cell_is_pooled(): # counted by hand: the first window is at -1 and 1, the last at 0 and 2
    x = torch.arange(4.).reshape(1, 1, 2, 2)
    assert max_pool2d(x, 2, 1, padding=1, dilation=2).tolist() == [[[[3., 2.], [1., 0.]]]]
