"What training past one machine costs: rows a second and memory for one and more processes, against the plan, in one run"
import os, sys, time
from pathlib import Path
import torch
from ddl_lesson8.train.distributed import measured_team, plan

SIZES = 250_000, 50_000, 50, 120_000, 20_000 # users, items, factors, ratings, batch

def rows(processes=(1, 2, 4)):
    "One line for each number of processes: rows a second, efficiency, memory and bytes summed beside the plan"
    found, base = [], None
    for n in processes:
        got, p = measured_team(n, *SIZES), plan(*SIZES, world=n)
        speed = SIZES[4] / got['seconds']
        base = base or speed
        found.append(dict(processes=n, rows_a_second=round(speed), efficiency=round(speed / base / n, 2), memory_over_plan=round(got['memory'] / p.memory, 2),
                          summed_over_plan=round(got['summed'] / p.summed, 2) if p.summed else None))
    return found

if __name__ == '__main__':
    processes = tuple(map(int, sys.argv[1:])) or (1, 2, 4)
    start = time.perf_counter()
    head = ['processes', 'rows_a_second', 'efficiency', 'memory_over_plan', 'summed_over_plan']
    lines = ['| ' + ' | '.join(h.replace('_', ' ') for h in head) + ' |', '|---' * len(head) + '|']
    lines += ['| ' + ' | '.join(str(r[h]) for h in head) + ' |' for r in rows(processes)]
    text = '\n'.join([f'{SIZES[0]:,} users, {SIZES[1]:,} items, {SIZES[2]} factors, batch {SIZES[4]:,}; torch {torch.__version__}, one thread for each process, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores. '
                      'Whole tables: every process sends the gradient of every row.', '', *lines, '',
                      'Steps on one large table, dense and lazy: lazy.md. TorchRec: not used. Its newest CPU kernels (fbgemm-gpu-cpu 1.9.0) do not load beside '
                      'torch 2.13 (undefined symbol in fbgemm_gpu_tbe_index_select.so), and it asks for torchmetrics 1.0.3, tensordict and pyre-extensions besides; what it '
                      'would bring, sparse gradients and tables in parts, is here `lazy_adagrad` and DTensor.'])
    print(text, f'{time.perf_counter() - start:.0f} s', sep='\n')
    (Path(__file__).parent/'results'/'scale.md').write_text(text + '\n', encoding='utf-8')
