"The learner: batches, schedules, exact resumption, errors, and agreement with PyTorch"
import builtins, io, math, os, sys
from itertools import pairwise
import pytest, torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn
from ddl_lesson8.train.learner import (Data, FORMAT, LRFind, Learner, Plan, Recorder, accuracy, adamw, cosine, decay_groups,
                                 default_device, longest_fall, one_cycle, progress_bar, rmse, seeded, smooth, someone_watches, suggest)

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
    for name in ('cut.pt', 'text.pt', 'empty.pt'):
        with pytest.raises(ValueError, match='not a saved learner'): learn.load(tmp_path / name)
    with pytest.raises(ValueError, match='not written by Learner.save'): learn.load(tmp_path / 'list.pt')
    with pytest.raises(FileNotFoundError, match='no saved learner'): learn.load(tmp_path / 'none.pt')
    with pytest.raises(FileNotFoundError, match='no folder'): learn.save(tmp_path / 'no' / 'x.pt')

@pytest.mark.parametrize('missing', ['opt', 'opt_name', 'random', 'plan', 'recorder', 'epoch'])
def test_half_a_file_changes_nothing(tmp_path, missing):
    learn, other = learner(), learner(1)
    learn.fit_one_cycle(2, until=1)
    saved = torch.load(learn.save(tmp_path / 'a.pt'), weights_only=True)
    del saved['state'][missing]
    torch.save(saved, tmp_path / 'half.pt')
    other.fit(1)
    before = other._state()
    with pytest.raises(ValueError, match='belongs to another'): other.load(tmp_path / 'half.pt')
    after = other._state()
    assert all(torch.equal(before['model'][k], after['model'][k]) for k in before['model'])
    assert all(torch.equal(a[k], b[k]) for a, b in zip(before['opt']['state'].values(), after['opt']['state'].values()) for k in a)
    assert before['recorder'] == after['recorder'] and before['plan'] == after['plan'] and before['epoch'] == after['epoch']

def test_another_optimiser_is_refused(tmp_path):
    path = learner().save(tmp_path / 'a.pt')
    plain = learner(opt_func=lambda model, lr, wd: torch.optim.SGD(model.parameters(), lr))
    with pytest.raises(ValueError, match='trained by AdamW, not SGD'): plain.load(path)

class Trap:
    def __reduce__(self): return builtins.exec, ("raise SystemExit('ran')",)

def test_a_file_cannot_run_code(tmp_path):
    torch.save(dict(format=FORMAT, state=Trap()), tmp_path / 'trap.pt')
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

def test_plan_counts(): assert Plan('fit', 3, .1, 7).total == 21 and cosine(1, 3, .5) == pytest.approx(2)

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

def test_a_flipped_bit_in_a_file_is_refused_or_changes_nothing(tmp_path): # right: CRC-32 finds every single flipped bit (Peterson and Brown 1961)
    learn = learner()
    learn.fit(1)
    data, other = learn.save(tmp_path/'a.pt').read_bytes(), learner(1)
    refused = 0
    for at in range(5, len(data), len(data) // 150):
        (tmp_path/'b.pt').write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1:])
        try: other.load(tmp_path/'b.pt')
        except ValueError as e: refused += 'is damaged' in str(e)
        else: assert torch.equal(weights(other), weights(learn)) and other.recorder == learn.recorder # it was in the padding
    assert refused > 50
    weight = learn.model[0].weight.detach().numpy().tobytes()
    (tmp_path/'b.pt').write_bytes(data.replace(weight, bytes([weight[0] ^ 1]) + weight[1:], 1))
    with pytest.raises(ValueError, match=r'b.pt.*checksum|b.pt.*CRC'): other.load(tmp_path/'b.pt')
