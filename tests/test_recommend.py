"Lists, newcomers, new items, the sheet and the exercises of the rating chapters"
import math
import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from rating_worlds import combined, learn, ratings # noqa: F401, fixtures
from ddl_lesson8.book import checks_collab
from ddl_lesson8.book.exercises import check_exercise, check_sheet_exercise
from ddl_lesson8.book.sheet_collab import collab_sheet, ratings_table
from ddl_lesson8.collab import collab_learner, in_range
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.recommend import Suggestions, item_side, likely_chooser
from ddl_lesson8.train.learner import load_learner
from ddl_lesson8.train.newcomer import Prior, posterior, score_for

SEARCH = dict(derandomize=True, deadline=None, max_examples=40)


# ---- lists

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
    with pytest.raises(TypeError, match='a list of these'): learn.recommend(1.5)
    everything = {name: 3 for name in learn.items}
    assert learn.recommend(everything) == [] and 'nothing left' in repr(learn.recommend(everything))
    assert '&lt;' in Suggestions([('<b>', 1.)])._repr_html_()


# ---- newcomers

@settings(**SEARCH)
@given(st.integers(0, 8), st.integers(1, 5), st.integers(0, 99))
def test_ridge_is_the_minimum(n, k, seed):
    g = torch.Generator().manual_seed(seed)
    x, target, mean, penalty = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((n, k), (n,), (k,), (k, k)))
    penalty = penalty @ penalty.T + torch.eye(k) / 10
    found = posterior(x, target, Prior(mean, penalty, .7))
    cost = lambda z: (x @ z - target).square().sum() + .7 * (z - mean) @ torch.linalg.inv(penalty) @ (z - mean)
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
    (x, fixed), prior = item_side(found.model.eval()), found.average_person()
    mean, penalty = prior.mean, prior.noise * torch.linalg.inv(prior.cov)
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


# ---- facts, many people, candidates, diversity

def test_a_newcomer_by_facts(combined, learn):
    young, old = combined.predict({'age': 20, 'occupation': 'engineer'}), combined.predict({'age': 65, 'occupation': 'librarian'})
    assert young.shape == old.shape == (len(combined.items),) and not torch.allclose(young, old) and young.isfinite().all()
    assert not torch.allclose(combined.predict({'age': 20, 'Heat': 5}), young)
    torch.testing.assert_close(combined.predict({'age': None}), combined.predict({}), atol=.2, rtol=0)
    with pytest.raises(ValueError, match="no 'wizard'"): combined.predict({'occupation': 'wizard'})
    with pytest.raises(TypeError, match='metadata=True'): learn.predict({'age': 20})
    assert len(combined.recommend({'age': 20}, 4)) == 4

def test_facts_move_a_newcomer_as_they_move_the_trained(combined):
    "The network's part for a newcomer's facts is that of the same facts with the average embedding"
    row = combined.encoders[0](dict(age=[20], occupation=['engineer']))[0]
    base, fixed = (item_side(combined.model.eval(), r)[1] for r in (None, row))
    m, n = combined.model, len(combined.items)
    extra = m.extra(m.u_embed.weight[:-1].mean(0).expand(n, -1), m.i_embed.weight[:n], row.expand(n, -1), m.item_meta)
    torch.testing.assert_close(fixed, extra.detach() + m.dot.i_bias.weight.detach()[:, 0])
    assert not torch.allclose(base, fixed)

def test_many_people_at_once(learn):
    people = ['person 1', {'Heat': 5}, 'person 2']
    assert learn.recommend(people, 4) == [learn.recommend(p, 4) for p in people]
    assert learn.recommend([]) == []

def test_candidates(learn):
    found = learn.recommend('person 1', 9, items=['Heat', 'Alien', 'Jaws'], exclude_seen=False)
    assert {i for i, _ in found} == {'Heat', 'Alien', 'Jaws'}
    with pytest.raises(KeyError, match='did you mean'): learn.recommend('person 1', items=['Haet'])
    assert learn.recommend('person 1', items=[]) == [] == learn.recommend('person 1', items=[], diversity=.5)

def test_diversity(learn):
    plain, varied = learn.recommend('person 1', 8), learn.recommend('person 1', 8, diversity=.7)
    def likeness(found):
        v = nn.functional.normalize(learn.model.weight([i for i, _ in found]), dim=1)
        return (v @ v.T).fill_diagonal_(0).mean()
    assert plain[0] == varied[0] and len(set(i for i, _ in varied)) == 8 and likeness(varied) < likeness(plain)
    assert learn.recommend('person 1', 8, diversity=0) == plain
    for bad in (-.1, 1.1, math.nan):
        with pytest.raises(ValueError, match='from 0 to 1'): learn.recommend('person 1', diversity=bad)

def test_newcomer_of_a_model_of_order(ratings):
    found = collab_learner(ratings, n_factors=6, loss='softmax', device='cpu', progress=False)
    found.fit_one_cycle(15)
    (x, fixed), prior = item_side(found.model), found.average_person()
    rows = found.items.ids(['Heat', 'Alien'])
    z = likely_chooser(x, fixed, rows, prior)
    def cost(z): return -(x @ z + fixed).log_softmax(0)[rows].sum() + (z - prior.mean) @ torch.linalg.inv(prior.cov) @ (z - prior.mean) / 2
    slope = torch.autograd.functional.jacobian(cost, z)
    assert slope.abs().max() < 1e-2 and all(cost(z) <= cost(z + .1 * torch.randn(len(z))) for _ in range(5))
    assert found.recommend({'Heat': 1, 'Alien': 1}, 3)

@pytest.mark.parametrize('loss', ['softmax', 'bpr'])
def test_a_new_item_of_a_model_of_order(loss): # films hidden from training are found by who chose them
    whole = planted_ratings(seed=0, n_users=200, appetite=37.).ratings
    hidden = torch.arange(0, whole.n_items, 9)
    found = collab_learner((whole.select(~torch.isin(whole.item, hidden)), None), n_factors=8, loss=loss, device='cpu', progress=False)
    found.fit_one_cycle(15)
    right = []
    for k in hidden.tolist():
        people = whole.user[whole.item == k]
        if len(people) < 20: continue
        told, rest = people[::2], people[1::2]
        score = found.new_item({whole.users[u]: 1 for u in told.tolist()}) - found.model.u_bias.weight.detach()[:, 0]
        others = torch.ones(whole.n_users, dtype=torch.bool).index_fill(0, people, False)
        right.append((score[rest, None] > score[others]).float().mean().item())
    assert len(right) > 8 and sum(right) / len(right) > .6
    several = found.new_item([{'person 1': 1, 'person 2': 1}, {}])
    torch.testing.assert_close(several[0], found.new_item({'person 1': 1, 'person 2': 1}))

def test_numbers_of_a_new_item_are_the_most_likely(ratings):
    found = collab_learner(ratings, n_factors=6, loss='softmax', device='cpu', progress=False)
    found.fit_one_cycle(15)
    rows, (x, _), prior = torch.tensor([0, 5, 9]), item_side(found.model, kind='item'), found.average_person('item')
    z = found.numbers_of_new(rows, torch.ones(3), kind='item')[0]
    scores = found.model(*torch.cartesian_prod(torch.arange(60), torch.arange(len(found.items))).T).view(60, -1).detach() - found.model.u_bias.weight.detach()
    rivals = scores[:, found.learned('item')].logsumexp(1)
    def cost(z): return -(x @ z - rivals).log_softmax(0)[rows].sum() + (z - prior.mean) @ torch.linalg.inv(prior.cov) @ (z - prior.mean) / 2
    assert torch.autograd.functional.jacobian(cost, z).abs().max() < 1e-2

def test_recommend_from_the_file_alone(learn, tmp_path):
    again = load_learner(learn.save(tmp_path/'f.pt'), device='cpu')
    assert again.recommend('person 1', 5) == learn.recommend('person 1', 5)
    torch.testing.assert_close(again.predict({'Heat': 5, 'Jaws': 1}), learn.predict({'Heat': 5, 'Jaws': 1}))


# ---- the sheet

def test_sheet(tmp_path):
    pytest.importorskip('ironcalc')
    from ddl_lesson8.sheets.book import Book, crosscheck, read_range
    book = Book()
    path, = [book.save(tmp_path/'collab.xlsx') for checks in [collab_sheet(book)]]
    again = Book()
    checks = collab_sheet(again)
    assert crosscheck(path, checks) # a second training gives the same numbers
    assert read_range(path, 'collab_rmse') < .6 * read_range(path, 'collab_rmse_of_the_mean')
    table = ratings_table()[0]
    assert table.shape == (15, 15) and 100 < (table > 0).sum() < 200



def test_the_favourite_on_a_saved_sheet(tmp_path):
    pytest.importorskip('ironcalc')
    from ddl_lesson8.sheets.book import Book
    from ddl_lesson8.sheets.engine import Engine
    book = Book()
    collab_sheet(book)
    fresh = book.save(tmp_path/'fresh.xlsx')
    def judge(name, **changes):
        engine = Engine(fresh)
        engine.change({f'collab!{k}': v for k, v in changes.items()})
        engine.save(tmp_path/name)
        return check_sheet_exercise('sheet_favourite', tmp_path/name)
    assert judge('a.xlsx', G17=6.)
    assert 'ten are wanted' in judge('b.xlsx', G17=-6.).hint and 'is enough' in judge('c.xlsx', G17=6., G18=2.).hint
    assert 'nothing has changed' in check_sheet_exercise('sheet_favourite', fresh).hint


# ---- exercises

def naive_recommend(predicted, seen, n): return [k for k in predicted.argsort(descending=True).tolist() if k not in seen.tolist()][:n]
def topk_recommend(predicted, seen, n):
    left = predicted.clone()
    left[seen] = -math.inf
    return left.topk(min(n, len(left) - len(seen))).indices
def spoiling(predicted, seen, n):
    predicted[seen] = -math.inf
    return predicted.topk(n).indices

RIGHT = [('dot_bias', lambda u, v, bu, bi, a, b: torch.stack([u[x] @ v[y] + bu[x] + bi[y] for x, y in zip(a, b)])),
         ('count', lambda n, m, k: (n + m) * (k + 1)),
         ('star_range', lambda x, lo, hi: lo + (hi - lo) * (x / 2).tanh().add(1).div(2)),
         ('decayed_step', lambda w, g, lr, wd: w * (1 - lr * wd) - lr * g), ('recommend', naive_recommend), ('recommend', topk_recommend),
         ('newcomer', lambda m, c, s2, v, t: (m / c + sum(a * b for a, b in zip(v, t)) / s2) / (1 / c + sum(a * a for a in v) / s2))]
WRONG = [('dot_bias', lambda u, v, bu, bi, a, b: (u[a] * v[b]).sum(1), 'biases'), ('dot_bias', lambda u, v, bu, bi, a, b: u @ v.T, 'shape'),
         ('dot_bias', lambda u, v, bu, bi, a, b: (u[a] + v[b]).sum(1), 'one pair'),
         ('count', lambda n, m, k: (n + m) * k, 'bias'), ('count', lambda n, m, k: n * m * k, 'less|more'),
         ('star_range', lambda x, lo, hi: lo + (hi - lo) * x.exp() / (1 + x.exp()), 'infinity'), ('star_range', lambda x, lo, hi: x.clamp(lo, hi), 'exp'),
         ('star_range', lambda x, lo, hi: 1 / (1 + torch.exp(-x)), 'stretch'), ('star_range', lambda x, lo, hi: lo + (hi - lo) / (1 + torch.exp(-x)), 'gradient'),
         ('star_range', lambda x, lo, hi: torch.sigmoid(x) * (hi - lo) + lo, 'own sigmoid'),
         ('dot_bias', lambda u, v, bu, bi, a, b: torch.sigmoid((u[a] * v[b]).sum(1) + bu[a] + bi[b]), 'sigmoid'),
         ('newcomer', lambda m, c, s2, v, t: 1.5, 'average person'), ('newcomer', lambda m, c, s2, v, t: m + sum(a * (b - m * a) for a, b in zip(v, t)) / (1 + sum(a * a for a in v)), 'variance'),
         ('decayed_step', lambda w, g, lr, wd: w - lr * g, '0.95'), ('decayed_step', lambda w, g, lr, wd: w * (1 - wd) - lr * g, 'lr \\* wd'),
         ('decayed_step', lambda w, g, lr, wd: (w - lr * g) * (1 - lr * wd), 'together'), ('decayed_step', lambda w, g, lr, wd: w + lr * g, 'uphill'),
         ('recommend', spoiling, 'clone'), ('recommend', lambda p, s, n: p.topk(n).indices, 'seen'), ('recommend', lambda p, s, n: [0, 3], 'first'),
         ('recommend', lambda p, s, n: naive_recommend(p * (p > 0), s, n), 'below 0'), ('recommend', lambda p, s, n: p.clone().index_fill(0, s, -9.).topk(min(n, 5)).indices, 'three')]

@pytest.mark.parametrize('name, answer', RIGHT)
def test_right_answers_pass(name, answer): assert check_exercise(answer, getattr(checks_collab, f'check_{name}'))

@pytest.mark.parametrize('name, answer, hint', WRONG)
def test_wrong_answers_get_a_hint(name, answer, hint):
    import re
    outcome = check_exercise(answer, getattr(checks_collab, f'check_{name}'))
    assert outcome.state == 'not yet' and re.search(hint, outcome.hint), outcome


# what is no rating, no name and no share

NO_RATINGS = [float('nan'), float('inf'), 'liked', b'3', None, 3j, [3], object()]
@pytest.mark.parametrize('loss', ['mse', 'softmax'])
def test_what_is_no_rating_is_refused_by_every_loss(ratings, loss): # a model of order let NaN and words pass, or Python spoke
    learn = collab_learner(ratings, n_factors=4, loss=loss, valid=0, device='cpu', progress=False)
    for value in NO_RATINGS:
        for ask in (learn.newcomer, learn.recommend):
            with pytest.raises(ValueError, match='ratings are .*Heat'): ask({'Heat': value})
    assert torch.equal(learn.newcomer({'Heat': torch.tensor(3.)}), learn.newcomer({'Heat': 3}))

def test_true_is_not_the_user_called_1(): # in Python True == 1
    learn = collab_learner(dict(user=[1, 2] * 5, item=[k for k in range(5) for _ in range(2)], rating=[1., 5.] * 5), n_factors=2, valid=0, device='cpu', progress=False)
    with pytest.raises(KeyError, match='no user True'): learn.recommend(True)
    assert collab_learner(dict(user=[True, False] * 5, item=[k for k in range(5) for _ in range(2)], rating=[1., 5.] * 5), n_factors=2, valid=0, device='cpu', progress=False).recommend(True, 1, exclude_seen=False)

@pytest.mark.parametrize('user', [[['person 1', 'person 2']], ['person 1', None], [1.5], [torch.tensor([0])]])
def test_lists_are_asked_for_names_one_by_one(learn, user): # a list in a list gave the ratings of two people as one
    with pytest.raises(TypeError, match='a list of these, not'): learn.recommend(user)

@pytest.mark.parametrize('diversity', ['1', None, float('nan'), -1])
def test_diversity_is_a_share(learn, diversity):
    with pytest.raises(ValueError, match='from 0 to 1'): learn.recommend('person 1', diversity=diversity)
