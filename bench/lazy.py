"""One step on a large table: dense AdamW, dense Adagrad, and the lazy updates of `lazy_adagrad` and of PyTorch's SparseAdam.

16 numbers a row, batches of 8,192 random rows, one thread; the median of six steps (forward, backward, update), and the bytes that the
optimiser keeps. Writes bench/results/lazy.md.

    OMP_NUM_THREADS=1 python bench/lazy.py [--no-write]
"""
import os, statistics, sys, time, warnings
from pathlib import Path
import torch
from torch import nn
from ddl_lesson8.train.schedule import adamw, lazy_adagrad

ROWS, FACTORS, BATCH = (100_000, 1_000_000, 10_000_000), 16, 8192
KINDS = {'AdamW, dense': lambda m: adamw(m, .01, 0.), 'Adagrad, dense': lambda m: torch.optim.Adagrad(m.parameters(), .01),
         'lazy_adagrad': lambda m: lazy_adagrad(m, .01), 'SparseAdam': lambda m: torch.optim.SparseAdam(list(m.parameters()), .01)}

def steps(kind, rows, n=6):
    "Seconds of each step, and bytes of the optimiser"
    torch.manual_seed(0)
    table = nn.Embedding(rows, FACTORS, sparse=kind == 'SparseAdam')
    opt, taken = KINDS[kind](table), []
    for _ in range(n):
        ids, start = torch.randint(rows, (BATCH,)), time.perf_counter()
        opt.zero_grad()
        (table(ids).sum(1) - 1).square().mean().backward()
        opt.step()
        taken.append(time.perf_counter() - start)
    return taken, sum(t.numel() * t.element_size() for s in opt.state.values() for t in s.values() if torch.is_tensor(t))

def main():
    warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    lines = [f'# Steps on large tables: torch {torch.__version__}, {FACTORS} numbers a row, batch {BATCH:,}, one thread, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores', '',
             '| rows | update | ms a step | times AdamW | optimiser, MB |', '|---|---|---|---|---|']
    for rows in ROWS:
        first = None
        for kind in KINDS:
            taken, size = steps(kind, rows)
            ms = 1000 * statistics.median(taken)
            first = first or ms
            lines.append(f'| {rows:,} | {kind} | {ms:.1f} | {ms / first:.2f} | {size / 1e6:.0f} |')
            print(lines[-1], flush=True)
    if '--no-write' not in sys.argv: (Path(__file__).parent/'results'/'lazy.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
