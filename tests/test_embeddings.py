"Embedding against nn.Embedding, one-hot against the lookup, and the vocabulary"
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8 import embeddings
from ddl_lesson8.embeddings import Embedding, POEM, Vocab, one_hot, split_words
from ddl_lesson8.book.exercises import check_exercise

settings.register_profile('book', derandomize=True, deadline=None, max_examples=60)
settings.load_profile('book')

CASES = st.fixed_dictionaries(dict(n=st.integers(1, 9), dim=st.integers(1, 4), shape=st.lists(st.integers(0, 3), max_size=3), seed=st.integers(0, 99),
    padding=st.none() | st.integers(-9, 8), max_norm=st.none() | st.sampled_from([.5, 1., 3.]), norm_type=st.sampled_from([1., 2., 3.]), sparse=st.booleans(), by_freq=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]), ids=st.sampled_from([torch.int64, torch.int32])))

def pair(c):
    "Both layers with the same weights, and ids for them"
    g = torch.Generator().manual_seed(c['seed'])
    kwargs = dict(padding_idx=c['padding'] if c['padding'] is None or -c['n'] <= c['padding'] < c['n'] else None, max_norm=c['max_norm'], norm_type=c['norm_type'],
                  sparse=c['sparse'], dtype=c['dtype'], scale_grad_by_freq=c['by_freq'] and not c['sparse']) # PyTorch has not both
    ours, theirs = Embedding(c['n'], c['dim'], generator=g, std=1., **kwargs), nn.Embedding(c['n'], c['dim'], **kwargs)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randint(c['n'], c['shape'], generator=g).to(c['ids'])

@given(CASES)
def test_value_gradient_state(c):
    ours, theirs, ids = pair(c)
    a, b = ours(ids), theirs(ids)
    assert a.shape == b.shape and a.dtype == b.dtype
    torch.testing.assert_close(a, b)
    weights = torch.linspace(-1, 1, a.numel(), dtype=a.dtype).view(a.shape)
    for out in (a, b): (out * weights).sum().backward()
    assert ours.weight.grad.is_sparse == theirs.weight.grad.is_sparse
    torch.testing.assert_close(ours.weight.grad.to_dense(), theirs.weight.grad.to_dense())
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ['weight']
    torch.testing.assert_close(ours.weight, theirs.weight) # max_norm changes it

@given(CASES)
def test_one_hot_times_matrix_is_the_lookup(c):
    ours, _, ids = pair({**c, 'padding': None, 'max_norm': None})
    rows = one_hot(ids, c['n'], c['dtype'])
    assert torch.equal(rows, F.one_hot(ids.long(), c['n']).to(c['dtype']))
    assert torch.equal(rows @ ours.weight, ours(ids))

def test_padding_row_starts_at_zero_and_stays():
    layer = Embedding(4, 3, padding_idx=-1)
    assert layer.padding_idx == 3 and not layer.weight[3].any() and layer.weight[:3].any()
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.)
    layer(torch.tensor([3, 1])).sum().backward()
    optimiser.step()
    assert not layer.weight[3].any()

def test_sparse_gradient_trains():
    layer = Embedding(1000, 2, sparse=True)
    optimiser = torch.optim.SparseAdam(layer.parameters(), lr=.1)
    before = layer.weight.detach().clone()
    layer(torch.tensor([7, 7, 2])).sum().backward()
    assert layer.weight.grad._nnz() == 3
    optimiser.step()
    assert (before != layer.weight).any(1).nonzero().flatten().tolist() == [2, 7]

def test_sparse_gradients_are_shared_too():
    ids, kwargs = torch.tensor([[7, 7], [2, 7]]), dict(scale_grad_by_freq=True, generator=torch.Generator().manual_seed(0))
    layers = [Embedding(9, 2, sparse=sparse, **kwargs) for sparse in (True, False)]
    for layer in layers: (layer(ids) * torch.arange(8.).view(2, 2, 2)).sum().backward()
    assert layers[0].weight.grad.is_sparse
    torch.testing.assert_close(layers[0].weight.grad.to_dense(), layers[1].weight.grad)
    assert layers[1].weight.grad[7].tolist() == pytest.approx([(0 + 2 + 6) / 3, (1 + 3 + 7) / 3])

def test_shared_gradients_need_no_gradient():
    layer = Embedding(3, 2, scale_grad_by_freq=True)
    with torch.no_grad(): assert layer(torch.tensor([1, 1])).shape == (2, 2)
    assert layer.requires_grad_(False)(torch.tensor(1)).shape == (2,)

@pytest.mark.parametrize('kwargs', [{}, dict(padding_idx=0), dict(max_norm=1.)])
def test_states_go_both_ways(kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours, theirs = Embedding(5, 3, **kwargs), nn.Embedding(5, 3, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    ids = torch.tensor([[0, 4], [2, 2]])
    torch.testing.assert_close(ours(ids), theirs(ids), rtol=1e-6, atol=0) # the norm of a row may round in another order
    with pytest.raises(RuntimeError, match='size mismatch'): ours.load_state_dict(nn.Embedding(5, 4).state_dict())

@pytest.mark.parametrize('bad', [[5], [-1], [0, 99]])
def test_ids_out_of_range(bad):
    for call in (Embedding(5, 2), lambda ids: one_hot(ids, 5)):
        with pytest.raises(IndexError, match='outside 0..4'): call(torch.tensor(bad))

@pytest.mark.parametrize('bad', [torch.tensor([1.]), torch.tensor([True]), torch.tensor([1], dtype=torch.uint8)])
def test_ids_of_a_wrong_type(bad):
    with pytest.raises(TypeError, match='whole numbers'): Embedding(5, 2)(bad)

def test_padding_out_of_range():
    with pytest.raises(ValueError, match='padding_idx=5'): Embedding(5, 2, padding_idx=5)

@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    layer = Embedding(5, 2, dtype=dtype)
    layer(torch.tensor([1, 1])).sum().backward()
    assert layer.weight.grad.dtype == dtype and layer.weight.grad[1, 0] == 2

@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_cuda():
    layer = Embedding(5, 2, device='cuda', max_norm=1., padding_idx=0)
    layer(torch.tensor([1, 0], device='cuda')).sum().backward()
    assert layer.weight.grad.device.type == 'cuda'

# ---- Vocab

WORDS = st.lists(st.text('abAB', min_size=1, max_size=2), max_size=12)

@given(WORDS, st.booleans(), st.booleans())
def test_vocab_both_ways(words, ignore_case, sort):
    v = Vocab(words, ignore_case=ignore_case, sort=sort)
    key = str.casefold if ignore_case else str
    assert len({key(w) for w in words}) == len(v) and set(v) <= set(words)
    assert v.ids(v).tolist() == list(range(len(v)))
    assert [key(w) for w in v.lookup(v.ids(words))] == [key(w) for w in words]
    if sort: assert [key(w) for w in v] == sorted(key(w) for w in v)
    else: assert [v.id(w) for w in dict.fromkeys(map(key, words))] == list(range(len(v)))

@given(WORDS)
def test_unknown_is_zero(words):
    v = Vocab(words, unknown='?')
    assert v[0] == '?' and v.id('never seen') == 0 and len(v) == len(set(words)) + 1
    assert v.ids(['?', *words]).min() == 0 and (len(words) == 0 or v.ids(words).min() > 0)

def test_vocab_keeps_the_first_spelling(): assert Vocab(['That', 'that', 'THAT'], ignore_case=True).items == ['That']
def test_vocab_of_numbers(): assert Vocab([30, 10, 30]).ids([10, 30]).tolist() == [1, 0]
def test_empty(): assert len(Vocab([])) == 0 and Vocab([]).ids([]).shape == (0,)

def test_vocab_errors():
    v = Vocab(['Sam', 'ham'])
    with pytest.raises(KeyError, match='did you mean'): v.id('sam')
    for bad in (2, -1):
        with pytest.raises(IndexError, match='outside 0..1'): v[bad]

def test_poem_holds_only_what_the_lecture_quotes():
    quoted = 'i am daniel sam that sam-i-am do not like you green eggs and ham'.split()
    assert {w.lower() for w in split_words(POEM)} == set(quoted)

# ---- the sheet

def test_sheet_agrees(tmp_path):
    from ddl_lesson8.embeddings import embeddings_sheet
    from ddl_lesson8.sheets.book import Book, crosscheck
    checks = embeddings_sheet(book := Book())
    assert crosscheck(book.save(tmp_path/'embeddings.xlsx'), checks).raise_if_different()

# ---- the exercises: right answers pass, typical wrong ones get a hint

def right_lookup(table, ids): return torch.stack([table[i] for i in ids.tolist()])
def right_gradient(n, ids, grad): return torch.zeros(n, grad.shape[1]).index_add(0, ids, grad)
def right_sentence(table, ids): return table[ids].sum(0) / max(len(ids), 1)
def right_neighbours(model, vocab, word, n=3):
    unit = F.normalize(model.factors.detach(), dim=1)
    near = (unit @ unit[vocab.id(word)]).argsort(descending=True)
    return [w for w in vocab.lookup(near) if w != word][:n]

def last_gradient(n, ids, grad):
    out = torch.zeros(n, grad.shape[1])
    for i, g in zip(ids.tolist(), grad): out[i] = g
    return out
def first_gradient(n, ids, grad): return last_gradient(n, ids.flip(0), grad.flip(0))
def by_dot(model, vocab, word, n=3):
    f = model.factors.detach()
    return [w for w in vocab.lookup((f @ f[vocab.id(word)]).argsort(descending=True)) if w != word][:n]
def by_distance(model, vocab, word, n=3):
    f = model.factors.detach()
    return [w for w in vocab.lookup((f - f[vocab.id(word)]).norm(dim=1).argsort()) if w != word][:n]
def with_itself(model, vocab, word, n=3): return [word, *right_neighbours(model, vocab, word, n - 1)]
def as_ids(model, vocab, word, n=3): return [vocab.id(w) for w in right_neighbours(model, vocab, word, n)]
def farthest(model, vocab, word, n=3): return right_neighbours(model, vocab, word, len(vocab))[::-1][:n]

RIGHT = [(right_lookup, '_check_lookup'), (right_gradient, '_check_table_gradient'), (right_sentence, '_check_sentence'), (right_neighbours, '_check_neighbours')]
WRONG = [
    (lambda table, ids: [table[i] for i in ids], '_check_lookup', 'not a matrix yet'),
    (lambda table, ids: torch.cat([table[i] for i in ids]), '_check_lookup', 'not (9,)'),
    (lambda table, ids: torch.stack([table[i - 1] for i in ids]), '_check_lookup', 'rows are others'),
    (lambda table, ids: torch.tensor([table[i].tolist() for i in ids]), '_check_lookup', ''),
    (lambda table, ids: torch.stack([table[i].detach() for i in ids]).requires_grad_(), '_check_lookup', 'lost on the way'),
    (lambda n, ids, grad: grad, '_check_table_gradient', 'as large as the table'),
    (lambda n, ids, grad: torch.ones(n, 2), '_check_table_gradient', 'nobody looked up'),
    (last_gradient, '_check_table_gradient', 'first gradient got lost'),
    (first_gradient, '_check_table_gradient', 'how do two influences combine'),
    (lambda n, ids, grad: right_gradient(n, ids, grad) / ids.bincount(minlength=n).clamp_min(1)[:, None], '_check_table_gradient', 'combine'),
    (lambda table, ids: table[ids].mean(1), '_check_sentence', 'over what'),
    (lambda table, ids: table[ids].mean(0), '_check_sentence', '0 divided by 0'),
    (lambda table, ids: table[ids].sum(0), '_check_sentence', 'mean [2, 3, 7]'),
    (lambda table, ids: table[ids.unique()].sum(0) / max(len(ids.unique()), 1), '_check_sentence', 'twice counts twice'),
    (lambda table, ids: right_sentence(table, ids) if len(ids) else torch.zeros(1), '_check_sentence', 'three zeros'),
    (by_dot, '_check_neighbours', 'large factors'), (by_distance, '_check_neighbours', 'near in distance'),
    (with_itself, '_check_neighbours', 'own nearest'), (as_ids, '_check_neighbours', 'ids came back'), (farthest, '_check_neighbours', 'largest first'),
    (lambda m, v, w, n=3: right_neighbours(m, v, w, 2), '_check_neighbours', '2 came')]

@pytest.mark.parametrize('answer, checker', RIGHT, ids=lambda x: getattr(x, '__name__', x))
def test_right_answers_pass(answer, checker): assert check_exercise(answer, getattr(embeddings, checker))

@pytest.mark.parametrize('answer, checker, hint', WRONG, ids=range(len(WRONG)))
def test_wrong_answers_get_a_hint(answer, checker, hint):
    outcome = check_exercise(answer, getattr(embeddings, checker))
    assert outcome.state == 'not yet' and hint in outcome.hint, outcome
