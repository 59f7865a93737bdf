"""What modules import, read from their text: nothing is run."""

import ast
import doctest
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bayesgmm"


def module_name(path: Path) -> str:
    """Name of the module in a file, dotted and in full."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules(folder: str = "bayesgmm") -> dict[str, Path]:
    """Name, dotted and in full, and file, of every module of the package, or of the tests."""
    return {module_name(path): path for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def imports(name: str) -> frozenset[str]:
    """Every module that a module imports, in full: at its head, or inside functions."""
    ours = modules() | modules("tests")
    found: set[str] = set()
    for node in ast.walk(ast.parse(ours[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {member if member in ours else str(node.module) for member in members}
    return frozenset(found)


@cache
def public_modules() -> dict[str, str]:
    """Public name to the module that it is loaded from, as the package's own table says."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    lines = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"bayesgmm.{node.module or alias.name}" for node in lines for alias in node.names}


@cache
def uses(name: str) -> frozenset[str]:
    """What a module imports, and the modules of the public names in its code and its examples."""
    text = (modules() | modules("tests"))[name].read_text(encoding="utf-8")
    sources = [text, *(example.source for example in doctest.DocTestParser().get_examples(text))]
    names = {
        node.attr
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("bg", "bayesgmm")
    }
    loaded = public_modules()
    # names read from the list of all may be any; of the package itself, pytest asks for each when it looks for examples
    if "__all__" in names or name == PACKAGE.name:
        return imports(name) | set(loaded.values())
    return imports(name) | {loaded[name] for name in names & loaded.keys()}


@cache
def reaches(name: str) -> frozenset[str]:
    """Every module that running a module, or the examples in it, may import: ours by full name, others as written.

    Only what is run is searched for public names: the examples of the modules that it imports are not run.
    """
    ours = modules() | modules("tests")
    found: set[str] = set()
    to_do = {name, *uses(name)}
    while to_do:
        new = to_do.pop()
        found.add(new)
        if new in ours:
            to_do |= (uses(new) if new.startswith("tests.") else imports(new)) - found
    return frozenset(found)
