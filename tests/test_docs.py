"Every public name says in one line what it does, and of each parameter and result what it is"
import inspect, io, tokenize
from functools import cache
import pytest
import ddl_lesson8.all as book
from ddl_lesson8.collab import CollabLearner
from ddl_lesson8.tabular import TabularLearner

OURS = {n: getattr(book, n) for n in book.__all__}
OURS = {n: o for n, o in OURS.items() if (inspect.isfunction(o) or inspect.isclass(o)) and o.__module__.startswith('ddl_lesson8')}
PLAIN = ('Lookup.forward', 'PlainModule.parameters') # of one line, in a class of the lesson that is read aloud


@cache
def comments(file): # line -> comment
    with open(file, encoding='utf-8') as f: return {t.start[0]: t.string for t in tokenize.generate_tokens(io.StringIO(f.read()).readline) if t.type == tokenize.COMMENT}


def lacks(f, name): # what a reader of the signature is not told
    import ast, textwrap
    f = inspect.unwrap(f)
    lines, first = inspect.getsourcelines(f)
    node, notes = ast.parse(textwrap.dedent(''.join(lines))).body[0], comments(inspect.getsourcefile(f))
    doc, init = ast.get_docstring(node), name.endswith('__init__')
    if name in PLAIN: return []
    found = [] if init or doc and '\n' not in doc else [f'{name} has no docstring of one line']
    a = node.args
    for arg in [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]:
        at = arg.lineno + first - 1
        above = lines[arg.lineno - 2].strip().startswith('#') # a long comment stands above
        if arg.arg not in ('self', 'cls') and at not in notes and not above: found.append(f'{name}: what is {arg.arg}?')
    told = any(k + first - 1 in notes for k in range(max([node.lineno, *(x.lineno + 1 for x in [*a.args, *a.kwonlyargs] if x.lineno > node.lineno)]), node.body[0].lineno))
    gives = any(isinstance(n, (ast.Return, ast.Yield)) and n.value for n in ast.walk(node))
    if gives and not init and not node.returns and not told: found.append(f'{name}: what does it return?')
    return found


def methods(kind): # public ones of ours, those of the private classes below included
    for base in kind.__mro__:
        if not base.__module__.startswith('ddl_lesson8'): continue
        for name, f in vars(base).items():
            f = f.fget if isinstance(f, property) else getattr(f, '__func__', f)
            # a dataclass writes its own `__init__`
            if inspect.isfunction(f) and (name == '__init__' or not name.startswith('_')) and f.__module__.startswith('ddl_lesson8') and not f.__code__.co_filename.startswith('<'):
                yield f'{kind.__name__}.{name}', f


@pytest.mark.parametrize('name', OURS)
def test_a_public_name_says_what_it_takes_and_gives(name):
    o = OURS[name]
    if inspect.isfunction(o): assert not lacks(o, name)
    else:
        assert o.__doc__ and '\n' not in str(o.__doc__), f'{name} has no docstring of one line'
        assert not [x for n, f in methods(o) for x in lacks(f, n)]


def test_what_lacks_words_would_be_noticed():
    def silent(a, b:int=2): return a
    def told(
        a # a number
    ): # the same
        "As it is"
        return a
    assert len(lacks(silent, 'silent')) == 4 and not lacks(told, 'told')


ANY_NAME = {'agreement', 'extremes', 'Check', 'Block'} # the names are the caller's own, or places on a sheet


def hands_on(f): # takes settings that it hands on to another function
    f = inspect.unwrap(f.__init__ if isinstance(f, type) else f)
    return inspect.isfunction(f) and f.__module__.startswith('ddl_lesson8') and f.__code__.co_flags & inspect.CO_VARKEYWORDS


HANDING = {n: f for n, f in OURS.items() if hands_on(f) and n not in ANY_NAME}
HANDING |= {k.__qualname__: k for k in (CollabLearner, TabularLearner, book.Learner)} | {'Learner.fit_one_cycle': book.Learner.fit_one_cycle}


def test_those_who_hand_settings_on_are_found():
    assert {'collab_learner', 'tabular_learner', 'RatingLearner', 'write_rossmann', 'conv_sources', 'matrix_counts'} <= HANDING.keys()


@pytest.mark.parametrize('name', HANDING)
def test_a_misspelt_setting_is_named_in_a_sentence(name):
    f = HANDING[name]
    settings = inspect.signature(f).parameters.values()
    needed = [None for p in settings if p.default is p.empty and p.name != 'self' and p.kind == p.POSITIONAL_OR_KEYWORD]
    first = [None] * (name == 'Learner.fit_one_cycle')
    with pytest.raises(TypeError, match=f"^{name} has no setting 'colour': (did you mean|it knows) "): f(*first, *needed, colour=1)
    known = [p.name for p in settings if p.kind != p.VAR_KEYWORD][-1]
    with pytest.raises(TypeError, match=f"^{name} has no setting '{known}s': did you mean .*{known}"): f(*first, *needed, **{known + 's': 1})


def test_a_learner_of_your_own_is_named():
    class Mine(book.Learner):
        def __init__(self, data, model, extra=1, **kwargs): super().__init__(data, model, **kwargs)
    with pytest.raises(TypeError, match=r"Mine has no setting 'clips': did you mean clip"): Mine(None, None, clips=1)
    with pytest.raises(TypeError, match=r"Mine has no setting 'ex': .*extra"): Mine(None, None, ex=1)
    with pytest.raises(TypeError, match="^Learner: missing a required argument: 'model'"): book.Learner(None)
