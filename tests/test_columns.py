"Columns are told apart, dates taken to pieces, and rows prepared by rules of the training rows"
import datetime, math
import numpy as np, pandas as pd, polars as pl, pyarrow as pa, pytest, torch
from hypothesis import given, settings, strategies as st
from ddl_lesson8.columns import ColumnPrep, add_datepart, as_frame, cont_cat_split, date_parts, split_rows

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
    (dict(TABLE, x=[None] * 5), 'no number in the training rows'), (dict(TABLE, name=['a', 1, 'b', 2, 3]), "column 'name' mixes"),
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
    for bad in (3, 'a.csv', pl.LazyFrame({'a': [1]})):
        with pytest.raises(TypeError, match='a table is'): as_frame(bad)
