"What `make test` leaves out because it is long or needs more: fastai as an oracle, LibreOffice, the long searches, coverage. Runs what is installed, says what is not."
import importlib.util, os, shutil, subprocess, sys
from docs import root


def have(module:str)->bool: return importlib.util.find_spec(module) is not None


def main():
    missing = [n for n, ok in (('fastai (pip install "fastai>=2.8,<2.9")', have('fastai')), ('LibreOffice (apt install libreoffice-calc)', shutil.which('soffice') or shutil.which('libreoffice')),
                               ('pytest-cov (pip install pytest-cov)', have('pytest_cov'))) if not ok]
    for name in missing: print(f'not here, so left out: {name}', flush=True)
    coverage = ['--cov=ddl_lesson8', '--cov-report=term:skip-covered'] if have('pytest_cov') else []
    cmd = [sys.executable, '-m', 'pytest', '-q', '-rs', '-n', '2', *coverage, 'tests']
    sys.exit(subprocess.run(cmd, cwd=root, env={**os.environ, 'DDL_LESSON8_LONG': '1'}).returncode)


if __name__ == '__main__': main()
