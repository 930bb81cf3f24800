"""A batch with one thread and with two, small networks to large ones: what sharing costs where operations are small.

Times are of whole batches (forward, backward, update): the median and the shortest, and the processor time of the main thread, which grows
where it waits awake. The number of threads is forced, so `Learner`'s own choice does not count. Writes bench/results/threads.md.

    python bench/threads.py [--no-write]
"""
import os, statistics, sys, time
from pathlib import Path
import torch
from torch import nn
from ddl_lesson8.train.learner import Data, Learner

SIZES = (50, 64), (100, 512), (200, 1024), (400, 2048), (800, 2048) # width of the network, rows in a batch

def batches(width, rows, threads, n=6):
    "Wall and processor milliseconds of n batches"
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
    wall, cpu = [], []
    def before(learn):
        torch.set_num_threads(threads)
        wall.append(time.perf_counter())
        cpu.append(time.thread_time())
    def after(learn): wall[-1], cpu[-1] = time.perf_counter() - wall[-1], time.thread_time() - cpu[-1]
    data = Data((torch.randn(rows * n, width), torch.randn(rows * n, 1)), None, rows)
    Learner(data, model, device='cpu', progress=False, calls=dict(before_batch=before, after_batch=after)).fit(1)
    return [1000 * t for t in wall], [1000 * t for t in cpu]

def main():
    torch.set_num_threads(2)
    lines = [f'# Threads: torch {torch.__version__}, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores', '',
             '| width | rows | threads | median ms | shortest ms | processor ms, main thread |', '|---|---|---|---|---|---|']
    for width, rows in SIZES:
        for threads in (1, 2):
            wall, cpu = batches(width, rows, threads)
            lines.append(f'| {width} | {rows} | {threads} | {statistics.median(wall):.1f} | {min(wall):.1f} | {statistics.median(cpu):.1f} |')
            print(lines[-1], flush=True)
    if '--no-write' not in sys.argv: (Path(__file__).parent/'results'/'threads.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
