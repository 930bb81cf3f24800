"Draw nbs/images/four_views.png, the picture on the first page: one convolution of lesson8.xlsx, four times, from its own cells."
import re, tempfile
from pathlib import Path
import matplotlib.pyplot as plt
import openpyxl, openpyxl.formula.translate
import torch
import torch.nn.functional as F
from openpyxl.utils import get_column_letter as letters
from ddl_lesson8.book.plots import INK
from ddl_lesson8.book.workbook import lesson_workbook
from ddl_lesson8.conv import conv2d

root = Path(__file__).resolve().parent.parent
WORDS = "A small grid of weights\nslides over the picture.\nAt each place, multiply\nwhat lies on each other,\nadd it all up,\nand replace negatives by 0."
CODE = "for y in range(height - 2):\n  for x in range(width - 2):\n    window = image[y:y+3, x:x+3]\n    out[y, x] = max(0, (window * kernel).sum())"


def first_convolution():
    "Of the workbook's sheet: (first cell of the answers, its formula, values by address)"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)/'lesson8.xlsx'
        lesson_workbook(path)
        formulas, values = (openpyxl.load_workbook(path, data_only=only)['convolutions'] for only in (False, True))
    cell = next(c for row in formulas.iter_rows() for c in row if 'SUMPRODUCT' in str(c.value))
    return cell, cell.value, values


def area(values, text:str)->torch.Tensor:
    "The numbers of an area such as A4:C6"
    return torch.tensor([[float(c.value or 0) for c in row] for row in values[text.replace('$', '')]], dtype=torch.float64)


def panel(ax, number:int, title:str):
    ax.set(xticks=[], yticks=[], anchor='NW')
    ax.set_title(f'{number}  {title}', loc='left', fontsize=14, fontweight='bold', pad=22 if number > 2 else 6) # column letters stand between
    for side in ax.spines.values(): side.set_color('#bbbbbb')


def sheet(ax, x:torch.Tensor, row:int, col:int, formula:str):
    "Draw numbers as cells of a spreadsheet, with its column letters, row numbers and a formula"
    ax.imshow(x, cmap=INK, vmin=0, vmax=3, aspect='auto')
    for r, line in enumerate(x.tolist()):
        for c, v in enumerate(line): ax.text(c, r, f'{v:.1f}', ha='center', va='center', fontsize=10)
    ax.set_xticks(range(x.shape[1]), [letters(col + c) for c in range(x.shape[1])], fontsize=9, color='#777777')
    ax.set_yticks(range(x.shape[0]), range(row, row + x.shape[0]), fontsize=9, color='#777777')
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.set_xlabel(f'{letters(col)}{row}: ' + formula.replace('$', r'\$'), family='monospace', fontsize=11, loc='left')


def draw():
    cell, formula, values = first_convolution()
    window, kernel = re.findall(r'\$?[A-Z]+\$?\d+:\$?[A-Z]+\$?\d+', formula)
    corner = window.split(':')[0].replace('$', '')
    image = area(values, f"{corner}:{letters(values[corner].column + 27)}{values[corner].row + 27}")[None, None]
    weights = area(values, kernel)[None, None]
    ours, theirs = F.relu(conv2d(image, weights))[0, 0], F.relu(F.conv2d(image, weights))[0, 0]
    stored = area(values, f'{cell.coordinate}:{letters(cell.column + 25)}{cell.row + 25}')
    top = int(stored.max(1).values.argmax()) - 3
    fig, axes = plt.subplots(2, 2, figsize=(9.6, 6), layout='constrained', width_ratios=[1, 1.35])
    fig.get_layout_engine().set(h_pad=.12)
    axes = axes.flat
    for i, (ax, title) in enumerate(zip(axes, ('in words', 'from scratch', 'by PyTorch', 'in a spreadsheet')), 1): panel(ax, i, title)
    axes[0].text(.06, .5, WORDS, transform=axes[0].transAxes, va='center', fontsize=14, linespacing=1.6)
    axes[1].text(.03, .5, CODE, transform=axes[1].transAxes, va='center', family='monospace', fontsize=10.5, linespacing=1.8)
    axes[2].imshow(theirs, cmap=INK, vmin=0, vmax=3)
    axes[2].set_xlabel('F.relu(F.conv2d(image, kernel))', family='monospace', fontsize=11, loc='left')
    axes[3].set(xticks=[], yticks=[])
    first = letters(cell.column + 8)
    at = f'{first}{cell.row + top}'
    with_formula = openpyxl.formula.translate.Translator(formula, origin=cell.coordinate).translate_formula(at)
    sheet(axes[3], stored[top:top + 8, 8:18], cell.row + top, cell.column + 8, with_formula)
    gaps = [(ours - x).abs().max().item() for x in (theirs, stored)]
    fig.suptitle(f'largest difference from the code: PyTorch {gaps[0]:.0g}, spreadsheet {gaps[1]:.0g}', y=-.02, va='top', fontsize=13)
    (root/'nbs'/'images').mkdir(exist_ok=True)
    fig.savefig(root/'nbs'/'images'/'four_views.png', dpi=110, bbox_inches='tight', facecolor='white')


if __name__ == '__main__': draw()
