"Sliding windows and pools against PyTorch, in value and gradient"
import math, os, subprocess, sys, warnings
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from torch import nn
from ddl_lesson8 import conv
from ddl_lesson8.book import checks_conv
from ddl_lesson8.book.exercises import check_exercise
from ddl_lesson8.book.sheet_conv import conv_sheet
from ddl_lesson8.conv import (AdaptiveConcatPool2d, AvgPool2d, Conv2d, MaxPool2d, adaptive_avg_pool2d, adaptive_max_pool2d, apply_kernel, avg_pool2d,
                              conv2d, conv2d_fast, conv_output_size, edge_kernels, fast_choice, max_pool2d, receptive_field, slide_kernel)

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

def test_fast_choice_hands_over():
    pictures = lambda n, c=1: torch.empty(n, c, 28, 28)
    few, many = torch.empty(2, 1, 3, 3), torch.empty(32, 16, 3, 3)
    assert fast_choice(pictures(64), few, compiler=True) == 'compiled' and fast_choice(pictures(1024), few, compiler=False) == 'eager'
    for x, w, kw in ((pictures(1), few, {}), (pictures(64, 16), many, {}), (pictures(64), few, dict(stride=2)), (pictures(64).bfloat16(), few, {})):
        assert fast_choice(x, w, **kw, compiler=True) == 'F.conv2d'

def test_without_a_compiler_it_goes_on(monkeypatch):
    def broken(*args): raise RuntimeError('no C++ compiler found')
    monkeypatch.setattr(conv, '_compiled', broken)
    monkeypatch.setattr(conv, '_no_compiler', '')
    x, w = normal(64, 1, 28, 28, dtype=torch.float32), edge_kernels()
    with pytest.warns(UserWarning, match='no C.. compiler'): y = conv2d_fast(x, w)
    assert torch.allclose(y, F.conv2d(x, w), atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert torch.allclose(conv2d_fast(x, w), y) # once is enough

def test_real_failure_of_the_compiler_is_survived():
    "A process in which CXX names no program"
    code = ("import warnings, torch, torch.nn.functional as F\nfrom ddl_lesson8.conv import conv2d_fast, edge_kernels\n"
            "x = torch.rand(64, 1, 28, 28)\nwith warnings.catch_warnings(record=True) as caught:\n    warnings.simplefilter('always')\n    y = conv2d_fast(x, edge_kernels())\n"
            "assert torch.allclose(y, F.conv2d(x, edge_kernels()), atol=1e-5)\nassert any('torch.compile does not work here' in str(c.message) for c in caught), caught")
    if not LONG: pytest.skip('imports the compiler: set DDL_LESSON8_LONG=1')
    env = dict(os.environ, CXX='no-such-compiler', TORCHINDUCTOR_FORCE_DISABLE_CACHES='1')
    subprocess.run([sys.executable, '-c', code], env=env, check=True, timeout=300)

@pytest.mark.skipif(not LONG, reason='compiles for tens of seconds: set DDL_LESSON8_LONG=1')
def test_compiled_form_is_right():
    module = Conv2d(1, 2, 3, padding=1, fast=True).double()
    for batch in (64, 100, 64):
        x = normal(batch, 1, 28, 28)
        same_with_gradients(lambda t, w: conv2d_fast(t, w, module.bias.detach(), padding=1), lambda t, w: F.conv2d(t, w, module.bias.detach(), padding=1), x, module.weight.detach(), tol=1e-10)
        assert torch.allclose(module(x), F.conv2d(x, module.weight, module.bias, padding=1))
    with pytest.raises(ValueError, match='one for each output'): conv2d_fast(x, module.weight, module.bias[:1])
    with pytest.raises(ValueError, match="'valid'"): conv2d_fast(x, module.weight, padding='full')
    assert conv._compiled is not None and not conv._no_compiler

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

# the exercises: right answers pass, wrong ones get a hint that does not give the answer away

TOP = torch.tensor([[1., 1, 1], [0, 0, 0], [-1, -1, -1]])
RIGHT = {'check_upper_edge': [lambda: -TOP, lambda: -TOP.double(), lambda: [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]],
         'check_blur': [lambda: torch.full((3, 3), 1/9), lambda: torch.ones(3, 3).double() / 9],
         'check_n_layers': [lambda n: math.ceil((n - 1) / 2), lambda n: n // 2],
         'check_max_pool': [lambda x: x.reshape(x.shape[0] // 2, 2, -1, 2).amax((1, 3)), lambda x: F.max_pool2d(x[None], 2)[0],
                             lambda x: torch.stack([x[::2, ::2], x[1::2, ::2], x[::2, 1::2], x[1::2, 1::2]]).amax(0)]}
WRONG = {'check_upper_edge': [(lambda: TOP, 'lower edge'), (lambda: -TOP.T, 'vertical edges'), (lambda: -TOP / 2, 'answers 1.5'), (lambda: TOP * 0, 'never'),
                               (lambda: torch.ones(3), 'three rows'), (lambda: -TOP.abs(), 'solid ink'), (lambda: 'minus', 'Error')],
         'check_blur': [(lambda: torch.ones(3, 3), 'answers 63'), (lambda: torch.eye(3) / 3, 'all nine'), (lambda: torch.full((2, 2), .25), 'three rows'), (lambda: 1 / 9, 'three rows')],
         'check_n_layers': [(lambda n: 13, 'sees 27 of 28'), (lambda n: 14, 'fewer'), (lambda n: n, 'fewer'), (lambda n: (n - 1) / 2, 'whole number'), (lambda n: (n - 1) // 2, 'sees'),
                             (lambda n: n // 2 - 1, 'sees')],
         'check_max_pool': [(lambda x: F.avg_pool2d(x[None], 2)[0], 'mean'), (lambda x: x.reshape(2, 2, 2, 2).amax((1, 3)), 'Error'), (lambda x: x.clamp_min(0).reshape(2, 2, 2, 2).amax((1, 3)), 'negative'),
                             (lambda x: x.reshape(2, 2, 2, 2).amax((2, 3)), '2 x 2 window'), (lambda x: x.max(), 'a 4 x 4'), (lambda x: -F.max_pool2d(-x[None], 2)[0], '2 x 2 window')]}

@pytest.mark.parametrize('check', RIGHT)
def test_exercises(check):
    checker = getattr(checks_conv, check)
    for answer in RIGHT[check]: assert check_exercise(answer, checker), check_exercise(answer, checker)
    for answer, hint in WRONG[check]:
        outcome = check_exercise(answer, checker)
        assert outcome.state == 'not yet' and hint in outcome.hint, outcome
