"Ratings at addresses, and a recommender that takes what was scanned"
import os
import pytest, torch
pl, fsspec = pytest.importorskip('polars'), pytest.importorskip('fsspec')
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.train.learner import load_learner


@pytest.fixture(scope='module')
def table():
    r = planted_ratings(seed=0, n_users=60).ratings
    return pl.DataFrame(dict(user=[r.users[k] for k in r.user.tolist()], item=[r.items[k] for k in r.item.tolist()], rating=r.rating.tolist()))

@pytest.fixture(scope='module')
def near(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp('near')
    table.write_parquet(folder/'r.parquet')
    return scan_ratings(folder/'r.parquet')

def put(address, table):
    with fsspec.open(address, 'wb') as f: table.write_parquet(f) if address.endswith('parquet') else table.write_csv(f)

def same(a, b): return all(torch.equal(x, y) for part in ('train', 'valid') for x, y in zip(a.tensors(part), b.tensors(part))) and a.users == b.users


@pytest.mark.parametrize('kind', ['parquet', 'csv'])
def test_an_address_of_fsspec_gives_the_same_columns(table, near, tmp_path, kind):
    address = f'memory://{tmp_path.name}/r.{kind}'
    put(address, table)
    assert same(scan_ratings(address, tmp_path/'scan'), near)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['scan'] and not (tmp_path/'scan'/'source').exists()

def test_a_folder_at_an_address(table, near, tmp_path):
    for k, part in enumerate((table[:2000], table[2000:])): put(f'memory://{tmp_path.name}/r/{k}.parquet', part)
    assert same(scan_ratings(f'memory://{tmp_path.name}/r', tmp_path/'scan'), near)

def test_it_is_read_again_when_it_has_changed_and_not_before(table, tmp_path):
    address = f'memory://{tmp_path.name}/r.parquet'
    put(address, table)
    scan_ratings(address, tmp_path/'scan')
    before = os.stat(tmp_path/'scan'/'manifest.json').st_mtime_ns
    assert len(scan_ratings(address, tmp_path/'scan')) == len(table) and os.stat(tmp_path/'scan'/'manifest.json').st_mtime_ns == before
    put(address, table[:3000])
    assert len(scan_ratings(address, tmp_path/'scan')) == 3000

def test_a_file_address_is_a_path(table, near, tmp_path):
    (tmp_path/'a b').mkdir()
    table.write_parquet(tmp_path/'a b'/'r.parquet')
    assert same(scan_ratings((tmp_path/'a b'/'r.parquet').as_uri()), near) and (tmp_path/'a b'/'r.parquet.scan').is_dir()

@pytest.mark.parametrize('address, folder, error, words', [('memory://nowhere/r.parquet', 'x', FileNotFoundError, 'no table there'), ('memory://nowhere/r.parquet', None, ValueError, 'folder='),
                                                           ('s3://bucket/r.parquet', None, ValueError, 'folder='), ('nonsense://a/r.parquet', 'x', ValueError, 'nonsense')])
def test_addresses_that_lead_nowhere(tmp_path, address, folder, error, words):
    with pytest.raises(error, match=words): scan_ratings(address, folder and tmp_path/folder)
    assert not list(tmp_path.iterdir())


# ---- a recommender of it

def test_a_recommender_takes_a_scan(near, tmp_path):
    learn = collab_learner(near, n_factors=4, batch_size=256, lr=.02, wd=.1, device='cpu', progress=False)
    assert (learn.data.batch_size, learn.lr, learn.wd, len(learn.users), len(learn.items)) == (256, .02, .1, near.n_users, near.n_items)
    assert sum(learn.data.train[0].shape) + len(learn.data.valid[0]) == len(near)
    found = learn.fit_one_cycle(3).epochs
    assert found[-1]['valid_loss'] < found[0]['valid_loss']
    seen = {near.items[i] for i in near.column('item')[near.column('user') == near.users.index('person 7')].tolist()}
    assert not seen & {item for item, _ in learn.recommend('person 7')}
    learn.save(tmp_path/'l')
    assert load_learner(tmp_path/'l', device='cpu').recommend('person 7') == learn.recommend('person 7')

def test_its_range_can_be_chosen(near):
    assert collab_learner(near, y_range=False, device='cpu').model.y_range is None
    assert collab_learner(near, y_range=(0, 6), device='cpu').model.y_range == (0, 6)
    with pytest.raises(ValueError, match='leaves out ratings'): collab_learner(near, y_range=(2, 3), device='cpu')

@pytest.mark.parametrize('kwargs', [dict(use_nn=True), dict(metadata=True), dict(loss='bpr')])
def test_what_a_scan_cannot_do_is_refused(near, kwargs):
    with pytest.raises(ValueError, match='ratings on disk'): collab_learner(near, device='cpu', **kwargs)
    learn = collab_learner(near, n_factors=2, device='cpu')
    with pytest.raises(TypeError, match='scan the old and the new'): learn.extend([dict(user='me', item='Heat', rating=5)])
