"Every public name says in one line what it does, and of each parameter and result what it is"
import inspect, io, tokenize
from functools import cache
import pytest
import ddl_lesson8.all as book

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
