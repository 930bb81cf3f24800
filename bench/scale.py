"What training past one machine costs: rows a second and memory for one and more processes, against the plan, in one run"
import sys, time
from pathlib import Path
import torch
from ddl_lesson8.train.distributed import measured_team, plan

SIZES = 250_000, 50_000, 50, 120_000, 20_000 # users, items, factors, ratings, batch

def rows(processes=(1, 2)):
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
    processes = tuple(map(int, sys.argv[1:])) or (1, 2)
    start = time.perf_counter()
    head = ['processes', 'rows_a_second', 'efficiency', 'memory_over_plan', 'summed_over_plan']
    lines = ['| ' + ' | '.join(h.replace('_', ' ') for h in head) + ' |', '|---' * len(head) + '|']
    lines += ['| ' + ' | '.join(str(r[h]) for h in head) + ' |' for r in rows(processes)]
    text = '\n'.join([f'{SIZES[0]:,} users, {SIZES[1]:,} items, {SIZES[2]} factors, batch {SIZES[4]:,}; torch {torch.__version__}, one thread for each process. '
                      'Whole tables: every process sends the gradient of every row.', '', *lines])
    print(text, f'{time.perf_counter() - start:.0f} s', sep='\n')
    (Path(__file__).parent/'results'/'scale.md').write_text(text + '\n', encoding='utf-8')
