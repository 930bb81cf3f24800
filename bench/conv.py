"""Sliding window against F.conv2d, in one run: python bench/conv.py

Ratios above 1 mean that ours is faster. 'rule' is what conv2d_fast does by itself. Saves bench/results/conv.md.
"""
import platform, statistics, time
from pathlib import Path
import torch
import torch.nn.functional as F
from ddl_lesson8.conv import conv2d, conv2d_fast, fast_choice

CASES = [(1, 2, 3, 1, 28, b) for b in (1, 64, 1024)] + [(1, 4, 3, 1, 28, 64), (1, 2, 5, 1, 28, 64), (2, 2, 3, 1, 28, 64), (1, 2, 3, 1, 224, 16),
         (1, 2, 3, 2, 28, 64), (1, 16, 3, 1, 28, 64), (8, 16, 3, 1, 28, 64), (32, 32, 3, 1, 28, 64)]

def timer(*fs, device, seconds=.6):
    "Median time of each function, called in turns"
    sync = torch.cuda.synchronize if device == 'cuda' else lambda: None
    for f in fs:
        for _ in range(3): f()
    times, end = [[] for _ in fs], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for f, t in zip(fs, times):
            sync(); start = time.perf_counter(); f(); sync()
            t.append(time.perf_counter() - start)
    return [statistics.median(t) for t in times]

def trained(f, x, w, g): # forward and backward
    w = w.clone().requires_grad_()
    def step():
        w.grad = None
        f(x, w).backward(g)
    return step

def row(n_in, n_out, k, stride, size, batch, device):
    g = torch.Generator().manual_seed(0)
    x, w = torch.rand(batch, n_in, size, size, generator=g).to(device), torch.randn(n_out, n_in, k, k, generator=g).to(device)
    torch._dynamo.reset()
    compiled = torch.compile(conv2d)
    theirs, ours, fused = lambda a, b: F.conv2d(a, b, stride=stride), lambda a, b: conv2d(a, b, stride=stride), lambda a, b: compiled(a, b, stride=stride)
    with torch.no_grad():
        assert torch.allclose(fused(x, w), theirs(x, w), atol=1e-4)
        base, eager, comp, auto = timer(*(lambda f=f: f(x, w) for f in (theirs, ours, fused, lambda a, b: conv2d_fast(a, b, stride=stride))), device=device)
    grad = torch.randn_like(theirs(x, w))
    train_base, train_comp = timer(trained(theirs, x, w, grad), trained(fused, x, w, grad), device=device)
    name = f'{n_in} -> {n_out}, {k}x{k}' + (', stride 2' if stride > 1 else '')
    return [device, name, f'{size}x{size}', batch, f'{base * 1e6:,.0f}', *(f'{base / t:.2f}' for t in (eager, comp)), f'{train_base / train_comp:.2f}', fast_choice(x, w, stride), f'{base / auto:.2f}']

def main():
    head = ['device', 'channels, kernel', 'picture', 'batch', 'F.conv2d, µs', 'eager', 'compiled', 'compiled, forward and backward', 'rule', 'conv2d_fast']
    rows = [row(*case, device) for device in ['cpu'] + ['cuda'] * torch.cuda.is_available() for case in CASES]
    lines = ['| ' + ' | '.join(map(str, r)) + ' |' for r in [head, ['---'] * len(head), *rows]]
    machine = f'torch {torch.__version__.split("+")[0]}, {torch.get_num_threads()} thread(s), {platform.machine()}' + ('' if torch.cuda.is_available() else '; no GPU here, so no GPU rows')
    text = f'Time of `F.conv2d` divided by the time of each form; above 1 the form is faster ({machine}).\n\n' + '\n'.join(lines) + '\n'
    print(text)
    out = Path(__file__).parent/'results'/'conv.md'
    out.parent.mkdir(exist_ok=True)
    out.write_text(text)

if __name__ == '__main__': main()
