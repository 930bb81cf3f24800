"The planted tables follow their written rules, and the loader of the real shops says what is wrong"
import math, os
import numpy as np, pandas as pd, pytest
from hypothesis import given, settings, strategies as st
from ddl_lesson8.data.tables import (ENCLOSURES, ROSSMANN_FEATURES, ROSSMANN_FILES, SIZES, STATES, STATE_CODES, TYRES, load_rossmann,
                                _auction_log_price, map_km, place_xy, planted_auction, planted_shops, shop_log_sales, to_frame, write_rossmann)


def test_same_seed_same_shops_other_seed_other_shops():
    a, b, c = (planted_shops(seed=s, keep=.05) for s in (3, 3, 4))
    pd.testing.assert_frame_equal(a.table(), b.table())
    assert not np.allclose(a.shop_km, c.shop_km)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(seed=st.integers(0, 1000), n_shops=st.integers(16, 60))
def test_the_rule_can_be_recomputed_from_the_table_and_the_truth(seed, n_shops):
    s = planted_shops(seed=seed, n_shops=n_shops, n_days=400, keep=.2)
    t = s.table()
    shop = t['shop'].map({n: i for i, n in enumerate(s.shop_names)}).to_numpy()
    d = t['date'].dt
    rule = shop_log_sales(place_xy(s.shop_km)[shop], s.shop_own[shop], d.day_of_week.to_numpy(), d.month.to_numpy(), d.year.to_numpy(),
                          *(t[c].to_numpy() for c in ('promotion', 'school_holiday', 'before_holiday')))
    np.testing.assert_allclose(rule, s.log_sales, rtol=1e-12)
    noise = np.log(t['sales']) - s.log_sales
    assert abs(noise.std() - s.noise) < .01 and abs(noise.mean()) < .01
    assert [s.states[i] for i in s.shop_state[shop]] == t['state'].tolist()


def test_no_column_is_a_coordinate_and_the_calendar_is_the_same_everywhere():
    s = planted_shops(seed=0, n_days=200)
    t = s.table()
    assert list(t.columns) == ['date', 'shop', 'state', 'promotion', 'school_holiday', 'before_holiday', 'sales']
    for column in ('school_holiday', 'before_holiday'): assert (t.groupby('date')[column].nunique() == 1).all()
    assert (t.groupby('date')['shop'].nunique() == 160).all() # all closed on the same days
    share = t.groupby('shop')['promotion'].mean().reindex(s.shop_names).to_numpy()
    assert np.abs(np.corrcoef(np.c_[share, s.shop_km].T)[0, 1:]).max() < .25 # promotions are drawn by lot
    number = np.array([int(n[-4:]) for n in s.shop_names])
    assert np.abs(np.corrcoef(np.c_[number, s.shop_km].T)[0, 1:]).max() < .25


def test_sixteen_states_with_real_distances():
    assert len(STATES) == len(STATE_CODES) == 16 and len(set(STATE_CODES.values())) == 16
    km = dict(zip(STATES, map_km(list(STATES.values()))))
    assert 280 < np.hypot(*(km['Hamburg'] - km['Hessen'])) < 380
    assert km['Schleswig-Holstein'][1] > km['Bayern'][1] and km['Sachsen'][0] > km['Saarland'][0]


@pytest.mark.parametrize('bad', [dict(n_shops=3), dict(keep=0.), dict(keep=1.5)])
def test_impossible_shops_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))): planted_shops(**bad)


@pytest.mark.parametrize('backend', ['pandas', 'polars', 'pyarrow'])
def test_each_library_gets_the_same_auction(backend):
    a = planted_auction(300, seed=1, n_models=50)
    t = a.table(backend)
    assert len(t) == 300
    price = t['sale_price'].to_pylist() if backend == 'pyarrow' else t['sale_price'].to_list()
    np.testing.assert_array_equal(price, a.columns['sale_price'])
    hours = t['hours'].to_pylist() if backend == 'pyarrow' else t['hours'].to_list()
    assert sum(h is None or h != h for h in hours) == np.isnan(a.columns['hours']).sum() > 0


def test_auction_has_the_levels_of_the_lecture():
    t = planted_auction(20_000, seed=0, n_models=5000).table()
    assert [t[c].nunique() for c in ('product_size', 'coupler', 'enclosure', 'tyre_size')] == [6, 2, 6, 17]
    assert (len(SIZES), len(ENCLOSURES), len(TYRES)) == (6, 6, 17)
    assert t['model_description'].nunique() > 3000
    assert t['sale_date'].is_monotonic_increasing
    old = t['year_made'] < t['sale_date'].dt.year - 12
    assert t['hours'].isna()[old].mean() > 2 * t['hours'].isna()[~old].mean()
    with pytest.raises(ValueError, match='n is 0'): planted_auction(0)


def test_rossmann_round_trip(tmp_path):
    s = planted_shops(seed=2, n_shops=20, n_days=40)
    t = load_rossmann(write_rossmann(tmp_path/'r', seed=2, n_shops=20, n_days=40))
    assert list(t.columns) == ['date', *ROSSMANN_FEATURES, 'sales'] and len(t) == len(s.log_sales)
    assert t['date'].is_monotonic_increasing and (t['day_of_week'] == t['date'].dt.day_of_week + 1).all()
    assert sorted(t['sales']) == sorted(np.round(s.columns['sales']))
    assert t.groupby('store')['state'].nunique().max() == 1


def test_rossmann_leaves_closed_days_out(tmp_path):
    write_rossmann(tmp_path, n_shops=16, n_days=10)
    train = pd.read_csv(tmp_path/'train.csv', dtype={'StateHoliday': str})
    n = len(train)
    train.loc[:4, ['Sales', 'Open']] = 0
    train.loc[5, 'Open'] = None
    train.to_csv(tmp_path/'train.csv', index=False)
    assert len(load_rossmann(tmp_path)) == n - 6


@pytest.mark.parametrize('name', ROSSMANN_FILES)
def test_rossmann_says_what_is_missing(tmp_path, name):
    write_rossmann(tmp_path, n_shops=16, n_days=5)
    (tmp_path/name).rename(tmp_path/'elsewhere')
    with pytest.raises(FileNotFoundError, match=name): load_rossmann(tmp_path)
    pd.DataFrame({'Shop': [1]}).to_csv(tmp_path/name, index=False)
    with pytest.raises(ValueError, match='no column Store'): load_rossmann(tmp_path)


def test_rossmann_stores_without_a_state_are_named(tmp_path):
    write_rossmann(tmp_path, n_shops=16, n_days=5)
    states = pd.read_csv(tmp_path/'store_states.csv')
    states[states['Store'] != 7].to_csv(tmp_path/'store_states.csv', index=False)
    with pytest.raises(ValueError, match='store 7'): load_rossmann(tmp_path)


def test_unknown_library_is_refused():
    with pytest.raises(ValueError, match='pandas'): to_frame({'a': [1]}, 'modin')


def test_the_rule_of_the_auction_is_the_one_in_the_table():
    "A small plain machine, new, sold in July 2000; then each part of the rule alone"
    plain = dict(size=0, model=0., age=0., hours=0., hydraulic=False, enclosure=0, tyre=8, year=2000, month=7)
    def price(**other): return float(_auction_log_price(**{k: np.array([v]) for k, v in {**plain, **other}.items()})[0])
    base = price()
    assert base == pytest.approx(10.4 - .6) and [price(size=k) - base for k in range(6)] == pytest.approx([.24 * k for k in range(6)])
    parts = [(dict(model=.3), .3), (dict(age=10.), -.5), (dict(size=5, age=10.), 1.2 - .2), (dict(hours=1000.), -.04 * math.log(2)), (dict(hydraulic=True), .2),
             (dict(size=2, hydraulic=True), .48 + .1), (dict(enclosure=2), .08), (dict(enclosure=3), .16), (dict(enclosure=3, month=1), 0), (dict(tyre=10), .02),
             (dict(year=2005), .1), (dict(year=2009), .18 - .25)]
    for changed, effect in parts: assert price(**changed) - base == pytest.approx(effect, abs=1e-12), changed

@pytest.mark.parametrize('name', ROSSMANN_FILES)
def test_planted_shops_do_not_replace_real_ones(tmp_path, name):
    (tmp_path/name).write_text('Store\n1\n')
    with pytest.raises(FileExistsError, match=name): write_rossmann(tmp_path, n_shops=16, n_days=5)
    assert os.listdir(tmp_path) == [name] and (tmp_path/name).read_text() == 'Store\n1\n'
