"""Checking a workbook against openpyxl and LibreOffice, in one run: python bench/check.py [conv-example.xlsx]

Times lesson8.xlsx and, where its path is given, the course's workbook. Saves bench/results/check.md.
"""
import platform, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path
import torch
import openpyxl
from ddl_lesson8.sheets.xlsx import open_workbook
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.book.workbook import lesson_workbook

RUNS = 5


def seconds(f):
    "Median time of several calls"
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def command(*args): return lambda: subprocess.run(args, check=True, capture_output=True)


def read_ours(path):
    file = open_workbook(path)
    return [file.cells(s) for s in file.sheets]


def read_theirs(path): # formulas and values need one reading each
    return [openpyxl.load_workbook(path, data_only=values) for values in (False, True)]


def office(path, folder):
    soffice = shutil.which('soffice')
    profile = f'-env:UserInstallation=file://{folder}/profile'
    return soffice and command(soffice, profile, '--headless', '--convert-to', 'xlsx', '--outdir', f'{folder}/out', str(path))


def rows_for(path, folder):
    check = 'import sys; from ddl_lesson8.book.workbook import main; sys.exit(main(sys.argv[1:]))'
    bare, whole = seconds(command(sys.executable, '-c', 'import torch')), seconds(command(sys.executable, '-c', check, str(path)))
    ours, theirs = seconds(lambda: read_ours(path)), seconds(lambda: read_theirs(path))
    rows = [('all of ddl8-check', whole, 'import torch alone', bare), ('read cells and formulas', ours, 'openpyxl', theirs)]
    if other := office(path, folder): rows.append(('recalculate', seconds(lambda: Engine(path)), 'LibreOffice', seconds(other)))
    return [(path.name, what, f'{a:.2f}', peer, f'{b:.2f}', f'{b / a:.2f}') for what, a, peer, b in rows]


def main(paths):
    head = ('workbook', 'what', 'ours, s', 'beside', 'theirs, s', 'theirs / ours')
    with tempfile.TemporaryDirectory() as folder:
        lesson = Path(folder)/'lesson8.xlsx'
        lesson_workbook(lesson)
        rows = [r for path in [lesson, *paths] for r in rows_for(path, folder)]
    lines = ['| ' + ' | '.join(r) + ' |' for r in [head, ('---',) * len(head), *rows]]
    machine = f'torch {torch.__version__.split("+")[0]}, {torch.get_num_threads()} thread(s), {platform.machine()}'
    text = f'Median seconds of {RUNS} runs ({machine}). Above 1 in the last column, ours is faster.\n\n' + '\n'.join(lines) + '\n'
    print(text)
    out = Path(__file__).parent/'results'/'check.md'
    out.parent.mkdir(exist_ok=True)
    out.write_text(text, encoding='utf-8')


if __name__ == '__main__': main([Path(p) for p in sys.argv[1:]])
