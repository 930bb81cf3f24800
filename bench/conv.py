"""The fast window against F.conv2d, in one run: python bench/conv.py [--threads 2]

Ratios above 1 mean that ours is faster. Both forms run in turns. Of each we take the best of its times,
because a busy machine only ever adds to a time. 'rule' is what conv2d_fast does by itself. Saves bench/results/conv.md.
"""
import argparse, platform, time
from pathlib import Path
import torch
import torch.nn.functional as F
from ddl_lesson8.conv_fast import conv2d_fast, fast_choice

# channels in, out, kernel, stride, size, batch
CASES = [(1, 2, 3, 1, 28, b) for b in (1, 64, 1024)] + [(1, 4, 3, 1, 28, 64), (1, 2, 5, 1, 28, 64), (2, 2, 3, 1, 28, 64), (1, 2, 3, 1, 224, 16),
         (1, 2, 3, 2, 28, 64), (1, 16, 3, 1, 28, 1), (1, 16, 3, 1, 28, 64), (8, 16, 3, 1, 28, 64), (32, 32, 3, 1, 28, 64)]


def pairs(theirs, ours, device, seconds=.5, warm=5):
    "Best time of the first, and the ratio of the best times; taken in turns"
    sync = torch.cuda.synchronize if device == 'cuda' else lambda: None
    def once(f):
        sync(); start = time.perf_counter(); f(); sync()
        return time.perf_counter() - start
    for _ in range(warm): once(theirs), once(ours)
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 100:
        a, b, c, d = once(theirs), once(ours), once(ours), once(theirs)  # neither is always first
        found += [(a, b), (d, c)]
    a, b = (min(t) for t in zip(*found))
    return a, a / b


def trained(f, x, w, g): # forward and backward
    w = w.clone().requires_grad_()
    def step():
        w.grad = None
        f(x, w).backward(g)
    return step


def row(n_in, n_out, k, stride, size, batch, device):
    g = torch.Generator().manual_seed(0)
    x, w = torch.rand(batch, n_in, size, size, generator=g).to(device), torch.randn(n_out, n_in, k, k, generator=g).to(device)
    theirs, ours = lambda a, b: F.conv2d(a, b, None, stride), lambda a, b: conv2d_fast(a, b, None, stride)
    grad = torch.randn_like(theirs(x, w))
    assert torch.allclose(ours(x, w), theirs(x, w), atol=1e-4)
    with torch.no_grad():
        chosen = fast_choice(x, w, None, stride)
        base, forward = pairs(lambda: theirs(x, w), lambda: ours(x, w), device)
    train_base, both = pairs(trained(theirs, x, w, grad), trained(ours, x, w, grad), device)
    in_training = fast_choice(x, w.clone().requires_grad_(), None, stride)
    name = f'{n_in} → {n_out}, {k}x{k}' + (', stride 2' if stride > 1 else '')
    print(name, batch, chosen, f'{forward:.2f}', in_training, f'{both:.2f}', flush=True)
    return [device, name, f'{size}x{size}', f'{batch:,}', f'{base * 1e6:,.0f}', chosen, f'{forward:.2f}', f'{train_base * 1e6:,.0f}', in_training, f'{both:.2f}']


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--threads', type=int, default=2)
    torch.set_num_threads(ap.parse_args().threads)
    head = ['device', 'channels, kernel', 'image', 'batch', 'F.conv2d, µs', 'rule', 'ratio', 'with the way back, µs', 'rule', 'ratio']
    rows = [row(*case, device) for device in ['cpu'] + ['cuda'] * torch.cuda.is_available() for case in CASES]
    lines = ['| ' + ' | '.join(map(str, r)) + ' |' for r in [head, ['---'] * len(head), *rows]]
    machine = f'torch {torch.__version__.split("+")[0]}, {torch.get_num_threads()} thread(s), {platform.machine()}' + ('' if torch.cuda.is_available() else '; no GPU here, so no GPU rows')
    text = f'Time of `F.conv2d` divided by the time of `conv2d_fast`; above 1 the fast window is faster ({machine}).\n\n' + '\n'.join(lines) + '\n'
    print(text)
    out = Path(__file__).parent/'results'/'conv.md'
    out.parent.mkdir(exist_ok=True)
    out.write_text(text)


if __name__ == '__main__': main()
