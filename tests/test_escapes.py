"Right values for changes of the code that once passed every test"
import pytest, torch
import torch.nn.functional as F
from openpyxl import Workbook
from openpyxl.utils import get_column_letter as letter
from ddl_lesson8.activations import binary_cross_entropy
from ddl_lesson8.parameters import create_params
from ddl_lesson8.ranking import list_metrics
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.solver import _shorten
from ddl_lesson8.sheets.xlsx import open_workbook
from ddl_lesson8.train.tabular_model import LinBnDrop
from ddl_lesson8.train.learner import suggest
from ddl_lesson8.train.rating_learner import bpr_loss, softmax_loss
from ddl_lesson8.train.recorder import accuracy, rmse


def test_the_valley_lies_half_way_down_the_longest_fall():
    "fastai's rule: from the start s of a fall of n points, s + n/3 + n/6"
    lrs = [1e-7 * 1.5**i for i in range(40)]
    flat, fall, rise = [1.] * 14, [.9 - .05 * i for i in range(12)], [2. + i for i in range(14)]
    assert suggest(lrs, flat + fall + rise).valley == lrs[4 + 8 + 13//3 + 13//6]


def test_batch_norm_of_a_tabular_layer_starts_at_a_thousandth():
    "fastai's BatchNorm begins with the bias 1e-3, so that no input stands at the kink of a ReLU"
    assert (LinBnDrop(3, 2)[0].bias == 1e-3).all() and (LinBnDrop(3, 2, lin_first=True)[1].bias == 1e-3).all()


def test_a_step_must_lower_the_value_enough():
    "Armijo's rule (Nocedal and Wright, Numerical Optimization, 3.4): f(new) <= f + 1e-4 slope (new - x)"
    loss = lambda x: (float(x @ x) / 2, x)
    x = torch.ones(1, dtype=torch.float64)
    far = torch.full_like(x, torch.inf)
    new, value, _ = _shorten(loss, x, .5, x, -2.00005 * x, -far, far)
    assert value < .5 and new.item() == pytest.approx(-.000025)


@pytest.mark.parametrize('down, right', [(1, 2), (2, 1), (3, 2)])
def test_a_window_may_move_by_other_steps_down_than_right(tmp_path, down, right):
    "PyTorch's convolution with stride (down, right)"
    image, kernel = torch.rand(9, 9, dtype=torch.float64), torch.rand(3, 2, dtype=torch.float64)
    want = F.conv2d(image[None, None], kernel[None, None], stride=(down, right))[0, 0]
    book = Workbook()
    sheet = book.active
    sheet.title = 'S'
    for r, row in enumerate(image.tolist(), 1):
        for c, v in enumerate(row, 1): sheet.cell(r, c, v)
    for r, row in enumerate(kernel.tolist(), 1):
        for c, v in enumerate(row, 12): sheet.cell(r, c, v)
    for i in range(want.shape[0]):
        for j in range(want.shape[1]):
            top, left = 1 + i * down, 1 + j * right
            sheet.cell(20 + i, 1 + j, f'=SUMPRODUCT({letter(left)}{top}:{letter(left + 1)}{top + 2},$L$1:$M$3)')
    book.save(tmp_path/'stride.xlsx')
    got = SheetModule.load(tmp_path/'stride.xlsx')[f'S!A20:{letter(want.shape[1])}{19 + want.shape[0]}']
    assert torch.allclose(got, want, rtol=1e-12, atol=0)


def test_first_numbers_have_the_spread_of_the_lecture():
    "Claim P6: `create_params` draws from a normal distribution of spread 0.01"
    assert create_params(100_000).std().item() == pytest.approx(.01, rel=.02)


@pytest.mark.parametrize('kind', [torch.uint8, torch.int64, torch.bool])
def test_targets_that_are_bytes_count_as_numbers(kind): # a negated 1 of uint8 is 255
    share, target = torch.tensor([.2, .7]), torch.tensor([0, 1])
    if kind == torch.bool:
        with pytest.raises(TypeError, match='bool'): binary_cross_entropy(share, target.to(kind))
    else: assert binary_cross_entropy(share, target.to(kind)).item() == pytest.approx(F.binary_cross_entropy(share, target.float()).item())


@pytest.mark.parametrize('pred, target, kind', [([0, 5], [3, 1], torch.uint8), ([0, 5], [3, 1], torch.int64), ([500., 0.], [0., 0.], torch.float16), ([1, 0], [0, 0], torch.bool)])
def test_rmse_of_any_numbers(pred, target, kind):
    right = (sum((a - b) ** 2 for a, b in zip(pred, target)) / len(pred)) ** .5
    assert rmse(torch.tensor(pred).to(kind), torch.tensor(target).to(kind)).item() == pytest.approx(right, rel=1e-3)


def test_scores_of_one_class_are_no_scores():
    with pytest.raises(ValueError, match='accuracy'): accuracy(torch.zeros(4, 1), torch.zeros(4, dtype=torch.long))


@pytest.mark.parametrize('shape', [(3, 1), (1,), (), (5,), (3, 5)])
def test_metrics_of_lists_do_not_stretch(shape):
    with pytest.raises(ValueError, match='lists'): list_metrics(torch.ones(3, 5, dtype=torch.bool), torch.full(shape, 5))


def test_a_list_has_no_more_hits_than_relevant_items():
    for n in (0, 2):
        with pytest.raises(ValueError, match='relevant'): list_metrics(torch.ones(1, 3, dtype=torch.bool), torch.tensor([n]))


@pytest.mark.parametrize('loss', [bpr_loss, softmax_loss])
def test_losses_of_order_take_pairs(loss):
    with pytest.raises(ValueError, match='pairs'): loss(None, torch.zeros(4, dtype=torch.long), torch.zeros(4, 1, dtype=torch.long))


@pytest.mark.parametrize('text', ['_x0041_' * 4000, '\x01' * 5000])
def test_a_text_that_grows_by_its_escapes_is_not_cut(text, tmp_path): # Excel counts what is read, not what is written
    book = Book()
    book.sheet('S').text('A1', text)
    assert open_workbook(book.save(tmp_path/'t.xlsx')).cells('S')[1, 1].value == text


@pytest.mark.parametrize('word', ['a,b', 'a"b', ' a', 'a ', '', '\n', 'x' * 256, '\ud800'])
def test_words_that_a_list_cannot_hold_are_refused(word):
    sheet = Book().sheet('S')
    with pytest.raises(SheetError, match='list of words'): sheet.choose(sheet.put(torch.zeros(1, 1)), [word, 'z'])


def test_names_of_excel_are_refused():
    with pytest.raises(SheetError, match='defined name'): Book().check_name('_xlnm.Print_Area')
