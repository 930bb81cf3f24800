"A LeNet as a live workbook: seconds to write, recalculate and cross-check it: python bench/to_workbook.py"
import copy, os, platform, tempfile, time
from pathlib import Path
import torch
from torch import nn
from ddl_lesson8.data.digits import draw_seven
from ddl_lesson8.sheets.engine import Engine
from ddl_lesson8.sheets.from_model import to_workbook

def lenet():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10), nn.Softmax(1))

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(288, 10), nn.Softmax(1))

def newer():
    torch.manual_seed(0)
    size = lambda a, b: [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*size(1, 8), *size(8, 16), *size(16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10), nn.Softmax(1))

def cpu(): # seconds of work of this process and of those that it started: a busy machine does not change them
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system

def timed(f, clock=time.perf_counter):
    start = clock()
    out = f()
    return clock() - start, out

class Transformer(nn.Module):
    "One block that reads eight tokens"
    def __init__(self, vocab=20, width=16):
        super().__init__()
        self.token, self.place = nn.Embedding(vocab, width), nn.Embedding(8, width)
        self.block, self.out = nn.TransformerEncoderLayer(width, 2, 32, dropout=0., batch_first=True), nn.Linear(width, vocab)
    def forward(self, ids): return self.out(self.block(self.token(ids) + self.place(torch.arange(ids.shape[1]))))

def main():
    rows, seven, tokens = [], draw_seven()[None, None].double(), torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    torch.manual_seed(0)
    models = (('the lecture\'s size: 2 channels, one dense layer', small(), seven), ('newer design: stride 2, batch norm', newer(), seven),
              ('LeNet', lenet(), seven), ('a transformer of one block, eight tokens', Transformer(), tokens))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)/'model.xlsx'
        for name, model, x in models:
            seconds, r = min((timed(lambda: to_workbook(model, x, path), cpu) for _ in range(3)), key=lambda t: t[0])
            first = r.input.ref(*[0] * len(r.input.shape), on=False)
            change, _ = timed(lambda e=Engine(path): e.change({first: 1.}))
            ref = copy.deepcopy(model).double().eval()
            forward = min(timed(lambda: ref(x))[0] for _ in range(5))
            weights = sum(p.numel() for p in model.parameters())
            rows.append(f'| {name} | {r.n_formulas:,} | {weights:,} | {seconds:.2f} | {change * 1e3:.0f} | {change / forward:,.0f} | {max(row.diff for row in r.report.rows):.1e} | {path.stat().st_size / 2**20:.1f} |')
    text = ['# A model as a live workbook', '', f'PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), {platform.machine()}. Best of three. '
            'All, in processor seconds, so that a busy machine does not change them: trace, '
            'write, recalculate, save with results, read back, recalculate and compare every layer with PyTorch. '
            'Change: one input is typed over and everything recalculated, in the engine.', '',
            '| model | formulas | weights | all, s (goal: LeNet under 3) | change, ms | change / PyTorch forward | largest difference | file, MiB |', '|' + '---|' * 8, *rows, '']
    print('\n'.join(text))
    (Path(__file__).parent/'results'/'to_workbook.md').write_text('\n'.join(text), encoding='utf-8')

if __name__ == '__main__': main()
