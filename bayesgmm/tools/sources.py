"""The version of modules: one name for the text of their files, and of the files that these import.

What is kept on disk and was made by some code goes by it, so that an edit anywhere in that code makes it another thing.
May import the standard library only.
"""

import ast
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class _Source(NamedTuple):
    """What is known of a module's file: what it was loaded by, its text's hash, and its import lines."""

    spec: ModuleSpec | None
    text: str
    imports: tuple[tuple[str, str], ...]


# As read when first asked, which is while they are imported for all that is compiled: what a process runs is what it
# imported, whatever became of the file since. A reloaded module has another spec, and is read again.
_SOURCES: dict[ModuleType, _Source] = {}


def version(*modules: ModuleType) -> str:
    """Name the text of modules, and of every module of the same package that they import, directly or not.

    Imports are read from the files, those inside functions too; lines under ``if TYPE_CHECKING`` are left out. What
    packages import when they are only passed through (`a` in ``import a.b``) is not counted.

    Returns
    -------
    str
        64 hexadecimal digits, the same in every process in which the files are the same.

    Raises
    ------
    ImportError
        If an imported module is not loaded, or has no file of Python source.
    """
    texts = sha256()
    for module in closure(*modules):
        texts.update(f"{module.__name__} {_source(module).text}\n".encode())
    return texts.hexdigest()


def closure(*modules: ModuleType) -> tuple[ModuleType, ...]:
    """List modules with all of the same package that they import, directly or not, by name; raises as `version`."""
    found: dict[str, ModuleType] = {}
    ahead = list(modules)
    while ahead:
        module = ahead.pop()
        if module.__name__ not in found:
            found[module.__name__] = module
            ahead += _imported(module)
    return tuple(found[name] for name in sorted(found))


def loaded(name: str, wanted_by: str) -> ModuleType:
    """Return a module that was imported before.

    Raises
    ------
    ImportError
        If it was not.
    """
    if name not in sys.modules:
        raise ImportError(
            f"`{wanted_by}` needs the module `{name}`, which is not loaded, so that no version can be told; "
            f"import it at the head of `{wanted_by}`.",
            name=name,
        )
    return sys.modules[name]


def _imported(module: ModuleType) -> Iterator[ModuleType]:
    package = module.__name__.split(".")[0]
    for name, member in _source(module).imports:
        if name.split(".")[0] != package:
            continue
        found = loaded(name, module.__name__)
        dotted = f"{name}.{member}"
        if dotted in sys.modules:
            yield sys.modules[dotted]
        elif member and hasattr(found, "__path__") and member not in vars(found):
            yield loaded(dotted, module.__name__)  # a file of the package, then, and not there: raises
        else:
            yield found


def _source(module: ModuleType) -> _Source:
    spec = module.__spec__
    if module not in _SOURCES or _SOURCES[module].spec is not spec:
        path = Path(module.__file__ or "")
        if path.suffix != ".py" or not path.is_file():
            raise ImportError(
                f"the module `{module.__name__}` has no file of Python source (`__file__` is {module.__file__!r}), so "
                "that no version can be told; install the package with its sources, not as an archive or as bytecode.",
                name=module.__name__,
            )
        text = path.read_bytes()
        imports = tuple(_import_lines(ast.parse(text), module.__package__))
        _SOURCES[module] = _Source(spec, sha256(text).hexdigest(), imports)
    return _SOURCES[module]


def _import_lines(tree: ast.AST, package: str | None) -> Iterator[tuple[str, str]]:
    """Give module and member of each import; the member is empty where all of the module is meant."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            continue  # most of a file, and no statement in it
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((name, alias.name if alias.name != "*" else "") for alias in node.names)
        else:
            yield from _import_lines(node, package)
