"Data: planted truth, ratings from any table, splits, and downloads that fail in every way"
import contextlib, datetime, errno, hashlib, http.server, io, multiprocessing, os, random, re, socket, threading, time, zipfile
from decimal import Decimal
from pathlib import Path
import numpy as np, pytest, torch
from hypothesis import given, settings, strategies as st
import ddl_lesson8.data.downloads as data
import ddl_lesson8.data.ratings as stars
from ddl_lesson8.data.columns import ColumnPrep, add_datepart
from ddl_lesson8.data.downloads import DownloadError, cache_folder, data_folder, download, unpack
from ddl_lesson8.data.ratings import Ratings, movielens, planted_films, planted_ratings
from ddl_lesson8.data.read_ratings import as_ratings, ratings_from_table

SEARCH = dict(max_examples=40, deadline=None, derandomize=True)

# ---- planted ratings

def test_planted_sizes():
    p = planted_ratings(seed=3)
    r = p.ratings
    assert 90_000 < len(r) < 110_000 and r.n_users == 950 and 140 <= r.n_items <= 170
    assert set(r.rating.tolist()) == {1, 2, 3, 4, 5} and r.rating.dtype == torch.float32
    assert r.user.dtype == r.item.dtype == torch.int64
    assert len(set(r.items)) == r.n_items and len(r.item_table['year']) == r.n_items == len(r.item_table['genre'])
    assert len(r.user_table['age']) == r.n_users == len(r.user_table['occupation'])
    assert len((r.user * r.n_items + r.item).unique()) == len(r)  # nobody rates a film twice
    assert (p.is_anime.sum(), p.is_anime_fan.sum()) == (13, 52)

def gini(x):
    x = x.double().sort().values
    return (2 * torch.arange(1, len(x) + 1).double() @ x / (len(x) * x.sum()) - (len(x) + 1) / len(x)).item()

@pytest.mark.parametrize('seed', range(5))
def test_planted_people_differ_in_how_much_they_watch(seed):
    r = planted_ratings(seed=seed).ratings
    films, people = r.counts('item'), r.counts('user')
    assert 94_000 < len(r) < 101_000 and .185 < gini(people) < .22
    assert people.min() < 25 and people.max() == 142 and films.min() < 150 and films.max() > 830

@pytest.mark.parametrize('seed', range(5))
def test_an_appetite_of_37_is_as_uneven_as_movielens(seed):
    people = planted_ratings(seed=seed, appetite=37).ratings.counts('user')
    assert .37 < gini(people) < .42 and 37_500 < people.sum() < 42_500  # its 155 best-known films: 0.39 and 40,624
    assert people.min() == 10 and 30 <= people.median() <= 36 < people.float().mean() and people.max() > 130

def test_any_appetite_makes_between_10_and_142_films():
    few, most = (planted_ratings(appetite=a, n_users=50).ratings.counts('user') for a in (1e-9, 1e9))
    assert set(few.tolist()) == {10} and set(most.tolist()) == {142}
    for bad in (0, -1, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='appetite=.*positive'): planted_ratings(appetite=bad)

def test_planted_depends_on_the_seed_only():
    a, state = planted_ratings(seed=1), torch.get_rng_state()
    b = planted_ratings(seed=1)
    assert torch.equal(a.ratings.rating, b.ratings.rating) and torch.equal(a.tastes, b.tastes)
    assert not torch.equal(a.tastes, planted_ratings(seed=2).tastes)
    assert torch.equal(state, torch.get_rng_state())

def test_truth_explains_the_ratings():
    p = planted_ratings()
    r = p.ratings
    error = p.expected()[r.user, r.item] - r.rating
    assert abs(error.mean()) < .05 and .45 < error.square().mean() < .65
    assert p.expected().shape == (r.n_users, r.n_items)

@pytest.mark.parametrize('seed', range(5))
def test_anime_is_watched_by_few_and_rated_high(seed):
    p = planted_ratings(seed=seed)
    r = p.ratings
    anime = p.is_anime[r.item]
    by_fans = p.is_anime_fan[r.user]
    assert (anime & by_fans).sum() / anime.sum() > .5 > 2 * p.is_anime_fan.float().mean()
    assert r.rating[anime & by_fans].mean() - r.rating[anime & ~by_fans].mean() > .8

def test_films_are_sensible():
    f = planted_films()
    assert f['axes'].abs().max() <= 1 and all(1900 < y < 2010 for y in f['year'])
    assert all(g and ' ' not in g for g in f['genre'])

# ---- tables

TABLE = dict(u=['b', 'a', 'b'], i=[10, 2, 2], r=[3., 4.5, 1.], t=[30, 10, 20])

def test_table_forms_agree(tmp_path):
    pd = pytest.importorskip('pandas')
    want = ratings_from_table(TABLE)
    path = tmp_path/'r.csv'
    path.write_text('u,i,r,t\nb,10,3,30\na,2,4.5,10\n\nb,2,1,20\n')
    bom = tmp_path/'bom.csv'
    bom.write_bytes(b'\xef\xbb\xbf' + path.read_bytes().replace(b',', b';'))
    tensors = dict(TABLE, r=torch.tensor(TABLE['r']))
    for got in (ratings_from_table(pd.DataFrame(TABLE)), ratings_from_table(path), ratings_from_table(str(path)),
                ratings_from_table(bom, sep=';'), ratings_from_table(tensors), ratings_from_table(pd.DataFrame(TABLE).convert_dtypes())):
        assert got.users == want.users == ['a', 'b'] and got.items == want.items == ['2', '10']
        assert torch.equal(got.user, want.user) and torch.equal(got.item, want.item) and torch.equal(got.rating, want.rating)

def test_polars_too():
    pl = pytest.importorskip('polars')
    assert ratings_from_table(pl.DataFrame(TABLE)).users == ['a', 'b']

def test_named_columns_and_timestamps():
    r = ratings_from_table(dict(t=TABLE['t'], r=TABLE['r'], i=TABLE['i'], u=TABLE['u']), user='u', item='i', rating='r', timestamp='t')
    assert r.timestamp.tolist() == [30, 10, 20] and r.users == ['a', 'b']

def test_ids_as_text_numbers_and_floats_are_one():
    r = ratings_from_table(dict(u=[1, '1', 1., 2], i=[1, 2, 3, 1], r=[1, 1, 1, 1]))
    assert r.users == ['1', '2']
    assert ratings_from_table(dict(u=[10, 9], i=['x', 'y'], r=[1, 2])).users == ['9', '10']
    assert ratings_from_table(dict(u=['b10', 'b9'], i=['x', 'y'], r=[1, 2])).users == ['b10', 'b9']

def test_missing_values_of_every_kind(tmp_path):
    pd = pytest.importorskip('pandas')
    path = tmp_path/'m.csv'
    path.write_text('u,i,r\n1,2,3\n1,,4\n')
    for table in (dict(u=[1, 2], i=[2, None], r=[3, 4]), dict(u=[1, 2], i=[2, 3], r=[3, float('nan')]), path,
                  pd.DataFrame(dict(u=[1, None], i=[2, 3], r=[3, 4])), pd.DataFrame(dict(u=pd.array([1, None], dtype='Int64'), i=[2, 3], r=[3, 4]))):
        with pytest.raises(ValueError, match='1 rows lack a value, first row 2'): ratings_from_table(table)
        got = ratings_from_table(table, missing='drop')
        assert (got.users, got.items, got.rating.tolist()) == (['1'], ['2'], [3])

@pytest.mark.parametrize('table, kw, words', [
    (dict(u=[1], i=[1], r=[1]), dict(item='film'), r"no column 'film' for the item; the table has \['u', 'i', 'r'\]"),
    (dict(u=[1], i=[1]), {}, 'no column for the rating'), (dict(a=[1], b=[1]), {}, 'no column 3 for the rating'),
    (dict(u=[1, 2], i=[1], r=[1]), {}, 'different lengths'),
    (dict(u=[], i=[], r=[]), {}, 'no ratings'),
    (dict(u=[None], i=[1], r=[1]), dict(missing='drop'), 'no ratings'),
    (dict(u=[1], i=[1], r=['x']), {}, "'r', row 1: 'x' is not a number"),
    (dict(u=[1], i=[1], r=[float('inf')]), {}, 'finite'),
    (dict(u=[1, 2, 1], i=['a', 'b', 'a'], r=[1, 2, 3]), {}, r"'1' and 'a' in rows \[1, 3\]"),
    (dict(u=[1], i=[1], r=[1]), dict(missing='ignore'), "'error' or 'drop'"),
    (dict(u=[1], i=[1], r=[1]), dict(duplicates='first'), "'last'")])
def test_bad_tables(table, kw, words):
    with pytest.raises(ValueError, match=words): ratings_from_table(table, **kw)

def test_bad_table_things(tmp_path):
    with pytest.raises(TypeError, match='not list'): ratings_from_table([[1, 2, 3]])
    with pytest.raises(FileNotFoundError, match='nowhere.csv'): ratings_from_table(tmp_path/'nowhere.csv')
    for name, raw, words in [('e', b'', 'empty'), ('l', b'u,i,r\n1,2\n', 'line 2: 2 fields'), ('d', b'u,u,r\n1,2,3\n', 'twice'), ('n', b'u,i,r\n\xff,2,3\n', 'UTF-8')]:
        (tmp_path/name).write_bytes(raw)
        with pytest.raises(ValueError, match=words): ratings_from_table(tmp_path/name)

def test_rows_are_numbered_as_in_the_table():
    table = dict(u=[None, 1, 1, 1], i=[1, 2, None, 2], r=[1, 2, 3, 4])
    with pytest.raises(ValueError, match=r'in rows \[2, 4\]'): ratings_from_table(table, missing='drop')
    with pytest.raises(ValueError, match="row 4: 'x'"): ratings_from_table(dict(table, r=[1, 2, 3, 'x']), missing='drop')

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=30)

@settings(**SEARCH)
@given(pairs)
def test_duplicates_by_dictionary(rows):
    u, i, r = zip(*rows)
    table = dict(u=u, i=i, r=r)
    last, every = {}, {}
    for a, b, c in rows:
        last[str(a), str(b)] = c
        every.setdefault((str(a), str(b)), []).append(c)
    def as_dict(x): return {(x.users[a], x.items[b]): c for a, b, c in zip(*(t.tolist() for t in x.tensors()))}
    assert as_dict(ratings_from_table(table, duplicates='last')) == last
    assert as_dict(ratings_from_table(table, duplicates='mean')) == pytest.approx({k: sum(v) / len(v) for k, v in every.items()})
    assert len(ratings_from_table(table, duplicates='keep')) == len(rows)

def test_names_positions_and_averages():
    r = ratings_from_table(TABLE)
    assert r.item_id('10') == r.item_id(10) == 1 and r.user_id('a') == 0
    with pytest.raises(KeyError, match='no item'): r.item_id('99')
    assert r.averages().tolist() == [2.75, 3] and r.counts('user').tolist() == [1, 2]
    empty = r.select(r.rating > 9)
    assert len(empty) == 0 and empty.averages().isnan().all() and 'ratings' in repr(empty)
    with pytest.raises(ValueError, match="'item' or 'user'"): r.counts('film')

# ---- splits

def toy(n=60, users=7):
    g = torch.Generator().manual_seed(0)
    return Ratings(torch.randint(users, (n,), generator=g), torch.arange(n), torch.ones(n), [str(k) for k in range(users + 1)],
                   [str(k) for k in range(n)], torch.randint(20, (n,), generator=g))

@settings(**SEARCH)
@given(st.integers(2, 60), st.floats(.01, .99), st.integers(0, 9), st.sampled_from(['random', 'time']))
def test_splits_part_the_ratings(n, share, seed, how):
    r = toy(n)
    train, valid = r.split(how, share, seed)
    assert sorted(train.item.tolist() + valid.item.tolist()) == list(range(n))
    assert len(valid) == max(1, min(n - 1, int(n * share)))
    assert train.users is r.users and valid.items is r.items
    if how == 'time': assert train.timestamp.max() <= valid.timestamp.min()

def test_random_split_follows_its_seed():
    r = toy()
    a, b, c = (r.split(seed=s)[1].item.tolist() for s in (1, 1, 2))
    assert a == b != c

def test_the_last_of_each_user_is_left_out():
    r = ratings_from_table(dict(u=['a', 'a', 'b', 'a', 'c', 'c'], i=[1, 2, 1, 3, 1, 2], r=[1, 2, 3, 4, 5, 6], t=[5, 9, 1, 7, 3, 3]), timestamp='t')
    train, valid = r.split('leave_last_out')
    assert valid.rating.tolist() == [2, 6]            # of equal times the later row
    assert train.rating.tolist() == [1, 3, 4, 5]      # b keeps the only rating

def test_splits_refuse():
    r = ratings_from_table(TABLE)
    with pytest.raises(ValueError, match='timestamps'): r.split('time')
    with pytest.raises(ValueError, match='timestamps'): r.split('leave_last_out')
    with pytest.raises(ValueError, match="'random'"): r.split('kfold')
    with pytest.raises(ValueError, match='share'): r.split(valid=1.)
    with pytest.raises(ValueError, match='cannot be split'): r.select(torch.tensor([0])).split()

# ---- what would become wrong numbers

@pytest.mark.parametrize('change, error, words', [
    (dict(user=[0, 1]), TypeError, 'user must be a tensor'), (dict(item=torch.tensor([0., 1])), TypeError, 'whole numbers'),
    (dict(rating=torch.tensor([1.])), ValueError, 'different lengths'), (dict(timestamp=torch.tensor([1])), ValueError, 'different lengths'),
    (dict(users=['a', 'a']), ValueError, "names 'a' twice"), (dict(user=torch.tensor([0, 2])), ValueError, 'holds 0 to 2, and there are 2 users'),
    (dict(item=torch.tensor([-1, 0])), ValueError, 'holds -1 to 0')])
def test_ratings_that_do_not_fit_together_are_refused(change, error, words):
    right = dict(user=torch.tensor([0, 1]), item=torch.tensor([0, 1]), rating=torch.tensor([1., 2]), users=['a', 'b'], items=['x', 'y'])
    assert len(Ratings(**right)) == 2
    with pytest.raises(error, match=words): Ratings(**right | change)

def test_the_order_of_names_is_the_same_on_every_run():
    assert ratings_from_table(dict(u=['7', '007', '07', '10'], i=[1, 2, 3, 4], r=[1, 2, 3, 4])).users == ['007', '07', '7', '10']

def test_numbers_of_numpy_are_numbers():
    np = pytest.importorskip('numpy')
    r = ratings_from_table(dict(u=[np.float32(7), '7', np.int64(7), 7.0], i=[1, 2, 3, 4], r=[1, 2, 3, 4]))
    assert r.users == ['7']
    assert len(ratings_from_table(dict(u=[np.float32('nan'), 1], i=[1, 2], r=[1, 2]), missing='drop')) == 1

def test_the_text_nan_is_a_missing_number(tmp_path):
    (tmp_path/'t.csv').write_text('u,i,r\na,x,5\nb,x,NaN\n')
    assert len(ratings_from_table(tmp_path/'t.csv', missing='drop')) == 1
    with pytest.raises(ValueError, match='1 rows lack a value'): ratings_from_table(tmp_path/'t.csv')
    with pytest.raises(ValueError, match='one character'): ratings_from_table(tmp_path/'t.csv', sep='::')
    with pytest.raises(FileNotFoundError, match='no table'): ratings_from_table(tmp_path)

def test_timestamps_are_whole_and_exact():
    table = lambda t: ratings_from_table(dict(u=[1], i=[1], r=[1], t=[t]), timestamp='t')
    for t in (1700000000123456789, '1700000000123456789'): assert table(t).timestamp.item() == 1700000000123456789
    assert table(5.).timestamp.item() == 5
    with pytest.raises(ValueError, match='no whole number'): table(1.9)
    day = datetime.datetime(2024, 1, 1)
    for t in (day, day.date(), day.replace(tzinfo=datetime.timezone.utc), np.datetime64('2024-01-01'), day + datetime.timedelta(seconds=.5)):
        assert table(t).timestamp.item() == 1704067200
    assert table(day.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2)))).timestamp.item() == 1704067200 - 7200
    assert ratings_from_table(dict(u=[1, 2], i=[1, 2], r=[1, 2], t=np.array(['2024-01-01', '2024-01-02'], dtype='M8[ns]')), timestamp='t').timestamp.tolist() == [1704067200, 1704153600]
    for t in (2**64, '9' * 25, 1e300):
        with pytest.raises(ValueError, match="'t', row 1.*64 bits"): table(t)

def test_an_arrow_table_is_a_table():
    pa = pytest.importorskip('pyarrow')
    assert ratings_from_table(pa.table(dict(u=['a', 'b'], i=['x', 'x'], r=[1., 2.]))).rating.tolist() == [1, 2]

# ---- tables of every kind, and their ids

def forms(tmp_path):
    "One table in every form that is read"
    pd, pl, pa = (pytest.importorskip(n) for n in ('pandas', 'polars', 'pyarrow'))
    cols = dict(rating=[3., 4.5, 1.], item=[10, 2, 2], user=['b', 'a', 'b'])
    pd.DataFrame(cols).to_parquet(tmp_path/'r.parquet')
    rows = [dict(zip(cols, r)) for r in zip(*cols.values())]
    return [cols, rows, pd.DataFrame(cols), pd.DataFrame(cols).astype({'user': 'category'}), pl.DataFrame(cols), pl.DataFrame(cols).lazy(), pl.DataFrame(cols).with_columns(pl.col('user').cast(pl.Categorical)),
            pl.DataFrame(cols).with_columns(pl.col('user').cast(pl.Enum(['a', 'b']))), pa.table(cols), tmp_path/'r.parquet', str(tmp_path/'r.parquet')]

def test_every_form_of_a_table_gives_the_same_ratings(tmp_path):
    for table in forms(tmp_path):
        r = ratings_from_table(table)
        assert (r.users, r.items, r.user.tolist(), r.item.tolist(), r.rating.tolist()) == (['a', 'b'], ['2', '10'], [1, 0, 1], [1, 0, 0], [3, 4.5, 1]), type(table)

def test_columns_are_found_by_name_in_any_order():
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for names in (('userId', 'movieId', 'rating'), ('User ID', 'Title', 'Score'), ('customer', 'product_id', 'stars'), ('reviewerID', 'asin', 'overall'), ('user', 'thing', 'rating')):
            cols = dict(zip(names, ([1, 2], ['x', 'y'], [5, 4])))
            r = ratings_from_table(dict(reversed(cols.items())))
            assert (r.users, r.items, r.rating.tolist()) == (['1', '2'], ['x', 'y'], [5, 4])
        both = ratings_from_table(dict(userId=[1], movieId=[7], rating=[3], timestamp=[9], title=['Heat']))
        assert both.items == ['7']
    with pytest.warns(UserWarning, match='by their place') as seen: ratings_from_table(dict(a=[1], b=[2], c=[3]))
    assert seen[0].filename == __file__
    with pytest.raises(ValueError, match='no column for the item'): ratings_from_table(dict(user=[1], a=[2], b=[3], rating=[3]))

@pytest.mark.parametrize('ids, names', [
    ([1, '1', 1.0], ['1']), ([2**63, 2**63 + 1, 5], ['5', '9223372036854775808', '9223372036854775809']), ([10**400, 1], None),
    (['caf\u00e9', 'cafe\u0301'], ['caf\u00e9']), ([' a', 'a '], ['a']), ([True, 1], ['1', 'True']), (['01', '1'], ['01', '1']), ([2**53, 2**53 + 1], ['9007199254740992', '9007199254740993'])])
def test_odd_ids(ids, names):
    r = ratings_from_table(dict(u=ids, i=list(range(len(ids))), r=[1] * len(ids)))
    assert len(r.users) == 2 if names is None else r.users == names

@pytest.mark.parametrize('ids', [[b'a'], [[1]], [{}], [(1,)], [float('inf')], [1e300], [None], [''], ['  '], [{1}], [1j], [10**1001], ['1.0', '1'], ['1.50', '1.5']])
def test_ids_that_are_refused(ids):
    with pytest.raises(ValueError, match="'u'"): ratings_from_table(dict(u=ids, i=list(range(len(ids))), r=[1] * len(ids)))

@pytest.mark.parametrize('star', ['1_0', '\u0663', 'inf', '-infinity', 1e39, -1e300, 16777217, 2**70 + 1, b'3', 10**400, [3], '0x10', '1e999'])
def test_ratings_that_are_refused(star):
    with pytest.raises(ValueError, match="'r', row 2"): ratings_from_table(dict(u=[1, 2], i=[1, 2], r=[1, star]))

def test_ids_beside_gaps_stay_whole():
    pd, pl, pa = (pytest.importorskip(n) for n in ('pandas', 'polars', 'pyarrow'))
    cols = dict(u=[2**53, 2**53 + 1, None], i=[1, 2, 3], r=[1, 2, 3])
    for frame in (pl.DataFrame(cols), pa.table(cols), pd.DataFrame(dict(cols, u=pd.array(cols['u'], dtype='Int64'))), cols):
        assert ratings_from_table(frame, missing='drop').users == [str(2**53), str(2**53 + 1)]
    with pytest.raises(ValueError, match='neighbours'): ratings_from_table(pd.DataFrame(cols), missing='drop')

def test_two_parts_of_a_table_share_their_names():
    a, b = as_ratings((dict(u=[1, 2], i=['x', 'y'], r=[3, 4]), dict(u=[3, 1], i=['y', 'a'], r=[5, 1])))
    assert a.users == b.users == ['1', '2', '3'] and a.items == b.items == ['a', 'x', 'y'] and b.user.tolist() == [2, 0] and b.item.tolist() == [2, 0]
    assert as_ratings((a, None)) == (a, None) and as_ratings(a) is a
    for bad, words in (((a, dict(u=[1], i=[1], r=[1])), 'ratings_pair'), ((a,), 'not 1 parts')):
        with pytest.raises((TypeError, ValueError), match=words): as_ratings(bad)

def test_a_large_data_frame_takes_seconds_not_minutes():
    pd, np = pytest.importorskip('pandas'), pytest.importorskip('numpy')
    g = np.random.default_rng(0)
    frame = pd.DataFrame(dict(user=g.integers(0, 50_000, 400_000), item=g.integers(0, 5_000, 400_000), rating=g.integers(1, 6, 400_000)))
    start = time.perf_counter()
    r = ratings_from_table(frame, duplicates='keep')
    assert time.perf_counter() - start < 3 and len(r) == 400_000  # a tenth of the promised size
    assert [r.users[k] for k in r.user[:50].tolist()] == frame.user[:50].astype(str).tolist()

def test_broken_files_are_refused_in_words(tmp_path):
    for name, raw, words in (('nul', b'user,item,rating\n1,2\x00,3\n', 'line 2: a byte'), ('long', b'user,item,rating\n1,"' + b'x' * 200_000 + b'",3\n', 'line 2.*field'), ('p', b'PAR1garbage', 'no whole Parquet')):
        (tmp_path/name).write_bytes(raw)
        with pytest.raises(ValueError, match=words): ratings_from_table(tmp_path/name)

# ---- a server on loopback that misbehaves on request

def fake_archive():
    "A tiny archive in MovieLens's form, with one title under two ids and a latin-1 title"
    flags = '|'.join('1' if k in (5, 14) else '0' for k in range(19))
    films = [(1, 'Léon (1994)'), (2, 'Chasing Amy (1997)'), (3, 'Chasing Amy (1997)'), (4, 'unknown')]
    item = ''.join(f'{k}|{t}|{"" if k == 4 else "01-Jan-1999"}||http://x|{flags}\n' for k, t in films)
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as z:
        z.writestr('ml-100k/u.data', '2\t1\t5\t100\n1\t2\t3\t200\n1\t3\t4\t300\n')
        z.writestr('ml-100k/u.item', item.encode('latin-1'))
        z.writestr('ml-100k/u.user', '1|24|M|technician|85711\n2|53|F|other|94043\n')
        z.writestr('ml-100k/filler', os.urandom(300_000))
    return out.getvalue()

BODY = fake_archive()
SUM = 'md5:' + hashlib.md5(BODY).hexdigest()

@contextlib.contextmanager
def serve(cut_first=0, ranges=True, status=200, length=True, delay=0.):
    "An address that gives BODY; the first `cut_first` answers break off in the middle"
    log = []
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *a): pass
        def do_GET(self):
            log.append(self.headers.get('Range'))
            if status != 200: return self.send_error(status)
            at = int(re.match(r'bytes=(\d+)-', self.headers['Range'])[1]) if ranges and self.headers.get('Range') else 0
            body = BODY[at:]
            self.send_response(206 if at else 200)
            if at: self.send_header('Content-Range', f'bytes {at}-{len(BODY) - 1}/{len(BODY)}')
            if length: self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            time.sleep(delay)
            with contextlib.suppress(OSError): self.wfile.write(body[:100_000] if len(log) <= cut_first else body)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, args=(.01,), daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}/ml-100k.zip', log
    finally:
        server.shutdown()
        server.server_close()

def files(folder): return sorted(p.name for p in folder.iterdir())

def test_download_and_cache(tmp_path, capfd):
    with serve() as (url, log):
        path = download(url, tmp_path/'a'/'x.zip', SUM)
        assert path.read_bytes() == BODY and files(path.parent) == ['x.zip']
        download(url, path, SUM)
        assert len(log) == 1                                  # there already: not asked for again
        path.write_bytes(b'damaged')
        assert download(url, path, SUM).read_bytes() == BODY  # damaged: fetched again
        download(url, tmp_path/'y.zip', 'sha256:' + hashlib.sha256(BODY).hexdigest(), progress=True)
    assert 'ml-100k.zip' in capfd.readouterr().err

def test_an_answer_in_chunks_that_is_cut_is_not_taken_for_the_whole(tmp_path):
    tries = []
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        def log_message(self, *a): pass
        def do_GET(self):
            tries.append(1)
            self.send_response(200)
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            self.wfile.write(b'3e8\r\n' + BODY[:1000] + b'\r\n')
            if len(tries) > 1: self.wfile.write(b'%x\r\n' % len(BODY[1000:]) + BODY[1000:] + b'\r\n0\r\n\r\n')
            self.close_connection = True
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, args=(.01,), daemon=True).start()
    try: assert download(f'http://127.0.0.1:{server.server_port}/x', tmp_path/'x').read_bytes() == BODY and len(tries) == 2
    finally:
        server.shutdown()
        server.server_close()

def test_a_busy_server_is_asked_again_and_capitals_are_no_other_checksum(tmp_path):
    with serve(status=429) as (url, log), pytest.raises(DownloadError, match='2 tries.*429'): download(url, tmp_path/'x', tries=2)
    assert len(log) == 2
    with serve() as (url, _): assert download(url, tmp_path/'y', SUM.upper().replace('MD5', 'md5')).exists()

@pytest.mark.parametrize('ranges', [True, False])
def test_cut_connection_is_continued_or_begun_again(tmp_path, ranges):
    with serve(cut_first=2, ranges=ranges) as (url, log):
        assert download(url, tmp_path/'x.zip', SUM).read_bytes() == BODY
    assert log[0] is None and log[1].startswith('bytes=') and files(tmp_path) == ['x.zip']

def test_cut_for_ever(tmp_path):
    with serve(cut_first=99, ranges=False) as (url, log):
        with pytest.raises(DownloadError, match='cut after 100,000 bytes.*DDL_LESSON8_DATA'): download(url, tmp_path/'x.zip', SUM, tries=3)
    assert len(log) == 3 and files(tmp_path) == []

def test_the_next_call_begins_from_nothing(tmp_path):
    with serve(cut_first=1) as (url, log):
        with pytest.raises(DownloadError, match='cut after'): download(url, tmp_path/'x.zip', SUM, tries=1)
        assert files(tmp_path) == []
        assert download(url, tmp_path/'x.zip', SUM).read_bytes() == BODY
    assert log == [None, None]  # no second request for a range

def test_cut_without_a_length_is_found_by_the_checksum(tmp_path):
    with serve(cut_first=9, length=False) as (url, _):
        with pytest.raises(DownloadError, match='expected md5'): download(url, tmp_path/'x.zip', SUM)
    assert files(tmp_path) == []

def test_wrong_checksum_leaves_nothing(tmp_path):
    with serve() as (url, _):
        with pytest.raises(DownloadError, match='expected md5:0000.*not kept'): download(url, tmp_path/'x.zip', 'md5:0000')
        old = tmp_path/'old.zip'
        old.write_bytes(b'old')
        with pytest.raises(DownloadError): download(url, old, 'md5:0000')
    assert files(tmp_path) == ['old.zip'] and old.read_bytes() == b'old'

@pytest.mark.parametrize('status, asked', [(404, 1), (403, 1), (503, 4)])
def test_refusals(tmp_path, status, asked):
    with serve(status=status) as (url, log):
        with pytest.raises(DownloadError, match=str(status)): download(url, tmp_path/'x.zip', SUM)
    assert len(log) == asked and files(tmp_path) == []

def test_slow_server_times_out(tmp_path):
    with serve(delay=1.) as (url, _):
        with pytest.raises(DownloadError, match='timed out'): download(url, tmp_path/'x.zip', SUM, tries=1, timeout=.2)

def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(DownloadError, match='Is there a network.*DDL_LESSON8_DATA'): download('http://127.0.0.1:9/x', tmp_path/'x', tries=2)
    assert files(tmp_path) == []

def test_disk_full_before_the_download(tmp_path, monkeypatch):
    monkeypatch.setattr(data.shutil, 'disk_usage', lambda p: type('U', (), dict(free=1000))())
    with serve() as (url, _):
        with pytest.raises(DownloadError, match='no room on disk.*DDL_LESSON8_CACHE'): download(url, tmp_path/'x.zip', SUM)
    assert files(tmp_path) == []

@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full')
def test_disk_full_in_the_middle(tmp_path, monkeypatch):
    real = open
    monkeypatch.setattr(data, 'open', lambda p, mode='r': real('/dev/full' if 'w' in mode else p, mode), raising=False)
    with serve() as (url, _):
        with pytest.raises(DownloadError, match='no room on disk'): download(url, tmp_path/'x.zip', SUM)
    assert files(tmp_path) == []

def test_disk_full_while_unpacking(tmp_path, monkeypatch):
    def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(stars, 'data_folder', lambda: None)
    monkeypatch.setenv('DDL_LESSON8_CACHE', str(tmp_path))
    with serve() as (url, _):
        monkeypatch.setattr(stars, 'unpack', full)
        with pytest.raises(DownloadError, match='no room on disk'): movielens(download=True, url=url, checksum=SUM)
    assert files(tmp_path) == ['ml-100k.zip']

def start(f, *args):
    "Run a function in a process of its own; a fork, where there is one, need not import torch again"
    kinds = multiprocessing.get_all_start_methods()
    p = multiprocessing.get_context('fork' if 'fork' in kinds else 'spawn').Process(target=f, args=args)
    p.start()
    return p

def read_all(url, checksum): os._exit(len(movielens(download=True, url=url, checksum=checksum)))

def test_two_processes_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv('DDL_LESSON8_DATA', raising=False)
    monkeypatch.setenv('DDL_LESSON8_CACHE', str(tmp_path))
    with serve(delay=.3) as (url, log):
        both = [start(read_all, url, SUM) for _ in range(2)]
        for p in both: p.join(120)
    assert [p.exitcode for p in both] == [3, 3]  # ratings that each has read
    assert len(log) == 2                         # they did overlap
    assert files(tmp_path) == ['ml-100k', 'ml-100k.zip'] and files(tmp_path/'ml-100k') == ['u.data', 'u.item', 'u.user']

def test_what_a_killed_download_left_is_swept_up(tmp_path):
    with serve(delay=2) as (url, log):
        p = start(download, url, tmp_path/'x.zip', SUM)
        while not (log and files(tmp_path)): time.sleep(.01)
        p.kill()
        p.join()
    left, = tmp_path.iterdir()
    assert left.name.startswith('.x.zip.') and left.name.endswith('.part')
    young, old = tmp_path/'.x.zip.young.part', tmp_path/'.x.zip.old.part'
    for p in (young, old): p.write_bytes(b'x')
    os.utime(old, (1e9, 1e9))
    with serve() as (url, log):
        download(url, tmp_path/'x.zip', SUM)  # goes on where the killed one stopped
        assert files(tmp_path) == [young.name, 'x.zip']  # too young: it could belong to a running download

def test_what_a_killed_download_left_of_another_file_is_not_used(tmp_path):
    import hashlib
    part = tmp_path/f".x.zip.{hashlib.sha256(SUM.encode()).hexdigest()[:16]}.part"
    for rest in (b'wrong bytes', BODY[:1000], BODY + b'too long', BODY):
        part.write_bytes(rest)
        (tmp_path/'x.zip').unlink(missing_ok=True)
        with serve() as (url, log): assert download(url, tmp_path/'x.zip', SUM).read_bytes() == BODY
        assert files(tmp_path) == ['x.zip']

@pytest.mark.parametrize('url', ['ftp://127.0.0.1/x', 'file:///etc/hosts', 'x.zip', 'https:///x', 'http://[::bad/', 'data:,x'])
def test_only_addresses_of_the_web(url, tmp_path):
    with pytest.raises(DownloadError, match='address'): download(url, tmp_path/'x')
    assert not files(tmp_path)

def test_limits_of_size_and_time(tmp_path):
    with serve() as (url, _):
        with pytest.raises(DownloadError, match='most_bytes'): download(url, tmp_path/'x', most_bytes=1000)
    with serve(length=False) as (url, _):
        with pytest.raises(DownloadError, match='most_bytes'): download(url, tmp_path/'x', most_bytes=1000)
        with pytest.raises(DownloadError, match='most_seconds'): download(url, tmp_path/'x', most_seconds=0)
    assert not files(tmp_path)

@pytest.mark.parametrize('checksum, words', [('abc', 'sha256:'), ('zzz:0000', 'sha256:'), ('sha256:xyz', 'sha256:'), (5, 'sha256:')])
def test_checksums_without_a_kind(checksum, words, tmp_path):
    with pytest.raises(DownloadError, match=words): download('http://127.0.0.1:9/', tmp_path/'x', checksum)

def test_archives_that_are_bombs_or_locked(tmp_path):
    bomb = tmp_path/'b.zip'
    with zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a', bytes(10_000_000))
    with pytest.raises(DownloadError, match='unpacks to more'): unpack(bomb, {'a': tmp_path/'a'}, most_bytes=1_000_000)
    raw = bytearray(bomb.read_bytes())
    at = raw.rfind(b'PK\x01\x02'); raw[at + 8] |= 1; bomb.write_bytes(raw)
    with pytest.raises(DownloadError, match='encrypted'): unpack(bomb, {'a': tmp_path/'a'})
    with pytest.raises(DownloadError, match='not the archive'): unpack(bomb, {'z': tmp_path/'a'})

# ---- MovieLens

@pytest.fixture
def alone(tmp_path, monkeypatch):
    monkeypatch.delenv('DDL_LESSON8_DATA', raising=False)
    monkeypatch.setenv('DDL_LESSON8_CACHE', str(tmp_path/'cache'))
    return tmp_path

def test_nothing_is_downloaded_unasked(alone):
    with serve() as (url, log):
        with pytest.raises(FileNotFoundError, match=r'movielens\(download=True\).*DDL_LESSON8_DATA'): movielens(url=url, checksum=SUM)
        assert log == []

def test_movielens_from_the_server_then_the_cache(alone):
    with serve() as (url, log):
        ml = movielens(download=True, url=url, checksum=SUM)
        again = movielens(url=url, checksum=SUM)
        by_id = movielens('id')
    assert len(log) == 1 and torch.equal(ml.item, again.item)
    assert ml.items == ['Léon (1994)', 'Chasing Amy (1997)', 'unknown'] and ml.users == ['1', '2']
    assert ml.item.tolist() == [0, 1, 1] and ml.user.tolist() == [1, 0, 0] and ml.timestamp.tolist() == [100, 200, 300]
    assert by_id.items[1:3] == ['Chasing Amy (1997) [id 2]', 'Chasing Amy (1997) [id 3]']
    assert ml.item_table['year'] == [1994, 1997, None] and ml.item_table['genre'][0] == 'Comedy|Romance'
    assert ml.user_table == dict(age=[24, 53], gender=['M', 'F'], occupation=['technician', 'other'])

def test_the_readers_folder_comes_first(alone, monkeypatch):
    with serve() as (url, log):
        movielens(download=True, url=url, checksum=SUM)
        monkeypatch.setenv('DDL_LESSON8_DATA', str(alone/'cache'))
        monkeypatch.setenv('DDL_LESSON8_CACHE', str(alone/'other'))
        assert len(movielens(url='http://127.0.0.1:9/')) == 3
    monkeypatch.setenv('DDL_LESSON8_DATA', str(alone/'gone'))
    with pytest.raises(FileNotFoundError, match='gone'): movielens()

def test_not_an_archive(alone):
    (alone/'cache').mkdir()
    (alone/'cache'/'ml-100k.zip').write_bytes(b'not a zip')
    with pytest.raises(DownloadError, match='not the archive'):
        movielens(download=True, url='http://127.0.0.1:9/', checksum='md5:' + hashlib.md5(b'not a zip').hexdigest())
    assert files(alone/'cache') == ['ml-100k.zip']

@pytest.mark.parametrize('name, raw, words', [
    ('u.data', '1\t1\t5\n', 'line 1: 3 fields'), ('u.data', '1\tx\t5\t1\n', 'invalid literal'), ('u.data', '1\t9\t5\t1\n', 'id 9'),
    ('u.item', 'Toy Story\n', 'line 1: 1 fields'), ('u.user', '', 'empty')])
def test_damaged_files_are_named(alone, name, raw, words):
    with serve() as (url, _): movielens(download=True, url=url, checksum=SUM)
    (alone/'cache'/'ml-100k'/name).write_text(raw)
    with pytest.raises(ValueError, match=words) as e: movielens()
    assert name in str(e.value)

def test_folders(alone, monkeypatch):
    assert data_folder() is None and cache_folder() == alone/'cache'
    monkeypatch.delenv('DDL_LESSON8_CACHE')
    assert cache_folder().name == 'ddl_lesson8'
    with pytest.raises(ValueError, match="'title'"): movielens('movie')

@pytest.mark.skipif(not os.environ.get('DDL_LESSON8_DATA'), reason='needs DDL_LESSON8_DATA')
def test_real_movielens_that_is_cut(tmp_path):
    (tmp_path/'ml-100k').mkdir()
    for name in stars.ML_100K_FILES: (tmp_path/'ml-100k'/name).write_bytes((Path(os.environ['DDL_LESSON8_DATA'])/'ml-100k'/name).read_bytes()[:100_005 if name == 'u.data' else None])
    with pytest.raises(ValueError, match='5,118 of the 100,000 ratings'): movielens(folder=tmp_path)

@pytest.mark.skipif(not os.environ.get('DDL_LESSON8_DATA'), reason='needs DDL_LESSON8_DATA')
def test_real_movielens():
    ml = movielens()
    assert (len(ml), ml.n_users, ml.n_items) == (100_000, 943, 1664)
    assert movielens('id').n_items == 1682
    assert ml.user[:2].tolist() == [195, 185] and ml.rating[:3].tolist() == [3, 3, 1]
    assert ml.items[0] == 'Toy Story (1995)' and ml.item_table['year'][0] == 1995
    assert len(ml.split()[1]) == 20_000


def test_the_error_names_the_first_pair_that_is_there_twice():
    "Not the first pair of all: its rows are named too"
    table = dict(user=['a', 'b', 'b'], item=['x', 'y', 'y'], rating=[1., 2, 3])
    with pytest.raises(ValueError, match=r"1 pairs are rated more than once, first 'b' and 'y' in rows \[2, 3\]"): ratings_from_table(table)


def test_large_categories_are_kept_exactly_or_refused():
    from decimal import Decimal
    from ddl_lesson8.data.frames import as_frame, categories
    def of(*values): return categories(as_frame(dict(c=list(values)))['c'])[1]
    assert set(of(Decimal(2**53 + 1), Decimal(2**53))) == set(of(2**53 + 1, 2**53)) == {2**53, 2**53 + 1}
    for large in (2.**53, 1e300): # a fraction of which the neighbours are one
        with pytest.raises(ValueError, match='row 1 .*so large that whole numbers near it are one|row 1.*so large'): of(1., large)
    assert of(1.5, 2.**53 - 1) == [1.5, 2**53 - 1]


def test_a_column_of_spans_of_time_is_refused():
    import datetime, polars as pl
    from ddl_lesson8.data.frames import as_frame
    frame = as_frame(pl.DataFrame(dict(span=[datetime.timedelta(days=1)], text=['a'], yes=[True])))
    with pytest.raises(ValueError, match="column 'span' holds Duration"): frame['span']
    assert frame['text'].kind == 'other' and frame['yes'].kind == 'yes/no'

MOMENTS = np.array([0, 1000, 2_000_000_000], dtype='datetime64[ns]')

@pytest.mark.parametrize('stars', [MOMENTS, list(MOMENTS), [2**53 + 1, 1, 2], ['9007199254740993', '1', '2'], [Decimal('9007199254740993'), 1, 2],
                                   [np.complex64(1 + 2j), 1, 2], np.array([2**53 + 1, 1, 2])])
def test_what_a_rating_cannot_hold_is_refused(stars):
    with pytest.raises(ValueError, match="'rating', row 1"): ratings_from_table(dict(user=[1, 2, 3], item=[1, 2, 3], rating=stars))

@pytest.mark.parametrize('times, seconds', [(MOMENTS, [0, 0, 2]), (list(MOMENTS), [0, 0, 2]), ([Decimal('9007199254740993'), 1, 2], [2**53 + 1, 1, 2])])
def test_moments_of_any_fineness_are_seconds(times, seconds):
    r = ratings_from_table(dict(user=[1, 2, 3], item=[1, 2, 3], rating=[1, 2, 3], t=times), timestamp='t')
    assert r.timestamp.tolist() == seconds

@pytest.mark.parametrize('ids', [MOMENTS, list(MOMENTS)])
def test_moments_are_named_by_their_date(ids):
    r = ratings_from_table(dict(user=ids, item=[1, 2, 3], rating=[1, 2, 3]))
    assert r.users == ['1970-01-01 00:00:00', '1970-01-01 00:00:00.000001', '1970-01-01 00:00:02']
    with pytest.raises(ValueError, match='no id'): ratings_from_table(dict(user=MOMENTS + 1, item=[1, 2, 3], rating=[1, 2, 3]))

@pytest.mark.parametrize('ids', [np.arange(-128, 128).astype(np.int8), np.arange(2**63, 2**63 + 9, dtype=np.uint64)])
def test_whole_numbers_of_any_width_are_ids(ids):
    n = len(ids)
    assert ratings_from_table(dict(user=ids, item=list(range(n)), rating=[1] * n)).users == [str(v) for v in ids.tolist()]
    assert ColumnPrep(['c']).fit(dict(c=ids)).classes['c'][1:] == ids.tolist()

def test_a_masked_value_is_missing():
    prep = ColumnPrep(['c']).fit(dict(c=np.ma.array([1, 2, 3], mask=[0, 1, 0])))
    assert prep.classes['c'][1:] == [1, 3] and prep(dict(c=np.ma.array([1, 2, 3], mask=[0, 1, 0])))[0].flatten().tolist() == [1, 0, 2]

def test_a_date_too_far_away_is_refused(): # microseconds of 64 bits would wrap around to another year
    with pytest.raises(ValueError, match="'d', row 1"): add_datepart(dict(d=np.array(['2024-01-01', '400000-01-01'], dtype='datetime64[D]')), 'd')

@pytest.mark.parametrize('changed', ['version', 'place'])
def test_parts_of_two_files_are_not_joined(changed, tmp_path):
    asked = []
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *a): pass
        def do_GET(self):
            asked.append(self.headers['Range'])
            first, at = len(asked) == 1, 1000 if self.headers['Range'] else 0
            self.send_response(206 if at else 200)
            self.send_header('ETag', '"old"' if first or changed == 'place' else '"new"')
            if at: self.send_header('Content-Range', f'bytes {at + (changed == "place")}-{len(BODY) - 1}/{len(BODY)}')
            self.send_header('Content-Length', str(len(BODY) - at))
            self.end_headers()
            self.wfile.write(BODY[:1000] if first else BODY[::-1][at:])
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, args=(.01,), daemon=True).start()
    try: assert download(f'http://127.0.0.1:{server.server_port}/x', tmp_path/'x').read_bytes() == BODY[::-1] and asked == [None, 'bytes=1000-', None]
    finally:
        server.shutdown()
        server.server_close()

@pytest.mark.parametrize('start', [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5', b'HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n',
                                   b'HTTP/1.1 200 OK\r\nX: ', b'HTTP/1.1 200 OK\r\n\r\n'])
def test_an_endless_line_ends_with_the_time(start, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as server:
        def one(c):
            with c, contextlib.suppress(OSError):
                c.recv(4096)
                c.sendall(start)
                while True: time.sleep(.05), c.sendall(b'0')
        def serve():
            with contextlib.suppress(OSError):
                while True: threading.Thread(target=one, args=server.accept()[:1], daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(DownloadError): download(f'http://127.0.0.1:{server.getsockname()[1]}/x', tmp_path/'x', tries=2, most_seconds=1)
    assert time.monotonic() - began < 8 and not files(tmp_path)

@pytest.mark.parametrize('url, checksum', [(5, None), ('http://127.0.0.1/x', 'shake_128:abcd')])
def test_more_that_is_no_address_or_checksum(url, checksum, tmp_path):
    with pytest.raises(DownloadError): download(url, tmp_path/'x', checksum)


@pytest.mark.parametrize('kind', [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archives_of_other_kinds_that_are_damaged(kind, tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, 'w', kind) as z: z.writestr('a', bytes(range(256)) * 20 + random.Random(0).randbytes(5000))
    for at in (60, 2500):
        damaged = bytearray(whole.getvalue())
        damaged[at] ^= 255
        (tmp_path/'x.zip').write_bytes(damaged)
        with pytest.raises(DownloadError): unpack(tmp_path/'x.zip', {'a': tmp_path/'a'})


def test_times_of_a_csv_file_are_dates_in_text(tmp_path): # "'2024-10-09 17:30:00' is not a number", though the docs promised dates
    spelled = {'2024-02-29': 1709164800, '1969-12-31 23:59:59': -1, ' 2024-02-29T12:30:00Z': 1709209800, '2024-02-29T12:30:00+02:00': 1709202600}
    for spelled in (spelled, {'1709164800': 1709164800, '-5': -5}):
        (tmp_path/'r.csv').write_text('user,item,rating,when\n' + ''.join(f'u,i{k},3,{w}\n' for k, w in enumerate(spelled)))
        assert ratings_from_table(tmp_path/'r.csv', timestamp='when').timestamp.tolist() == list(spelled.values())
    for bad in ('29.02.2024', '2024-02-30', '2/3/2024', '12:30:00'):
        with pytest.raises(ValueError, match=f"'when', row 1: '{bad}' is no date; dates look like 2014-03-01"): ratings_from_table(dict(user=['u'], item=['i'], rating=[1.], when=[bad]), timestamp='when')


@pytest.mark.parametrize('zone', [None, 'UTC', 'Asia/Tokyo'])
def test_dates_of_a_scan_are_those_in_memory(tmp_path, zone): # refused, "holds Datetime, not numbers"
    pl = pytest.importorskip('polars')
    from ddl_lesson8.data.scan import scan_ratings
    when = pl.Series(['1969-12-31 23:59:59.5', '2024-02-29 12:00:00', '2025-01-01 00:00:00']).str.to_datetime()
    frame = pl.DataFrame(dict(user=['a', 'b', 'a'], item=['x', 'y', 'z'], rating=[1., 2., 3.], when=when if zone is None else when.dt.replace_time_zone(zone)))
    for name, f in (('t', frame), ('d', frame.with_columns(pl.col('when').dt.date()))):
        f.write_parquet(tmp_path/f'{name}.parquet')
        scanned = scan_ratings(tmp_path/f'{name}.parquet', timestamp='when', valid=0)
        assert sorted(scanned.column('timestamp').tolist()) == ratings_from_table(tmp_path/f'{name}.parquet', timestamp='when').timestamp.tolist()

def test_a_rating_that_32_bits_take_for_nothing():
    for tiny in ([1e-50, 1, 2], ['1e-50', '1', '2'], np.array([1e-50, 1, 2])):
        with pytest.raises(ValueError, match="'rating', row 1: .*too small"): ratings_from_table(dict(user=[1, 1, 2], item=[1, 2, 1], rating=tiny))
    assert ratings_from_table(dict(user=[1, 1, 2], item=[1, 2, 1], rating=[0, -0., 1e-30])).rating.tolist() == [0, 0, pytest.approx(1e-30)]

def test_dates_and_seconds_in_one_column_of_times(): # 20200101 would be a day in August 1970
    def times(when): return ratings_from_table(dict(user=[1, 1, 2], item=[1, 2, 1], rating=[1, 2, 3], when=when), timestamp='when').timestamp.tolist()
    for when in (['2020-01-01', '20200101', '2020-01-02'], ['2020-01-01', 5, 6], [datetime.date(2020, 1, 1), '2020-01-01', '7']):
        with pytest.raises(ValueError, match="'when' holds dates, such as .*2020.*, and numbers, such as"): times(when)
    assert times([datetime.date(2020, 1, 1), '2020-01-01', '2020-01-01 10:00']) == [1577836800, 1577836800, 1577872800]
    assert times(['1e9', '2', 3]) == [10**9, 2, 3]

@pytest.mark.parametrize('rating', [16777217, 1e-50])
def test_a_scan_refuses_ratings_that_32_bits_round(tmp_path, rating): # as ratings in memory
    pl = pytest.importorskip('polars')
    from ddl_lesson8.data.scan import scan_ratings
    frame = pl.DataFrame(dict(user=['a', 'b'], item=['x', 'y'], rating=[1, rating]), strict=False)
    frame.write_parquet(tmp_path/'r.parquet')
    with pytest.raises(ValueError, match='row 2: the rating .* has too many digits'): scan_ratings(tmp_path/'r.parquet')
    with pytest.raises(ValueError, match="'rating', row 2"): ratings_from_table(frame)

def test_a_download_respects_links_modes_and_folders(tmp_path): # right: as for files that are saved; a link and a pipe were replaced, a folder passed for the file
    import stat
    real, link, locked, pipe = (tmp_path/n for n in ('real', 'link', 'locked', 'pipe'))
    real.write_bytes(b'old'), link.symlink_to(real), locked.write_bytes(b'old'), locked.chmod(0o444)
    with serve() as (url, log):
        for sum in (SUM, None):
            with pytest.raises(DownloadError, match='is a folder'): download(url, tmp_path, sum)
            if hasattr(os, 'mkfifo'):
                if not pipe.exists(): os.mkfifo(pipe)
                with pytest.raises(DownloadError, match='no ordinary file'): download(url, pipe, sum)
        with pytest.raises(DownloadError, match='read-only'): download(url, locked, SUM)
        with pytest.raises(DownloadError, match='cannot be written|no folder|a directory|exists'): download(url, real/'x', SUM)
        assert log == [] and download(url, link, SUM) == link
    assert link.is_symlink() and real.read_bytes() == BODY and locked.read_bytes() == b'old'
    if hasattr(os, 'mkfifo'): assert stat.S_ISFIFO(pipe.stat().st_mode)
