"The learner: batches, schedules, exact resumption, errors, and agreement with PyTorch"
import builtins, io, math, os, sys
from itertools import pairwise
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8.data.files import read_tensors, read_values, write_tensors, write_values
from ddl_lesson8.train.batches import Data, check_shapes
from ddl_lesson8.train.learner import FORMAT, Learner, _state, load_learner
from ddl_lesson8.train.schedule import lazy_adagrad
from ddl_lesson8.train.recorder import LRFind, Recorder, accuracy, longest_fall, rmse, smooth, someone_watches, suggest
from ddl_lesson8.train.schedule import FitPlan, adamw, cosine, decay_groups, default_device, one_cycle, seeded

quick = settings(derandomize=True, deadline=None, max_examples=40)
X = torch.linspace(-1, 1, 200)[:, None]

def net(seed=0, p=0.):
    with seeded(seed): return nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 1))

def learner(seed=0, p=0., batch_size=32, device='cpu', **kwargs):
    return Learner(Data((X, X**2), (X, X**2), batch_size), net(seed, p), F.mse_loss, seed=seed, device=device, **kwargs)

def weights(learn): return nn.utils.parameters_to_vector(learn.model.parameters()).detach()

# ---- batches
@quick
@given(n=st.integers(1, 300), batch_size=st.integers(1, 80), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_batches_hold_every_row_once_and_are_even(n, batch_size, seed, epoch):
    data = Data((torch.arange(n), torch.arange(n)), batch_size=batch_size)
    batches = data.batches(seed, epoch)
    sizes = [len(b) for b in batches]
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert len(batches) == data.n_batches == math.ceil(n / batch_size)
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1

@pytest.mark.parametrize('train, valid, error, words', [
    (X, None, TypeError, 'tuple of tensors'), ((X,), None, ValueError, 'at least one input'),
    ((X, X[1:]), None, ValueError, 'same, non-zero'), ((X[:0], X[:0]), None, ValueError, 'same, non-zero'),
    ((torch.tensor(1.), torch.tensor(1.)), None, ValueError, 'same, non-zero'),
    ((X, X), (X, X, X), ValueError, 'valid has 3')])
def test_data_that_does_not_fit_is_refused(train, valid, error, words):
    with pytest.raises(error, match=words): Data(train, valid)

def test_a_batch_size_is_positive():
    with pytest.raises(ValueError, match='at least one row'): Data((X, X), batch_size=0)

# ---- schedule and step
def test_one_cycle_has_the_numbers_of_the_field():
    assert one_cycle(0, 1.) == pytest.approx((1 / 25, .95))
    assert one_cycle(.25, 1.) == pytest.approx((1., .85))
    assert one_cycle(1, 1.) == pytest.approx((1e-5, .95))

@pytest.mark.parametrize('n', [8, 100, 396])
def test_one_cycle_is_pytorchs_with_the_fields_numbers(n):
    opt = torch.optim.AdamW(net().parameters(), lr=1.)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, .3, total_steps=n + 1, pct_start=(n / 4 + 1) / (n + 1), div_factor=25, final_div_factor=4000)
    for i in range(n + 1):
        group = opt.param_groups[0]
        assert one_cycle(i / n, .3) == pytest.approx((group['lr'], group['betas'][0]), rel=1e-9)
        opt.step()
        if i < n: sched.step()

@quick
@given(a=st.floats(0, 1), lr=st.floats(1e-6, 10))
def test_one_cycle_stays_between_its_ends(a, lr):
    rate, mom = one_cycle(a, lr)
    assert lr / 1e5 * .999 <= rate <= lr * 1.001 and .85 - 1e-9 <= mom <= .95 + 1e-9

def test_the_schedule_is_what_the_recorder_saw():
    learn = learner()
    learn.fit_one_cycle(3, .1)
    n = 3 * learn.data.n_batches
    assert list(zip(learn.recorder.lrs, learn.recorder.moms)) == [one_cycle(i / n, .1) for i in range(n)]
    assert len(learn.recorder.losses) == n and len(learn.recorder.epochs) == 3

def test_the_learner_does_the_steps_of_a_plain_loop():
    learn, model = learner(), net()
    learn.fit(2, .01, wd=.1)
    opt = adamw(model, lr=.01, wd=.1)
    for epoch in range(2):
        for rows in learn.data.batches(0, epoch):
            opt.zero_grad()
            F.mse_loss(model(X[rows]), X[rows]**2).backward()
            opt.step()
    assert torch.equal(weights(learn), nn.utils.parameters_to_vector(model.parameters()))

@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_fused_adamw_agrees_with_the_plain_one(dtype):
    a, b = net().to(dtype), net().to(dtype)
    x = X.to(dtype)
    fused = adamw(a, .01, wd=.2)
    assert fused.param_groups[0]['fused']
    groups = [dict(params=ps, weight_decay=wd) for ps, wd in zip(decay_groups(b), (.2, 0.))]
    plain = torch.optim.AdamW(groups, .01, (.9, .99), 1e-5, fused=False)
    for model, opt in ((a, fused), (b, plain)):
        for _ in range(20):
            opt.zero_grad()
            (model(x) - x**2).square().mean().backward()
            opt.step()
    for p, q in zip(a.parameters(), b.parameters()): torch.testing.assert_close(p, q)

def test_embedding_biases_decay_and_layer_biases_do_not():
    data = Data((torch.zeros(4, dtype=torch.long), torch.zeros(4, 1)))
    learn = Learner(data, nn.Embedding(3, 1), F.mse_loss, device='cpu')
    assert [g['decay'] for g in learn.opt.param_groups] == [True]
    decay, still = decay_groups(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    assert len(decay) == 1 and len(still) == 3

def test_frozen_parameters_stay():
    model = net()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    Learner(Data((X, X**2)), model, F.mse_loss, device='cpu').fit(1, .1)
    assert torch.equal(before, model[0].weight)

# ---- reproducible, and alone with its random numbers
def test_equal_seeds_give_equal_weights_and_others_do_not():
    runs = [learner(seed, p=.3) for seed in (1, 1, 2)]
    for learn in runs: learn.model.load_state_dict(net(0).state_dict())
    for i, learn in enumerate(runs):
        torch.manual_seed(i)
        learn.fit(2, .01)
    assert torch.equal(weights(runs[0]), weights(runs[1])) and not torch.equal(weights(runs[0]), weights(runs[2]))

def test_training_leaves_the_random_numbers_of_others_alone():
    learn = learner(p=.3)
    torch.manual_seed(5)
    learn.fit(1)
    learn.lr_find(steps=20)
    got = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(got, torch.rand(3))

def test_seeded_changes_nothing_outside():
    torch.manual_seed(5)
    a = torch.rand(2)
    torch.manual_seed(5)
    with seeded(1): torch.rand(9)
    assert torch.equal(a, torch.rand(2))

# ---- saving
@pytest.mark.parametrize('until', [.5, 1, 1.3, 2, 3.99])
@pytest.mark.parametrize('kind', ['fit', 'fit_one_cycle'])
def test_a_stopped_training_resumes_to_the_same_bits(tmp_path, until, kind):
    whole, part, other = learner(0, .2), learner(0, .2), learner(7, .2)
    getattr(whole, kind)(4, .05, wd=.2)
    getattr(part, kind)(4, .05, wd=.2, until=until)
    part.save(tmp_path / 'a.pt')
    other.load(tmp_path / 'a.pt')
    other.resume()
    assert torch.equal(weights(whole), weights(other))
    assert whole.recorder.losses == other.recorder.losses and whole.validate() == other.validate()
    assert [e['valid_loss'] for e in whole.recorder.epochs] == [e['valid_loss'] for e in other.recorder.epochs]

def test_a_checkpoint_of_each_epoch_resumes_after_a_crash(tmp_path):
    whole, crashed, other = learner(0, .2), learner(0, .2), learner(3, .2)
    whole.fit_one_cycle(3, .05)
    loss, count = crashed.loss_func, iter(range(10**6))
    def fragile(p, t):
        if torch.is_grad_enabled() and next(count) == 10: raise KeyboardInterrupt
        return loss(p, t)
    crashed.loss_func = fragile
    with pytest.raises(KeyboardInterrupt): crashed.fit_one_cycle(3, .05, checkpoint=tmp_path / 'c.pt')
    other.load(tmp_path / 'c.pt')
    other.resume()
    assert torch.equal(weights(whole), weights(other))
    assert [p.name for p in tmp_path.iterdir()] == ['c.pt']

def test_two_trainings_in_a_row_resume_too(tmp_path):
    whole, part, other = learner(0, .2), learner(0, .2), learner(1, .2)
    for learn in (whole, part): learn.fit(1, .02)
    whole.fit_one_cycle(2, .05)
    part.fit_one_cycle(2, .05, until=1)
    file = part.save(tmp_path / 'x.pt', extra=dict(vocab=['a', 'b'], t=torch.ones(2)))
    assert other.load(file)['vocab'] == ['a', 'b']
    other.resume()
    assert torch.equal(weights(whole), weights(other))
    assert [e['epoch'] for e in other.recorder.epochs] == [1, 2, 3]

def test_files_that_do_not_fit_are_refused_and_change_nothing(tmp_path):
    learn = learner()
    learn.save(tmp_path / 'good.pt')
    model = nn.Sequential(nn.Linear(1, 9), nn.ReLU(), nn.Dropout(0.), nn.Linear(9, 1))
    wide = Learner(Data((X, X**2)), model, F.mse_loss, device='cpu')
    before = weights(wide)
    with pytest.raises(ValueError, match='another model'): wide.load(tmp_path / 'good.pt')
    assert torch.equal(before, weights(wide))
    (tmp_path / 'cut.pt').write_bytes((tmp_path / 'good.pt').read_bytes()[:500])
    (tmp_path / 'text.pt').write_text('hello')
    (tmp_path / 'empty.pt').write_bytes(b'')
    torch.save([1, 2], tmp_path / 'list.pt')
    for name in ('cut.pt', 'text.pt', 'empty.pt', 'list.pt'):
        with pytest.raises(ValueError, match='not a saved learner'): learn.load(tmp_path / name)
    write_tensors(tmp_path / 'other.pt', dict(format='of somebody else'))
    with pytest.raises(ValueError, match='not written by Learner.save'): learn.load(tmp_path / 'other.pt')
    with pytest.raises(FileNotFoundError, match='no saved learner'): learn.load(tmp_path / 'none.pt')
    with pytest.raises(FileNotFoundError, match='no folder'): learn.save(tmp_path / 'no' / 'x.pt')

@pytest.mark.parametrize('missing', ['opt', 'opt_name', 'random', 'plan', 'recorder', 'epoch', 'best', 'undo'])
def test_half_a_file_changes_nothing(tmp_path, missing):
    learn, other = learner(), learner(1)
    learn.fit_one_cycle(2, until=1)
    saved = torch.load(learn.save(tmp_path / 'a.pt'), weights_only=True)
    del saved['state'][missing]
    write_tensors(tmp_path / 'half.pt', saved)
    other.fit(1)
    before = _state(other)
    with pytest.raises(ValueError, match='belongs to another'): other.load(tmp_path / 'half.pt')
    after = _state(other)
    assert all(torch.equal(before['model'][k], after['model'][k]) for k in before['model'])
    assert all(torch.equal(a[k], b[k]) for a, b in zip(before['opt']['state'].values(), after['opt']['state'].values()) for k in a)
    assert before['recorder'] == after['recorder'] and before['plan'] == after['plan'] and before['epoch'] == after['epoch']

def test_tensors_of_another_program_are_not_replaced(tmp_path): # they were: every file of torch.save was taken for ours
    torch.save(dict(mine=torch.ones(2)), tmp_path/'w.pt')
    with pytest.raises(FileExistsError, match='not replaced'): learner().save(tmp_path/'w.pt')
    with pytest.raises(FileExistsError, match='not replaced'): learner().fit(1, checkpoint=tmp_path/'w.pt')
    assert torch.load(tmp_path/'w.pt')['mine'].sum() == 2

def test_another_optimiser_is_refused(tmp_path):
    path = learner().save(tmp_path / 'a.pt')
    plain = learner(opt_func=lambda model, lr, wd: torch.optim.SGD(model.parameters(), lr))
    with pytest.raises(ValueError, match='trained by AdamW, not SGD'): plain.load(path)

class Trap:
    def __reduce__(self): return builtins.exec, ("raise SystemExit('ran')",)

def test_a_file_cannot_run_code(tmp_path):
    torch.save(dict(format=FORMAT, state=Trap()), tmp_path / 'trap.pt')
    with pytest.raises(ValueError, match='no checksum'): learner().load(tmp_path / 'trap.pt')
    import hashlib
    raw = (tmp_path / 'trap.pt').read_bytes()
    raw = raw[:-2] + (71).to_bytes(2, 'little')
    (tmp_path / 'trap.pt').write_bytes(raw + b'sha256:' + hashlib.sha256(raw).hexdigest().encode()) # a checksum can be forged
    with pytest.raises(ValueError, match='could run code'): learner().load(tmp_path / 'trap.pt')

def test_a_failed_save_keeps_the_old_file(tmp_path):
    learn = learner()
    learn.save(tmp_path / 'a.pt')
    old = (tmp_path / 'a.pt').read_bytes()
    with pytest.raises(Exception): learn.save(tmp_path / 'a.pt', extra=dict(f=lambda: 0))
    assert (tmp_path / 'a.pt').read_bytes() == old and len(list(tmp_path.iterdir())) == 1

def test_resume_needs_a_plan_and_the_same_batches(tmp_path):
    with pytest.raises(RuntimeError, match='no plan'): learner().resume()
    learn = learner()
    learn.fit_one_cycle(2, until=1)
    other = learner(batch_size=64)
    other.load(learn.save(tmp_path / 'a.pt'))
    with pytest.raises(RuntimeError, match='same data and batch size'): other.resume()

# ---- errors in training
def test_a_loss_that_is_no_number_stops_training_and_names_the_data():
    bad = X.clone()
    bad[3] = math.nan
    learn = Learner(Data((bad, X)), net(), F.mse_loss, device='cpu')
    with pytest.raises(FloatingPointError, match=r'epoch 1.*training input 0 holds 1 values'): learn.fit(1)

def test_the_place_of_the_first_bad_loss_is_right():
    calls = []
    def loss(p, t):
        calls.append(1)
        return F.mse_loss(p, t) * (math.nan if len(calls) == 61 else 1)
    learn = Learner(Data((X, X), batch_size=2), net(), loss, device='cpu')
    with pytest.raises(FloatingPointError, match='epoch 1, batch 61 of 100'): learn.fit(1)
    assert len(learn.recorder.losses) == 60

@pytest.mark.parametrize('call, error, words', [
    (lambda l: l.fit(0), ValueError, 'at least one epoch'), (lambda l: l.fit(1, -1.), ValueError, 'positive number'),
    (lambda l: l.fit(1, math.nan), ValueError, 'positive number'),
    (lambda l: l.predict(X, X), ValueError, 'trained on 1 input'),
    (lambda l: l.predict(1.), ValueError, 'takes rows'), (lambda l: l.predict(X[:0]), ValueError, 'no rows'),
    (lambda l: l.validate((X, X[1:])), ValueError, 'same, non-zero'),
    (lambda l: l.fit(1.5), ValueError, 'whole ones'), (lambda l: l.fit(2, until=-1), ValueError, 'positive number'),
    (lambda l: l.fit(1, wd=-1), ValueError, 'from 0 up'), (lambda l: l.fit(1, wd=math.nan), ValueError, 'from 0 up'),
    (lambda l: l.lr_find(steps=5), ValueError, 'fewer than 20'), (lambda l: l.lr_find(start=0), ValueError, 'above 0'),
    (lambda l: l.plot_losses(), RuntimeError, 'nothing is trained'),
    (lambda l: l.plot_schedule(), RuntimeError, 'nothing is trained')])
def test_mistakes_get_a_sentence(call, error, words):
    with pytest.raises(error, match=words): call(learner())

def test_numbers_of_numpy_are_saved_as_plain_ones(tmp_path):
    np = pytest.importorskip('numpy')
    learn = learner(seed=np.int64(3), wd=np.float64(.1))
    learn.fit(1, wd=np.float64(.2))
    learn.save(tmp_path/'a.pt')
    assert learner().load(tmp_path/'a.pt') == {}
    before = (tmp_path/'a.pt').read_bytes()
    with pytest.raises(TypeError, match='plain Python values'): learn.save(tmp_path/'a.pt', extra=dict(rate=np.float64(3)))
    assert (tmp_path/'a.pt').read_bytes() == before and len(list(tmp_path.iterdir())) == 1

def test_shapes_that_would_broadcast_are_refused():
    learn = Learner(Data((X[:32], X[:32, 0])), net(), F.mse_loss, device='cpu')
    with pytest.raises(ValueError, match=r'\(32, 1\).*\(32,\)'): learn.fit(1)

def test_validation_refuses_shapes_that_would_broadcast():
    learn = learner(metrics=[rmse])
    learn.data.valid = X, (X**2)[:, 0]
    with pytest.raises(ValueError, match=r'\(200, 1\).*\(200,\)'): learn.validate()

def test_bad_validation_data_are_named_and_training_data_are_not_blamed():
    bad = X.clone()
    bad[:2] = math.nan
    learn = Learner(Data((X, X), (X, bad)), net(), F.mse_loss, device='cpu')
    with pytest.raises(FloatingPointError, match='the validation target holds 2 values'): learn.fit(1)

def test_data_must_be_data():
    with pytest.raises(TypeError, match=r'Data\(train, valid\)'): Learner((X, X), net(), F.mse_loss)

def test_no_validation_set():
    learn = Learner(Data((X, X**2)), net(), F.mse_loss, device='cpu')
    assert 'valid_loss' not in learn.fit(1).epochs[0]
    with pytest.raises(ValueError, match='no validation set'): learn.validate()

# ---- several inputs, tasks and metrics
class Mixed(nn.Module):
    def __init__(self, n_out=1):
        super().__init__()
        self.emb, self.out = nn.Embedding(5, 3), nn.Linear(5, n_out)
    def forward(self, cat, cont): return self.out(torch.cat([self.emb(cat), cont], 1)).squeeze(1)

def test_whole_and_real_numbers_side_by_side():
    g = torch.Generator().manual_seed(0)
    cat, cont = torch.randint(5, (400,), generator=g), torch.randn(400, 2, generator=g)
    y = cat.float() + cont.sum(1)
    with seeded(0): model = Mixed()
    learn = Learner(Data((cat, cont, y), (cat, cont, y), 64), model, F.mse_loss, metrics={'root': rmse}, device='cpu')
    learn.fit_one_cycle(30, .1)
    assert learn.validate()['root'] < .2
    assert learn.predict(cat[:3], cont[:3]).shape == (3,)
    assert learn.predict([1, 2], [[0., 0], [1., 1]]).shape == (2,)
    with pytest.raises(ValueError, match='different numbers of rows'): learn.predict(cat, cont[:3])

def test_classification_and_whole_set_metrics():
    y = (X[:, 0] > 0).long()
    with seeded(0): model = nn.Linear(1, 2)
    data = Data((X, y), (X, y), 32, valid_batch_size=7)
    learn = Learner(data, model, F.cross_entropy, metrics=[accuracy], device='cpu')
    learn.fit_one_cycle(10, .1)
    got = learn.validate()
    assert got['accuracy'] == pytest.approx((model(X).argmax(1) == y).float().mean().item())
    assert got['loss'] == pytest.approx(F.cross_entropy(model(X), y).item(), rel=1e-5)

def test_predict_and_validate_do_not_train_and_restore_the_mode():
    learn = learner(p=.5)
    before = weights(learn)
    learn.model.train()
    assert torch.equal(learn.predict(X), learn.predict(X)) and learn.validate() == learn.validate()
    assert learn.model.training and torch.equal(before, weights(learn))

def test_float64_stays_float64():
    learn = Learner(Data((X.double(), X.double()**2)), net().double(), F.mse_loss, device='cpu')
    learn.fit(1)
    assert learn.predict(X.double()).dtype == torch.float64

# ---- lr_find
def test_lr_find_changes_nothing():
    whole, looked = learner(0, .2), learner(0, .2)
    whole.fit(1)
    looked.lr_find()
    looked.fit(1)
    assert torch.equal(weights(whole), weights(looked)) and whole.recorder.losses == looked.recorder.losses

def test_lr_find_reads_a_known_curve():
    lrs = [10 ** (-7 + i * 8 / 99) for i in range(100)]
    losses = [3.] * 40 + [3 - .05 * i for i in range(1, 41)] + [1 + .2 * i for i in range(20)]
    found = suggest(lrs, losses)
    assert found.minimum == pytest.approx(lrs[79] / 10) and lrs[40] < found.valley < lrs[79]
    assert found.steep == lrs[39] or lrs[40] <= found.steep < lrs[79]

def test_lr_find_stops_when_the_loss_explodes():
    learn = learner(opt_func=lambda model, lr, wd: torch.optim.SGD(model.parameters(), lr))
    found = learn.lr_find(end=1e4)
    assert isinstance(found, LRFind) and len(found.lrs) < 100 and found.valley < 1

@quick
@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_longest_fall_is_the_longest(values):
    from itertools import combinations
    def falls(k): return any(all(a > b for a, b in pairwise(c)) for c in combinations(values, k))
    best = max(k for k in range(1, len(values) + 1) if falls(k))
    end, n = longest_fall(values)
    assert n == best and 0 <= end < len(values)

def test_smooth_of_a_constant_is_the_constant(): assert smooth([2.] * 5) == pytest.approx([2.] * 5)

# ---- progress
def test_progress_is_silent_by_default_and_speaks_on_request(capsys):
    learner().fit(2)
    assert capsys.readouterr() == ('', '')
    learner(progress=True).fit(2)
    err = capsys.readouterr().err
    assert 'epoch 1' in err and 'valid_loss' in err and 'epoch 2' in err

def test_who_watches(monkeypatch):
    monkeypatch.delitem(sys.modules, 'ipykernel', raising=False)
    tty = io.StringIO()
    tty.isatty = lambda: True
    monkeypatch.setattr(sys, 'stderr', tty)
    assert someone_watches()
    monkeypatch.setitem(sys.modules, 'ipykernel', sys)
    for name in ('JPY_SESSION_NAME', 'COLAB_RELEASE_TAG'): monkeypatch.delenv(name, raising=False)
    assert not someone_watches() # a notebook that a program runs
    monkeypatch.setenv('JPY_SESSION_NAME', 'mine.ipynb')
    assert someone_watches()

def test_recorder_shows_itself():
    assert repr(Recorder()) == Recorder()._repr_html_() == 'nothing trained yet'
    learn = learner(metrics=[rmse])
    assert learn.fit(2).rows()[0] == ['epoch', 'train_loss', 'valid_loss', 'rmse']
    assert '<td>2</td>' in learn.recorder._repr_html_()

# ---- options
def test_mixed_precision_trains_and_predicts_in_full_precision():
    half, full = learner(1, amp=True), learner(1)
    for learn in (half, full): learn.fit_one_cycle(20, .1)
    assert half.validate()['loss'] == pytest.approx(full.validate()['loss'], abs=2e-3)
    assert half.predict(X).dtype == torch.float32 and not torch.equal(half.predict(X), full.predict(X))

@pytest.mark.skipif(not os.environ.get('DDL_LESSON8_LONG'), reason='compiling takes a while: set DDL_LESSON8_LONG=1')
def test_a_compiled_model_trains_to_the_same_weights():
    a, b = learner(), learner(compile=True)
    for learn in (a, b): learn.fit_one_cycle(3, .05)
    torch.testing.assert_close(weights(a), weights(b), rtol=1e-4, atol=1e-5)
    assert list(a.model.state_dict()) == list(b.model.state_dict())

def test_a_compiled_forward_is_called(monkeypatch):
    monkeypatch.setattr(torch, 'compile', lambda model: lambda *x: model(*x) * 0 + 7)
    assert learner(compile=True).predict(X[:2]).tolist() == [[7.], [7.]]

def test_plots_have_labels():
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    learn = learner()
    learn.fit_one_cycle(2, .05)
    for ax in (learn.plot_losses(), learn.plot_schedule(), learn.plot_lr_find()):
        assert ax.get_xlabel() and ax.get_ylabel()
    plt.close('all')

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('amp', [False, True])
def test_cuda(tmp_path, amp):
    learn, other = learner(0, .2, device='cuda', amp=amp), learner(1, .2, device='cuda', amp=amp)
    assert default_device().type == 'cuda' and next(learn.model.parameters()).is_cuda and learn.data.train[0].is_cuda
    learn.fit_one_cycle(20, .1, until=10)
    other.load(learn.save(tmp_path / 'a.pt'))
    for l in (learn, other): l.resume()
    torch.testing.assert_close(weights(learn), weights(other), rtol=1e-3, atol=1e-4)
    assert learn.predict(X).device.type == 'cpu' and learn.predict(X.cuda()).is_cuda

def test_plan_counts(): assert FitPlan('fit', 3, .1, 7).total == 21 and cosine(1, 3, .5) == pytest.approx(2)

# ---- metrics
def test_metrics_never_broadcast(): # right: the definitions by hand; a broadcast would give 0.71 and 1/3
    assert rmse(torch.tensor([1., 2.]), torch.tensor([1., 4.])).item() == pytest.approx(2**.5)
    assert accuracy(torch.tensor([[.2, .8], [.9, .1]]), torch.tensor([1, 1])).item() == .5
    with pytest.raises(ValueError, match='same shape'): rmse(torch.tensor([[1.], [2.]]), torch.tensor([1., 2.]))
    for target in (torch.tensor([[0.], [1.]]), torch.tensor([[0], [1]]), torch.tensor([0., 1.])):
        with pytest.raises(ValueError, match='class numbers'): accuracy(torch.tensor([[.2], [.9]]), target)

# ---- an optimiser of your own
def test_an_optimiser_of_your_own_keeps_its_settings(): # right: what opt_func set, with the ratio 1 to 100 of its rates
    def sgd(model, lr, wd): return torch.optim.SGD([dict(params=model[0].parameters(), lr=lr / 100), dict(params=model[3].parameters())], lr=lr, momentum=.5)
    learn = learner(opt_func=sgd)
    learn.fit(1, lr=.02)
    assert [(g['lr'], g['momentum'], g['weight_decay']) for g in learn.opt.param_groups] == [(pytest.approx(2e-4), .5, 0), (.02, .5, 0)]
    learn.fit(1, wd=.1)
    assert [g['weight_decay'] for g in learn.opt.param_groups] == [.1, .1]

def test_a_sparse_embedding_trains_with_plain_sgd(): # right: one full-batch step of SGD by hand
    i, y = torch.arange(8), torch.linspace(0, 1, 8)[:, None]
    emb = nn.Embedding(8, 1, sparse=True)
    right = emb.weight.detach() - .1 * 2 / 8 * (emb.weight.detach() - y)
    Learner(Data((i, y)), emb, F.mse_loss, lr=.1, device='cpu', opt_func=lambda m, lr, wd: torch.optim.SGD(m.parameters(), lr)).fit(1)
    torch.testing.assert_close(emb.weight.detach(), right)

# ---- spoiled weights, batches of one row
def test_a_parameter_that_is_no_number_stops_fit_and_save(tmp_path): # right: the loss of the last batch is finite, the step after it is not
    learn = Learner(Data((X, X**2)), net(), F.mse_loss, device='cpu')
    good = learn.save(tmp_path/'a.pt').read_bytes()
    learn.model[3].bias.register_hook(lambda g: g * math.nan)
    with pytest.raises(FloatingPointError, match='1 of 1 values of the parameter 3.bias'): learn.fit(1, checkpoint=tmp_path/'a.pt')
    with pytest.raises(FloatingPointError, match='a.pt is not written'): learn.save(tmp_path/'a.pt')
    assert (tmp_path/'a.pt').read_bytes() == good and len(list(tmp_path.iterdir())) == 1

def test_batch_norm_and_a_batch_of_one_row_name_batch_size(): # right: five rows in batches of two leave one of one row
    learn = Learner(Data((X[:5], X[:5]), batch_size=2), nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1)), F.mse_loss, device='cpu')
    with pytest.raises(ValueError, match='another batch_size than 2'): learn.fit(1)

# ---- files: every byte as it was written, or refused
def files(folder):
    "One file of each kind that the learners write, and how it is read"
    from ddl_lesson8.collab import collab_learner
    from ddl_lesson8.tabular import tabular_learner
    l = learner(p=.1); l.fit_one_cycle(2, until=1.4)
    yield l.save(folder/'plain.pt'), lambda p: load_learner(p, model=net(), device='cpu')
    r = collab_learner(dict(user=[1, 1, 2, 2, 3, 3], item=list('abcabc'), rating=[1., 2, 3, 4, 5, 1]), 3, device='cpu', progress=False)
    r.fit(1); yield r.save(folder/'stars.pt'), lambda p: load_learner(p, device='cpu')
    t = tabular_learner(dict(c=list('abab') * 5, x=[float(k) for k in range(20)], y=[float(k % 3) for k in range(20)]), 'y', ['c'], ['x'], layers=(4,), device='cpu')
    t.fit(1); yield t.save(folder/'table.pt'), lambda p: load_learner(p, device='cpu')
    yield write_values(folder/'values.json', dict(a=[1, 2.5, 'x'])), read_values
    yield write_tensors(folder/'tensors.pt', dict(a=torch.arange(9.))), read_tensors

def damaged(raw, g):
    "A turned bit, or the file cut, anywhere"
    if g.random() < .2: return raw[:g.randrange(len(raw))]
    at = g.randrange(len(raw) * 8)
    return raw[:at // 8] + bytes([raw[at // 8] ^ (1 << at % 8)]) + raw[at // 8 + 1:]

def test_no_damaged_file_is_loaded(tmp_path): # right: SHA-256 over all bytes; DDL_LESSON8_FLIPS=10000 for the long run
    import random
    g, n = random.Random(0), int(os.environ.get('DDL_LESSON8_FLIPS', 300))
    kinds = [(p.read_bytes(), read) for p, read in files(tmp_path)]
    for raw, read in kinds: (tmp_path/'whole').write_bytes(raw); read(tmp_path/'whole')
    for k in range(n):
        raw, read = kinds[k % len(kinds)]
        (tmp_path/'bad').write_bytes(damaged(raw, g))
        with pytest.raises(ValueError): read(tmp_path/'bad')

def test_bytes_behind_a_file_are_refused(tmp_path):
    for p, read in files(tmp_path):
        p.write_bytes(p.read_bytes() + b'x')
        with pytest.raises(ValueError): read(p)

def test_a_link_a_mode_and_a_lock_are_respected(tmp_path):
    import stat
    learn = learner()
    learn.save(tmp_path/'a.pt'); os.chmod(tmp_path/'a.pt', 0o600); os.symlink('a.pt', tmp_path/'l.pt')
    learn.fit(1); learn.save(tmp_path/'l.pt')
    assert os.path.islink(tmp_path/'l.pt') and stat.S_IMODE(os.stat(tmp_path/'a.pt').st_mode) == 0o600
    assert learner().load(tmp_path/'a.pt') == {}
    os.chmod(tmp_path/'a.pt', 0o444); before = (tmp_path/'a.pt').read_bytes()
    with pytest.raises(PermissionError, match='read-only'): learn.save(tmp_path/'a.pt')
    os.mkfifo(tmp_path/'p.pt')
    with pytest.raises(OSError, match='no ordinary file'): learn.save(tmp_path/'p.pt')
    with pytest.raises(OSError, match='no ordinary file'): learn.save('/dev/null')
    assert (tmp_path/'a.pt').read_bytes() == before and sorted(os.listdir(tmp_path)) == ['a.pt', 'l.pt', 'p.pt']

def test_a_full_disk_leaves_the_old_file_and_one_message(tmp_path):
    import multiprocessing
    def child(queue):
        import resource, signal
        learn = learner(); learn.save(tmp_path/'a.pt')
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try: learn.save(tmp_path/'a.pt')
        except OSError as e: queue.put(str(e))
    queue = multiprocessing.get_context('fork').SimpleQueue()
    p = multiprocessing.get_context('fork').Process(target=child, args=(queue,)); p.start(); p.join()
    assert 'a.pt: cannot be written' in queue.get() and os.listdir(tmp_path) == ['a.pt'] and learner().load(tmp_path/'a.pt') == {}

def test_what_a_killed_save_left_is_swept(tmp_path):
    dead = os.fork()
    if not dead: os._exit(0)
    os.waitpid(dead, 0)
    host = [p for p in [None]] and __import__('ddl_lesson8.sheets.package', fromlist=['x'])._host
    left, others, alive = (tmp_path/f'.a.pt.{h}-{pid}-0.part' for h, pid in ((host, dead), ('elsewhere', dead), (host, os.getppid())))
    for p in (left, others, alive): p.write_bytes(b'x')
    learner().save(tmp_path/'a.pt')
    assert not left.exists() and others.exists() and alive.exists()
    os.utime(others, (1e9, 1e9)); learner().save(tmp_path/'a.pt')
    assert not others.exists()

def test_threads_and_processes_save_to_one_path(tmp_path):
    import threading
    errors, learners = [], [learner(k) for k in range(3)]
    def work(l):
        try:
            for _ in range(15): l.save(tmp_path/'a.pt')
        except BaseException as e: errors.append(e)
    kids = []
    for l in learners:
        pid = os.fork()
        if not pid:
            work(l); os._exit(len(errors))
        kids.append(pid)
    threads = [threading.Thread(target=work, args=(l,)) for l in learners]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not errors and not any(os.waitpid(p, 0)[1] for p in kids) and os.listdir(tmp_path) == ['a.pt']
    assert learner().load(tmp_path/'a.pt') == {}

# ---- load without the data
def test_every_learner_loads_without_its_data(tmp_path):
    for path, read in files(tmp_path):
        if path.suffix == '.pt' and path.stem != 'tensors':
            l = read(path)
            assert l.data is None and isinstance(l, Learner)
            with pytest.raises(RuntimeError, match='no data'): l.fit(1)
            again = l.save(tmp_path/'again.pt')
            for a, b in zip(read(again).model.state_dict().values(), l.model.state_dict().values()): assert torch.equal(a, b)

def test_a_loaded_recommender_answers_as_the_saved_one(tmp_path):
    from ddl_lesson8.collab import collab_learner
    from ddl_lesson8.data.ratings import planted_ratings
    r = planted_ratings(n_users=40).ratings
    for kw in (dict(), dict(use_nn=True, layers=[8]), dict(metadata=True)):
        l = collab_learner(r, 4, device='cpu', progress=False, **kw); l.fit_one_cycle(1)
        m = load_learner(l.save(tmp_path/'r.pt'), device='cpu')
        u = r.users[0]
        assert torch.equal(m.predict([u] * 5, r.items[:5]), l.predict([u] * 5, r.items[:5])) and str(m.recommend(u)) == str(l.recommend(u))
        assert torch.equal(m.predict('nobody', r.items[:3], unknown='average'), l.predict('nobody', r.items[:3], unknown='average'))
        if not kw.get('use_nn'): assert torch.allclose(m.predict({r.items[0]: 5, r.items[3]: 1}), l.predict({r.items[0]: 5, r.items[3]: 1}))
        if kw.get('metadata'): assert torch.equal(m.predict(u, {'genre': 'Comedy'}), l.predict(u, {'genre': 'Comedy'}))

class OwnLearner(Learner):
    "A learner of one's own"
    @classmethod
    def again(cls, about, data=None, model=None, loss_func=None, device=None): return cls(None, net(), device=device)

def test_a_learner_of_ones_own_is_loaded_on_request_only(tmp_path):
    path = OwnLearner(Data((X, X)), net(), F.mse_loss, device='cpu').save(tmp_path/'own.pt')
    with pytest.raises(ValueError, match='trust='): load_learner(path)
    assert type(load_learner(path, trust=[__name__], device='cpu')) is OwnLearner
    saved = read_tensors(path); saved['maker'] = 'ddl_lesson8.train.learner:load_learner'
    with pytest.raises(ValueError, match='no learner'): load_learner(write_tensors(path, saved))

def test_the_callers_data_stay_where_they_are():
    data = Data((X, X), (X, X))
    l = Learner(data, net(), F.mse_loss, device='cpu')
    l.data.train = ()
    assert len(data.train) == 2

# ---- interrupts
def bits(l): return weights(l).tolist(), l.recorder.losses, l.recorder.lrs, l.recorder.moms, l.epoch, [e['valid_loss'] for e in l.recorder.epochs], {k: v.tolist() for k, v in l.model.named_buffers()}

def normed(**kw):
    with seeded(0): model = nn.Sequential(nn.Linear(1, 6), nn.BatchNorm1d(6), nn.Dropout(.3), nn.Linear(6, 1))
    return Learner(Data((X, X**2), (X[:9], X[:9]**2), 32), model, F.mse_loss, device='cpu', seed=2, **kw)

@pytest.mark.parametrize('at', range(0, 21, 3))
@pytest.mark.parametrize('where', ['loss', 'data', 'metric', 'before_batch', 'after_batch', 'after_epoch'])
def test_an_accident_anywhere_then_resume_is_exact(tmp_path, where, at):
    whole, l, count = normed(metrics=[rmse]), normed(metrics=[rmse]), [0]
    whole.fit_one_cycle(3, .05)
    def accident(*_):
        count[0] += 1
        if count[0] == at % 3 + 1 if where in ('metric', 'after_epoch') else count[0] == at + 1: raise KeyboardInterrupt
    def wrapped(f): return lambda *a: (accident(), f(*a))[1]
    if where == 'loss': l.loss_func = wrapped(F.mse_loss)
    elif where == 'data': l.data.batch = wrapped(l.data.batch)
    elif where == 'metric': l.metrics = {'rmse': wrapped(rmse)}
    else: l.calls[where] = [accident]
    if where == 'data': l._need_data = lambda: None
    with pytest.raises(KeyboardInterrupt): l.fit_one_cycle(3, .05)
    if at % 2: # through a file
        other = normed(metrics=[rmse]); other.load(l.save(tmp_path/'a.pt')); l = other
    l.loss_func = F.mse_loss
    l.resume()
    assert bits(l) == bits(whole)

def test_an_interrupted_update_says_that_it_cannot_go_on(tmp_path):
    l, step = normed(), torch.optim.AdamW.step
    def broken(*a, **k): raise KeyboardInterrupt
    l.opt.step = broken
    with pytest.raises(KeyboardInterrupt): l.fit(2)
    del l.opt.step
    with pytest.raises(RuntimeError, match='middle of an update'): l.resume()
    with pytest.raises(RuntimeError, match='half-way'): l.save(tmp_path/'a.pt')
    l.fit(1)

def test_ctrl_c_waits_for_the_update():
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler) # a job in the background may be born deaf to it
    l, step = normed(), None
    whole = normed(); whole.fit(2)
    step = l.opt.step
    def pressed(*a, **k):
        os.kill(os.getpid(), signal.SIGINT); l.opt.step = step
        return step(*a, **k)
    l.opt.step = pressed
    with pytest.raises(KeyboardInterrupt): l.fit(2)
    assert l.plan.done == 1 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    l.resume(); assert bits(l) == bits(whole)

def test_trainings_in_threads_equal_each_alone():
    import threading
    def solo(seed): l = learner(seed, p=.3); l.fit(2, .01); return weights(l).tolist()
    want, torch_state = [solo(0), solo(1)], torch.get_rng_state()
    got = [None, None]
    def work(k): got[k] = solo(k)
    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert got == want and torch.equal(torch_state, torch.get_rng_state())

@pytest.mark.parametrize('n', [math.inf, math.nan, True, '3', None, 2**40])
def test_odd_numbers_of_epochs_are_refused_in_words(n):
    with pytest.raises(ValueError, match='whole ones'): learner().fit(n)

@pytest.mark.parametrize('n', [1, 2, 3, 31, 33, 63, 65])
def test_odd_last_batches_train(n):
    l = Learner(Data((X[:n], X[:n]), batch_size=32), net(), F.mse_loss, device='cpu'); l.fit(2)
    assert len(l.recorder.losses) == 2 * math.ceil(n / 32)

# ---- early stopping, the best epoch, clipping, functions of one's own
def test_patience_stops_and_the_best_epoch_is_kept(tmp_path):
    l = learner(); losses = iter([3., 1., 2., 2., .5, 9.])
    l.metrics = {}; real = l.validate
    kept = {}
    l.validate = lambda: dict(loss=next(losses))
    l.calls['after_epoch'] = [lambda s: kept.update({s.epoch: weights(s)})]
    l.fit(6, .05, patience=2, keep_best=True)
    assert l.epoch == 4 and l.plan.stopped and torch.equal(weights(l), kept[2])
    l.resume(); assert l.epoch == 4
    with pytest.raises(ValueError, match='validation set'): Learner(Data((X, X)), net(), F.mse_loss, device='cpu').fit(2, patience=1)

def test_keep_best_survives_a_file(tmp_path):
    a, b = learner(), learner(5)
    a.fit_one_cycle(4, .5, keep_best=True)
    c = learner(); c.fit_one_cycle(4, .5, keep_best=True, until=2.5)
    b.load(c.save(tmp_path/'c.pt')); b.resume()
    assert torch.equal(weights(a), weights(b))

def test_clipping_is_pytorchs():
    l, model = learner(clip=.1), net()
    l.fit(1, .01); opt = adamw(model, .01)
    for rows in l.data.batches(0, 0):
        opt.zero_grad(); F.mse_loss(model(X[rows]), X[rows]**2).backward()
        nn.utils.clip_grad_norm_(model.parameters(), .1); opt.step()
    assert torch.equal(weights(l), nn.utils.parameters_to_vector(model.parameters()))
    with pytest.raises(ValueError, match='positive length'): learner(clip=0)

def test_moments_come_in_order_and_stop():
    said = []
    def note(name): return lambda l: said.append((name, l.epoch, l.plan.done))
    l = learner(batch_size=100, calls={m: note(m) for m in ('before_fit', 'before_batch', 'after_batch', 'after_epoch', 'after_fit')})
    l.fit(1)
    assert said == [('before_fit', 0, 0), ('before_batch', 0, 0), ('after_batch', 0, 1), ('before_batch', 0, 1), ('after_batch', 0, 2), ('after_epoch', 1, 2), ('after_fit', 1, 2)]
    l = learner(batch_size=50, calls=dict(after_batch=lambda s: 'stop' if s.plan.done == 3 else None)); l.fit(5)
    assert l.plan.done == 3
    with pytest.raises(ValueError, match='no moment'): learner(calls=dict(at_noon=print))

def test_go_on_begins_or_continues(tmp_path):
    whole = learner(p=.2); whole.fit_one_cycle(3, .05)
    a = learner(p=.2); a.fit_one_cycle(3, .05, checkpoint=tmp_path/'c.pt', go_on=True, until=2)
    b = learner(9, p=.2); b.fit_one_cycle(3, .05, checkpoint=tmp_path/'c.pt', go_on=True)
    assert torch.equal(weights(whole), weights(b))
    with pytest.raises(ValueError, match='another plan'): learner().fit(3, .05, checkpoint=tmp_path/'c.pt', go_on=True)

def test_the_recorder_shows_the_momentum_that_was_used():
    l = learner(opt_func=lambda m, lr, wd: torch.optim.SGD(m.parameters(), lr, momentum=.7)); l.fit_one_cycle(1, .01)
    assert set(l.recorder.moms) == {.7}
    l = learner(opt_func=lambda m, lr, wd: adamw(m, lr, wd, mom=.8)); l.fit_one_cycle(1, .01); l.fit(1, .01)
    assert l.recorder.moms[0] == .95 and l.recorder.moms[-1] == .8

@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.int64, torch.bool])
@pytest.mark.parametrize('shape', [(6,), (6, 3), (1, 1), (1,), (6, 1, 1)])
def test_nothing_broadcasts_between_prediction_and_target(shape, dtype):
    with pytest.raises(ValueError, match='every prediction'): check_shapes(torch.zeros(6, 1), torch.zeros(shape, dtype=dtype), F.mse_loss)
    with pytest.raises(ValueError, match='every prediction'): check_shapes(torch.zeros(6, 6), torch.zeros(6, dtype=dtype), F.mse_loss)
    check_shapes(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64), F.cross_entropy)


# ---- threads

@pytest.fixture
def two_threads():
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)

def net_of(width, rows, **calls):
    torch.manual_seed(0)
    data = Data((torch.randn(rows * 6, width), torch.randn(rows * 6, 1)), None, rows)
    return Learner(data, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)), device='cpu', progress=False, calls=calls)

def test_a_small_batch_is_computed_by_one_thread(two_threads):
    seen = []
    learn = net_of(4, 8, after_batch=lambda l: seen.append(torch.get_num_threads()))
    learn.fit(2)
    assert seen == [1] * 12 and learn.threads.many is False and torch.get_num_threads() == 2
    learn.lr_find(steps=20)
    assert torch.get_num_threads() == 2

def test_a_large_batch_is_shared_and_the_choice_is_kept(two_threads, tmp_path):
    seen = []
    learn = net_of(1000, 600, after_batch=lambda l: seen.append(torch.get_num_threads()))
    learn.fit(1)
    assert seen == [1, 1, 2, 2, 2, 2] and learn.threads.many is True
    learn.save(tmp_path/'l')
    other = net_of(1000, 600)
    other.load(tmp_path/'l')
    assert other.threads.many is True

def test_threads_are_put_back_after_an_error(two_threads):
    def stumble(learn): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): net_of(4, 8, after_batch=stumble).fit(1)
    assert torch.get_num_threads() == 2


# ---- lazy updates

def rating_net(opt_func, sparse=None, **kwargs):
    g = torch.Generator().manual_seed(0)
    data = Data((torch.randint(50, (64,), generator=g), torch.rand(64, generator=g)), batch_size=16)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Embedding(50, 4), nn.Linear(4, 1), nn.Flatten(0))
    learn = Learner(data, model, device='cpu', progress=False, opt_func=opt_func, **kwargs)
    if sparse is not None: model[0].sparse = sparse
    return learn

def test_lazy_updates_are_those_of_dense_adagrad():
    lazy, dense = (rating_net(lazy_adagrad, sparse, wd=0., lr=.1) for sparse in (True, False))
    plain = rating_net(lambda m, lr, wd: torch.optim.Adagrad(m.parameters(), lr), wd=0., lr=.1)
    for learn in (lazy, dense, plain): learn.fit_one_cycle(3)
    assert lazy.model[0].weight.grad.is_sparse and not dense.model[0].weight.grad.is_sparse
    for a, b, c in zip(*(l.model.parameters() for l in (lazy, dense, plain))):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(a, c, atol=1e-6, rtol=1e-5)

def test_lazy_training_is_saved_and_goes_on(tmp_path):
    whole, half = rating_net(lazy_adagrad, wd=.1), rating_net(lazy_adagrad, wd=.1)
    whole.fit(4)
    half.fit(4, until=2)
    half.save(tmp_path/'l')
    again = rating_net(lazy_adagrad, wd=.1)
    again.load(tmp_path/'l')
    again.resume()
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), again.model.parameters()))
    assert [g['weight_decay'] for g in whole.opt.param_groups] == [.1]

def test_a_metric_does_not_stand_for_another_number(): # one named 'loss' was what patience and keep_best went by
    data = Data((torch.ones(8, 1), torch.ones(8, 1)), (torch.ones(8, 1), torch.ones(8, 1)))
    make = lambda metrics: Learner(data, nn.Linear(1, 1), F.mse_loss, metrics=metrics, progress=False)
    for metrics in (dict(loss=rmse), dict(seconds=rmse), [rmse, rmse], [lambda p, t: p.mean(), lambda p, t: t.mean()]):
        with pytest.raises(ValueError, match='two numbers of a report would be called'): make(metrics)
    assert list(make(dict(a=rmse, b=rmse)).validate()) == ['loss', 'a', 'b']

def test_columns_of_a_data_frame_are_read_by_place():
    pd, pl = pytest.importorskip('pandas'), pytest.importorskip('polars')
    square = pd.DataFrame(torch.arange(9.).view(3, 3).numpy(), index=[2, 1, 0]) # by label it came turned over
    target = pd.Series([10., 20., 30.], index=[2, 1, 0])
    for x, y in ((square, target), (pl.DataFrame(square.rename(columns=str)), pl.Series([10., 20., 30.]))):
        data = Data((x, y))
        assert torch.equal(data.train[0].float(), torch.arange(9.).view(3, 3)) and data.train[1].tolist() == [10, 20, 30]

# ---- going on with what is no longer the same
@pytest.mark.parametrize('then', [dict(wd=.5), dict(patience=1), dict(keep_best=True)])
def test_going_on_with_other_settings_is_refused(tmp_path, then): # those of the file were taken, in silence
    learner().fit(3, .05, checkpoint=tmp_path/'c.pt', until=1)
    with pytest.raises(ValueError, match='another plan'): learner().fit(3, .05, checkpoint=tmp_path/'c.pt', go_on=True, **then)

def test_going_on_with_other_rows_is_refused(tmp_path): # another split would judge by rows that were trained on
    data = [Data((x, x**2), (x[:9], x[:9]**2), 32) for x in (X, X.flip(0))]
    def make(k): return Learner(data[k], net(), F.mse_loss, device='cpu')
    l = make(0); l.fit(3, .05, checkpoint=tmp_path/'c.pt', until=1)
    for again in (lambda: make(1).fit(3, .05, checkpoint=tmp_path/'c.pt', go_on=True), lambda: (setattr(l, 'data', data[1]), l.resume())):
        with pytest.raises(RuntimeError, match='other training rows'): again()
    l.data = data[0]; l.resume()
    whole = make(0); whole.fit(3, .05)
    assert torch.equal(weights(l), weights(whole))

def test_rows_are_told_apart_whatever_they_hold(): # sums did not see order, and NaN is not NaN
    rows = (X, torch.full_like(X, math.nan)), (X.flip(0), torch.full_like(X, math.nan)), (X.bool(), X), (X[:, :0], X.bfloat16())
    marks = [Data(r).mark() for r in rows]
    assert len({*marks}) == 4 and marks == [Data(r).mark() for r in rows]

def test_a_call_that_stops_also_stops_who_goes_on(tmp_path): # the file was written before the call
    for k in range(2):
        l = learner(calls=dict(after_epoch=lambda s: 'stop' if s.epoch == 1 else None))
        l.fit(3, .05, checkpoint=tmp_path/'c.pt', go_on=True)
        assert l.epoch == 1 and l.plan.stopped

def test_an_optimiser_that_wants_a_closure_is_refused_at_once(): # it broke in the middle of the first update
    with pytest.raises(TypeError, match='LBFGS measures the loss several times'): learner(opt_func=lambda m, lr, wd: torch.optim.LBFGS(m.parameters(), lr))

@pytest.mark.parametrize('kind', ['Adafactor', 'ASGD', 'Rprop', 'NAdam', 'RMSprop', 'Adadelta'])
def test_optimisers_of_pytorch_go_on_exactly(tmp_path, kind): # right: the weights without a stop; Adafactor was saved and never loaded
    def make():
        with seeded(0): model = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 4), nn.Linear(4, 1))
        return Learner(Data((X, X**2), batch_size=32), model, F.mse_loss, device='cpu', opt_func=lambda m, lr, wd: getattr(torch.optim, kind)(m.parameters(), lr))
    a, b = make(), make()
    a.fit_one_cycle(3, .01, until=1.5); b.load(a.save(tmp_path/'a.pt'))
    for l in (a, b): l.resume()
    whole = make(); whole.fit_one_cycle(3, .01)
    assert torch.equal(weights(a), weights(b)) and torch.equal(weights(a), weights(whole))
