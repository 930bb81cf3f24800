"What each process of test_distributed runs: train a small model and write what came out"
import json, os, sys
import torch
from torch import nn
from ddl_lesson8.train.learner import Data, Learner, load_learner, seeded
from ddl_lesson8.train.tabular_model import TabularModel

class Stars(nn.Module):
    "Two tables and a dot product"
    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(31, 4), nn.Embedding(17, 4)
    def forward(self, u, i): return (self.users(u) * self.items(i)).sum(1)

def make(kind, dtype=torch.float64, seed=0, shard=None, calls=None):
    g = torch.Generator().manual_seed(1)
    with seeded(0):
        if kind == 'stars': model, x = Stars(), (torch.randint(31, (203,), generator=g), torch.randint(17, (203,), generator=g))
        else: model, x = TabularModel([(9, 3)], 2, 1, [8], ps=.3, embed_p=.2), (torch.randint(9, (203, 1), generator=g), torch.randn(203, 2, generator=g, dtype=dtype))
    y = torch.randn(203, generator=g, dtype=dtype)
    if kind != 'stars': y = y[:, None]
    data = Data((*x, y), (*(t[:51] for t in x), y[:51]), batch_size=32)
    return Learner(data, model.to(dtype), nn.functional.mse_loss, lr=.05, device='cpu', seed=seed, progress=False, shard=shard, calls=calls)

def result(l):
    state = l._state()
    return dict(losses=l.recorder.losses, valid=[e['valid_loss'] for e in l.recorder.epochs], weights={k: v.double().flatten().tolist() for k, v in state['model'].items()})

if __name__ == '__main__':
    job, out = json.loads(sys.argv[1]), sys.argv[2]
    rank, torch_seed = int(os.environ['RANK']), job.get('seed_of_rank')
    calls = None
    if job.get('die_at') is not None: # once: the first time that somebody gets there
        def die(l):
            if rank == job['who'] and l.recorder.losses is not None and l.plan.first_batch + l.plan.done == job['die_at'] and not os.path.exists(out + '.died'):
                open(out + '.died', 'w').close(); os.kill(os.getpid(), 9)
        calls = dict(before_batch=die)
    if job.get('cut'):
        import ddl_lesson8.train.learner as module, functools
        module.shard_tables = functools.partial(module.shard_tables, least=1)
    l = make(job['kind'], getattr(torch, job.get('dtype', 'float64')), seed=rank if job.get('other_seed') else 0, shard=job.get('shard'), calls=calls)
    if job.get('other_data') and rank == 1: l.data.train = (*l.data.train[:-1], l.data.train[-1] + 1)
    if job.get('load'): l.load(job['load']); l.resume()
    else: l.fit_one_cycle(job.get('epochs', 3), checkpoint=job.get('checkpoint'), go_on=bool(job.get('go_on')), until=job.get('until'))
    if job.get('save'): l.save(job['save'])
    found = result(l)
    if rank == 0: open(out, 'w').write(json.dumps(found))
