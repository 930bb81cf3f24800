"Embedding against nn.Embedding, one-hot against the lookup, and the vocabulary"
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from answers import answer_tests
from ddl_lesson8.book import checks_embeddings as checks
from ddl_lesson8.embeddings import Embedding, POEM, Vocab, one_hot, split_words
from ddl_lesson8.book.exercises import check_sheet_exercise
from ddl_lesson8.book.sheet_embeddings import embeddings_sheet
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import crosscheck
from ddl_lesson8.sheets.engine import Engine

settings.register_profile('book', derandomize=True, deadline=None, max_examples=60)
settings.load_profile('book')

CASES = st.fixed_dictionaries(dict(n=st.integers(1, 9), dim=st.integers(1, 4), shape=st.lists(st.integers(0, 3), max_size=3), seed=st.integers(0, 99),
    padding=st.none() | st.integers(-9, 8), max_norm=st.none() | st.sampled_from([.5, 1., 3.]), norm_type=st.sampled_from([1., 2., 3.]), sparse=st.booleans(), by_freq=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]), ids=st.sampled_from([torch.int64, torch.int32])))

def pair(c):
    "Both layers with the same weights, and ids for them"
    g = torch.Generator().manual_seed(c['seed'])
    kwargs = dict(padding_idx=c['padding'] if c['padding'] is None or -c['n'] <= c['padding'] < c['n'] else None, max_norm=c['max_norm'], norm_type=c['norm_type'],
                  sparse=c['sparse'] and c['shape'] != [], dtype=c['dtype'], # PyTorch 2.13 has no sparse gradient for one id without an axis, with padding_idx
                  scale_grad_by_freq=c['by_freq'] and not c['sparse']) # nor both of these
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
    found = embeddings_sheet(book := Book())
    assert crosscheck(book.save(tmp_path/'embeddings.xlsx'), found).raise_if_different()

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

def right_vocab(words):
    first = {}
    for w in words: first.setdefault(w.lower(), w)
    place = {w: i for i, w in enumerate(sorted(first))}
    return [first[w] for w in place], [place[w.lower()] for w in words]
def last_spelling(words): return [w for w in sorted({w.lower() for w in words})], right_vocab(words)[1]
def right_bias(ids, n): return (torch.bincount(ids, minlength=n) / len(ids)).log()

RIGHT = [(right_vocab, 'check_vocab'), (right_bias, 'check_word_bias'), (lambda ids, n: torch.bincount(ids, minlength=n).double().log() - 7, 'check_word_bias'),
         (lambda ids, n: torch.bincount(ids, minlength=n).log(), 'check_word_bias'),
         (lambda table, ids: torch.cat([table[int(i)][None] for i in ids]), 'check_lookup'), (right_lookup, 'check_lookup'), (right_gradient, 'check_table_gradient'), (right_sentence, 'check_sentence'), (right_neighbours, 'check_neighbours')]
WRONG = [
    (lambda table, ids: table[ids], 'check_lookup', 'one by one'), (lambda table, ids: F.embedding(ids, table), 'check_lookup', 'one by one'),
    (lambda table, ids: table.index_select(0, ids), 'check_lookup', 'one by one'), (lambda table, ids: table[ids.tolist()], 'check_lookup', 'one by one'),
    (lambda table, ids: F.one_hot(ids, len(table)).float() @ table, 'check_lookup', 'one by one'), (lambda table, ids: [].sort(), 'check_lookup', 'row'),
    (lambda words: right_vocab(words)[0], 'check_vocab', 'two lists'), (lambda words: (sorted(set(words)), [0] * 6), 'check_vocab', 'capitals or not'),
    (lambda words: (['b', 'A', 'c'], [0, 1, 1, 2, 0, 1]), 'check_vocab', 'alphabetical'), (last_spelling, 'check_vocab', 'first spelling'),
    (lambda words: (right_vocab(words)[0], [0, 1, 2]), 'check_vocab', 'come again'), (lambda words: (right_vocab(words)[0], [i + 1 for i in right_vocab(words)[1]]), 'check_vocab', 'from 0'),
    (lambda words: (right_vocab(words)[0], [0] * 6), 'check_vocab', 'id of another'),
    (lambda ids, n: right_bias(ids, n).exp(), 'check_word_bias', 'shares themselves'), (lambda ids, n: torch.bincount(ids, minlength=n), 'check_word_bias', 'counts'),
    (lambda ids, n: torch.zeros(n), 'check_word_bias', 'softmax makes'), (lambda ids, n: 0., 'check_word_bias', 'one bias for each'),
    (lambda table, ids: [table[i] for i in ids], 'check_lookup', 'not a matrix yet'),
    (lambda table, ids: torch.cat([table[i] for i in ids]), 'check_lookup', 'not (9,)'),
    (lambda table, ids: torch.stack([table[i - 1] for i in ids]), 'check_lookup', 'rows are others'),
    (lambda table, ids: torch.tensor([table[i].tolist() for i in ids]), 'check_lookup', ''),
    (lambda table, ids: torch.stack([table[i].detach() for i in ids]).requires_grad_(), 'check_lookup', 'lost on the way'),
    (lambda n, ids, grad: grad, 'check_table_gradient', 'as large as the table'),
    (lambda n, ids, grad: torch.ones(n, 2), 'check_table_gradient', 'nobody looked up'),
    (last_gradient, 'check_table_gradient', 'first gradient got lost'),
    (first_gradient, 'check_table_gradient', 'how do two influences combine'),
    (lambda n, ids, grad: right_gradient(n, ids, grad) / ids.bincount(minlength=n).clamp_min(1)[:, None], 'check_table_gradient', 'combine'),
    (lambda table, ids: table[ids].mean(1), 'check_sentence', 'over what'),
    (lambda table, ids: table[ids].mean(0), 'check_sentence', '0 divided by 0'),
    (lambda table, ids: table[ids].sum(0), 'check_sentence', 'mean [2, 3, 7]'),
    (lambda table, ids: table[ids.unique()].sum(0) / max(len(ids.unique()), 1), 'check_sentence', 'twice counts twice'),
    (lambda table, ids: right_sentence(table, ids) if len(ids) else torch.zeros(1), 'check_sentence', 'three zeros'),
    (by_dot, 'check_neighbours', 'large factors'), (by_distance, 'check_neighbours', 'near in distance'),
    (with_itself, 'check_neighbours', 'own nearest'), (as_ids, 'check_neighbours', 'ids came back'), (farthest, 'check_neighbours', 'largest first'),
    (lambda m, v, w, n=3: right_neighbours(m, v, w, 2), 'check_neighbours', '2 came')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks, RIGHT, WRONG)

# ---- the exercise on the sheet: the answer is a saved file

@pytest.fixture(scope='module')
def sheet(tmp_path_factory):
    "Where things stand: the blocks, and a function that saves a changed copy"
    folder = tmp_path_factory.mktemp('sheet')
    embeddings_sheet(book := Book())
    blocks = {b.label: b for b in book['embeddings'].blocks}
    book.save(folder/'fresh.xlsx')
    def saved(changes):
        target = folder/f'{len(list(folder.iterdir()))}.xlsx'
        Engine(folder/'fresh.xlsx').change(changes).save(target)
        return target
    return blocks, saved, folder/'fresh.xlsx'

def row_of(sheet, word):
    "Names of the cells of a word's row, and their numbers"
    table, listed = sheet[0]['embedding matrix'], sheet[0]['vocabulary']
    i = [listed.content(k) for k in range(listed.shape[0])].index(word)
    return [f'embeddings!{table.ref(i, j)}' for j in range(4)], [table.content(i, j) for j in range(4)]

def judge(path):
    return check_sheet_exercise('sheet_same_words', path)

def test_equal_rows_pass(sheet):
    assert judge(sheet[1](dict(zip(row_of(sheet, 'ham')[0], row_of(sheet, 'eggs')[1]))))

def test_other_changes_get_a_hint(sheet):
    (ham, ham_row), (eggs, eggs_row), (sam, _) = (row_of(sheet, w) for w in ('ham', 'eggs', 'Sam'))
    equal = dict(zip(ham, eggs_row))
    cases = [(sheet[2], 'nothing has changed'), 
             (sheet[1](dict(zip(eggs, ham_row))), "row of 'eggs' has changed"), (sheet[1](equal | {sam[0]: 1.}), "row of 'Sam' has changed"),
             (sheet[1](dict(list(equal.items())[:3])), 'still differs'), (sheet[1]({a: round(v, 2) for a, v in equal.items()}), 'copy the cells'),
             (sheet[1]({f"embeddings!{sheet[0]['poem'].ref(23)}": 'eggs'}), 'not in the embedding matrix'),
             (sheet[1](equal | {f"embeddings!{sheet[0]['poem as a matrix'].ref(0, 0)}": 1.}), 'had a formula')]
    for path, hint in cases:
        outcome = judge(path)
        assert outcome.state == 'not yet' and hint in outcome.hint, (hint, outcome)

def test_inputs_are_marked_and_results_are_not(sheet):
    import openpyxl
    ws = openpyxl.load_workbook(sheet[2])['embeddings']
    cell = lambda block, *at: ws[sheet[0][block].ref(*at)]
    for given in (cell('embedding matrix', 0, 0), cell('poem', 0)): assert given.border.left.style == 'thin' and given.fill.fgColor.rgb == 'FFFFF8D6'
    for made in (cell('id', 0), cell('poem as a matrix', 0, 0)): assert made.border.left.style is None and made.fill.fill_type is None


def test_a_word_model_adds_its_bias():
    "Every word's score is its dot product plus what that word has for itself"
    from ddl_lesson8.embeddings import WordModel
    model = WordModel(5, 3)
    with torch.no_grad(): model.bias.copy_(torch.tensor([0., 1, 2, -3, 4]))
    scores = model(torch.tensor([2, 0]))
    assert torch.allclose(scores - model.factors[[2, 0]] @ model.next_factors.T, torch.tensor([0., 1, 2, -3, 4]).expand(2, 5), atol=1e-6)

def test_a_slice_of_a_vocabulary(): # "'<=' not supported between instances of 'int' and 'slice'"
    assert Vocab(['a', 'b', 'c'])[:2] == ['a', 'b'] and Vocab(['a', 'b', 'c'])[-1:] == ['c']
    with pytest.raises(IndexError): Vocab(['a', 'b', 'c'])[-1]
