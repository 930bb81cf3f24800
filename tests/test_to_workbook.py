"Models as workbooks: every kind of layer against PyTorch, refusals, and the way back"
import copy, math
from collections import OrderedDict
import pytest, torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.check import read_range
from ddl_lesson8.sheets.from_model import ACTIVATION_FORMULAS, WRITERS, to_workbook, writes

def rand(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

def seeded(model, seed=0):
    "The same weights every time, statistics of batch norm included"
    g = torch.Generator().manual_seed(seed)
    for t in model.state_dict().values():
        if t.is_floating_point(): t.copy_(torch.randn(t.shape, generator=g) * 0.5)
    for m in model.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)) and m.running_var is not None: m.running_var.abs_().add_(0.5)
    return model

def output_of(model, *x): return copy.deepcopy(model).double().eval()(*[t.double().clone() if t.is_floating_point() else t for t in x]).detach()

def check(model, x, tmp_path, tol=1e-12, **kwargs):
    "Write, and compare the saved output with the model's"
    r = to_workbook(seeded(model), x, tmp_path/'m.xlsx', **kwargs)
    y = output_of(model, *(x if isinstance(x, tuple) else (x,)))
    got, want = read_range(r.path, r.output), y[0] if y.ndim == 4 else y
    assert r.report and got.shape == want.shape
    torch.testing.assert_close(got, want, rtol=tol, atol=tol)
    return r

@st.composite
def convolutions(draw):
    "A Conv2d with random options, and a picture it accepts"
    n = lambda a, b: draw(st.integers(a, b))
    groups, k = n(1, 2), (n(1, 3), n(1, 3))
    dilation, stride = (n(1, 2), n(1, 2)), (n(1, 3), n(1, 2))
    padding = draw(st.sampled_from(['valid', 'same', 0, (1, 0), (2, 1)]))
    if padding == 'same': stride = (1, 1)
    layer = nn.Conv2d(groups * n(1, 2), groups * n(1, 2), k, stride, padding, dilation, groups, bias=draw(st.booleans()))
    return nn.Sequential(layer, *[nn.ReLU()] * n(0, 1)), rand(1, layer.in_channels, n(5, 7), n(5, 6), seed=n(0, 99))

@given(convolutions())
@settings(derandomize=True, deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_convolutions(tmp_path, case): check(*case, tmp_path)

POOLS = [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d((2, 3), (1, 2), dilation=(2, 1)), nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
         nn.AvgPool2d((3, 2), 2, (1, 1), count_include_pad=False), nn.AvgPool2d(2, divisor_override=3), nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d((2, 4))]

def test_pools(tmp_path):
    for k, pool in enumerate(POOLS): check(nn.Sequential(pool), rand(1, 2, 7, 8, seed=k), tmp_path)

class AdaptiveConcatPool2d(nn.Module):
    "As the convolutions chapter has it: maximum first, then average"
    def __init__(self, size=1): super().__init__(); self.size = size
    def forward(self, x): return torch.cat([F.adaptive_max_pool2d(x, self.size), F.adaptive_avg_pool2d(x, self.size)], 1)

class SigmoidRange(nn.Module):
    def __init__(self, low, high): super().__init__(); self.low, self.high = low, high
    def forward(self, x): return torch.sigmoid(x) * (self.high - self.low) + self.low

ACTS = [nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.ELU(0.7), nn.SELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Mish(), nn.Softplus(),
        nn.Softplus(2.5, 4.), nn.Softsign(), nn.Hardtanh(-0.3, 0.8), nn.Hardsigmoid(), nn.Hardswish(), nn.GELU(approximate='tanh'), SigmoidRange(-1, 5.5)]

def test_activations(tmp_path):
    "All in one workbook, at moderate and at extreme inputs"
    assert {type(a).__name__ for a in ACTS} | {'GELU'} == set(ACTIVATION_FORMULAS)
    for act in ACTS:
        x = torch.tensor([[-800., -40, -6, -3, -1, -0.3, 0, 0.2, 1, 3, 6, 25, 800]], dtype=torch.float64)
        r = to_workbook(nn.Sequential(nn.Identity(), act), x, tmp_path/'a.xlsx')
        torch.testing.assert_close(read_range(r.path, r.output), act(x), rtol=1e-11, atol=1e-12)
    check(nn.Sequential(nn.GELU()), rand(3, 5), tmp_path, tol=1e-9)

@pytest.mark.parametrize('model, x', [
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), AdaptiveConcatPool2d(), nn.Flatten(), nn.Linear(4, 3), nn.LogSoftmax(1)), rand(1, 1, 6, 6)),
    (nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU())), nn.Dropout2d(0.5), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32, 2)), rand(1, 1, 6, 6)),
    (nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(-1)), rand(6, 4)),
    (nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 1)), rand(3, 4)),
    (nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)), torch.tensor([[0, 6, 2, 2], [1, 1, 3, 5]])),
    (nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2), nn.Softmax(1)), torch.tensor([4, 0, 6])),
    (nn.Linear(3, 2), rand(2, 3)),
    (nn.Sequential(nn.Linear(4, 3)), rand(1, 2, 3, 4))])
def test_models(tmp_path, model, x): check(model, x, tmp_path)

class DotProductBias(nn.Module):
    "Own parameters, as in the collaborative filtering chapter"
    def __init__(self, n_users, n_items, k, y_range=(0, 5.5)):
        super().__init__()
        self.user_factors, self.user_bias = nn.Parameter(torch.zeros(n_users, k)), nn.Parameter(torch.zeros(n_users))
        self.movie_factors, self.movie_bias = nn.Parameter(torch.zeros(n_items, k)), nn.Parameter(torch.zeros(n_items))
        self.y_range = y_range
    def forward(self, x):
        u, i = x[:, 0], x[:, 1]
        y = (self.user_factors[u] * self.movie_factors[i]).sum(1) + self.user_bias[u] + self.movie_bias[i]
        return y if self.y_range is None else torch.sigmoid(y) * (self.y_range[1] - self.y_range[0]) + self.y_range[0]

class EmbeddingDotBias(nn.Module):
    "Embedding layers, as the ready-made recommender has them"
    def __init__(self, n_users, n_items, k):
        super().__init__()
        self.u_weight, self.i_weight, self.u_bias, self.i_bias = (nn.Embedding(*s) for s in ((n_users, k), (n_items, k), (n_users, 1), (n_items, 1)))
    def forward(self, x):
        u, i = x[:, 0], x[:, 1]
        return (self.u_weight(u) * self.i_weight(i)).sum(1) + self.u_bias(u).squeeze(1) + self.i_bias(i).squeeze(1)

class TabularModel(nn.Module):
    def __init__(self, sizes, n_cont, y_range=(1, 5)):
        super().__init__()
        self.embeds, self.emb_drop = nn.ModuleList(nn.Embedding(*s) for s in sizes), nn.Dropout(0.1)
        self.bn_cont = nn.BatchNorm1d(n_cont) if n_cont else None
        n = sum(k for _, k in sizes) + n_cont
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(n, 4, bias=False), nn.ReLU(), nn.BatchNorm1d(4), nn.Dropout(0.2)), nn.Linear(4, 1), SigmoidRange(*y_range))
    def forward(self, x_cat, x_cont=None):
        x = self.emb_drop(torch.cat([e(x_cat[:, k]) for k, e in enumerate(self.embeds)], 1))
        if self.bn_cont is not None: x = torch.cat([x, self.bn_cont(x_cont)], 1)
        return self.layers(x)

class EmbeddingNN(TabularModel):
    def __init__(self, *args): super().__init__(*args); self.layers = self.layers[:-1]; self.y_range = (0, 5.5)
    def forward(self, x): return 5.5 * super().forward(x).squeeze(1).sigmoid()

IDS = torch.tensor([[0, 4], [3, 0], [2, 2]])

@pytest.mark.parametrize('model, x', [(DotProductBias(4, 5, 3), IDS), (DotProductBias(4, 5, 3, None), IDS), (EmbeddingDotBias(4, 5, 3), IDS),
                                      (TabularModel([(4, 2), (5, 3)], 2), (IDS, rand(3, 2))), (TabularModel([(4, 2), (5, 3)], 0), IDS), (EmbeddingNN([(4, 2), (5, 3)], 0), IDS)])
def test_recommenders(tmp_path, model, x): check(model, x, tmp_path)

def test_the_librarys_recommenders(tmp_path):
    "Two inputs, users and items, and tables under their own names"
    collab = pytest.importorskip('ddl_lesson8.collab')
    ids = torch.tensor([0, 3, 2]), torch.tensor([4, 0, 2])
    for model in (collab.DotProduct(4, 5, 3), collab.EmbeddingDotBias(4, 5, 3, (0, 5.5)), collab.EmbeddingDotBias(4, 5, 3), collab.EmbeddingNN(4, 5, [(5, 2), (6, 3)], (4,), (0, 5.5), p=0.2)):
        r = check(model, ids, tmp_path)
        assert set(r.parameters) == {k for k, v in model.state_dict().items() if 'num_batches' not in k and v.numel()}

CIRCLES = [(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.BatchNorm2d(2), nn.SiLU(), nn.Dropout(0.3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3), nn.Softmax(1)), rand(1, 1, 8, 8)),
           (nn.Sequential(nn.Conv2d(2, 4, (2, 3), dilation=(2, 1), groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)), rand(1, 2, 6, 6)),
           (nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2), nn.GELU()), torch.tensor([[0, 6, 2, 2], [1, 1, 3, 5]])),
           (DotProductBias(4, 5, 3), IDS)]

TIED = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
TIED[1].weight = TIED[0].weight
TWICE = nn.Linear(3, 3)
CIRCLES += [(TIED, torch.tensor([1, 2, 2])), (nn.Sequential(TWICE, nn.SiLU(), TWICE), rand(2, 3)), (nn.Sequential(nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(9)), rand(1, 2, 6, 6)),
            (nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1)), rand(2, 4, 3))]

@pytest.mark.parametrize('act', ACTS, ids=str)
def test_gradients_at_kinks(tmp_path, act):
    "Where a formula has a corner, the cell's gradient is PyTorch's; and no EXP overflows on the way back"
    SheetModule = pytest.importorskip('ddl_lesson8.sheets.module').SheetModule
    model = nn.Sequential(nn.Linear(1, 1), act)
    model[0].weight.data.fill_(1.), model[0].bias.data.zero_()
    for x in ([[0.], [1.], [-1.]], [[6.], [3.], [-3.]], [[20.5], [20.]], [[-12.], [-9.]], [[9.], [12.]], [[-800.], [-40.], [40.], [800.]]):
        r = to_workbook(model, torch.tensor(x), tmp_path/'m.xlsx')
        module, again = SheetModule.load(r.path, parameters=r.parameters['0.weight'].ranges + r.parameters['0.bias'].ranges), copy.deepcopy(model).double()
        module()[str(r.output.areas[0])].sum().backward(), again(torch.tensor(x).double()).sum().backward()
        for key, p in again.named_parameters():
            torch.testing.assert_close(r.gather(key, lambda a: module.parameter(a).grad).reshape(p.shape), p.grad, rtol=1e-7, atol=1e-12)

@pytest.mark.parametrize('model, x', CIRCLES)
def test_the_circle(tmp_path, model, x):
    "Model -> workbook -> module: the same outputs and the same gradients of every parameter"
    SheetModule = pytest.importorskip('ddl_lesson8.sheets.module').SheetModule
    r = check(model, x, tmp_path, tol=1e-9 if 'GELU' in repr(model) else 1e-12)
    module = SheetModule.load(r.path, parameters=dict.fromkeys(a for b in r.parameters.values() for a in b.ranges))
    cells, again = module(), copy.deepcopy(model).double().eval()
    out, y = r.gather(r.output, cells.__getitem__), again(x.double() if x.is_floating_point() else x)
    torch.testing.assert_close(out.reshape(y.shape), y, rtol=1e-12, atol=1e-12)
    weights = rand(*y.shape).double()
    (out.reshape(y.shape) * weights).sum().backward(); (y * weights).sum().backward()
    for key, p in again.named_parameters():
        torch.testing.assert_close(r.gather(key, lambda a: module.parameter(a).grad).reshape(p.shape), p.grad, rtol=1e-10, atol=1e-12)

def test_every_weight_is_a_cell_and_a_name(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    r = check(model, rand(1, 2, 3, 3), tmp_path)
    state = {k: v for k, v in model.state_dict().items() if 'num_batches' not in k}
    assert set(r.parameters) == set(state)
    for key, value in state.items():
        assert torch.equal(read_range(r.path, r.parameters[key]).flatten(), value.double().flatten())
        assert torch.equal(read_range(r.path, f'model.{key}').flatten().sort()[0], value.double().flatten().sort()[0])

def test_a_layer_used_twice(tmp_path):
    "The same ReLU, and the same weights, in two places: both count, and one cell changes both"
    relu, linear = nn.ReLU(), nn.Linear(3, 3)
    check(nn.Sequential(nn.Conv2d(2, 2, 1), relu, nn.Conv2d(2, 2, 1), relu), rand(1, 2, 4, 4), tmp_path)
    model, x = nn.Sequential(linear, nn.Tanh(), linear), rand(2, 3)
    r = check(model, x, tmp_path)
    assert r.parameters['0.weight'] is r.parameters['2.weight'] and torch.equal(read_range(r.path, 'model.2.weight'), read_range(r.path, 'model.0.weight'))
    linear.weight.data[0, 1] = 3.
    got = read_range(r.path, r.output, changes={r.parameters['0.weight'].ref(0, 1, on=False): 3.})
    torch.testing.assert_close(got, output_of(model, x), rtol=1e-12, atol=1e-12)

@pytest.mark.parametrize('layer', [nn.ReLU(inplace=True), nn.SiLU(inplace=True), nn.Dropout(0.5, inplace=True)], ids=str)
def test_layers_that_work_in_place(tmp_path, layer):
    "They change neither the input that was given nor what the layer before is compared with"
    x = rand(1, 2, 4, 4).double()
    before = x.clone()
    for model in (nn.Sequential(layer, nn.Flatten()), nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2), layer)):
        check(model, x, tmp_path)
        assert torch.equal(x, before)

def test_the_librarys_layers(tmp_path):
    conv, pooling, dropout = (pytest.importorskip(f'ddl_lesson8.{name}') for name in ('conv', 'pooling', 'dropout'))
    for k, layer in enumerate([conv.Conv2d(2, 2, (3, 2), stride=(2, 1), padding=(1, 0), dilation=2, bias=False), conv.Conv2d(2, 4, (3, 2), padding='same', groups=2), pooling.MaxPool2d(2),
                               pooling.MaxPool2d(3, 2, 1, ceil_mode=True), pooling.AvgPool2d(3, 2, 1, count_include_pad=False), pooling.AdaptiveConcatPool2d(2), dropout.Dropout(0.3, scale=False), dropout.Dropout2d(0.3)]):
        check(nn.Sequential(layer, nn.ReLU()), rand(1, 2, 6, 7, seed=k), tmp_path)
    check(pytest.importorskip('ddl_lesson8.cnn').older_cnn((2, 2), own=True, size=8), rand(1, 1, 8, 8), tmp_path)

@pytest.mark.parametrize('key', ['conv-1', 'a b', 'ä', "it's", 'a!b', '1x', 'A1'])
def test_any_name_of_a_layer(tmp_path, key):
    r = check(nn.Sequential(OrderedDict([(key, nn.Linear(3, 2)), (key.swapcase() + '_', nn.Linear(2, 2))])), rand(1, 3), tmp_path)
    assert f'{key}.weight' in r.parameters

def test_names_that_differ_in_case(tmp_path): check(nn.Sequential(OrderedDict(a=nn.Linear(3, 2), A=nn.Linear(2, 2))), rand(1, 3), tmp_path)

def test_a_table_without_numbers(tmp_path):
    "As the library's own tabular models get it"
    tabular = pytest.importorskip('ddl_lesson8.train.tabular_model')
    check(tabular.TabularModel([(4, 2)], 0, 3, [4, 3]), (torch.tensor([[0], [3]]), torch.zeros(2, 0)), tmp_path)

def test_live(tmp_path):
    "A changed pixel, a changed weight and the training switch change the output as they change the model's"
    model, x = nn.Sequential(nn.Conv2d(1, 1, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)), rand(1, 1, 3, 3)
    r = check(model, x, tmp_path, labels=['no', 'yes'])
    x[0, 0, 1, 1] = 9.
    changes = {r.input.ref(0, 1, 1, on=False): 9.}
    torch.testing.assert_close(read_range(r.path, r.output, changes=changes), output_of(model, x), rtol=1e-12, atol=1e-12)
    model[4].bias.data[0] = 100.
    changes |= {r.parameters['4.bias'].ref(0, on=False): 100.}
    torch.testing.assert_close(read_range(r.path, r.output, changes=changes), output_of(model, x), rtol=1e-12, atol=1e-12)
    engine = Engine(r.path).change(changes)
    assert engine.cell('model', *r.prediction.at(0)).value == 'no'

def test_model_is_left_alone(tmp_path):
    model = seeded(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())).train()
    before = copy.deepcopy(model.state_dict())
    to_workbook(model, rand(2, 2), tmp_path/'m.xlsx')
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and model[0].weight.dtype == torch.float32

class Residual(nn.Sequential):
    "A Sequential that does more than one layer after the other"
    def forward(self, x): return x + super().forward(x)

def hooked(model):
    model.register_forward_hook(lambda module, args, y: 2 * y)
    return model

@pytest.mark.parametrize('model, x, kwargs, words', [
    (nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2)), rand(1, 2), {}, 'layer 1 LSTM: no formula is known'),
    (nn.Conv2d(300, 1, 3), rand(1, 300, 3, 3), {}, 'Conv2d.*8,192'),
    (nn.Sequential(nn.Identity(), nn.Linear(3, 17000)), rand(1, 3), {}, 'layer 1 Linear.*16,384 columns'),
    (nn.Conv2d(1, 1, 3, padding=1, padding_mode='reflect'), rand(1, 1, 5, 5), {}, 'layer Conv2d.*reflect'),
    (nn.Sequential(nn.ReLU(), nn.ReLU()), rand(9, 9), dict(max_formulas=100), 'layer 1 ReLU.*max_formulas=100'),
    (nn.Conv2d(1, 1, 3), rand(2, 1, 5, 5), {}, '2 pictures'),
    (nn.BatchNorm1d(2, track_running_stats=False), rand(3, 2), {}, 'running mean'),
    (nn.Linear(2, 3), rand(1, 2), dict(labels=['a']), '1 labels'),
    (nn.Softmax(0), rand(2, 2), {}, 'dim=0'),
    (Residual(nn.Linear(2, 2)), rand(1, 2), {}, 'Residual: no formula is known'),
    (hooked(nn.Sequential(nn.Linear(2, 2))), rand(1, 2), {}, 'layers one by one'),
    (nn.Sequential(), rand(1, 2), {}, 'no layer that computes'),
    (torch.sigmoid, rand(1, 2), {}, 'model is a builtin'),
    (nn.Conv2d(2, 1, 3), rand(2, 5, 5), {}, 'layer Conv2d: wants a picture'),
    (nn.Sequential(nn.MaxPool2d(2)), rand(2, 5, 5), {}, 'layer 0 MaxPool2d: wants a picture'),
    (nn.MaxPool2d(2, return_indices=True), rand(1, 2, 5, 5), {}, 'gives a tuple'),
    (nn.MaxPool2d(2, 1, 1, 3), rand(1, 1, 2, 2), {}, 'gives inf or nan'),
    (nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), rand(1, 2), {}, r'layer 1 Linear: does not take \(1, 2\) of torch.float64'),
    (nn.Linear(2, 2), torch.ones(1, 2, dtype=torch.uint8), {}, 'torch.uint8'),
    (nn.Linear(2, 2), torch.ones(1, 2, dtype=torch.complex64), {}, 'torch.complex64'),
    (nn.Linear(2, 2), rand(0, 2), {}, r'shape \(0, 2\)'),
    (nn.Linear(2, 2), [[1., 2.]], {}, 'made of list'), (nn.Linear(2, 2), None, {}, 'made of NoneType'),
    (nn.Embedding(3, 2), torch.tensor([3]), {}, 'layer Embedding: does not take'),
    (nn.Embedding(3, 2), torch.tensor([[[1]]]), {}, 'layer Embedding: gets ids'),
    (nn.Sequential(nn.Flatten(0, 1)), rand(2, 4, 3), {}, 'layer 0 Flatten: gives'),
    (nn.Sequential(nn.Linear(2, 2), nn.Hardtanh(-math.inf, 1)), rand(1, 2), {}, 'layer 1 Hardtanh.*inf'),
    (nn.Embedding(3, 2, max_norm=1.), torch.tensor([1]), {}, 'max_norm')])
def test_refusals(tmp_path, model, x, kwargs, words):
    with pytest.raises(SheetError, match=words): to_workbook(model, x, tmp_path/'m.xlsx', **kwargs)
    assert not (tmp_path/'m.xlsx').exists()

def test_only_xlsx(tmp_path):
    for name in ('m', 'm.xls', 'm.txt'):
        with pytest.raises(SheetError, match='ends in .xlsx'): to_workbook(nn.Linear(2, 1), rand(1, 2), tmp_path/name)

def test_own_layers_can_be_added(tmp_path):
    class Double(nn.Module):
        def forward(self, x): return 2 * x
    @writes('Double')
    def write_double(w, layer, x, y, relu): return w.formula(x.block.shape, lambda *i: f'2*{x.block.ref(*i)}', w.what, **x.layout)
    try: check(nn.Sequential(Double(), nn.ReLU()), rand(2, 3), tmp_path)
    finally: WRITERS.pop('Double')
