"Live sheets in a real browser: what the engine computes there is what PyTorch and the Python engine compute"
import functools, http.server, importlib.util, re, shutil, subprocess, sys, threading, zipfile
from pathlib import Path
import pytest, torch

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import live
from ddl_lesson8.book.workbook import chapter_sheets
from ddl_lesson8.sheets.address import cell_name, parse_area
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.check import crosscheck, read_range
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.view import sheet_document

browser = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live sheets</title></head><body><h1>Live sheets</h1><a href="#a">before</a>{}<a href="#b">after</a></body></html>'


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "A page with every chapter's sheets, and the engine beside it"
    folder = tmp_path_factory.mktemp('site')
    (folder/'live').mkdir()
    books = live.workbooks(folder/'live')
    docs = live.documents(folder/'live', books)
    tags = ''.join(f'<live-sheet src="live/{name}.json" sheet="{s["name"]}"></live-sheet>' for name, d in docs.items() for s in d['sheets'])
    docs['digit'] = live.digit_document(folder/'live')
    (folder/'page.html').write_text(PAGE.format(tags + '<digit-reader src="live/digit.json"></digit-reader>'), encoding='utf-8')
    if missing := live.build_engine(folder/'live'): pytest.skip(missing)
    shutil.copy(root/'ddl_lesson8'/'sheets'/'widget.js', folder/'live')
    live.add_to_page(folder/'page.html', folder, docs, True)
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def page(site):
    "That page in Chromium"
    if not browser or not importlib.util.find_spec('playwright'): pytest.skip('needs Chromium and playwright')
    from playwright.sync_api import sync_playwright
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as p:
        chrome = p.chromium.launch(executable_path=browser, args=['--no-sandbox'])
        view = chrome.new_page(viewport=dict(width=1280, height=900))
        view.errors, view.elsewhere = [], []
        view.on('pageerror', lambda e: view.errors.append(str(e)))
        here = f'http://127.0.0.1:{server.server_port}/'
        view.on('request', lambda r: view.elsewhere.append(r.url) if not r.url.startswith((here, 'blob:', 'data:')) else None)
        view.goto(here + 'page.html')
        yield view
        chrome.close()
    server.shutdown()


SHEETS = [
    ('parameters', 'parameters'), ('embeddings', 'embeddings'), ('collab', 'collab'), ('tabular', 'tabular'), ('convolutions', 'convolutions'),
    ('matrix', 'convolution = matrix'), ('dropout', 'dropout'), ('activations', 'activations'), ('activations', 'losses')]
ELEMENT = "document.querySelector('live-sheet[src=\"live/{}.json\"][sheet=\"{}\"]')"
each_sheet = pytest.mark.parametrize('name, sheet', SHEETS)


def read(page, name, sheet):
    "All formulas' values as the browser computes them"
    return page.evaluate(f'''async () => {{ const e = {ELEMENT.format(name, sheet)}; await e.start()
        const at = await e.formulas(), values = await e.getMany(at); return Object.fromEntries(at.map((a, i) => [a, values[i]])) }}''')


def change(page, name, sheet, entries):
    page.evaluate(f'entries => {ELEMENT.format(name, sheet)}.setMany(entries)', entries)


def inputs(page, name, sheet): return page.evaluate(f'async () => {{ const e = {ELEMENT.format(name, sheet)}; await e.start(); return e.inputs() }}')


def close(a, b): return abs(a - b) <= 1e-9 * max(1, abs(a), abs(b)) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else a == b


def saved_with(source, sheet_values, target):
    "A copy of a workbook in which the formulas' results are the browser's"
    import openpyxl
    parts = {ws.title: f'xl/worksheets/sheet{k}.xml' for k, ws in enumerate(openpyxl.load_workbook(source).worksheets, 1)}
    wanted = {parts[s]: v for s, v in sheet_values.items()}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for entry in old.namelist():
            text = old.read(entry)
            if entry in wanted:
                number = lambda m: m[1] + repr(wanted[entry][m[2]]) + m[4] if isinstance(wanted[entry].get(m[2]), (int, float)) else m[0]
                text = re.sub(r'(<c r="([A-Z]+\d+)"[^>]*><f[^>]*>[^<]*</f><v>)([^<]*)(</v>)', number, text.decode()).encode()
            new.writestr(entry, text)
    return target


@pytest.mark.parametrize('chapter', ['parameters', 'embeddings', 'collab', 'tabular', 'conv', 'conv_matmul', 'dropout', 'activations'])
def test_browser_agrees_with_pytorch(page, site, chapter, tmp_path):
    "The library's own comparison, on the numbers that the browser computed"
    name, book = live.NAMES.get(chapter, chapter), Book()
    checks = chapter_sheets()[chapter](book)
    values = {s: read(page, name, s) for s in book.sheets}
    errors = {f'{s}!{at}': v for s, all in values.items() for at, v in all.items() if str(v).startswith('#')}
    assert not errors
    copy = saved_with(site/'live'/f'{name}.xlsx', values, tmp_path/'browser.xlsx')
    crosscheck(copy, checks, rtol=1e-9, recalculate=False).raise_if_different()


@each_sheet
def test_edits_agree_with_the_python_engine(page, site, name, sheet):
    "The same new numbers in the browser and in Python give the same sheet; its random numbers are handed over"
    free = inputs(page, name, sheet)
    words = page.evaluate(f"() => {{ const e = {ELEMENT.format(name, sheet)}; return Object.fromEntries([...e.cells].map(([at, c]) => [at, e._list(c)]).filter(([at, l]) => l && e._opens(e.cells.get(at)))) }}")
    plain = [at for at in free if at not in words]
    entries = {at: .25 + k / 8 for k, at in enumerate(plain[:: max(1, len(plain) // 3)][:3])}
    entries |= {at: words[at][-1] for at in list(words)[:2]}
    assert entries
    change(page, name, sheet, entries)
    ours = read(page, name, sheet)
    engine = Engine(site/'live'/f'{name}.xlsx')
    doc = sheet_document(site/'live'/f'{name}.xlsx')
    cells = {cell_name(*c[:2]): c for s in doc['sheets'] if s['name'] == sheet for c in s['cells']}
    random = {f"'{sheet}'!{at}": ours[at] for at, c in cells.items() if c[3] == '=RAND()'}
    chosen = {at: float(v) if isinstance(cells[at][3], (int, float)) else v for at, v in entries.items()}
    engine.change({f"'{sheet}'!{at}": v for at, v in chosen.items()} | random)
    theirs = {at: engine.cell(sheet, *cells[at][:2]).value for at in ours}
    wrong = {at: (v, theirs[at]) for at, v in ours.items() if not close(v, theirs[at]) and not (v == '' and theirs[at] is None)}
    page.evaluate(f'() => {ELEMENT.format(name, sheet)}.reset()')
    assert not wrong, f'{len(wrong)} cells differ, for example {dict(list(wrong.items())[:3])}'


def test_edits_agree_with_tensors(page, site):
    "The window's sheet: one pixel and one weight changed, against the sheet computed by PyTorch"
    entries = {'K12': .75, 'AE13': -2.}
    change(page, 'convolutions', 'convolutions', entries)
    ours = read(page, 'convolutions', 'convolutions')
    page.evaluate(f"() => {ELEMENT.format('convolutions', 'convolutions')}.reset()")
    module = SheetModule.load(site/'live'/'convolutions.xlsx')
    theirs = module({f'convolutions!{at}': torch.tensor(v, dtype=torch.float64) for at, v in entries.items()})
    for at in ('AJ4', 'AQ12', 'BI20'): assert close(ours[at], float(theirs[f'convolutions!{at}'])), at


def test_reset_and_undo_bring_the_numbers_back(page):
    at = inputs(page, 'parameters', 'parameters')[0]
    first = read(page, 'parameters', 'parameters')
    for back in ('undo', 'reset'):
        change(page, 'parameters', 'parameters', {at: 7})
        assert read(page, 'parameters', 'parameters') != first
        page.evaluate(f"() => {ELEMENT.format('parameters', 'parameters')}.{back}()")
        assert read(page, 'parameters', 'parameters') == first


def test_another_poem_is_chosen_word_by_word(page):
    "A word of the poem: from the list only, and its row of the matrix follows"
    e = ELEMENT.format('embeddings', 'embeddings')
    first = read(page, 'embeddings', 'embeddings')
    change(page, 'embeddings', 'embeddings', {'J3': 'GREEN', 'J4': 'ham'})
    changed = read(page, 'embeddings', 'embeddings')
    assert changed != first and page.evaluate(f"{e}.grid.nodes.get('J3').textContent") == 'green'
    said = page.evaluate(f"async () => {{ try {{ await {e}.set('J3', 'spam') }} catch (e) {{ return e.message }} }}")
    assert said.startswith('spam is not in the list: am, and, Daniel')
    page.evaluate(f'() => {e}.reset()')
    assert read(page, 'embeddings', 'embeddings') == first


def test_a_downloaded_workbook_holds_the_edits(page, site, tmp_path):
    "A number and a word; opened by the Python engine the formulas give what the page shows"
    e = ELEMENT.format('tabular', 'tabular')
    read(page, 'tabular', 'tabular')
    change(page, 'tabular', 'tabular', {'A4': 'Hamburg', 'G4': 1})
    with page.expect_download() as waiting: page.evaluate(f'() => {e}.download()')
    path = tmp_path/'edited.xlsx'
    waiting.value.save_as(path)
    ours, engine = read(page, 'tabular', 'tabular'), Engine(path)
    page.evaluate(f'() => {e}.reset()')
    import openpyxl
    kept, written, first = (openpyxl.load_workbook(p, data_only=d) for p, d in ((path, True), (path, False), (site/'live'/'tabular.xlsx', False)))
    assert kept['tabular']['A4'].value == 'Hamburg' and kept['tabular']['G4'].value == 1 and dict(written.defined_names) == dict(first.defined_names)
    assert all(close(value, kept['tabular'][at].value) for at, value in ours.items()) # no result of before the edits
    assert all(written['tabular'][at].value == first['tabular'][at].value for at in ours if isinstance(first['tabular'][at].value, str))
    engine.change({"'tabular'!G4": 1})
    for at, value in ours.items():
        row, column = parse_area(at).top, parse_area(at).left
        assert close(value, engine.cell('tabular', row, column).value), at


def test_locked_cells_and_bad_numbers_are_refused_in_words(page):
    e = ELEMENT.format('convolutions', 'convolutions')
    said = lambda at, text: page.evaluate(f"async () => {{ try {{ await {e}.set('{at}', '{text}') }} catch (e) {{ return e.message }} }}")
    assert said('AJ4', '1') == 'AJ4 is not an input of this sheet'
    assert said('K9', 'ink') == 'ink is not a number'
    assert said('K9', '') == 'nothing is not a number'
    for text in ('1e400', '-1e100', '5e-324'): assert said('K9', text) == f'{text} is beyond the numbers of this sheet, 1e-99 to 1e99'
    for text in ('0x10', '0b11', 'Infinity', '1 000', '=1/3', '1.000,5'): assert said('K9', text) == f'{text} is not a number'
    assert said('K9', '1,000') == '1,000 can be read in two ways: leave the comma out, or type a point'
    for text in ('A3:B4', 'losses!A3', 'see A3', 'A0', ''): assert said(text, '1') == f"{text or 'nothing'} is not the address of a cell, such as B3"


def test_numbers_as_readers_type_them(page):
    "A decimal comma, a minus sign of the text, a small and a large number; the engine holds each, and a blank cell is no zero"
    e = ELEMENT.format('parameters', 'parameters')
    for text, value in {'1,5': 1.5, '0,125': .125, '−2': -2, '.5': .5, '1e-7': 1e-7, '1e99': 1e99, '-1e-99': -1e-99, ' 7 ': 7}.items():
        assert page.evaluate(f"async text => {{ await {e}.set('$a$3', text); return [{e}.values.get('A3'), await {e}.get('A3')] }}", text) == [value, value]
    assert page.evaluate(f"{e}.get('B3')") == ''
    for other in ('losses!A3', 'A3:A4'):
        assert 'is not the address of a cell' in page.evaluate(f"{e}.get('{other}').catch(e => e.message)")
    page.evaluate(f'{e}.reset()')


def test_what_is_typed_counts_wherever_the_reader_goes(page):
    "By Enter, by Tab, by a click on another cell; Escape takes it back, and what is no number leaves the field as it was"
    e = ELEMENT.format('parameters', 'parameters')
    read(page, 'parameters', 'parameters')
    state = f"[{e}.values.get('A3'), {e}.at, {e}.bar.value, {e}.status.textContent]"
    def type_over(text, key=None):
        page.evaluate(f"{e}._select('A3', true)")
        page.keyboard.type(text)
        if key: page.keyboard.press(key)
    type_over('0.7', 'Tab')
    page.wait_for_function(f"{e}.status.textContent.startsWith('A3 is 0.7')")
    assert page.evaluate(state) == [.7, 'A3', '0.7', 'A3 is 0.7; everything behind it has changed']
    type_over('0.8')
    page.evaluate(f"{e}.scrollIntoView()")
    box = page.evaluate(f"(() => {{ const r = {e}.grid.nodes.get('T7').getBoundingClientRect(); return [r.x + 5, r.y + 5] }})()")
    page.mouse.click(*box)
    page.wait_for_function(f"{e}.status.textContent.startsWith('A3 is 0.8')")
    assert page.evaluate(state)[:2] == [.8, 'T7'] and page.evaluate(f"{e}.bar.value === String({e}.values.get('T7'))")
    type_over('0.9', 'Escape')
    assert page.evaluate(state)[:3] == [.8, 'A3', '0.8']
    type_over('1x', 'Tab')
    page.wait_for_function(f"{e}.bar.value === '0.8'")
    assert page.evaluate(state)[3] == '1x is not a number: A3 stays 0.8'
    page.evaluate(f'{e}.reset()')


def test_the_field_shows_what_the_cell_holds_after_undo_and_reset(page):
    "Many edits at once, all taken back one by one; nothing done leaves nothing to undo"
    e = ELEMENT.format('parameters', 'parameters')
    read(page, 'parameters', 'parameters')
    first, field = page.evaluate(f"{e}.values.get('A3')"), f'Number({e}.bar.value)'
    page.evaluate(f"async () => {{ {e}.past.length = 0; {e}._select('A3'); await Promise.all([1, 2, 3, 4].map(v => {e}.set('A3', v))) }}")
    assert page.evaluate(field) == page.evaluate(f"{e}.get('A3')") == 4
    for value in (3, 2, 1, first):
        page.evaluate(f'{e}.undo()')
        assert page.evaluate(field) == page.evaluate(f"{e}.get('A3')") == value
    page.evaluate(f'(async () => {{ await {e}.reset(); await {e}.setMany({{}}); await {e}.undo() }})()')
    assert page.evaluate(f'{e}.status.textContent') == 'Nothing to undo'


def test_no_digit_is_cut_off_unseen(page):
    "A weight of 1.5 is not shown as 2, nor its products as whole numbers; a number too long for its cell is ###, and said below it"
    e = ELEMENT.format('matrix', 'convolution = matrix')
    read(page, 'matrix', 'convolution = matrix')
    change(page, 'matrix', 'convolution = matrix', {'A10': 1.5, 'B11': -.25, 'C6': .5})
    text = page.evaluate(f"() => Object.fromEntries([...{e}.grid.nodes].map(([at, n]) => [at, n.textContent]))")
    x, w = torch.tensor([[1, 2, 0], [3, 1, 4], [0, 2, .5]]), torch.tensor([[1.5, 2], [3, -.25]])
    want = torch.nn.functional.conv2d(x[None, None], w[None, None]).flatten().tolist()
    assert [float(text[at]) for at in ('Y4', 'Z4', 'Y5', 'Z5')] == [float(text[f'T{r}']) for r in range(4, 8)] == pytest.approx(want, abs=.0501)
    assert [text[at] for at in ('A10', 'H4', 'I5', 'L4')] == ['1.5', '1.5', '1.5', '-0.25']
    change(page, 'matrix', 'convolution = matrix', {'A10': 123456, 'A4': .333333333})
    page.evaluate(f"{e}._select('H4', true)")
    assert page.evaluate(f"['A10', 'H4', 'A4'].map(at => {e}.grid.nodes.get(at).textContent)") == ['###', '###', '0.33']
    assert page.evaluate(f"{e}.status.textContent").startswith('H4, 123456, formula')
    read(page, 'collab', 'collab')
    change(page, 'collab', 'collab', {'I17': 4.5, 'J17': 0})
    assert page.evaluate(f"['I17', 'J17'].map(at => {ELEMENT.format('collab', 'collab')}.grid.nodes.get(at).textContent)") == ['4.5', '']
    for name, sheet in (('matrix', 'convolution = matrix'), ('collab', 'collab')): page.evaluate(f"{ELEMENT.format(name, sheet)}.reset()")


@each_sheet
def test_what_is_shown_is_what_the_engine_holds(page, name, sheet):
    "After each of some edits, every number in the page is the engine's own, kept to nine places"
    far = page.evaluate(f'''async () => {{ const e = {ELEMENT.format(name, sheet)}, far = []; await e.start()
        const at = await e.formulas(), free = await e.inputs(), chosen = free.filter((_, i) => i % Math.ceil(free.length / 6) === 0)
        for (const a of chosen) {{
            const words = e._list(e.cells.get(a)), now = e.values.get(a)
            await e.set(a, words ? words.at(-1) : String(Math.round(1000 * (now + .37)) / 1000))
            const exact = await e.getMany(at)
            at.forEach((b, i) => {{ const v = e.values.get(b) ?? '', w = exact[i]; if (v !== w && !(Math.abs(v - w) <= 1e-9 + 1e-9 * Math.abs(w))) far.push([a, b, v, w]) }})
        }}
        await e.reset()
        return far }}''')
    assert not far


def test_a_kernel_from_the_list(page):
    "Chosen with the keyboard: nine numbers in use change at once; a word that is not listed is refused; the dice change what chance has made"
    e = ELEMENT.format('convolutions', 'convolutions')
    read(page, 'convolutions', 'convolutions')
    page.evaluate(f"() => {e}._select('AC13', true)")
    page.keyboard.press('b')
    page.wait_for_function(f"() => Math.abs({e}.values.get('AF20') - 1 / 9) < 1e-9")
    assert page.evaluate(f"[{e}.choice.value, {e}.bar.hidden, {e}.values.get('AC13')]") == ['blur', True, "'blur"]
    page.keyboard.press('Escape')
    assert page.evaluate(f"{e}.root.activeElement.at") == 'AC13'
    said = page.evaluate(f"async () => {{ try {{ await {e}.set('AC13', 'emboss') }} catch (e) {{ return e.message }} }}")
    assert said == 'emboss is not in the list: as typed, top edge, left edge, blur, sharpen'
    page.evaluate(f'() => {e}.reset()')


@pytest.mark.parametrize('stride', [1, 2, 3])
def test_a_stride_leaves_what_pytorch_computes(page, site, stride):
    "In the browser and by tensors: the kept products at the upper left, blank cells without a colour beyond them"
    e = ELEMENT.format('convolutions', 'convolutions')
    change(page, 'convolutions', 'convolutions', {'AC36': stride})
    ours, path = read(page, 'convolutions', 'convolutions'), site/'live'/'convolutions.xlsx'
    colours = page.evaluate(f"() => Object.fromEntries([...{e}.grid.nodes].map(([at, n]) => [at, n.style.background]))")
    page.evaluate(f'() => {e}.reset()')
    theirs = SheetModule.load(path)({'convolutions!AC36': torch.tensor(float(stride), dtype=torch.float64)})
    x, w = (read_range(path, name) for name in ('conv_x', 'conv_w1'))
    want = torch.nn.functional.conv2d(x.reshape(1, 28, 28), w[1:].reshape(1, 1, 3, 3), stride=stride).relu()[0]
    assert ours['AE36'] == len(want)
    for i in range(26):
        for j in range(26):
            at = cell_name(36 + i, 1 + j)
            if max(i, j) < len(want): assert close(ours[at], want[i, j].item()) and close(float(theirs[f'convolutions!{at}']), want[i, j].item()), at
            else: assert ours[at] == '' and not colours[at], at


def test_the_walk_shows_each_product_with_its_window(page):
    "The button starts it; window and product move together; the button stops it. For a reader who wants little motion each press is one step"
    e = ELEMENT.format('convolutions', 'convolutions')
    read(page, 'convolutions', 'convolutions')
    def places(): # product cell -> the marked cells of the picture, columns A to AB
        return page.evaluate(f"() => [{e}.grid.chosen.at, {e}.grid.marked.map(n => n.at).filter(at => /^([A-Z]|A[AB])[0-9]+$/.test(at))]")
    def window(at):
        a = parse_area(at)
        return [cell_name(a.top + i, a.left - 35 + j) for i in range(3) for j in range(3)]
    walk = f"() => {e}.root.querySelector('[aria-label^=walk]').click()"
    page.evaluate(f"() => {{ {e}._select('AJ4'); {e}._zoom(1) }}")
    assert not page.evaluate(f"{e}._inSight()")
    page.evaluate(walk)
    assert page.evaluate(f"{e}._inSight()") # window and product at once, and the window is marked on inputs too
    assert page.evaluate(f"{e}.grid.marked.every(n => getComputedStyle(n).boxShadow.startsWith('rgb(217, 119, 6)'))")
    seen, at = {}, 'AJ4'
    for _ in range(3):
        page.wait_for_function(f"() => {e}.grid.chosen.at !== '{at}'")
        at, marked = places()
        seen[at] = marked
    page.evaluate(walk)
    assert len(seen) == 3 and all(marked == window(at) for at, marked in seen.items()), seen
    stopped = places()
    page.wait_for_timeout(400)
    assert places() == stopped
    page.evaluate(walk)
    page.evaluate(f"{e}.grid.chosen.focus()")
    page.keyboard.press('PageDown') # a reader who goes elsewhere is not taken back
    there = places()[0]
    page.wait_for_timeout(400)
    assert places()[0] == there and not page.evaluate(f"{e}._walking")
    page.emulate_media(reduced_motion='reduce')
    page.evaluate(f"() => {e}._select('BI4')") # the last of its row
    page.evaluate(walk)
    assert places() == ['AJ5', window('AJ5')]
    page.wait_for_timeout(400)
    assert places()[0] == 'AJ5'
    page.emulate_media(reduced_motion='no-preference')


def test_random_numbers_are_new_and_shown_as_the_engine_has_them(page):
    e = ELEMENT.format('dropout', 'dropout')
    shown = lambda: page.evaluate(f"async () => {{ const e = {e}; await e.start(); return Object.fromEntries((await e.formulas()).map(at => [at, e.values.get(at)])) }}")
    first = shown()
    assert all(close(v, w) or abs(v - w) < 1e-8 for v, w in zip(first.values(), read(page, 'dropout', 'dropout').values()))
    page.evaluate(f'() => {e}.recalculate()')
    assert shown() != first


def test_keyboard_alone(page):
    "Tab reaches the sheet and leaves it again; arrows move; typing and Enter change a cell; the change is said aloud"
    read(page, 'parameters', 'parameters')
    page.evaluate(f"() => {ELEMENT.format('parameters', 'parameters')}.root.querySelector('.chosen').focus()")
    at = page.evaluate(f"() => {ELEMENT.format('parameters', 'parameters')}.at")
    page.keyboard.type('3')
    page.keyboard.press('Enter')
    page.wait_for_function(f"() => {ELEMENT.format('parameters', 'parameters')}.values.get('{at}') === 3")
    page.wait_for_function(f"() => {ELEMENT.format('parameters', 'parameters')}.at !== '{at}'")
    page.keyboard.press('Control+z')
    page.wait_for_function(f"() => {ELEMENT.format('parameters', 'parameters')}.values.get('{at}') !== 3")
    for _ in range(3): page.keyboard.press('Tab')
    assert page.evaluate(f"() => document.activeElement !== {ELEMENT.format('parameters', 'parameters')}")


def test_an_input_says_what_it_is_for(page):
    "The sentence that a spreadsheet program shows beside a selected cell"
    sheet = ELEMENT.format('dropout', 'dropout')
    said = page.evaluate(f"async () => {{ const e = {sheet}; await e.start(); e._select('F4', true); return e.status.textContent }}")
    assert said.startswith('F4, input, 1, chosen from a list. Only training deletes')


def test_zoom_shows_a_whole_network(page):
    "The key w brings the widest sheet into the frame, nothing left to scroll to; ] makes it larger; f fits the width again"
    e = ELEMENT.format('dropout', 'dropout')
    read(page, 'dropout', 'dropout')
    room = f"(() => {{ const b = {e}.box; return [b.scrollWidth - b.clientWidth, b.scrollHeight - b.clientHeight] }})()"
    assert max(page.evaluate(room)) > 20 # as it opens, numbers can be read and part of the sheet is outside
    page.evaluate(f"{e}._select('A1', true)") # not a cell with a list, where a letter chooses from it
    page.keyboard.press('w')
    page.wait_for_function(f'Math.max(...{room}) <= 20') # the frame follows when the browser has drawn
    whole = page.evaluate(f'{e}.zoom')
    page.keyboard.press(']')
    assert page.evaluate(f'{e}.zoom') == pytest.approx(1.25 * whole)
    page.keyboard.press('f')
    assert page.evaluate(f'{e}.zoom') >= .45


def test_paper_shows_the_picture_of_an_open_sheet(page):
    read(page, 'parameters', 'parameters')
    seen = f"(() => {{ const e = {ELEMENT.format('parameters', 'parameters')}; return [e.querySelector('img').checkVisibility(), e.app.checkVisibility()] }})()"
    assert page.evaluate(seen) == [False, True]
    page.emulate_media(media='print')
    assert page.evaluate(seen) == [True, False]
    page.emulate_media(media='screen')


def test_drawn_digits_are_read_as_pytorch_reads_them(page, site):
    "Pictures set cell by cell: the ten shares of the browser are the network's"
    import json
    from ddl_lesson8.data.digits import make_digits
    from ddl_lesson8.draw import load_reader
    digit = json.loads((site/'live'/'digit.json').read_text())['digit']
    pictures, _ = make_digits(5, seed=42)
    want = load_reader()(pictures.double()).softmax(1)
    cells, answers = ([cell_name(*at) for at in parse_area(digit[k]).cells()] for k in ('input', 'output'))
    for picture, shares in zip(pictures[:, 0], want):
        entries = dict(zip(cells, picture.flatten().tolist()))
        got = page.evaluate("""async ([entries, answers]) => { const e = document.querySelector('digit-reader'); await e.open()
            await e.setMany(entries); return Promise.all(answers.map(at => e.get(at))) }""", [entries, answers])
        assert (torch.tensor(got, dtype=torch.float64) - shares).abs().max() < 1e-9
        assert page.evaluate("document.querySelector('digit-reader').answer") == shares.argmax()


def test_only_pixels_of_the_picture_can_be_set(page):
    "No formula is overwritten, no word becomes a pixel; what is refused changes nothing"
    d = "document.querySelector('digit-reader')"
    page.evaluate(f'{d}.start().then(() => 0)')
    shares = page.evaluate(f'{d}.bars.map(b => {d}.values.get(b.at))')
    said = lambda at, text: page.evaluate(f"([at, text]) => {d}.set(at, text).then(() => 'taken', e => e.message)", [at, text])
    assert said('A5', 'ink') == 'ink is not a number' and said('AD5', '1') == 'AD5 is not a cell of the picture'
    assert said('model!A5', '1') == 'model!A5 is not the address of a cell, such as B3'
    page.evaluate(f'{d}.setMany({{}})')
    assert page.evaluate(f'{d}.bars.map(b => {d}.values.get(b.at))') == shares
    assert said('a5', '0,5') == 'taken' and page.evaluate(f"{d}.get('A5')") == .5
    page.evaluate(f'{d}.clear()')


def test_a_pen_stroke_changes_the_bars(page):
    "A vertical stroke on an empty canvas is ink in the cells under it"
    page.evaluate("async () => { const e = document.querySelector('digit-reader'); await e.open(); await e.clear(); e.scrollIntoView() }")
    assert page.evaluate("document.querySelector('digit-reader').said.textContent").startswith('Nothing is drawn. The workbook reads a')
    x, y, w, h = page.evaluate("(() => { const r = document.querySelector('digit-reader').pad.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()")
    page.mouse.move(x + w / 2, y + h * .2)
    page.mouse.down()
    page.mouse.move(x + w / 2, y + h * .8, steps=12)
    page.mouse.up()
    page.wait_for_function("document.querySelector('digit-reader').answer === 1")


def test_a_digit_drawn_with_the_keyboard(page):
    "Shift and an arrow draw a stroke; without Shift the pen only moves"
    page.evaluate("async () => { const e = document.querySelector('digit-reader'); await e.open(); await e.clear(); e.pen = [14, 5]; e.pad.focus() }")
    for _ in range(17): page.keyboard.press('Shift+ArrowDown')
    page.wait_for_function("async () => { const e = document.querySelector('digit-reader'); return e.values.get((await e.inputs())[22 * 28 + 14]) > .9 }")
    assert page.evaluate("document.querySelector('digit-reader').answer") == 1
    ink = "(async () => { const e = document.querySelector('digit-reader'); return (await e.inputs()).reduce((sum, at) => sum + e.values.get(at), 0) })()"
    last = None
    while (before := page.evaluate(ink)) != last: # strokes are sent together, the last ones a little later
        last = before
        page.wait_for_timeout(300)
    for _ in range(5): page.keyboard.press('ArrowRight')
    assert page.evaluate(ink) == before > 10


def test_the_notebook_widget_sends_edits_to_python_and_takes_them_back(page, site, tmp_path):
    "The widget's one file with a stand-in for the notebook's model: an edit in the page, an edit from Python, colours from Python"
    page.evaluate("""async doc => {
        const { default: widget } = await import('./live/widget.js')
        const state = { document: doc, inputs: {}, colours: {}, sheet: 'parameters', view: '' }, heard = {}
        const model = { get: k => state[k], set: (k, v) => { state[k] = v }, save_changes: () => { model.saved = (model.saved ?? 0) + 1 }, on: (e, f) => { heard[e] = f } }
        const el = document.body.appendChild(document.createElement('div'))
        widget.render({ model, el })
        const sheet = el.querySelector('live-sheet')
        await sheet.ready
        const [first, second] = await sheet.inputs()
        await sheet.set(first, '2.5')
        state.inputs = { ...state.inputs, [second]: 4 }
        await heard['change:inputs']()
        state.colours = { [first]: '#ff0000' }
        heard['change:colours']()
        const cell = sheet.grid.nodes.get(first)
        state.inputs = { ...state.inputs, Q99: 1 } // what Python's own check would refuse
        await heard['change:inputs']()
        const said = sheet.status.textContent
        delete state.inputs.Q99
        await sheet.set(first, '3.5') // is heard all the same
        const late = heard['change:inputs'](state.inputs = { ...state.inputs, [second]: 5 })
        await Promise.all([late, sheet.set(first, '4.5')]) // an edit by each side at once
        window.widget = { state, said, saved: model.saved, second: await sheet.get(second), colour: cell.style.background, first }
    }""", sheet_document(site/'live'/'parameters.xlsx'))
    got = page.evaluate('window.widget')
    assert got['state']['inputs'][got['first']] == 4.5 and got['saved'] == 3
    assert got['said'] == 'Q99 is not an input of this sheet'
    assert got['second'] == 5 and got['colour'] == 'rgb(255, 0, 0)'


def test_axe_finds_nothing_serious(page):
    "Opened sheets, the closed ones and the digit reader, by the rules of WCAG"
    page.add_script_tag(path=str(root/'live'/'node_modules'/'axe-core'/'axe.min.js'))
    found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations.map(v => [v.impact, v.id, v.nodes[0].target.join(' '), v.nodes.length])")
    assert not [v for v in found if v[0] in ('serious', 'critical')]


def test_several_cells_are_pasted_together_or_not_at_all(page):
    "Four numbers as a spreadsheet program copies them; one undo takes them back; a formula among the cells stops all"
    e = ELEMENT.format('parameters', 'parameters')
    first = read(page, 'parameters', 'parameters')
    def paste(at, text):
        page.evaluate(f"""([at, text]) => {{ const data = new DataTransfer(); data.setData('text', text); {e}._select(at, true)
            {e}.root.activeElement.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true, cancelable: true }})) }}""", [at, text])
        page.wait_for_function(f"{e}.status.textContent.includes('pasted')")
        return page.evaluate(f"[{e}.status.textContent, ...['A6', 'B6', 'A7', 'B7'].map(at => {e}.values.get(at))]")
    assert paste('A6', '0.5\t0,25\r\n1\t.125\n') == ['4 cells pasted from A6 on; everything behind them has changed', .5, .25, 1, .125]
    changed = read(page, 'parameters', 'parameters')
    assert changed != first and changed['M6'] == pytest.approx(page.evaluate(f"{e}.values.get('A3') * Math.sqrt(-2 * Math.log(.5)) * Math.cos(2 * Math.PI * {e}.values.get('G6'))"), rel=1e-9)
    assert paste('D6', '1\t2')[0] == 'Nothing was pasted: E6 is not an input of this sheet' and read(page, 'parameters', 'parameters') == changed
    page.evaluate(f'{e}.undo()')
    assert read(page, 'parameters', 'parameters') == first


def test_a_reader_who_opens_by_key_goes_on_inside(page):
    "The button goes, the selected cell has the focus; a sheet that a program opens takes none"
    fresh = page.context.browser.new_page()
    fresh.goto(page.url)
    inside = "[document.activeElement.tagName, document.activeElement.root?.activeElement?.at]"
    fresh.evaluate("document.querySelectorAll('live-sheet')[1].start().then(() => 0)")
    assert fresh.evaluate(inside) == ['BODY', None]
    fresh.locator('live-sheet .start').first.focus()
    fresh.keyboard.press('Enter')
    fresh.wait_for_function(f"{inside}[1] === 'A3'")
    fresh.keyboard.type('0.5')
    fresh.keyboard.press('Enter')
    fresh.wait_for_function("document.querySelector('live-sheet').values.get('A3') === .5")
    fresh.close()


def test_a_page_that_nobody_clicks_loads_no_engine(page):
    "Only the picture, the button and their few lines of script"
    fresh = page.context.browser.new_page()
    asked = []
    fresh.on('request', lambda r: asked.append(r.url.rsplit('/', 1)[-1]))
    fresh.goto(page.url)
    fresh.wait_for_timeout(300)
    assert 'live-sheet.js' in asked and not {'ironcalc.wasm', 'worker.js', 'live-app.js'} & set(asked) and not [u for u in asked if u.endswith(('.json', '.bin'))]
    fresh.click('live-sheet >> text=Open the live sheet')
    fresh.wait_for_function("document.querySelector('live-sheet').grid")
    fresh.close()


@pytest.mark.parametrize('missing', ['ironcalc.wasm', 'worker.js', 'live-app.js', 'parameters.json'])
def test_a_sheet_that_cannot_start_says_so(page, missing):
    "The picture is there, the button says what is wrong, `ready` is refused: no sheet stands there that computes nothing"
    fresh = page.context.browser.new_page()
    fresh.route(f'**/{missing}', lambda route: route.fulfill(status=404))
    fresh.goto(page.url)
    fresh.click('live-sheet >> text=Open the live sheet')
    fresh.locator('live-sheet >> text=It could not be opened').first.wait_for()
    assert fresh.locator('live-sheet img').first.is_visible() and not fresh.locator('live-sheet .grid').count()
    assert fresh.evaluate("document.querySelector('live-sheet').ready.catch(e => e.message)")
    fresh.close()


def test_on_a_phone_the_button_stands_below_the_picture(page):
    phone = page.context.browser.new_page(viewport=dict(width=390, height=844))
    phone.goto(page.url)
    for kind in ('live-sheet', 'digit-reader'):
        picture, button = phone.locator(f'{kind} img').first, phone.locator(f'{kind} .start').first
        phone.wait_for_function('i => i.complete && i.naturalWidth', arg=picture.element_handle())
        above, below = picture.bounding_box(), button.bounding_box()
        assert above['height'] > 50 and above['y'] + above['height'] <= below['y'] + 1
    e = ELEMENT.format('convolutions', 'convolutions')
    phone.evaluate(f"async () => {{ const e = {e}; await e.start(); e._select('C6', true) }}")
    line = phone.evaluate(f"(() => {{ const s = {e}.status; return [s.textContent, s.scrollHeight - s.clientHeight, s.scrollWidth - s.clientWidth] }})()")
    assert line[0].startswith('C6, input, 0. Ink from 0 to 1') and line[1:] == [0, 0] # all of it can be read
    phone.close()


def test_no_script_error_and_no_other_host(page): assert not page.errors and not page.elsewhere


def test_without_the_engine_pages_keep_pictures(site, tmp_path):
    doc = sheet_document(site/'live'/'parameters.xlsx')
    (tmp_path/'live').mkdir()
    page = tmp_path/'page.html'
    page.write_text(PAGE.format('<p><live-sheet src="live/parameters.json" view="A1:F9"></live-sheet></p>'))
    assert live.add_to_page(page, tmp_path, dict(parameters=doc), False) == 1  # neither engine nor node
    text = page.read_text()
    assert '<img src="live/parameters-parameters-A1-F9.svg" alt="The sheet parameters' in text and '<script' not in text
    assert (tmp_path/'live'/'parameters-parameters-A1-F9.svg').read_text().startswith('<svg')


def test_a_sheet_that_no_workbook_has_stops_the_build(tmp_path):
    page = tmp_path/'page.html'
    page.write_text('<live-sheet src="live/nothing.json"></live-sheet>')
    with pytest.raises(SystemExit, match='page.html: no workbook for live/nothing.json'): live.add_to_page(page, tmp_path, {}, False)


def test_the_wheel_carries_the_bundle(site, tmp_path):
    "`site` has built it; without it, `view` shows pictures and says so"
    if not importlib.util.find_spec('setuptools'): pytest.skip('needs setuptools')
    source = tmp_path/'source'
    shutil.copytree(root/'ddl_lesson8', source/'ddl_lesson8', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'settings.ini', 'pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(root/name, source)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', str(tmp_path), str(source)], check=True)
    with zipfile.ZipFile(next(tmp_path.glob('*.whl'))) as wheel: bundle = wheel.read('ddl_lesson8/sheets/widget.js')
    assert bundle == (root/'ddl_lesson8'/'sheets'/'widget.js').read_bytes()


def test_each_view_of_a_chapter_shows_its_words_whole(site):
    "No heading of a block is cut off at the right edge, and the losses are in sight: the page tells the reader to watch them"
    import json
    tag, seen = re.compile(r'<live-sheet src="live/(.*?).json" sheet="(.*?)" view="(.*?)"'), {}
    for path in sorted((root/'nbs').glob('*.ipynb')):
        for name, sheet, view in tag.findall(path.read_text(encoding='utf-8').replace('\\"', '"')):
            if name == 'digit': continue
            a, page = parse_area(view), next(s for s in json.loads((site/'live'/f'{name}.json').read_text())['sheets'] if s['name'] == sheet)
            room = lambda c: sum((page['widths'] + [60] * a.right)[c - 1:a.right])
            seen[sheet, view] = [c[3][1:] for c in page['cells'] if str(c[3]).startswith("'") and a.top <= c[0] <= a.bottom and a.left <= c[1] <= a.right]
            cut = [c[3] for c in page['cells'] if str(c[3]).startswith("'") and a.top <= c[0] <= a.bottom and a.left <= c[1] <= a.right
                   and .5 * (page['styles'][c[2]].get('size', 8) + 3) * (len(c[3]) - 1) > room(c[1])]
            assert not cut, (path.name, view, cut)
    words = {w for (sheet, _), labels in seen.items() if sheet in ('losses', 'collab') for w in labels}
    assert {'-LN(share)', 'cross-entropy', 'errors: prediction - rating'} <= words
