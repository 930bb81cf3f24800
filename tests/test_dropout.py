"Dropout against PyTorch: equal numbers, equal distribution, gradients, devices, and what happens to generators"
import copy, math, re, zipfile
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8.book import checks_dropout as checks
from ddl_lesson8.book.exercises import check_exercise, check_sheet_exercise
from ddl_lesson8.book.sheet_dropout import dropout_sheet
from ddl_lesson8.dropout import Dropout, Dropout2d, dropout, dropout_mask, dropout_on, mean_and_doubt, predict_samples
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import crosscheck, read_range
from ddl_lesson8.sheets.engine import Engine

fixed = settings(derandomize=True, deadline=None, max_examples=30)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here')
def gen(seed=0): return torch.Generator().manual_seed(seed)

@given(st.floats(0, 0.95), st.sampled_from([torch.float32, torch.float64]), st.integers(0, 10**6))
@fixed
def test_equals_pytorch_with_its_mask(p, dtype, seed):
    x = torch.randn(5, 40, generator=gen(seed), dtype=dtype).abs() + 0.1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = F.dropout(x, p)
    ours = dropout(x, p, mask=theirs != 0)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs, rtol=4 * torch.finfo(dtype).eps, atol=0)

@pytest.mark.parametrize('p', [0.1, 0.2, 0.5, 0.8])
def test_same_distribution(p):
    "Kept cells of 4,000 rows: mean, variance, and the two-sample chi-square against F.dropout"
    n, rows = 100, 4000
    ours = dropout(torch.ones(rows, n), p, generator=gen(1)).count_nonzero(1)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        theirs = F.dropout(torch.ones(rows, n), p).count_nonzero(1)
    var = n * p * (1 - p)
    for kept in (ours, theirs):
        assert abs(kept.double().mean() - n * (1 - p)) < 4 * math.sqrt(var / rows)
        assert abs(kept.double().var() - var) < 4 * var * math.sqrt(2 / rows)
    a, b = (torch.bincount(k, minlength=n + 1).double() for k in (ours, theirs))
    seen = a + b >= 10
    chi2, df = ((a - b)**2 / (a + b))[seen].sum(), int(seen.sum()) - 1
    assert chi2 < df + 4 * math.sqrt(2 * df)

def test_cells_are_independent():
    "Neighbours are dropped together as often as chance says"
    m = dropout_mask((1000, 1000), 0.3, gen(3))
    for a, b in ((m[:, 1:], m[:, :-1]), (m[1:], m[:-1])): assert abs((a & b).double().mean() - 0.49) < 0.002

def test_a_random_number_equal_to_the_rate_is_dropped(monkeypatch):
    monkeypatch.setattr(torch, 'rand', lambda *size, **kwargs: torch.tensor([0.25, 0.5, 0.75]))
    assert dropout_mask((3,), 0.5).tolist() == [False, False, True] and dropout_mask((3,), 0.25).tolist() == [False, True, True]

@pytest.mark.parametrize('p', [0., 1.])
def test_the_ends(p):
    x = torch.randn(50, generator=gen())
    assert torch.equal(dropout(x, p), F.dropout(x, p)) and dropout_mask((10_000,), p).float().mean() == 1 - p

def test_gradient():
    x, mask = torch.randn(4, 6, generator=gen(), dtype=torch.float64, requires_grad=True), dropout_mask((4, 6), 0.4, gen())
    assert torch.autograd.gradcheck(lambda x: dropout(x, 0.4, mask=mask), x)
    dropout(x, 0.4, mask=mask).sum().backward()
    torch.testing.assert_close(x.grad, mask.double() / 0.6)

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_keeps_dtype_and_rate(dtype):
    out = dropout(torch.ones(200_000, dtype=dtype), 0.3, generator=gen())
    assert out.dtype == dtype and abs((out == 0).double().mean() - 0.3) < 0.005

def test_unscaled_is_the_spreadsheets_form():
    x, u = torch.rand(9, 9, generator=gen()), torch.rand(9, 9, generator=gen(1))
    assert torch.equal(dropout(x, 0.4, scale=False, mask=u > 0.4), torch.where(u > 0.4, x, 0.))

def test_layer_follows_train_and_eval_and_its_generator():
    x, layer = torch.ones(20, 20), Dropout(0.5, generator=gen(5))
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert torch.equal(Dropout(0.5, generator=gen(5))(x), first)
    state = torch.random.get_rng_state()
    layer(x)
    assert torch.equal(state, torch.random.get_rng_state())     # a generator of its own leaves PyTorch's alone
    assert torch.equal(copy.deepcopy(layer)(x), layer(x)) and layer.eval()(x) is x
    assert Dropout(0.2, scale=False)(x).max() == 1 and repr(Dropout(0.2, scale=False)) == 'Dropout(p=0.2, scale=False)'

def test_dropout2d_drops_whole_channels():
    out = Dropout2d(0.5, generator=gen())(torch.ones(50, 40, 3, 3))
    flat = out.flatten(2)
    assert ((flat == 0).all(2) | (flat == 2).all(2)).all() and abs((flat[:, :, 0] == 0).double().mean() - 0.5) < 0.05

def test_samples_switch_only_dropout_on_and_restore():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), Dropout(0.5), nn.Dropout(0.5), nn.Linear(8, 3))
    model.train(); model[4].eval()
    modes, means = [m.training for m in model.modules()], model[1].running_mean.clone()
    samples = predict_samples(model, torch.randn(6, 4, generator=gen()), n=7)
    assert samples.shape == (7, 6, 3) and not torch.equal(samples[0], samples[1]) and not samples.requires_grad
    assert [m.training for m in model.modules()] == modes and torch.equal(model[1].running_mean, means)
    with pytest.raises(RuntimeError), dropout_on(model): raise RuntimeError
    assert [m.training for m in model.modules()] == modes

def test_doubt_is_zero_where_all_agree():
    mean, doubt = mean_and_doubt(torch.tensor([[[9., 0], [9, -9]], [[9, 0], [-9, 9]]]))
    assert abs(doubt[0]) < 1e-6 and doubt[1] > 0.69 and torch.allclose(mean.sum(1), torch.ones(2))

def test_errors():
    for f in (lambda: dropout(torch.ones(2), 1.5), lambda: dropout_mask((2,), -0.1), lambda: Dropout(2)):
        with pytest.raises(ValueError, match='between 0 and 1'): f()
    with pytest.raises(ValueError, match='pictures'): Dropout2d()(torch.ones(2, 3, 4))

def test_sheet(tmp_path):
    book = Book()
    found = dropout_sheet(book)
    path = book.save(tmp_path/'d.xlsx')
    for _ in range(2): assert crosscheck(path, found)            # each recalculation draws new numbers
    maps = {b.label: b for b in book['dropout'].blocks}['second convolution + ReLU']
    scaled = next(c.where for c in found if c.name == 'scaled')
    assert torch.equal(read_range(path, scaled, changes={'dropout!F4': 0}), read_range(path, maps))
    assert not read_range(path, scaled, changes={'dropout!A4': 1}).any() # a rate of 1 is no division by zero
    widths = re.findall(r'<col [^>]*width="([\d.]+)"', zipfile.ZipFile(path).read('xl/worksheets/sheet1.xml').decode())
    assert float(max(widths)) < 1.3 * float(min(widths))          # cells are nearly square

def test_the_sheet_counts_survivors(tmp_path):
    book = Book()
    dropout_sheet(book)
    path = book.save(tmp_path/'d.xlsx')
    n, survive, rate = (next(b for b in book['dropout'].blocks if b.label == label) for label in ('cells', 'survive', 'rate in fact'))
    for p, low, high in ((0., 576, 576), (0.8, 60, 180), (1., 0, 0)):
        left = round(576 * (1 - read_range(path, rate, changes={'dropout!A4': p}).item()))
        assert low <= left <= high and read_range(path, n) == 576 and 0 <= read_range(path, survive) <= 576

@cuda
def test_cuda():
    x, g = torch.ones(1000, 1000, device='cuda'), torch.Generator('cuda').manual_seed(0)
    for out in (dropout(x, 0.3, generator=g), Dropout(0.3)(x), Dropout(0.3, generator=g)(x)):
        assert out.device == x.device and abs((out == 0).double().mean() - 0.3) < 0.005

# the exercises: right answers pass, wrong ones get a hint that does not give the answer away

def words(h, p, generator): return h * dropout_mask((len(h), 1), p, generator) / (1 - p)
RIGHT = {'check_gap': [lambda p: (p, p + 0.001), lambda p: [p, p + 1e-3]], 'check_all_gone': [lambda p: p ** 4],
         'check_course_dropout': [lambda x, u, p: torch.where(torch.where(u > p + 0.001, u, 0.) == 0, 0., x), lambda x, u, p: x * (u > p + 0.001)],
         'check_one_rate': [lambda p, q: 1 - (1 - p) * (1 - q), lambda p, q: p + q - p * q],
         'check_repair': [lambda h, p: h * (1 - p)],
         'check_word_dropout': [words, lambda h, p, g: dropout(h, p, mask=torch.rand(len(h), 1, generator=g) > p)]}
WRONG = {'check_gap': [(lambda p: p + 0.001, 'two numbers'), (lambda p: (p + 0.001, p), 'comes first'), (lambda p: (0, p + 0.001), 'difference begin'), (lambda p: (p, 1), 'keep a cell, too'), (lambda p: (0.5, 0.501), '0.2'),
                       (lambda p: [].sort(), 'return')],
         'check_all_gone': [(lambda p: p, 'one cell'), (lambda p: 4 * p, 'certain'), (lambda p: 1 - (1 - p) ** 4, 'at least one'), (lambda p: p ** 2, 'windows'), (lambda p: 1 - p ** 4, 'certain'), (lambda p: (1 - p) ** 4, 'certain')],
         'check_course_dropout': [(lambda x, u, p: torch.where(u > p + 0.001, u, 0.), 'stays in the mask'), (lambda x, u, p: x * torch.where(u > p + 0.001, u, 0.), 'stays in the mask'),
                                   (lambda x, u, p: x * (u > p), '0.5005'), (lambda x, u, p: x * (u > p + 0.001) / (1 - p), 'scales nothing'), (lambda x, u, p: x * (u < p), 'keeps its cell'),
                                   (lambda x, u, p: x * (u > 0.501), '0.2'), (lambda x, u, p: x, 'drops its cell')],
         'check_one_rate': [(lambda p, q: p + q, 'above 1'), (lambda p, q: p * q, 'changes nothing'), (lambda p, q: (p + q) / 2, 'changes nothing'), (lambda p, q: max(p, q), 'of 200,000 cells'),
                             (lambda p, q: 'p', 'a text')],
         'check_repair': [(lambda h, p: h / (1 - p), 'on average'), (lambda h, p: h * p, 'on average'), (lambda h, p: h, 'on average'), (lambda h, p: (h * (1 - p)).sum(), 'one number')],
         'check_word_dropout': [(lambda h, p, g: dropout(h, p, generator=g), 'as a whole'), (lambda h, p, g: h * dropout_mask((len(h), 1), p, g), 'scaled'), (lambda h, p, g: words(h, p, None), 'generator'),
                                 (lambda h, p, g: words(h, 1 - p, g), 'of the rows'), (lambda h, p, g: h, 'no row'), (lambda h, p, g: dropout(h, p, mask=dropout_mask((1, 3), p, g)), 'as a whole'),
                                 (lambda h, p, g: h * 0, 'every row')]}

@pytest.mark.parametrize('check', RIGHT)
def test_exercises(check):
    checker = getattr(checks, check)
    torch.manual_seed(1)
    for answer in RIGHT[check]: assert check_exercise(answer, checker), check_exercise(answer, checker)
    for answer, hint in WRONG[check]:
        outcome = check_exercise(answer, checker)
        assert outcome.state == 'not yet' and hint in outcome.hint, outcome

def judge(path):
    return check_sheet_exercise('sheet_nothing_dropped', path)

def test_the_exercise_on_the_sheet(tmp_path):
    dropout_sheet(book := Book())
    fresh = book.save(tmp_path/'fresh.xlsx')
    def saved(name, changes):
        Engine(fresh).change(changes).save(tmp_path/name)
        return tmp_path/name
    assert judge(saved('right.xlsx', {'dropout!A4': 0}))
    cases = [(fresh, 'nothing has changed'), (saved('switch.xlsx', {'dropout!F4': 0}), 'another way'), (saved('both.xlsx', {'dropout!A4': 0, 'dropout!F4': 0}), 'another way'),
             (saved('one.xlsx', {'dropout!A4': 1}), 'nothing is left'), (saved('half.xlsx', {'dropout!A4': 0.2}), 'some cells are deleted'), (saved('pixel.xlsx', {'dropout!A4': 0, 'dropout!A36': .5}), 'A36 has changed')]
    for path, hint in cases: assert hint in judge(path).hint, (hint, judge(path))


def test_the_plain_version_leaves_survivors_as_they_are():
    "The lecture's sheet only deletes; scaling comes with the library's version"
    from ddl_lesson8.dropout import delete_some
    torch.manual_seed(0)
    assert set(delete_some(torch.full((1000,), 3.), .5).tolist()) == {0., 3.}
