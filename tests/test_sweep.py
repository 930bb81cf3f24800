"Every kind of table, id and shape a stranger may bring: the right number, or a refusal in words; never a number made of NaN or a stretched tensor"
import datetime, math
import pytest, torch
np, pd, pl, pa = (pytest.importorskip(n) for n in ('numpy', 'pandas', 'polars', 'pyarrow'))
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.data.read_ratings import ratings_from_table
from ddl_lesson8.ranking import ALS, ranking_report
from ddl_lesson8.tabular import tabular_learner
from ddl_lesson8.train.learner import load_learner

USER, ITEM, RATING = ['a', 'b', 'c', 'a', 'b', 'c'] * 4, [f'i{k % 8}' for k in range(24)], [1., 2., 3., 4., 5., 3.] * 4
COLS = dict(user=USER, item=ITEM, rating=RATING)
BASE = pl.DataFrame(COLS)
FRAMES = {
    'rows': [dict(zip(COLS, v)) for v in zip(*COLS.values())], 'numpy columns': {k: np.array(v) for k, v in COLS.items()}, 'pandas': pd.DataFrame(COLS),
    'pandas category': pd.DataFrame(COLS).astype(dict(user='category', item='category')), 'pandas string': pd.DataFrame(COLS).astype(dict(user='string', rating='Float64')),
    'pandas arrow': pd.DataFrame(COLS).convert_dtypes(dtype_backend='pyarrow'), 'pandas object': pd.DataFrame(COLS).astype(object), 'pandas index': pd.DataFrame(COLS, index=[0] * 24),
    'polars': BASE, 'polars categorical': BASE.with_columns(pl.col('user', 'item').cast(pl.Categorical)), 'polars enum': BASE.with_columns(pl.col('user').cast(pl.Enum(['c', 'b', 'a']))),
    'polars decimal': BASE.with_columns(pl.col('rating').cast(pl.Decimal(10, 2))), 'polars int8': BASE.with_columns(pl.col('rating').cast(pl.Int8)), 'arrow': pa.table(COLS),
    'arrow dictionary': pa.table(dict(user=pa.array(USER).dictionary_encode(), item=ITEM, rating=RATING)), 'arrow batch': pa.RecordBatch.from_pydict(COLS),
    'arrow decimal': pa.table(dict(user=USER, item=ITEM, rating=pa.array(RATING).cast(pa.decimal128(5, 2)))), 'arrow arrays': {k: pa.array(v) for k, v in COLS.items()}}

@pytest.mark.parametrize('kind', FRAMES)
def test_every_table_of_ratings_means_the_same(kind):
    found, right = ratings_from_table(FRAMES[kind]), ratings_from_table(COLS)
    assert (found.users, found.items) == (right.users, right.items)
    for a, b in zip(found.tensors(), right.tensors()): assert torch.equal(a, b)

@pytest.mark.parametrize('table', [np.array([[1, 2, 3.]]), torch.ones(2, 3), 7, None, 'no such file.csv', {'user': 'ab', 'item': 'cd', 'rating': 'ef'}], ids=str)
def test_what_is_no_table_is_refused(table):
    with pytest.raises((TypeError, ValueError, FileNotFoundError)): collab_learner(table)

IDS = {'numpy': (list(np.arange(6)), list('012345')), 'uint64': (list(np.array([2**63, 2**63 + 1] * 3, dtype='uint64')), [str(2**63), str(2**63 + 1)]), '2**70': ([2**70, 2] * 3, ['1180591620717411303424', '2']),
       'number and text': ([1, '1', 2, 3, 4, 5], list('12345')), 'point': ([1, 1.0, 2, 3, 4, 5], list('12345')), 'composed': (['\u00e9', 'e\u0301', 'b', 'c', 'd', 'e'], ['b', 'c', 'd', 'e', '\u00e9']),
       'blank': (['a', ' a', 'a ', '', 'b', 'c'], 'lack a value'), 'None': (['a', None] * 3, 'lack a value'), 'NaN': (['a', math.nan] * 3, 'lack a value'), 'bytes': ([b'a', b'b'] * 3, 'no id'),
       'tuples': ([(1, 2), (3, 4)] * 3, 'no id'), 'large point': ([2.**53, 2.**53 + 2] * 3, 'too large to be told'), 'dates': ([datetime.date(2020, 1, k + 1) for k in range(6)], [f'2020-01-0{k + 1}' for k in range(6)])}

@pytest.mark.parametrize('kind', IDS)
def test_odd_ids(kind):
    ids, right = IDS[kind]
    table = dict(user=ids, item=ITEM[:6], rating=RATING[:6])
    if isinstance(right, list): assert sorted(ratings_from_table(table).users) == sorted(right)
    else:
        with pytest.raises(ValueError, match=right): ratings_from_table(table)

RATINGS = {'NaN': ([1, math.nan], 'lack a value'), 'infinite': ([1, math.inf], 'not a finite'), '1e300': ([1, 1e300], 'too large'), 'complex': ([1j, 2], 'not a number'), 'words': (['good', 'bad'], 'not a number'), 'uneven': ([1], 'different lengths')}

@pytest.mark.parametrize('kind', RATINGS)
def test_odd_ratings_are_refused(kind):
    with pytest.raises(ValueError, match=RATINGS[kind][1]): ratings_from_table(dict(user=['a', 'b'], item=['x', 'y'], rating=RATINGS[kind][0]))

@pytest.mark.parametrize('n, rating', [(1, [3]), (24, [3] * 24), (2, ['1', '2']), (24, [True, False] * 12)], ids=['one row', 'constant', 'numbers as text', 'bool'])
@pytest.mark.filterwarnings('ignore:each rating is')
def test_few_ratings_give_finite_numbers(n, rating):
    learn = collab_learner(dict(user=USER[:n], item=ITEM[:n], rating=rating), valid=0, n_factors=2, device='cpu', progress=False)
    learn.fit(1)
    assert learn.predict('a').isfinite().all() and learn.newcomer({}).isfinite().all() and learn.recommend({ITEM[0]: float(rating[0])}, 1) is not None


@pytest.fixture(scope='module')
def learn():
    found = collab_learner(planted_ratings(seed=0, n_users=30).ratings, n_factors=2, device='cpu', progress=False)
    found.fit(1)
    return found

MAKE = {'list': list, 'tuple': tuple, 'numpy': np.array, 'numpy objects': lambda v: np.array(v, dtype=object), 'pandas': pd.Series, 'pandas category': lambda v: pd.Series(v, dtype='category'), 'polars': pl.Series,
        'polars enum': lambda v: pl.Series(v, dtype=pl.Enum(sorted(set(v)))), 'arrow': pa.array, 'arrow chunks': lambda v: pa.chunked_array([v])}

@pytest.mark.parametrize('kind', MAKE)
def test_names_in_any_column(learn, kind):
    people, films, make = ['person 1', 'person 2'], ['Heat', 'Jaws'], MAKE[kind]
    assert torch.equal(learn.predict(make(people), make(films)), learn.predict(people, films))
    assert learn.recommend(make(people), 3) == learn.recommend(people, 3)
    assert learn.recommend('person 1', 1, items=make(films)) == learn.recommend('person 1', 1, items=films)

def test_one_name_as_numpy_has_it(learn):
    assert learn.recommend(np.str_('person 1'), np.int64(2)) == learn.recommend('person 1', 2)
    assert learn.recommend('person 1', 1, items='Heat')[0][0] == 'Heat'
    assert torch.equal(learn.newcomer({'Heat': np.float32(5)}), learn.newcomer({'Heat': 5}))

@pytest.mark.parametrize('value', [None, 'five', math.nan, math.inf, [5], b'5'])
def test_a_rating_that_is_no_rating(learn, value):
    with pytest.raises(ValueError, match='ratings are between 1 and 5'): learn.newcomer({'Heat': value})

@pytest.mark.parametrize('rows', [torch.tensor([True]), torch.tensor([1.]), torch.tensor([-1]), torch.tensor([30]), np.array([1])], ids=str)
def test_rows_that_are_no_rows(learn, rows):
    with pytest.raises((TypeError, IndexError)): learn.predict(rows, torch.tensor([1]))

def test_true_is_no_number_of_items(learn):
    with pytest.raises(ValueError, match='at least one'): learn.recommend('person 1', True)


# ---- tables

C, N, Y = list('aabbcc') * 6, [float(k) for k in range(36)], [float(k % 7) for k in range(36)]
TABLE = dict(c=C, n=N, y=Y)
TABLES = {'rows': [dict(zip(TABLE, v)) for v in zip(*TABLE.values())], 'pandas': pd.DataFrame(TABLE), 'category': pd.DataFrame(TABLE).astype(dict(c='category')), 'string': pd.DataFrame(TABLE).astype(dict(c='string', n='Float64')),
          'pandas arrow': pl.DataFrame(TABLE).to_pandas(use_pyarrow_extension_array=True), 'index': pd.DataFrame(TABLE, index=[0] * 36), 'polars': pl.DataFrame(TABLE), 'categorical': pl.DataFrame(TABLE).with_columns(pl.col('c').cast(pl.Categorical)),
          'arrow': pa.table(TABLE), 'dictionary': pa.table(dict(c=pa.array(C).dictionary_encode(), n=N, y=Y))}

def predicted(table, target='y', rows=None):
    learn = tabular_learner(table, target, layers=[4], device='cpu', progress=False)
    learn.fit(1)
    return learn.predict(table if rows is None else rows)

@pytest.mark.parametrize('target', ['y', 'c'])
@pytest.mark.parametrize('kind', TABLES)
def test_every_table_gives_the_same_predictions(kind, target): assert torch.equal(predicted(TABLES[kind], target), predicted(TABLE, target))

ODD = {'constant target': dict(y=[3.] * 36), 'one class in a column': dict(c=['a'] * 36), 'constant column': dict(n=[1.] * 36), 'a gap': dict(c=[None] + C[1:]), 'large numbers': dict(n=[2**63] + list(range(35))), 'all missing': dict(n=[None] * 36),
       'true or false': dict(y=[k % 2 == 0 for k in range(36)])}

@pytest.mark.parametrize('kind', ODD)
def test_odd_columns_give_finite_numbers(kind): assert predicted(TABLE | ODD[kind]).isfinite().all()

BAD = {'infinite': (dict(n=[math.inf] + N[1:]), 'y', 'not a finite'), 'target missing': (dict(y=[math.nan] + Y[1:]), 'y', 'target is missing'), '1e300': (dict(n=[1e300] + N[1:]), 'y', 'too large'), 'mixed': (dict(c=['1', 1, 1.0] * 12), 'y', 'mixes text'),
       'one class': (dict(c=['a'] * 36), 'c', 'one class only'), 'class missing': (dict(c=[None] + C[1:]), 'c', 'target is missing')}

@pytest.mark.parametrize('kind', BAD)
def test_bad_columns_are_refused(kind):
    change, target, words = BAD[kind]
    with pytest.raises(ValueError, match=words): predicted(TABLE | change, target)


# ---- targets of any size, numbers written as text

@pytest.mark.parametrize('loss', [None, torch.nn.L1Loss(), torch.nn.functional.huber_loss], ids=['mse', 'l1', 'huber'])
@pytest.mark.parametrize('factor, plus', [(1., 0.), (1e6, 0.), (.1, 1e4)])
def test_the_unit_of_the_target_does_not_matter(factor, plus, loss):
    g = np.random.default_rng(0)
    x = g.normal(size=400)
    def error(y):
        learn = tabular_learner(dict(x=x, y=y), 'y', [], ['x'], layers=[20], batch_size=64, loss_func=loss, device='cpu', progress=False)
        learn.fit_one_cycle(8, 1e-2)
        return float((learn.predict(dict(x=x))[:, 0] - torch.tensor(y)).square().mean().sqrt()) / y.std()
    assert error((3 * x + np.sin(4 * x)) * factor + plus) < .35

def test_the_scale_of_the_target_goes_into_the_file(tmp_path):
    learn = tabular_learner(TABLE | dict(y=[1000 * v for v in Y]), 'y', layers=[4], device='cpu', progress=False)
    learn.fit(1)
    assert torch.equal(load_learner(learn.save(tmp_path/'t'), device='cpu').predict(TABLE), learn.predict(TABLE))
    assert 'OutputScale' not in str(tabular_learner(TABLE, 'c', device='cpu').model) and 'OutputScale' not in str(tabular_learner(TABLE, 'y', y_range=(-1, 7), device='cpu').model)
    assert 'OutputScale' not in str(tabular_learner(TABLE, 'y', y_scale=None, device='cpu').model)

def test_targets_that_a_network_cannot_see():
    with pytest.warns(UserWarning, match="'y' varies by 2.1e-06 only.*multiply it by 1e\\+06") as said: tabular_learner(TABLE | dict(y=[1e-6 * v for v in Y]), 'y', device='cpu')
    assert said[0].filename == __file__
    with pytest.raises(ValueError, match='too large to be squared'): tabular_learner(TABLE | dict(y=[1e20 * v for v in Y]), 'y', device='cpu')
    for bad in (([1.],), ([1., 2.], [1., 1.]), ([1.], [0.])):
        with pytest.raises(ValueError, match='spread'): tabular_learner(TABLE, 'y', y_scale=bad, device='cpu')

WRITTEN = {'thousands': ([f'{1000 * k:,}' for k in range(36)], True), 'share': ([f'{k} %' for k in range(36)], True), 'comma': ([f'{k},5' for k in range(36)], True), 'euro': ([f'€{k}.50' for k in range(36)], True),
           'postcode': ([f'{10000 + k}' for k in range(36)], False), 'day': ([f'{k % 28 + 1:02d}.{k % 12 + 1:02d}.2020' for k in range(36)], False), 'few': (['1,5', '2,5'] * 18, False), 'word': ([f'1,{k}' for k in range(35)] + ['north'], True),
           'words': ([f'1,{k}' for k in range(32)] + ['north', 'south', 'east', 'west'], False), 'gap': ([f'1,{k}' for k in range(35)] + ['none'], True)}

@pytest.mark.parametrize('kind', WRITTEN)
def test_numbers_written_as_text_are_a_category_with_a_notice(kind):
    import warnings
    column, notice = WRITTEN[kind]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        tabular_learner(TABLE | dict(n=column), 'y', device='cpu')
    assert [x.filename == __file__ for x in said if 'numbers as text' in str(x.message)] == [True] * notice


# ---- recommenders

@pytest.mark.parametrize('n', [0, -1, 2.5, True, '4'])
def test_factors_are_a_whole_number(n):
    for make in (lambda: collab_learner(COLS, n_factors=n), lambda: ALS(ratings_from_table(COLS, duplicates='last'), n_factors=n)):
        with pytest.raises(ValueError, match='n_factors=.*a whole number'): make()

@pytest.mark.parametrize('kwargs', [dict(alpha=-2.), dict(alpha=math.nan), dict(penalty=0.), dict(penalty=math.inf)], ids=str)
def test_least_squares_that_could_not_be_solved(kwargs):
    with pytest.raises(ValueError, match='alpha from 0 up'): ALS(COLS, **kwargs)

def test_spoiled_weights_make_no_list():
    train, last = planted_ratings(seed=0, n_users=30).ratings.split('leave_last_out')
    found = collab_learner((train, None), n_factors=2, device='cpu', progress=False)
    found.model.u_weight.weight.data.fill_(math.nan)
    for make in (lambda: found.recommend('person 1'), lambda: ranking_report(found, last)):
        with pytest.raises(ValueError, match='is NaN'): make()

@pytest.mark.parametrize('sep', list('\t;|'))
def test_files_that_other_programs_separate(tmp_path, sep):
    path = tmp_path/'r.csv'
    path.write_text('\n'.join(sep.join(row) for row in [('user', 'item', 'rating'), ('a', 'One, two', '3'), ('b', 'Three', '4')]))
    assert ratings_from_table(path).items == ['One, two', 'Three']

def test_choices_without_ratings_are_told_what_to_do():
    with pytest.raises(ValueError, match="a column 'rating' of ones"): collab_learner({k: COLS[k] for k in ('user', 'item')}, loss='softmax')
