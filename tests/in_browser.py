"A folder served on this machine and a page in Chromium, for the tests that need a real browser."
import functools, http.server, importlib.util, shutil, threading
from contextlib import contextmanager
import pytest

browser = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@contextmanager
def served(folder):
    "The address of a folder on a server of its own"
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()


@contextmanager
def chromium():
    "Chromium; the test is skipped where there is none"
    if not browser or not importlib.util.find_spec('playwright'): pytest.skip('needs Chromium and playwright')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        chrome = p.chromium.launch(executable_path=browser, args=['--no-sandbox', '--disable-gpu'])
        yield chrome
        chrome.close()


def watched(chrome, address, **kwargs):
    "A new page that notes its script errors, what it asks of other hosts, and everything it loads"
    page = chrome.new_page(**kwargs)
    page.errors, page.elsewhere, page.asked = [], [], []
    page.on('pageerror', lambda e: page.errors.append(str(e)))
    def note(r): (page.asked if r.url.startswith((address, 'blob:', 'data:')) else page.elsewhere).append(r.url)
    page.on('request', note)
    return page
