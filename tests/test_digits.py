"Digits: strokes by distance, any number of seeded digits, idx files read or refused"
import functools, gzip, hashlib, http.server, os, struct, threading
import pytest, torch
from hypothesis import given, settings, strategies as st
import ddl_lesson8.data.digits as digits
from ddl_lesson8.data.downloads import DownloadError
from ddl_lesson8.data.digits import (centre_by_mass, curve_weights, draw_seven, glyph, glyph_lines, make_digits, mnist,
                                read_idx, stroke_distance, PIECES)

SEARCH = dict(max_examples=60, deadline=None, derandomize=True)
coord = st.floats(-5, 33, allow_nan=False, width=32)

def naive_distance(px, py, ax, ay, bx, by):
    "Distance from a point to a segment, by projection"
    dx, dy = bx - ax, by - ay
    sq = dx * dx + dy * dy
    t = 0. if sq == 0 else max(0., min(1., ((px - ax) * dx + (py - ay) * dy) / sq))
    return ((px - ax - t * dx)**2 + (py - ay - t * dy)**2)**.5

@settings(**SEARCH)
@given(st.lists(st.tuples(coord, coord, coord, coord), min_size=1, max_size=4), st.integers(1, 9))
def test_distance_is_to_the_nearest_segment(pieces, size):
    seg = torch.tensor(pieces, dtype=torch.float64).reshape(1, -1, 2, 2)
    got = stroke_distance(seg, size)[0]
    want = [[min(naive_distance(x, y, *p) for p in seg.reshape(-1, 4).tolist()) for x in range(size)] for y in range(size)]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), atol=1e-5, rtol=1e-5)

@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_the_seven(dtype):
    seven = draw_seven(dtype=dtype)
    assert seven.shape == (28, 28) and seven.dtype == dtype
    assert seven.min() == 0 and seven.max() == 1 and torch.equal(seven, draw_seven(dtype=dtype))
    assert seven[:4].max() == 0 and seven[-4:].max() == 0
    torch.testing.assert_close(seven.double(), draw_seven(dtype=torch.float64), atol=1e-6, rtol=0)
    assert draw_seven(56).shape == (56, 56)

@settings(**SEARCH)
@given(st.integers(2, 9), st.integers(1, 40), st.booleans())
def test_curve_weights_pass_through_the_ends(n, pieces, smooth):
    w = curve_weights(n, pieces, smooth)
    torch.testing.assert_close(w.sum(1), torch.ones(pieces + 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(w[0], torch.eye(n)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(w[-1], torch.eye(n)[-1], atol=1e-5, rtol=0)

def test_every_handwriting_makes_all_its_pieces():
    for ways in glyph_lines().values():
        assert len(ways) >= 3
        for text in ways:
            points, starts, ends = glyph(text)
            assert starts.shape == ends.shape == (PIECES, len(points))

def test_digits_depend_on_the_seed_only():
    x, y = make_digits(64, seed=5)
    assert x.shape == (64, 1, 28, 28) and x.dtype == torch.float32 and y.dtype == torch.int64
    again = make_digits(64, seed=5)
    assert torch.equal(x, again[0]) and torch.equal(y, again[1])
    assert not torch.equal(x, make_digits(64, seed=6)[0])
    state = torch.get_rng_state()
    make_digits(3)
    assert torch.equal(state, torch.get_rng_state())

def test_digits_fill_the_box_and_keep_off_the_border():
    x, y = make_digits(2000, seed=2)
    assert x.min() == 0 and x.max() == 1 and torch.isfinite(x).all()
    assert x[:, :, [0, -1]].max() == 0 and x[..., [0, -1]].max() == 0
    assert y.bincount(minlength=10).min() > 140
    rows, cols = (x[:, 0].amax(2) > .3).sum(1), (x[:, 0].amax(1) > .3).sum(1)
    assert 19 <= torch.maximum(rows, cols).float().mean() <= 21
    assert 85 < x.sum((1, 2, 3)).mean() < 130

def test_sizes_classes_and_empty():
    assert make_digits(7, size=20)[0].shape == (7, 1, 20, 20)
    assert make_digits(0)[0].shape == (0, 1, 28, 28)
    assert set(make_digits(40, classes=[1, 8])[1].tolist()) == {1, 8}

@pytest.mark.parametrize('bad', [dict(n=-1), dict(n=3, size=4), dict(n=3, classes=[10]), dict(n=3, classes=[])])
def test_impossible_requests(bad):
    with pytest.raises(ValueError): make_digits(**bad)

def test_mass_is_centred():
    x = torch.zeros(2, 28, 28)
    x[0, 2, 3], x[1, 20:24, 5:9] = 1, .5
    y = centre_by_mass(x)
    assert y[0, 14, 14] == 1 and torch.equal(y.sum((1, 2)), x.sum((1, 2)))
    assert torch.equal(centre_by_mass(x, most=0), x)

def write_idx(path, t, gz=False):
    raw = b'\0\0\x08' + bytes([t.ndim]) + struct.pack(f'>{t.ndim}I', *t.shape) + t.numpy().tobytes()
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(gzip.compress(raw) if gz else raw)

@pytest.mark.parametrize('gz', [False, True])
def test_reads_what_was_written(tmp_path, gz):
    x = torch.randint(256, (5, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    end = '.gz' if gz else ''
    write_idx(tmp_path/'mnist'/f'train-images-idx3-ubyte{end}', x, gz)
    write_idx(tmp_path/'mnist'/f'train-labels-idx1-ubyte{end}', torch.arange(5, dtype=torch.uint8), gz)
    got, y = mnist('train', folder=tmp_path)
    torch.testing.assert_close(got, x[:, None] / 255)
    assert y.tolist() == [0, 1, 2, 3, 4] and y.dtype == torch.int64

def test_bad_files_are_refused_by_name(tmp_path, monkeypatch):
    good = tmp_path/'good.gz'
    write_idx(good, torch.zeros(4, 2, dtype=torch.uint8), True)
    cut = tmp_path/'cut.gz'
    cut.write_bytes(good.read_bytes()[:-9])
    text = tmp_path/'page.gz'
    text.write_bytes(b'<html>404</html>')
    plain, short = tmp_path/'other', tmp_path/'short'
    plain.write_bytes(b'PNG...')
    short.write_bytes(b'\0\0\x08\x03\0\0')
    for path, words in [(cut, 'damaged'), (text, 'damaged'), (plain, 'not an idx'), (short, 'header')]:
        with pytest.raises(ValueError, match=words) as e: read_idx(path)
        assert path.name in str(e.value)
    with pytest.raises(FileNotFoundError, match='t10k-images'): mnist('test', folder=tmp_path)
    with pytest.raises(ValueError, match='train'): mnist('valid', folder=tmp_path)
    monkeypatch.delenv('DDL_LESSON8_DATA', raising=False)
    monkeypatch.setenv('DDL_LESSON8_CACHE', str(tmp_path/'cache'))
    with pytest.raises(FileNotFoundError, match=r'cache.*mnist\(download=True\).*DDL_LESSON8_DATA'): mnist()

@pytest.fixture
def mirror(tmp_path, monkeypatch):
    "A server on loopback with four tiny files in MNIST's form, and an empty cache"
    monkeypatch.delenv('DDL_LESSON8_DATA', raising=False)
    monkeypatch.setenv('DDL_LESSON8_CACHE', str(tmp_path/'cache'))
    for k, name in enumerate(('train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')):
        write_idx(tmp_path/'site'/f'{name}.gz', torch.full((3, 28, 28), 51, dtype=torch.uint8) if k % 2 == 0 else torch.tensor([7, 2, 1], dtype=torch.uint8), True)
    sums = {p.name[:-3]: 'md5:' + hashlib.md5(p.read_bytes()).hexdigest() for p in (tmp_path/'site').iterdir()}
    monkeypatch.setattr(digits, 'MNIST_CHECKSUMS', sums)
    log = []
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *a): log.append(self.path)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=tmp_path/'site'))
    threading.Thread(target=server.serve_forever, args=(.01,), daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/', log, tmp_path/'cache'/'mnist'
    server.shutdown()
    server.server_close()

def test_mnist_is_fetched_on_request_only_and_then_kept(mirror):
    url, log, cache = mirror
    with pytest.raises(FileNotFoundError): mnist(url=url)
    assert log == []
    x, y = mnist(download=True, url=url)
    assert x.shape == (3, 1, 28, 28) and torch.allclose(x, torch.tensor(.2)) and y.tolist() == [7, 2, 1] and len(log) == 2
    again = mnist(download=True, url='http://127.0.0.1:9/')
    assert torch.equal(again[0], x) and torch.equal(mnist(url=url)[1], y) and len(log) == 2
    assert sorted(p.name for p in cache.iterdir()) == ['t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz']
    assert mnist('train', download=True, url=url)[1].tolist() == [7, 2, 1] and len(log) == 4

def test_mnist_of_another_checksum_is_not_kept(mirror, monkeypatch):
    url, _, cache = mirror
    monkeypatch.setitem(digits.MNIST_CHECKSUMS, 't10k-labels-idx1-ubyte', 'md5:0000')
    with pytest.raises(DownloadError, match='expected md5:0000.*not kept'): mnist(download=True, url=url)
    assert [p.name for p in cache.iterdir()] == ['t10k-images-idx3-ubyte.gz']

def test_mnist_that_is_gone_says_so(mirror):
    url, _, cache = mirror
    with pytest.raises(DownloadError, match='404'): mnist(download=True, url=f'{url}elsewhere/')
    assert list(cache.iterdir()) == []

def test_published_checksums_name_the_four_files():
    assert len(set(digits.MNIST_CHECKSUMS.values())) == 4 and all(v.startswith('md5:') and len(v) == 36 for v in digits.MNIST_CHECKSUMS.values())

@pytest.mark.skipif(not os.environ.get('DDL_LESSON8_DATA'), reason='needs DDL_LESSON8_DATA')
def test_real_test_set():
    x, y = mnist('test')
    assert x.shape == (10_000, 1, 28, 28) and y.bincount().tolist()[:3] == [980, 1135, 1032]

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_same_digits_on_the_gpu():
    x, y = make_digits(100, seed=1, device='cuda')
    assert x.is_cuda and y.is_cuda
    torch.testing.assert_close(x.cpu(), make_digits(100, seed=1)[0], atol=1e-4, rtol=0)
