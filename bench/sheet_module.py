"A workbook as a module against spreadsheet engines and against PyTorch, as ratios of one run: python bench/sheet_module.py"
import os, platform, shutil, subprocess, sys, tempfile, time
from pathlib import Path
import torch
import torch.nn.functional as F
from ddl_lesson8.sheets.module import SheetModule
from ddl_lesson8.sheets.address import cell_name
from ddl_lesson8.sheets.xlsx import open_workbook, read_xlsx
from ddl_lesson8.sheets.check import read_range
from ddl_lesson8.sheets.book import Book

DOUBLE = torch.float64
SOFFICE = shutil.which('soffice') or shutil.which('libreoffice')


def cpu(): # seconds of work of this process and of those that it started: a busy machine does not change them
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def best(f, n=5, clock=time.process_time, sync=lambda: None):
    "Shortest of n runs, in seconds, after one to warm up"
    f(), sync()
    times = []
    for _ in range(n):
        start = clock()
        f(), sync()
        times.append(clock() - start)
    return min(times)


def course():
    "The course's workbook, where it is: (path, picture, output, weights)"
    data = Path(os.environ.get('DDL_LESSON8_DATA', 'no such folder'))
    path = next((p for p in (data/'conv-example.xlsx', data.parent/'xl'/'conv-example.xlsx') if p.exists()), None)
    if path is None: return None
    read = lambda a: read_range(path, f"'conv-example'!{a}", blank=0.)
    k1 = torch.stack([read('AD11:AF13'), read('AD38:AF40')])[:, None]
    k2 = torch.stack([torch.stack([read('BI11:BK13'), read('BI15:BK17')]), torch.stack([read('BI38:BK40'), read('BI42:BK44')])])
    dense = torch.stack([read('DN4:EL26')[::2, ::2], read('DN33:EL55')[::2, ::2]])
    return path, "'conv-example'!A2:AB29", "'conv-example'!EN4", (k1, k2, dense)


def ours(folder):
    "A workbook of the same model, made here"
    g = torch.Generator().manual_seed(0)
    x, k1, k2, dense = (torch.randn(s, generator=g, dtype=DOUBLE) for s in ((1, 28, 28), (2, 1, 3, 3), (2, 2, 3, 3), (2, 12, 13)))
    book = Book()
    s = book.sheet('net')
    picture = s.put(x, 'x')
    hidden = s.conv2d(picture, s.put(k1, 'kernel 1'), relu=True)
    hidden = s.conv2d(hidden, s.put(k2, 'kernel 2'), relu=True)
    pooled = s.max_pool2d(hidden, 2, ceil_mode=True)
    out = s.linear(pooled, s.put(dense[None, :, :, :12], 'dense', across=True), label='out')
    return book.save(folder/'net.xlsx'), picture.ranges[0], out.ranges[0], (k1, k2, dense[..., :12].contiguous())


def by_hand(x, weights, pad):
    k1, k2, dense = weights
    hidden = F.conv2d(F.pad(F.conv2d(x, k1).relu(), (0, pad)), k2).relu()
    return (F.max_pool2d(hidden, 2, ceil_mode=True) * dense).sum((1, 2, 3))


def libreoffice(path, folder):
    "Seconds to convert a workbook, the formulas computed again"
    out = folder/'converted'
    profile = f'-env:UserInstallation=file://{folder}/profile'
    def run(): subprocess.run([SOFFICE, profile, '--headless', '--convert-to', 'csv', '--outdir', str(out), str(path)], check=True, capture_output=True, timeout=300)
    return best(run, 3, cpu)


def bare(path, folder):
    "A copy without saved results, so that LibreOffice must compute"
    import openpyxl
    target = folder/f'bare-{path.name}'
    openpyxl.load_workbook(path).save(target)
    return target


def engines(path, picture, folder):
    "Rows of the first table"
    import ironcalc, openpyxl
    rows = []
    start = time.process_time()
    module = SheetModule.load(path)
    module()
    load = time.process_time() - start
    with torch.no_grad():
        forward = best(module, 10)
        module32 = SheetModule.load(path, dtype=torch.float32)
        forward32 = best(module32, 10)
    start = time.process_time()
    model = ironcalc.load_from_xlsx(str(path), 'en', 'UTC', 'en')
    model.evaluate()
    ic_load = time.process_time() - start
    ic = best(model.evaluate, 10)
    rows.append(('this module, float64', load, forward))
    rows.append(('this module, float32', None, forward32))
    rows.append(('ironcalc', ic_load, ic))
    grown = SheetModule.load(path, [picture])
    def backward(): grown.zero_grad(); grown[OUT].sum().backward()
    rows.append(('this module, float64: the output and its slope by every pixel', None, best(backward, 10)))
    if SOFFICE:
        tiny = folder/'tiny.xlsx'
        wb = openpyxl.Workbook()
        wb.active['A1'] = '=1+1'
        wb.save(tiny)
        rows.append(('LibreOffice, conversion less that of a tiny file', None, libreoffice(bare(path, folder), folder) - libreoffice(tiny, folder)))
    return rows


def large(path, rows=4000): # 80,000 formulas, most of them copies of ten
    sys.path.insert(0, str(Path(__file__).parent.parent/'tests'))
    from formula_fuzz import F, write
    cells = {(r, c): float(r * c % 17) for r in range(1, rows + 1) for c in range(1, 6)}
    for r in range(1, rows + 1):
        for c in range(6, 26):
            one, two, five = (cell_name(r, c - k) for k in (1, 2, 5))
            cells[r, c] = F(f'{one}*$A$1+{five}-SUM(A{r}:E{r})/{c}' if c % 2 else f'IF({one}>{two},{one}-1,{two}*0.5)')
    return write(path, {'s': cells})


def loading(folder): # (what, seconds) of reading and evaluating a large workbook once
    path = large(folder/'large.xlsx')
    import ironcalc
    def engine(): ironcalc.load_from_xlsx(str(path), 'en', 'UTC', 'en').evaluate()
    return [('ironcalc', best(engine, 3, cpu)), ('read_xlsx', best(lambda: read_xlsx(path), 3, cpu)), ('this module', best(lambda: SheetModule.load(path)(), 3, cpu))]


def memory(path): # most megabytes over those of torch alone, while a large workbook is read and computed
    code = f'''import torch
def held(): # ru_maxrss would count this bench, which starts the process
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')) / 1024
torch.set_num_threads(1)
before = held()
from ddl_lesson8.sheets.module import SheetModule
SheetModule.load({str(path)!r})()
print(held() - before)'''
    return float(subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout)


OUT = None

def main():
    global OUT
    torch.set_num_threads(1)
    text = ['# A workbook as a module', '', f'PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}' + (f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else '') + '. Processor time, the best of several runs, all in one process; on a GPU the time on the clock.', '']
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = course()
        path, picture, OUT, weights = found or ours(folder)
        file = open_workbook(path)
        n = sum(c.formula is not None for s in file.sheets for c in file.cells(s).values())
        text += [f"{'The course’s conv-example.xlsx' if found else 'A workbook of the course’s model, made here'}: {n:,} formulas.", '', '## Everything once', '',
                 '| | load and first evaluation, ms | evaluate again, ms | ironcalc = 1 |', '|---|---|---|---|']
        rows = engines(path, picture, folder)
        unit = dict((r[0], r[2]) for r in rows)['ironcalc']
        text += [f"| {r} | {'' if load is None else f'{load * 1e3:,.0f}'} | {again * 1e3:,.1f} | {again / unit:,.2f} |" for r, load, again in rows]
        text += ['', '## A thousand pictures', '', 'The output cell for 1,000 pictures at once; by hand is the same network in PyTorch.', '', '| device | type | this module, pictures/s | by hand, pictures/s | by hand / this module | largest difference |', '|' + '---|' * 6]
        for device in ['cpu'] + ['cuda'] * torch.cuda.is_available():
            for dtype in (DOUBLE, torch.float32):
                module = SheetModule.load(path, dtype=dtype).to(device)
                x = torch.rand(1000, 28, 28, generator=torch.Generator().manual_seed(0)).to(device, dtype)
                w = [t.to(device, dtype) for t in weights]
                how = dict(clock=time.perf_counter, sync=torch.cuda.synchronize) if device == 'cuda' else {}
                with torch.no_grad():
                    run = lambda: module({picture: x}, want=OUT)[OUT]
                    hand = lambda: by_hand(x[:, None], w, 1 if found else 0)
                    diff = ((run().flatten() - hand()).abs().max() / hand().abs().max()).item()
                    a, b = best(run, 3, **how), best(hand, 5, **how)
                text.append(f"| {device} | {str(dtype).split('.')[1]} | {1000 / a:,.0f} | {1000 / b:,.0f} | {a / b:,.1f} | {diff:.1e} |")
        found = loading(folder)
        more = memory(folder/'large.xlsx')
        text += ['', '## A large workbook', '', '80,000 formulas, 100,000 cells: read and evaluated once.', '', '| | s | ironcalc = 1 |', '|---|---|---|']
        text += [f'| {what} | {s:.2f} | {s / found[0][1]:.1f} |' for what, s in found]
    text += ['', f'The most memory that reading and computing it takes, over that of torch alone: {more:.0f} MB.', '']
    print('\n'.join(text))
    (Path(__file__).parent/'results'/'sheet_module.md').write_text('\n'.join(text), encoding='utf-8')


if __name__ == '__main__': main()
