"""A live sheet as other notebook programs show it: by the widget manager of plain pages, and by the one that VS Code carries.

They are not among this project's packages: npm install --prefix DIR @jupyter-widgets/html-manager@1.0.15 @vscode/jupyter-ipywidgets8@1.0.9 requirejs@2.3.7,
and DDL_LESSON8_WIDGET_MANAGERS=DIR/node_modules."""
import json, os, re, shutil
from pathlib import Path
import pytest, torch
from in_browser import chromium, served, watched
from ddl_lesson8.sheets import view
from ddl_lesson8.sheets.book import Book

packages = Path(os.environ.get('DDL_LESSON8_WIDGET_MANAGERS', '/none'))
pytestmark = pytest.mark.skipif(not packages.exists() or not view.BUNDLE.exists(), reason='needs the widget managers and the bundle')
PAGE = '<!doctype html><html lang="en"><title>widgets</title><body><div id="out"></div><script src="require.js"></script></body></html>'
EDIT = """const e = document.querySelector('live-sheet'); await e.ready; await e.set('A3', '7');
    return [await e.get((await e.formulas())[0]), e.grid.nodes.get('A3').style.background]"""
VSCODE = """async () => { (await import('/ipywidgets.js')).activate(); window.vscIPyWidgets8.load()
    const nothing = { connect() {}, disconnect() {} }, el = document.getElementById('out')
    const kernel = { registerCommTarget() {}, statusChanged: nothing, connectionStatusChanged: nothing, iopubMessage: nothing, disposed: nothing, anyMessage: nothing,
        info: Promise.resolve({}), requestCommInfo: async () => ({ content: { comms: {} } }), createComm: (name, id) => ({ commId: id, open() {}, send() {}, close() {} }) }
    const loader = { widgetsRegisteredInRequireJs: new Set(['anywidget']), loadWidgetScript() {}, successHandler() {}, errorHandler() {} }
    const manager = new window.vscIPyWidgets.WidgetManager(kernel, el, loader, () => {}, {})
    const models = await manager.set_state(await (await fetch('/state.json')).json()), model = models.find(m => m.get('document'))
    await manager.display_view(null, await manager.create_view(model), { node: el })
    while (!document.querySelector('live-sheet')) await new Promise(r => setTimeout(r, 50))
    window.model = model
    %s }""" % EDIT


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "A folder with a saved widget and the programs that show it"
    import anywidget
    from ipywidgets.embed import dependency_state, embed_minimal_html
    folder, book = tmp_path_factory.mktemp('widgets'), Book()
    pair = book.sheet('sum').put(torch.tensor([2., 3.]), 'inputs')
    book['sum'].formula((1,), lambda i: f'SUM({pair.area()})', 'sum')
    sheet = view.view(book)
    sheet.colours = {'A3': '#f8696b'}
    embed_minimal_html(folder/'plain.html', views=[sheet], state=dependency_state([sheet], drop_defaults=False), drop_defaults=False)
    text = (folder/'plain.html').read_text()
    (folder/'state.json').write_text(re.search(r'widget-state\+json">(.*?)</script>', text, re.S)[1])
    text = re.sub(r'src="https:[^"]*/(require|embed-amd)[^"]*"', r'src="\1.js"', text)
    (folder/'plain.html').write_text(re.sub(r' (integrity|crossorigin)="[^"]*"', '', text))
    (folder/'vscode.html').write_text(PAGE)
    for file in ('requirejs/require.js', '@jupyter-widgets/html-manager/dist/embed-amd.js', '@vscode/jupyter-ipywidgets8/dist/ipywidgets.js'): shutil.copy(packages/file, folder)
    shutil.copy(Path(anywidget.__file__).parent/'nbextension'/'index.js', folder/'anywidget.js')
    return folder


@pytest.mark.parametrize('page', ['plain.html', 'vscode.html'])
def test_a_saved_sheet_opens_and_computes(site, page):
    "7 + 3 after an edit, the colour that Python gave, nothing from another host; VS Code's model has the edit to send"
    with served(site) as address, chromium() as chrome:
        seen = watched(chrome, address)
        seen.goto(address + page)
        if page == 'vscode.html': assert seen.evaluate(VSCODE) == [10, 'rgb(248, 105, 107)'] and seen.evaluate("model.get('inputs')") == {'A3': 7}
        else:
            seen.wait_for_selector('live-sheet', state='attached')
            assert seen.evaluate(f'async () => {{ {EDIT} }}') == [10, 'rgb(248, 105, 107)']
        assert not seen.errors and not seen.elsewhere
