"Sheets, blocks, formulas and errors of the spreadsheet module"
import contextlib, os, random, re, shutil, tempfile, zipfile
from pathlib import Path
import openpyxl, pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from openpyxl.worksheet.formula import ArrayFormula
from ddl_lesson8.sheets.address import Area, SheetError, cell_name, col_name, col_number, parse_area, quote_sheet, shift_formula
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import Check, crosscheck, read_range
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.xlsx import Cell, open_workbook

FEW = settings(max_examples=12, derandomize=True, deadline=None)
DOUBLE = torch.float64


def rand(*shape, seed=0): return torch.randn(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def sheet(): return Book().sheet('s')


@pytest.fixture
def small(tmp_path):
    "A workbook with an input block, a formula block and a text"
    book = Book()
    s = book.sheet('my sheet')
    x = s.put(torch.arange(6., dtype=DOUBLE).reshape(2, 3), 'x', at='A3', name='x_in')
    y = s.formula((2, 3), lambda i, j: f'{x.ref(i, j)}*2', 'y', name='twice')
    s.text('A8', 'hello')
    book.sheet('other').put([1., 2.], 'z', at='B2')
    return book.save(tmp_path/'small.xlsx'), x, y


# addresses

@given(st.integers(1, 16384))
def test_column_names_round_trip(n): assert col_number(col_name(n)) == n


@FEW
@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500), st.integers(1, 500), st.sampled_from(['', '$']), st.sampled_from(['', '$']))
def test_formula_forms_round_trip(r, c, row, col, dollar_c, dollar_r):
    a = f'={dollar_c}{col_name(c)}{dollar_r}{r}+SUM({dollar_c}{col_name(c)}{dollar_r}{r}:ZZ900)&"A1"'
    assert shift_formula(shift_formula(a, row, col), -row, -col) == a


def test_a_copy_leaves_names_and_texts_alone():
    assert shift_formula("=LOG10(2)+tax1(3)+'B2 x'!A1+rate_A1+\"C3\"", 1, 1) == "=LOG10(2)+tax1(3)+'B2 x'!B2+rate_A1+\"C3\""


def test_a_copy_moves(): assert shift_formula('=B2*$D$4', 7, 1) == '=C9*$D$4'


@pytest.mark.parametrize('bad', ['', 'A', '1', 'A1:B', 'A0', 'A1048577', 'XFE1', 'A1:B2:C3', "sheet!", 'A1 B2'])
def test_bad_ranges(bad):
    with pytest.raises(SheetError): parse_area(bad)


@pytest.mark.parametrize('name', ['conv', 'a b', "it's", 'A1', 'R1C1', '2nd', 'Zoé', 'conv-example (dropout)'])
def test_sheet_names_survive_quoting(name): assert parse_area(f'{quote_sheet(name)}!B2') == Area(name, 2, 2, 2, 2)


# places

def test_blocks_never_collide(sheet):
    for k in range(12): sheet.put(torch.ones(1 + k % 4, 1 + k % 3), 'a label that is long' if k % 2 else '', **({} if k % 5 else {'at': f'A{20 * k + 3}'}))
    a = [x for b in sheet.blocks for x in b.areas]
    assert not any(p.meets(q) for i, p in enumerate(a) for q in a[:i])


def test_collision_is_an_error_and_changes_nothing(sheet):
    sheet.put(torch.ones(3, 3), 'x', at='B3')
    before = dict(sheet.cells)
    with pytest.raises(SheetError, match=r"s: 'y' at D5:F7 would cover x \(3, 3\) at s!B3:D5"): sheet.put(torch.ones(3, 3), 'y', at='D5')
    with pytest.raises(SheetError, match="would cover the label 'x'"): sheet.put(torch.ones(1, 1), '', at='B2')
    with pytest.raises(SheetError, match='would cover x'): sheet.text('C4', 'hello')
    with pytest.raises(SheetError, match='channels of 3 cells do not fit into a pitch of 2'): sheet.put(torch.ones(2, 3, 3), 'z', pitch=2)
    assert sheet.cells == before and len(sheet.blocks) == 1


def test_relative_places_move_on(sheet):
    x = sheet.put(torch.ones(2, 2), 'x', at='B3')
    y = sheet.put(torch.ones(2, 2), 'y', right_of=x)
    z = sheet.put(torch.ones(2, 2), 'z', right_of=x)
    w = sheet.put(torch.ones(2, 2), 'w', below=x)
    v = sheet.put(torch.ones(2, 2), 'v', right_of=x, below=x)
    assert [b.range for b in (x, y, z, w, v)] == ['s!B3:C4', 's!E3:F4', 's!H3:I4', 's!B7:C8', 's!E7:F8']


@pytest.mark.parametrize('shape, kw, ranges', [
    ((), {}, ['s!A3']), ((3,), {}, ['s!A3:C3']), ((3,), {'vertical': True}, ['s!A3:A5']), ((2, 3), {}, ['s!A3:C4']), ((2, 3), {'vertical': True}, ['s!A3:B5']),
    ((2, 2, 3), {}, ['s!A3:C4', 's!A6:C7']), ((2, 2, 3), {'gap': 0}, ['s!A3:C4', 's!A5:C6']), ((2, 2, 3), {'across': True}, ['s!A3:C4', 's!E3:G4']),
    ((2, 2, 3), {'pitch': 10}, ['s!A3:C4', 's!A13:C14']), ((2, 2, 1, 1), {}, ['s!A3', 's!A5', 's!A7', 's!A9']),
    ((2, 2, 1, 1), {'across': True}, ['s!A3', 's!A5', 's!C3', 's!C5'])])
def test_layouts(sheet, tmp_path, shape, kw, ranges):
    x = rand(*shape)
    b = sheet.put(x, **kw, at='A3')
    assert b.ranges == ranges
    path = sheet.book.save(tmp_path/'x.xlsx')
    assert torch.equal(read_range(path, b), x)
    for index in torch.cartesian_prod(*[torch.arange(n) for n in shape]).reshape(-1, len(shape)).tolist() if shape else [()]:
        assert read_range(path, f's!{b.ref(*index)}').item() == x[tuple(index)].item()


def test_limits_of_a_sheet_come_before_any_work(sheet):
    with pytest.raises(SheetError, match='beyond Excel'): sheet.put(torch.zeros(1, 16_385), 'wide', at='A3')
    with pytest.raises(SheetError, match='beyond Excel'): sheet.put(torch.zeros(1_048_577, 1), 'tall', at='A3')
    with pytest.raises(SheetError, match='row 1'): sheet.put(1., 'x', at='A1')
    with pytest.raises(SheetError, match='at most 4'): sheet.put(torch.zeros(1, 1, 1, 1, 1), 'x')
    assert not sheet.cells


def test_long_formula_is_an_error(sheet):
    x, w = sheet.put(torch.ones(300, 3, 3), 'x'), sheet.put(torch.ones(1, 300, 3, 3), 'w')
    with pytest.raises(SheetError, match=r's!\w+: the formula has [\d,]+ characters and Excel allows 8,192'): sheet.conv2d(x, w)
    assert len(sheet.blocks) == 2


@pytest.mark.parametrize('name', ['', 'a/b', 'x' * 32, "'a", 'a[1]', 'S'])
def test_bad_sheet_names(sheet, name):
    with pytest.raises(SheetError): sheet.book.sheet(name)


@pytest.mark.parametrize('name', ['A1', 'r', 'C', 'R1C1', '1x', 'a b', 'a-b', ''])
def test_bad_defined_names(sheet, name):
    with pytest.raises(SheetError, match='defined name'): sheet.put(1., 'x', name=name)


def test_defined_name_is_taken_once(sheet):
    sheet.put(1., 'x', name='rate')
    with pytest.raises(SheetError, match='already'): sheet.put(1., 'y', name='Rate')


# numbers

@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool])
def test_every_dtype_is_written_exactly(sheet, tmp_path, dtype):
    x = (rand(5, 7) * 100).abs().to(dtype)
    b = sheet.put(x, 'x')
    path = sheet.book.save(tmp_path/'x.xlsx')
    assert torch.equal(read_range(path, b), x.double())
    assert torch.equal(read_range(path, b, recalculate=True), x.double())


@settings(max_examples=10, derandomize=True, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300).filter(lambda v: v == 0 or abs(v) > 1e-300), min_size=1, max_size=20))
def test_any_number_survives(tmp_path_factory, values):
    book = Book()
    b = book.sheet('s').put(torch.tensor(values, dtype=DOUBLE), 'x')
    path = book.save(tmp_path_factory.mktemp('x')/'x.xlsx')
    assert read_range(path, b).tolist() == values


def test_tensors_with_gradients_and_lists(sheet, tmp_path):
    a, b = sheet.put(torch.ones(2, requires_grad=True), 'a'), sheet.put([[1, 2], [3, 4]], 'b')
    path = sheet.book.save(tmp_path/'x.xlsx')
    assert read_range(path, a).tolist() == [1, 1] and read_range(path, b, dtype=torch.int64).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize('value, message', [
    (torch.tensor([[1., float('nan')]]), r"s!B3: 'x' holds nan at \[0, 1\]"), (torch.tensor([float('inf')]), 's!A3.*inf'),
    (torch.tensor(2**60), 'holds 1152921504606846976'), (torch.tensor([1j]), 'complex'), ({'a': 1}, 'dict'), (torch.zeros(0, 3), 'no numbers'),
    (['ok', 'bad\uffff'], r's!B3: .*holds U\+FFFF'), (['x' * 40_000], 'longer than')])
def test_what_a_cell_cannot_hold(sheet, value, message):
    with pytest.raises(SheetError, match=message): sheet.put(value, 'x', at='A3')
    assert not sheet.cells


# formulas against PyTorch

def save_and_read(sheet, block, folder): return read_range(sheet.book.save(folder/'x.xlsx'), block)


def close(a, b): torch.testing.assert_close(a, b.double(), rtol=1e-12, atol=1e-12)


@FEW
@given(st.data())
def test_conv2d(tmp_path_factory, data):
    draw = lambda lo, hi, what: data.draw(st.integers(lo, hi), what)
    n_in, n_out, kh, kw = (draw(1, 3, k) for k in ('in', 'out', 'kh', 'kw'))
    h, w = draw(kh, 7, 'h'), draw(kw, 7, 'w')
    stride, padding = (draw(1, 3, 'sh'), draw(1, 3, 'sw')), (draw(0, 4, 'ph'), draw(0, 4, 'pw'))
    x, k, b = rand(n_in, h, w), rand(n_out, n_in, kh, kw, seed=1), rand(n_out, seed=2)
    bias, relu = data.draw(st.booleans()), data.draw(st.booleans())
    s = Book().sheet('s')
    blocks = s.put(x), s.put(k, across=data.draw(st.booleans())), s.put(b) if bias else None
    want = F.conv2d(x[None], k, b if bias else None, stride, padding)[0]
    close(save_and_read(s, s.conv2d(*blocks, stride=stride, padding=padding, relu=relu), tmp_path_factory.mktemp('x')), want.relu() if relu else want)


@FEW
@given(st.data())
def test_pools(tmp_path_factory, data):
    draw = lambda lo, hi, what: data.draw(st.integers(lo, hi), what)
    k = draw(1, 4, 'kh'), draw(1, 4, 'kw')
    x = rand(draw(1, 2, 'c'), draw(k[0], 7, 'h'), draw(k[1], 7, 'w'))
    stride, pad, ceil = (draw(1, 3, 'sh'), draw(1, 3, 'sw')), (draw(0, k[0] // 2, 'ph'), draw(0, k[1] // 2, 'pw')), data.draw(st.booleans())
    s = Book().sheet('s')
    b = s.put(x)
    top, mean = s.max_pool2d(b, k, stride, pad, ceil), s.avg_pool2d(b, k, stride, pad, ceil)
    path = s.book.save(tmp_path_factory.mktemp('x')/'x.xlsx')
    close(read_range(path, top), F.max_pool2d(x[None], k, stride, pad, ceil_mode=ceil)[0])
    close(read_range(path, mean), F.avg_pool2d(x[None], k, stride, pad, ceil)[0])


@pytest.mark.parametrize('va', [False, True])
@pytest.mark.parametrize('vb', [False, True])
def test_products(sheet, tmp_path, va, vb):
    x, w, b, m = rand(3, 4), rand(5, 4, seed=1), rand(5, seed=2), rand(4, 2, seed=3)
    X, W, M = sheet.put(x, 'x', vertical=va), sheet.put(w, 'w', vertical=vb), sheet.put(m, 'm', vertical=vb)
    B, U = sheet.put(b, 'b', vertical=va), sheet.put(rand(3, seed=4), 'ub')
    one = sheet.put(x[0], 'one', vertical=va)
    blocks = [sheet.linear(X, W, B), sheet.linear(X, W, relu=True), sheet.linear(one, W, B, vertical=vb), sheet.matmul(X, M), sheet.dot_bias(X, W, U, B), sheet.dot_bias(X, W, y_range=(0, 5.5))]
    path = sheet.book.save(tmp_path/'x.xlsx')
    want = [F.linear(x, w, b), F.linear(x, w).relu(), F.linear(x[0], w, b), x @ m, x @ w.T + rand(3, seed=4)[:, None] + b, torch.sigmoid(x @ w.T) * 5.5]
    for block, t in zip(blocks, want): close(read_range(path, block), t)


def test_linear_on_channels(sheet, tmp_path):
    x, w, b = rand(2, 3, 4), rand(5, 2, 3, 4, seed=1), rand(5, seed=2)
    out = sheet.linear(sheet.put(x), sheet.put(w, across=True), sheet.put(b))
    close(save_and_read(sheet, out, tmp_path), F.linear(x.flatten(), w.flatten(1), b))


def test_activations_and_losses(sheet, tmp_path):
    x, y, t = rand(4, 5), rand(4, 5, seed=1), torch.tensor([0, 4, 2, 2])
    X, Y, T, H = sheet.put(x, 'x'), sheet.put(y, 'y'), sheet.put(t, 't', vertical=True), sheet.put(F.one_hot(t, 5), 'one-hot')
    c = sheet.put(rand(2, 2, 2), 'c')
    pairs = [(sheet.relu(c), rand(2, 2, 2).relu()), (sheet.softmax(X), x.softmax(1)), (sheet.softmax(c), rand(2, 2, 2).softmax(-1)),
             (sheet.cross_entropy(X, T), F.cross_entropy(x, t)), (sheet.cross_entropy(X, H, 'sum'), F.cross_entropy(x, t, reduction='sum')),
             (sheet.cross_entropy(X, T, 'none'), F.cross_entropy(x, t, reduction='none')), (sheet.one_hot(T, 5), F.one_hot(t, 5)), (sheet.mse(c, c), torch.zeros(()))]
    for r in ('mean', 'sum', 'none'): pairs += [(sheet.mse(X, Y, r), F.mse_loss(x, y, reduction=r)), (sheet.mae(X, Y, r), F.l1_loss(x, y, reduction=r))]
    path = sheet.book.save(tmp_path/'x.xlsx')
    for block, want in pairs: close(read_range(path, block), want)


def test_softmax_of_large_numbers(sheet, tmp_path):
    x = torch.tensor([1000., 999., -1000.], dtype=DOUBLE)
    close(save_and_read(sheet, sheet.softmax(sheet.put(x, vertical=True), vertical=True), tmp_path), x.softmax(0))


def test_dropout_switch_and_rate(sheet, tmp_path):
    x, u = rand(2, 3, 4), torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    p, train, X, U = sheet.put(.4, 'p', name='p'), sheet.put(1, 'training', name='training'), sheet.put(x), sheet.put(u)
    own, free = sheet.dropout(X, p, train, U), sheet.dropout(X, p, train)
    path = sheet.book.save(tmp_path/'x.xlsx')
    close(read_range(path, own.out), x * (u > .4) / .6)
    close(read_range(path, own.out, changes={'s!' + train.ref(): 0}), x)
    close(read_range(path, own.out, changes={'s!' + p.ref(): 1}), torch.zeros_like(x))
    drawn = read_range(path, free.u)
    assert 0 <= drawn.min() and drawn.max() < 1 and drawn.unique().numel() == 24
    close(read_range(path, free.out), x * (drawn > .4) / .6)


@pytest.mark.parametrize('vocab, words', [(['a', 'b', 'c'], ['c', 'a', 'c']), (['so', 'So', 'what?', 'what*'], ['what?', 'So', 'so', 'what*'])])
def test_match_and_index(sheet, tmp_path, vocab, words):
    table = rand(len(vocab), 3)
    ids = sheet.match(sheet.put(words, 'words', vertical=True), sheet.put(vocab, 'vocab', vertical=True))
    rows = sheet.index(sheet.put(table), ids)
    path, want = sheet.book.save(tmp_path/'x.xlsx'), torch.tensor([vocab.index(w) for w in words])
    assert torch.equal(read_range(path, ids, dtype=torch.int64), want) and torch.equal(read_range(path, rows), table[want])


def test_unknown_word(sheet):
    with pytest.raises(SheetError, match="'x'. is not in 'vocab'"): sheet.match(sheet.put(['x'], 'words'), sheet.put(['a'], 'vocab'))


def test_blocks_of_another_sheet(sheet, tmp_path):
    x, k = rand(1, 4, 4), rand(1, 1, 2, 2, seed=1)
    s = sheet.book.sheet("it's another")
    out = s.conv2d(sheet.put(x), sheet.put(k))
    assert "s!A3:B4" in s.cells[out.at(0, 0, 0)][1]
    close(save_and_read(s, s.softmax(sheet.max_pool2d(out, 1)), tmp_path), F.conv2d(x[None], k)[0].softmax(-1))


@pytest.mark.parametrize('make', [
    lambda s, b: s.conv2d(b(2, 5, 5), b(1, 3, 3, 3)), lambda s, b: s.conv2d(b(5, 5), b(3,)), lambda s, b: s.conv2d(b(2, 2), b(3, 3)), lambda s, b: s.conv2d(b(5,), b(3, 3)),
    lambda s, b: s.conv2d(b(5, 5), b(1, 1, 3, 3), b(2)), lambda s, b: s.max_pool2d(b(5, 5), 2, padding=2), lambda s, b: s.max_pool2d(b(2, 2), 3),
    lambda s, b: s.linear(b(3), b(2, 4)), lambda s, b: s.linear(b(2, 3, 4), b(5, 24)), lambda s, b: s.linear(b(2, 2, 2), b(5, 2, 2, 3)), lambda s, b: s.linear(b(3), b(2, 3), b(3)),
    lambda s, b: s.matmul(b(2, 3), b(2, 3)), lambda s, b: s.dot_bias(b(2, 3), b(2, 4)), lambda s, b: s.dot_bias(b(2, 3), b(4, 3), b(4)), lambda s, b: s.mse(b(2), b(3)),
    lambda s, b: s.mae(b(2), b(2), 'median'), lambda s, b: s.cross_entropy(b(2, 3), b(3)), lambda s, b: s.cross_entropy(b(3), b(3), 'median'),
    lambda s, b: s.dropout(b(2), b(2)), lambda s, b: s.dropout(b(2), b(), u=b(3)), lambda s, b: s.match(b(2), b(2, 2)), lambda s, b: s.index(b(2, 2, 2), b(1)),
    lambda s, b: b(2, 2).ref(1), lambda s, b: b(2, 2, 2).area(), lambda s, b: s.put(1., right_of=Book().sheet('t').put(2., 'x')), lambda s, b: s.formula((), lambda: ' ')])
def test_wrong_shapes_have_clear_errors(sheet, make):
    with pytest.raises(SheetError): make(sheet, lambda *shape: sheet.put(torch.ones(shape), 'x'))


@pytest.mark.parametrize('text', ['SUM(A1:B2*C1:D2)', 'MAX(0,SUM(A1:C3*$E$1:$G$3))', 'A1:A3', '1+A1:A3', 'EXP(-A1:A3)'])
def test_formulas_that_programs_read_differently(sheet, text):
    with pytest.raises(SheetError, match='a whole range in a plain cell'): sheet.formula((), lambda: text)
    sheet.formula((), lambda: text, array=True)
    sheet.formula((), lambda: f'SUMPRODUCT({text})')


# saving

def test_saved_file_shows_results_and_colours(small):
    path, x, y = small
    cells = open_workbook(path).cells('my sheet')
    assert cells[y.at(1, 2)] == Cell(10., 'C4*2', 'normal')
    ws = openpyxl.load_workbook(path)['my sheet']
    assert len(ws.conditional_formatting) == 2 and not ws.sheet_view.showGridLines and ws.column_dimensions['A'].width > 3
    assert openpyxl.load_workbook(path, data_only=True)['my sheet']['G4'].value == 10


def test_equal_books_give_equal_files(tmp_path):
    def make(name):
        book = Book()
        s = book.sheet('s')
        s.relu(s.put(rand(3, 3), 'x'))
        with zipfile.ZipFile(book.save(tmp_path/name)) as z: return {n: z.read(n) for n in z.namelist() if n != 'docProps/core.xml'}
    assert make('a.xlsx') == make('b.xlsx')


def test_a_failed_save_leaves_the_old_file(sheet, tmp_path):
    path = tmp_path/'x.xlsx'
    path.write_text('precious')
    sheet.formula((), lambda: 'NOSUCH(1)', at='B2')
    with pytest.raises(SheetError, match=r'x.xlsx: s!B2: the formula =NOSUCH\(1\) gives #NAME'): sheet.book.save(path)
    assert path.read_text() == 'precious' and [p.name for p in tmp_path.iterdir()] == ['x.xlsx']


def test_targets_that_cannot_be_written(sheet, tmp_path):
    sheet.put(1., 'x')
    path = tmp_path/'x.xlsx'
    path.write_text('old')
    path.chmod(0o444)
    with pytest.raises(SheetError, match='is read-only'): sheet.book.save(path)
    with pytest.raises(SheetError, match='no folder'): sheet.book.save(tmp_path/'none'/'x.xlsx')
    with pytest.raises(SheetError, match='is a folder'): sheet.book.save(tmp_path)
    with pytest.raises(SheetError, match='at least one sheet'): Book().save(tmp_path/'y.xlsx')
    assert path.read_text() == 'old'


def test_a_full_disk_leaves_the_old_file(sheet, tmp_path, monkeypatch):
    sheet.relu(sheet.put(1., 'x'))
    path = tmp_path/'x.xlsx'
    path.write_text('old')
    def full(*args): raise OSError(28, 'No space left on device')
    for name in ('os.replace', 'ddl_lesson8.sheets.book._with_parts'):
        with monkeypatch.context() as m:
            m.setattr(name, full)
            with pytest.raises(SheetError, match=r'x.xlsx: cannot be written \((the disk is full|No space left)'): sheet.book.save(path)
        assert path.read_text() == 'old' and [p.name for p in tmp_path.iterdir()] == ['x.xlsx']


@contextlib.contextmanager
def nobody(): # as a user without rights, in a folder that all may enter
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        if root: os.seteuid(65534)
        yield folder
    finally:
        if root: os.seteuid(0)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() != 0, reason='only root can become somebody without rights')
def test_without_permission(small, sheet):
    sheet.put(1., 'x')
    with nobody() as folder:
        os.seteuid(0)
        shutil.copy(small[0], folder/'secret.xlsx')
        (folder/'secret.xlsx').chmod(0o600)
        (folder/'closed').mkdir(0o700)
        os.seteuid(65534)
        for path in (folder/'secret.xlsx', folder/'closed'/'x.xlsx'):
            with pytest.raises(SheetError, match=rf'{path.name}: cannot be read \(Permission denied'): read_range(path, 'x_in')
        for name in ('secret.xlsx', 'new.xlsx', 'closed/new.xlsx'):
            with pytest.raises(SheetError, match=rf'{name}: (cannot be written .Permission denied|is read-only|the folder .* is read-only)'):
                sheet.book.save(folder/name)


# reading

def test_read_range(small):
    path, x, y = small
    assert read_range(path, 'x_in').tolist() == [[0, 1, 2], [3, 4, 5]] and read_range(path, 'TWICE').tolist() == read_range(path, y).tolist()
    assert read_range(path, "'my sheet'!A3:C4", step=2).tolist() == [[0, 2]] and read_range(path, "'my sheet'!A3:C4", step=(1, 2)).shape == (2, 2)
    assert read_range(path, ["'my sheet'!A3:B4", "'my sheet'!B3:C4"]).shape == (2, 2, 2)
    one = read_range(path, "'my sheet'!C4", dtype=torch.float16, device='cpu')
    assert one.shape == () and one.dtype == torch.float16 and one.item() == 5
    assert read_range(path, "'my sheet'!A3:D3", blank=-1).tolist() == [[0, 1, 2, -1]] and read_range(path, "'my sheet'!D3", blank=float('nan')).isnan()
    assert read_range(path, y, changes={"'my sheet'!A3": 7, "'my sheet'!B3": '=10^2'}).tolist()[0] == [14, 200, 4]
    assert read_range(path, y).tolist()[0] == [0, 2, 4]


@pytest.mark.parametrize('where, message', [
    ("nope!A1", "has no sheet 'nope'; its sheets are 'my sheet', 'other'"), ('A1:B2', 'names no sheet'), ('no_name', 'is not a range'), ("'my sheet'!A1:B", 'is not a range'),
    ("'my sheet'!A3:D3", "'my sheet'!D3 is empty where a number should be"), ("'my sheet'!A8", "'my sheet'!A8 holds the text 'hello'"),
    (["'my sheet'!A3", "'my sheet'!A3:B4"], 'differ in size')])
def test_reading_what_is_not_there(small, where, message):
    for kw in ({}, {'recalculate': True}):
        with pytest.raises(SheetError, match=message): read_range(small[0], where, **kw)


def rewrite(path, out, change, part='xl/worksheets/sheet1.xml'):
    "A copy of a workbook with one of its parts changed"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, 'w') as new:
        for n in old.namelist(): new.writestr(n, change(old.read(n)) if n == part else old.read(n))
    return out


@pytest.mark.parametrize('cell, message', [
    (b'<c r="A3" t="e"><v>#DIV/0!</v></c>', "A3 holds the error value '#DIV/0!'"), (b'<c r="A3" t="b"><v>1</v></c>', "A3 holds the truth value 'True'"),
    (b'<c r="A3"><f>1+1</f></c>', 'A3 holds the formula =1.1 and no result; use recalculate=True'), (b'<c r="A3"/>', 'A3 is empty'),
    (b'<c r="A3" t="str"><v>7</v></c>', "A3 holds the text '7'"), (b'<c r="A3" t="s"><v>99</v></c>', 'is damaged'), (b'<c r="A3"><v>x</v></c>', 'is damaged')])
def test_cells_without_a_number(small, tmp_path, cell, message):
    path = rewrite(small[0], tmp_path/'y.xlsx', lambda xml: re.sub(rb'<c r="A3".*?</c>', cell, xml, count=1))
    with pytest.raises(SheetError, match=message): read_range(path, 'x_in')
    if b'1+1' in cell: assert read_range(path, 'x_in', recalculate=True)[0, 0] == 2


def unusable(small, tmp_path):
    whole = small[0].read_bytes()
    ole = b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(600)
    files = {'missing.xlsx': (None, 'there is no such file'), 'empty.xlsx': (b'', 'is empty'), 'text.xlsx': (b'a,b\n1,2\n', 'is not a workbook'),
             'cut.xlsx': (whole[:len(whole) // 2], 'damaged or cut off'), 'locked.xlsx': (ole + 'EncryptedPackage'.encode('utf-16-le'), 'password'), 'old.xlsx': (ole, 'old .xls format')}
    for name, (content, message) in files.items():
        path = tmp_path/name
        if content is not None: path.write_bytes(content)
        yield path, message
    with zipfile.ZipFile(tmp_path/'zip.xlsx', 'w') as z: z.writestr('readme.txt', 'no workbook')
    yield tmp_path/'zip.xlsx', 'is not a workbook'
    yield tmp_path, 'is a folder'
    yield rewrite(small[0], tmp_path/'xml.xlsx', lambda xml: xml[:len(xml) // 2]), "sheet 'my sheet' is damaged"
    yield rewrite(small[0], tmp_path/'book.xlsx', lambda xml: b'<broken', 'xl/workbook.xml'), 'damaged inside xl/workbook.xml'
    bad = bytearray(whole)
    at = whole.index(b'xl/worksheets/sheet1.xml') + 60
    bad[at:at + 20] = bytes(20)
    (tmp_path/'crc.xlsx').write_bytes(bad)
    yield tmp_path/'crc.xlsx', 'damaged'


def test_unusable_files(small, tmp_path):
    for path, message in unusable(small, tmp_path):
        for use in (lambda p: read_range(p, "'my sheet'!A3:C4"), lambda p: crosscheck(p, [Check('x', "'my sheet'!A3:C4", py=torch.ones(2, 3))])):
            with pytest.raises(SheetError, match=message) as e: use(path)
            assert path.name in str(e.value)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_a_pipe_and_a_name_too_long(tmp_path):
    os.mkfifo(tmp_path/'pipe.xlsx') # to open it would wait for ever
    with pytest.raises(SheetError, match='pipe.xlsx: is no file'): read_range(tmp_path/'pipe.xlsx', 'A1')
    with pytest.raises(SheetError, match='cannot be read .File name too long'): read_range(tmp_path/('x' * 300 + '.xlsx'), 'A1')


@pytest.mark.parametrize('number', ['nan', 'inf', '-1e400', '1_0', '0x10', ''])
def test_what_python_would_take_for_a_number(small, tmp_path, number):
    path = rewrite(small[0], tmp_path/'y.xlsx', lambda xml: re.sub(rb'<c r="A3".*?</c>', f'<c r="A3"><v>{number}</v></c>'.encode(), xml, count=1))
    with pytest.raises(SheetError, match='damaged|A3 is empty'): read_range(path, 'x_in')


def mutated(content, whole, out, rng):
    "A workbook with a few bytes, an attribute, a text or an element changed"
    kind, part = rng.randrange(7), rng.choice(sorted(content))
    xml = content[part].decode()
    if kind == 0:
        raw = bytearray(whole)
        for _ in range(3): raw[rng.randrange(len(raw))] = rng.randrange(256)
        return out.write_bytes(raw[:rng.choice([len(raw), rng.randrange(len(raw))])])
    found = list(re.finditer(['', r' [\w:]+="[^"]*"', r'(?<==")[^"]*(?=")', r'(?<=>)[^<]+(?=<)', r'<\w+[^>]*/>', r'(?s)<(\w+)(?: [^>]*)?>.*?</\1>', r'(?s).*'][kind], xml))
    if found:
        m = rng.choice(found)
        new = rng.choice(['', '-1', '99999999999', 'x', '1e400', 'nan', 'A1:B2', '=A1', '#REF!', ')', '0']) if kind in (2, 3) else ''
        xml = xml[:m.start()] + new + xml[m.end():]
    with zipfile.ZipFile(out, 'w') as z:
        for n, data in content.items():
            if n != part or kind < 6: z.writestr(n, xml if n == part else data)


def test_no_damage_gives_a_library_traceback(small, tmp_path, capfd):
    with zipfile.ZipFile(small[0]) as z: content = {n: z.read(n) for n in z.namelist()}
    whole, rng, path, n_errors = small[0].read_bytes(), random.Random(0), tmp_path/'y.xlsx', 0
    for _ in range(3000 if os.environ.get('DDL_LESSON8_LONG') == '1' else 150):
        mutated(content, whole, path, rng)
        for use in (lambda: read_range(path, "'my sheet'!A3:C4"), lambda: Engine(path).cell('my sheet', 3, 1)):
            try: use()
            except SheetError as e:
                n_errors += 1
                assert 'y.xlsx' in str(e)
    assert n_errors > 50


# the cross-check

def test_crosscheck(small):
    path, x, y = small
    twice = torch.arange(6., dtype=DOUBLE).reshape(2, 3) * 2
    report = crosscheck(path, [Check('y', y, from_scratch=twice, PyTorch=twice), Check('x', x, given=True, PyTorch=twice / 2), Check('by name', 'twice', PyTorch=twice),
                               Check('from x', y, PyTorch=lambda read: read(x) * 2)])
    assert report and len(report) == 4 and report.raise_if_different() is report
    assert 'from scratch, PyTorch' in repr(report) and '<table>' in report._repr_html_()


@pytest.mark.parametrize('wrong, message', [
    (lambda t: t + torch.eye(2, 3) * torch.tensor([2e-9, 1e-9, 0]), "'my sheet'!E3"), (lambda t: t * float('nan'), 'differ'), (lambda t: t.masked_fill(t == 6, float('nan')), "'my sheet'!E4"),
    (lambda t: t.masked_fill(t == 6, float('inf')), "'my sheet'!E4"), (lambda t: t[:1], 'shapes'), (lambda t: t.T, 'shapes')])
def test_crosscheck_fails(small, wrong, message):
    path, x, y = small
    report = crosscheck(path, [Check('y', y, PyTorch=wrong(torch.arange(6., dtype=DOUBLE).reshape(2, 3) * 2))])
    assert not report and message in repr(report)
    with pytest.raises(SheetError, match='small.xlsx: y: '): report.raise_if_different()


def test_crosscheck_compares_the_others_with_each_other(small):
    twice = torch.arange(6., dtype=DOUBLE).reshape(2, 3) * 2
    report = crosscheck(small[0], [Check('y', small[2], a=twice * (1 + 8e-13), b=twice * (1 - 8e-13))])
    assert not report and 'a and b differ' in report.problems[0]


def test_crosscheck_never_believes_typed_numbers(small, tmp_path):
    path, x, y = small
    assert "not a formula: nothing computes it" in crosscheck(path, [Check('x', x, PyTorch=torch.ones(2, 3))]).problems[0]
    typed = rewrite(path, tmp_path/'typed.xlsx', lambda xml: re.sub(rb'<f>C4\*2</f>', b'', xml))
    report = crosscheck(typed, [Check('y', y, PyTorch=torch.arange(6., dtype=DOUBLE).reshape(2, 3) * 2)])
    assert not report and "'my sheet'!G4 holds 10.0, not a formula" in report.problems[0]


def test_crosscheck_ignores_saved_results(small, tmp_path):
    path, x, y = small
    want = torch.arange(6., dtype=DOUBLE).reshape(2, 3) * 2
    wrong = rewrite(path, tmp_path/'wrong.xlsx', lambda xml: xml.replace(b'<f>C4*2</f><v>10.0</v>', b'<f>C4*2</f><v>11</v>'))
    assert crosscheck(wrong, [Check('y', y, PyTorch=want)]) and not crosscheck(wrong, [Check('y', y, PyTorch=want)], recalculate=False)


def test_nothing_compared_is_not_agreement(small):
    assert not crosscheck(small[0], [])
    with pytest.raises(SheetError, match='nothing was compared'): crosscheck(small[0], []).raise_if_different()
    with pytest.raises(SheetError, match='say what is expected'): Check('y', 'A1')


def test_engine_names_a_missing_sheet(small):
    with pytest.raises(SheetError, match="has no sheet 'nope'"): Engine(small[0]).change({'nope!A1': 1})
    assert Engine(small[0]).cell('other', 2, 3).value == 2 and cell_name(2, 3) == 'C2'


def test_the_row_of_a_softmax_stays_where_it_is_when_its_formula_is_copied(sheet):
    x = sheet.put(torch.ones(2, 3), 'x', at='A2')
    p = sheet.softmax(x, 'p', at='F2')
    texts = [c for cells in (sheet.cells,) for c in map(str, cells.values()) if 'EXP' in c]
    assert texts and all('$A$' in t for t in texts)


def test_cells_that_an_array_formula_fills_are_computed(tmp_path):
    wb = openpyxl.Workbook()
    wb.active.append([1, 2, 3])
    wb.active['A2'] = ArrayFormula('A2:C2', '=A1:C1*2')
    wb.save(tmp_path/'array.xlsx')
    assert crosscheck(tmp_path/'array.xlsx', [Check('y', 'Sheet!A2:C2', by_hand=torch.tensor([[2., 4., 6.]], dtype=DOUBLE))])


def test_a_control_character_in_a_formula_is_refused(sheet):
    for sign in '\x00\x07\r\x1f':
        with pytest.raises(SheetError, match=r's!A3: .* holds a control character; use CHAR'):
            sheet.formula((), lambda: f'LEN("a{sign}b")', 'x', at='A3')
    assert not sheet.cells
    there = sheet.formula((), lambda: 'LEN("a\tb\nc")', 'x', at='A3', fmt='General')
    assert read_range(sheet.book.save(Path(tempfile.mkdtemp())/'a.xlsx'), there) == 5


def test_no_column_is_wider_than_excel_allows(sheet, tmp_path):
    sheet.put(['a word'] + ['x' * 5000], 'words')
    ws = openpyxl.load_workbook(sheet.book.save(tmp_path/'wide.xlsx')).active
    assert max(d.width for d in ws.column_dimensions.values()) == 255
