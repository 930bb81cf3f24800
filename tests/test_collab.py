"Models of ratings, the learner that knows names, newcomers, the sheet and the exercises"
import math
from dataclasses import replace
import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8 import collab
from ddl_lesson8.collab import (CombinedModel, DotProduct, EmbeddingDotBias, EmbeddingNN, TableEncoder, score_for, collab_learner,
    default_range, emb_sz_rule, get_emb_sz, in_range, ridge_solution, row_numbers, sigmoid_range, split_ratings, as_vocab)
from ddl_lesson8.data.ratings import Ratings, planted_ratings
from ddl_lesson8.data.read_ratings import ratings_from_table
from ddl_lesson8.book.exercises import check_exercise
from ddl_lesson8.train.learner import seeded

SEARCH = dict(derandomize=True, deadline=None, max_examples=40)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')


@pytest.fixture(scope='module')
def ratings(): return planted_ratings(seed=0, n_users=60).ratings

@pytest.fixture(scope='module')
def learn(ratings):
    found = collab_learner(ratings, n_factors=8, device='cpu', progress=False)
    found.fit_one_cycle(3)
    return found

@pytest.fixture(scope='module')
def combined(ratings):
    found = collab_learner(ratings, n_factors=8, metadata=True, device='cpu', progress=False)
    found.fit_one_cycle(3)
    return found

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
    with pytest.raises(IndexError, match='outside 0..59'): learn.predict(torch.tensor([60]), 'Heat')
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

@pytest.mark.parametrize('user', ['person 1', 'person 60', {'Heat': 5, 'Jaws': 1}])
def test_recommend_nothing_seen(learn, user):
    names = {learn.items[k] for r in (learn.ratings, learn.held_out) for k in r.item[r.user == learn.users.id(user)].tolist()} if isinstance(user, str) else set(user)
    found = learn.recommend(user, 10**6)
    known = {learn.items[k] for k in learn.learned('item').nonzero()[:, 0].tolist()}
    assert {item for item, _ in found} == known - names
    values = [v for _, v in found]
    assert values == sorted(values, reverse=True) and len(learn.recommend(user, 10**6, exclude_seen=False)) == len(known)
    best = learn.recommend(user, 1)
    assert best[0] == found[0] and best[0][1] == learn.predict(user, best[0][0]).item()

def test_recommend_edges(learn):
    assert len(learn.recommend('me', 3, unknown='average')) == 3
    with pytest.raises(ValueError, match='at least one'): learn.recommend('person 1', 0)
    with pytest.raises(TypeError, match='one person'): learn.recommend(['person 1', 'person 2'])
    everything = {name: 3 for name in learn.items}
    assert learn.recommend(everything) == [] and 'nothing left' in repr(learn.recommend(everything))
    assert '&lt;' in collab.Suggestions([('<b>', 1.)])._repr_html_()


# ---- newcomers

@settings(**SEARCH)
@given(st.integers(0, 8), st.integers(1, 5), st.integers(0, 99))
def test_ridge_is_the_minimum(n, k, seed):
    g = torch.Generator().manual_seed(seed)
    x, target, mean, penalty = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((n, k), (n,), (k,), (k, k)))
    penalty = penalty @ penalty.T + torch.eye(k) / 10
    found = ridge_solution(x, target, mean, penalty)
    cost = lambda z: (x @ z - target).square().sum() + (z - mean) @ penalty @ (z - mean)
    z = mean.clone().requires_grad_()
    brute = torch.optim.LBFGS([z], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn='strong_wolfe')
    def closure():
        brute.zero_grad()
        loss = cost(z)
        loss.backward()
        return loss
    brute.step(closure)
    torch.testing.assert_close(found, z.detach(), atol=1e-5, rtol=1e-5)
    if n == 0: torch.testing.assert_close(found, mean)

@pytest.mark.parametrize('kind', ['learn', 'combined'])
def test_newcomer_by_brute_force(kind, request):
    "Only the newcomer's numbers are trained, by gradient descent, in a copy with one user more"
    found = request.getfixturevalue(kind)
    told = {'Heat': 5, 'Alien': 4, 'Jaws': 1}
    (x, fixed), (mean, penalty) = collab.item_side(found.model.eval()), found.average_person()
    x, fixed, mean, penalty = (t.detach().double() for t in (x, fixed, mean, penalty))
    rows = found.items.ids(list(told))
    want = score_for(torch.tensor(list(told.values())).double(), found.model.y_range)
    z = mean.clone().requires_grad_()
    opt = torch.optim.LBFGS([z], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn='strong_wolfe')
    def closure():
        opt.zero_grad()
        loss = (x[rows] @ z + fixed[rows] - want).square().sum() + (z - mean) @ penalty @ (z - mean)
        loss.backward()
        return loss
    opt.step(closure)
    by_force = in_range(x @ z.detach() + fixed, found.model.y_range)
    torch.testing.assert_close(found.newcomer(told).double(), by_force, atol=2e-3, rtol=0)
    known = found.learned('item')
    assert torch.equal(found.predict(told)[known], found.newcomer(told)[known]) and not torch.allclose(found.predict(told), found.predict({}))

@pytest.mark.parametrize('seed', range(3))
def test_newcomers_who_are_in_the_data(seed):
    "With all ratings of a trained person the closed form comes near to what training found, once it has found it"
    learn = collab_learner(planted_ratings(seed=seed, n_users=60).ratings, n_factors=8, device='cpu', progress=False)
    learn.fit_one_cycle(40)
    gaps = []
    for user in range(10):
        own = learn.ratings.user == user
        told = {learn.items[i]: r for i, r in zip(learn.ratings.item[own].tolist(), learn.ratings.rating[own].tolist())}
        gaps.append((learn.predict(told) - learn.predict(learn.users[user])).abs().mean())
    nobody = torch.stack([(learn.predict({}) - learn.predict(learn.users[user])).abs().mean() for user in range(10)])
    assert torch.stack(gaps).mean() < .7 * nobody.mean()

def test_newcomer_errors(learn, ratings):
    for bad in (0, 6, math.nan):
        with pytest.raises(ValueError, match='between 1 and 5'): learn.predict({'Heat': bad})
    with pytest.raises(KeyError, match='did you mean Heat'): learn.predict({'Haet': 5})
    network = collab_learner(ratings, use_nn=True, layers=[5], device='cpu')
    with pytest.raises(TypeError, match='EmbeddingNN has no factors'): network.predict({'Heat': 5})
    with pytest.raises(ValueError, match='one of them'): learn.predict({'Heat': 5}, dict(year=1990))

def test_a_new_item(combined, learn):
    guess = combined.predict(None, dict(year=1999, genre='Western'))
    assert guess.shape == (60,) and guess.isfinite().all()
    torch.testing.assert_close(combined.predict('person 2', dict(genre='Western', year=1999)), guess[1])
    assert not torch.equal(guess, combined.predict(None, dict(year=1999, genre='Anime')))
    with pytest.raises(KeyError, match="nothing is known of 'colour'"): combined.predict('person 1', dict(colour='red'))
    with pytest.raises(TypeError, match='metadata=True'): learn.predict('person 1', dict(year=1999))


@pytest.mark.parametrize('fact, words', [(dict(genre='Weestern'), "no 'Weestern'.*'Western'"), (dict(genre=['Action']), 'a text such as'), (dict(genre=3), 'a text'),
                                         (dict(year='1999'), 'is a number'), (dict(year=math.inf), 'is a number'), (dict(year=True), 'is a number')])
def test_facts_that_would_be_taken_for_average_are_refused(combined, fact, words):
    with pytest.raises(ValueError, match=words): combined.predict('person 1', fact)
    combined.model.train()
    assert combined.predict('person 1', dict(year=None, genre=None)).isfinite() and combined.model.training


# ---- of whom nothing was learned

def test_a_user_or_film_without_training_ratings_is_unknown(ratings, tmp_path):
    train, valid = ratings.split(seed=0)
    train = train.select((train.user != 5) & (train.item != ratings.item_id('Heat')))
    found = collab_learner((train, valid), n_factors=8, device='cpu', progress=False)
    found.fit_one_cycle(3)
    for pair in (('person 6', 'Alien'), ('person 1', 'Heat'), (torch.tensor([5]), 'Alien')):
        with pytest.raises(KeyError, match='nothing was learned of it'): found.predict(*pair)
    with pytest.raises(KeyError, match='nothing was learned of it'): found.recommend('person 6')
    mean = found.predict(None, 'Alien')[found.learned('user')].mean()
    torch.testing.assert_close(found.predict('person 6', 'Alien', unknown='average'), mean)
    torch.testing.assert_close(found.predict(None, 'Alien')[5], mean)
    assert all(item != 'Heat' for item, _ in found.recommend('person 1', 999)) and len(found.recommend('person 6', 3, unknown='average')) == 3
    assert torch.equal(found.predict({'Heat': 5}), found.predict({}))
    again = collab_learner(ratings, n_factors=8, device='cpu', progress=False)
    again.load(found.save(tmp_path/'f.pt'))
    assert torch.equal(again.predict('person 1'), found.predict('person 1')) and not again.learned('user')[5]


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
    default_range = collab.default_range
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


# ---- the sheet

def test_sheet(tmp_path):
    pytest.importorskip('ironcalc')
    from ddl_lesson8.sheets.book import Book, crosscheck, read_range
    book = Book()
    path, = [book.save(tmp_path/'collab.xlsx') for checks in [collab.collab_sheet(book)]]
    again = Book()
    checks = collab.collab_sheet(again)
    assert crosscheck(path, checks) # a second training gives the same numbers
    assert read_range(path, 'collab_rmse') < .6 * read_range(path, 'collab_rmse_of_the_mean')
    table = collab.ratings_table()[0]
    assert table.shape == (15, 15) and 100 < (table > 0).sum() < 200


# ---- exercises

def naive_recommend(predicted, seen, n): return [k for k in predicted.argsort(descending=True).tolist() if k not in seen.tolist()][:n]
def spoiling(predicted, seen, n):
    predicted[seen] = -math.inf
    return predicted.topk(n).indices

RIGHT = [('dot_bias', lambda u, v, bu, bi, a, b: torch.stack([u[x] @ v[y] + bu[x] + bi[y] for x, y in zip(a, b)])),
         ('count', lambda n, m, k: (n + m) * (k + 1)),
         ('range', lambda x, lo, hi: lo + (hi - lo) / (1 + torch.exp(-x))), ('range', lambda x, lo, hi: lo + (hi - lo) * (x / 2).tanh().add(1).div(2)),
         ('decayed_step', lambda w, g, lr, wd: w * (1 - lr * wd) - lr * g), ('recommend', naive_recommend)]
WRONG = [('dot_bias', lambda u, v, bu, bi, a, b: (u[a] * v[b]).sum(1), 'biases'), ('dot_bias', lambda u, v, bu, bi, a, b: u @ v.T, 'shape'),
         ('dot_bias', lambda u, v, bu, bi, a, b: (u[a] + v[b]).sum(1), 'multiply'),
         ('count', lambda n, m, k: (n + m) * k, 'bias'), ('count', lambda n, m, k: n * m * k, 'less|more'),
         ('range', lambda x, lo, hi: lo + (hi - lo) * x.exp() / (1 + x.exp()), 'infinity'), ('range', lambda x, lo, hi: x.clamp(lo, hi), 'exp'),
         ('range', lambda x, lo, hi: 1 / (1 + torch.exp(-x)), 'stretch'),
         ('decayed_step', lambda w, g, lr, wd: w - lr * g, '0.95'), ('decayed_step', lambda w, g, lr, wd: w * (1 - wd) - lr * g, 'lr \\* wd'),
         ('decayed_step', lambda w, g, lr, wd: (w - lr * g) * (1 - lr * wd), 'together'), ('decayed_step', lambda w, g, lr, wd: w + lr * g, 'plain'),
         ('recommend', spoiling, 'clone'), ('recommend', lambda p, s, n: p.topk(n).indices, 'seen'), ('recommend', lambda p, s, n: [0, 3], 'first'),
         ('recommend', lambda p, s, n: naive_recommend(p * (p > 0), s, n), 'below 0'), ('recommend', lambda p, s, n: p.clone().index_fill(0, s, -9.).topk(min(n, 5)).indices, 'three')]

@pytest.mark.parametrize('name, answer', RIGHT)
def test_right_answers_pass(name, answer): assert check_exercise(answer, getattr(collab, f'_check_my_{name}'))

@pytest.mark.parametrize('name, answer, hint', WRONG)
def test_wrong_answers_get_a_hint(name, answer, hint):
    import re
    outcome = check_exercise(answer, getattr(collab, f'_check_my_{name}'))
    assert outcome.state == 'not yet' and re.search(hint, outcome.hint), outcome
