"create_params and the module in plain Python, against torch's own"
import copy
import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from answers import answer_tests, sheet_judge
from ddl_lesson8.book import checks_parameters as checks
from ddl_lesson8.book.sheet_parameters import parameters_sheet
from ddl_lesson8.parameters import Module, ModuleList, PlainModule, create_params
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.check import crosscheck

settings.register_profile('book', derandomize=True, deadline=None, max_examples=60)
settings.load_profile('book')

# ---- create_params

@given(st.lists(st.integers(0, 5), min_size=0, max_size=4), st.sampled_from([list, tuple, torch.Size]))
def test_size_as_one_sequence(size, kind): assert create_params(kind(size)).shape == torch.Size(size)

@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 9), st.sampled_from([0., .01, 3.]))
def test_same_as_filling_zeros_in_place(size, seed, std):
    expected = torch.zeros(size).normal_(0, std, generator=torch.Generator().manual_seed(seed))
    ours = create_params(*size, std=std, generator=torch.Generator().manual_seed(seed))
    assert type(ours) is nn.Parameter and ours.requires_grad and ours.is_leaf and torch.equal(ours, expected)

@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype(dtype): assert create_params(3, dtype=dtype).dtype == dtype

def test_device():
    assert create_params(3, device='cpu').device.type == 'cpu'
    if torch.cuda.is_available():
        assert create_params(3, device='cuda').device.type == 'cuda'
        assert create_params(3, generator=torch.Generator('cuda')).device.type == 'cuda'

def test_generator_leaves_global_state_alone():
    state = torch.get_rng_state()
    create_params(10, generator=torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.get_rng_state())

@pytest.mark.parametrize('args, kwargs, words', [
    ((), {}, 'give a size'), ((-1,), {}, 'negative'), ((2, -1), {}, 'negative'), ((1.5,), {}, 'whole numbers'), (('a',), {}, 'whole numbers'),
    (([2], 3), {}, 'whole numbers'), ((2,), dict(std=-1), 'std'), ((2,), dict(std=float('nan')), 'std'), ((2,), dict(dtype=torch.int64), 'cannot be trained')])
def test_errors(args, kwargs, words):
    with pytest.raises(ValueError, match=words): create_params(*args, **kwargs)

# ---- random trees of modules: the same decisions on both bases

NAMES = st.sampled_from('abcd')
VALUES = st.deferred(lambda: st.one_of(
    st.tuples(st.just('param'), st.integers(0, 3)), st.tuples(st.just('frozen'), st.integers(0, 3)), st.tuples(st.just('tensor'), st.integers(0, 3)),
    st.tuples(st.just('none'), st.none()), st.tuples(st.just('number'), st.integers()), st.tuples(st.just('shared'), st.integers(0, 9)),
    st.tuples(st.just('module'), STEPS), st.tuples(st.just('list'), st.lists(STEPS, max_size=3)), st.tuples(st.just('layer'), st.integers(1, 3))))
STEPS = st.deferred(lambda: st.lists(st.one_of(
    st.tuples(st.just('set'), NAMES, VALUES), st.tuples(st.just('buffer'), NAMES, st.booleans()), st.tuples(st.just('delete'), NAMES, st.none())), max_size=5))

def build(Base, List, steps, log, pool):
    "A module made by `steps`; errors go to `log` by their type, parts that may be shared to `pool`"
    m = Base()
    def value(kind, x):
        if kind == 'param': return nn.Parameter(torch.arange(float(x)))
        if kind == 'frozen': return nn.Parameter(torch.arange(float(x)), requires_grad=False)
        if kind == 'tensor': return torch.full((x,), 7.)
        if kind == 'module': return build(Base, List, x, log, pool)
        if kind == 'list': return List([build(Base, List, s, log, pool) for s in x])
        if kind == 'layer': return nn.Linear(x, 1)
        if kind == 'shared': return pool[x % len(pool)] if pool else None
        return x
    for what, name, detail in steps:
        try:
            if what == 'delete': delattr(m, name)
            elif what == 'buffer': m.register_buffer(name, torch.tensor([1., 2.]), persistent=detail)
            else:
                v = value(*detail)
                setattr(m, name, v)
                if isinstance(v, (nn.Parameter, Module, nn.Module)): pool.append(v)
        except (TypeError, KeyError, AttributeError) as e: log.append(type(e).__name__)
    return m

def both(steps):
    made = []
    for Base, List in ((Module, ModuleList), (nn.Module, nn.ModuleList)):
        torch.manual_seed(0)
        log = []
        made.append((build(Base, List, steps, log, []), log))
    (ours, our_log), (theirs, their_log) = made
    assert our_log == their_log
    return ours, theirs

def same_tensors(a, b):
    assert list(a) == list(b)
    assert all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a.values(), b.values()))

def same(ours, theirs):
    same_tensors(dict(ours.named_parameters()), dict(theirs.named_parameters()))
    same_tensors(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    same_tensors(ours.state_dict(), theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in theirs.parameters()]
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))

@given(STEPS)
def test_trees_agree(steps): same(*both(steps))

@given(STEPS)
def test_to_keeps_parameters_and_converts(steps):
    ours, theirs = both(steps)
    for m in (ours, theirs):
        for p in m.parameters():
            if p.requires_grad: p.grad = torch.ones_like(p)
    held = list(ours.parameters())
    assert ours.to(torch.float64) is ours and ours.to('cpu', dtype=torch.float64) is ours
    same(ours, theirs.to(torch.float64))
    assert all(a is b for a, b in zip(held, ours.parameters()))
    assert [None if p.grad is None else p.grad.dtype for p in ours.parameters()] == [None if p.grad is None else p.grad.dtype for p in theirs.parameters()]

@given(STEPS, st.booleans())
def test_train_eval_zero_grad(steps, to_none):
    ours, theirs = both(steps)
    same(ours.eval(), theirs.eval())
    same(ours.train(), theirs.train())
    for m in (ours, theirs):
        for p in m.parameters():
            if p.requires_grad: p.grad = torch.ones_like(p)
        m.zero_grad(set_to_none=to_none)
    assert [None if p.grad is None else p.grad.tolist() for p in ours.parameters()] == [None if p.grad is None else p.grad.tolist() for p in theirs.parameters()]

@given(STEPS, st.sampled_from(['all', 'drop', 'add', 'shape']), st.booleans())
def test_states_travel(steps, damage, strict):
    ours, theirs = both(steps)
    state = {k: v + 1 for k, v in theirs.state_dict().items()}
    if damage == 'drop' and state: state.pop(sorted(state)[0])
    if damage == 'add': state['nobody.knows'] = torch.ones(1)
    if damage == 'shape' and state: state[sorted(state)[-1]] = torch.ones(9, 9)
    outcome = []
    for m in (theirs, ours):
        try: outcome.append(tuple(map(list, m.load_state_dict(state, strict=strict))))
        except RuntimeError: outcome.append('refused')
    assert outcome[0] == outcome[1]
    if outcome[0] != 'refused': same(ours, theirs)

# ---- details

def test_refused_load_changes_nothing():
    m = Module()
    m.a, m.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    with pytest.raises(RuntimeError, match=r'b is \(2,\), should be \(3,\)'): m.load_state_dict(dict(a=torch.ones(2), b=torch.ones(2)))
    assert torch.equal(m.a, torch.zeros(2))
    assert m.load_state_dict(dict(a=torch.ones(2)), strict=False) == (['b'], [])

def test_setting_before_init_is_an_error():
    class Forgot(Module):
        def __init__(self): self.a = nn.Parameter(torch.ones(1))
    with pytest.raises(AttributeError, match='super'): Forgot()

def test_call_needs_forward():
    with pytest.raises(NotImplementedError, match='forward'): Module()(1)

def test_to_refuses_whole_numbers():
    with pytest.raises(TypeError, match='floating'): Module().to(torch.int64)

def test_buffer_names():
    m = Module()
    for name in ('', 'a.b', 'forward'):
        with pytest.raises(KeyError): m.register_buffer(name, torch.ones(1))

def test_list_behaves_like_a_list():
    for Base, List in ((Module, ModuleList), (nn.Module, nn.ModuleList)):
        parts = [Base() for _ in range(4)]
        many = List(parts[:2]).append(parts[2]).extend(parts[3:])
        assert len(many) == 4 and list(many) == parts and many[-1] is parts[3] and list(many[1:3]) == parts[1:3]
        many[-1] = parts[0]
        assert many[3] is parts[0] and list(many._modules) == ['0', '1', '2', '3']

def test_list_index_error():
    with pytest.raises(IndexError): ModuleList([Module()])[1]

def test_deepcopy_and_training_step():
    class Fit(Module):
        def __init__(self):
            super().__init__()
            self.w = create_params(2)
            self.inner = nn.Linear(2, 1)
        def forward(self, x): return self.inner(x * self.w)
    m = Fit()
    twin = copy.deepcopy(m)
    optimiser = torch.optim.SGD(m.parameters(), lr=1.)
    m(torch.ones(4, 2)).sum().backward()
    optimiser.step()
    assert not torch.equal(m.w, twin.w) and not torch.equal(m.inner.bias, twin.inner.bias)
    assert 'inner' in repr(m)

@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_to_cuda():
    m = Module()
    m.a = create_params(3)
    assert m.to('cuda').a.device.type == 'cuda'

# ---- the sheet

def test_sheet_agrees(tmp_path):
    found = parameters_sheet(book := Book())
    assert crosscheck(book.save(tmp_path/'parameters.xlsx'), found).raise_if_different()

# ---- the exercises: right answers pass, typical wrong ones get a hint

def right_trained(m): return sum(p.numel() for p in m.parameters() if p.requires_grad)
def right_freeze(m): return m.requires_grad_(False)
def right_truncated(*size, generator=None): return nn.Parameter(torch.randn(size, generator=generator).fmod(2) * .01)
def right_changed(a, b): return [k for k in a if not torch.equal(a[k], b[k])]

def frozen_top_only(m):
    for p in m._parameters.values(): p.requires_grad = False
    for c in m.children():
        for p in c._parameters.values(): p.requires_grad = False
    return m
def frozen_in_the_dark(m):
    right_freeze(m)

def right_names(m): return [*m._parameters, *(f'{k}.{n}' for k, c in m._modules.items() for n in right_names(c))]
def right_normal(u, v, std): return std * (-2 * u.log()).sqrt() * (2 * torch.pi * v).cos()

RIGHT = [(right_names, 'check_names'), (lambda m: list(m.state_dict()), 'check_names'), (right_normal, 'check_normal'),
         (right_trained, 'check_trained_numbers'), (right_freeze, 'check_freeze'), (right_truncated, 'check_truncated_params'), (right_changed, 'check_changed')]
WRONG = [
    (lambda m: sum(p.numel() for c in set(m.modules()) for p in c._parameters.values() if p is not None and p.requires_grad), 'check_trained_numbers', 'share a weight'),
    (lambda m: list(m._parameters), 'check_names', 'modules hold modules'), (lambda m: [*m._parameters, *(n for c in m._modules.values() for n in right_names(c))], 'check_names', 'and a dot'),
    (lambda m: [*m._parameters, *(f'{k}.{n}' for k, c in m._modules.items() for n in c._parameters)], 'check_names', 'one level down'),
    (lambda m: right_names(m)[::-1], 'check_names', "'weight' and 'bias'"), (lambda m: [*(f'{k}.{n}' for k, c in m._modules.items() for n in right_names(c)), *m._parameters], 'check_names', 'come first'),
    (lambda u, v, s: (-2 * u.log()).sqrt() * (2 * torch.pi * v).cos(), 'check_normal', 'deviation is missing'), (lambda u, v, s: s * (2 * u.log()).sqrt() * (2 * torch.pi * v).cos(), 'check_normal', 'turns its sign'),
    (lambda u, v, s: s * (-2 * u.log()).sqrt() * (2 * torch.pi * v).sin(), 'check_normal', 'sine'), (lambda u, v, s: s * (-2 * u.log()).sqrt() * v.cos(), 'check_normal', 'the sheet has'),
    (lambda u, v, s: s * u, 'check_normal', 'for u = 1'), (lambda u, v, s: 0., 'check_normal', 'each pair'),
    (lambda m: sum(p.numel() for p in m.parameters()), 'check_trained_numbers', 'frozen'),
    (lambda m: sum(map(right_trained, m)) if isinstance(m, nn.Sequential) else right_trained(m), 'check_trained_numbers', 'twice'),
    (lambda m: sum(t.numel() for t in m.state_dict().values()), 'check_trained_numbers', 'frozen'),
    (lambda m: len(list(m.parameters())), 'check_trained_numbers', 'six weights'),
    (frozen_top_only, 'check_freeze', 'those inside'),
    (frozen_in_the_dark, 'check_freeze', 'return the module'),
    (lambda m: copy.deepcopy(m).requires_grad_(False), 'check_freeze', 'return the module'),
    (lambda m: m.eval(), 'check_freeze', 'still asks'),
    (lambda *s, generator=None: torch.randn(s, generator=generator).fmod(2) * .01, 'check_truncated_params', 'plain tensor'),
    (lambda *s, generator=None: nn.Parameter(torch.randn(s, generator=generator) % 2 * .01), 'check_truncated_params', 'sign'),
    (lambda *s, generator=None: nn.Parameter(torch.randn(s, generator=generator).clamp(-2, 2) * .01), 'check_truncated_params', 'cutting off'),
    (lambda *s, generator=None: create_params(*s, generator=generator), 'check_truncated_params', 'larger than 0.02'),
    (lambda *s, generator=None: right_truncated(*s), 'check_truncated_params', 'equal generators'),
    (lambda a, b: [k for k in a if a[k] is not b[k]], 'check_changed', 'no change'),
    (lambda a, b: list(a), 'check_changed', 'no change'),
    (lambda a, b: [k for k in a if (a[k] != b[k]).all()], 'check_changed', 'one number of four'),
    (lambda a, b: sorted(right_changed(a, b), reverse=True), 'check_changed', 'order')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks, RIGHT, WRONG)

def test_the_exercise_on_the_sheet(tmp_path):
    judge = sheet_judge(parameters_sheet, 'sheet_ten_times', tmp_path)
    assert judge({'parameters!A3': 0.1})
    cases = [({'parameters!A3': 0.01}, 'nothing has changed'), ({'parameters!A3': 10}, 'a thousand times'), ({'parameters!A3': 0.02}, '2 times'), ({'parameters!A6': 0.5}, 'A6 has changed')]
    for changes, hint in cases: assert hint in judge(changes).hint, (hint, judge(changes))

def test_the_plain_module_finds_what_pytorch_finds():
    class Layer(PlainModule):
        def __init__(self):
            super().__init__()
            self.w, self.note = create_params(2), torch.ones(3)
        def forward(self, x): return x * self.w
    class Two(PlainModule):
        def __init__(self):
            super().__init__()
            self.a, self.scale, self.b = Layer(), create_params(1), Layer()
        def forward(self, x): return self.b(self.a(x)) * self.scale
    two = Two()
    assert [id(p) for p in two.parameters()] == [id(p) for p in (two.scale, two.a.w, two.b.w)] and two(torch.ones(2)).shape == (2,)

def test_the_defaults_are_those_the_lecture_names():
    drawn = create_params(200_000, generator=torch.Generator().manual_seed(0))
    assert abs(drawn.std() - 0.01) < 1e-4 and abs(drawn.mean()) < 1e-4 and drawn.requires_grad

def test_a_state_with_other_names_is_refused_unless_told_otherwise():
    m = Module()
    m.a = create_params(2)
    for state in ({}, {'a': torch.ones(2), 'b': torch.ones(2)}):
        with pytest.raises(RuntimeError, match='missing: a|unexpected: b'): m.load_state_dict(state)
