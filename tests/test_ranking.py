"Lists against what people chose: metrics, reports, weighted least squares"
import math
import pytest, torch
from hypothesis import given, settings, strategies as st
from ddl_lesson8.book import checks_collab
from ddl_lesson8.book.exercises import check_exercise
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import Ratings, planted_ratings
from ddl_lesson8.ranking import ALS, list_metrics, ranking_report, solve_side
import ddl_lesson8.recommend

SEARCH = dict(derandomize=True, deadline=None, max_examples=40)


@pytest.fixture(scope='module')
def split(): return planted_ratings(seed=0, n_users=60).ratings.split('leave_last_out')

@pytest.fixture(scope='module')
def als(split): return ALS(split[0], n_factors=8).fit(5)

def lists(rng, n, items, k):
    return [(rng.permutation(items)[:k].tolist(), set(rng.permutation(items)[:rng.integers(1, 7)].tolist())) for _ in range(n)]


def test_metrics_are_those_of_ranx():
    ranx, np = pytest.importorskip('ranx'), pytest.importorskip('numpy')
    made, k = lists(np.random.default_rng(0), 200, 20, 5), 5
    qrels = ranx.Qrels({f'q{i}': {str(x): 1 for x in chosen} for i, (_, chosen) in enumerate(made)})
    run = ranx.Run({f'q{i}': {str(x): float(k - at) for at, x in enumerate(ranked)} for i, (ranked, _) in enumerate(made)})
    names = dict(precision='precision@5', recall='recall@5', MAP='map@5', MRR='mrr@5', NDCG='ndcg@5') | {'hit rate': 'hit_rate@5'}
    theirs = ranx.evaluate(qrels, run, list(names.values()))
    hits = torch.tensor([[x in chosen for x in ranked] for ranked, chosen in made])
    ours = list_metrics(hits, torch.tensor([len(chosen) for _, chosen in made]))
    for name, other in names.items(): assert ours[name].mean().item() == pytest.approx(theirs[other], abs=1e-9), name

@settings(**SEARCH)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 4))
def test_metrics_by_loop(hits, more):
    n = max(1, sum(hits) + more)
    found = {k: v.item() for k, v in list_metrics(torch.tensor([hits]), torch.tensor([n])).items()}
    at = [i + 1 for i, h in enumerate(hits) if h]
    gain = sum(1 / math.log2(i + 1) for i in at) / sum(1 / math.log2(i + 2) for i in range(min(n, len(hits))))
    right = dict(precision=len(at) / len(hits), recall=len(at) / n, NDCG=gain, MRR=1 / at[0] if at else 0, MAP=sum((j + 1) / i for j, i in enumerate(at)) / n)
    for name, value in (right | {'hit rate': float(bool(at))}).items(): assert found[name] == pytest.approx(value), name

def test_solve_side_is_the_minimum():
    g = torch.Generator().manual_seed(1)
    other, rated = torch.randn(6, 3, generator=g, dtype=torch.float64).float(), [torch.tensor([0, 4]), torch.tensor([], dtype=torch.int64), torch.arange(6)]
    x = solve_side(other, rated, 2., .7)
    def cost(x, rows):
        p, c = torch.zeros(6), torch.ones(6)
        p[rows], c[rows] = 1, 3
        return (c * (p - other @ x)**2).sum() + .7 * (x**2).sum()
    for row, mine in zip(x, rated):
        assert all(cost(row, mine) <= cost(row + .05 * torch.randn(3, generator=g), mine) + 1e-5 for _ in range(10))
    assert torch.equal(x[1], torch.zeros(3))

def test_least_squares_falls(split):
    train, _ = split
    model = ALS(train, n_factors=6)
    table = torch.zeros(train.n_users, train.n_items)
    table[train.user, train.item] = 1
    costs = []
    for _ in range(4):
        model.fit(1)
        u, i = model.user_factors, model.item_factors
        costs.append((((1 + model.alpha * table) * (table - u @ i.T)**2).sum() + model.penalty * (u.square().sum() + i.square().sum())).item())
    assert costs == sorted(costs, reverse=True)

def test_newcomers_of_least_squares_are_rows_like_the_trained(split):
    als = ALS(split[0], n_factors=4).fit(200) # so long that both sides stand still
    for kind, fold, scores in (('user', als.newcomer, als.scores(torch.arange(60))), ('item', als.new_item, als.scores(torch.arange(60)).T)):
        mine, others, names = (split[0].user, split[0].item, als.items) if kind == 'user' else (split[0].item, split[0].user, als.users)
        lists = [[names[k] for k in others[mine == row].tolist()] for row in (0, 7)]
        torch.testing.assert_close(fold(lists), scores[[0, 7]], atol=2e-3, rtol=0)
        torch.testing.assert_close(fold(lists[0] + lists[0][:1]), scores[0], atol=2e-3, rtol=0) # named twice is once

def test_newcomers_of_least_squares_that_are_refused(split, als):
    with pytest.raises(KeyError, match='no item'): als.newcomer(['Haet'])
    with pytest.raises(KeyError, match='no user'): als.new_item('nobody')
    with pytest.raises(ValueError, match='no item is named'): als.newcomer([])
    with pytest.raises(ValueError, match='call fit first'): ALS(split[0], n_factors=2).newcomer(['Heat'])

@pytest.mark.parametrize('kwargs', [{}, dict(loss='softmax'), dict(use_nn=True, layers=[4]), dict(metadata=True)])
def test_report_by_loop(split, kwargs):
    train, last = split
    learn = collab_learner((train, last), n_factors=4, device='cpu', progress=False, **kwargs)
    learn.fit_one_cycle(1)
    report, hits = ranking_report(learn, last, k=5, chunk=17), []
    for u, i in zip(last.user.tolist(), last.item.tolist()):
        scores = learn.outputs((torch.full((train.n_items,), u), torch.arange(train.n_items))).clone()
        scores[train.item[train.user == u]] = -math.inf
        scores[~learn.learned('item')] = -math.inf
        hits.append(float(i in scores.topk(5).indices.tolist()))
    assert report.rows['model']['hit rate'] == pytest.approx(sum(hits) / len(hits), abs=.05 if 'use_nn' in kwargs else 1e-9) and report.n_users == len(hits) # a network's near ties
    assert report.rows['model']['recall'] == report.rows['model']['hit rate'] == pytest.approx(5 * report.rows['model']['precision'])

def test_popularity_by_loop(split, als):
    train, last = split
    count, listed, hits = train.counts('item').float(), set(), []
    for u, i in zip(last.user.tolist(), last.item.tolist()):
        left = count.clone()
        left[train.item[train.user == u]] = -1
        best = left.topk(3).indices.tolist()
        listed |= set(best)
        hits.append(float(i in best))
    row = ranking_report(als, last, k=3).rows['popularity']
    assert row['coverage'] == pytest.approx(len(listed) / train.n_items) and row['hit rate'] == pytest.approx(sum(hits) / len(hits), abs=.02) # ties

def test_validation_ratings_may_be_what_is_looked_for(split, als):
    "The held out items are no seen ones, also where the learner had them for validation"
    train, last = split
    a, b = (collab_learner((train, v), n_factors=4, device='cpu', progress=False, seed=3) for v in (last, None))
    assert ranking_report(a, last).rows == ranking_report(b, last).rows

def test_cold_people_are_left_out_and_counted():
    r = Ratings(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 2, 0]), torch.ones(5), ['a', 'b', 'c'], ['x', 'y', 'z'])
    model = ALS(r.select(torch.tensor([0, 2, 3])), n_factors=2).fit(2)
    report = ranking_report(model, r.select(torch.tensor([1, 4])), k=2)
    assert (report.n_users, report.left_out) == (1, 1) and 'left out' in repr(report) and '<table>' in report._repr_html_()

def test_unknown_items_are_missed_and_unknown_people_counted():
    "Of x and two unknown items only x can be listed: recall 1/3 by hand, precision 1/2 in lists of 2"
    train = Ratings(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 0]), torch.ones(3), ['a', 'b'], ['x', 'y'])
    held = dict(user=['a', 'a', 'a', 'z'], item=['x', 'new', 'newer', 'x'], rating=[1, 1, 1, 1])
    report = ranking_report(ALS(train, n_factors=2).fit(2), held, k=2)
    assert (report.n_users, report.left_out) == (1, 1)
    assert report.rows['model']['recall'] == pytest.approx(1/3) and report.rows['model']['precision'] == .5

def test_reports_that_are_refused(split, als):
    train, last = split
    with pytest.raises(ValueError, match=f'{len(train):,} of the {len(train):,} pairs held out were trained on'): ranking_report(als, train)
    with pytest.raises(TypeError, match='not a pair'): ranking_report(als, (train, last))
    with pytest.raises(ValueError, match='nobody with something held out'): ranking_report(als, dict(user=['?'], item=[als.items[0]], rating=[5]))
    with pytest.raises(ValueError, match='choose 1 to'): ranking_report(als, last, k=10**6)
    with pytest.raises(ValueError, match='nothing is held out'): ranking_report(als, last.select(torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(ValueError, match='no ratings'): ALS(last.select(torch.zeros(0, dtype=torch.int64)))

def test_large_reports_need_no_full_matrix():
    "20,000 people and 2,000 items in chunks: the scores alone would be 160 MB"
    n, m, g = 20_000, 2_000, torch.Generator().manual_seed(0)
    user = torch.arange(n).repeat(2)
    first = torch.randint(m, (n,), generator=g)
    other = (first + torch.randint(1, m, (n,), generator=g)) % m # held out is what was not trained on
    r = Ratings(user, torch.cat([first, other]), torch.ones(2 * n), list(map(str, range(n))), list(map(str, range(m))))
    train, held = r.select(torch.arange(n)), r.select(torch.arange(n, 2 * n))
    class Flat:
        users, items = r.users, r.items
        from ddl_lesson8.train.memory import Memory
        memory, most = Memory.of(train, None), 0
        def scores(self, users):
            Flat.most = max(Flat.most, len(users))
            return torch.zeros(len(users), m)
    assert ranking_report(Flat(), held, chunk=500).n_users > 19_000 and Flat.most == 500

@pytest.mark.parametrize('answer, hint', [(lambda r, s: float(r[0] in s), '1 / log2'), (lambda r, s: sum(1 / math.log2(k + 2) for k, x in enumerate(r) if x in s), 'best order'),
                                          (lambda r, s: sum(1 / math.log2(k + 2) for k, x in enumerate(r) if x in s) / sum(1 / math.log2(k + 2) for k in range(len(s))), 'one place')])
def test_hints_about_ndcg(answer, hint): assert hint in check_exercise(answer, checks_collab.check_ndcg).hint


# scores that are none

class Other: # somebody's own model
    def __init__(self, als, scores): self.memory, self.users, self.items, self.scores = als.memory, als.users, als.items, scores

@pytest.mark.parametrize('scores, words', [
    (lambda u: torch.full((len(u), 3), 1.), r'shape \(\d+, 3\), not'), (lambda u: torch.full((len(u), 100, 1), 1.), 'shape'), (lambda u: torch.full((len(u), 100), torch.inf), 'NaN or infinite'),
    (lambda u: torch.full((len(u), 100), torch.nan), 'NaN or infinite')])
def test_scores_of_another_model_that_make_no_list(split, als, scores, words): # infinite ones were left out of the lists without a word
    n = len(als.items)
    with pytest.raises(ValueError, match=words): ranking_report(Other(als, lambda u: scores(u).repeat(1, -(-n // 100))[:, :n] if scores(u).shape[1:] == (100,) else scores(u)), split[1], 3)

def test_scores_of_numpy_count(split, als):
    numpy = Other(als, lambda users: als.scores(users).numpy())
    assert ranking_report(numpy, split[1], 3).rows == ranking_report(als, split[1], 3).rows

def test_people_at_a_time(split, als):
    with pytest.raises(ValueError, match='chunk=0'): ranking_report(als, split[1], 3, chunk=0)

@pytest.mark.parametrize('settings', [dict(alpha=1e30), dict(penalty=1e-38, n_factors=4)])
def test_settings_that_float32_cannot_follow(settings): # a newcomer's scores were NaN
    table = dict(user=[u for u in 'abcdefghi' for _ in range(9)], item=list('rstuvwxyz') * 9, rating=[1.] * 81)
    with pytest.raises(FloatingPointError, match='smaller alpha, or a larger penalty'): ALS(table, **settings).fit()
    with pytest.raises(ValueError, match="alpha='3'|alpha=3,"): ALS(table, alpha='3')

def test_a_few_pairs_that_were_trained_on_are_left_out_and_told(): # they counted as missed
    n, m = 400, 50
    g = torch.Generator().manual_seed(0)
    first = torch.randint(0, m, (n,), generator=g)
    later = (first + torch.randint(1, m, (n,), generator=g)) % m
    names = dict(users=[f'u{k}' for k in range(n)], items=[f'i{k}' for k in range(m)])
    train = Ratings(torch.arange(n), first, torch.ones(n), **names)
    again = later.clone()
    again[:3] = first[:3]
    als = ALS(train, n_factors=4).fit(2)
    with pytest.warns(UserWarning, match='3 of the 400 pairs held out were trained on.*left out') as said:
        report = ranking_report(als, Ratings(torch.arange(n), again, torch.ones(n), **names), k=5)
    assert said[0].filename == __file__
    clean = ranking_report(als, Ratings(torch.arange(3, n), later[3:], torch.ones(n - 3), **names), k=5)
    assert report.n_users == clean.n_users == n - 3 and report.left_out == 0
    for name in ('model', 'popularity'): assert report.rows[name] == clean.rows[name]
    again[:5] = first[:5] # more than one in a hundred
    with pytest.raises(ValueError, match='5 of the 400 pairs'): ranking_report(als, Ratings(torch.arange(n), again, torch.ones(n), **names), k=5)
