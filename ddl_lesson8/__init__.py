"""One deep learning lecture, every number visible and checkable.

Chapters are modules here (`parameters`, `embeddings`, `collab`, `interpret`, `tabular`, `entities`, `conv`, `cnn`,
`conv_matmul`, `dropout`, `activations`); what they stand on is in four packages: `sheets` (workbooks), `data`,
`train` and `book` (claims, exercises, plots, `lesson8.xlsx`). `from ddl_lesson8.all import *` brings the public names."""
import importlib, pkgutil, sys
from importlib.metadata import PackageNotFoundError, version
from . import _help

if not any(type(f).__name__ == 'Finder' and type(f).__module__ == _help.__name__ for f in sys.meta_path): sys.meta_path.insert(0, _help.Finder())

try: __version__ = version('ddl_lesson8')
except PackageNotFoundError: __version__ = 'unknown'  # read from a folder that was never installed


def _submodules(): return [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith('_')]


def __getattr__(name):
    "Import a submodule when it is first asked for"
    if name in _submodules(): return importlib.import_module(f'{__name__}.{name}')
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_submodules())}")


def __dir__(): return sorted({*globals(), *_submodules()})
