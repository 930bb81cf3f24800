"Columns are told apart, dates taken to pieces, and rows prepared by rules of the training rows"
import datetime, math, warnings
import numpy as np, pandas as pd, polars as pl, pyarrow as pa, pytest, torch
from hypothesis import given, settings, strategies as st
from ddl_lesson8.data.columns import ColumnPrep, add_datepart, cont_cat_split, date_parts, split_rows
from ddl_lesson8.data.frames import as_frame, read_dates

FRAMES = {'pandas': pd.DataFrame, 'polars': lambda d: pl.DataFrame(d, strict=False), 'pyarrow': pa.table}
TABLE = dict(name=['b', 'a', None, 'b', 'c'], n=[1, 2, 3, 2, 1], x=[.5, None, 2., 4., 1.], ok=[True, False, True, True, False], y=[1., 2., 3., 4., 5.])


@pytest.mark.parametrize('make', FRAMES.values(), ids=FRAMES)
def test_all_libraries_give_the_same_tensors(make):
    prep = ColumnPrep(['name', 'n', 'ok'], ['x'], 'y').fit(make(TABLE))
    x_cat, x_cont = prep(make(TABLE), dtype=torch.float64)
    assert x_cat.tolist() == [[2, 1, 2, 1], [1, 2, 1, 2], [0, 3, 2, 1], [2, 2, 2, 1], [3, 1, 1, 1]]
    filled = np.array([.5, 1.5, 2., 4., 1.])
    np.testing.assert_allclose(x_cont[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-12)
    assert prep.flags == ['x_na'] and prep.target(make(TABLE)).shape == (5, 1)
    assert cont_cat_split(make(TABLE), dep_var='y') == (['x'], ['name', 'n', 'ok'])


def test_fitting_never_sees_the_other_rows():
    prep = ColumnPrep(['name'], ['x'], 'y').fit(TABLE, [0, 1, 3])
    assert prep.classes['name'] == ['#na#', 'a', 'b'] and prep.numbers['x']['median'] == 2.25
    assert prep(TABLE)[0][4, 0] == 0 and prep.unknown(TABLE) == {'name': ['c']}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)))
def test_date_parts_agree_with_python(d):
    parts = {k: v[0].item() for k, v in date_parts(np.array([d], dtype='datetime64[us]'), time=True).items()}
    d = d.replace(microsecond=0)
    assert [parts[k] for k in ('Year', 'Month', 'Day', 'Hour', 'Minute', 'Second')] == [d.year, d.month, d.day, d.hour, d.minute, d.second]
    assert (parts['Week'], parts['Dayofweek'], parts['Dayofyear']) == (d.isocalendar().week, d.weekday(), d.timetuple().tm_yday)
    ts = pd.Timestamp(d)
    for k in ('month', 'quarter', 'year'):
        for e in ('start', 'end'): assert parts[f'Is_{k}_{e}'] == getattr(ts, f'is_{k}_{e}')
    assert parts['Elapsed'] == (d - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)


def test_dates_missing_zoned_and_wrong():
    t = add_datepart({'date': ['2014-03-01', None], 'v': [1, 2]}, 'date')
    assert t['Year'][0] == 2014 and math.isnan(t['Year'][1]) and not t['Is_month_start'][1]
    zoned = pd.DataFrame({'when': pd.to_datetime(['2014-03-01 00:30']).tz_localize('Europe/Berlin')})
    out = add_datepart(zoned, 'when', drop=False)
    assert out['whenDay'][0] == 1 and out['whenElapsed'][0] == pd.Timestamp('2014-02-28 23:30').timestamp()
    with pytest.raises(ValueError, match="column 'v', row 0"): add_datepart({'v': [3]}, 'v')
    with pytest.raises(ValueError, match="no column 'day'"): add_datepart(t, 'day')


@pytest.mark.parametrize('how,column', [('random', None), ('time', 't'), ('group', 'g')])
def test_splits_share_no_row_and_no_group(how, column):
    t = pd.DataFrame(dict(t=np.arange(200) // 7, g=np.arange(200) % 23))
    train, valid = split_rows(t, how, .25, column, seed=3)
    assert sorted([*train, *valid]) == list(range(200)) and .15 < len(valid) / 200 < .35
    if how == 'time': assert t['t'].iloc[train].max() < t['t'].iloc[valid].min()
    if how == 'group': assert not set(t['g'].iloc[train]) & set(t['g'].iloc[valid])


@pytest.mark.parametrize('bad,message', [
    (dict(TABLE, x=['a'] * 5), "column 'x', row 0"), (dict(TABLE, x=[math.inf, 1, 2, 3, 4]), 'not a finite'),
    (dict(TABLE, x=[None] * 5), 'no number in the training rows'), (dict(TABLE, name=['a', 1, 'b', 2, 3]), "column 'name', row 1: mixes text"),
    (dict(TABLE, y=[1, None, 2, 3, 4]), "'y', row 1"), ({k: v[:0] for k, v in TABLE.items()}, 'no rows')])
def test_bad_tables_are_refused_by_name(bad, message):
    with pytest.raises(ValueError, match=message): ColumnPrep(['name'], ['x'], 'y').fit(bad).target(bad)


def test_constant_columns_become_zeros_and_saved_rules_are_the_same(tmp_path):
    prep = ColumnPrep(['name'], ['x', 'c'], 'y').fit(dict(TABLE, c=[7.] * 5))
    assert (prep(dict(TABLE, c=[7.] * 5))[1][:, 1] == 0).all()
    again = ColumnPrep.load(prep.save(tmp_path/'p.json'))
    assert again.to_dict() == prep.to_dict()
    (tmp_path/'q.json').write_text('{"a": 1}')
    with pytest.raises(ValueError, match='no saved ColumnPrep'): ColumnPrep.load(tmp_path/'q.json')


def test_class_targets():
    prep = ColumnPrep(['n'], ['x'], 'name').fit({k: [v[i] for i in (0, 1, 3)] for k, v in TABLE.items()})
    assert prep.y_classes == ['a', 'b'] and prep.target({k: v[:2] for k, v in TABLE.items()}).tolist() == [1, 0]
    with pytest.raises(ValueError, match="'c' is no class"): prep.target({k: v[3:] for k, v in TABLE.items()})


def test_what_is_no_table():
    for bad in (3, {1, 2}, b'a.csv'):
        with pytest.raises(TypeError, match='a table is'): as_frame(bad)


# ---- the same rules as fastai, where it is installed

def test_dates_are_taken_apart_as_fastai_does():
    core = pytest.importorskip('fastai.tabular.core')
    when = pd.date_range('1999-12-20', periods=4000, freq='27h').as_unit('ns') # of pandas 3's own unit fastai 2.8 makes thousands of seconds
    days = pd.DataFrame({'saledate': when, 'v': range(4000)})
    ours, theirs = add_datepart(days, 'saledate', time=True), core.add_datepart(days.copy(), 'saledate', time=True)
    assert set(ours) == set(theirs)
    for name in theirs:
        np.testing.assert_array_equal(ours[name].to_numpy(dtype=float), theirs[name].to_numpy(dtype=float), err_msg=name)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 5))
def test_columns_are_told_apart_as_fastai_does(n, seed):
    core = pytest.importorskip('fastai.tabular.core')
    rng = np.random.default_rng(seed)
    t = pd.DataFrame(dict(whole=rng.integers(0, n, 100), fraction=rng.normal(size=100).astype('float32'), text=rng.choice(['a', 'b'], 100),
                          yes=rng.random(100) < .5, small=rng.integers(0, n, 100).astype('int8'), day=pd.date_range('2000-01-01', periods=100), y=1.))
    for max_card in (5, 20): assert cont_cat_split(t, max_card, 'y') == tuple(core.cont_cat_split(t, max_card, 'y'))


# ---- edges

@pytest.mark.parametrize('make', FRAMES.values(), ids=FRAMES)
def test_edges_of_the_split(make):
    t = make(dict(n20=[*range(20), 0], n21=[*range(21)], f=[1.] * 21, b=[True] * 21, s=['a'] * 21))
    assert cont_cat_split(t) == (['n21', 'f'], ['n20', 'b', 's']) # continuous from max_card + 1 different values on
    assert cont_cat_split(t, max_card=19, dep_var=['f', 's']) == (['n20', 'n21'], ['b'])
    with pytest.raises(ValueError, match="no column 'g'"): cont_cat_split(t, dep_var='g')


def test_split_of_narrow_and_unsigned_types():
    t = pd.DataFrame({k: np.arange(30).astype(k) for k in ('int8', 'uint8', 'uint16', 'int64', 'float16', 'float32')})
    assert cont_cat_split(t) == (list(t), [])
    assert cont_cat_split(t, max_card=30) == (['float16', 'float32'], ['int8', 'uint8', 'uint16', 'int64'])
    assert cont_cat_split(pd.DataFrame({'a': pd.array([1, None] * 30, dtype='Int64'), 'c': pd.Categorical(range(60))})) == ([], ['a', 'c'])
    assert cont_cat_split(t.iloc[:0]) == (['float16', 'float32'], ['int8', 'uint8', 'uint16', 'int64'])


@pytest.mark.parametrize('make', [*FRAMES.values(), dict], ids=[*FRAMES, 'dict'])
def test_parts_are_fit_then_prepare_then_cut(make):
    t, train, valid = make(TABLE), np.array([0, 1, 3]), np.array([2, 4])
    (a, b, y), last = (prep := ColumnPrep(['name', 'n', 'ok'], ['x'], 'y')).parts(t, train, valid, fit=True)
    other = ColumnPrep(['name', 'n', 'ok'], ['x'], 'y').fit(t, train)
    assert prep.to_dict() == other.to_dict()
    whole = *other(t), other.target(t)
    for part, rows in (((a, b, y), train), (last, valid)):
        for x, w in zip(part, whole): assert torch.equal(x, w[torch.as_tensor(rows)])
    assert prep.parts(t, train, None, [])[1:] == [None, None]


def test_a_flag_appears_only_where_training_rows_missed_a_number():
    t = pd.DataFrame(dict(a=[1., np.nan, 3.], b=[1., 2., np.nan]))
    with pytest.warns(UserWarning, match="column 'b' had no missing value in training"):
        x_cat, x_cont = ColumnPrep([], ['a', 'b']).fit(t, [0, 1])(t)
    assert x_cat.tolist() == [[1], [2], [1]] and x_cont[2, 1] == 0 # the median of 1 and 2 is their mean
    with pytest.raises(ValueError, match="'a_na'"): ColumnPrep(['a_na'], ['a']).fit(t.assign(a_na='x'))


@pytest.mark.parametrize('make', [*FRAMES.values(), dict], ids=[*FRAMES, 'dict'])
def test_missing_targets_are_named(make):
    numbers, words = make(dict(x=[1., 2., 3.], y=[1., None, 2.])), make(dict(x=[1., 2., 3.], y=['a', 'b', None]))
    for t, row in ((numbers, 1), (words, 2)):
        with pytest.raises(ValueError, match=f"'y', row {row}: the target is missing"): ColumnPrep([], ['x'], 'y').fit(t).target(t)
        with pytest.raises(ValueError, match=f"'y', row {row}: the target is missing"): ColumnPrep([], ['x'], 'y').parts(t, [0, 1], fit=True)


@pytest.mark.parametrize('make', [*FRAMES.values(), dict], ids=[*FRAMES, 'dict'])
def test_dates_in_all_kinds_of_tables(make):
    days = [datetime.datetime(2012, 2, 29), datetime.datetime(2013, 12, 31)]
    out = as_frame(add_datepart(make(dict(saledate=days, v=[1, 2])), 'saledate'))
    assert out.columns[:3] == ['v', 'saleYear', 'saleMonth'] and 'saledate' not in out.columns
    assert out['saleDayofyear'].to_list() == [60, 365] and out['saleIs_year_end'].to_list() == [False, True]
    assert out['saleElapsed'].to_list() == [1330473600., 1388448000.]


def test_what_is_no_column():
    for bad, error in ((dict(a=3), TypeError), (dict(a='text'), TypeError), (dict(a=np.ones((2, 2))), ValueError), (dict(a=[1], b=[1, 2]), ValueError)):
        with pytest.raises(error, match='a'): as_frame(bad)
    rows = as_frame([dict(a=1, b='x'), dict(b='y')])
    assert rows['b'].to_list() == ['x', 'y'] and rows['a'].to_list() == [1, None]


def test_splits_of_too_few_rows_are_refused():
    with pytest.raises(ValueError, match='leaves one side empty'): split_rows(dict(a=[1, 2]), valid=.1)
    with pytest.raises(ValueError, match='needs the name'): split_rows(dict(a=[1, 2]), 'time')
    with pytest.raises(ValueError, match="row 1: no time"): split_rows(dict(a=[1, None]), 'time', column='a')
    with pytest.raises(ValueError, match='valid is 1'): split_rows(dict(a=[1, 2]), valid=1)


# ---- the same day, the same category, and nothing that cannot be right

DAY = datetime.date(2020, 1, 2)
BERLIN = datetime.timezone(datetime.timedelta(hours=1))
SPELLINGS = dict(date=DAY, moment=datetime.datetime(2020, 1, 2), zoned=datetime.datetime(2020, 1, 2, tzinfo=BERLIN), numpy=np.datetime64('2020-01-02'),
                 numpy_ns=np.datetime64('2020-01-02', 'ns'), timestamp=pd.Timestamp('2020-01-02'), zoned_timestamp=pd.Timestamp('2020-01-02', tz='Europe/Berlin'),
                 text='2020-01-02', plain='20200102', iso='2020-01-02T00:00:00', zoned_text='2020-01-02T00:00:00+02:00', z='2020-01-02 00:00Z')
COLUMNS = {'polars Date': pl.Series([DAY]), 'polars Datetime': pl.Series([datetime.datetime(2020, 1, 2)]), 'polars text': pl.Series(['2020-01-02']),
           'polars zone': pl.Series([datetime.datetime(2020, 1, 2)]).dt.replace_time_zone('Asia/Tokyo'), 'arrow date32': pa.array([DAY]),
           'arrow date64': pa.array([DAY], pa.date64()), 'arrow timestamp': pa.array([datetime.datetime(2020, 1, 2)], pa.timestamp('ns')),
           'arrow chunks': pa.chunked_array([[DAY]]), 'pandas': pd.Series(pd.to_datetime(['2020-01-02'])), 'pandas object': pd.Series([DAY], dtype=object),
           'pandas zone': pd.Series(pd.to_datetime(['2020-01-02'])).dt.tz_localize('America/New_York'), 'pandas index': pd.date_range('2020-01-02', periods=1),
           'pandas arrow': pd.Series([DAY], dtype=pd.ArrowDtype(pa.date32())), 'numpy days': np.array(['2020-01-02'], dtype='datetime64[D]'),
           'numpy ns': np.array(['2020-01-02'], dtype='datetime64[ns]'), **{k: [v] for k, v in SPELLINGS.items()}}

@pytest.mark.parametrize('fitted', ['pandas', 'polars', 'pyarrow', 'dates', 'numpy'])
def test_every_spelling_of_a_day_is_the_same_class(fitted):
    days = pd.date_range('2020-01-01', periods=4)
    made = dict(pandas=pd.DataFrame(dict(day=days)), polars=pl.DataFrame(dict(day=days.tolist())), pyarrow=pa.table(dict(day=[d.date() for d in days])),
                dates=dict(day=[d.date() for d in days]), numpy=dict(day=days.to_numpy()))
    prep = ColumnPrep(['day']).fit(made[fitted])
    for name, column in COLUMNS.items(): assert prep(dict(day=column))[0].tolist() == [[2]], name
    again = ColumnPrep.from_dict(prep.to_dict())
    assert again(dict(day=['2020-01-04']))[0].item() == 4 and prep.unknown(dict(day=['2020-01-09', None])) == {'day': ['2020-01-09']}
    for bad in ('now', 'today', '2020', '2.1.2020', '2020-02-30', 20200102, 1.5, b'2020-01-02', datetime.time(1)):
        with pytest.raises((ValueError, TypeError), match="column 'day'"): prep(dict(day=[bad]))

def test_a_column_of_texts_says_so_when_it_is_given_dates():
    prep = ColumnPrep(['day']).fit(dict(day=['2020-01-01', '2020-01-02']))
    with pytest.raises(ValueError, match="held text such as '2020-01-01' when fitted"): prep(dict(day=[DAY]))

@pytest.mark.parametrize('spelling', SPELLINGS)
def test_every_spelling_has_the_same_parts(spelling):
    out = add_datepart({'date': [SPELLINGS[spelling], None]}, 'date')
    assert (out['Year'][0], out['Month'][0], out['Day'][0], out['Dayofweek'][0]) == (2020, 1, 2, 3) and np.isnan(out['Year'][1])
    zone = dict(zoned=-3600, zoned_timestamp=-3600, zoned_text=-7200).get(spelling, 0)
    assert out['Elapsed'][0] == 1577923200 + zone

LISTS = dict(lists=[[1], [2]], structs=[dict(a=1), dict(a=2)], bytes=[b'a', b'b'], durations=[datetime.timedelta(1)] * 2)
@pytest.mark.parametrize('what', LISTS)
@pytest.mark.parametrize('make', [*FRAMES.values(), dict], ids=[*FRAMES, 'dict'])
def test_lists_structs_bytes_and_durations_are_refused_by_column(make, what):
    t = make(dict(c=LISTS[what], x=[1., 2.]))
    with pytest.raises(ValueError, match="column 'c'"): ColumnPrep(['c'], ['x']).fit(t)
    with pytest.raises(ValueError, match="column 'c'"): ColumnPrep(['x'], ['c']).fit(t)

@pytest.mark.parametrize('values,classes', [
    (['1', '1.0', '1_0'], ['1', '1.0', '1_0']), ([1, 1.0, np.int8(1), True], [1]), ([-0., 0], [0]), (['\u00e9', 'e\u0301'], ['\u00e9']),
    ([2**53, 2**53 + 1, None], [2**53, 2**53 + 1]), ([2**63, 2**63 + 1, -1], [-1, 2**63, 2**63 + 1]), ([10**400, 1], [1, 10**400]), (['', ' ', None], ['', ' '])])
def test_what_is_one_category_and_what_are_two(values, classes):
    prep = ColumnPrep(['c']).fit(dict(c=values))
    assert prep.classes['c'][1:] == classes
    ids = prep(dict(c=values))[0][:, 0].tolist()
    assert [i == 0 for i in ids] == [v is None for v in values] and len({*ids} - {0}) == len(classes)
    assert ColumnPrep.from_dict(prep.to_dict()).classes == prep.classes

@pytest.mark.parametrize('bad,message', [([2.**53 + 2, 1.5], 'row 0.*so large'), ([1., math.inf], 'row 1.*not a finite'), (['#na#', 'b'], 'rename'),
                                         ([1, 'x'], 'row 1: mixes number'), ([None, {1, 2}], 'row 1.*is set'), ([1j], 'row 0')])
def test_categories_that_cannot_be_right(bad, message):
    with pytest.raises(ValueError, match=f"column 'c'.*{message}"): ColumnPrep(['c']).fit(dict(c=bad))

@pytest.mark.parametrize('bad,message', [(['1_0', 2], "row 0: '1_0' is no number"), ([1, 10**400], 'row 1'), ([1e200, 1.], 'row 0: 1e.200 is too large'), ([[1], 2], 'row 0')])
def test_numbers_that_cannot_be_right(bad, message):
    with pytest.raises(ValueError, match=f"column 'x'.*{message}"): ColumnPrep([], ['x']).fit(dict(x=bad))

def test_numbers_that_float32_cannot_hold_are_refused_by_row():
    prep = ColumnPrep([], ['x'], 'y').fit(dict(x=[0., 1e-30], y=[1., 2.]))
    with pytest.raises(ValueError, match="column 'x', row 1.*too large for torch.float32"): prep(dict(x=[0., 1e20]))
    with pytest.raises(ValueError, match="column 'y', row 0: 1e.39"): prep.target(dict(y=[1e39]))
    assert prep.target(dict(y=[1e39]), dtype=torch.float64).item() == 1e39

@pytest.mark.parametrize('kind', [pl.Categorical, pl.Enum(['b', 'a', 'c'])])
def test_categories_of_polars(kind):
    prep = ColumnPrep(['c']).fit(pl.DataFrame({'c': pl.Series(['a', 'b', 'a', None], dtype=kind)}))
    assert prep.classes['c'][1:] == (['a', 'b'] if kind == pl.Categorical else ['b', 'a', 'c'])
    assert prep(dict(c=['a', 'z']))[0].tolist() == [[prep.classes['c'].index('a')], [0]]

def test_categories_of_pandas_and_arrow():
    numbers = ColumnPrep(['c']).fit(pd.DataFrame({'c': pd.Categorical([3, 1, None], categories=[3, 2, 1])}))
    assert numbers.classes['c'][1:] == [3, 2, 1] and numbers(dict(c=[1, 3]))[0].tolist() == [[3], [1]]
    arrow = ColumnPrep(['c']).fit(pa.table({'c': pa.array(['b', 'a', None]).dictionary_encode()}))
    assert arrow.classes['c'][1:] == ['a', 'b']

@pytest.mark.parametrize('table', [pd.DataFrame([[1, 2]], columns=['a', 'a']), pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=['a', 'a'])], ids=['pandas', 'pyarrow'])
def test_two_columns_of_one_name_are_refused(table):
    with pytest.raises(ValueError, match="'a' stands above 2 columns"): as_frame(table)

def test_splits_are_row_numbers_of_the_table():
    t = dict(x=[1., 2., 3.], y=[1., 2., 3.])
    parts = lambda *rows: ColumnPrep([], ['x'], 'y').parts(t, *rows, fit=True)
    with pytest.raises(ValueError, match='names row 3; the rows of the table are 0 to 2'): parts([0, 1], [3])
    with pytest.raises(ValueError, match='names row -1'): parts([0, -1])
    with pytest.raises(ValueError, match='list of row numbers'): parts([0.5])
    with pytest.warns(UserWarning, match='2 rows, the first 1, are in both splits') as said: parts([0, 1, 2], [1, 2])
    assert said[0].filename == __file__
    mask = np.array([True, False, True])
    assert [len(p[0]) for p in parts(mask, ~mask)] == [2, 1]

def told(f):
    "The warnings of a call, and where they point"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        f()
    return [str(w.message) for w in said], {w.filename for w in said}

def test_new_values_are_told_once_for_each_column_at_the_callers_line(): # missing ones, and those of numbers, are not new
    prep = ColumnPrep(['c', 'd'], ['x']).fit(dict(c=['a', 'b'], d=['u', 'v'], x=[1., 2.]))
    new = dict(c=['a', 'q', None, 'q'], d=['u', 'u', 'v', 'u'], x=[9., 8., 7., 6.])
    said, where = told(lambda: prep(new))
    assert said == ["values that training did not have count as missing: 'c' in 2 of 4 rows, such as 'q'"] and where == {__file__}
    assert told(lambda: prep(new))[0] == [] # said once
    assert told(lambda: prep(new | dict(d=['w', 'u', 'v', 'u'])))[0] == ["values that training did not have count as missing: 'd' in 1 of 4 rows, such as 'w'"]
    assert told(lambda: ColumnPrep.from_dict(prep.to_dict())(new))[0] == said # a loaded one says it again
    with warnings.catch_warnings(): # and can be kept quiet
        warnings.simplefilter('error')
        warnings.filterwarnings('ignore', 'values that training')
        ColumnPrep.from_dict(prep.to_dict())(new)

def test_new_values_of_the_validation_rows_are_told_when_a_learner_is_made():
    from ddl_lesson8.tabular import tabular_learner
    t = dict(c=['a', 'b'] * 4 + ['q', 'a'], x=list(map(float, range(10))), y=list(map(float, range(10))))
    made = []
    said, where = told(lambda: made.append(tabular_learner(t, 'y', 'c', 'x', (range(8), [8, 9]), device='cpu')))
    assert said == ["values that training did not have count as missing: 'c' in 1 of 10 rows, such as 'q'"] and where == {__file__}
    made[0].progress = False
    assert told(lambda: (made[0].validate(), made[0].predict(t)))[0] == [] # said already


# dates far away, columns of lists, gaps written as words

FAR = { # polars panics where it shows or shifts a date that no calendar has; numpy wraps around without a word
    'polars days': lambda: pl.Series([2**31 - 1, 0], dtype=pl.Int32).cast(pl.Date), 'polars ms': lambda: pl.Series([2**62, 0]).cast(pl.Datetime('ms')),
    'polars zone': lambda: pl.Series([2**63 - 1, 0]).cast(pl.Datetime('us')).dt.replace_time_zone('UTC').dt.convert_time_zone('Asia/Tokyo'),
    'arrow days': lambda: pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), 'arrow chunks': lambda: pa.chunked_array([pa.array([2**31 - 1], pa.int32()).cast(pa.date32())]),
    'arrow s': lambda: pa.array([2**62], pa.timestamp('s')), 'numpy years': lambda: np.array([400000], 'datetime64[Y]'), 'one by one': lambda: [np.datetime64(400000, 'Y')]}
@pytest.mark.parametrize('kind', FAR)
def test_dates_that_no_calendar_has_are_refused(kind, capfd):
    for table in (dict(d=FAR[kind]()), *([pl.DataFrame(dict(d=FAR[kind]()))] if 'polars' in kind else [pa.table(dict(d=FAR[kind]()))] if 'arrow' in kind else [])):
        with pytest.raises(ValueError, match="column 'da?t?e?'.*(far away|years 1 to 9998)"): read_dates(as_frame(table)['d'])
    assert 'panicked' not in capfd.readouterr().err

def test_the_first_and_the_last_day_in_other_zones(): # datetime cannot subtract the offset there; an hour before the year 1 it is still the year before
    local, utc = read_dates(as_frame(dict(d=['0001-01-01T00:00+01:00', '9999-12-31T23:59:59-01:00']))['d'])
    assert local.astype('datetime64[D]').astype(str).tolist() == ['0001-01-01', '9999-12-31']
    assert (local - utc).astype('timedelta64[h]').astype(int).tolist() == [1, -1]

@pytest.mark.parametrize('values', [[[1], [2]], [dict(a=1)] * 2, [{1}, {2}]])
def test_a_column_of_lists_is_named_when_columns_are_chosen(values): # Python said "unhashable type"
    with pytest.raises(ValueError, match="column 'c', row 0: .* a category is text"): cont_cat_split(dict(c=values, y=[1, 2]))

@pytest.mark.parametrize('word', ['NA', 'n/a', '-', '', 'None'])
def test_numbers_with_gaps_in_words_are_told(word): # R writes NA; read as text, each number is a name of its own
    with pytest.warns(UserWarning, match=f"'x' holds numbers as text, such as '0.000' beside {word!r}"): cont_cat_split(dict(x=[f'{k / 7:.3f}' for k in range(50)] + [word], y=range(51)))
    with warnings.catch_warnings(): # numbers of houses, and names
        warnings.simplefilter('error')
        cont_cat_split(dict(x=[str(k) for k in range(50)] + ['12 b'], y=range(51)))
        cont_cat_split(dict(x=[f'{k / 7:.3f}' for k in range(50)] + ['north', 'south', 'east', 'west'], y=range(54)))

def test_large_numbers_are_kept_and_read_again(tmp_path): # a file with a median above 2**63 was written, and refused when it was read
    prep = ColumnPrep([], ['x']).fit(dict(x=[1e20, 3e20, 2.**63]))
    assert ColumnPrep.load(prep.save(tmp_path/'p.json')).numbers == prep.numbers

def test_parts_of_a_date_do_not_replace_a_column():
    table = dict(saledate=['2020-01-01'], saleYear=[7])
    for t in (table, pd.DataFrame(table), pl.DataFrame(table)):
        with pytest.raises(ValueError, match="column 'saleYear' already"): add_datepart(t, 'saledate')
    assert add_datepart(table, 'saledate', prefix='of_')['saleYear'] == [7]

def test_a_split_that_is_a_set_is_refused_in_words():
    with pytest.raises(ValueError, match='a list of row numbers'): ColumnPrep('c', [], 'y').parts(dict(c=list('abc'), y=[1., 2., 3.]), {0, 1}, {2}, fit=True)
