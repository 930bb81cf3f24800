"What each process of test_distributed runs: train a small model and write what came out"
import atexit, json, os, sys, time
import torch
from torch import nn
from ddl_lesson8.train.learner import Data, Learner, _state, load_learner, seeded
from ddl_lesson8.train.schedule import lazy_adagrad
from ddl_lesson8.train.tabular_model import TabularModel
from ddl_lesson8.train.team import cut_tables

class Stars(nn.Module):
    "Two tables, dropout and a dot product"
    def __init__(self, users, items, p=0.):
        super().__init__()
        self.users, self.items, self.drop = nn.Embedding(users, 4), nn.Embedding(items, 4), nn.Dropout(p)
    def forward(self, u, i): return (self.drop(self.users(u)) * self.items(i)).sum(1)

SIZES = dict(stars=(31, 17), wide=(3001, 1700, .2)) # a batch of 32 touches most rows, or few; dropout

def sgd(model, lr, wd): return torch.optim.SGD(model.parameters(), lr, weight_decay=wd)

OTHER = dict(shard=dict(shard=2), loss=dict(loss_func=nn.functional.l1_loss), beta=dict(loss_func=nn.SmoothL1Loss(beta=.5)), decay=dict(wd=.5), steps=dict(opt_func=sgd), clip=dict(clip=1.), amp=dict(amp=True), calls=dict(calls=dict(after_epoch=print)))

def make(kind, dtype=torch.float64, seed=0, shard=None, calls=None, lazy=False, drawn=False, **other):
    g = torch.Generator().manual_seed(1)
    with seeded(0), cut_tables(shard if drawn else None, least=1):
        if kind in SIZES: model, x = Stars(*SIZES[kind]), tuple(torch.randint(n, (203,), generator=g) for n in SIZES[kind][:2])
        else: model, x = TabularModel([(9, 3)], 2, 1, [8], ps=.3, embed_p=.2), (torch.randint(9, (203, 1), generator=g), torch.randn(203, 2, generator=g, dtype=dtype))
    y = torch.randn(203, generator=g, dtype=dtype)
    if kind not in SIZES: y = y[:, None]
    data = Data((*x, y), (*(t[:51] for t in x), y[:51]), batch_size=32)
    settings = dict(loss_func=nn.functional.mse_loss, lr=.05, device='cpu', seed=seed, progress=False, shard=shard, calls=calls, **(dict(opt_func=lazy_adagrad) if lazy else {}))
    return Learner(data, model.to(dtype), **settings | other)

def whole(t): return t.full_tensor() if hasattr(t, 'full_tensor') else t

def result(l):
    state = _state(l)
    return dict(losses=l.recorder.losses, valid=[e['valid_loss'] for e in l.recorder.epochs], weights={k: whole(v).double().flatten().tolist() for k, v in state['model'].items()})

def work(job, out):
    "Do one job; process 0 writes what it found"
    rank, torch_seed = int(os.environ['RANK']), job.get('seed_of_rank')
    calls = None
    if job.get('silent'): # from the fifth batch on
        def sleep(l):
            if rank == job['silent'] and l.plan.done == 5: time.sleep(40)
        calls = dict(before_batch=sleep)
    if job.get('die_at') is not None: # once: the first time that somebody gets there
        def die(l):
            if rank == job['who'] and l.recorder.losses is not None and l.plan.first_batch + l.plan.done == job['die_at'] and not os.path.exists(out + '.died'):
                open(out + '.died', 'w').close(); os.kill(os.getpid(), 9)
        calls = dict(before_batch=die)
    import ddl_lesson8.train.one_batch as module, functools
    for name, function in (('cut', 'shard_tables'), ('touched', 'join_layers')): # also small tables
        if job.get(name): setattr(module, function, functools.partial(getattr(module, function), least=job[name]))
    if job.get('timeout'): module.find_team = functools.partial(module.find_team, timeout=job['timeout'])
    if job.get('version') and rank == 1:
        if job['version'] == 'torch': torch.__version__ = '1.0'
        else: module.__version__ = '0.1'
    if job.get('other_model') and rank == 1:
        global Stars
        usual = Stars
        Stars = lambda users, *sizes: usual(users + 1, *sizes)
    if job.get('crash') and rank == 1: raise ValueError('no such file')
    settings = dict(seed=rank if job.get('other_seed') else 0, shard=job.get('shard'), calls=calls, lazy=job.get('lazy', False), drawn=job.get('drawn', False))
    l = make(job['kind'], getattr(torch, job.get('dtype', 'float64')), **settings | (OTHER[job['other']] if job.get('other') and rank else {}))
    if job.get('other_data') and rank == 1: l.data.train = (*l.data.train[:-1], l.data.train[-1] + 1)
    if job.get('load_each'): # files of others, one after the other
        found = []
        for file in job['load_each']:
            l = make(job['kind'], shard=job.get('shard'))
            l.load(file); l.resume()
            found.append(result(l))
        if rank == 0: open(out, 'w').write(json.dumps(found))
        return
    if job.get('load_of_rank'): l.load(job['load_of_rank'][rank]); l.resume()
    elif job.get('load'): l.load(job['load']); l.resume()
    else: l.fit_one_cycle(job.get('epochs', 3), checkpoint=job.get('checkpoint'), go_on=bool(job.get('go_on')), until=job.get('until'))
    if job.get('save'): l.save(job['save'])
    found = result(l)
    if rank == 0: open(out, 'w').write(json.dumps(found))

def forked(job, out, log, environment):
    "A process of a team that was forked with PyTorch loaded, as `torchrun` would have started it"
    said = os.open(log, os.O_WRONLY | os.O_CREAT, 0o644)
    for stream in (1, 2): os.dup2(said, stream)
    os.environ.update(environment)
    torch.set_num_threads(1)
    try: work(job, out)
    finally: atexit._run_exitfuncs() # a forked process leaves them out

if __name__ == '__main__': work(json.loads(sys.argv[1]), sys.argv[2])
