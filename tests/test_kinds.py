"Every public operation on tensors keeps its kind of numbers and its device: float32, float64 and bfloat16, and 'meta', where tensors have shapes only"
import inspect
import pytest, torch
from torch import nn
import ddl_lesson8.all as book

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


class Made:
    "Makes the same numbers in any kind, on any device"
    def __init__(self, dtype, device): self.dtype, self.device, self.n = dtype, device, 0

    def __call__(self, *shape): # between -1 and 1
        self.n += 1
        x = torch.rand(shape, generator=torch.Generator().manual_seed(self.n), dtype=torch.float64) * 2 - 1
        return x.to(torch.bfloat16).to(self.dtype).to(self.device)

    def ids(self, *shape, n=3): return torch.arange(torch.Size(shape).numel()).reshape(shape).remainder(n).to(self.device)

    def layer(self, module): # the same weights in each kind
        module = module.double()
        with torch.no_grad():
            for k, p in enumerate([*module.parameters(), *module.buffers()]):
                if p.is_floating_point(): p.copy_(torch.rand(p.shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64).bfloat16() + .5)
        return module.eval().to(self.dtype).to(self.device)


A = book
CALLS = { # name -> the call
    **{name: lambda m, name=name: getattr(A, name)(m(3, 4)) for name in ('elu', 'gelu', 'hardsigmoid', 'hardswish', 'hardtanh', 'identity', 'leaky_relu', 'log_softmax', 'mish', 'relu', 'relu6', 'selu',
                                                                        'sigmoid', 'silu', 'softmax', 'softplus', 'tanh')},
    **{name: lambda m, name=name: getattr(A, name)(m(3, 4), m(3, 4)) for name in ('mse_loss', 'l1_loss', 'rmse')},
    'binary_cross_entropy': lambda m: A.binary_cross_entropy(m(3, 4).abs() * .9 + .05, m(3, 4).abs()),
    'binary_cross_entropy_with_logits': lambda m: A.binary_cross_entropy_with_logits(m(3, 4), m(3, 4).abs()),
    'cross_entropy': lambda m: A.cross_entropy(m(4, 3), m.ids(4)),
    'accuracy': lambda m: A.accuracy(m(4, 3), m.ids(4)),
    'sigmoid_range': lambda m: A.sigmoid_range(m(5), 0., 5.),
    'in_range': lambda m: A.in_range(m(5), (0., 5.)),
    'apply_kernel': lambda m: A.apply_kernel(m(5, 6), m(3, 3), 1, 2),
    'slide_kernel': lambda m: A.slide_kernel(m(5, 6), m(3, 3)),
    'shifted_views': lambda m: A.shifted_views(m(1, 2, 6, 6), (3, 3), (1, 1), (1, 1), (4, 4)),
    **{name: lambda m, name=name: getattr(A, name)(m(2, 2, 6, 6), m(3, 2, 3, 3), m(3), padding=1) for name in ('conv2d', 'conv2d_fast', 'conv2d_matmul')},
    'conv2d_unfold': lambda m: A.conv2d_unfold(m(2, 2, 6, 6), m(3, 2, 3, 3)),
    'conv_matrix': lambda m: A.conv_matrix(m(3, 2, 3, 3), 5),
    'conv_transpose2d_matmul': lambda m: A.conv_transpose2d_matmul(m(2, 3, 4, 4), m(3, 2, 3, 3), 6),
    **{name: lambda m, name=name: getattr(A, name)(m(2, 3, 6, 6), 2) for name in ('avg_pool2d', 'max_pool2d', 'adaptive_avg_pool2d', 'adaptive_max_pool2d')},
    'dropout': lambda m: A.dropout(m(3, 4), training=False),
    'cosine_similarity': lambda m: A.cosine_similarity(m(3, 4), m(5, 4)),
    'nearest': lambda m: A.nearest(m(6, 4), m.ids(2), 3),
    'one_hot': lambda m: A.one_hot(m.ids(4), 3, m.dtype),
    'edge_likeness': lambda m: A.edge_likeness(m(2, 1, 3, 3)),
    'nearest_edge': lambda m: A.nearest_edge(m(2, 1, 3, 3)),
    'explained': lambda m: A.explained(m(8), m(8, 2)),
    'pca': lambda m: A.pca(m(8, 4), 2),
    'ranks': lambda m: A.ranks(m(6)),
    'mean_and_doubt': lambda m: A.mean_and_doubt(m(5, 3, 4)),
    'predict_samples': lambda m: A.predict_samples(m.layer(nn.Linear(4, 2)), m(3, 4), n=2),
    'layer_outputs': lambda m: list(A.layer_outputs(m.layer(nn.Sequential(nn.Linear(4, 2), nn.ReLU())), m(3, 4)).values()),
    'summary': lambda m: A.summary(m.layer(nn.Linear(4, 2)), m(3, 4)) and None,
    'stroke_distance': lambda m: A.stroke_distance(m(2, 4, 2, 2) * 9 + 14),
    'tabular_forward': lambda m: A.tabular_forward(m.ids(4, 1), m(4, 2), [m(3, 2)], [m(5, 4), m(1, 5)], [m(5), m(1)], (0., 5.)),
    'stability': lambda m: A.stability(m(2, 8, 3), m.ids(3), 2),
    'bpr_loss': lambda m: A.bpr_loss(m.layer(A.EmbeddingDotBias(3, 5, 2)), m.ids(4), m.ids(4)),
    'softmax_loss': lambda m: A.softmax_loss(m.layer(A.EmbeddingDotBias(3, 5, 2)), m.ids(4), m.ids(4)),
    'AvgPool2d': lambda m: A.AvgPool2d(2)(m(1, 2, 6, 6)),
    'MaxPool2d': lambda m: A.MaxPool2d(2)(m(1, 2, 6, 6)),
    'AdaptiveConcatPool2d': lambda m: A.AdaptiveConcatPool2d()(m(1, 2, 6, 6)),
    'Conv2d': lambda m: m.layer(A.Conv2d(2, 3, 3))(m(1, 2, 6, 6)),
    'FastConv2d': lambda m: m.layer(A.FastConv2d(2, 3, 3))(m(1, 2, 6, 6)),
    'Dropout': lambda m: m.layer(A.Dropout())(m(3, 4)),
    'Dropout2d': lambda m: m.layer(A.Dropout2d())(m(1, 2, 3, 4)),
    'Embedding': lambda m: m.layer(A.Embedding(3, 4))(m.ids(5)),
    'Lookup': lambda m: m.layer(A.Lookup(3, 4))(m.ids(5)),
    'WordModel': lambda m: m.layer(A.WordModel(3))(m.ids(5)),
    'LinBnDrop': lambda m: m.layer(A.LinBnDrop(4, 2, p=.5))(m(3, 4)),
    'OutputScale': lambda m: m.layer(A.OutputScale([1.], [2.]))(m(3, 1)),
    'SigmoidRange': lambda m: A.SigmoidRange(0., 5.)(m(3, 1)),
    'TabularModel': lambda m: m.layer(A.TabularModel([(3, 2)], 2, 1, [5], y_range=(0., 5.)))(m.ids(4, 1), m(4, 2)),
    **{name: lambda m, name=name: m.layer(getattr(A, name)(3, 5))(m.ids(4), m.ids(4)) for name in ('DotProduct', 'EmbeddingDotBias', 'EmbeddingNN')},
    'CombinedModel': lambda m: m.layer(A.CombinedModel(3, 5, torch.ones(3, 2), torch.ones(5, 2), 4))(m.ids(4), m.ids(4)),
    'FourParts': lambda m: m.layer(A.FourParts(A.Inputs([3], 4), nn.Linear(6, 5), nn.Linear(5, 1)))(m.ids(4, 1), m(4, 2)),
    'Inputs': lambda m: m.layer(A.Inputs([3], 4))(m.ids(4, 1), m(4, 2)),
}
WITHOUT = dict( # these need numbers, names or a file, not shapes alone
    agreement='compares numbers', claim='compares numbers', row='one number', conv_violation='compares numbers', confusion='counts', extremes='sorts names', centre_by_mass='moves by what it sees',
    fast_choice='asks the machine', show_conv_matrix='draws', show_map='draws', spearman='one plain number', to_workbook='writes numbers', train_plainly='returns plain numbers', list_metrics='plain numbers',
    fold_in='ratings of named people', guess_from_metadata='ratings of named people', learn_prior='ratings of named people', one_vote_each='ratings of named people', solve_side='a list of ratings',
    Jitter='random pictures', Module='has no forward', ModuleList='has no forward', SheetModule='a workbook')


def flat(found): # the tensors of an answer
    if isinstance(found, torch.Tensor): return [found]
    return [t for v in found for t in flat(v)] if isinstance(found, (list, tuple)) else []


def test_every_public_operation_is_tried():
    def on_tensors(o):
        if inspect.isclass(o): return issubclass(o, nn.Module)
        return inspect.isfunction(o) and any('Tensor' in str(p.annotation) for p in inspect.signature(o).parameters.values())
    assert {n for n in book.__all__ if on_tensors(getattr(book, n))} - WITHOUT.keys() == CALLS.keys()


ASK = dict(ranks='equal numbers share a rank, NaN has none', softmax_loss='each person once', explained='PyTorch has no least squares of shapes') # the values decide what is computed


@pytest.mark.parametrize('dtype', DTYPES, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize('name', [n for n in CALLS if n not in ASK])
def test_shapes_alone_are_enough(name, dtype):
    "On 'meta' an answer has the shape and kind that it has on the processor"
    with torch.random.fork_rng(): here, there = flat(CALLS[name](Made(dtype, 'cpu'))), flat(CALLS[name](Made(dtype, 'meta')))
    assert [(t.shape, t.dtype) for t in here] == [(t.shape, t.dtype) for t in there] and {t.device.type for t in there} <= {'meta'}


WIDER = dict(accuracy='a share', stability='a share', rmse='squares of 16 bits would overflow', pca='PyTorch has no SVD in 16 bits', explained='least squares', ranks='halves between ranks') # answers of another kind than the numbers given


@pytest.mark.parametrize('dtype', DTYPES, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize('name', CALLS)
def test_an_answer_is_of_the_kind_that_was_given(name, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = flat(CALLS[name](Made(dtype, 'cpu')))
        torch.manual_seed(0)
        right = flat(CALLS[name](Made(torch.float64, 'cpu')))
    for a, b in zip(found, right, strict=True):
        if not b.is_floating_point(): continue
        assert a.dtype == dtype or name in WIDER
        far = (a.double() - b).abs().max() / b.abs().max().clamp(min=1)
        assert far <= (.05 if dtype == torch.bfloat16 else 1e-5)
