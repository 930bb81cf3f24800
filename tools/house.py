"Draw nbs/images/house.svg from the imports of the modules: a floor for each wing, a line for each import between floors, orange where it points up."
import argparse, ast, sys
from html import escape
from pathlib import Path

root = Path(__file__).resolve().parent.parent
package, picture = root/'ddl_lesson8', root/'nbs'/'images'/'house.svg'
FLOORS = {'': 'chapters: the ideas of the lecture', 'book': 'book/: claims, exercises, plots, lesson8.xlsx', 'train': 'train/: the training loop',
          'data': 'data/: ratings, digits, tables, columns', 'sheets': 'sheets/: workbooks, read, computed and written'}
WIDTH, STEP, BOX, FLOOR = 1200, 106, 98, 120


def modules()->dict:
    "Path of each module by its name, `sheets.book` say; `all` imports everything and is left out"
    names = {p.relative_to(package).with_suffix('').as_posix().replace('/', '.'): p for p in sorted(package.rglob('*.py'))}
    return {n: p for n, p in names.items() if not n.split('.')[-1].startswith('_') and n != 'all'}


def wing(name:str)->str: return name.split('.')[0] if '.' in name else ''


def imports(name:str, path:Path)->set[str]:
    "Modules of ours that a module imports, also inside functions"
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not isinstance(node, ast.ImportFrom): continue
        above = name.split('.')[:-node.level] if node.level else []
        found.add('.'.join(above + [(node.module or '').removeprefix('ddl_lesson8.')]))
    return found


def places(names)->dict:
    "Left edge and top of each module's box"
    floors = {w: [n for n in names if wing(n) == w] for w in FLOORS}
    return {n: (20 + STEP * i, 40 + FLOOR * f) for f, row in enumerate(floors.values()) for i, n in enumerate(row)}


def draw()->str:
    "The picture as SVG"
    found = modules()
    at, floors = places(found), list(FLOORS)
    height = FLOOR * len(FLOORS) + 10
    lines = [(a, b) for a, p in found.items() for b in sorted(imports(a, p)) if b in at and wing(a) != wing(b)]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
           '<title>The modules of ddl_lesson8, floor by floor</title>', f'<rect width="{WIDTH}" height="{height}" fill="white"/>']
    for f, (w, title) in enumerate(FLOORS.items()):
        out.append(f'<rect x="8" y="{10 + FLOOR * f}" width="{WIDTH - 16}" height="74" rx="8" fill="#f2f4f8"/>')
        out.append(f'<text x="20" y="{29 + FLOOR * f}" fill="#444" font-weight="bold">{escape(title)}</text>')
    for a, b in lines:
        up = floors.index(wing(a)) > floors.index(wing(b))
        (x1, y1), (x2, y2) = at[a], at[b]
        out.append(f'<line x1="{x1 + BOX // 2}" y1="{y1 + (0 if up else 32)}" x2="{x2 + BOX // 2}" y2="{y2 + (32 if up else 0)}" stroke="{"#c60" if up else "#57a"}" stroke-opacity=".45"/>')
    for n, (x, y) in at.items():
        out.append(f'<rect x="{x}" y="{y}" width="{BOX}" height="32" rx="4" fill="white" stroke="#57a"/>')
        out.append(f'<text x="{x + BOX // 2}" y="{y + 21}" text-anchor="middle">{escape(n.split(".")[-1])}</text>')
    return '\n'.join(out + ['</svg>', ''])


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--check', action='store_true', help='only see whether the picture is up to date')
    if not ap.parse_args().check: picture.write_text(draw(), encoding='utf-8')
    elif picture.read_text(encoding='utf-8') != draw(): sys.exit('the picture of the house is older than the imports: run python tools/house.py')


if __name__ == '__main__': main()
