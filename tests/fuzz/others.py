"""What `fuzz.py` breaks besides workbooks: learner files, scanned ratings and tables, the files that they are made from, and requests to the web service.

Each is a dict of file name -> bytes, written into a folder. An error counts as one in words only where a line of the library raises it."""
import asyncio, hashlib, io, json, math, random, re, shutil, traceback
from importlib.util import find_spec
from pathlib import Path

NASTY = [b'', b'0', b'-1', b'1e999', b'nan', b'NaN', b'1_0', b' 5 ', b'1e39', b'-0.0', b'99999999999999999999', b'9223372036854775808', b'true', b'null', b'"', b"'", b',', b',,', b'\n', b'\r', b'\0', b'\t', b'\xff', b'\xef\xbb\xbf',
         b'=1+1', b'x' * 40_000, b'"' * 9, '²'.encode(), '١'.encode(), 'é'.encode(), 'e\u0301'.encode(), b'\\ud800', b'"\\ud800"', b'[' * 3000, b'{"a":' * 900, b'1' * 5000, b'2024-02-29', b'user', b'item', b'../../etc/passwd', b'[NaN]']
ODD = [None, True, -1, 0, 1, 2, 1 << 40, 1 << 70, -0.5, float('nan'), float('inf'), '', 'x', '1', '../../x', [], [1, 2], {}, {'a': 1}, [[1, 2], [3]], '\ud800', 'tensor', 'wide', 'complex', 'empty']


def learners():
    "Files of a recommender and of a model of a table, without what differs from run to run"
    import torch
    from ddl_lesson8.collab import collab_learner
    from ddl_lesson8.tabular import tabular_learner
    rows = dict(user=[1, 1, 2, 2, 3, 3], item=list('abcabc'), rating=[1., 2, 3, 4, 5, 1])
    table = dict(colour=list('aab') * 4, size=[k / 7 for k in range(12)], price=[float(k) for k in range(12)])
    made = collab_learner(rows, 3, device='cpu', progress=False), tabular_learner(table, 'price', ['colour'], ['size'], splits=(torch.arange(9), torch.arange(9, 12)), layers=[4], device='cpu', progress=False)
    for learn in made:
        learn.fit(1)
        for epoch in learn.recorder.epochs: epoch.update({k: 0. for k in epoch if k in ('seconds', 'time')})
    return made


def originals(folder):
    "What is broken, by name: {file: bytes}; `folder` is for the time of making"
    from ddl_lesson8.data import files
    from ddl_lesson8.data.scan import scan_ratings
    folder.mkdir(exist_ok=True)
    recommender, table = learners()
    found = {'recommender': {'m.pt': recommender.save(folder/'r.pt').read_bytes()}, 'model of a table': {'m.pt': table.save(folder/'t.pt').read_bytes()}}
    if find_spec('fastapi'): found['request'] = {'body.json': b'{"a": 4.5, "b": 1}', 'path': b'/recommend/1?n=2'}
    if not find_spec('polars'): return found
    import polars
    text = 'user,item,rating,when\n' + ''.join(f'{u},{"abcdefg"[i]},{(u * i) % 5 + .5},{u * 100 + i}\n' for u in range(1, 7) for i in range(7))
    (folder/'r.csv').write_text(text)
    found |= {'r.csv': {'r.csv': text.encode()}, 'r.tsv': {'r.tsv': text.replace(',', '\t').encode()}}
    scan_ratings(folder/'r.csv', folder/'scan', timestamp='when')
    manifest = files.read_values(folder/'scan'/'manifest.json')
    manifest['settings']['source'] = [['r.csv', 0, 0]]
    files.write_values(folder/'scan'/'manifest.json', manifest)
    found['scan'] = {p.name: p.read_bytes() for p in sorted((folder/'scan').iterdir())}
    for kind in ('parquet', 'arrow'):
        out = io.BytesIO()
        frame = polars.read_csv(folder/'r.csv')
        frame.write_parquet(out) if kind == 'parquet' else frame.write_ipc(out)
        found[f'r.{kind}'] = {f'r.{kind}': out.getvalue()}
    return found | tables(folder)


def tables(folder):
    "The same for tables with a target: files, and one that is prepared"
    import polars
    from ddl_lesson8.data import files
    from ddl_lesson8.data.scan_table import scan_table
    frame = polars.DataFrame(dict(town=['Ulm', 'Köln', None, 'Ulm'] * 9, rooms=[k % 5 + 1 for k in range(36)], area=[None if k % 7 == 3 else k / 3 for k in range(36)], price=[k * 1.5 for k in range(36)]))
    found = {}
    for name, write in (('t.csv', frame.write_csv), ('t.parquet', frame.write_parquet), ('t.arrow', frame.write_ipc)):
        write(folder/name)
        found[name] = {name: (folder/name).read_bytes()}
    scan_table(folder/'t.csv', 'price', folder=folder/'table')
    manifest = files.read_values(folder/'table'/'manifest.json')
    manifest['settings']['source'] = [['t.csv', 0, 0]]
    files.write_values(folder/'table'/'manifest.json', manifest)
    return found | {'scanned table': {p.name: p.read_bytes() for p in sorted((folder/'table').iterdir())}}


# the mutations

def raw(parts, rng): # bytes turned, cut, doubled
    name = rng.choice(sorted(parts))
    data = bytearray(parts[name] or b'\0')
    at, n = rng.randrange(len(data)), rng.choice([1, 2, 16, 400])
    kind = rng.randrange(5)
    if kind < 2: data[at] ^= 1 << rng.randrange(8)
    elif kind == 2: del data[at:]
    elif kind == 3: del data[at:at + n]
    else: data[at:at] = data[max(0, at - n):at]
    return {**parts, name: bytes(data)}


def swapped(parts, rng): # files lost, emptied, exchanged
    parts, name, other = dict(parts), rng.choice(sorted(parts)), rng.choice(sorted(parts))
    kind = rng.randrange(4)
    if kind == 0: del parts[name]
    elif kind == 1: parts[name] = b''
    elif kind == 2: parts[name], parts[other] = parts[other], parts[name]
    else: parts[name] = parts[name] + parts[other]
    return parts


def words(parts, rng): # nonsense between the marks of a text
    name = rng.choice(sorted(parts))
    data = parts[name]
    for _ in range(rng.choice([1, 1, 2, 5])):
        found = list(re.finditer(rb'[^,\t\n"{}:/?=]+', data))
        if found:
            at = rng.choice(found)
            data = data[:at.start()] + rng.choice(NASTY) + data[at.end():]
    return {**parts, name: data}


def inside(parts, rng): # other contents, with a right checksum, as a stranger would
    name = 'm.pt' if 'm.pt' in parts else 'manifest.json'
    return {**parts, name: _sealed_learner(parts[name], rng) if name == 'm.pt' else _sealed_values(parts[name], rng)}


def _places(content, at=()): # of all values in dicts and lists
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, (list, tuple)) else ()
    for k, v in items:
        yield *at, k
        yield from _places(v, (*at, k))


def _with(content, at, value): # a copy with another value there
    if not at: return value
    if isinstance(content, dict): return {k: _with(v, at[1:], value) if k == at[0] else v for k, v in content.items()}
    return type(content)(_with(v, at[1:], value) if k == at[0] else v for k, v in enumerate(content))


def _changed(content, rng, tensors):
    at, odd = rng.choice(list(_places(content))), rng.choice(ODD)
    if isinstance(odd, str) and odd in ('tensor', 'wide', 'complex', 'empty') and tensors:
        import torch
        odd = dict(tensor=torch.zeros(3), wide=torch.ones(7, 4), complex=torch.zeros(2, dtype=torch.complex64), empty=torch.empty(0))[odd]
    return _with(content, at, odd)


def _sealed_learner(data, rng):
    import torch
    mark = b'sha256:' + hashlib.sha256(data[:-71]).hexdigest().encode()
    assert data.endswith(mark)
    content = torch.load(io.BytesIO(data[:-71]), weights_only=True)
    for _ in range(rng.choice([1, 1, 2])): content = _changed(content, rng, True)
    out = io.BytesIO()
    torch.save(content, out)
    done = out.getvalue()[:-2] + (71).to_bytes(2, 'little')
    return done + b'sha256:' + hashlib.sha256(done).hexdigest().encode()


def _sealed_values(data, rng):
    from ddl_lesson8.data.files import _frame
    text = json.dumps(_changed(json.loads(data)['content'], rng, False), indent=1).encode('utf-8', 'surrogatepass')
    return _frame(text)


LEVELS = {'recommender': [raw, inside, inside], 'model of a table': [raw, inside, inside], 'scan': [raw, swapped, inside], 'r.csv': [raw, words, words], 'r.tsv': [raw, words], 'r.parquet': [raw], 'r.arrow': [raw], 'request': [raw, words, words],
          'scanned table': [raw, swapped, inside], 't.csv': [raw, words, words], 't.parquet': [raw], 't.arrow': [raw]}


def mutated(number, whole):
    "(name of the original, level, {file: bytes}) of what has this number"
    rng = random.Random(number)
    name = rng.choice([n for n in sorted(whole) if (n[:2] == 't.' or n == 'scanned table') == (number % 8 == 3)]) # half of those that `fuzz.py` asks for are tables
    change = rng.choice(LEVELS[name])
    return name, change.__name__, change(whole[name], rng)


# what is done with each

def in_words(error): # does a line of the library raise it, for people?
    at = traceback.extract_tb(error.__traceback__)[-1]
    return isinstance(error, (ValueError, TypeError, KeyError, OSError, FloatingPointError)) and 'ddl_lesson8' in Path(at.filename).parts and 'raise' in (at.line or '')


class Difference(Exception): pass


def use(name, level, parts, original, folder):
    "What to do with it, a function; `folder` holds its files"
    def finite(values):
        if not all(map(math.isfinite, values)): raise Difference(f'predicts {values}')
    def learner():
        from ddl_lesson8.train.learner import load_learner
        learn = load_learner(folder/'m.pt', device='cpu')
        if level == 'raw' and parts != original: raise Difference('damaged, and it loads')
        if name == 'recommender': finite([v for _, v in learn.recommend({'a': 4.}, 2)])
        else: finite(learn.predict(dict(colour=['a', 'b'], size=[.1, .2])).flatten().tolist())
        learn.save(folder/'again.pt')
    def scan():
        from ddl_lesson8.data.scan import ScannedRatings
        from ddl_lesson8.train.command import scanned_learner
        scanned = ScannedRatings(folder)
        if level != 'inside' and parts != original: raise Difference('damaged, and it opens')
        learn = scanned_learner(scanned, 2, 16, progress=False, device='cpu')
        learn.fit(1)
        finite(learn.recorder.losses)
    def table():
        from ddl_lesson8.data.read_ratings import ratings_from_table
        from ddl_lesson8.data.scan import scan_ratings
        seen, refused = [], None
        for read in (lambda p: scan_ratings(p, folder/'scan', valid=0, duplicates='keep').tensors()[2], lambda p: ratings_from_table(p, sep='\t' if name == 'r.tsv' else ',', duplicates='keep').rating):
            if name == 'r.arrow' and seen: break # only scanned
            try: seen.append(sorted(read(folder/name).tolist()))
            except Exception as e: # in words, or it is raised again
                if not in_words(e): raise
                refused = e
        shutil.rmtree(folder/'scan', ignore_errors=True)
        for s in seen: finite(s)
        if len(seen) == 2 and seen[0] != seen[1]: raise Difference('two readers see other ratings')
        if refused: raise refused
    def scanned_table():
        from ddl_lesson8.data.scan_table import ScannedTable
        from ddl_lesson8.tabular import tabular_learner
        scanned = ScannedTable(folder)
        if level != 'inside' and parts != original: raise Difference('damaged, and it opens')
        learn = tabular_learner(scanned, layers=(4,), batch_size=16, progress=False, device='cpu')
        learn.fit(1)
        finite(learn.recorder.losses)
    def table_file(): # the same as in memory, where both can read it
        from ddl_lesson8.data.columns import ColumnPrep
        from ddl_lesson8.data.scan_table import scan_table
        from ddl_lesson8.data.frames import as_frame
        import numpy, polars, torch
        path = folder/name
        try: scanned = scan_table(path, 'price', folder=folder/'scan', valid=0)
        finally: left = sorted(p.name for p in folder.iterdir() if p.name not in (name, 'scan'))
        if left: raise Difference(f'left behind: {left}')
        order = scanned.column('row').argsort()
        cats, conts, target = (t[order] for t in scanned.tensors())
        finite(conts.flatten().tolist() + target.flatten().tolist())
        shutil.rmtree(folder/'scan')
        try: frame = as_frame(path)
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError): return # its other way of reading does not get so far
        own = scanned.prep
        prep = ColumnPrep(own.cat_names, own.cont_names, own.y_names, own.y_kind)
        rows = numpy.arange(len(frame))
        same = prep.parts(frame, rows, rows[:0], fit=True)[0]
        if not (torch.equal(cats.long(), same[0].long()) and torch.allclose(conts, same[1], rtol=1e-5, atol=1e-5) and torch.allclose(target.double(), same[2].double())): raise Difference('disk and memory see other rows')
    def request():
        path = parts.get('path', b'/health').decode('utf-8', 'surrogateescape')
        for method, at, body in (('GET', path, b''), ('POST', '/newcomer?' + path.partition('?')[2], parts.get('body.json', b''))):
            status, said = answered(method, at, body)
            if status not in (200, 307, 400, 404, 405, 422) or len(said) > 5000: raise Difference(f'{method} {at[:60]}: {status} with {len(said)} bytes')
            if said: json.loads(said.decode(), parse_constant=lambda c: (_ for _ in ()).throw(Difference(f'{c} in an answer')))
    return {'scan': scan, 'request': request, 'scanned table': scanned_table}.get(name) or {'r.': table, 't.': table_file}.get(name[:2], learner)


_APP = []

def answered(method, path, body): # status and bytes of the web service
    if not _APP:
        from ddl_lesson8.serve import recommender_app
        _APP.append(recommender_app(learners()[0]))
    at, _, query = path.partition('?')
    told, asked = [], iter([dict(type='http.request', body=body, more_body=False)])
    async def receive(): return next(asked, dict(type='http.disconnect'))
    async def send(message): told.append(message)
    scope = dict(type='http', asgi={'version': '3.0'}, http_version='1.1', method=method, scheme='http', path=at, raw_path=at.encode('utf-8', 'surrogateescape'), query_string=query.encode('utf-8', 'surrogateescape'),
                 headers=[(b'content-type', b'application/json')], client=('localhost', 1), server=('localhost', 80), root_path='')
    asyncio.run(_APP[0](scope, receive, send))
    return told[0]['status'], b''.join(m.get('body', b'') for m in told)
