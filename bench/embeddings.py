"Embedding lookup against nn.Embedding and one-hot times matrix as the vocabulary grows (claim E2): python bench/embeddings.py"
import platform, time
from pathlib import Path
import torch
from torch import nn
from ddl_lesson8.embeddings import Embedding, one_hot

def milliseconds(step, repeats=7):
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(5): step()
        times.append(200 * (time.perf_counter() - start))
    return min(times)

def measure(n, n_ids=64, dim=16):
    ids = torch.arange(n_ids) % n
    ours, sparse, theirs = Embedding(n, dim), Embedding(n, dim, sparse=True), nn.Embedding(n, dim)
    def step(forward, weight):
        weight.grad = None
        forward().sum().backward()
    ways = {'nn.Embedding': (lambda: theirs(ids), theirs.weight), 'Embedding': (lambda: ours(ids), ours.weight),
            'sparse gradient': (lambda: sparse(ids), sparse.weight), 'one-hot': (lambda: one_hot(ids, n) @ ours.weight, ours.weight)}
    return {k: milliseconds(lambda: step(*v)) for k, v in ways.items()}, one_hot(ids, n).nbytes / ids.nbytes

def main():
    lines = ['| words | nn.Embedding, ms | Embedding | sparse gradient | one-hot | memory of one-hot / ids |', '|---|---|---|---|---|---|']
    for n in (100, 1000, 10_000, 100_000):
        t, memory = measure(n)
        base = t.pop('nn.Embedding')
        lines.append(f'| {n:,} | {base:.3f} | ' + ' | '.join(f'{v / base:.2f}x' for v in t.values()) + f' | {memory:,.0f}x |')
    text = '\n'.join([f'Forward and backward of 64 ids, 16 factors; torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} thread(s). Ratios to nn.Embedding, lower is faster.', '', *lines])
    print(text)
    target = Path(__file__).parent/'results'/'embeddings.md'
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + '\n', encoding='utf-8')

if __name__ == '__main__': main()
