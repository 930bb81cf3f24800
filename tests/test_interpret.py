"Interpretation: centring, PCA, neighbours, newcomers and votes against plain definitions"
import math
import pytest, torch
from hypothesis import given, settings, strategies as st
from answers import answer_tests
from ddl_lesson8.collab import EmbeddingDotBias, EmbeddingNN
from ddl_lesson8.train.newcomer import score_for
from ddl_lesson8.book import checks_interpret
from ddl_lesson8.data.ratings import Ratings
from ddl_lesson8.interpret import Latent, NameTable, centre, explained, extremes, latent, pca, ranks, show_map, spearman
from ddl_lesson8.loud_minority import one_vote_each
from ddl_lesson8.neighbours import cosine_similarity, nearest, stability
from ddl_lesson8.newcomers import fold_in, guess_from_metadata, learn_prior
from ddl_lesson8.train.newcomer import Prior

SEARCH = dict(max_examples=40, deadline=None, derandomize=True)
def gen(seed): return torch.Generator().manual_seed(seed)
def randn(*shape, seed=0): return torch.randn(shape, generator=gen(seed), dtype=torch.float64)
def some_latent(n=7, m=5, k=3, y_range=(.5, 5.5)):
    return Latent(randn(n, k), randn(m, k, seed=1), randn(n, seed=2), randn(m, seed=3), [f'u{i}' for i in range(n)], [f'i{i}' for i in range(m)], y_range)

def test_latent_is_the_model():
    model = EmbeddingDotBias(['a', 'b', 'c'], ['x', 'y'], 4, y_range=(.5, 5.5))
    found = latent(model)
    u, i = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0, 0, 1])
    torch.testing.assert_close(found.predictions()[u, i], model(u, i).detach())
    assert found.users == ['a', 'b', 'c'] and found.items == ['x', 'y'] and not found.item.requires_grad
    with pytest.raises(TypeError, match='EmbeddingNN has no factors'): latent(EmbeddingNN(['a'], ['b']))

@settings(**SEARCH)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.sampled_from([None, (.5, 5.5), (0, 5)]))
def test_centring_keeps_predictions(n, m, k, y_range):
    found = some_latent(n, m, k, y_range)
    same = centre(found)
    torch.testing.assert_close(same.predictions(), found.predictions())
    assert same.user.mean(0).abs().max() < 1e-12 and same.item.mean(0).abs().max() < 1e-12

@settings(**SEARCH)
@given(st.integers(2, 20), st.integers(1, 12), st.integers(0, 5))
def test_pca_equals_scikit_learn(n, d, seed):
    decomposition = pytest.importorskip('sklearn.decomposition')
    x, k = randn(n, d, seed=seed), min(n - 1, d, 3)
    ours, theirs = pca(x, k), decomposition.PCA(k, svd_solver='full').fit(x.numpy())
    torch.testing.assert_close(ours.points, torch.from_numpy(theirs.transform(x.numpy())), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(ours.components, torch.from_numpy(theirs.components_), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(ours.share, torch.from_numpy(theirs.explained_variance_ratio_), atol=1e-9, rtol=1e-9)

def test_pca_does_not_depend_on_signs_or_order():
    x = randn(12, 4)
    torch.testing.assert_close(pca(x).components, pca(x[torch.randperm(12, generator=gen(1))]).components)
    torch.testing.assert_close(pca(x).components, pca(x + 5).components)
    for k in (0, 5):
        with pytest.raises(ValueError, match='choose 1 to 4'): pca(x, k)

@settings(**SEARCH)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.integers(0, 99))
def test_ranks_and_spearman(values, seed):
    scipy = pytest.importorskip('scipy.stats')
    a, b = torch.tensor(values).double(), randn(len(values), seed=seed)
    assert ranks(a).tolist() == (scipy.rankdata(a.numpy()) - 1).tolist()
    if a.std() > 0: assert spearman(a, b) == pytest.approx(scipy.spearmanr(a.numpy(), b.numpy())[0])

def test_extremes_and_tables():
    values, counts = torch.tensor([3., 1, 2]), torch.tensor([5, 1, 9])
    low = extremes(values, list('abc'), 2, counts=counts, min_ratings=2, extra=values * 2)
    assert low.columns == dict(name=['c', 'a'], value=[2, 3], extra=[4, 6], ratings=[9, 5])
    assert extremes(values, list('abc'), 1, highest=True).columns['name'] == ['a']
    with pytest.raises(ValueError, match='the most is 9'): extremes(values, list('abc'), counts=counts, min_ratings=10)
    assert '&lt;b&gt;' in NameTable({'<b>': ['<b>']})._repr_html_() and 'ratings' in repr(low)

@settings(**SEARCH)
@given(st.integers(3, 12), st.integers(1, 5), st.integers(0, 9))
def test_neighbours_by_definition(n, d, seed):
    v = randn(n, d, seed=seed)
    cos = torch.nn.functional.cosine_similarity(v[:, None], v[None], dim=2)
    torch.testing.assert_close(cosine_similarity(v, v), cos)
    rows, values = nearest(v, torch.arange(n), 1)
    away, dist = nearest(v, torch.arange(n), 1, metric='euclidean')
    for i in range(n):
        others = [j for j in range(n) if j != i]
        assert values[i, 0].item() == pytest.approx(max(cos[i, j].item() for j in others))
        assert dist[i, 0].item() == pytest.approx(min((v[i] - v[j]).norm().item() for j in others), rel=1e-6)
        assert rows[i, 0] != i != away[i, 0]

def test_neighbours_need_ratings_and_average_models():
    v, allowed = randn(6, 3), torch.tensor([True, True, False, True, False, True])
    assert set(nearest(v, torch.arange(6), 3, allowed=allowed)[0].flatten().tolist()) <= {0, 1, 3, 5}
    both = nearest(torch.stack([v, randn(6, 3, seed=1)]), torch.tensor([2]), 2)[1]
    mean = (cosine_similarity(v, v) + cosine_similarity(randn(6, 3, seed=1), randn(6, 3, seed=1)))[2] / 2
    mean[2] = -9
    torch.testing.assert_close(both[0], mean.topk(2).values)
    with pytest.raises(ValueError, match='among 3 allowed'): nearest(v, torch.arange(6), 4, allowed=allowed)
    assert nearest(v, torch.tensor([2]), 4, allowed=allowed)[0].tolist()[0].count(2) == 0 # all four, where it is none of them
    with pytest.raises(ValueError, match="'cosine' or"): nearest(v, torch.arange(6), 1, metric='angle')

def test_stability_of_equal_and_unrelated_models():
    v = randn(40, 5)
    assert stability(torch.stack([v, v @ torch.linalg.qr(randn(5, 5, seed=3))[0]]), torch.arange(40)).min() == 1  # a rotation changes nothing
    assert stability(torch.stack([v, randn(40, 5, seed=4)]), torch.arange(40)).mean() < .5

def test_explained():
    x = randn(30, 2)
    both = torch.stack([x @ torch.tensor([2., -1]).double() + 3, randn(30, seed=9)], 1)
    r2 = explained(both, x)
    assert r2[0] == pytest.approx(1) and r2[1] < .5

def test_fold_in_is_ridge_regression():
    found = some_latent(n=9, m=6, y_range=None)
    prior = Prior(torch.zeros(4).double(), torch.eye(4).double(), .5)
    items, ratings = torch.tensor([[0, 2, 5], [1, 3, 4]]), randn(2, 3, seed=8)
    z = fold_in(found, items, ratings, prior)
    for k in range(2):
        v = torch.cat([found.item[items[k]], torch.ones(3, 1)], 1)
        want = torch.linalg.solve(v.T @ v + .5 * torch.eye(4), v.T @ (ratings[k] - found.item_bias[items[k]]))
        torch.testing.assert_close(z[k], want)
    nothing = fold_in(found, torch.empty(2, 0, dtype=torch.long), torch.empty(2, 0), prior)
    assert torch.equal(nothing, torch.zeros(2, 4).double())

def test_fold_in_finds_a_known_person():
    found = some_latent(n=50, m=40, k=2)
    found = found._replace(user=found.user / 2, item=found.item / 2, user_bias=found.user_bias / 2, item_bias=found.item_bias / 2) # not near the ends
    user, item = torch.cartesian_prod(torch.arange(50), torch.arange(40)).T
    r = Ratings(user, item, found.predictions().flatten().float(), found.users, found.items)
    prior = learn_prior(found, r, torch.arange(50))
    assert prior.noise < 1e-3
    z = fold_in(found, torch.arange(40)[None], found.predictions()[:1], prior)[0]
    torch.testing.assert_close(z, torch.cat([found.user[0], found.user_bias[:1]]), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(score_for(found.predictions(), found.y_range), found.scores())

def test_metadata_guess():
    found, meta = some_latent(n=60), randn(60, 2, seed=5)
    found = found._replace(user=meta @ randn(2, 3, seed=6) + 1, user_bias=meta[:, 0])
    guess = guess_from_metadata(meta, found, torch.arange(40), penalty=1e-9)
    torch.testing.assert_close(guess[40:], torch.cat([found.user, found.user_bias[:, None]], 1)[40:], atol=1e-6, rtol=1e-6)
    far = guess_from_metadata(meta, found, torch.arange(40), penalty=1e12)
    torch.testing.assert_close(far, far[:1].expand(60, -1), atol=1e-6, rtol=0)

def test_one_vote_each_by_dictionary():
    g = gen(0)
    pairs = torch.randperm(30, generator=g)[:18]
    r = Ratings(pairs // 6, pairs % 6, torch.randint(1, 6, (18,), generator=g).float(), list('abcde'), list('uvwxyz'))
    groups = torch.tensor([0, 0, 1, 1, 1, 2])
    want = []
    rows = list(zip(*(t.tolist() for t in r.tensors())))
    for item in range(6):
        votes = total = 0
        for u, i, stars in rows:
            if i != item: continue
            own = [s for v, _, s in rows if v == u]
            n = sum(v == u and groups[j] == groups[item] for v, j, _ in rows)
            votes, total = votes + 1 / n, total + (stars - sum(own) / len(own)) / n
        want.append(float(total / (votes + 1)))
    assert one_vote_each(r, groups).tolist() == pytest.approx(want, abs=1e-5)

def test_map_labels_do_not_touch():
    import matplotlib
    matplotlib.use('Agg')
    ax = show_map(torch.zeros(5, 2), list('abcde'))
    assert [t.get_text() for t in ax.texts] == ['a'] and ax.get_xlabel() == 'component 0'
    ax = show_map(torch.tensor([[0., 0], [1, 1]]), ['left', 'right'], order=torch.tensor([1, 0]))
    assert {t.get_text() for t in ax.texts} == {'left', 'right'}

# ---- the exercises: right answers pass, typical wrong ones get a hint

def predicted(r, found): return found.predictions()[r.user, r.item]
def sums(r, values): return torch.zeros(r.n_items).index_add_(0, r.item, values)
def right_rebuild(x, k): return pca(x, k).points @ pca(x, k).components + x.mean(0)
def right_opposite(vectors, k): return cosine_similarity(vectors[[k]], vectors)[0].argmin()
def right_damped(r, m): return (sums(r, r.rating) + m * r.rating.mean()) / (r.counts() + m)

RIGHT = [(lambda r, found: sums(r, r.rating - predicted(r, found)) / r.counts(), 'check_surprise'), (right_rebuild, 'check_rebuild'),
         (right_opposite, 'check_opposite'), (right_damped, 'check_damped')]
WRONG = [
    (lambda r, f: sums(r, predicted(r, f) - r.rating) / r.counts(), 'check_surprise', 'sign is turned'),
    (lambda r, f: r.averages() - f.predictions().mean(0), 'check_surprise', "rated by 'a' only"),
    (lambda r, f: sums(r, r.rating - predicted(r, f)), 'check_surprise', 'do not add up'),
    (lambda r, f: r.rating - predicted(r, f) + 1, 'check_surprise', 'the model says'),
    (lambda r, f: r.averages('user') - 1, 'check_surprise', 'one number for each film'),
    (lambda r, f: sums(r, r.rating - f.scores()[r.user, r.item]) / r.counts(), 'check_surprise', 'before the sigmoid'),
    (lambda x, k: pca(x, k).points, 'check_rebuild', 'turn the points'),
    (lambda x, k: pca(x, k).points[:, :1], 'check_rebuild', 'the shape of x'),
    (lambda x, k: pca(x, k).points @ pca(x, k).components, 'check_rebuild', 'the place is not'),
    (lambda x, k: x, 'check_rebuild', 'was k used'),
    (lambda x, k: x if k == 3 else right_rebuild(x, 1), 'check_rebuild', 'more than they must'),
    (lambda v, k: cosine_similarity(v[[k]], v)[0].argmax(), 'check_opposite', 'same way'),
    (lambda v, k: (v @ v[k]).argmin(), 'check_opposite', 'lengths'),
    (lambda v, k: (v - v[k]).norm(dim=1).argmax(), 'check_opposite', 'lengths'),
    (lambda v, k: cosine_similarity(v[[k]], v)[0].abs().argmin(), 'check_opposite', 'right angle'),
    (lambda v, k: 3, 'check_opposite', 'wrong for row 3'),
    (lambda r, m: r.averages(), 'check_damped', 'no rating of its own'),
    (lambda r, m: (sums(r, r.rating) + m * r.averages().nanmean()) / (r.counts() + m), 'check_damped', 'not of all films'),
    (lambda r, m: (sums(r, r.rating) + m * 3) / (r.counts() + m), 'check_damped', 'not of all films'),
    (lambda r, m: sums(r, r.rating) / (r.counts() + m), 'check_damped', 'two more of 4'),
    (lambda r, m: r.rating.mean().expand(3), 'check_damped', 'two more of 4'),
    (lambda r, m: right_damped(r, 2), 'check_damped', 'nothing is damped')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks_interpret, RIGHT, WRONG)


# ---- what has no answer

def test_nan_has_no_rank_and_is_no_extreme():
    x = torch.tensor([1., math.nan, 3])
    with pytest.raises(ValueError, match='1 values are NaN'): spearman(x, x)
    assert extremes(x, ['a', 'b', 'c'], highest=True).columns['name'] == ['c', 'a']
    with pytest.raises(ValueError, match='needs the counts'): extremes(x, ['a', 'b', 'c'], min_ratings=5)

def test_a_range_that_ends_at_the_ratings_stays_finite():
    found = some_latent(n=6, m=4, k=2, y_range=(1., 5.))
    user, item = torch.cartesian_prod(torch.arange(6), torch.arange(4)).T
    r = Ratings(user, item, (user + item).remainder(5).add(1).float(), found.users, found.items)
    prior = learn_prior(found, r, torch.arange(6))
    assert math.isfinite(prior.noise) and fold_in(found, torch.tensor([[0, 1]]), torch.tensor([[5., 1]]).double(), prior).isfinite().all()

def test_components_of_equal_rows_and_one_model():
    assert pca(torch.ones(4, 3), 2).share.tolist() == [0, 0]
    assert pca(torch.randn(9, 3).bfloat16(), 2).points.dtype == torch.float32
    with pytest.raises(ValueError, match='two models'): stability(torch.randn(1, 5, 2), torch.arange(2), 2)


def test_neighbours_of_half_large_and_whole_numbers(): # as float64 has them
    v = randn(6, 3, seed=5).float()
    right = torch.nn.functional.cosine_similarity(v[:, None].double(), v[None].double(), dim=2)
    for size in (1e-30, 1., 1e25): torch.testing.assert_close(cosine_similarity(v * size, v * size).double(), right, atol=1e-6, rtol=0)
    half = cosine_similarity((v * 500).half(), (v * 500).half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.double(), right, atol=2e-3, rtol=0)
    assert cosine_similarity(torch.zeros(1, 3).half(), v.half()).eq(0).all()
    whole = torch.full((1, 4), 16, dtype=torch.uint8) # 16 * 16 leaves uint8
    assert cosine_similarity(whole, whole).item() == pytest.approx(1)

def test_euclidean_neighbours_far_from_zero(): # a product of matrices loses the digits of the difference
    v = randn(60, 8, seed=6).float() + 1000
    exact = (v[:, None].double() - v.double()).norm(dim=2).fill_diagonal_(torch.inf)
    rows, away = nearest(v, torch.arange(60), 5, 'euclidean')
    right = exact.topk(5, largest=False)
    assert away.dtype == torch.float32 and rows.equal(right.indices)
    torch.testing.assert_close(away.double(), right.values, atol=1e-6, rtol=1e-6)

def test_a_vector_that_is_nan_is_nobodys_neighbour():
    v = randn(6, 3)
    v[2] = torch.nan
    with pytest.raises(ValueError, match='leave it out'): nearest(v, torch.tensor([0]), 2)
    allowed = torch.arange(6) != 2
    assert 2 not in nearest(v, torch.tensor([0]), 4, allowed=allowed)[0]

def test_newcomers_stay_on_the_device_of_the_model(): # 'meta' stands for any other
    def on_meta(*shape): return torch.empty(*shape, device='meta')
    rows, people = torch.zeros(4, 3, dtype=torch.int64, device='meta'), torch.zeros(2, dtype=torch.int64, device='meta')
    found = Latent(on_meta(5, 2), on_meta(6, 2), on_meta(5), on_meta(6), [], [], None)
    prior = Prior(on_meta(3), on_meta(3, 3), on_meta(1))
    assert fold_in(found, rows, on_meta(4, 3), prior).shape == (4, 3)
    assert guess_from_metadata(on_meta(5, 4), found, people).device.type == 'meta'
