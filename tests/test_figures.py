"Figures that move, in a real browser: what they show is what PyTorch and the library compute"
import json, sys
from pathlib import Path
import pytest, torch
import torch.nn.functional as F
from in_browser import chromium, served, watched

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import docs, live, polish
from ddl_lesson8.conv import edge_kernels
from ddl_lesson8.data.digits import draw_seven
from ddl_lesson8.train.schedule import one_cycle

PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figures</title></head><body><main><h1>Figures</h1>{}</main></body></html>'
CELL = '<div class="cell"><div class="cell-output"><figure><img alt="the picture of {0}" src="data:image/png;base64,{1}"></figure></div><div class="cell-output"><live-figure src="live/{0}.json"></live-figure></div></div>'


def saved():
    "Name -> description and picture of each figure, as the book's notebook holds them"
    cells = json.loads((root/'nbs'/'book'/'03c_figures.ipynb').read_text(encoding='utf-8'))['cells']
    found = [o['data'] for c in cells for o in c.get('outputs', []) if docs.FIGURE in o.get('data', {})]
    kept = [(json.loads(''.join(d[docs.FIGURE])), ''.join(d['image/png']).strip()) for d in found]
    return {k['name']: (k['spec'], picture) for k, picture in kept}


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "A page with all figures, as the site's steps make it"
    import bs4
    folder = tmp_path_factory.mktemp('figures')
    (folder/'live').mkdir()
    for name, (spec, _) in saved().items(): (folder/'live'/f'{name}.json').write_text(json.dumps(spec))
    soup = bs4.BeautifulSoup(PAGE.format(''.join(CELL.format(n, p) for n, (_, p) in saved().items())), 'html.parser')
    polish.live_figures(soup, 'page.html')
    (folder/'page.html').write_text(str(soup), encoding='utf-8')
    if missing := live.build_engine(folder/'live'): pytest.skip(missing)
    live.add_to_page(folder/'page.html', folder, {}, True)
    return folder


@pytest.fixture(scope='module')
def page(site):
    with served(site) as address, chromium() as chrome:
        view = watched(chrome, address, viewport=dict(width=1280, height=900))
        view.goto(address + 'page.html')
        yield view


def figure(name): return f"document.querySelector('live-figure[src=\"live/{name}.json\"]')"
def get(page, name, signal): return page.evaluate(f"async s => {figure(name)}.start().then(e => e.get(s))", signal)
def put(page, name, **signals):
    for k, v in signals.items(): page.evaluate(f"async ([k, v]) => {figure(name)}.start().then(e => e.set(k, v))", [k, v])


def test_nothing_is_loaded_before_a_figure_is_used(page):
    assert not [u for u in page.asked if u.endswith(('live-figure.js', '.json'))]
    assert page.locator('live-figure img').count() == len(saved()) == 6
    assert page.locator('live-figure >> text=Move it yourself').count() == 6


def test_the_window_adds_up_what_pytorch_does(page):
    seven = draw_seven(dtype=torch.float64)
    answers = F.conv2d(seven[None], edge_kernels(torch.float64))
    for name, map in zip(('top edge', 'left edge'), answers):
        put(page, 'window', kernel=name)
        for row, column in ((0, 0), (7, 12), (25, 25)):
            put(page, 'window', row=row, column=column)
            assert abs(get(page, 'window', 'total') - map[row, column]) < 3e-3  # the page holds three digits of each cell
    assert 'row 25, column 25' in get(page, 'window', 'said').lower()


def test_the_receptive_field_is_where_gradients_are(page):
    put(page, 'receptive-field', layer=3, row=4, column=6)
    x = torch.ones(1, 28, 28, requires_grad=True)
    F.avg_pool2d(F.conv2d(F.conv2d(x, torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3)), 2)[0, 4, 6].backward()
    rows, columns = (x.grad[0] != 0).nonzero().T
    seen = [get(page, 'receptive-field', s) for s in ('rlow0', 'rhigh0', 'clow0', 'chigh0')]
    assert seen == [rows.min(), rows.max(), columns.min(), columns.max()]
    put(page, 'receptive-field', layer=1, row=9)
    assert get(page, 'receptive-field', 'said').startswith('One cell of layer 1 sees 3 x 3 cells of the image: rows 9 to 11')


def test_titles_and_pictures_keep_their_places(page):
    "Whichever layer is chosen: what is not shown moves nothing"
    places = f"() => [...{figure('receptive-field')}.root.querySelectorAll('svg g[transform]')].flatMap(g => g.getAttribute('transform').match(/-?[0-9.]+/g).map(Number))"
    put(page, 'receptive-field', layer=3, row=0, column=0)
    first = page.evaluate(places)
    for layer, row, column in ((1, 8, 22), (1, 0, 0), (2, 20, 3), (3, 11, 11)):
        put(page, 'receptive-field', layer=layer, row=row, column=column)
        assert page.evaluate(places) == pytest.approx(first, abs=4), layer # half the thickness of a frame, for each picture to the left


def test_only_what_a_slider_or_a_list_can_say_is_taken(page):
    said = lambda name, key, value: page.evaluate(f"async ([k, v]) => {figure(name)}.start().then(e => e.set(k, v)).then(() => 'taken', e => e.message)", [key, value])
    assert said('window', 'row', 26) == 'row is a whole number from 0 to 25' == said('window', 'row', 3.5) == said('window', 'row', None)
    assert said('window', 'kernel', 'emboss') == 'kernel is one of top edge, left edge, blur'
    assert said('window', 'sum', 1) == 'sum is not an input of this figure: kernel, row, column'
    assert said('dropout', 'rate', 'much') == 'much is not a number' and said('dropout', 'rate', '0,25') == 'taken' and get(page, 'dropout', 'rate') == .25


def test_one_cycle_is_the_learners(page):
    put(page, 'one-cycle', largest=.02, rise=.4, div=10)
    for moment in (0, 20, 40, 77, 100):
        put(page, 'one-cycle', moment=moment)
        ours = one_cycle(moment / 100, .02, div=10, pct_start=.4)
        assert (get(page, 'one-cycle', 'lr'), get(page, 'one-cycle', 'mom')) == pytest.approx(ours, rel=1e-9)


def test_dropout_deletes_its_share_and_scaling_keeps_the_mean(page):
    seven = draw_seven()
    put(page, 'dropout', scaled=True)
    for rate in (0, .25, .5, .9):
        shares, means = [], []
        for draw in range(1, 11):
            put(page, 'dropout', rate=rate, draw=draw)
            shares.append(get(page, 'dropout', 'deleted') / 784)
            means.append(get(page, 'dropout', 'mean'))
        assert abs(sum(shares) / 10 - rate) < 4 * (rate * (1 - rate) / 7840) ** .5 + 1e-9
        assert abs(sum(means) / 10 - seven.mean()) < .15 * seven.mean()


def test_neighbours_and_places_say_who_is_near(page):
    put(page, 'letter-neighbours', chosen=4)
    assert get(page, 'letter-neighbours', 'said') == 'Nearest to e: d, c.'
    put(page, 'places', chosen=1, share=0)
    assert get(page, 'places', 'said').startswith('B (east): nearest in the embedding A, C, D; on the ground A, C, D.')


def test_keyboard_and_mouse(page):
    "A slider moves with the arrow keys; the mouse over a cell moves slider and window"
    page.evaluate(f"{figure('window')}.start()")
    put(page, 'window', row=5)
    page.evaluate(f"{figure('window')}.root.querySelector('input[name=\"row\"]').focus()")
    page.keyboard.press('ArrowRight')
    page.wait_for_function(f"{figure('window')}.view.signal('row') === 6")
    box = page.evaluate(f"(() => {{ const e = {figure('window')}; e.scrollIntoView(); const r = e.root.querySelector('.image path, .image rect').getBoundingClientRect(); return [r.x, r.y, r.width] }})()")
    page.mouse.move(box[0] + 20.5 * box[2], box[1] + 10.5 * box[2])
    page.wait_for_function(f"{figure('window')}.view.signal('row') === 9 && {figure('window')}.view.signal('column') === 19")
    assert page.evaluate(f"{figure('window')}.root.querySelector('input[name=\"column\"]').value") == '19'


def test_axe_finds_nothing_serious_in_both_themes(page):
    page.add_script_tag(path=str(root/'live'/'node_modules'/'axe-core'/'axe.min.js'))
    for theme in ('light', 'dark'):
        page.evaluate("t => { document.documentElement.dataset.bsTheme = t; document.body.style.background = t === 'dark' ? '#222' : '#fff'; document.body.style.color = t === 'dark' ? '#fff' : '#000' }", theme)
        page.wait_for_timeout(100)
        found = page.evaluate("async () => (await axe.run(document)).violations.map(v => [v.impact, v.id, v.nodes[0].target.join(' '), v.nodes.length])")
        assert not [v for v in found if v[0] in ('serious', 'critical')]


def test_on_a_phone_the_pictures_stand_below_each_other(page):
    phone = watched(page.context.browser, page.url, viewport=dict(width=390, height=844))
    phone.goto(page.url)
    for name in saved():
        wide = phone.evaluate(f"async () => {{ const e = await {figure(name)}.start(); return document.documentElement.scrollWidth }}")
        assert wide <= 390, name
    phone.close()


def test_no_script_error_and_no_other_host(page): assert not page.errors and not page.elsewhere


def test_paper_and_pages_without_scripts_keep_the_picture(site, tmp_path):
    text = (site/'page.html').read_text()
    assert text.count('<live-figure') == text.count('<img alt="the picture of') == 6
    still = tmp_path/'still.html'
    still.write_text(text.replace('<script type="module" src="live/live-sheet.js"></script>', ''))
    live.add_to_page(still, tmp_path, {}, False)
    assert live.STILL in still.read_text() and '<script' not in still.read_text()


def test_every_package_that_is_shipped_has_its_licence_on_a_page(site):
    packages = live.licences(site/'live')
    assert {'vega', 'fflate', '@ironcalc/wasm', 'robust-predicates'} <= {p['name'] for p in packages}
    for p in packages: assert p['license'] and p['version'] and len(p['text']) > 300, p['name']
    live.licences_page(site, packages)
    text = (site/'licences.html').read_text()
    assert all(p['name'] in text for p in packages) and 'Apache License 2.0' in text
    assert 'aria-current' not in text, 'no entry of the sidebar is this page'


def test_a_build_without_node_has_pictures_and_says_so(tmp_path, monkeypatch, capsys):
    "No engine, no script: the picture of the sheet, a link to its workbook, a sentence; and a page of licences without packages"
    from ddl_lesson8.book import workbook
    one = {'parameters': workbook.chapter_sheets()['parameters']}
    monkeypatch.setattr(workbook, 'chapter_sheets', lambda: one)
    monkeypatch.setattr(live, 'digit_document', lambda folder: {})
    monkeypatch.setattr(live, 'node', lambda: None)
    page = tmp_path/'page.html'
    page.write_text(PAGE.format('<live-sheet src="live/parameters.json" view="A1:F9"></live-sheet>'), encoding='utf-8')
    assert live.build(tmp_path) == 1
    text = page.read_text(encoding='utf-8')
    assert live.STILL in text and '<script' not in text and '<a href="live/parameters.xlsx">The workbook of this sheet</a>' in text
    assert (tmp_path/'live'/'parameters.xlsx').exists() and 'the sheets stay pictures: node is missing' in capsys.readouterr().out
    assert 'carries no live sheets' in (tmp_path/'licences.html').read_text() and not list(tmp_path.rglob('*.wasm'))
