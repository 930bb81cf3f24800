"""The built site as readers meet it, in Chromium: both themes, wide and phone, keyboard only.

A few pages stand for all; DDL_LESSON8_ALL_PAGES=1 opens every page. DDL_LESSON8_SITE names another folder than _docs."""
import os
from pathlib import Path
import pytest
from in_browser import chromium, served, watched

root = Path(__file__).resolve().parent.parent
site = Path(os.environ.get('DDL_LESSON8_SITE', root/'_docs'))
axe = root/'live'/'node_modules'/'axe-core'/'axe.min.js'
SAMPLE = ['index.html', 'convolutions.html', 'dropout.html', 'interpret.html', 'ledger.html', 'glossary.html', 'licences.html', 'book/figures.html', 'sheets/view.html', 'all.html']
PAGES = sorted(p.relative_to(site).as_posix() for p in site.rglob('*.html') if not {'site_libs', 'live'} & set(p.relative_to(site).parts))
if not os.environ.get('DDL_LESSON8_ALL_PAGES'): PAGES = [p for p in SAMPLE if p in PAGES]
pytestmark = pytest.mark.skipif(not PAGES, reason='the site is not built: make docs')


@pytest.fixture(scope='module')
def view():
    with served(site) as address, chromium() as chrome:
        page = watched(chrome, address, viewport=dict(width=1280, height=900))
        page.home = address
        yield page


@pytest.mark.parametrize('name', PAGES)
def test_axe_width_scripts_and_hosts(view, name):
    "No serious finding in two themes and at two widths, nothing wider than a phone, no script error, nothing from elsewhere"
    if not axe.exists(): pytest.skip('needs the npm packages of live/')
    view.errors.clear(); view.elsewhere.clear()
    found = []
    for width in (1280, 390):
        view.set_viewport_size(dict(width=width, height=900))
        view.goto(view.home + name)
        view.add_script_tag(path=str(axe))
        view.add_style_tag(content='* { transition: none !important }') # colours are judged where they end
        for theme in ('light', 'dark'):
            view.evaluate("t => { document.documentElement.dataset.bsTheme = t; document.documentElement.classList.toggle('quarto-dark', t === 'dark') }", theme)
            bad = view.evaluate("""async () => (await axe.run(document, { resultTypes: ['violations'] })).violations.filter(v => ['serious', 'critical'].includes(v.impact))
                .flatMap(v => v.nodes.slice(0, 3).map(n => [v.id, n.target.join(' '), n.html.slice(0, 120), v.nodes.length]))""")
            found += [(width, theme, *b) for b in bad]
        over = view.evaluate('document.documentElement.scrollWidth') - width
        if over > 1: found.append((width, f'{over} points wider than the window'))
    assert not found and not view.errors and not view.elsewhere, '\n'.join(map(str, [*found, *view.errors, *view.elsewhere]))


@pytest.mark.parametrize('name', [p for p in SAMPLE[:4] if p in PAGES])
def test_keyboard_alone_reaches_everything_and_is_never_caught(view, name):
    "Sixty times Tab: each stop can be seen, and no place holds the reader"
    view.set_viewport_size(dict(width=1280, height=900))
    view.goto(view.home + name)
    stops = []
    for _ in range(60):
        view.keyboard.press('Tab')
        stops.append(view.evaluate("""() => { const e = document.activeElement; if (e === document.body) return null
            return [[...document.querySelectorAll('*')].indexOf(e), e.tagName, e.checkVisibility({ visibilityProperty: true })] }"""))
    reached = [s for s in stops if s]
    assert len({s[0] for s in reached}) > 15 and all(s[2] for s in reached), reached


@pytest.mark.skipif('ledger.html' not in PAGES, reason='no ledger')
def test_ledger_filters_search_and_links_to_cells(view):
    view.set_viewport_size(dict(width=390, height=844))
    view.goto(view.home + 'ledger.html')
    count = lambda: view.locator('.ledger-page [data-verdict]:visible').count()
    every = count()
    view.select_option('.ledger-page select[name=verdict]', 'fails')
    fails = count()
    assert 0 < fails < every and f'{fails} of {every} claims' in view.locator('.ledger-count').inner_text()
    view.select_option('.ledger-page select[name=verdict]', '')
    view.fill('.ledger-page input[name=q]', 'weight decay')
    assert 0 < count() < every
    link = view.locator('.ledger-page [data-verdict]:visible a').first
    target = link.get_attribute('href')
    link.click()
    view.wait_for_load_state()
    assert view.url.endswith(target) and view.locator('#' + target.split('#')[1]).is_visible()


@pytest.mark.skipif('glossary.html' not in PAGES, reason='no glossary')
def test_search_finds_by_keyboard(view):
    view.set_viewport_size(dict(width=1280, height=900))
    view.goto(view.home + 'index.html')
    view.keyboard.press('/')
    view.keyboard.type('cold start')
    view.wait_for_selector('.search-result')
    view.keyboard.press('ArrowDown')
    view.keyboard.press('Enter')
    view.wait_for_url(lambda url: url != view.home + 'index.html')


@pytest.mark.skipif('convolutions.html' not in PAGES or not (site/'live'/'live-app.js').exists(), reason='no live sheets')
def test_sheets_and_figures_work_from_a_sub_path(view):
    "As on Pages, where the site is a folder among others: no address begins at the root"
    with served(site.parent) as address:
        page = watched(view.context.browser, f'{address}{site.name}/', viewport=dict(width=1280, height=900))
        lost = []
        page.on('response', lambda r: lost.append(r.url) if r.status >= 400 else None)
        page.goto(f'{address}{site.name}/convolutions.html')
        assert page.evaluate("document.querySelector('live-sheet').get('A4').then(v => typeof v)") == 'number'
        assert page.evaluate("document.querySelector('live-figure').get('said')").startswith('Row ')
        page.goto(f'{address}{site.name}/sheets/view.html')
        page.goto(f'{address}{site.name}/licences.html')
        assert not lost and not page.errors and not page.elsewhere
        page.close()
