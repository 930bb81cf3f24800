"Every function that PyTorch has too, on inputs that nobody expects: the same result, or a refusal; what differs is listed with its reason"
import math, re
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from ddl_lesson8 import activations as A, conv, conv_fast, conv_matmul, pooling
from ddl_lesson8.dropout import Dropout2d, dropout
from ddl_lesson8.embeddings import Embedding, one_hot

KINDS = [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool, torch.complex64]
NAN, INF = math.nan, math.inf


def seeded(*shape, dtype=torch.float32, low=-3., high=3., seed=0):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low
    return x > 0 if dtype == torch.bool else x.abs().mul(40).to(dtype) if not (dtype.is_floating_point or dtype.is_complex) else x.to(dtype)


def short(v): # how an argument is called in the name of a case
    if isinstance(v, torch.Tensor): return f"{str(v.dtype)[6:]}{list(v.shape)}"
    return repr(v)[:40].replace(' ', '')


def odd_tensors(): # one tensor argument of any shape, by name
    picture = seeded(2, 3, 4, 5)
    yield from ((str(k)[6:], seeded(3, 4, dtype=k)) for k in KINDS)
    yield 'plain', seeded(3, 4)
    yield 'one number', torch.tensor(-1.5)
    yield 'empty', torch.zeros(0, 4)
    yield 'edges', torch.tensor([NAN, INF, -INF, 0., -0., 1e38, -1e38, 1e-45, -1e-45, 88.8, -88.8, 104., -104., 20., 3., -3., 6., 1., -1.])
    yield 'half edges', torch.tensor([NAN, INF, -INF, 0., -0., 65504, -65504, 6e-8, 11.1, -11.1], dtype=torch.float16)
    yield 'turned', seeded(4, 3).T
    yield 'each second', seeded(3, 8)[:, ::2]
    yield 'expanded', torch.tensor([[1.], [-2.]]).expand(2, 3)
    yield 'channels last', picture.to(memory_format=torch.channels_last)
    yield 'no tensor', [1., 2.]
    yield 'None', None


ELEMENTWISE = {'sigmoid': torch.sigmoid, 'tanh': torch.tanh, 'relu': F.relu, 'leaky_relu': F.leaky_relu, 'elu': F.elu, 'selu': F.selu,
               'gelu': F.gelu, 'silu': F.silu, 'softplus': F.softplus, 'mish': F.mish, 'hardsigmoid': F.hardsigmoid, 'hardtanh': F.hardtanh,
               'hardswish': F.hardswish, 'relu6': F.relu6}
OPTIONS = {'leaky_relu': [dict(negative_slope=v) for v in (0, -.5, 2., NAN)], 'elu': [dict(alpha=v) for v in (0., -1., NAN)],
           'softplus': [dict(beta=b, threshold=t) for b, t in ((-1., 20.), (2., -5.), (1., INF), (NAN, 20.), (0., 20.))],
           'hardtanh': [dict(min_val=a, max_val=b) for a, b in ((0., 0.), (1., -1.), (NAN, 1.), (-INF, INF))], 'gelu': [dict(approximate=v) for v in ('tanh', 'x', None)]}


def activations():
    for name, theirs in ELEMENTWISE.items():
        ours = getattr(A, name)
        for what, x in odd_tensors(): yield name, what, ours, theirs, (x,), {}
        for kw in OPTIONS.get(name, []): yield name, str(kw), ours, theirs, (seeded(3, 4, high=30.),), kw
    for name in ('softmax', 'log_softmax'):
        ours, theirs = getattr(A, name), getattr(F, name)
        for what, x in odd_tensors(): yield name, what, ours, theirs, (x,), dict(dim=-1)
        for dim in (0, 1, 2, -3, 1.0, None, True): yield name, f'dim={dim}', ours, theirs, (seeded(3, 4),), dict(dim=dim)
        for what, x in {'no classes': torch.zeros(3, 0), 'all -inf': torch.full((2, 3), -INF), 'one inf': torch.tensor([1., INF, 2.])}.items():
            yield name, what, ours, theirs, (x,), dict(dim=-1)


def pairs(low, high): # input and target of a loss
    for k in KINDS: yield f'{k} both'.replace('torch.', ''), seeded(4, 3, dtype=k, low=low, high=high), seeded(4, 3, dtype=k, low=low, high=high, seed=1)
    for a, b in [(torch.float32, k) for k in KINDS] + [(torch.float16, torch.float32), (torch.float16, torch.bfloat16), (torch.int64, torch.float32)]:
        yield f'{a} with {b}'.replace('torch.', ''), seeded(4, 3, dtype=a, low=low, high=high), seeded(4, 3, dtype=b, low=low, high=high, seed=1)
    x = seeded(4, 1, low=low, high=high)
    yield 'plain', x, x.flip(0)
    yield '(4, 1) with (4,)', x, x[:, 0]
    yield '(4, 1) with (4, 3)', x, x.expand(4, 3)
    yield 'with one number', x, x[0, 0]
    yield 'one number', x[0, 0], x[1, 0]
    yield 'empty', x[:0], x[:0]
    yield 'turned', seeded(4, 3, low=low, high=high).T, seeded(3, 4, low=low, high=high)
    yield 'edges', torch.tensor([NAN, 1., INF, 0.]), torch.tensor([0., NAN, 1., 0.])


def weights(x): # for x of shape (4, 1)
    yield from {'alike': torch.tensor([[1.], [2.], [0.], [3.]]), 'flat': torch.ones(4), 'one': torch.tensor(2.), 'one of (1, 1)': torch.full((1, 1), 2.), 'short': torch.ones(3, 1), 'wide': torch.ones(4, 3),
                'zero': torch.zeros(4, 1), 'float64': torch.ones(4, 1, dtype=torch.float64), 'int64': torch.ones(4, 1, dtype=torch.int64), 'NaN': torch.full((4, 1), NAN), 'below zero': -torch.ones(4, 1), 'no tensor': 2.}.items()


def losses():
    share, score = (.05, .95), (-3., 3.)
    for name, span in (('mse_loss', score), ('l1_loss', score), ('binary_cross_entropy', share), ('binary_cross_entropy_with_logits', score)):
        ours, theirs = getattr(A, name), getattr(F, name)
        for what, x, y in pairs(*span):
            if 'binary' in name and y.is_floating_point(): y = torch.where(y.isfinite(), y.sigmoid() if span == score else y, y) # shares
            for reduction in ('mean', 'sum', 'none'): yield name, f'{what}, {reduction}', ours, theirs, (x, y), dict(reduction=reduction)
        x = seeded(4, 1, low=.05, high=.95)
        y = x.flip(0)
        yield name, 'reduction', ours, theirs, (x, y), dict(reduction='total')
        for what, w in weights(x):
            for reduction in ('mean', 'sum', 'none'): yield name, f'weight {what}, {reduction}', ours, theirs, (x, y), dict(weight=w, reduction=reduction)
        if 'binary' not in name: continue
        yield name, 'whole target', ours, theirs, (x, torch.tensor([[0], [1], [1], [0]])), {}
        for t in (2., -1., NAN, 1.0001): yield name, f'target {t}', ours, theirs, (x, torch.full((4, 1), t)), {}
        for t in (2., -1., NAN, 0., 1.): yield name, f'input {t}', ours, theirs, (torch.full((4, 1), t), y), {}
        if 'logits' in name:
            for what, w in weights(x): yield name, f'pos_weight {what}', ours, theirs, (x, y), dict(pos_weight=w)


def classes():
    name, ours, theirs = 'cross_entropy', A.cross_entropy, F.cross_entropy
    x, y = seeded(4, 3), torch.tensor([0, 2, 1, 1])
    for k in KINDS: yield name, f'scores {k}', ours, theirs, (seeded(4, 3, dtype=k), y), {}
    for k in KINDS[3:]: yield name, f'target {k}', ours, theirs, (x, y.clamp(max=1).to(k)), {}
    for bad in (3, -1, 10**12, -100): yield name, f'class {bad}', ours, theirs, (x, torch.tensor([0, bad, 1, 1])), {}
    for what, w in {'short': torch.ones(2), 'long': torch.ones(4), 'table': torch.ones(1, 3), 'one': torch.tensor(1.), 'float64': torch.ones(3, dtype=torch.float64), 'int64': torch.ones(3, dtype=torch.int64),
                    'zero': torch.zeros(3), 'NaN': torch.tensor([1., NAN, 1.]), 'below zero': -torch.ones(3), 'float16': torch.ones(3, dtype=torch.float16), 'no tensor': 1., 'plain': torch.tensor([1., 2., 3.])}.items():
        for target in (y, x.softmax(1)):
            for smooth in (0., .2): yield name, f"weight {what}, {'classes' if target is y else 'shares'}, {smooth}", ours, theirs, (x, target), dict(weight=w, label_smoothing=smooth)
    for smooth in (-.1, 1., 1.5, NAN): yield name, f'smoothing {smooth}', ours, theirs, (x, y), dict(label_smoothing=smooth)
    for ignored in (1, 0, -100, 7):
        for reduction in ('mean', 'sum', 'none'): yield name, f'ignoring {ignored}, {reduction}', ours, theirs, (x, y), dict(ignore_index=ignored, reduction=reduction)
    yield name, 'all ignored', ours, theirs, (x, torch.ones(4, dtype=torch.int64)), dict(ignore_index=1)
    yield name, 'reduction', ours, theirs, (x, y), dict(reduction='total')
    for what, a, b in (('shares', x, x.softmax(1)), ('shares of float64', x, x.double().softmax(1)), ('shares of float16', x, x.half().softmax(1)), ('shares of 2', x, torch.full((4, 3), 2.)), ('shares below 0', x, -x.softmax(1)), ('shares NaN', x, torch.full((4, 3), NAN)),
                       ('target too long', x, torch.zeros(5, dtype=torch.int64)), ('target (4, 1)', x, y[:, None]), ('target a number', x, y[0]), ('one row', x[0], y[0]), ('one row, target (1,)', x[0], y[:1]), ('no rows', x[:0], y[:0]), ('no classes', x[:, :0], y),
                       ('no classes, no rows', x[:0, :0], y[:0]), ('one class', x[:, :1], y * 0), ('a number', x[0, 0], y[0]), ('pictures', seeded(2, 3, 4, 5), torch.ones(2, 4, 5, dtype=torch.int64)), ('pictures of no rows', seeded(2, 3, 0, 5), torch.ones(2, 0, 5, dtype=torch.int64)),
                       ('pictures, target short', seeded(2, 3, 4, 5), torch.ones(2, 4, dtype=torch.int64)), ('pictures of shares', seeded(2, 3, 4), seeded(2, 3, 4).softmax(1)), ('shares short', x, x[:, :2]), ('-inf', torch.tensor([[0., -INF, 1.]] * 4), y), ('NaN', torch.tensor([[0., NAN, 1.]] * 4), y),
                       ('inf', torch.tensor([[0., INF, 1.]] * 4), y), ('turned', seeded(3, 4).T, y), ('huge', x * 1e38, y)):
        yield name, what, ours, theirs, (a, b), {}


def convolutions():
    x, w, b = seeded(2, 4, 5, 6), seeded(6, 4, 3, 3, seed=1), seeded(6, seed=2)
    for name, ours in (('conv2d', conv.conv2d), ('conv2d_fast', conv_fast.conv2d_fast)):
        case = lambda what, *args, **kw: (name, what, ours, F.conv2d, args, kw)
        for k in KINDS: yield case(f'{k} all', seeded(2, 4, 5, 6, dtype=k), seeded(6, 4, 3, 3, seed=1, dtype=k))
        for k in KINDS: yield case(f'weight {k}', x, seeded(6, 4, 3, 3, dtype=k)); yield case(f'bias {k}', x, w, seeded(6, dtype=k))
        for kw in (dict(stride=v) for v in (0, -1, 2, (2, 1), (1, 2, 3), 1.5, None, '2', True, (), [2], 100)): yield case(str(kw), x, w, **kw)
        for kw in (dict(padding=v) for v in (-1, 2, (2, 0), (1, 2, 3), 1.5, None, 'same', 'valid', 'full', True, (), 100)): yield case(str(kw), x, w, **kw)
        for kw in (dict(dilation=v) for v in (0, -1, 2, (2, 1), 3, (1, 2, 3), None)): yield case(str(kw), x, w, **kw)
        for kw in (dict(groups=v) for v in (0, -1, 2, 3, 4, 5, None, 1.)): yield case(str(kw), x, w, **kw)
        yield case('groups', x, seeded(6, 2, 3, 3), groups=2)
        yield case('same, stride 2', x, w, stride=2, padding='same')
        yield case('same, even window', x, seeded(6, 4, 2, 4), padding='same')
        yield case('same, dilated', x, w, padding='same', dilation=2)
        for what, a, c in (('rank 2', x[0, 0], w), ('rank 1', x[0, 0, 0], w), ('rank 3', x[0], w), ('rank 5', x[None], w), ('no images', x[:0], w), ('no channels', x[:, :0], w[:, :0]), ('no rows', x[:, :, :0], w), ('no columns', x[..., :0], w),
                           ('window of no rows', x, w[:, :, :0]), ('no outputs', x, w[:0]), ('window too large', x, seeded(6, 4, 7, 7)), ('window as large', x, seeded(6, 4, 5, 6)), ('weight of rank 3', x, w[0]), ('weight of rank 2', x, w[0, 0]),
                           ('other channels', x, w[:, :3]), ('turned', x.transpose(2, 3), w), ('weight turned', x, w.transpose(2, 3)), ('channels last', x.to(memory_format=torch.channels_last), w.to(memory_format=torch.channels_last)), ('each second', seeded(2, 8, 10, 12)[:, ::2, ::2, ::2], w),
                           ('expanded', x[:1].expand(3, 4, 5, 6), w), ('NaN', torch.where(x > 2, NAN, x), w), ('inf', torch.where(x > 2, INF, x), w), ('weight inf', x, torch.where(w > 2, INF, w)), ('no tensor', [1.], w), ('None', None, w), ('no weight', x, None)): yield case(what, a, c)
        yield case('NaN in the border', torch.full((1, 1, 2, 2), NAN), torch.zeros(1, 1, 3, 3), padding=1)
        for what, bias in (('short', b[:3]), ('long', seeded(7)), ('column', b[:, None]), ('one', torch.tensor(1.)), ('of one', torch.ones(1)), ('None', None), ('plain', b), ('no tensor', 1.)): yield case(f'bias {what}', x, w, bias)
    name = 'conv2d_matmul'
    for k in KINDS: yield name, f'{k} all', conv_matmul.conv2d_matmul, F.conv2d, (seeded(2, 4, 5, 6, dtype=k), seeded(6, 4, 3, 3, seed=1, dtype=k)), {}
    for what, args, kw in (('rank 3', (x[0], w), {}), ('no images', (x[:0], w), {}), ('other channels', (x, w[:, :3]), {}), ('stride 0', (x, w), dict(stride=0)), ('padding -1', (x, w), dict(padding=-1)), ('padding same', (x, w), dict(padding='same')), ('dilation 0', (x, w), dict(dilation=0)),
                           ('groups 0', (x, w), dict(groups=0)), ('groups 4', (x, w), dict(groups=4)), ('bias short', (x, w, b[:3]), {}), ('bias one', (x, w, torch.tensor(1.)), {}), ('bias of one', (x, w, torch.ones(1)), {}), ('bias column', (x, w, b[:, None]), {}), ('bias', (x, w, b), {}), ('window of no rows', (x, w[:, :, :0]), {}), ('no rows', (x[:, :, :0], w), {}),
                           ('no outputs', (x, w[:0]), {}), ('no channels', (x[:, :0], w[:, :0]), {}), ('weight float64', (x, w.double()), {}), ('bias float64', (x, w, b.double()), {}), ('weight of rank 3', (x, w[0]), {}), ('window too large', (x, seeded(6, 4, 7, 7)), {}), ('turned', (x.transpose(2, 3), w), {}), ('dilation 2', (x, w), dict(dilation=2, padding=1))):
        yield name, what, conv_matmul.conv2d_matmul, F.conv2d, args, kw
    name, plain = 'conv2d_unfold', lambda x, weight, stride=1, padding=0, dilation=1: F.conv2d(x, weight, None, stride, padding, dilation)
    for k in KINDS: yield name, f'{k} all', conv_matmul.conv2d_unfold, plain, (seeded(2, 4, 5, 6, dtype=k), seeded(6, 4, 3, 3, seed=1, dtype=k)), {}
    for what, args, kw in (('rank 3', (x[0], w), {}), ('no images', (x[:0], w), {}), ('other channels', (x, w[:, :3]), {}), ('stride 0', (x, w), dict(stride=0)), ('padding -1', (x, w), dict(padding=-1)), ('dilation 0', (x, w), dict(dilation=0)), ('window of no rows', (x, w[:, :, :0]), {}), ('no rows', (x[:, :, :0], w), {}),
                           ('no outputs', (x, w[:0]), {}), ('no channels', (x[:, :0], w[:, :0]), {}), ('weight float64', (x, w.double()), {}), ('weight of rank 3', (x, w[0]), {}), ('window too large', (x, seeded(6, 4, 7, 7)), {}), ('turned', (x.transpose(2, 3), w), {}), ('dilation 2', (x, w), dict(dilation=2, padding=1))):
        yield name, what, conv_matmul.conv2d_unfold, plain, args, kw


def pools():
    x = seeded(2, 4, 5, 6)
    for name in ('max_pool2d', 'avg_pool2d'):
        ours, theirs = getattr(pooling, name), getattr(F, name)
        case = lambda what, *args, **kw: (name, what, ours, theirs, args, kw)
        for k in KINDS: yield case(f'{k}', seeded(2, 4, 5, 6, dtype=k), 2)
        yield case('bytes of 255', torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 2)
        yield case('large whole numbers', torch.full((1, 1, 2, 2), 2**62), 2)
        yield case('whole numbers below 0', torch.tensor([[[[-3, -4], [-1, 0]]]]), 2)
        yield case('largest halves', torch.full((1, 1, 2, 2), 65504., dtype=torch.float16), 2)
        for k in (0, -1, 2, (2, 3), (1, 2, 3), 1.5, None, '2', True, (), 7, [2]): yield case(f'window {k}', x, k)
        for kw in (dict(stride=v) for v in (0, -1, 1, (2, 1), (1, 2, 3), 1.5, None, (), True)): yield case(str(kw), x, 2, **kw)
        for kw in (dict(padding=v) for v in (-1, 1, (1, 0), 2, (1, 2, 3), 1.5, None, True, ())): yield case(str(kw), x, 2, **kw)
        if name == 'max_pool2d':
            for d in (0, -1, 2, (2, 1), 3): yield case(f'dilation {d}', x, 2, dilation=d)
        else:
            for d in (0, -1, 3, 2.5, None): yield case(f'divisor {d}', x, 2, divisor_override=d)
            for inc in (True, False): yield case(f'pad counts {inc}', x, 3, padding=1, ceil_mode=True, count_include_pad=inc, stride=2)
        for what, a in (('rank 2', x[0, 0]), ('rank 3', x[0]), ('rank 5', x[None]), ('no images', x[:0]), ('no channels', x[:, :0]), ('no rows', x[:, :, :0]), ('NaN', torch.where(x > 2, NAN, x)), ('inf', torch.where(x > 2, INF, x)), ('-inf', torch.full((1, 1, 4, 4), -INF)), ('all NaN', torch.full((1, 1, 4, 4), NAN)),
                        ('turned', x.transpose(2, 3)), ('channels last', x.to(memory_format=torch.channels_last)), ('expanded', x[:1].expand(3, 4, 5, 6)), ('no tensor', [1.]), ('None', None), ('ties', torch.ones(1, 1, 4, 4))): yield case(what, a, 2)
        yield case('ceil', x, 2, ceil_mode=True)
        yield case('ceil, stride 3', x, 2, stride=3, ceil_mode=True)
    for name in ('adaptive_max_pool2d', 'adaptive_avg_pool2d'):
        ours, theirs = getattr(pooling, name), getattr(F, name)
        case = lambda what, *args, **kw: (name, what, ours, theirs, args, kw)
        for k in KINDS: yield case(f'{k}', seeded(2, 4, 5, 6, dtype=k), 2)
        yield case('bytes of 255', torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 1)
        for k in (0, -1, 2, (2, 3), (1, 2, 3), 1.5, None, (None, 2), '2', True, (), 7, [2], [2, 3]): yield case(f'grid {k}', x, k)
        for what, a in (('rank 2', x[0, 0]), ('rank 3', x[0]), ('rank 5', x[None]), ('no images', x[:0]), ('no channels', x[:, :0]), ('no rows', x[:, :, :0]), ('NaN', torch.where(x > 2, NAN, x)), ('inf', torch.where(x > 2, INF, x)), ('turned', x.transpose(2, 3)), ('channels last', x.to(memory_format=torch.channels_last)),
                        ('largest halves', torch.full((1, 1, 4, 4), 65504., dtype=torch.float16)), ('no tensor', [1.]), ('ties', torch.ones(1, 1, 4, 4))): yield case(what, a, 2)


def lookups():
    table = seeded(5, 3)
    def ours(ids, weight=table, **kw):
        e = Embedding(*weight.shape, dtype=weight.dtype, **kw)
        e.weight.data.copy_(weight)
        return e(ids)
    theirs = lambda ids, weight=table, **kw: F.embedding(ids, weight, **kw)
    for k in KINDS: yield 'embedding', f'ids {k}', ours, theirs, (torch.tensor([0, 1, 1]).to(k),), {}
    for bad in (5, -1, 2**40): yield 'embedding', f'id {bad}', ours, theirs, (torch.tensor([0, bad]),), {}
    for pad in (0, -1, 5, -6, 1.5, True): yield 'embedding', f'padding_idx {pad}', ours, theirs, (torch.tensor([0, 4]),), dict(padding_idx=pad)
    for norm in (0., .5, -1., NAN, INF): yield 'embedding', f'max_norm {norm}', ours, lambda ids, weight=table, **kw: F.embedding(ids, weight.clone(), **kw), (torch.tensor([0, 4, 4]),), dict(max_norm=norm)
    for what, ids in (('none', torch.zeros(0, dtype=torch.int64)), ('one', torch.tensor(2)), ('table', torch.tensor([[1, 2], [3, 0]])), ('turned', torch.tensor([[1, 2], [3, 0]]).T), ('no tensor', [1, 2]), ('None', None)): yield 'embedding', what, ours, theirs, (ids,), {}
    for k in KINDS: yield 'one_hot', f'ids {k}', lambda ids, n: one_hot(ids, n, torch.int64), F.one_hot, (torch.tensor([0, 1, 1]).to(k), 3), {}
    for what, ids, n in (('above', [0, 3], 3), ('below', [0, -1], 3), ('none', [], 3), ('no classes', [0], 0), ('none of none', [], 0), ('classes -1', [0], -1), ('classes -5', [0], -5), ('classes 2.5', [0], 2.5), ('classes True', [0], True), ('nested', [[0, 1], [2, 2]], 3)):
        yield 'one_hot', what, lambda ids, n: one_hot(ids, n, torch.int64), F.one_hot, (torch.tensor(ids, dtype=torch.int64), n), {}


def drops():
    for p in (0., 1., -.1, 1.1, NAN, '0.5', None, True, torch.tensor(1.)):
        for what, x in {'plain': seeded(3, 4), 'edges': torch.tensor([NAN, INF, -INF, -1.])}.items():
            for training in (True, False): yield 'dropout', f'{what}, p={p}, {training}', dropout, F.dropout, (x,), dict(p=p, training=training)
    for k in KINDS:
        for p in (0., 1.): yield 'dropout', f'{k}, p={p}', dropout, F.dropout, (seeded(3, 4, dtype=k),), dict(p=p)
    for what, x in (('empty', torch.zeros(0, 3)), ('one', torch.tensor(2.)), ('no tensor', [1.]), ('None', None)): yield 'dropout', what, dropout, F.dropout, (x,), dict(p=1.)
    for what, x in (('rank 4', seeded(2, 3, 4, 5)), ('rank 3', seeded(3, 4, 5)), ('rank 2', seeded(3, 4)), ('rank 5', seeded(1, 2, 3, 4, 5)), ('empty', seeded(0, 3, 4, 5)), ('int64', seeded(2, 3, 4, 5, dtype=torch.int64))): yield 'dropout2d', what, Dropout2d(1.), nn.Dropout2d(1.), (x,), {}


def all_cases():
    for make in (activations, losses, classes, convolutions, pools, lookups, drops): yield from make()


CASES = list(all_cases())


# what happens

class Refused(str): pass


def outcome(f, args, kw): # the result and the slopes, or why not
    args = [a.detach().clone(memory_format=torch.preserve_format).requires_grad_() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args]
    kw = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in kw.items()}
    try: out = f(*args, **kw)
    except Exception as e: return Refused(f'{type(e).__name__}: {e}'), []
    if not isinstance(out, torch.Tensor): return out, []
    slopes = []
    wanted = [a for a in args if isinstance(a, torch.Tensor) and a.requires_grad]
    if out.requires_grad and out.numel() and wanted:
        try: slopes = torch.autograd.grad(out.abs().sum() if out.is_complex() else out.sum(), wanted, allow_unused=True)
        except RuntimeError as e: return Refused(f'backward: {e}'), []
    return out.detach(), [s for s in slopes if s is not None]


def digits_of(args): # how near two results can be: the coarsest of the types
    kinds = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float64: 1e-10}
    return max([kinds.get(a.dtype, 3e-5) for a in args if isinstance(a, torch.Tensor) and (a.is_floating_point() or a.is_complex())], default=1e-10)


def close(a, b, digits):
    if a.shape != b.shape: return False
    a, b = a.to(torch.complex128), b.to(torch.complex128)
    return torch.allclose(a, b, digits, digits * max(1., float(b.abs().nan_to_num(0., 0.).max()) if b.numel() else 1.), equal_nan=True)


def verdict(name, what, ours, theirs, args, kw):
    "'same', 'both refuse', or what differs"
    (a, da), (b, db) = outcome(ours, args, kw), outcome(theirs, args, kw)
    if isinstance(a, Refused) and isinstance(b, Refused): return 'both refuse'
    if isinstance(a, Refused): return 'refused here'
    if isinstance(b, Refused): return 'computed here'
    if a.dtype != b.dtype: return f'{a.dtype} here, {b.dtype} there'.replace('torch.', '')
    digits = digits_of([*args, *kw.values()])
    if not close(a, b, digits): return 'other numbers'
    if a.isfinite().all() and not (len(da) == len(db) and all(close(x, y, digits) for x, y in zip(da, db))): return 'other slopes'
    return 'same'


# where we differ, on purpose: function, case (both regular expressions), what happens, why

FLOATS = 'PyTorch makes whole numbers floating, or computes in them; here that is the caller\'s choice, so that no byte overflows'
LISTED = [
    ('sigmoid|tanh|silu', '(uint8|int8|int32|int64|bool|complex64)', 'refused here', FLOATS),
    ('mse_loss|l1_loss', '.*(int8|int32|int64|complex64).*', 'refused here', FLOATS),
    ('mse_loss', 'float32 with bool.*', 'refused here', 'a truth value has no distance from a number'),
    ('dropout|dropout2d', '(torch.)?(uint8|int8|int32|int64|bool).*', 'refused here', FLOATS),
    ('conv2d.*', 'torch.u?int8 all', 'refused here', 'PyTorch wraps the sums round at 255'),
    ('conv2d_unfold', 'torch.int(32|64) all', 'refused here', '`F.unfold`, through which it goes, knows no whole numbers'),
    ('relu|relu6|hardtanh', 'bool', 'computed here', 'nothing overflows: a truth value stays what it is'),
    ('hardtanh', 'uint8', 'computed here', 'no byte lies below -1'),
    ('adaptive_max_pool2d', '(torch.)?(uint8|int8|int32|int64|bool|bytes of 255)', 'computed here', 'a largest value needs no other type'),
    ('adaptive_avg_pool2d', 'torch.complex64', 'computed here', 'complex numbers have a mean'),
    ('one_hot', 'ids torch.int32', 'computed here', 'ids are ids in both types'),
    ('one_hot', 'none of none', 'computed here', 'the number of classes is given'),
    ('one_hot', 'classes -1', 'refused here', 'for PyTorch -1 means: guess from the ids'),
    ('cross_entropy', 'target torch.int(8|32)', 'computed here', 'ids are ids in both types'),
    ('mse_loss|l1_loss', r'(\(4, 1\) with|with one number).*', 'refused here', 'PyTorch compares every prediction with every target, after a warning'),
    ('binary_cross_entropy.*', 'weight (one|one of \\(1, 1\\)),.*', 'refused here', 'one weight for all: a factor, not a weight'),
    ('binary_cross_entropy.*', '.*float.* with b?float.*', '.*(here|numbers).*', 'mixed types: the wider of the two; PyTorch refuses, or takes the narrower'),
    ('binary_cross_entropy.*', 'whole target', 'computed here', 'a target of whole 0 and 1'),
    ('.*cross_entropy.*', '(pos_)?weight (float64|float16|int64).*', '.*(here|numbers).*', 'mixed types: the wider of the two; PyTorch refuses, or rounds to the narrower'),
    ('binary_cross_entropy', 'input .*', 'other slopes', 'the slope towards the target keeps the limit of -100, as the loss does'),
    ('binary_cross_entropy_with_logits', 'target .*|edges.*', 'refused here', 'no share: the loss would have no bottom'),
    ('cross_entropy', 'smoothing .*', 'refused here', 'no share'),
    ('softmax|log_softmax', 'dim=None', 'other numbers', 'PyTorch guesses an axis and warns; `amax` takes all'),
    ('.*softmax|cross_entropy', 'no classes.*', 'refused here', 'shares of nothing'),
    ('hardtanh', '.*min_val.*', 'refused here', 'two ends that leave no room, as in `nn.Hardtanh`'),
    ('gelu|hardswish', 'edges', 'other numbers', 'x times 1 is infinite at infinity; what PyTorch gives depends on the length of the tensor'),
    ('hardsigmoid', 'float64', 'other slopes', 'the slope of PyTorch is 1/6 in single precision'),
    ('conv2d.*', 'no channels', 'refused here', 'a kernel without cells computes nothing'),
    ('conv2d_(matmul|unfold)', 'rank 3|padding same', 'refused here', 'lesson forms: batches, and padding in numbers'),
    ('(max|avg)_pool2d', '.*stride.: ...', 'refused here', 'an empty pair is a mistake'),
    ('adaptive_.*', 'grid 0|no channels', 'refused here', 'nothing to pool'),
    ('adaptive_.*', 'grid (None|.2.)', 'computed here', 'None keeps a size, one number is for both sides'),
    ('dropout2d', 'rank .', 'refused here', 'PyTorch guesses what the axes are, after a warning')]


def reason(name, what, said): # why they differ, or None
    return next((k for k, (f, case, v, _) in enumerate(LISTED) if re.fullmatch(f, name) and re.fullmatch(case, what) and re.fullmatch(v, said)), None)


@pytest.mark.parametrize('name', sorted({c[0] for c in CASES}))
@pytest.mark.filterwarnings('ignore')
def test_equal_refused_or_listed(name):
    "Each case alone: the same numbers and slopes as PyTorch, or both refuse, or the difference is listed"
    open_cases = [(what, said) for f, what, *rest in CASES if f == name for said in [verdict(f, what, *rest)]
                  if said not in ('same', 'both refuse') and reason(f, what, said) is None]
    assert not open_cases


@pytest.mark.filterwarnings('ignore')
def test_no_reason_without_a_case():
    used = {reason(name, what, verdict(name, what, *rest)) for name, what, *rest in CASES}
    assert len(CASES) > 1500 and used >= set(range(len(LISTED))), [LISTED[k][:3] for k in set(range(len(LISTED))) - used]


def test_refused_in_words():
    "Where PyTorch computes and we do not, the message is ours"
    for call, words in ((lambda: A.sigmoid(torch.ones(2, dtype=torch.uint8)), 'sigmoid takes tensors of floating point numbers'), (lambda: A.mse_loss(torch.ones(4, 1), torch.ones(4, 1), torch.ones(4)), r'weight is \(4,\); give a tensor of shape \(4, 1\)'),
                        (lambda: A.cross_entropy(torch.zeros(1, 3), torch.tensor([0]), torch.ones(4)), r'shape \(3,\), one number for each class'), (lambda: A.binary_cross_entropy(torch.tensor([.5]), torch.tensor([2.])), 'shares lie between 0 and 1'),
                        (lambda: A.binary_cross_entropy_with_logits(torch.zeros(4, 2), torch.zeros(4, 2), pos_weight=torch.ones(4, 1, 2)), 'one number for each column'), (lambda: A.cross_entropy(torch.zeros(2, 3), torch.tensor([True, False])), 'not torch.bool'),
                        (lambda: pooling.avg_pool2d(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 2), 'sums do not fit into torch.uint8'), (lambda: conv.conv2d(torch.ones(1, 1, 1, 2, dtype=torch.uint8), torch.ones(1, 1, 1, 2, dtype=torch.uint8)), 'do not fit into torch.uint8'),
                        (lambda: pooling.avg_pool2d(torch.ones(1, 1, 2, 2), 2, divisor_override=2.5), 'divisor_override is 2.5'), (lambda: pooling.adaptive_avg_pool2d(torch.ones(1, 1, 2, 2), (1, 2, 3)), r'output_size is \[1, 2, 3\]'),
                        (lambda: one_hot(torch.tensor([0]), 2.5), 'number of rows is 2.5'), (lambda: dropout(torch.ones(2, dtype=torch.int64)), 'activations are floating point numbers')):
        with pytest.raises((ValueError, TypeError), match=words): call()


def test_autocast_has_the_type_of_pytorch():
    x, w = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 2, 2)
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast('cpu', dtype=kind): assert conv.conv2d(x, w).dtype == F.conv2d(x, w).dtype == kind
    assert conv.conv2d(x, w).dtype == torch.float32


def test_a_range_of_texts_is_refused_in_words():
    from ddl_lesson8.train.rating_learner import range_for
    for bad in (('0', '5'), (False, 6), (0, None), '05', (0, 5, 6)):
        with pytest.raises(ValueError, match='give .low, high.'): range_for(bad, torch.tensor([1., 5.]))


@pytest.mark.parametrize('name', ['relu', 'relu6', 'hardtanh'])
@pytest.mark.parametrize('n', [1, 3, 1000]) # alone, and in the machine's vectors
def test_the_sign_of_zero_is_kept(name, n):
    x = torch.full((n,), -0.)
    ours, theirs = getattr(A, name)(x), getattr(F, name)(x)
    assert torch.equal(torch.signbit(ours), torch.signbit(theirs)) and torch.signbit(ours).all()
