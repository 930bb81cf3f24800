"Draw nbs/images/house.svg from the imports of the modules: a floor for each wing, an arrow from floor to floor with the number of imports, orange where it points up."
import argparse, ast, sys
from collections import Counter
from html import escape
from pathlib import Path

root = Path(__file__).resolve().parent.parent
package, picture = root/'ddl_lesson8', root/'nbs'/'images'/'house.svg'
FLOORS = {'': 'chapters: the ideas of the lecture', 'book': 'book/: claims, exercises, plots, lesson8.xlsx', 'train': 'train/: the training loop',
          'data': 'data/: ratings, digits, tables, columns', 'sheets': 'sheets/: workbooks, read, computed and written'}
WIDTH, LETTER, ROW, GAP, STEP = 860, 7.4, 36, 22, 34  # of a floor, a letter, a row of boxes, between floors, between arrows


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


def boxes(names, top)->list:
    "Left edge, top and width of each module's box, in as many rows as a floor needs"
    found, x, y = [], 20, top
    for n in names:
        wide = round(LETTER * len(n.split('.')[-1])) + 18
        if x + wide > WIDTH - 12: x, y = 20, y + ROW
        found.append((n, x, y, wide))
        x += wide + 8
    return found


def ends(pairs, tops, heights)->dict:
    "Where each arrow leaves its floor and where it arrives, one below the other"
    at, floors = {}, list(FLOORS)
    for f, w in enumerate(floors):
        here = [(pair, side) for pair in pairs for side in (0, 1) if pair[side] == w]
        here.sort(key=lambda e: (floors.index(e[0][1 - e[1]]) > f, floors.index(e[0][1 - e[1]])))
        for k, e in enumerate(here): at[e] = tops[f] + heights[f] * (k + 1) / (len(here) + 1)
    return at


def draw()->str:
    "The picture as SVG"
    found, floors, out, tops, heights = modules(), list(FLOORS), [], [], []
    for w, title in FLOORS.items():
        top = 10 if not tops else tops[-1] + heights[-1] + GAP
        placed = boxes([n for n in found if wing(n) == w], top + 32)
        tops.append(top)
        heights.append(placed[-1][2] + ROW - top + 4)
        out.append(f'<rect x="8" y="{top}" width="{WIDTH - 8}" height="{heights[-1]}" rx="8" fill="#f2f4f8"/>')
        out.append(f'<text x="20" y="{top + 20}" fill="#444" font-weight="bold">{escape(title)}</text>')
        for n, x, y, wide in placed:
            out.append(f'<rect x="{x}" y="{y}" width="{wide}" height="28" rx="4" fill="white" stroke="#57a"/>')
            out.append(f'<text x="{x + wide / 2:g}" y="{y + 19}" text-anchor="middle">{escape(n.split(".")[-1])}</text>')
    counts = Counter((wing(a), wing(b)) for a, p in found.items() for b in imports(a, p) if b in found and wing(a) != wing(b))
    pairs = sorted(counts, key=lambda p: (abs(floors.index(p[0]) - floors.index(p[1])), floors.index(p[0]), floors.index(p[1])))
    at = ends(pairs, tops, heights)
    for k, pair in enumerate(pairs):
        x, y1, y2 = WIDTH + 26 + STEP * k, at[pair, 0], at[pair, 1]
        colour = '#b45309' if floors.index(pair[0]) > floors.index(pair[1]) else '#3b6ea5'
        out.append(f'<path d="M{WIDTH} {y1:.0f}H{x}V{y2:.0f}H{WIDTH + 8}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        out.append(f'<path d="M{WIDTH + 10} {y2 - 4:.0f}L{WIDTH + 1} {y2:.0f}L{WIDTH + 10} {y2 + 4:.0f}z" fill="{colour}"/>')
        out.append(f'<text x="{x + 4}" y="{(y1 + y2) / 2 + 4:.0f}" font-size="12" fill="{colour}">{counts[pair]}</text>')
    wide, high = WIDTH + 26 + STEP * len(pairs) + 6, tops[-1] + heights[-1] + 10
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="13">',
            '<title>The modules of ddl_lesson8, floor by floor</title>', f'<rect width="{wide}" height="{high}" fill="white"/>']
    return '\n'.join(head + out + ['</svg>', ''])


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--check', action='store_true', help='only see whether the picture is up to date')
    if not ap.parse_args().check: picture.write_text(draw(), encoding='utf-8')
    elif picture.read_text(encoding='utf-8') != draw(): sys.exit('the picture of the house is older than the imports: run python tools/house.py')


if __name__ == '__main__': main()
