"""What `help` shows: a docstring here is one line, and the parameters are described by comments beside them. This joins both.

Nothing is read before somebody asks. The site has its own table of parameters, so there a docstring stays one line."""
import ast, inspect, io, sys, textwrap, tokenize
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from types import FunctionType


def _maker(f):
    "The class of ours whose `__init__` makes a class, which may be its base"
    ours = f.__module__.partition('.')[0]
    return next((c for c in f.__mro__ if '__init__' in vars(c) and c.__module__.partition('.')[0] == ours), None)


def _said(f)->tuple:
    "({parameter: the comment beside it}, what is returned) of a function or class; empty where no source is at hand"
    if isinstance(f, type): f = _maker(f) or f
    try: source = textwrap.dedent(inspect.getsource(f))
    except (OSError, TypeError): return {}, ''
    node = ast.parse(source).body[0]
    comments = {t.start[0]: t.string.lstrip('# ') for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT}
    if isinstance(node, ast.ClassDef): own = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == '__init__'), None)
    else: own = node if isinstance(node, ast.FunctionDef) else None
    if own:
        returns = own.returns.end_lineno if own.returns else 0
        args = [*own.args.posonlyargs, *own.args.args, own.args.vararg, *own.args.kwonlyargs, own.args.kwarg]
        said = [(a.arg, a.end_lineno) for a in args if a and a.end_lineno != returns]
    else: # the fields of a dataclass or a named tuple
        returns, said = 0, [(n.target.id, n.end_lineno) for n in getattr(node, 'body', ()) if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    return {name: comments[line] for name, line in said if line in comments}, comments.get(returns, '')


def described(f)->str:
    "What a function takes and gives, from the comments beside it, and beside that of a function to which it hands its keywords on"
    said, returns = _said(f)
    if to := getattr(f, '__delwrap__', None): # by `delegates`
        said.pop('kwargs', None)
        said |= {name: what for name, what in _said(to)[0].items() if name in inspect.signature(f).parameters and name not in said}
    lines = ['', 'Parameters', *(f'    {name}: {what}' for name, what in said.items())] if said else []
    return '\n'.join(lines + (['', f'Returns {returns}'] if returns else []))


class Docstring(str):
    "One line, to which `inspect.getdoc`, and so `help`, adds the parameters"
    def __new__(cls, text:str, f):
        new = super().__new__(cls, text)
        new.f = f
        return new

    def __reduce__(self): return str, (str(self),)

    def expandtabs(self, tabsize=8):  # the first thing that `inspect.cleandoc` does
        more = '' if 'nbdev.showdoc' in sys.modules else described(self.f)
        return (str.__str__(self) + ('\n' + more if more else '')).expandtabs(tabsize)


def describe(scope:dict, module:str):
    "Let the docstrings of a module's functions, classes and their methods grow when they are asked for"
    for f in list(scope.values()):
        if isinstance(f, type) and f.__module__ == module: describe(vars(f), module)
        if not isinstance(f, (FunctionType, type)) or f.__module__ != module or type(f.__doc__) is not str: continue
        if isinstance(f, FunctionType) or _maker(f): f.__doc__ = Docstring(f.__doc__, f)


class Loader(SourceFileLoader):
    "Runs a module of ours, then describes it"
    def exec_module(self, module):
        super().exec_module(module)
        describe(vars(module), module.__name__)


class Finder(MetaPathFinder):
    "Finds the modules of ours that are plain files"
    def find_spec(self, name, path=None, target=None):
        if not name.startswith(f'{__package__}.'): return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and type(spec.loader) is SourceFileLoader: spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec
