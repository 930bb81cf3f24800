"""Change one line of the library at a time, from the fixed list in mutants.json, and see whether the tests alone notice.

A mutant is found when its test file fails. At least 95 % should be. Takes hours for all; name modules to try only theirs."""
import argparse, json, os, shutil, subprocess, sys, tempfile, time
from pathlib import Path

root = Path(__file__).resolve().parent.parent


def mutated(text:str, mutant:dict)->str|None:
    "A module's text with one line changed; None where that line is not there, or not only once"
    return text.replace(mutant['old'], mutant['new']) if text.count(mutant['old']) == 1 else None


def fault(folder:Path, tests:list, seconds:int)->str:
    "What the test files say with the library of a folder; '' when they pass. An endless loop does not pass"
    cmd = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *(f'tests/{t}.py' for t in tests)]
    env = {**os.environ, 'PYTHONPATH': str(folder), 'OMP_NUM_THREADS': '1'}
    try: done = subprocess.run(cmd, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired: return f'longer than {seconds} s'
    return '' if done.returncode == 0 else '\n'.join((done.stdout + done.stderr).splitlines()[-5:]) or 'it fails'


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('modules', nargs='*', help='for example conv sheets.lookup; default: all')
    ap.add_argument('--seconds', type=int, default=900, help='the longest a test file may run')
    ap.add_argument('--check', action='store_true', help='only see whether every line of the list is still there')
    a = ap.parse_args()
    mutants = [m for m in json.loads((root/'tools'/'mutants.json').read_text(encoding='utf-8')) if not a.modules or m['module'] in a.modules]
    mutants.sort(key=lambda m: m['tests'])
    found, escaped, gone, sound = 0, [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in ('ddl_lesson8', 'tests', 'tools', 'nbs', 'bench'): shutil.copytree(root/name, folder/name)
        for name in ('settings.ini', 'pyproject.toml', '_quarto.yml', 'README.md', 'CITATION.cff'): shutil.copy(root/name, folder)
        for n, m in enumerate(mutants, 1):
            path = folder/'ddl_lesson8'/(m['module'].replace('.', '/') + '.py')
            text = path.read_text(encoding='utf-8') if path.exists() else ''
            changed = mutated(text, m)
            said = f"{m['module']}.{m['function']}: {m['old']}  ->  {m['new']}"
            if changed is None: gone.append(said)
            elif not a.check:
                tests = tuple(m['tests'])
                if tests not in sound:
                    sound[tests] = fault(folder, tests, a.seconds)
                    if sound[tests]: print(f'{", ".join(tests)} fails without a mutant, so it can judge none: {sound[tests]}', flush=True)
                if sound[tests]: continue
                start = time.time()
                path.write_text(changed, encoding='utf-8')
                if fault(folder, tests, a.seconds): found += 1
                else: escaped.append(said)
                path.write_text(text, encoding='utf-8')
                print(f'{n:3} of {len(mutants)}  {time.time() - start:5.0f} s  {"ESCAPED" if said in escaped else "found  "}  {said}', flush=True)
    for what, those in (('escaped', escaped), ('no longer there', gone)):
        for said in those: print(f'{what}: {said}')
    if not a.check and found + len(escaped): print(f'{found} of {found + len(escaped)} mutants found by tests alone ({found / (found + len(escaped)):.0%})')
    sys.exit(bool(escaped or gone or any(sound.values())))


if __name__ == '__main__': main()
