"How long the invented data take to make: python bench/planted.py"
import platform, time
from pathlib import Path
import torch
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.data.digits import make_digits

def seconds(f, repeats=3):
    f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)

def main():
    ratings = planted_ratings().ratings
    rows = [(repr(ratings), seconds(planted_ratings)), ('60,000 digits of 28 x 28', seconds(lambda: make_digits(60_000), repeats=1))]
    text = '\n'.join([f'torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} thread(s).', '', '| made | seconds |', '|---|---|',
                      *(f'| {what} | {s:.2f} |' for what, s in rows)])
    print(text)
    target = Path(__file__).parent/'results'/'planted.md'
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + '\n', encoding='utf-8')

if __name__ == '__main__': main()
