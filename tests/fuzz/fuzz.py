"""Mutates workbooks and watches what the library does with them: each file is opened, read, computed, rewritten and audited, and must give
what is right or a `SheetError`. Each fourth number is something else instead, see `others.py`: a model, a table, scanned ratings, a request.

    python tests/fuzz/fuzz.py --files 2000          that many mutated files
    python tests/fuzz/fuzz.py --hours 8             as many as fit
    python tests/fuzz/fuzz.py --only 12345          one file again, with its traceback

Every file follows from its number alone. Numbers that once failed stand in `found.txt` and are tried first."""
import argparse, contextlib, io, json, random, re, select, shutil, signal, subprocess, sys, tempfile, time, traceback, zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import others
from others import Difference

FOUND, LAST = HERE/'found.txt', HERE/'last.json' # numbers that failed; figures of the last long run
SECONDS, SILENCE, MEMORY = 10, 120, 1 << 30  # computing time for one file; seconds without a sign of life; bytes over what Python and torch take
M = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
R = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
P = 'http://schemas.openxmlformats.org/package/2006'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


# the originals

def by_hand(rows, names='', more='', extra=None, tail='', links=()):
    "A workbook from the XML of its rows: parts by name"
    kinds = [('r1', 'worksheet', 'worksheets/sheet1.xml'), ('r2', 'sharedStrings', 'sharedStrings.xml'), ('r9', 'styles', 'styles.xml'), *links]
    rels = lambda found: f'{HEAD}<Relationships xmlns="{P}/relationships">' + ''.join(f'<Relationship Id="{i}" Type="{R}/{k}" Target="{t}"{x}/>' for i, k, t, *rest in found for x in [''.join(rest)]) + '</Relationships>'
    strings = ''.join(f'<si><t xml:space="preserve">{t}</t></si>' for t in ('first', 'a &amp; b', '_x000D_line', 'Grüße'))
    types = 'application/vnd.openxmlformats-officedocument.spreadsheetml'
    return {'[Content_Types].xml': f'{HEAD}<Types xmlns="{P}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
                                   f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="{types}.worksheet+xml"/>'
                                   f'<Override PartName="/xl/sharedStrings.xml" ContentType="{types}.sharedStrings+xml"/></Types>',
            '_rels/.rels': rels([('r1', 'officeDocument', 'xl/workbook.xml')]),
            'xl/workbook.xml': f'{HEAD}<workbook xmlns="{M}" xmlns:r="{R}"><bookViews><workbookView activeTab="0"/></bookViews><sheets><sheet name="data" sheetId="1" r:id="r1"/></sheets>{more}<definedNames>{names}</definedNames></workbook>',
            'xl/styles.xml': f'{HEAD}<styleSheet xmlns="{M}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
                             '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
                             '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
            'xl/_rels/workbook.xml.rels': rels(kinds), 'xl/sharedStrings.xml': f'{HEAD}<sst xmlns="{M}" count="4" uniqueCount="4">{strings}</sst>',
            'xl/worksheets/sheet1.xml': f'{HEAD}<worksheet xmlns="{M}" xmlns:r="{R}"><sheetData>{rows}</sheetData>{tail}</worksheet>', **(extra or {})}


def numbers(n=12): return ''.join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c><c r="B{i}"><v>{i * i / 7!r}</v></c><c r="C{i}"><f>A{i}*B{i}</f><v>{i * (i * i / 7)!r}</v></c></row>' for i in range(1, n + 1))


def table():
    part = f'{HEAD}<table xmlns="{M}" id="1" name="T" displayName="T" ref="A1:B4" totalsRowCount="0"><tableColumns count="2"><tableColumn id="1" name="first"/><tableColumn id="2" name="n"/></tableColumns></table>'
    rows = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>n</t></is></c></row>' + ''.join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c><c r="B{i}"><v>{i}.5</v></c></row>' for i in (2, 3, 4))
    rows += '<row r="6"><c r="A6"><f>SUM(T[n])</f><v>10.5</v></c><c r="B6" t="str"><f>A2&amp;"x"</f><v>2x</v></c><c r="C6" t="b"><f>A2&lt;A3</f><v>1</v></c></row>'
    rel = f'{HEAD}<Relationships xmlns="{P}/relationships"><Relationship Id="t1" Type="{R}/table" Target="../tables/table1.xml"/></Relationships>'
    return by_hand(rows, extra={'xl/tables/table1.xml': part, 'xl/worksheets/_rels/sheet1.xml.rels': rel}, tail='<tableParts count="1"><tablePart r:id="t1"/></tableParts>')


def originals():
    "Bytes of the workbooks that are mutated, by name; the same in every run"
    import torch
    from ddl_lesson8.sheets.book import Book
    shared = '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><f t="shared" si="0" ref="B1:B4">A1*2+$A$1</f><v>3</v></c></row>' + ''.join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c><c r="B{i}"><f t="shared" si="0"/><v>{2 * i + 1}</v></c></row>' for i in (2, 3, 4))
    shared += '<row r="5"><c r="A5"><f t="array" ref="A5:D5">TRANSPOSE(A1:A4)</f><v>1</v></c><c r="B5"><v>2</v></c><c r="C5"><v>3</v></c><c r="D5"><v>4</v></c></row>'
    solver = ''.join(f'<definedName name="solver_{k}" localSheetId="0" hidden="1">{v}</definedName>' for k, v in dict(opt='data!$C$1', adj='data!$A$1:$A$2', typ=2, num=1, lhs1='data!$A$1', rel1=3, rhs1=0).items())
    names = '<definedName name="rate">data!$B$2</definedName><definedName name="twice">rate+rate</definedName>' + solver
    kinds = '<row r="1"><c r="A1" t="s"><v>2</v></c><c r="B1" t="b"><v>1</v></c><c r="C1" t="e"><v>#N/A</v></c><c r="D1" t="d"><v>2024-02-29</v></c><c r="E1" t="inlineStr"><is><r><t>rich </t></r><r><t>text</t></r></is></c><c r="F1" s="0"/></row>'
    kinds += '<row r="3"><c r="A3"><f>LEN(A1)+COUNTIF(B1:F1,TRUE)</f><v>6</v></c><c r="B3" t="e"><f>1/0</f><v>#DIV/0!</v></c><c r="C3"><f>twice</f><v>0</v></c></row>'
    parts = {'numbers': by_hand(numbers()), 'shared': by_hand(shared), 'table': table(), 'kinds': by_hand(kinds, '<definedName name="twice">data!$D$1*2</definedName>', '<workbookPr date1904="1"/>'), 'solver': by_hand(numbers(4), names)}
    found = {name: packed(p) for name, p in parts.items()}
    book = Book()
    s = book.sheet('network')
    x, w = (s.put(torch.arange(n, dtype=torch.float64).reshape(shape) / 7, label) for n, shape, label in ((36, (1, 6, 6), 'x'), (9, (1, 1, 3, 3), 'w')))
    s.softmax(s.linear(s.max_pool2d(s.conv2d(x, w, relu=True)), s.put(torch.ones(3, 1, 2, 2) / 5, 'dense', across=True)))
    words = book.sheet('words')
    words.match(words.put(['b', '=1', 'a'], 'poem', vertical=True), words.put(['a', 'b', '=1'], 'vocabulary', vertical=True))
    with tempfile.TemporaryDirectory() as folder: found['book'] = same_every_day(book.save(Path(folder)/'b.xlsx'))
    found['charts'] = by_openpyxl()
    return found


def by_openpyxl(): # a chart, a picture of colours, merged cells, a validation
    import openpyxl
    from openpyxl.chart import BarChart, Reference
    wb = openpyxl.Workbook()
    ws = wb.active
    ws.title = 'chart'
    for i in range(1, 6): ws.append([i, i * i, f'=A{i}+B{i}'])
    ws.merge_cells('E1:F2')
    chart = BarChart()
    chart.add_data(Reference(ws, min_col=2, min_row=1, max_row=5))
    ws.add_chart(chart, 'H2')
    out = io.BytesIO()
    wb.save(out)
    return same_every_day(out)


def same_every_day(file): # bytes of a workbook without the time of its making
    with zipfile.ZipFile(file) as z: return packed({n: re.sub(rb'\d{4}-\d\d-\d\dT[\d:.]+Z', b'2026-01-01T00:00:00Z', z.read(n)) for n in z.namelist()})


def packed(parts): # bytes of an archive
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
        for n, d in parts.items(): z.writestr(zipfile.ZipInfo(n, (2026, 1, 1, 0, 0, 0)), d, zipfile.ZIP_DEFLATED)
    return out.getvalue()


# the mutations

NASTY = ['', '0', '-1', '1e999', 'nan', 'NaN', '1_0', '²', '١', ' 5 ', 'XFE1', 'A0', 'a1', 'A1048577', '$A$1', 'A1:XFD1048576', '4294967296', '99999999999999999999', 'true', 'x' * 40_000, '_x0000_', '_xD800_', '\t', '\n',
         '=' * 9, '(' * 300, '((((((1))))))', '1/0', 'A1', 'SUM(A:XFD)', 'n+n', 's', 'str', 'inlineStr', 'e', 'd', 'b', 'z', 'shared', 'array', 'dataTable', '../../etc/passwd', 'http://localhost/', '&amp;', '#REF!', '[1]x!A1', 'r1', 'worksheet']
TAGS = ['row', 'c', 'v', 'f', 'is', 't', 'sheetData', 'definedName', 'sheet', 'si', 'Relationship', 'x']


def raw(data, rng): # bytes turned, cut, doubled, put in
    data, kind = bytearray(data), rng.randrange(5)
    at = rng.randrange(len(data))
    if kind == 0:
        for _ in range(rng.choice([1, 1, 2, 8])): data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1: del data[at:]
    elif kind == 2: del data[at:at + rng.choice([1, 2, 16, 400])]
    elif kind == 3: data[at:at] = data[max(0, at - rng.choice([1, 4, 64, 900])):at]
    else: data[at:at + rng.choice([0, 1, 4])] = rng.choice([b'\0', b'\xff\xff\xff\xff', b'PK\1\2', b'PK\5\6', b'<', b'\xef\xbb\xbf', rng.randbytes(8)])
    return bytes(data)


def archived(data, rng): # parts lost, doubled, swapped, renamed, packed otherwise
    with zipfile.ZipFile(io.BytesIO(data)) as z: parts = [(n, z.read(n)) for n in z.namelist()]
    kind, k, j = rng.randrange(7), rng.randrange(len(parts)), rng.randrange(len(parts))
    if kind == 0: del parts[k]
    elif kind == 1: parts.append((parts[k][0], parts[j][1]))
    elif kind == 2: parts[k], parts[j] = (parts[k][0], parts[j][1]), (parts[j][0], parts[k][1])
    elif kind == 3: parts[k] = (rng.choice(['/' + parts[k][0], '../' + parts[k][0], parts[k][0].upper(), parts[k][0].replace('/', '\\'), 'C:' + parts[k][0]]), parts[k][1])
    elif kind == 4: parts[k] = (parts[k][0], rng.choice([b'', b'\0' * 9_000_000, b'<a>' * 5000, parts[k][1].decode('utf-8', 'replace').encode('utf-16')]))
    elif kind == 5: parts[k] = (parts[k][0], parts[k][1] + rng.choice([b'<', b'\0', b'<!-- -->', b'<x/>']))
    out = io.BytesIO()
    import warnings
    with warnings.catch_warnings(), zipfile.ZipFile(out, 'w', rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]) if kind == 6 else zipfile.ZIP_DEFLATED) as z:
        warnings.simplefilter('ignore', UserWarning) # a name that stands twice is what is wanted
        for n, d in parts: z.writestr(zipfile.ZipInfo(n, (2026, 1, 1, 0, 0, 0)), d, z.compression)
    return out.getvalue()


def written(data, rng): # the XML of a part
    with zipfile.ZipFile(io.BytesIO(data)) as z: parts = {n: z.read(n) for n in z.namelist()}
    weights = [6 if 'worksheets/sheet' in n else 2 if n in ('xl/workbook.xml', 'xl/sharedStrings.xml') or 'tables' in n else 1 for n in parts]
    part = rng.choices(list(parts), weights)[0]
    xml = parts[part].decode('utf-8', 'replace')
    for _ in range(rng.choice([1, 1, 1, 2, 3])): xml = changed(xml, rng)
    parts[part] = xml.encode('utf-8', 'replace')
    return packed(parts)


def changed(xml, rng): # one change
    attributes, tags, texts = (list(re.finditer(p, xml)) for p in (r'(\s[\w:]+=")([^"]*)(")', r'<(/?)([\w:]+)([^<>]*)>', r'>([^<>]+)<'))
    kind, nasty = rng.randrange(10), rng.choice(NASTY).replace('<', '&lt;').replace('"', '&quot;')
    put = lambda m, group, new: xml[:m.start(group)] + new + xml[m.end(group):]
    if kind <= 1 and attributes: return put(rng.choice(attributes), 2, nasty)
    if kind == 2 and attributes: return put(rng.choice(attributes), 0, '')
    if kind <= 4 and texts: return put(rng.choice(texts), 1, nasty)
    if kind == 5 and tags: return put(rng.choice(tags), 0, '')
    if kind == 6 and tags: return put(rng.choice(tags), 2, rng.choice(TAGS))
    if kind == 7 and tags:
        m, tag = rng.choice(tags), rng.choice(TAGS)
        return xml[:m.end()] + rng.choice([f'<{tag}/>', f'<{tag}>7</{tag}>', f'<{tag}>' * 200 + f'</{tag}>' * 200, '<!-- x -->', '<![CDATA[7]]>', '&#0;', '&unknown;']) + xml[m.end():]
    if kind == 8 and tags:
        a, b = sorted(rng.sample(range(len(tags)), 2)) if len(tags) > 1 else (0, 0)
        piece = xml[tags[a].start():tags[b].end()]
        return xml[:tags[b].end()] + piece + xml[tags[b].end():]
    return rng.choice([xml.replace('UTF-8', rng.choice(['bogus-9', 'UTF-16', 'latin-1', '']), 1), xml.replace(M, M + 'x', 1), xml[:rng.randrange(len(xml) + 1)], '<!DOCTYPE x [<!ENTITY a "b">]>' + xml])


LEVELS = {'raw': raw, 'zip': archived, 'xml': written}


def mutated(number, whole):
    "(name of the original, level, bytes) of the file with this number"
    rng = random.Random(number)
    name, level = rng.choice(sorted(whole)), rng.choices(['raw', 'zip', 'xml'], [2, 2, 5])[0]
    return name, level, LEVELS[level](whole[name], rng)


# what is done with each file

class Late(BaseException): pass


def values(file): return {(s, at): (c.value, c.formula) for s, d in file.sheets.items() for at, c in d.cells.items()}


def uses(number, path, level, original):
    "The things to do with a file, each (name, function)"
    from ddl_lesson8.sheets.audit import audit
    from ddl_lesson8.sheets.check import read_range
    from ddl_lesson8.sheets.engine import Engine
    from ddl_lesson8.sheets.module import SheetModule
    from ddl_lesson8.sheets.rewrite import rewrite_xlsx
    from ddl_lesson8.sheets.view import sheet_document
    from ddl_lesson8.sheets.xlsx import open_workbook
    seen = {}
    def look():
        seen['file'] = file = open_workbook(path)
        if level == 'raw' and values(file) != values(original): raise Difference('the bytes differ, nothing complains, and cells read otherwise')
    def rewrite():
        file = open_workbook(path)
        sheet = next(iter(file.sheets))
        at = next((at for at, c in file.cells(sheet).items() if c.type == 'number'), (1, 1))
        again = open_workbook(rewrite_xlsx(path, path.with_name('copy.xlsx'), {(sheet, *at): 0.125}))
        want = values(file) | {(sheet, at): (0.125, file.cell(sheet, *at).formula)}
        if values(again) != want: raise Difference('a copy reads otherwise')
    def constants(): # two readers of one file: do they see the same numbers?
        file = open_workbook(path)
        engine = Engine(file)
        filled = [(s, c.ref) for s, d in file.sheets.items() for c in d.cells.values() if c.ref]
        for s, d in file.sheets.items():
            for at, c in d.cells.items():
                if c.formula or c.type != 'number' or any(s == t and r[0] <= at[0] <= r[2] and r[1] <= at[1] <= r[3] for t, r in filled): continue
                now = engine.cell(s, *at)
                if now.type == 'number' and now.value != c.value: raise Difference(f'{s}!{at}: read as {c.value}, by the engine as {now.value}')
    yield 'open', look
    yield 'range', lambda: read_range(path, 'A1:C3')
    if number % 2 == 0: yield 'rewrite', rewrite
    if number % 5 == 0: yield 'module', lambda: SheetModule.load(path, [])()
    if number % 20 == 0: yield 'engine', constants
    if number % 40 == 0: yield 'audit', lambda: audit(path)
    if number % 40 == 10: yield 'how', lambda: [SheetModule.load(path, []).frozen, SheetModule.load(path, [], unknown='refuse')()]
    if number % 80 == 0: yield 'view', lambda: sheet_document(path)


def late(*_): raise Late()


def watched(use, in_words):
    "(was it refused in words?, what went wrong)"
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        use()
    except Late: return False, f'not done after {SECONDS} s'
    except Difference as e: return False, f'difference: {e}'
    except (KeyboardInterrupt, SystemExit): raise
    except BaseException as e: # a panic of Rust is no Exception
        if in_words(e): return True, None
        at = traceback.extract_tb(e.__traceback__)[-1]
        return False, f'{type(e).__name__}: {str(e)[:120]} [{Path(at.filename).name}:{at.lineno}]'
    finally: signal.setitimer(signal.ITIMER_PROF, 0)
    return False, None


def one(number, whole, files, folder):
    "Do everything with one file: (what was refused, [what went wrong])"
    from ddl_lesson8.sheets.address import SheetError
    name, level, data = mutated(number, whole)
    path, wrong = folder/'m.xlsx', []
    path.write_bytes(data)
    for what, use in uses(number, path, level, files[name]):
        refused, trouble = watched(use, lambda e: isinstance(e, SheetError))
        if path.read_bytes() != data: trouble = 'the file was changed'
        if trouble: wrong.append((number, name, level, what, trouble))
        if refused and what == 'open': return 1, wrong
    return 0, wrong


def other(number, whole, folder):
    "As `one`, for what is no workbook"
    name, level, parts = others.mutated(number, whole)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for part, data in parts.items(): (folder/part).write_bytes(data)
    refused, trouble = watched(others.use(name, level, parts, whole[name], folder), others.in_words)
    if any((folder/part).read_bytes() != data for part, data in parts.items()): trouble = 'the file was changed'
    return refused, [(number, name, level, 'use', trouble)] if trouble else []


def work(todo):
    "Work through the numbers, with a line of JSON after each"
    import resource
    import torch
    torch.set_num_threads(1)
    whole = originals()
    from ddl_lesson8.sheets.xlsx import open_workbook
    signal.signal(signal.SIGPROF, late)
    import warnings
    warnings.simplefilter('ignore') # of learners that are told little
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, data in whole.items():
            p = Path(folder)/f'{name}.xlsx'
            p.write_bytes(data)
            files[name] = open_workbook(p)
        made = others.originals(Path(folder)/'others') if any(n % 4 == 3 for n in todo) else {}
        size = int(re.search(r'VmSize:\s+(\d+)', Path('/proc/self/status').read_text())[1]) << 10
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY + (1 << 29), size + MEMORY + (1 << 29)))
        for n in todo:
            with contextlib.redirect_stdout(io.StringIO()): refused, wrong = other(n, made, Path(folder)/'other') if n % 4 == 3 else one(n, whole, files, Path(folder))
            print(json.dumps([n, refused, wrong]), flush=True)


def once_failed(): # numbers that are tried first
    lines = FOUND.read_text().splitlines() if FOUND.exists() else []
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith('#')]


def run(files, hours=None, start=0, show=print, save=False, patience=SILENCE):
    "Mutate and use files, in a process that may die; returns counts, and what went wrong"
    at, todo = start, once_failed() + list(range(start, start + files))
    done, refused, wrong, end = 0, 0, [], time.time() + hours * 3600 if hours else None
    while todo and not (end and time.time() > end):
        errors = tempfile.TemporaryFile('w+', errors='replace') # a pipe would fill with the panics of polars, and the child wait for ever
        child = subprocess.Popen([sys.executable, __file__, '--work'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        child.stdin.write(json.dumps(todo)); child.stdin.close()
        dead = None
        while todo:
            if end and time.time() > end: break
            ready = select.select([child.stdout], [], [], patience)[0]
            line = child.stdout.readline() if ready else ''
            if not line: dead = f'no sign of life for {patience} s' if not ready else 'the process died'; break
            n, r, w = json.loads(line)
            todo = todo[1:]; done += 1; refused += bool(r); wrong += [tuple(x) for x in w]
            for x in w: show(*x)
            if save and done % 500 == 0: print(f'{done:,} files, {refused:,} refused, {len(wrong)} wrong', file=sys.stderr, flush=True)
        child.kill()
        child.wait()
        errors.seek(0)
        said = errors.read()[-300:]
        errors.close()
        if dead and todo:
            if 'Error' in said and not done: raise RuntimeError(said)
            wrong.append((todo[0], '', '', 'all', f'{dead} {said[-120:]}')); show(*wrong[-1]); todo = todo[1:]
        if hours and not todo: todo = list(range(at + files, at + 2 * files)); at += files
    if save and wrong:
        with FOUND.open('a') as f: f.writelines(f'{n} {what}: {trouble}\n' for n, _, _, what, trouble in {w[0]: w for w in wrong}.values())
    return dict(files=done, refused=refused, wrong=wrong)


def commit(): # of what was tried
    try: return subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=HERE, capture_output=True, text=True).stdout.strip()
    except OSError: return ''


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--files', type=int, default=2000)
    ap.add_argument('--hours', type=float)
    ap.add_argument('--start', type=int, default=0, help='the first number')
    ap.add_argument('--only', type=int, help='one number, with its traceback')
    ap.add_argument('--patience', type=int, default=SILENCE, help='seconds to wait for a sign of life; more on a busy machine')
    ap.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.work: return work(json.load(sys.stdin))
    if args.only is not None and args.only % 4 == 3:
        folder, whole = Path(tempfile.mkdtemp()), others.originals(Path(tempfile.mkdtemp()))
        name, level, parts = others.mutated(args.only, whole)
        for part, data in parts.items(): (folder/part).write_bytes(data)
        print(name, level, folder)
        return others.use(name, level, parts, whole[name], folder)()
    if args.only is not None:
        whole = originals()
        name, level, data = mutated(args.only, whole)
        path = Path(tempfile.mkdtemp())/'m.xlsx'
        path.write_bytes(data)
        print(name, level, path)
        original = Path(tempfile.mkdtemp())/'original.xlsx'
        original.write_bytes(whole[name])
        from ddl_lesson8.sheets.xlsx import open_workbook
        for what, use in uses(args.only, path, level, open_workbook(original)):
            try: use()
            except Exception: print(what); traceback.print_exc()
        return
    began = time.time()
    got = run(args.files, args.hours, args.start, save=True, patience=args.patience)
    figures = dict(when=time.strftime('%-d %B %Y'), commit=commit(), files=got['files'], minutes=round((time.time() - began) / 60), refused=got['refused'], wrong=len(got['wrong']))
    old = json.loads(LAST.read_text()) if LAST.exists() else {} # with the figures of the models
    if got['files'] >= 5000: LAST.write_text(json.dumps({**old, **figures}, indent=1) + '\n')
    print(f"{got['files']:,} files in {time.time() - began:,.0f} s: {got['refused']:,} refused in words, {len(got['wrong'])} wrong")
    sys.exit(bool(got['wrong']))


if __name__ == '__main__': main()
