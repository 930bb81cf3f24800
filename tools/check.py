"Every check of the project, ending with pytest's summary line."
import hashlib, json, subprocess, sys, time
import docs, notebooks
from docs import root


def run(*cmd):
    if subprocess.run(cmd, cwd=root).returncode: sys.exit(f'{" ".join(cmd)} failed: see above')


def digests(folder=root/'ddl_lesson8')->dict:
    "A digest of each module, in the wings too, by its path"
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob('*.py')}


def export_is_fresh():
    before = digests()
    run('nbdev-export')
    after = digests()
    changed = sorted(n for n in before | after if before.get(n) != after.get(n))
    if changed: sys.exit(f'nbdev-export changed {", ".join(changed)}: commit what it wrote')


def notebooks_are_clean():
    from fastcore.nbio import nb2str, read_nb
    from nbdev.clean import clean_nb
    for p in notebooks.all_notebooks():
        nb, cells = read_nb(p), json.loads(p.read_text(encoding='utf-8'))['cells']
        before = nb2str(nb)
        clean_nb(nb)
        if nb2str(nb) != before: sys.exit(f'{p.name} is not clean: run nbdev-clean')
        if any(o['output_type'] == 'error' for c in cells for o in c.get('outputs', [])): sys.exit(f'{p.name}: a saved traceback')
        if not any(c.get('outputs') for c in cells): sys.exit(f'{p.name} was saved without outputs: run make notebooks')


def notebooks_run():
    if not notebooks.run_all(notebooks.all_notebooks()): sys.exit('a notebook failed: see above')


STEPS = [('the modules match the notebooks', export_is_fresh),
         ('the notebooks are clean and executed', notebooks_are_clean),
         ('ruff finds no error', lambda: run('ruff', 'check', '-q', '.')),
         ('the public calls have the types they say', lambda: run('mypy', 'tests/public_surface.py')),
         ('addresses follow settings.ini', lambda: run(sys.executable, 'tools/owner.py', '--check')),
         ('README.md matches index.ipynb', lambda: run(sys.executable, 'tools/readme.py', '--check')),
         ('the site builds, with no broken link', docs.build),
         ('the notebooks run and their tests pass', notebooks_run),
         ('pytest', lambda: run(sys.executable, '-m', 'pytest', '-q', '-n', '2', 'tests'))]


def main():
    for n, (what, step) in enumerate(STEPS, 1):
        print(f'--- {n} of {len(STEPS)}: {what}', flush=True)
        start = time.time()
        step()
        if n < len(STEPS): print(f'    {time.time() - start:.1f} s', flush=True)


if __name__ == '__main__': main()
