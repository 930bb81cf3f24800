"The transformer keeps scikit-learn's rules"
import numpy as np, pytest
sklearn = pytest.importorskip('sklearn')
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from ddl_lesson8.entities import EntityEmbedding
from ddl_lesson8.data.tables import planted_shops


@parametrize_with_checks([EntityEmbedding(layers=(8,), epochs=1)])
def test_rules(estimator, check): check(estimator)


def test_names_unknown_values_and_seeds():
    t = planted_shops(0, n_shops=16, keep=.05).table()
    e = EntityEmbedding(cat_names=['shop', 'state'], cont_names=['promotion'], emb_szs=dict(shop=3, state=2), epochs=1)
    z = e.fit_transform(t, t['sales'])
    assert e.get_feature_names_out().tolist() == ['shop_0', 'shop_1', 'shop_2', 'state_0', 'state_1', 'promotion'] and z.shape == (len(t), 6)
    np.testing.assert_array_equal(clone(e).fit(t, t['sales']).transform(t), z)
    new = e.transform(t.assign(shop='shop 9999'))
    assert (new[:, :3] == new[0, :3]).all() and (new[:, 3:] == z[:, 3:]).all()


def test_a_target_of_two_columns_is_refused():
    t = planted_shops(0, n_shops=16, keep=.05).table()
    two = np.stack([t['sales'], t['sales']], 1)
    with pytest.raises(ValueError, match='1d array'): EntityEmbedding(epochs=1).fit(t.drop(columns='sales'), two)
    e = EntityEmbedding(cat_names=['shop'], cont_names=['promotion'], epochs=1)
    np.testing.assert_array_equal(e.fit_transform(t, two[:, :1]), e.fit_transform(t, two[:, 0]))

def test_new_categories_are_told_at_the_callers_line(): # not at the line of what wraps it
    pd = pytest.importorskip('pandas')
    x = pd.DataFrame(dict(shop=['a', 'b'] * 20, size=np.arange(40.)))
    made = EntityEmbedding(cat_names=['shop'], epochs=1).fit(x, np.arange(40.))
    with pytest.warns(UserWarning, match="'shop' in 40 of 40 rows, such as 'c'") as said: made.transform(x.assign(shop='c'))
    assert said[0].filename == __file__


@pytest.mark.parametrize('size', [1e-300, 1e200, 4e306])
def test_numbers_of_any_size_are_learned(size): # their squares overflowed, or vanished, and the embeddings learned nothing
    X, y = dict(c=list('ab') * 20, n=np.arange(40) * .5), np.arange(40.)
    pd = pytest.importorskip('pandas')
    def features(y): return EntityEmbedding(epochs=2).fit(pd.DataFrame(X), y).transform(pd.DataFrame(X))
    np.testing.assert_allclose(features(y * size), features(y), rtol=1e-4, atol=1e-5)


def test_tables_of_pyarrow_and_a_column_called_target():
    pd, pa = pytest.importorskip('pandas'), pytest.importorskip('pyarrow')
    columns, y = dict(target=list('ab') * 20, target_=list('cd') * 20, n=np.arange(40) * .5), np.arange(40.)
    ours, theirs = (EntityEmbedding(epochs=1).fit(t, y).transform(t) for t in (pa.table(columns), pd.DataFrame(columns)))
    np.testing.assert_array_equal(ours, theirs)
