"Live sheets in Chromium: first sheet after the click, an edit, a pen stroke to ten bars; medians: python bench/live.py"
import functools, http.server, json, os, re, shutil, statistics, sys, tempfile, threading
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import live

PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>bench</title></head><body>{}</body></html>'
OPEN = "async () => { const e = document.querySelector('live-sheet, digit-reader'), t = performance.now(); await e.start(); return performance.now() - t }"
EDIT = """async () => { const e = document.querySelector('live-sheet'), [at] = (await e.inputs()).filter(a => typeof e.values.get(a) === 'number'), ms = []
  for (let i = 0; i < 25; i++) { const t = performance.now(); await e.set(at, String(i / 25)); ms.push(performance.now() - t) } return ms.slice(5) }"""
PEN = """async () => { const e = document.querySelector('digit-reader'), at = await e.inputs(), ms = []
  for (let i = 0; i < 25; i++) { const dab = Object.fromEntries([0, 1, 28, 29].map(k => [at[300 + i + k], 1])), t = performance.now(); await e.setMany(dab); ms.push(performance.now() - t) } return ms.slice(5) }"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


def serve(folder):
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}'


TAG = re.compile(r'<(?:live-sheet|digit-reader) src="live/(.*?).json".*?</(?:live-sheet|digit-reader)>')


def tags(): # every live sheet as it stands in a chapter: a name of its own -> (workbook, element)
    found = {}
    for path in sorted((root/'nbs').glob('*.ipynb')):
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            for m in TAG.finditer(''.join(cell['source']) if cell['cell_type'] == 'markdown' else ''):
                where = re.search('view="(.*?)"', m[0])
                found[f'{m[1]} {where[1] if where else ""}'.strip()] = m[1], m[0]
    return found


def site(folder):
    (folder/'live').mkdir()
    docs = live.documents(folder/'live', live.workbooks(folder/'live')) | dict(digit=live.digit_document(folder/'live'))
    if missing := live.build_engine(folder/'live'): sys.exit(missing)
    pages = tags()
    for name, (_, tag) in pages.items():
        (folder/f'{page_name(name)}.html').write_text(PAGE.format(tag))
        live.add_to_page(folder/f'{page_name(name)}.html', folder, docs, True)
    return docs, pages


def page_name(name): return re.sub(r'\W+', '-', name)


def measure(browser, url, script, runs=5):
    opened, edits = [], []
    for _ in range(runs): # a fresh page each time, so that the engine starts anew
        page = browser.new_page()
        page.goto(url)
        opened.append(page.evaluate(OPEN))
        edits += page.evaluate(script)
        page.close()
    return statistics.median(opened), statistics.median(edits)


def main():
    from playwright.sync_api import sync_playwright
    chrome = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        folder = Path(folder)
        (docs, pages), address = site(folder), serve(folder)
        browser = p.chromium.launch(executable_path=chrome, args=['--no-sandbox'])
        rows = []
        for name, (book, tag) in pages.items():
            n = sum(str(c[3]).startswith(('=', '{=')) for s in docs[book]['sheets'] for c in s['cells'])
            first, edit = measure(browser, f'{address}/{page_name(name)}.html', PEN if 'digit-reader' in tag else EDIT)
            rows.append(f'| {name} | {n:,} | {first:.0f} | {edit:.0f} |')
            print(rows[-1], flush=True)
        text = ['# Live sheets in the browser', '', f'Chromium {browser.version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end: with more than one a core the times are those of a busy machine. Medians: five fresh pages, and twenty edits on each.', '',
                '| workbook and cells shown | formulas | first sheet after the click, ms | an edit, everything recalculated and shown, ms |', '| --- | --- | --- | --- |', *rows, '',
                'The edit of `digit` is a pen stroke of four cells, up to the ten bars.']
    (root/'bench'/'results'/'live.md').write_text('\n'.join(text) + '\n')


if __name__ == '__main__': main()
