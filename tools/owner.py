"Write the owner and the name of the repository, which settings.ini has, wherever an address of it stands; --check only says where one differs."
import argparse, re, subprocess, sys, tomllib
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
FOLLOW = ('pyproject.toml', '_quarto.yml', 'README.md', 'CITATION.cff', 'CONTRIBUTING.md', 'nbs')  # the modules follow through nbdev-export


def wanted()->tuple[str, str]:
    "(owner, repository) of settings.ini"
    parser = ConfigParser(delimiters=['='])
    parser.read(root/'settings.ini', encoding='utf-8')
    return parser['DEFAULT']['user'], parser['DEFAULT']['repo']


def standing()->tuple[str, str]:
    "(owner, repository) as pyproject.toml has them: what all other files were written with"
    urls = tomllib.loads((root/'pyproject.toml').read_text(encoding='utf-8'))['project']['urls']
    return tuple(urls['Repository'].rstrip('/').split('/')[-2:])


def moved(text:str, old:tuple, new:tuple)->str:
    "A text with its addresses of the repository and of the site moved"
    text = re.sub(rf'(github(?:usercontent)?\.com/(?:github/)?|github/){re.escape("/".join(old))}\b', rf'\g<1>{"/".join(new)}', text)
    return re.sub(rf'\b{re.escape(old[0])}\.github\.io/{re.escape(old[1])}\b', f'{new[0]}.github.io/{new[1]}', text)


def files()->list[Path]:
    found = [root/f for f in FOLLOW if (root/f).is_file()]
    return found + [p for p in (root/'nbs').rglob('*') if p.suffix in ('.ipynb', '.md') and '.ipynb_checkpoints' not in p.parts]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--check', action='store_true')
    check, old, new = ap.parse_args().check, standing(), wanted()
    texts = {p: p.read_text(encoding='utf-8') for p in files()}
    changed = {p: t for p, s in texts.items() if (t := moved(s, old, new)) != s}
    if check and (changed or old != new): sys.exit(f'settings.ini says {"/".join(new)}, the files {"/".join(old)}: run python tools/owner.py')
    for p, t in changed.items(): p.write_text(t, encoding='utf-8')
    if changed: subprocess.run(['nbdev-export'], cwd=root, check=True)


if __name__ == '__main__': main()
