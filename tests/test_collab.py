"Models of ratings and the learner that knows names"
import math, subprocess, sys
from dataclasses import replace
import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from rating_worlds import combined, learn, ratings # noqa: F401, fixtures
from ddl_lesson8.collab import (CombinedModel, DotProduct, EmbeddingDotBias, EmbeddingNN, collab_learner,
    emb_sz_rule, get_emb_sz, in_range, sigmoid_range)
from ddl_lesson8.data.facts import TableEncoder
from ddl_lesson8.embeddings import as_vocab
from ddl_lesson8.train.newcomer import score_for
from ddl_lesson8.train.rating_learner import bpr_loss, default_range, row_numbers, softmax_loss, split_ratings
from ddl_lesson8.data.ratings import Ratings, planted_ratings
from ddl_lesson8.data.read_ratings import ratings_from_table
from ddl_lesson8.train.learner import load_learner, rmse, seeded
import ddl_lesson8.recommend # noqa: F401, gives the learner its lists

SEARCH = dict(derandomize=True, deadline=None, max_examples=40)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')


def plain_score(m, user, item): # autograd through nn.Embedding
    return (m.u_weight(user) * m.i_weight(item)).sum(1) + m.u_bias(user).squeeze(1) + m.i_bias(item).squeeze(1)

def triple(): return Ratings(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([1., 5, 3]), ['a', 'b'], ['x', 'y'])


# ---- models

@settings(**SEARCH)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 5), st.integers(1, 20), st.integers(0, 99), st.sampled_from([torch.float32, torch.float64]))
def test_both_ways_to_look_up_are_one(n, m, k, batch, seed, dtype):
    with seeded(seed):
        model = EmbeddingDotBias(n, m, k, (.5, 5.5), std=1.).to(dtype)
        user, item, weight = torch.randint(n, (batch,)), torch.randint(m, (batch,)), torch.randn(batch, dtype=dtype)
    fast, plain = model.score(user, item), plain_score(model, user, item)
    assert fast.dtype == dtype and fast.shape == (batch,)
    torch.testing.assert_close(fast, plain)
    for a, b in zip(*(torch.autograd.grad((out * weight).sum(), list(model.parameters())) for out in (fast, plain))): torch.testing.assert_close(a, b)

def test_second_derivatives_and_functional_transforms():
    with seeded(0): model = EmbeddingDotBias(5, 6, 3, (0, 5), std=1.).double()
    params, u, i = dict(model.named_parameters()), torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])
    def loss(w, ids): return torch.func.functional_call(model, params | {'u_weight.weight': w}, ids).square().sum()
    w = params['u_weight.weight'].detach()
    right = torch.autograd.functional.hessian(lambda w: loss(w, (u[:, None], i[:, None])), w) # through the layer
    assert right.abs().sum() > 1
    torch.testing.assert_close(torch.autograd.functional.hessian(lambda w: loss(w, (u, i)), w), right)
    torch.testing.assert_close(torch.func.hessian(lambda w: loss(w, (u, i)))(w), right)
    def one(p, a, b): return torch.func.functional_call(model, p, (a[None], b[None])).sum()
    each = torch.func.vmap(torch.func.grad(one), (None, 0, 0))(params, u, i) # a gradient for each pair
    whole = torch.autograd.grad(model(u, i).sum(), list(params.values()))
    for a, b in zip(each.values(), whole): torch.testing.assert_close(a.sum(0), b)

def test_a_frozen_table_gets_no_gradient():
    model = EmbeddingDotBias(3, 3, 2)
    model.u_weight.requires_grad_(False)
    model(torch.tensor([0]), torch.tensor([1])).sum().backward()
    assert model.u_weight.weight.grad is None and model.i_weight.weight.grad.abs().sum() > 0

def test_ids_of_32_bits_and_outside():
    model = EmbeddingDotBias(3, 4, 2)
    u, i = torch.tensor([0, 2]), torch.tensor([3, 1])
    torch.testing.assert_close(model(u.int(), i.int()), model(u, i))
    with pytest.raises(IndexError): model(torch.tensor([3]), torch.tensor([0]))
    meta = EmbeddingDotBias(3, 4, 2).to('meta')
    assert meta(u.to('meta'), i.to('meta')).shape == (2,)

@pytest.mark.parametrize('y_range', [None, False, (0, 5.5), (.5, 5.5), (-3, 3), (1, 2)])
def test_ranges(y_range):
    for model in (EmbeddingDotBias(4, 5, 3, y_range, std=9.), EmbeddingNN(4, 5, layers=[6], y_range=y_range), CombinedModel(4, 5, n_factors=3, y_range=y_range)):
        model.eval()
        user, item = torch.cartesian_prod(torch.arange(4), torch.arange(5)).T
        out = model(user, item)
        assert out.shape == (20,)
        if y_range: assert out.min() >= y_range[0] and out.max() <= y_range[1]
    if not y_range: torch.testing.assert_close(in_range(torch.tensor([-9., 9]), y_range), torch.tensor([-9., 9]))

def test_range_there_and_back():
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    torch.testing.assert_close(score_for(sigmoid_range(x, .5, 5.5), (.5, 5.5)), x)
    assert score_for(torch.tensor([1., 5]), (1, 5)).isfinite().all() and torch.equal(score_for(x, None), x)

def test_default_range():
    assert default_range(torch.tensor([1., 3, 5, 2])) == (.5, 5.5)
    assert default_range(torch.tensor([.5, 1, 5])) == (.25, 5.25)
    assert default_range(torch.tensor([4., 4])) == (3.5, 4.5)

@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_dtype_is_kept(dtype):
    u, i = torch.tensor([0, 1]), torch.tensor([1, 1])
    meta = torch.ones(3, 2)
    for model in (DotProduct(3, 3, 2), EmbeddingDotBias(3, 3, 2, (0, 5)), EmbeddingNN(3, 3, layers=[4], y_range=(0, 5)), CombinedModel(3, 3, meta, meta, n_factors=2)):
        assert model.to(dtype)(u, i).dtype == dtype

def test_a_network_may_have_sizes_of_its_own():
    model = EmbeddingNN(['a', 'b'], ['x'], emb_szs=[(3, 7), (2, 4)], layers=[5, 6], p=.1)
    assert model.layers[0][0].in_features == 11 and model.embeds[0].weight.shape == (3, 7)
    assert [type(m) for m in model.layers[1]] == [nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout]

@cuda
def test_on_the_gpu(ratings):
    found = collab_learner(ratings, n_factors=8, metadata=True, device='cuda', progress=False)
    found.fit_one_cycle(2)
    assert found.validate()['loss'] < 1.2
    assert len(found.recommend({'Heat': 5}, 3)) == 3 and found.predict('person 1', 'Heat').device.type == 'cpu'
    model = EmbeddingDotBias(5, 6, 4, std=1.)
    u, i = torch.tensor([0, 4, 4]), torch.tensor([1, 5, 1])
    torch.testing.assert_close(model(u, i), model.cuda()(u.cuda(), i.cuda()).cpu())


# ---- sizes and metadata

def test_sizes_of_embeddings(ratings):
    assert [emb_sz_rule(n) for n in (944, 1665, 10**9)] == [74, 102, 600]
    assert get_emb_sz(ratings, {'user': 3}) == [(61, 3), (ratings.n_items + 1, emb_sz_rule(ratings.n_items + 1))]
    assert get_emb_sz(dict(user=2, item=2)) == [(2, 2), (2, 2)]
    with pytest.raises(KeyError, match=r"sz_dict names \['film'\], the columns are \['user', 'item'\]"): get_emb_sz(ratings, {'film': 3})
    assert collab_learner(ratings, use_nn=True, emb_szs={'item': 5}, device='cpu').model.embeds[1].weight.shape[1] == 5

def test_table_encoder():
    encode = TableEncoder(dict(year=[1990, None, 2000, math.nan], genre=['Action|Comedy', None, 'Comedy', '']))
    assert encode.names() == ['year', 'genre=Action', 'genre=Comedy'] and encode.n == 3
    assert encode(dict(year=[None, math.nan, 1995], genre=[None, 'Comedy', 'Western'])).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert encode(dict(genre=['Action'])).tolist() == [[0, 1, 0]]
    assert encode(dict(year=[1990]))[0, 0] == -1
    assert TableEncoder(dict(title=[f't{k}' for k in range(60)])).n == 0 == TableEncoder({}).n
    assert TableEncoder(dict(same=[4, 4]))(dict(same=[4])).tolist() == [[0]]

def test_metadata_may_be_missing(ratings):
    gaps = replace(ratings, user_table=dict(age=[None] * 30 + [40] * 30), item_table={})
    found = collab_learner(gaps, metadata=True, n_factors=4, device='cpu', progress=False)
    found.fit_one_cycle(1)
    assert math.isfinite(found.validate()['loss'])
    with pytest.raises(TypeError, match='metadata=True'): found.predict('person 1', dict(genre='Western'))


# ---- names

def test_names(learn):
    assert row_numbers(as_vocab(['7', 'b']), 7, 'user').tolist() == [0]
    with pytest.raises(KeyError, match=r"no item 'Haet' \(and 1 more\) among \d+; did you mean Heat"): learn.predict('person 1', ['Haet', 'Nothing'])
    with pytest.raises(KeyError, match="no user 'me'"): learn.recommend('me')
    with pytest.raises(KeyError, match='did you mean'): learn.model.bias('Titanik')
    with pytest.raises(IndexError, match='go from 0 to 59'): learn.predict(torch.tensor([60]), 'Heat')
    with pytest.raises(TypeError): learn.predict(torch.tensor([.5]), 'Heat')

def test_predict_pairs(learn):
    m = learn.model.eval()
    grid = torch.cartesian_prod(torch.arange(60), torch.arange(len(learn.items)))
    all_pairs = m(*grid.T).detach().view(60, -1)
    assert learn.predict('person 3', 'Heat').shape == ()
    known = learn.learned('item')
    torch.testing.assert_close(learn.predict('person 3')[known], all_pairs[2][known])
    torch.testing.assert_close(learn.predict('person 3')[~known], all_pairs[2][known].mean().expand(int((~known).sum())))
    torch.testing.assert_close(learn.predict(None, 'Heat'), all_pairs[:, learn.items.id('Heat')])
    torch.testing.assert_close(learn.predict(['person 1', 'person 2'], ['Heat', 'Alien']), all_pairs[[0, 1], learn.items.ids(['Heat', 'Alien'])])
    torch.testing.assert_close(learn.predict(torch.tensor([0, 1]), torch.tensor([5, 6])), all_pairs[[0, 1], [5, 6]])
    with pytest.raises(ValueError, match='2 users and 3 items'): learn.predict(['person 1', 'person 2'], ['Heat', 'Alien', 'Jaws'])
    with pytest.raises(ValueError, match='nothing'): learn.predict('person 1', [])

def test_fallback_is_the_average(learn):
    heat, one, mean = learn.predict(None, 'Heat').mean(), learn.predict('person 1').mean(), learn.ratings.rating.mean()
    torch.testing.assert_close(learn.predict('me', 'Heat', unknown='average'), heat)
    torch.testing.assert_close(learn.predict('person 1', 'Haet', unknown='average'), one)
    torch.testing.assert_close(learn.predict('me', 'Haet', unknown='average'), mean)
    mixed = learn.predict('person 1', ['Heat', 'Haet'], unknown='average')
    torch.testing.assert_close(mixed, torch.stack([learn.predict('person 1', 'Heat'), one]))
    with pytest.raises(ValueError, match="'error' or 'average'"): learn.predict('me', 'Heat', unknown='guess')

# ---- settings and tables

def test_a_saved_model_must_have_the_same_range_and_tables(ratings, combined, tmp_path):
    wide = collab_learner(ratings, n_factors=8, y_range=(0, 10), device='cpu')
    file = wide.save(tmp_path/'w.pt')
    with pytest.raises(ValueError, match='other ranges'): collab_learner(ratings, n_factors=8, device='cpu').load(file)
    file = combined.save(tmp_path/'c.pt')
    other = replace(ratings, item_table=dict(ratings.item_table, year=[y + (k == 3) for k, y in enumerate(ratings.item_table['year'])]))
    with pytest.raises(ValueError, match='other tables'): collab_learner(other, n_factors=8, metadata=True, device='cpu').load(file)

@pytest.mark.parametrize('kwargs, words', [(dict(layers=[10]), 'use_nn=True'), (dict(p=.1), 'use_nn=True'), (dict(emb_szs={'user': 3}), 'use_nn=True'), (dict(use_nn=True, metadata=True), 'choose one'),
                                           (dict(y_range=(5, 1)), 'leaves out'), (dict(y_range=(2, 3)), 'leaves out'), (dict(y_range=5), 'give'), (dict(y_range=True), 'give'),
                                           (dict(use_nn=True, emb_szs=[(3, 2), (4, 2)]), 'too small for 60 users')])
def test_settings_that_contradict_are_refused(ratings, kwargs, words):
    with pytest.raises(ValueError, match=words): collab_learner(ratings, device='cpu', **kwargs)

def test_any_table_will_do(ratings):
    table = dict(who=[ratings.users[u] for u in ratings.user.tolist()], film=[ratings.items[i] for i in ratings.item.tolist()], stars=ratings.rating.tolist())
    found = collab_learner(table, n_factors=4, device='cpu')
    assert len(found.ratings) + len(found.held_out) == len(ratings) and len(found.users) == 60
    with pytest.raises(ValueError, match='no validation ratings'): collab_learner((ratings, ratings.select(torch.zeros(0, dtype=torch.long))), device='cpu')

def test_the_range_from_the_ratings():
    assert default_range(torch.tensor([1., 2, 3, 4, 5])) == (.5, 5.5) and default_range(torch.tensor([.5, 1, 4.5, 5])) == (.25, 5.25)
    assert default_range(torch.tensor([1., 2, 3, 3.3333, 3.5, 5])) == pytest.approx((.75, 5.25), abs=.26)
    low, high = default_range(torch.rand(1000, generator=torch.Generator().manual_seed(0)))
    assert -.06 < low < -.04 and 1.04 < high < 1.06

def test_arrays_of_numbers_are_ambiguous_and_single_numbers_are_names(learn):
    np = pytest.importorskip('numpy')
    for kind in ('user', 'item'):
        with pytest.raises(TypeError, match='names or row numbers'): learn.find_rows(np.array([5, 6]), kind)
        with pytest.raises(TypeError, match='no name'): learn.find_rows(1.5, kind)
    numbered = EmbeddingDotBias(['5', '7'], ['x'], 2)
    assert numbered.bias(np.int64(7), is_item=False).shape == (1,)

@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_predicts_too(ratings, dtype):
    found = collab_learner(ratings, n_factors=4, metadata=True, device='cpu', progress=False)
    found.model.to(dtype)
    for out in (found.predict('person 1'), found.predict({'Heat': 5}), found.predict({})): assert out.isfinite().all()
    assert len(found.recommend('person 1', 3)) == 3

def test_pairs_of_any_shape():
    model = EmbeddingDotBias(4, 5, 3, (0, 5))
    user, item = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[4, 3], [0, 1]])
    torch.testing.assert_close(model(user, item), model(user.flatten(), item.flatten()).view(2, 2))
    torch.testing.assert_close(model(user.int(), item.int()), model(user, item))
    model(torch.tensor([0, 1, 2]), torch.tensor([0])).sum().backward()


# ---- the learner

def test_one_user_one_item_one_rating():
    one = Ratings(torch.tensor([0]), torch.tensor([0]), torch.tensor([4.]), ['a'], ['x'])
    for kwargs in ({}, dict(metadata=True)):
        found = collab_learner((one, None), valid=0, n_factors=2, device='cpu', progress=False, **kwargs)
        if not kwargs: found.fit_one_cycle(2)
        assert 3.5 < found.predict('a', 'x') < 4.5 and found.recommend('a') == []
        assert found.predict({'x': 4}).isfinite().all()
    small = collab_learner((triple(), None), n_factors=2, device='cpu', progress=False)
    small.fit_one_cycle(1)
    assert small.predict('b', 'y').isfinite() and [i for i, _ in small.recommend('b')] == ['y']

def test_data_that_does_not_fit(ratings):
    train, valid = ratings.split(seed=0)
    with pytest.raises(ValueError, match='3 parts'): collab_learner((train, valid, valid))
    with pytest.raises(ValueError, match='different users or items'): collab_learner((train, triple()))
    assert split_ratings(ratings, 0, 0) == (ratings, None)

def test_same_seed_same_numbers(ratings):
    a, b, c = (collab_learner(ratings, n_factors=4, device='cpu', progress=False, seed=s) for s in (1, 1, 2))
    for x in (a, b, c): x.fit_one_cycle(1)
    assert torch.equal(a.predict('person 1'), b.predict('person 1')) and not torch.equal(a.predict('person 1'), c.predict('person 1'))

def test_names_from_a_table():
    table = ratings_from_table(dict(who=[1, 1, 2, 2, 3], what=['x', 'y', 'x', 'z', 'z'], stars=[1, 2, 3, 4, 5]))
    found = collab_learner((table, None), n_factors=2, device='cpu', progress=False)
    found.fit_one_cycle(1)
    assert found.predict(2, 'y') == found.predict('2', 'y') and {i for i, _ in found.recommend(3)} == {'x', 'y'}

def test_save_and_load(tmp_path, learn, combined, ratings):
    for found, kwargs in ((learn, {}), (combined, dict(metadata=True))):
        file = found.save(tmp_path/'films.pt')
        again = collab_learner(ratings, n_factors=8, seed=5, device='cpu', progress=False, **kwargs)
        again.load(file)
        assert torch.equal(again.predict('person 7'), found.predict('person 7'))
    other = replace(ratings, items=[f'{name}!' for name in ratings.items])
    wrong = collab_learner(other, n_factors=8, metadata=True, device='cpu', progress=False)
    before = wrong.predict('person 1')
    with pytest.raises(ValueError, match='about other items'): wrong.load(file)
    assert torch.equal(wrong.predict('person 1'), before)
    with pytest.raises(ValueError, match='other settings'): collab_learner(ratings, n_factors=9, metadata=True, device='cpu').load(file)

def test_learns_the_planted_truth():
    truth = planted_ratings(seed=1, n_users=150)
    found = collab_learner(truth.ratings, device='cpu', progress=False)
    found.fit_one_cycle(8)
    assert found.validate()['loss'] < .75 * truth.ratings.rating.var()
    assert torch.corrcoef(torch.stack([found.model.bias(), truth.quality]))[0, 1] > .8


# ---- the library's cases: frames, cold rows, files, warnings

def test_a_frame_of_pairs(learn):
    pd = pytest.importorskip('pandas')
    frame = pd.DataFrame(dict(movie=['Heat', 'Alien'], userId=['person 1', 'person 2'], other=[1, 2]))
    torch.testing.assert_close(learn.predict(frame), learn.predict(['person 1', 'person 2'], ['Heat', 'Alien']))
    with pytest.raises(ValueError, match="no column of users.*pass the columns"): learn.predict(frame.rename(columns=dict(userId='wer')))
    pl = pytest.importorskip('polars')
    torch.testing.assert_close(learn.predict(pl.from_pandas(frame)), learn.predict(frame))

def test_numpy_ids_are_names():
    np = pytest.importorskip('numpy')
    table = dict(user=[u for u in range(9) for _ in range(9)], item=list(range(9)) * 9, rating=[1. + k % 5 for k in range(81)])
    found = collab_learner(table, n_factors=2, device='cpu', progress=False)
    k = np.int64(0)
    assert found.predict(k, k).shape == () and found.predict(k, k) == found.predict(0, 0) == found.predict('0', '0')

@pytest.mark.parametrize('kwargs', [{}, dict(use_nn=True, layers=[4]), dict(metadata=True)])
def test_validation_of_a_time_split(kwargs):
    early, late = planted_ratings(seed=0, n_users=80).ratings.split('time')
    found = collab_learner((early, late), n_factors=4, device='cpu', progress=False, metrics=[rmse], **kwargs)
    found.fit_one_cycle(2)
    asked = found.predict([late.users[k] for k in late.user], [late.items[k] for k in late.item], unknown='average')
    report, cold = found.validate(), ~(found.learned('user')[late.user] & found.learned('item')[late.item])
    error = (asked - late.rating).square()
    assert cold.any() and report['loss'] == pytest.approx(error.mean().item(), rel=1e-5) and report['rmse'] == pytest.approx(error.mean().sqrt().item(), rel=1e-5)
    assert report['cold'] == pytest.approx(error[cold].mean().item(), rel=1e-5) and report['warm'] == pytest.approx(error[~cold].mean().item(), rel=1e-5)
    assert set(found.recorder.epochs[-1]) >= {'valid_loss', 'warm', 'cold'}

def test_a_split_without_cold_rows_has_one_loss(learn):
    everyone = learn.learned('user').all() and learn.learned('item')[learn.held_out.item].all()
    assert ('cold' in learn.validate()) == (not everyone)

def test_a_table_is_validated_by_name(learn, ratings):
    "A frame that lists other people than the learner: its names lead, whatever their place; unknown ones are cold"
    few = ratings.select(torch.arange(8))
    frame = [dict(user=few.users[u], item=few.items[i], rating=float(r)) for u, i, r in zip(*few.tensors())]
    assert learn.validate(frame) == pytest.approx(learn.validate(few.tensors()))
    pd = pytest.importorskip('pandas')
    assert learn.validate(pd.DataFrame(frame)) == learn.validate(frame)
    cold = learn.validate([*frame, dict(user='nobody knows', item=few.items[0], rating=1)])
    assert cold['warm'] == pytest.approx(learn.validate(frame)['loss']) and cold['cold'] > 0
    with pytest.raises(TypeError, match='no share between 0 and 1'): collab_learner(ratings, valid='time')


def test_rows_that_are_all_cold_are_called_so():
    early, late = planted_ratings(seed=0, n_users=80).ratings.split('time')
    found = collab_learner((early, late), n_factors=4, device='cpu', progress=False)
    user, item, rating = late.tensors()
    cold = ~(found.learned('user')[user] & found.learned('item')[item])
    report = found.validate((user[cold], item[cold], rating[cold]))
    assert report.keys() == {'loss', 'cold'} and report['cold'] == report['loss']

def test_averages_by_loop(learn):
    rows = torch.tensor([3, 0, 3])
    slow = torch.stack([learn.predict(torch.tensor([u]), learn.learned('item').nonzero()[:, 0]).mean() for u in rows.tolist()])
    torch.testing.assert_close(learn.averages(rows, 'user'), slow)

def test_one_value_for_all_ratings_is_said():
    table = dict(user=[1, 1, 2, 2], item=[1, 2, 1, 3], rating=[1.] * 4)
    with pytest.warns(UserWarning, match='nothing to learn') as seen: collab_learner(table, device='cpu')
    assert seen[0].filename == __file__

@pytest.mark.parametrize('kwargs', [{}, dict(use_nn=True, layers=[4, 3], p=.1, emb_szs=dict(user=3)), dict(metadata=True, layers=[5]), dict(loss='softmax'), dict(y_range=False)])
def test_load_without_ratings(ratings, tmp_path, kwargs):
    found = collab_learner(ratings, n_factors=4, device='cpu', progress=False, **kwargs)
    found.fit_one_cycle(1)
    again = load_learner(found.save(tmp_path/'f.pt'), device='cpu')
    assert torch.equal(again.predict('person 3'), found.predict('person 3')) and torch.equal(again.learned('item'), found.learned('item'))
    assert again.predict('me', 'Heat', unknown='average') == found.predict('me', 'Heat', unknown='average')
    for row in (0, 7): assert torch.equal(again.memory.seen(row), found.memory.seen(row)) and torch.equal(again.memory.seen(row, True), found.memory.seen(row, True))
    with pytest.raises(RuntimeError, match='no data'): again.fit_one_cycle(1)
    again.save(tmp_path/'g.pt')
    assert torch.equal(load_learner(tmp_path/'g.pt', device='cpu').predict('person 3'), found.predict('person 3'))


# ---- losses of order

def test_losses_of_order_by_loop():
    with seeded(0): model = EmbeddingDotBias(4, 6, 3, std=1.).double()
    user, item = torch.tensor([0, 3, 0, 2]), torch.tensor([5, 0, 1, 1])
    scores = model(*torch.cartesian_prod(torch.arange(4), torch.arange(6)).T).view(4, 6) - model.u_bias.weight
    torch.testing.assert_close(softmax_loss(model, user, item), nn.functional.cross_entropy(scores[user], item))
    with seeded(1): found = bpr_loss(model, user, item, 2)
    with seeded(1): other = torch.randint(6, (2, 4))
    hardest = [max((scores[u, j] for j in others if j != i), default=None) for u, i, others in zip(user, item, other.T)]
    torch.testing.assert_close(found, -torch.stack([(scores[u, i] - s).sigmoid().log() for u, i, s in zip(user, item, hardest) if s is not None]).mean())

def test_nobody_is_asked_about_what_they_have_chosen():
    with seeded(0): model = EmbeddingDotBias(2, 5, 3, std=1.).double()
    user, item = torch.tensor([0, 1]), torch.tensor([1, 4])
    chosen = torch.tensor([0, 1, 3, 4, 5 + 4]) # person 0 has chosen all but item 2, person 1 item 4 only
    scores = model(*torch.cartesian_prod(torch.arange(2), torch.arange(5)).T).view(2, 5)
    gaps = scores[0, 1] - scores[0, 2], scores[1, 4] - scores[1, :4].max()
    with seeded(0): found = bpr_loss(model, user, item, 200, chosen) # every item is drawn
    torch.testing.assert_close(found, -torch.stack(gaps).sigmoid().log().mean())
    everything = torch.arange(10)
    assert bpr_loss(model, user, item, 3, everything) == 0 and bpr_loss(model, user, item, 3, everything).backward() is None

@pytest.mark.parametrize('negatives', [0, -1, 1.5, True])
def test_negatives_are_a_number_of_items(ratings, negatives):
    with pytest.raises(ValueError, match='negatives=.*a whole number'): collab_learner(ratings, loss='bpr', negatives=negatives, device='cpu')

def test_sampled_softmax_with_every_item_is_the_full_one(monkeypatch):
    with seeded(0): model = EmbeddingDotBias(4, 6, 3, std=1.)
    user, item = torch.tensor([0, 3, 0, 2]), torch.tensor([5, 0, 1, 1])
    monkeypatch.setattr(torch, 'randint', lambda *args, **kwargs: torch.arange(6))
    torch.testing.assert_close(softmax_loss(model, user, item, 6), softmax_loss(model, user, item))

@pytest.mark.parametrize('kwargs', [dict(loss='bpr'), dict(loss='softmax'), dict(loss='softmax', negatives=30), dict(loss='bpr', negatives=3)])
def test_training_for_order(ratings, kwargs):
    a, b = (collab_learner(ratings, n_factors=4, device='cpu', progress=False, **kwargs) for _ in range(2))
    before = a.validate()['loss']
    assert before == a.validate()['loss'] # always against the same items
    for x in (a, b): x.fit_one_cycle(5)
    assert a.validate()['loss'] < before and torch.equal(a.predict('person 1'), b.predict('person 1'))
    assert a.model.y_range is None
    with pytest.raises(ValueError, match='can say nothing'): a.predict('me', 'Haet', unknown='average')

@pytest.mark.parametrize('kwargs, words', [(dict(loss='hinge'), 'choose'), (dict(negatives=3), 'negatives'), (dict(loss='bpr', use_nn=True), 'dot product')])
def test_orders_that_are_refused(ratings, kwargs, words):
    with pytest.raises(ValueError, match=words): collab_learner(ratings, device='cpu', **kwargs)

def test_train_on_all(ratings):
    found = collab_learner(ratings, n_factors=2, valid=0, device='cpu', progress=False)
    found.fit_one_cycle(1)
    assert len(found.ratings) == len(ratings) and 'valid_loss' not in found.recorder.epochs[0]

def test_lists_come_without_an_import_of_their_chapter():
    code = ("from ddl_lesson8.collab import collab_learner\nfrom ddl_lesson8.data.ratings import planted_ratings\n"
            "l = collab_learner(planted_ratings(n_users=20).ratings, n_factors=2, device='cpu')\n"
            "assert len(l.recommend('person 1', 2)) == 2 and not hasattr(l, 'nonsense') and l.predict({'Heat': 5}).isfinite().all()")
    subprocess.run([sys.executable, '-c', code], check=True)

def test_any_table_of_pairs(learn, tmp_path): # a list of dicts: "unhashable type"
    pl = pytest.importorskip('polars')
    pairs = pl.DataFrame(dict(movie=['Heat', 'Alien'], userId=['person 1', 'person 2']))
    pairs.write_csv(tmp_path/'p.csv')
    pairs.write_ipc(tmp_path/'p.arrow')
    wanted = learn.predict(['person 1', 'person 2'], ['Heat', 'Alien'])
    for table in (pairs.lazy(), pairs.to_dicts(), tmp_path/'p.csv', tmp_path/'p.arrow', pairs.to_arrow()): torch.testing.assert_close(learn.predict(table), wanted)
    with pytest.raises(FileNotFoundError, match='no table at'): learn.predict(tmp_path/'q.csv')
    with pytest.raises(ValueError, match='no column of users'): learn.predict([dict(wer='person 1', movie='Heat')])
