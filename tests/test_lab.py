"""JupyterLab in a real browser: a sheet in a notebook, an edit in it, and what Python makes of the edit.

`make lab` is tried as it stands. Nothing is asked of another host."""
import importlib.util, json, os, signal, socket, subprocess, sys, time, urllib.request
from contextlib import contextmanager
from pathlib import Path
import pytest
from in_browser import chromium, watched
from ddl_lesson8.sheets import view

root = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not importlib.util.find_spec('jupyterlab'), reason='needs JupyterLab')
CELLS = [
    """import torch
from ipywidgets import HTML
from pathlib import Path
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.view import view, view_gradient""",
    """book = Book()
page = book.sheet('page')
pair = page.put(torch.tensor([2., 3.]), 'inputs')
out = page.formula((1,), lambda i: f'{pair.ref(0)}^2*{pair.ref(1)}', 'output')
module = SheetModule.load(book.save(Path('pair.xlsx')))
heard = HTML('nothing')
def hear(inputs):
    x = torch.tensor([[inputs.get('A3', 2.), inputs.get('B3', 3.)]], dtype=torch.float64)
    heard.value = f"{inputs} gives {module({'page!A3:B3': x})[f'page!{out.ref(0)}'].item()}"
live = view(book, on_change=hear)
live""",
    'heard',
    "tinted = view_gradient(module, f'page!{out.ref(0)}', f'page!{pair.area()}')\ntinted",
    'module',
    'live.set(B3=5.)']
LIVE = [1, 3, 4]  # cells that show a sheet


@contextmanager
def lab(folder, *command, **env):
    "A command that starts JupyterLab, with a port, a token and a folder of its own: its address"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    config = dict(ServerApp=dict(port=port, port_retries=0, open_browser=False, allow_root=True), IdentityProvider=dict(token='secret'),
                  LabApp=dict(news_url=None, check_for_updates_class='jupyterlab.NeverCheckForUpdate', extension_manager='readonly'))
    own = {f'JUPYTER_{kind}_DIR': str(folder/'jupyter') for kind in ('CONFIG', 'RUNTIME', 'DATA')}
    (folder/'jupyter').mkdir()
    (folder/'jupyter'/'jupyter_lab_config.json').write_text(json.dumps(config))
    said = folder/'lab.log'
    with open(said, 'w') as log:
        server = subprocess.Popen(command, cwd=root, env={**os.environ, **own, **env}, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            if server.poll() is not None: pytest.fail(said.read_text()[-2000:])
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api/status?token=secret', timeout=5).close(); break
            except OSError: time.sleep(.25)
        else: pytest.fail('JupyterLab did not answer in a minute: ' + said.read_text()[-2000:])
        yield f'http://127.0.0.1:{port}/'
    finally:
        if server.poll() is None: os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def notebook(cells):
    cell = lambda n, source: dict(cell_type='code', id=f'cell-{n}', metadata={}, outputs=[], execution_count=None, source=source)
    kernel = dict(display_name='Python 3', language='python', name='python3')
    return json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=[cell(n, s) for n, s in enumerate(cells)]))


def run_cell(page, n):
    "Shift+Enter in a cell, again where JupyterLab lost it: it does so while it still connects to the kernel"
    cell = page.locator('.jp-CodeCell').nth(n)
    prompt = cell.locator('.jp-InputPrompt')
    for _ in range(60):
        cell.locator('.cm-content').click()
        page.keyboard.press('Shift+Enter')
        page.wait_for_timeout(1000)
        if prompt.inner_text() != '[ ]:': break
    prompt.get_by_text(f'[{n + 1}]:', exact=True).wait_for()


@pytest.mark.skipif(not view.BUNDLE.exists(), reason='needs the bundle: make docs')
def test_an_edit_in_jupyterlab_reaches_python_and_torch(tmp_path):
    "Cells run by Shift+Enter; 7 is typed over A3: `on_change` and `SheetModule` give 7 * 7 * 3, the slopes colour anew; and Python sets B3"
    (tmp_path/'small.ipynb').write_text(notebook(CELLS))
    with lab(tmp_path, sys.executable, '-m', 'jupyterlab', f'--ServerApp.root_dir={tmp_path}', PYTHONPATH=str(root)) as address, chromium() as chrome:
        page = watched(chrome, address, viewport=dict(width=1280, height=1600))
        page.set_default_timeout(120000)
        page.goto(address + 'lab/tree/small.ipynb?token=secret&reset')
        for n in range(5): run_cell(page, n)
        cell = lambda n, column: page.locator('.jp-CodeCell').nth(n).locator(f'live-sheet [aria-rowindex="3"] [aria-colindex="{column}"]')
        shows = lambda n, column, text: cell(n, column).get_by_text(text, exact=True).wait_for()
        for n in LIVE:
            shows(n, 4, '12.0')
            cell(n, 1).click()
            page.keyboard.type('7')
            page.keyboard.press('Enter')
            shows(n, 4, '147.0')
        page.get_by_text("{'A3': 7} gives 147.0").wait_for()
        red, paler = 'rgb(248, 105, 107)', 'rgb(249, 126, 128)'  # slopes 49 and 42, as PyTorch has them at (7, 3)
        page.wait_for_function('([sheet, colours]) => String([...sheet.root.querySelectorAll(".input")].map(n => n.style.background)) == colours',
                               arg=[page.locator('live-sheet').nth(1).element_handle(), f'{paler},{red}'])
        run_cell(page, 5)
        shows(1, 4, '245.0')
        page.get_by_text("{'A3': 7, 'B3': 5.0} gives 245.0").wait_for()
        for n, text in enumerate(('Settings', 'Theme', 'JupyterLab Dark')): page.locator('.lm-MenuBar-itemLabel, .lm-Menu-itemLabel').get_by_text(text, exact=True).click()
        page.locator('live-sheet.dark').nth(2).wait_for()
        assert not page.errors and not page.elsewhere


def test_make_lab_opens_the_notebooks_of_the_book(tmp_path):
    "The command as it stands, in the environment of this test; the page and the list of notebooks are asked for"
    venv = os.path.relpath(sys.prefix, root)
    with lab(tmp_path, 'make', '-o', f'{venv}/.ready', f'VENV={venv}', 'lab') as address:
        ask = lambda path: urllib.request.urlopen(f'{address}{path}?token=secret', timeout=20).read().decode()
        listed = {entry['name'] for entry in json.loads(ask('api/contents'))['content']}
        assert {p.name for p in (root/'nbs').glob('*.ipynb')} <= listed and 'JupyterLab' in ask('lab')
