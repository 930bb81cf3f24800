"Run the notebooks of the book, each from top to bottom in a process of its own; with --save, keep their outputs."
import argparse, multiprocessing, os, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

root = Path(__file__).resolve().parent.parent
PRELOADED = ['torch', 'torch._dynamo', 'pandas', 'matplotlib', 'nbdev.test']  # imported once, for all notebooks, where processes can fork
processes = multiprocessing.get_context('forkserver' if 'forkserver' in multiprocessing.get_all_start_methods() else 'spawn')


def all_notebooks()->list[Path]: return sorted(p for p in (root/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def in_child(nb:Path, save:bool, flags:str, log:str):
    "Run one notebook; what it prints goes to a file, and the exit status tells success"
    from nbdev.config import get_config
    from nbdev.test import test_nb
    out = os.open(log, os.O_WRONLY)
    for stream in (1, 2): os.dup2(out, stream)
    os.chdir(nb.parent)
    cfg = get_config(nb.parent)
    skip = cfg.tst_flags.split() if isinstance(cfg.tst_flags, str) else list(cfg.tst_flags)
    ok, _ = test_nb(nb, skip_flags=skip, force_flags=flags.split(), basepath=cfg.config_path, save=save)
    sys.exit(not ok)


def run_one(nb:Path, save:bool, flags:str)->tuple[Path, bool, float, str]:
    "Run one notebook in a process of its own; its path, success, seconds and messages"
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)/'log'
        log.touch()
        p = processes.Process(target=in_child, args=(nb, save, flags, str(log)))
        p.start()
        p.join()
        said = log.read_text(encoding='utf-8', errors='replace') or f'nothing was said; exit status {p.exitcode}'
        return nb, p.exitcode == 0, time.time() - start, said


def run_all(notebooks:list[Path], save:bool=False, workers:int=2)->bool:
    "Run notebooks side by side and report each as it ends; the last first, for those with processes of their own take longest"
    flags = 'real_data' if os.environ.get('DDL_LESSON8_DATA') else ''
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // workers)))
    if processes.get_start_method() == 'forkserver': processes.set_forkserver_preload(PRELOADED)
    all_ok = True
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(run_one, p, save, flags) for p in reversed(notebooks)]
        for n, job in enumerate(as_completed(jobs), 1):
            nb, ok, seconds, text = job.result()
            name = nb.relative_to(root/'nbs').as_posix()
            print(f'{n:3} of {len(notebooks)}  {name:36} {seconds:6.1f} s  {"ok" if ok else "FAILED"}', flush=True)
            if not ok: print(text, flush=True)
            all_ok = all_ok and ok
    return all_ok


def save_ledger():
    "Write the ledger that comes with the library from the claims in the notebooks"
    from ddl_lesson8.book.claims import Ledger
    Ledger(root/'nbs').save(root/'ddl_lesson8'/'book'/'ledger.json')


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('notebooks', nargs='*', type=Path, help='default: all')
    ap.add_argument('--save', action='store_true', help='keep the outputs in the notebooks')
    ap.add_argument('--workers', type=int, default=2, help='notebooks at a time; 1 for undisturbed timings')
    a = ap.parse_args()
    nbs = [p.resolve() for p in a.notebooks] or all_notebooks()
    readers = [p for p in nbs if p.stem in ('14_ledger', 'index')]  # they read what the others saved
    ok = run_all([p for p in nbs if p not in readers], a.save, a.workers)
    if ok and a.save: save_ledger()
    ok = ok and run_all(readers, a.save, a.workers)
    if a.save: subprocess.run(['nbdev-clean'], cwd=root, check=True)
    sys.exit(not ok)


if __name__ == '__main__': main()
