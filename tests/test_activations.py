"Activations and losses against PyTorch: value, gradient, extremes, half precision"
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from answers import answer_tests, sheet_judge
from ddl_lesson8 import activations as A
from ddl_lesson8.activations import ACTIVATIONS, collapse
from ddl_lesson8.book import checks_activations as checks
from ddl_lesson8.book.sheet_activations import activations_sheet
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import crosscheck

settings.register_profile('book', derandomize=True, deadline=None, max_examples=80)
settings.load_profile('book')

def slope(f, x):
    x = x.detach().clone().requires_grad_()
    y = f(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]

NUMBERS = st.lists(st.one_of(st.floats(-30, 30), st.sampled_from([0., -0., 3., -3., 6., 1., -1., 20., 1e-30, -1e-30, 1e4, -1e4, 700., -700.])), min_size=1, max_size=20)

@pytest.mark.parametrize('name', list(ACTIVATIONS))
@given(numbers=NUMBERS)
def test_value_and_gradient(name, numbers):
    x = torch.tensor(numbers, dtype=torch.float64)
    for ours, theirs in zip(slope(ACTIVATIONS[name], x), slope(getattr(F, name, lambda x: x), x)):
        torch.testing.assert_close(ours, theirs, rtol=1e-7 if name == 'hardsigmoid' else 1e-11, atol=1e-14)

@pytest.mark.parametrize('name', list(ACTIVATIONS))
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_smaller_types(name, dtype):
    x = torch.linspace(-12, 12, 97).to(dtype)
    for ours, theirs in zip(slope(ACTIVATIONS[name], x), slope(getattr(F, name, lambda x: x), x)):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=2e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps, atol=2e-6 if dtype == torch.float32 else torch.finfo(dtype).eps)

@pytest.mark.parametrize('name', list(ACTIVATIONS))
def test_nan_stays_nan(name): assert ACTIVATIONS[name](torch.tensor([float('nan')])).isnan().all()

@given(NUMBERS, st.floats(.1, 3), st.floats(.1, 3))
def test_options(numbers, a, b):
    x = torch.tensor(numbers, dtype=torch.float64)
    for f, g in [(lambda x: A.elu(x, a), lambda x: F.elu(x, a)), (lambda x: A.leaky_relu(x, a), lambda x: F.leaky_relu(x, a)),
                 (lambda x: A.softplus(x, a, 10 * b), lambda x: F.softplus(x, a, 10 * b)), (lambda x: A.hardtanh(x, -a, b), lambda x: F.hardtanh(x, -a, b)),
                 (lambda x: A.gelu(x, 'tanh'), lambda x: F.gelu(x, approximate='tanh'))]:
        for ours, theirs in zip(slope(f, x), slope(g, x)): torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)

def test_option_errors():
    with pytest.raises(ValueError, match='approximate'): A.gelu(torch.ones(1), 'fast')
    with pytest.raises(ValueError, match='smaller'): A.hardtanh(torch.ones(1), 1., 1.)

# ---- softmax

@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([1., 100., 1e5]), st.integers(0, 99), st.sampled_from([0, 1, -1]))
def test_softmax(n, c, scale, seed, dim):
    x = scale * torch.randn(n, c, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    w = torch.linspace(1, 2, n * c, dtype=torch.float64).view(n, c)
    for name in ('softmax', 'log_softmax'):
        for ours, theirs in zip(slope(lambda x: getattr(A, name)(x, dim) * w, x), slope(lambda x: getattr(F, name)(x, dim) * w, x)):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_softmax_in_half_precision(dtype):
    x = torch.tensor([[60000., 59000., -60000.], [1., 2., 3.]]).to(dtype)
    for name in ('softmax', 'log_softmax'):
        out = getattr(A, name)(x)
        assert out.dtype == dtype
        torch.testing.assert_close(out, getattr(F, name)(x, -1), rtol=torch.finfo(dtype).eps, atol=1e-6)

def test_masked_scores():
    x = torch.tensor([[0., -float('inf'), 1.]])
    assert torch.allclose(A.softmax(x), F.softmax(x, -1))
    assert torch.isfinite(slope(lambda x: A.cross_entropy(x, torch.tensor([2])), x)[1]).all()

# ---- losses

@given(st.data())
def test_cross_entropy(data):
    n, c, rest = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)), data.draw(st.sampled_from([(), (2,), (2, 3)]))
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
    x = data.draw(st.sampled_from([1., 50., 1000.])) * torch.randn(n, c, *rest, dtype=torch.float64, generator=g)
    options = dict(weight=data.draw(st.sampled_from([None, torch.rand(c, generator=g, dtype=torch.float64) + .1])), reduction=data.draw(st.sampled_from(['mean', 'sum', 'none'])),
                   label_smoothing=data.draw(st.sampled_from([0., .1, 1.])))
    if data.draw(st.booleans()): y = torch.rand(n, c, *rest, generator=g, dtype=torch.float64).softmax(1)
    else:
        y, options['ignore_index'] = torch.randint(c, (n, *rest), generator=g), data.draw(st.sampled_from([-100, 0, -1]))
        if data.draw(st.booleans()): y.view(-1)[0] = options['ignore_index']
    for ours, theirs in zip(slope(lambda x: A.cross_entropy(x, y, **options), x), slope(lambda x: F.cross_entropy(x, y, **options), x)):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11, equal_nan=True)

def test_cross_entropy_of_one_row():
    x, y = torch.tensor([1., 2., 3.]), torch.tensor(1)
    torch.testing.assert_close(A.cross_entropy(x, y), F.cross_entropy(x, y))

@given(st.data())
def test_other_losses(data):
    name = data.draw(st.sampled_from(['mse_loss', 'l1_loss', 'binary_cross_entropy', 'binary_cross_entropy_with_logits']))
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
    shape = data.draw(st.sampled_from([(3,), (2, 3), (1, 2, 3)]))
    rand = lambda *s: torch.rand(*s, generator=g, dtype=torch.float64)
    x = data.draw(st.sampled_from([1., 50., 1000.])) * (rand(*shape) - .5)
    if name == 'binary_cross_entropy': x = data.draw(st.sampled_from([x.sigmoid(), (x > 0).double()]))
    options = dict(reduction=data.draw(st.sampled_from(['mean', 'sum', 'none'])), weight=data.draw(st.sampled_from([None, rand(*shape) + .1])))
    if name.endswith('logits'): options['pos_weight'] = data.draw(st.sampled_from([None, rand(3) + .5]))
    y = data.draw(st.sampled_from([rand(*shape), rand(*shape).round()]))
    for ours, theirs in zip(slope(lambda x: getattr(A, name)(x, y, **options), x), slope(lambda x: getattr(F, name)(x, y, **options), x)):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-11)

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_losses_in_half_precision(dtype):
    x, y = torch.linspace(-9, 9, 12).view(3, 4).to(dtype), torch.tensor([0, 3, 1])
    for loss, target in [('cross_entropy', y), ('mse_loss', x.flip(0)), ('l1_loss', x.flip(0)), ('binary_cross_entropy_with_logits', (x > 1).to(dtype))]:
        ours, theirs = getattr(A, loss)(x, target), getattr(F, loss)(x, target)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=4 * torch.finfo(dtype).eps, atol=1e-3)

@pytest.mark.parametrize('call, error, words', [
    (lambda: A.mse_loss(torch.ones(3, 1), torch.ones(3)), ValueError, 'make them equal'), (lambda: A.l1_loss(torch.ones(3), torch.ones(3), reduction='avg'), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: A.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])), IndexError, 'only 3'), (lambda: A.cross_entropy(torch.ones(2, 3), torch.tensor([0])), ValueError, 'do not fit'),
    (lambda: A.cross_entropy(torch.ones(2, 3), torch.ones(2, 3), ignore_index=1), ValueError, 'ignore_index'), (lambda: A.cross_entropy(torch.ones(2, 3), torch.ones(2).long(), label_smoothing=2), ValueError, 'label_smoothing'),
    (lambda: A.binary_cross_entropy(torch.tensor([1.5]), torch.ones(1)), ValueError, 'between 0 and 1'),
    (lambda: A.mse_loss(torch.ones(4, 1), torch.zeros(4, 1), torch.ones(4)), ValueError, r'weight is \(4,\); give a tensor of shape \(4, 1\)'),
    (lambda: A.l1_loss(torch.ones(4, 1), torch.zeros(4, 1), torch.ones(1)), ValueError, 'weight is'),
    (lambda: A.binary_cross_entropy_with_logits(torch.ones(4, 1), torch.zeros(4, 1), torch.ones(4)), ValueError, 'weight is'),
    (lambda: A.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), weight=torch.ones(4)), ValueError, 'weight is')])
def test_errors(call, error, words):
    with pytest.raises(error, match=words): call()

# ---- the whole picture

@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.booleans(), st.integers(0, 9))
def test_collapse(sizes, bias, seed):
    torch.manual_seed(seed)
    layers = nn.Sequential(*[nn.Linear(a, b, bias=bias, dtype=torch.float64) for a, b in zip(sizes, sizes[1:])])
    x = torch.randn(3, sizes[0], dtype=torch.float64)
    torch.testing.assert_close(collapse(layers)(x), layers(x), rtol=1e-10, atol=1e-12)

@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_cuda():
    x = torch.linspace(-5, 5, 20, device='cuda').view(4, 5)
    for name, f in ACTIVATIONS.items(): torch.testing.assert_close(f(x), getattr(F, name, lambda x: x)(x))
    y = torch.tensor([0, 1, 2, 3], device='cuda')
    torch.testing.assert_close(A.cross_entropy(x, y), F.cross_entropy(x, y))

def test_sheet_agrees_and_keeps_its_charts(tmp_path):
    import openpyxl
    found = activations_sheet(book := Book())
    path = book.save(tmp_path/'activations.xlsx')
    assert crosscheck(path, found).raise_if_different()
    assert len(openpyxl.load_workbook(path)['activations']._charts) == 4

# ---- the checkers of the exercises

def cold(x, t):
    e = (x / t).exp()
    return e / e.sum(1, keepdim=True)

RIGHT = [(lambda slope: slope <= 1, 'check_good_slope'), (lambda n: torch.tensor(float(n), dtype=torch.float64).log(), 'check_ignorance'),
         (lambda x, slope: torch.maximum(x, slope * x), 'check_leaky'), (F.logsigmoid, 'check_log_sigmoid'),
         (lambda x: -A.softplus(-x), 'check_log_sigmoid'), (lambda x: torch.stack([x, torch.zeros_like(x)]).log_softmax(0)[0], 'check_log_sigmoid'),
         (lambda x, t: A.softmax(x / t), 'check_softmax'), (lambda a, b, c: c(b(a(torch.zeros(2, dtype=torch.float64)))), 'check_joint_bias'),
         (lambda a, b, c: c.weight @ (b.weight @ a.bias + b.bias) + c.bias, 'check_joint_bias')]
WRONG = [
    (lambda x, slope: torch.where(x > 0, x, slope * x), 'check_leaky', 'with where'), (lambda x, slope: F.leaky_relu(x, slope), 'check_leaky', 'with leaky_relu'),
    (lambda slope: True, 'check_good_slope', 'slope of 1.5'), (lambda slope: 0 <= slope <= 1, 'check_good_slope', 'slope of -0.5'), (lambda slope: slope < 1, 'check_good_slope', 'slope of 1.0'),
    (lambda slope: 'below 1', 'check_good_slope', 'True or False'),
    (lambda n: 1 / n, 'check_ignorance', 'share of each class'), (lambda n: -torch.tensor(n).log().item(), 'check_ignorance', 'its sign'), (lambda n: torch.tensor(n).log2().item(), 'check_ignorance', 'PyTorch says'),
    (lambda x, slope: x.clamp(min=0), 'check_leaky', 'ReLU itself'), (lambda x, slope: torch.minimum(x, slope * x), 'check_leaky', 'wrong way'),
    (lambda x, slope: torch.maximum(x, x - slope), 'check_leaky', 'multiplied by the slope'), (lambda x, slope: slope * x, 'check_leaky', 'from zero on'),
    (lambda x, slope: torch.maximum(x, .1 * x), 'check_leaky', 'wrong for slope 0.0'), (lambda x, slope: x.max(), 'check_leaky', 'one number for each'),
    (lambda x: x.sigmoid().log(), 'check_log_sigmoid', 'never take its logarithm'), (lambda x: x.sigmoid(), 'check_log_sigmoid', 'that is the sigmoid'),
    (lambda x: -F.logsigmoid(x), 'check_log_sigmoid', 'its sign'), (lambda x: -(1 + x.exp()).log(), 'check_log_sigmoid', 'ordinary scores'),
    (lambda x: -(1 + (-x).exp()).log(), 'check_log_sigmoid', 'never take'), (lambda x: x.sigmoid().clamp(min=1e-30).log(), 'check_log_sigmoid', 'far off'),
    (lambda x: torch.where(x < -50, x, -(1 + (-x).exp()).log()), 'check_log_sigmoid', 'the slope is none'),
    (lambda x, t: (x * t).softmax(1), 'check_softmax', 'a factor or a divisor'), (lambda x, t: (x / t).softmax(0), 'check_softmax', 'which axis'),
    (cold, 'check_softmax', 'overflow'), (lambda x, t: x.softmax(1), 'check_softmax', 'wrong at 2'), (lambda x, t: x.softmax(1) / t, 'check_softmax', 'divide the scores'),
    (lambda x, t: (x / t).softmax(1).sum(1), 'check_softmax', 'not (2,)'), (lambda x, t: (x / t**2).softmax(1), 'check_softmax', 'wrong at 2'),
    (lambda a, b, c: c.bias, 'check_joint_bias', 'the first two'), (lambda a, b, c: a.bias + b.bias + c.bias, 'check_joint_bias', 'shapes do not fit'),
    (lambda a, b, c: c.weight @ b.bias + c.bias, 'check_joint_bias', 'the first bias got lost'), (lambda a, b, c: a.bias, 'check_joint_bias', 'not (3,)'),
    (lambda a, b, c: c.weight @ b.weight @ a.bias, 'check_joint_bias', 'other two got lost'), (lambda a, b, c: a.weight @ b.weight @ c.bias, 'check_joint_bias', 'later'),
    (lambda a, b, c: c.weight @ b.weight @ a.bias + c.bias, 'check_joint_bias', 'input of zeros')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks, RIGHT, WRONG)

def test_the_exercise_on_the_sheet(tmp_path):
    judge = sheet_judge(activations_sheet, 'sheet_lower_loss', tmp_path)
    assert judge({'losses!A3': 3.81})
    cases = [({'losses!A3': 2}, 'nothing has changed'), ({'losses!A3': 3}, 'the loss of the first row is'), ({'losses!A3': 3, 'losses!B3': 0}, 'one is enough'),
             ({'losses!A4': 9}, 'another row'), ({'losses!F3': 1}, 'not one of the scores')]
    for changes, hint in cases: assert hint in judge(changes).hint, (hint, judge(changes))
