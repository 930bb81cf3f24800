"Draw nbs/images/four_views.png, the picture at the top of the README: one convolution, four times."
from pathlib import Path
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from ddl_lesson8.conv import conv2d
from ddl_lesson8.data.digits import draw_seven
from ddl_lesson8.book.plots import INK

root = Path(__file__).resolve().parent.parent
WORDS = "A small grid of weights\nslides over the picture.\nAt each place, multiply\nwhat lies on each other\nand add it all up."
CODE = "for y in range(height - 2):\n  for x in range(width - 2):\n    window = image[y:y+3, x:x+3]\n    out[y, x] = (window * kernel).sum()"


def panel(ax, number:int, title:str):
    ax.set(xticks=[], yticks=[])
    ax.set_title(f'{number}  {title}', loc='left', fontsize=14, fontweight='bold')
    for side in ax.spines.values(): side.set_color('#bbbbbb')


def sheet(ax, x:torch.Tensor, first_row:int, first_col:int):
    "Draw numbers as cells of a spreadsheet, with its column letters and row numbers"
    ax.imshow(x.clamp(min=0), cmap=INK, vmin=0, vmax=3, aspect='auto')
    for r, row in enumerate(x.tolist()):
        for c, v in enumerate(row): ax.text(c, r, f'{v:.1f}', ha='center', va='center', fontsize=10)
    ax.set_xticks(range(x.shape[1]), [f'A{chr(72 + c)}' for c in range(x.shape[1])], fontsize=9, color='#777777')
    ax.set_yticks(range(x.shape[0]), range(first_row, first_row + x.shape[0]), fontsize=9, color='#777777')
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.set_xlabel(r'fx   =SUMPRODUCT(A2:C4,\$AD\$11:\$AF\$13)', family='monospace', fontsize=12, loc='left')


def draw():
    seven = draw_seven(dtype=torch.float64)[None, None]
    kernel = torch.tensor([[1., 1, 1], [0, 0, 0], [-1, -1, -1]], dtype=torch.float64)[None, None]
    ours, theirs = conv2d(seven, kernel)[0, 0], F.conv2d(seven, kernel)[0, 0]
    fig, axes = plt.subplots(2, 2, figsize=(9.6, 6), layout='constrained', width_ratios=[1, 1.35])
    axes = axes.flat
    for i, (ax, title) in enumerate(zip(axes, ('in words', 'from scratch', 'by PyTorch', 'in a spreadsheet')), 1): panel(ax, i, title)
    axes[0].text(.06, .5, WORDS, transform=axes[0].transAxes, va='center', fontsize=14, linespacing=1.6)
    axes[1].text(.04, .5, CODE, transform=axes[1].transAxes, va='center', family='monospace', fontsize=12, linespacing=1.7)
    axes[2].imshow(theirs, cmap='RdBu_r', vmin=-3, vmax=3)
    axes[2].set_xlabel('F.conv2d(image, kernel)', family='monospace', fontsize=12)
    top = int(ours.max(1).values.argmax()) - 3
    axes[3].set(xticks=[], yticks=[])
    sheet(axes[3], ours[top:top + 8, 8:18], top + 2, 8)
    fig.suptitle(f'largest difference between the code and PyTorch: {(ours - theirs).abs().max():.0g}', y=-.02, va='top', fontsize=13)
    (root/'nbs'/'images').mkdir(exist_ok=True)
    fig.savefig(root/'nbs'/'images'/'four_views.png', dpi=110, bbox_inches='tight', facecolor='white')


if __name__ == '__main__': draw()
