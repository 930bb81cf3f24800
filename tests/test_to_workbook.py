"Models as workbooks: every kind of layer against PyTorch, refusals, and the way back"
import copy, math
from collections import OrderedDict
from types import SimpleNamespace
import pytest, torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.canvas import Canvas
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.check import read_range
from ddl_lesson8.sheets.from_model import to_workbook
from ddl_lesson8.sheets.write_ops import ACTIVATION_FORMULAS, WRITERS, writes

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
        nn.Softplus(2.5, 4.), nn.CELU(0.5), nn.Hardshrink(), nn.Softshrink(0.4), nn.Threshold(0.25, -2.), nn.PReLU(init=0.3), nn.Softsign(), nn.Hardtanh(-0.3, 0.8), nn.Hardsigmoid(), nn.Hardswish(), nn.GELU(approximate='tanh'), SigmoidRange(-1, 5.5)]

def test_activations(tmp_path):
    "All in one workbook, at moderate and at extreme inputs"
    for act in ACTS[1:]:
        x = torch.tensor([[-800., -40, -6, -3, -1, -0.3, 0, 0.2, 1, 3, 6, 25, 800]], dtype=torch.float64)
        r = to_workbook(nn.Sequential(nn.Identity(), act), x, tmp_path/'a.xlsx')
        torch.testing.assert_close(read_range(r.path, r.output), output_of(act, x), rtol=1e-11, atol=1e-12)
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
        module, again = SheetModule.load(r.path, parameters=[a for b in r.parameters.values() for a in b.ranges]), copy.deepcopy(model).double()
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

class Fn(nn.Module):
    "Any function as a model"
    def __init__(self, fn): super().__init__(); self.fn = fn
    def forward(self, *x): return self.fn(*x)

class ResBlock(nn.Module):
    "As in a ResNet: a skip connection, in place where PyTorch's own is"
    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)) if n_in != n_out else nn.Identity()
    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.down(x)
        return self.relu(out)

class Recurrent(nn.Module):
    "A recurrent layer, and a linear one on its last step"
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(3, 4, batch_first=True, **options)
        self.head = nn.Linear(8 if options.get('bidirectional') else 4, 2)
    def forward(self, x): return self.head(self.rnn(x)[0][:, -1])

class OneBlock(nn.Module):
    "A transformer of one block: token and position embeddings, causal attention of two heads, a small network"
    def __init__(self, vocab=11, d=8, heads=2, n=8):
        super().__init__()
        self.token, self.place, self.norm1, self.norm2 = nn.Embedding(vocab, d), nn.Embedding(n, d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.join, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads
        self.mlp, self.out = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate='tanh'), nn.Linear(4 * d, d)), nn.Linear(d, vocab)
        self.register_buffer('seen', torch.tril(torch.ones(n, n)))
    def forward(self, ids):
        n = ids.shape[1]
        x = self.token(ids) + self.place(torch.arange(n))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1)) * k.shape[-1] ** -0.5
        shares = scores.masked_fill(self.seen[:n, :n] == 0, float('-inf')).softmax(-1)
        x = x + self.join((shares @ v).transpose(1, 2).flatten(2))
        return self.out(x + self.mlp(self.norm2(x)))

class Attention(nn.Module):
    def __init__(self, **kwargs): super().__init__(); self.attention, self.kwargs = nn.MultiheadAttention(8, 2, batch_first=True), kwargs
    def forward(self, x): return self.attention(x, x, x, **self.kwargs)[0]

attend = F.scaled_dot_product_attention
SEEN = rand(4, 4, seed=7) > -0.5
SEEN[:, 0] = True
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
TRACED = dict(
    residual=(Residual(nn.Linear(2, 2), nn.Tanh()), rand(3, 2)), hook=(hooked(nn.Sequential(nn.Linear(2, 2))), rand(1, 2)),
    resnet=(ResBlock(2, 2), rand(1, 2, 5, 5)), resnet_down=(ResBlock(2, 3, 2), rand(1, 2, 5, 5)),
    lstm=(Recurrent(nn.LSTM), rand(1, 4, 3)), lstm_batch=(Recurrent(nn.LSTM), rand(2, 2, 3)), lstm_both_ways=(Recurrent(nn.LSTM, bidirectional=True, num_layers=2), rand(1, 2, 3)),
    gru=(Recurrent(nn.GRU), rand(1, 3, 3)), rnn=(Recurrent(nn.RNN), rand(1, 3, 3)),
    transformer=(OneBlock(), TOKENS), attention=(Attention(), rand(1, 5, 8)), attention_plain=(Attention(need_weights=False), rand(1, 3, 8)),
    encoder=(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), rand(1, 8, 8)), encoder_first=(nn.TransformerEncoderLayer(8, 2, 16, dropout=0., batch_first=True, norm_first=True), rand(1, 4, 8)),
    causal=(Fn(lambda x: attend(x, x, x, is_causal=True)), rand(1, 2, 4, 3)), mask=(Fn(lambda x: attend(x, x, x, SEEN)), rand(1, 2, 4, 3)),
    float_mask=(Fn(lambda x: attend(x, x, x, torch.zeros(4, 4, dtype=x.dtype).masked_fill(~SEEN, -math.inf))), rand(1, 1, 4, 3)), bias_mask=(Fn(lambda x, m: attend(x, x, x, m)), (rand(1, 1, 4, 3), rand(4, 4))),
    layer_norm=(nn.LayerNorm(4), rand(3, 4)), layer_norm_plain=(nn.LayerNorm((3, 4), elementwise_affine=False), rand(2, 3, 4)), layer_norm_picture=(nn.LayerNorm((2, 3, 3)), rand(1, 2, 3, 3)), rms=(nn.RMSNorm(4), rand(2, 4)),
    group_norm=(nn.GroupNorm(2, 4), rand(1, 4, 3, 3)), group_norm_rows=(nn.GroupNorm(2, 4), rand(3, 4)), instance_norm=(nn.InstanceNorm2d(2, affine=True), rand(1, 2, 3, 3)), batch_norm_1d=(nn.BatchNorm1d(2), rand(2, 2, 5)),
    prelu_picture=(nn.PReLU(2), rand(1, 2, 3, 3)), prelu_rows=(nn.PReLU(3), rand(2, 3)), prelu_unbatched=(nn.PReLU(), rand(4)),
    conv1d=(nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(6, 2)), rand(1, 2, 8)), conv1d_groups=(nn.Conv1d(2, 4, 2, stride=2, groups=2, dilation=2), rand(2, 2, 7)),
    conv_unbatched=(nn.Conv2d(2, 1, 3), rand(2, 5, 5)), pool_unbatched=(nn.MaxPool2d(2), rand(2, 5, 5)), adaptive_1d=(nn.Sequential(nn.AdaptiveAvgPool1d(2), nn.AdaptiveMaxPool1d(1)), rand(1, 2, 5)),
    transposed=(nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), rand(1, 2, 3, 4)), transposed_groups=(nn.ConvTranspose2d(4, 2, (2, 3), groups=2, dilation=(2, 1)), rand(1, 4, 3, 3)), transposed_1d=(nn.ConvTranspose1d(2, 1, 3, 2, bias=False), rand(1, 2, 4)),
    reflect=(nn.Conv2d(1, 1, 3, padding=1, padding_mode='reflect'), rand(1, 1, 5, 5)), circular=(nn.Conv2d(1, 1, 3, padding=1, padding_mode='circular'), rand(1, 1, 5, 5)), replicate=(nn.Conv2d(1, 1, 3, padding=1, padding_mode='replicate'), rand(1, 1, 5, 5)),
    up=(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)), rand(1, 1, 4, 4)), shuffle=(nn.PixelShuffle(2), rand(1, 4, 2, 2)), glu=(nn.GLU(1), rand(2, 4)),
    softmax_down=(nn.Softmax(0), rand(2, 3)), softmax_channels=(nn.Softmax(1), rand(1, 3, 2, 2)), softmin=(nn.Softmin(1), rand(2, 3)), flatten_all=(nn.Sequential(nn.Flatten(0, 1)), rand(2, 4, 3)), embedding_3d=(nn.Embedding(3, 2), torch.tensor([[[1]]])),
    views=(Fn(lambda x: torch.cat([x.flip(0)[:, ::2], x.roll(1, 1).T[:2].T, torch.stack([x[:, 0], x[:, 1]], 1)], 1).unfold(1, 2, 2).sum(-1)), rand(3, 4)),
    reductions=(Fn(lambda x: torch.stack([x.sum(1), x.mean(1), x.amax(1), x.amin(1), x.var(1), x.std(1, correction=0), x.prod(1), x.max(1)[0], x.logsumexp(1), x.norm(dim=1), x.argmax(1).double()])), rand(3, 4)),
    sums=(Fn(lambda x: x.cumsum(1) + x.sum() - x.mean((0, 1)) * x.sum(0, keepdim=True)), rand(3, 4)),
    arithmetic=(Fn(lambda x: (2 - x) / (x.abs() + 1.5) - (x - (x * x - 3)) ** 2 + torch.where(x > 0.1, x.exp(), -x) + x.clamp(-0.5, 0.5).sin() + x.clamp(min=0.) + (1 / (x.abs() + 1)).sqrt()), rand(3, 4)),
    precedence=(Fn(lambda x: -(x + 1) * (x - 2) - (x - (x - 3)) - (-x) ** 2 / (x / 3 / (x * x + 1) + 9) + (-2) * x.neg()), rand(2, 3)),
    products=(Fn(lambda a, b: torch.einsum('ij,kj->ik', a, b) + (a @ b.T) + a.mm(b.T) + torch.outer(a[:, 0], b[:, 0])), (rand(2, 3), rand(4, 3))), long_numbers=(Fn(lambda x: math.pi * x + x / 3 + 0.1), rand(1, 2)), bicubic=(nn.Upsample(scale_factor=2, mode='bicubic'), rand(1, 1, 2, 2)),
    constants=(Fn(lambda x: x * torch.linspace(0.1, 2.7, x.numel()).to(x.dtype).view_as(x)), rand(6, 5)), lookup=(Fn(lambda x, ids: x[ids] + x.index_select(0, ids) + x[:, ids[:2]].sum()), (rand(3, 4), torch.tensor([2, 0]))),
    gather=(Fn(lambda x, ids: x.gather(1, ids)), (rand(3, 4), torch.tensor([[1, 0], [3, 3], [2, 0]]))))

@pytest.mark.parametrize('name', TRACED)
def test_traced(tmp_path, name): check(*TRACED[name], tmp_path, tol=1e-9)

@pytest.mark.parametrize('name', ['transformer', 'lstm', 'gru', 'resnet_down', 'layer_norm', 'group_norm', 'transposed', 'prelu_picture', 'attention', 'encoder'])
def test_traced_circle(tmp_path, name):
    "Model -> workbook -> module: the same outputs and gradients for what only tracing can write"
    model, x = TRACED[name]
    test_the_circle(tmp_path, model, x)

def test_every_step_is_checked(tmp_path):
    "All layers of the transformer by name, each compared with PyTorch cell by cell"
    r = check(OneBlock(), TOKENS, tmp_path, tol=1e-9)
    names = [row.name for row in r.report.rows]
    assert {'token Embedding', 'norm1 LayerNorm mean', 'norm1 LayerNorm', 'qkv Linear', 'softmax', 'mlp.1 GELU', 'out Linear'} <= set(names) and len(names) == len(set(names))
    assert sum(row.n for row in r.report.rows) >= 0.9 * r.n_formulas and list(r.layers) == names

def test_a_changed_token_changes_the_transformer(tmp_path):
    model = OneBlock()
    r = check(model, TOKENS, tmp_path, tol=1e-9)
    ids = TOKENS.clone()
    ids[0, 2] = 10
    got = read_range(r.path, r.output, changes={r.input.ref(0, 2, on=False): 10})
    torch.testing.assert_close(got.reshape(1, 8, 11), output_of(model, ids), rtol=1e-9, atol=1e-9)

def test_in_place_after_a_skip(tmp_path):
    "What a layer overwrites, and somebody else still reads, is the new value, as in PyTorch"
    def forward(x):
        y = x * 2
        z = y.relu_()
        return y + z.add_(1) + y
    check(Fn(forward), rand(2, 3), tmp_path)

@pytest.mark.parametrize('kind', [nn.LSTM, nn.GRU, nn.RNN])
def test_first_of_several(tmp_path, kind):
    "A recurrent layer gives its state too: its outputs are written, and the contents say so"
    model = seeded(nn.Sequential(nn.Linear(3, 2), kind(2, 2, batch_first=True)))
    r = to_workbook(model, rand(1, 4, 3), tmp_path/'m.xlsx')
    torch.testing.assert_close(read_range(r.path, r.output), output_of_first(model, rand(1, 4, 3)), rtol=1e-12, atol=1e-12)
    assert 'the first of them' in Engine(r.path).cell('contents', 3, 1).value

def output_of_first(model, x): return copy.deepcopy(model).double().eval()(x.double())[0].detach()

class Pairs(nn.Module):
    def __init__(self, bias): super().__init__(); self.left, self.both = nn.Linear(4, 2), nn.Bilinear(2, 3, 2, bias=bias)
    def forward(self, x): return self.both(self.left(x), x[..., 1:])

@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(1, 4), (3, 4)])
def test_bilinear(tmp_path, bias, shape):
    r = check(Pairs(bias), rand(*shape), tmp_path)
    assert r.parameters['both.weight'].shape == (2, 6)

class Volume(nn.Module): # a picture's channels as the depth of a volume
    def __init__(self, layer): super().__init__(); self.layer = layer
    def forward(self, x): return self.layer(x[:, None]).flatten(1)

@pytest.mark.parametrize('layer', [nn.Conv3d(1, 1, 2), nn.ConvTranspose3d(1, 1, 2), nn.MaxPool3d(2), nn.AvgPool3d(2),
                                   nn.AdaptiveMaxPool3d(1), nn.AdaptiveAvgPool3d(1)], ids=lambda l: type(l).__name__)
def test_no_volumes(tmp_path, layer):
    with pytest.raises(SheetError, match=f'layer layer {type(layer).__name__}: slides through a volume'):
        to_workbook(Volume(layer), rand(1, 4, 4, 4), tmp_path/'m.xlsx')
    assert not list(tmp_path.iterdir())

class Deep(nn.Module):
    def __init__(self): super().__init__(); self.inner = nn.Sequential(nn.Linear(2, 2), Fn(lambda x: x.sort()[0]))
    def forward(self, x): return self.inner(x)

@pytest.mark.parametrize('model, x, kwargs, words', [
    (Fn(lambda x: dict(y=x)), rand(1, 2), {}, 'gives a dict; only one tensor can be written: return that one'),
    (Fn(lambda x: ('name', x)), rand(1, 2), {}, 'put it first in a tuple'),
    (nn.Conv2d(300, 1, 3), rand(1, 300, 3, 3), {}, 'layer Conv2d.*8,192'),
    (nn.Sequential(nn.Identity(), nn.Linear(3, 17000)), rand(1, 3), {}, 'layer 1 Linear.*16,384 columns'),
    (nn.Sequential(nn.ReLU(), nn.Sigmoid()), rand(9, 9), dict(max_formulas=100), 'layer 1 Sigmoid.*max_formulas=100'),
    (nn.Conv2d(1, 1, 3), rand(2, 1, 5, 5), {}, '2 pictures'),
    (nn.BatchNorm1d(2, track_running_stats=False), rand(3, 2), {}, 'layer BatchNorm1d: keeps no running mean'),
    (nn.Linear(2, 3), rand(1, 2), dict(labels=['a']), '1 labels'),
    (nn.Sequential(), rand(1, 2), {}, 'no layer that computes'),
    (torch.sigmoid, rand(1, 2), {}, 'model is a builtin'),
    (nn.MaxPool2d(2, 1, 1, 3), rand(1, 1, 2, 2), {}, 'gives inf or nan'),
    (nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), rand(1, 2), {}, r'layer 1 Linear: does not take \(1, 2\) of torch.float64'),
    (nn.Linear(2, 2), torch.ones(1, 2, dtype=torch.uint8), {}, 'torch.uint8'),
    (nn.Linear(2, 2), torch.ones(1, 2, dtype=torch.complex64), {}, 'torch.complex64'),
    (nn.Linear(2, 2), rand(0, 2), {}, r'shape \(0, 2\)'),
    (nn.Linear(2, 2), [[1., 2.]], {}, 'made of list'), (nn.Linear(2, 2), None, {}, 'made of NoneType'),
    (nn.Embedding(3, 2), torch.tensor([3]), {}, 'layer Embedding: does not take'),
    (nn.Sequential(nn.Linear(2, 2), nn.Hardtanh(-math.inf, 1)), rand(1, 2), {}, 'layer 1 Hardtanh.*inf'),
    (nn.Embedding(3, 2, max_norm=1.), torch.tensor([1]), {}, 'max_norm'),
    (Deep(), rand(1, 2), {}, "layer inner.1 .*'sort'"),
    (nn.Sequential(nn.Linear(2, 2), Fn(lambda x: x if x.sum() > 0 else -x)), rand(1, 2), {}, 'cannot be traced'),
    (Fn(lambda x: x + torch.rand(2)), rand(1, 2), {}, "operation 'rand'"),
    (nn.Sequential(nn.Linear(2, 2), Fn(lambda x: x.float())), rand(1, 2), {}, 'layer 1 Fn: turns numbers into torch.float32'),
    (nn.Sequential(Fn(lambda x: x - 100), Fn(lambda x: x.exp() * 0 + x.log())), rand(1, 2), {}, 'layer 1 .*inf or nan'),
    (nn.Conv3d(1, 1, 2), rand(1, 2, 2, 2), {}, 'layer Conv3d: slides through a volume'), (Fn(lambda x: torch.fft.fft(x).abs()), rand(2, 3), {}, 'no formula is known')])
def test_refusals(tmp_path, model, x, kwargs, words):
    with pytest.raises(SheetError, match=words): to_workbook(model, x, tmp_path/'m.xlsx', **kwargs)
    assert not (tmp_path/'m.xlsx').exists()

def test_only_xlsx(tmp_path):
    for name in ('m', 'm.xls', 'm.txt'):
        with pytest.raises(SheetError, match='ends in .xlsx'): to_workbook(nn.Linear(2, 1), rand(1, 2), tmp_path/name)

def test_a_formula_can_be_added(tmp_path):
    model, x = Fn(lambda x: x.erfc()), rand(2, 3)
    with pytest.raises(SheetError, match='erfc'): to_workbook(model, x, tmp_path/'m.xlsx')
    @writes('erfc')
    def write_erfc(w, op): return w.new(op.value, [f'2*NORM.DIST(-SQRT(2)*{t},0,1,TRUE)' for t in w.texts(op.args['self'], op.value.shape)[0]], op.label)
    try: assert (read_range(to_workbook(nn.Sequential(nn.GELU(), model), x, tmp_path/'m.xlsx').path, 'output') - nn.functional.gelu(x.double()).erfc()).abs().max() < 1e-8
    finally: WRITERS.pop('erfc')


@pytest.mark.parametrize('largest', range(3))
def test_the_prediction_is_the_label_of_the_largest_output(tmp_path, largest):
    model = nn.Linear(2, 3)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.arange(3) == largest)
    made = to_workbook(model, rand(2, 2), tmp_path/'labels.xlsx', labels=['red', 'green', 'blue'])
    engine = Engine(made.path)
    said = [engine.cell('model', *made.prediction.at(k)).value for k in range(2)]
    assert said == [['red', 'green', 'blue'][largest]] * 2


@pytest.mark.parametrize('n, named', [(79, True), (80, False)]) # Excel takes 8,192 characters; a range costs its text and some of the sheet's
def test_a_name_for_too_many_ranges_is_left_out(n, named):
    canvas = SimpleNamespace(book=Book())
    Canvas.define(canvas, 'many', SimpleNamespace(ranges=['x' * 95] * n))
    assert ('many' in canvas.book.names) == named
