"Several processes as one: the same losses and weights, one checkpoint for any number, and errors that name a process"
import json, multiprocessing, os, random, socket, subprocess, sys, time, zipfile
from pathlib import Path
import pytest, torch
from team_worker import forked, make, result
from ddl_lesson8.train.learner import load_learner

HERE = Path(__file__).resolve().parent

def torchrun(tmp_path, n, restarts=1, ok=True, **job): # gloo's own threads may abort a process once in a hundred runs
    "Run the worker in `n` processes; what process 0 found, or all that was said"
    out = tmp_path/'out.json'
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get('PYTHONPATH', '')]))
    cmd = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n), '--max-restarts', str(restarts if ok else 0), str(HERE/'team_worker.py'), json.dumps(job), str(out)]
    done = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) == ok, done.stderr[-3000:]
    return json.loads(out.read_text()) if ok else done.stderr

@pytest.fixture(scope='module')
def fork():
    "A process that has loaded PyTorch and forks the processes of teams: a start of each costs seconds"
    if 'forkserver' not in multiprocessing.get_all_start_methods(): return None
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['team_worker', 'torch._dynamo', 'torch.distributed.tensor']) # the first step of an optimiser loads them
    with pytest.MonkeyPatch.context() as m:
        m.setenv('PYTHONPATH', os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get('PYTHONPATH', '')])), m.setenv('OMP_NUM_THREADS', '1')
        multiprocessing.forkserver.ensure_running()
    return context

@pytest.fixture
def team(tmp_path, fork):
    "Run the worker in `n` processes: forked ones where they can be, for speed. `torchrun` itself starts some of the tests"
    return lambda n, **job: start(fork, tmp_path, n, **job)

def start(fork, tmp_path, n, **job): return forked_team(fork, tmp_path, n, **job) if fork else torchrun(tmp_path, n, **job)

def forked_team(fork, tmp_path, n, ok=True, **job):
    "As `torchrun`, without its agent: the first process that fails ends the team"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    out, logs = tmp_path/'out.json', [tmp_path/f'log{k}' for k in range(n)]
    world = dict(WORLD_SIZE=str(n), LOCAL_WORLD_SIZE=str(n), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), OMP_NUM_THREADS='1')
    team = [fork.Process(target=forked, args=(job, str(out), str(log), dict(world, RANK=str(k), LOCAL_RANK=str(k)))) for k, log in enumerate(logs)]
    for p in team: p.start()
    end = time.time() + 300
    while any(p.is_alive() for p in team) and not any(p.exitcode for p in team) and time.time() < end: time.sleep(.02)
    for p in team: p.join(0 if ok else 3) # the others may say why, too
    failed = [p.exitcode for p in team if p.exitcode != 0]
    for p in team: p.kill(), p.join()
    said = '\n'.join(log.read_text() for log in logs)
    for log in logs: log.unlink()
    assert (not failed) == ok, said[-3000:]
    return json.loads(out.read_text()) if ok else said

def alone(kind, dtype=torch.float64, epochs=3, lazy=False):
    l = make(kind, dtype, lazy=lazy)
    l.fit_one_cycle(epochs)
    return result(l)

def close(a, b, tol):
    for name in ('losses', 'valid'): assert a[name] == pytest.approx(b[name], abs=tol, rel=tol)
    assert a['weights'].keys() == b['weights'].keys()
    for k, v in a['weights'].items(): assert v == pytest.approx(b['weights'][k], abs=tol, rel=tol), k

@pytest.mark.parametrize('kind', ['stars', 'table']) # the table has dropout and batch norm
@pytest.mark.parametrize('n, dtype, tol', [(2, 'float64', 1e-12), (3, 'float64', 1e-12), (2, 'float32', 1e-5)])
def test_many_processes_equal_one(team, kind, n, dtype, tol):
    close(team(n, kind=kind, dtype=dtype), alone(kind, getattr(torch, dtype)), tol)

@pytest.mark.parametrize('n, dtype, tol', [(2, 'float64', 1e-12), (3, 'float64', 1e-12), (2, 'float32', 1e-5)])
@pytest.mark.parametrize('lazy', [False, True])
def test_touched_rows_alone_give_the_same(team, n, dtype, tol, lazy): # with dropout
    close(team(n, kind='wide', dtype=dtype, touched=True, lazy=lazy), alone('wide', getattr(torch, dtype), lazy=lazy), tol)

@pytest.mark.parametrize('kind, n, shard, least', [('stars', 2, 'auto', 1), ('stars', 2, 'auto', 100), ('wide', 2, 'auto', 1), ('wide', 3, 3, 1), ('wide', 4, 2, 1)]) # from 100 numbers on: one table of the two
def test_tables_in_parts_equal_one_process(team, kind, n, shard, least):
    close(team(n, kind=kind, shard=shard, cut=least), alone(kind), 1e-12)

@pytest.mark.parametrize('kind, n, shard', [('stars', 2, 'auto'), ('wide', 3, 'auto'), ('wide', 4, 2)])
def test_tables_made_in_parts_equal_one_process(team, kind, n, shard): # no process has ever held them whole
    close(team(n, kind=kind, shard=shard, cut=True, drawn=True), alone(kind), 1e-12)

DRAWN = """
import torch
from torch import nn
from ddl_lesson8.train.distributed import _forget_peak, _peak
from ddl_lesson8.train.schedule import seeded
from ddl_lesson8.train.team import cut_tables, find_team
def mixed(w): nn.init.trunc_normal_(w, std=.1); w.data.mul_(2).add_(nn.init.ones_(torch.empty(1)))
for init in (nn.init.normal_, nn.init.xavier_uniform_, nn.init.xavier_normal_, nn.init.kaiming_uniform_, nn.init.trunc_normal_, nn.init.zeros_, mixed):
    found = []
    for shard in ('auto', None):
        with seeded(3), cut_tables(shard, 'cpu', least=20):
            layers = nn.Embedding(7, 5), nn.Embedding(3, 2), nn.Embedding(8, 4, padding_idx=1), nn.Embedding(33, 3, dtype=torch.float64), nn.Linear(4, 4)
            for l in layers[:2]: init(l.weight)
            found.append([l.weight.full_tensor() if shard and k in (0, 3) else l.weight for k, l in enumerate(layers)] + [torch.rand(3)])
    assert all(map(torch.equal, *found)), init
try:
    with cut_tables('auto', 'cpu', least=20): nn.Embedding(7, 5).weight.data.bernoulli_(.5)
except NotImplementedError as e: assert 'does not go with cut tables' in str(e)
else: assert False
with cut_tables('auto', 'cpu'): nn.Embedding(2**20, 1) # brings in what PyTorch loads on first use
_forget_peak()
before = _peak()
with seeded(0), cut_tables('auto', 'cpu'): table = nn.Embedding(2_000_000, 50)
print('grew by', (_peak() - before) // 10**6, flush=True)
del table

import resource, sys, threading, time
from ddl_lesson8.train.learner import Data, Learner, load_learner
def own_memory(): # without pages of files
    with open('/proc/self/status') as f: return next(int(line.split()[1]) for line in f if line.startswith('RssAnon')) / 1000
def most_in(f): # memory that it takes for a while
    before, found, on = own_memory(), [0], [True]
    def watch():
        while on: found.append(own_memory() - before); time.sleep(.001)
    watcher = threading.Thread(target=watch); watcher.start(); f(); on.clear(); watcher.join()
    return round(max(found))
class Sums(nn.Module):
    def __init__(self): super().__init__(); self.table = nn.Embedding(1_000_000, 16)
    def forward(self, rows): return self.table(rows).sum(1)
def learner(seed):
    with seeded(seed), cut_tables('auto', 'cpu'): model = Sums()
    return Learner(Data((torch.arange(64), torch.ones(64)), batch_size=64), model, nn.functional.mse_loss, device='cpu', progress=False, shard='auto')
def parts(l): return [t.to_local() for t in (l.model.table.weight, *l.opt.state[l.model.table.weight].values()) if hasattr(t, 'to_local')]
l = learner(0); l.fit(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, -1)) # the disk is full half-way
try: l.save(sys.argv[1])
except OSError as e: assert 'process 0 could not write' in str(e)
else: assert False
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
saving, other = most_in(lambda: l.save(sys.argv[1])), learner(1)
loading = most_in(lambda: other.load(sys.argv[1]))
assert len(parts(l)) == 3 and all(map(torch.equal, parts(l), parts(other)))
with seeded(2), cut_tables('auto', 'cpu'): model = Sums()
again = load_learner(sys.argv[1], model=model, device='cpu', shard='auto')
assert all(map(torch.equal, parts(l), parts(again)))
assert find_team(torch.device('meta')) is None # a model without numbers, made to see its sizes
print('saved and loaded with', saving, loading, flush=True)
"""
def test_cut_tables_have_the_numbers_of_whole_ones_and_never_stand_whole(tmp_path): # 400 MB, two parts
    (tmp_path/'drawn.py').write_text(DRAWN)
    cmd = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', str(tmp_path/'drawn.py'), str(tmp_path/'a.pt')]
    done = subprocess.run(cmd, env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(HERE.parent)), capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr[-3000:]
    grew = [int(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith('grew')]
    assert len(grew) == 2 and max(grew) < 240, grew
    took = [line.split()[-2:] for line in done.stdout.splitlines() if line.startswith('saved')] # a table and Adam's averages are 192 MB, a part 96 MB
    assert len(took) == 2 and all(int(save) < 32 and int(load) < 150 for save, load in took), took
    with zipfile.ZipFile(tmp_path/'a.pt') as z: assert z.testzip() is None
    assert sorted(f.name for f in tmp_path.iterdir()) == ['a.pt', 'drawn.py']

def test_lazy_updates_of_cut_tables_are_refused(team):
    assert 'leave out shard' in team(2, ok=False, kind='wide', shard=2, cut=True, lazy=True)

@pytest.fixture(scope='module')
def pairs(tmp_path_factory, fork):
    "(saved by, loaded by) -> what the second team found after going on with the file of the first; whole tables in one process, cut ones in more"
    folder, found = tmp_path_factory.mktemp('pairs'), {}
    files = {n: str(folder/f'{n}.pt') for n in (1, 2, 3, 4)}
    how = lambda n: dict(kind='stars', cut=True, shard=None if n == 1 else 'auto')
    for n, file in files.items(): start(fork, folder, n, until=1.4, save=file, **how(n))
    for n in files: found |= {(k, n): r for k, r in zip(files, start(fork, folder, n, load_each=list(files.values()), **how(n)))}
    return found

@pytest.mark.parametrize('loaded_by', [1, 2, 3, 4])
@pytest.mark.parametrize('saved_by', [1, 2, 3, 4])
def test_a_checkpoint_loads_with_any_number_of_processes(saved_by, loaded_by, pairs): close(pairs[saved_by, loaded_by], alone('stars'), 1e-12)

def test_a_checkpoint_of_cut_tables_loads_with_whole_ones(tmp_path, team):
    team(2, kind='stars', shard='auto', cut=True, until=1.4, save=str(tmp_path/'a.pt'))
    close(team(3, kind='stars', load=str(tmp_path/'a.pt')), alone('stars'), 1e-12)

@pytest.mark.parametrize('seed', range(int(os.environ.get('DDL_LESSON8_KILLS', 1))))
def test_a_killed_process_is_restarted_from_the_checkpoint(tmp_path, seed):
    g = random.Random(seed)
    job = dict(kind='table', checkpoint=str(tmp_path/'c.pt'), go_on=True, die_at=g.randrange(21), who=g.randrange(2))
    close(torchrun(tmp_path, 2, restarts=2, **job), alone('table'), 1e-12)
    assert (tmp_path/'out.json.died').exists()

@pytest.mark.parametrize('change, words', [(dict(other_seed=True), 'another seed'), (dict(other_data=True), 'another training data'), (dict(other_model=True), 'another shape of users.weight'),
                                           (dict(version='torch'), 'another version of PyTorch'), (dict(version='ours'), 'another version of ddl_lesson8'),
                                           (dict(other='shard'), 'another shard'), (dict(other='loss'), 'another loss function'), (dict(other='beta'), 'another loss function'), (dict(other='steps'), 'another optimiser than'),
                                           (dict(other='decay'), 'another weight_decay of the optimiser'), (dict(other='clip'), 'another clip'), (dict(other='amp'), 'another mixed precision'), (dict(other='calls'), 'another number of calls')])
def test_a_process_with_something_else_is_named(team, change, words):
    assert f'process 1 has {words}' in team(2, ok=False, kind='stars', **change)

def test_checkpoints_of_two_runs_are_not_mixed(tmp_path, team): # of the same plan and the same epoch
    learn = make('stars')
    learn.fit_one_cycle(3, until=1)
    learn.save(tmp_path/'a')
    with torch.no_grad(): learn.model.users.weight[0] += 1e-3
    learn.save(tmp_path/'b')
    assert 'process 1 has another weights' in team(2, ok=False, kind='stars', load_of_rank=[str(tmp_path/'a'), str(tmp_path/'b')])
    whole = (tmp_path/'a').read_bytes()
    for bad in (whole[:-1], whole[:len(whole) // 2], bytes([whole[0] ^ 1]) + whole[1:]):
        (tmp_path/'b').write_bytes(bad)
        assert 'b is damaged' in (said := team(2, ok=False, kind='stars', load_of_rank=[str(tmp_path/'a'), str(tmp_path/'b')], timeout=8)) or 'b is not a saved learner' in said

def test_a_process_that_fails_before_it_joins_ends_the_team(tmp_path): assert 'no such file' in torchrun(tmp_path, 2, ok=False, kind='stars', crash=True)

def test_a_process_that_falls_silent_is_named(team):
    assert 'process 0 of 3 waited in vain for process 1, see' in team(3, ok=False, kind='wide', touched=True, silent=1, timeout=8)

def test_a_batch_smaller_than_the_team_is_refused(tmp_path):
    from ddl_lesson8.train.team import Team
    team = object.__new__(Team); team.world, team.rank = 4, 0
    with pytest.raises(ValueError, match='larger batch_size'): team.rows(torch.arange(3))

def test_the_plan_counts_by_hand(): # right: (30 + 20) rows of 4 numbers and a bias, four bytes each
    from ddl_lesson8.train.distributed import plan
    p = plan(30, 20, 4, 1000, 100)
    assert (p.weights, p.gradients, p.averages, p.rows, p.sent, p.steps) == (1000, 1000, 2000, 12_000, 0, 10)
    assert plan(30, 20, 4, 1000, 100, world=2).sent == 1000 and plan(30, 20, 4, 1000, 100, world=4).sent == 1500 # most rows are touched: whole gradients
    assert plan(10**6, 10**6, 4, 1000, 2, world=2).sent == 2 * (8 + 20) # one row of each table: its number, five numbers
    found = 30 * (1 - (29/30)**50) + 20 * (1 - (19/20)**50) # rows that 50 ratings touch; half of them lie with the other process
    assert plan(30, 20, 4, 1000, 100, world=2, shards=2).weights == 500 and plan(30, 20, 4, 1000, 100, world=2, shards=2).sent == round(found / 2 * (8 + 2 * 20))
    with pytest.raises(ValueError, match='groups of 2'): plan(1, 1, 1, 1, 1, world=3, shards=2)
