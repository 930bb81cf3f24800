"How the time and memory of five ways to convolve grow with the image (claim M6): python bench/conv_matmul.py [--quick]"
import argparse, gc, platform, time
from pathlib import Path
import torch
import torch.nn.functional as F
from ddl_lesson8.conv_matmul import conv2d_unfold, conv_matrix

def shifted(x, w):
    "The sliding window: one multiply-add of a shifted image for each weight; one channel"
    h, v = x.shape[-2] - 2, x.shape[-1] - 2
    return sum(x[..., i:i+h, j:j+v] * w[0, 0, i, j] for i in range(3) for j in range(3))

def seconds(f, sync, repeats=7, at_least=5e-3):
    "Best time of one call"
    def clock(n):
        sync(); start = time.perf_counter()
        for _ in range(n): f()
        sync(); return time.perf_counter() - start
    clock(1)
    n = 1
    while clock(n) < at_least: n *= 2
    return min(clock(n) for _ in range(repeats)) / n

def held(t):
    "Bytes of a matrix, dense or sparse"
    parts = (t.values(), t.col_indices(), t.crow_indices()) if t.layout == torch.sparse_csr else (t,)
    return sum(p.numel() * p.element_size() for p in parts)

def measure(side, device, channels, batch, dense_limit):
    "Seconds and bytes of each way, for one size"
    sync = torch.cuda.synchronize if device == 'cuda' else lambda: None
    g = torch.Generator().manual_seed(0)
    n_in, n_out = channels
    x, w = torch.rand(batch, n_in, side, side, generator=g).to(device), torch.randn(n_out, n_in, 3, 3, generator=g).to(device)
    columns, places, rows = x.flatten(1).T.contiguous(), (side - 2) ** 2, []
    expected = F.conv2d(x, w)
    def add(name, f, n_bytes, build=0.):
        out = f()
        out = out.T.reshape(expected.shape) if out.shape != expected.shape else out
        torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)
        rows.append((name, seconds(f, sync), n_bytes, build))
    for name, layout in (('dense matrix', 'dense'), ('sparse matrix', 'csr')):
        if layout == 'dense' and n_in * side**2 * n_out * places * 4 > dense_limit: continue
        if places * 9 * n_in * n_out > 3e7: continue # building the list of entries takes longer than all the rest
        m = conv_matrix(w, side, layout=layout)
        add(name, lambda: m @ columns, held(m), seconds(lambda: conv_matrix(w, side, layout=layout), sync, repeats=1))
        del m; gc.collect()
    add('unfold + matmul', lambda: conv2d_unfold(x, w), batch * 9 * n_in * places * 4)
    if channels == (1, 1): add('sliding window', lambda: shifted(x, w), batch * places * 4)
    add('F.conv2d', lambda: F.conv2d(x, w), 0)
    return rows

def table(rows_by_side):
    "Markdown: time relative to F.conv2d, memory and building time"
    names = ['dense matrix', 'sparse matrix', 'unfold + matmul', 'sliding window', 'F.conv2d']
    lines = ['| side | ' + ' | '.join(f'{n}: time / F.conv2d' for n in names[:-1]) + ' | F.conv2d, µs | dense, MiB | sparse, MiB | unfold, MiB | build dense, ms | build sparse, ms |',
             '|' + '---|' * 11]
    for side, rows in rows_by_side.items():
        by = {name: rest for name, *rest in rows}
        ref = by['F.conv2d'][0]
        cell = lambda name, f: f(by[name]) if name in by else '-'
        lines.append(f'| {side} | ' + ' | '.join(cell(n, lambda r: f'{r[0] / ref:,.2f}') for n in names[:-1]) + f' | {ref * 1e6:,.1f} | '
                     + ' | '.join(cell(n, lambda r: f'{r[1] / 2**20:,.3f}') for n in names[:3]) + ' | ' + ' | '.join(cell(n, lambda r: f'{r[2] * 1e3:,.2f}') for n in names[:2]) + ' |')
    return '\n'.join(lines)

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='small sizes only')
    args = parser.parse_args()
    sides = (8, 16, 32, 64) if args.quick else (8, 16, 24, 28, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
    text = ['# Five ways to convolve', '', f'A 3x3 kernel, float32, no padding. PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}.',
            'A ratio above 1 is slower than `F.conv2d`. The matrices are built before the clock starts; building is listed apart. Memory is what a way holds besides image and result.',
            'A dash: the dense matrix would need more memory than the limit, or the way is for one channel only.', '']
    for device in ['cpu'] + ['cuda'] * torch.cuda.is_available():
        limit = 2**31 if device == 'cpu' else 2**34
        for channels, batch in (((1, 1), 1), ((3, 16), 16)):
            rows = {side: measure(side, device, channels, batch, limit) for side in sides if batch == 1 or side <= 256}
            text += [f'## {device if device == "cpu" else torch.cuda.get_device_name()}: {channels[0]} -> {channels[1]} channels, {batch} image(s)', '', table(rows), '']
    print('\n'.join(text))
    if not args.quick: (Path(__file__).parent / 'results' / 'conv_matmul.md').write_text('\n'.join(text), encoding='utf-8')

if __name__ == '__main__': main()
