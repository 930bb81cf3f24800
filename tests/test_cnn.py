"The trained CNN: counts against hand counts and hooks, designs of odd sizes, jitter, edges, and the exercises' checkers"
import math
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8.book import checks_cnn
from ddl_lesson8.cnn import (Jitter, confusion, edge_family, edge_likeness, layer_outputs, nearest_edge, newer_cnn, older_cnn, summary)
from ddl_lesson8.conv import Conv2d, edge_kernels
from ddl_lesson8.data.digits import make_digits
from ddl_lesson8.book.exercises import check_exercise, check_sheet_exercise
from ddl_lesson8.draw import reader_workbook
from ddl_lesson8.sheets.address import cell_name
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.train.learner import Data, Learner, accuracy, seeded

SEARCH = dict(max_examples=40, deadline=None, derandomize=True)
devices = ['cpu'] + ['cuda'] * torch.cuda.is_available()

def normal(*shape, seed=0, dtype=torch.float64): return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

# designs

@pytest.mark.parametrize('own', [False, True])
@pytest.mark.parametrize('norm', [False, True])
@settings(**SEARCH | dict(max_examples=10))
@given(st.integers(8, 31), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 3), st.integers(2, 4))
def test_designs_take_any_size(norm, own, size, channels, n_in, n_out):
    x = normal(2, n_in, size, size, dtype=torch.float32)
    assert older_cnn(tuple(channels), norm, n_out, n_in, size, own)(x).shape == (2, n_out)
    assert newer_cnn(tuple(channels), norm, n_out, n_in, own)(x[..., :-3]).shape == (2, n_out)

@pytest.mark.parametrize('design', [older_cnn, newer_cnn])
@pytest.mark.parametrize('norm', [False, True])
def test_own_layers_give_the_same_results_and_gradients(design, norm):
    nets = []
    for own in (False, True):
        with seeded(3): nets.append(design((3, 4), norm, own=own).double())
    x = normal(3, 1, 28, 28)
    results = []
    for net in nets:
        inp = x.clone().requires_grad_()
        out = net(inp)
        results.append([out, *torch.autograd.grad(out.square().sum(), [inp, *net.parameters()])])
    for a, b in zip(*results):
        assert a.dtype == torch.float64 and torch.allclose(a, b, atol=1e-10, rtol=1e-10)

def test_no_bias_before_batch_norm():
    assert newer_cnn(norm=True)[0].bias is None and newer_cnn(norm=False)[0].bias is not None

@pytest.mark.parametrize('bad', [dict(channels=()), dict(channels=(0,)), dict(channels=(2.,)), dict(n_out=0), dict(n_in=0)])
def test_impossible_designs(bad):
    for design in (older_cnn, newer_cnn):
        with pytest.raises(ValueError): design(**bad)

def test_too_small_for_the_older_design():
    with pytest.raises(ValueError, match='does not fit'): older_cnn(size=7)

def learned(seed, device='cpu'):
    digits = make_digits(256, seed=seed)
    with seeded(seed): net = nn.Sequential(Jitter(), newer_cnn((4, 8)))
    learn = Learner(Data(digits, digits, batch_size=64), net, F.cross_entropy, metrics=[accuracy], device=device, seed=seed)
    learn.fit_one_cycle(2, .02)
    return learn

def test_a_seed_gives_the_same_training():
    state = torch.get_rng_state()
    first, again, other = learned(0), learned(0), learned(1)
    assert torch.equal(state, torch.get_rng_state())
    assert first.recorder.losses == again.recorder.losses != other.recorder.losses
    assert all(torch.equal(a, b) for a, b in zip(first.model.state_dict().values(), again.model.state_dict().values()))

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_trains_on_the_gpu():
    learn = learned(0, 'cuda')
    assert learn.recorder.losses[-1] < learn.recorder.losses[0] and next(learn.model.parameters()).is_cuda

# summary

def test_counts_by_hand():
    s = summary(older_cnn((8, 16), n_out=10), torch.zeros(1, 1, 28, 28))
    got = [(r.kind, r.shape, r.n_parameters, r.n_multiplications) for r in s.rows]
    assert got == [('Conv2d', (8, 28, 28), 80, 56_448), ('ReLU', (8, 28, 28), 0, 0), ('MaxPool2d', (8, 14, 14), 0, 0), ('Conv2d', (16, 14, 14), 1168, 225_792),
                   ('ReLU', (16, 14, 14), 0, 0), ('MaxPool2d', (16, 7, 7), 0, 0), ('Flatten', (784,), 0, 0), ('Linear', (10,), 7850, 7840)]
    assert s.n_parameters == 80 + 1168 + 7850 and s.n_multiplications == 56_448 + 225_792 + 7840

@pytest.mark.parametrize('kwargs', [dict(), dict(groups=2), dict(stride=2, padding=1), dict(dilation=2), dict(bias=False)])
@pytest.mark.parametrize('kind', [nn.Conv2d, Conv2d, nn.ConvTranspose2d])
def test_multiplications_are_what_a_matrix_needs(kind, kwargs):
    "Every product of a weight and an input, padding included: count the places where each output looks"
    layer = kind(4, 6, 3, **kwargs).double()
    s = summary(layer, normal(1, 4, 9, 11))
    out = layer(normal(1, 4, 9, 11))
    groups = kwargs.get('groups', 1)
    per_output = 4 // groups * 9
    assert s.n_multiplications == (out.numel() * per_output if kind is not nn.ConvTranspose2d else 4 * 9 * 11 * 6 // groups * 9)
    assert s.rows[0].shape == out.shape[1:] and s.n_parameters == sum(p.numel() for p in layer.parameters())

@settings(**SEARCH)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.booleans(), st.integers(1, 3), st.integers(8, 30))
def test_shapes_are_what_hooks_see(channels, norm, batch, size):
    net, shapes = newer_cnn(tuple(channels), norm), []
    for m in net: m.register_forward_hook(lambda m, args, out: shapes.append(tuple(out.shape[1:])))
    s = summary(net, torch.zeros(batch, 1, size, size))
    assert [r.shape for r in s.rows] == shapes
    assert s.n_parameters == sum(p.numel() for p in net.parameters())
    assert s.n_multiplications == summary(net, torch.zeros(1, 1, size, size)).n_multiplications

def test_own_and_pytorchs_cost_the_same():
    x = torch.zeros(1, 1, 28, 28)
    costs = [[r[2:] for r in summary(older_cnn(own=own), x).rows] for own in (False, True)]
    assert costs[0] == costs[1]

def test_shared_layers_learn_once_and_strangers_are_not_guessed():
    layer = nn.Linear(4, 4)
    s = summary(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(2, 4))
    assert s.n_parameters == 20 and s.n_multiplications == 32
    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.inner, self.unused = nn.Parameter(torch.zeros(3)), nn.Linear(2, 2), nn.Linear(5, 5)
        def forward(self, x): return self.inner(x) * self.w[0]
    s = summary(Strange(), torch.zeros(1, 2))
    assert s.n_parameters == 3 + 6 + 30 and s.n_multiplications is None
    assert '?' in repr(s) and '?' in s._repr_html_()

def test_summary_leaves_the_model_alone():
    net = newer_cnn((4,))
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    summary(net, torch.ones(1, 1, 28, 28))
    assert net.training and net[0].training and not net[1].training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())

def test_summary_names_the_layer_that_does_not_fit():
    net = older_cnn()
    with pytest.raises(ValueError, match=r'layer 10 \(Linear\)'): summary(net, torch.zeros(1, 1, 40, 40))
    with pytest.raises(ValueError, match='batch dimension'): summary(newer_cnn(n_in=3), torch.zeros(3, 28, 28))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules()) and net.training

def test_summary_escapes_names():
    net = nn.Sequential()
    net.add_module('<b>', nn.ReLU())
    assert '<b>' not in summary(net, torch.zeros(1, 2))._repr_html_()

def test_several_inputs():
    class Two(nn.Module):
        def __init__(self): super().__init__(); self.a, self.b = nn.Embedding(5, 3), nn.Linear(2, 3)
        def forward(self, ids, x): return self.a(ids) + self.b(x)
    s = summary(Two(), (torch.tensor([1, 2]), torch.zeros(2, 2)))
    assert [r.n_multiplications for r in s.rows] == [0, 6] and s.n_parameters == 15 + 9

def test_layer_outputs_are_the_layers_outputs():
    net, x = newer_cnn((3, 4)).double().eval(), normal(2, 1, 28, 28)
    seen, y = layer_outputs(net, x), x
    for name, layer in net.named_children():
        y = layer(y)
        assert torch.equal(seen[name], y) and not seen[name].requires_grad

# jitter

@pytest.mark.parametrize('device', devices)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_jitter_keeps_shape_dtype_and_device(dtype, device):
    x = normal(3, 2, 9, 12).to(device, dtype)
    y = Jitter()(x)
    assert (y.shape, y.dtype, y.device) == (x.shape, x.dtype, x.device) and not torch.equal(x, y)
    assert torch.equal(Jitter().eval()(x), x)

def test_jitter_by_nothing_changes_nothing_and_seeds_repeat():
    x = normal(4, 1, 11, 7)
    assert torch.allclose(Jitter(0, 0, 0, 0)(x), x, atol=1e-12)
    ys = []
    for seed in (0, 0, 1):
        with seeded(seed): ys.append(Jitter()(x))
    assert torch.equal(ys[0], ys[1]) and not torch.equal(ys[0], ys[2])

def test_jitter_moves_a_dot_by_at_most_the_shift():
    x = torch.zeros(200, 1, 21, 31, dtype=torch.float64)
    x[:, :, 10, 15] = 1
    with seeded(0): y = Jitter(0, 0, 0, 3.)(x)[:, 0]
    rows, cols = (y.sum(d) @ torch.arange(n, dtype=y.dtype) for d, n in ((2, 21), (1, 31)))
    for at, middle in ((rows, 10), (cols, 15)):
        assert 2.5 < (at - middle).abs().max() <= 3 + 1e-9 and (at - middle).mean().abs() < .5

def test_jitter_turns_in_cells_not_in_relative_coordinates():
    "A long picture: a turned stroke keeps its length"
    x = torch.zeros(1, 1, 21, 61, dtype=torch.float64)
    x[0, 0, 10, 15:46] = 1
    with seeded(1): y = Jitter(turn=15, stretch=0, slant=0, shift=0)(x)[0, 0]
    inked = (y > .3).nonzero().double()
    length = (inked.amax(0) - inked.amin(0)).norm()
    assert abs(length - 30) < 2 and inked[:, 0].unique().numel() > 2

def test_gradient_flows_through_jitter():
    x = normal(2, 1, 8, 8).requires_grad_()
    Jitter()(x).sum().backward()
    assert x.grad.abs().sum() > 0

@pytest.mark.parametrize('bad', [dict(turn=-1), dict(shift=-.1), dict(stretch=1), dict(slant=-1)])
def test_impossible_jitter(bad):
    with pytest.raises(ValueError, match='none may be negative'): Jitter(**bad)

# confusion

@settings(**SEARCH)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_confusion_counts(rows):
    pred, target = torch.tensor(rows, dtype=torch.int64).view(-1, 2).T
    got = confusion(pred, target, 5)
    assert got.tolist() == [[rows.count((p, t)) for p in range(5)] for t in range(5)]

def test_confusion_from_scores_and_bad_input():
    scores, target = normal(50, 4), torch.arange(50) % 4
    assert torch.equal(confusion(scores, target), confusion(scores.argmax(1), target, 4))
    assert confusion(scores, target).diag().sum() / 50 == pytest.approx(accuracy(scores, target).item())
    with pytest.raises(ValueError, match=r'0\.\.2'): confusion(torch.tensor([3]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match='answers for'): confusion(torch.tensor([1, 2]), torch.tensor([0]), 3)

# edges

@settings(**SEARCH)
@given(st.integers(0, 10_000))
def test_likeness_is_the_best_cosine(seed):
    w = normal(3, 2, 3, 3, seed=seed)
    angles = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)
    turned = torch.einsum('ad,fdrc->afrc', torch.stack([angles.cos(), angles.sin()], 1), edge_family(torch.float64)).flatten(0, 1)
    searched = F.cosine_similarity(w.flatten(2)[:, :, None], turned.flatten(1), dim=-1).amax(-1)
    assert torch.allclose(edge_likeness(w), searched, atol=1e-5)
    assert torch.allclose(F.cosine_similarity(w.flatten(2), nearest_edge(w).flatten(2), dim=-1), edge_likeness(w), atol=1e-12)
    closer = (w - nearest_edge(w)).flatten(2).norm(dim=-1)
    assert (closer <= (w[:, :, None] - turned * (w[:, :, None] * turned).sum((-2, -1), keepdim=True)).flatten(3).norm(dim=-1).amin(-1) + 1e-9).all()

def test_edges_and_other_things():
    assert torch.allclose(edge_likeness(edge_kernels(torch.float64)), torch.ones(2, 1, dtype=torch.float64))
    assert edge_likeness(torch.zeros(3, 3)) == 0 and edge_likeness(torch.ones(3, 3)) < 1e-6
    assert torch.allclose(edge_likeness(-7 * edge_family()), torch.ones(3, 2)) and edge_likeness(torch.ones(4, 2, 3, 3)).shape == (4, 2)
    with pytest.raises(ValueError, match='3 x 3'): edge_likeness(torch.zeros(5, 5))

def test_noise_reaches_the_root_of_two_ninths():
    w = normal(20_000, 3, 3)
    lecture = edge_family(torch.float64)[0].flatten(1)
    one_plane = ((w.flatten(1) @ lecture.T).square().sum(1) / w.flatten(1).square().sum(1)).mean()
    assert abs(one_plane - 2 / 9) < .005

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_the_gpu():
    x = torch.rand(2, 1, 28, 28, device='cuda')
    assert newer_cnn().cuda()(Jitter()(x)).is_cuda and edge_likeness(torch.rand(4, 1, 3, 3, device='cuda')).is_cuda
    assert summary(newer_cnn().cuda(), x).n_multiplications == summary(newer_cnn(), x.cpu()).n_multiplications

# exercises

def shifted(x, right, down):
    h, w = x.shape[-2:]
    big = F.pad(x, (w, w, h, h))
    return big[..., h - down:2 * h - down, w - right:2 * w - right]

def edge_angle(k):
    a, b = ((k * e).sum().item() for e in edge_family(k.dtype)[0])
    return math.degrees(math.atan2(b, a))

def in_place(x, right, down):
    x.zero_()
    return x

def batch_norm(x, eps=1e-5): return F.batch_norm(x, None, None, training=True, eps=eps)

def fold(weight, mean, var, gamma, beta, eps=1e-5):
    scale = gamma / (var + eps).sqrt()
    return weight * scale[:, None, None, None], beta - mean * scale

RIGHT = dict(my_batch_norm=batch_norm, my_fold=fold, my_dead=lambda a: a.amax((0, 2, 3)) == 0, my_multiplications=lambda i, o, k, h, w: i * o * k * k * h * w, my_shift=shifted,
             my_hit_rates=lambda c: c.diag() / c.sum(1).clamp_min(1), my_edge_angle=edge_angle)
WRONG = [
         ('my_multiplications', lambda i, o, k, h, w: i * o * k * k, 'one place'), ('my_multiplications', lambda i, o, k, h, w: (i * k * k + 1) * o * h * w, 'not multiplied'), ('my_multiplications', lambda i, o, k, h, w: i * o * k * k * (h - k + 1) * (w - k + 1), 'nothing is cut off'),
         ('my_multiplications', lambda i, o, k, h, w: i * o * k * h * w, 'start with'),
         ('my_shift', lambda x, r, d: x.roll((d, r), (2, 3)), 'must be gone'), ('my_shift', lambda x, r, d: shifted(x, d, r), 'where they belong'),
         ('my_shift', in_place, 'was changed'), ('my_shift', lambda x, r, d: x[..., 1:], 'it must stay'),
         ('my_hit_rates', lambda c: c.diag() / c.sum(1), 'divided by nothing'), ('my_hit_rates', lambda c: c.diag() / c.sum(0).clamp_min(1), 'each answer'),
         ('my_hit_rates', lambda c: c.diag().sum() / c.sum(), 'one number for each'),
         ('my_edge_angle', lambda k: math.radians(edge_angle(k)), 'radians'), ('my_edge_angle', lambda k: edge_angle(k) + 180, 'opposite'),
         ('my_edge_angle', lambda k: edge_angle(k.T), 'is not at'),
         ('my_batch_norm', lambda x, eps=1e-5: F.instance_norm(x), 'each image by itself'), ('my_batch_norm', lambda x, eps=1e-5: F.layer_norm(x, x.shape[1:]), 'its own mean'),
         ('my_batch_norm', lambda x, eps=1e-5: (x - x.mean((0, 2, 3), True)) / x.std((0, 2, 3), keepdim=True), 'minus one'), ('my_batch_norm', lambda x, eps=1e-5: x - x.mean((0, 2, 3), True), 'other numbers'),
         ('my_batch_norm', lambda x, eps=1e-5: (x - x.mean((0, 2, 3), True)) / x.var((0, 2, 3), correction=0, keepdim=True).sqrt(), 'add eps'), ('my_batch_norm', lambda x, eps=1e-5: batch_norm(x)[0], 'must stay'),
         ('my_fold', lambda w, m, v, g, b: (fold(w, m, v, g, b)[0], b), 'what happens to the mean'), ('my_fold', lambda w, m, v, g, b: (w, b), 'differ'), ('my_fold', lambda w, m, v, g, b: w, 'two tensors'),
         ('my_dead', lambda a: a.amax((0, 2, 3)) > 0, 'other way round'), ('my_dead', lambda a: (a == 0).any(3).any(2).any(0), 'enough to be alive'), ('my_dead', lambda a: (a == 0).all(3).all(2), 'each of four')]

@pytest.mark.parametrize('name', RIGHT)
def test_right_answers_pass(name): assert check_exercise(RIGHT[name], getattr(checks_cnn, f'check_{name[3:]}'))

@pytest.mark.parametrize('name, answer, hint', WRONG, ids=lambda v: v if isinstance(v, str) else '')
def test_wrong_answers_get_a_hint(name, answer, hint):
    outcome = check_exercise(answer, getattr(checks_cnn, f'check_{name[3:]}'))
    assert not outcome and hint in outcome.hint

def test_every_exercise_is_tested():
    assert {n for n in vars(checks_cnn) if n.startswith('check_')} == {f'check_{n[3:]}' for n in RIGHT} | {'check_sheet_other_digit'}


def test_the_exercise_on_the_sheet(tmp_path):
    made = reader_workbook(tmp_path/'digit.xlsx')
    bias = list(made.parameters.values())[-1].areas[0]
    place = lambda area, row=0, col=0: f'{area.sheet}!{cell_name(area.top + row, area.left + col)}'
    pixel, of_one = place(made.input.areas[0]), place(bias, *((0, 1) if bias.bottom == bias.top else (1, 0)))
    for name, changes, hint in (('same', {}, 'nothing has changed'), ('right', {of_one: 100.}, ''), ('weak', {of_one: 0.}, 'still reads a seven'),
                                ('drawn', {pixel: 1., of_one: 100.}, 'leave the seven'), ('two', {of_one: 100., place(bias): 1.}, 'one is enough')):
        path = Engine(made.path).change(changes).save(tmp_path/f'{name}.xlsx')
        outcome = check_sheet_exercise('sheet_other_digit', path)
        assert bool(outcome) == (not hint) and hint in (outcome.hint or ''), name


def test_confusion_finds_the_number_of_classes():
    "As many as the largest class number needs, whether it is an answer or the truth"
    assert confusion(torch.tensor([0, 2, 1]), torch.tensor([0, 1, 1])).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert confusion(torch.tensor([0, 0]), torch.tensor([0, 3])).shape == (4, 4)
