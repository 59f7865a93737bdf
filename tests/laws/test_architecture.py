"""The shape of the code: fourteen rooms in one line, imports one way, heavy libraries in their place, short files."""

import ast
import sys
from pathlib import Path

from bayesgmm.em.families import FAMILIES, ONE_DIMENSIONAL
from tests.support.imports import PACKAGE, ROOT, imports, modules

ROOMS = (
    "tools",
    "mixture",
    "data",
    "sampler",
    "kernel",
    "em",
    "priors",
    "model",
    "posterior",
    "questions",
    "diagnostics",
    "selection",
    "plots",
    "cli",
)
"""A room imports from those before it, never from one after it."""

MOST_LINES, MOST_LINES_OF_A_ROOM = 400, 4500

MAKES_MACHINE_CODE = {"bayesgmm.tools.compiled", "bayesgmm.kernel.compiled.arithmetic"}
"""Where LLVM is spoken to directly: symbols that other code calls, and the bits of a double."""

OTHER_WORDS = {"bayesgmm.sampler.nuts"}
"""Where a family's name means something else: "diag" is nutpie's diagonal mass matrix."""

INSIDES = "bayesgmm.sampler.insides"
"""The one file that names what other libraries promise to nobody."""

PROMISED_TO_NOBODY = (
    "arviz_base.validate",
    "arviz_plots.plot_collection",
    "numba.core",
    "numba.np",
    "nutpie.compile_pymc",
    "pymc.initial_point",
    "pymc.logprob",
    "pymc.pytensorf",
    "pytensor.link",
)
"""Modules of theirs that no documentation names, or that it tells to leave alone."""

READ_BY_NOBODY_ELSE = {
    "call_conv",
    "fndesc",
    "get_arrow_trace",
    "get_pointer_to_function",
    "jit_fn",
    "make_array",
    "overloads",
    "populate_array",
}
"""Attributes of their objects, likewise."""

HEAVY = {"pymc", "pytensor", "nutpie", "arviz", "arviz_base", "arviz_stats", "arviz_plots"}


def room(name: str) -> str:
    """Room of one of our modules, empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def in_rooms() -> list[str]:
    return [name for name in modules() if room(name)]


def outside(name: str) -> set[str]:
    """Libraries that a module imports."""
    return {found.split(".")[0] for found in imports(name)} - {"bayesgmm"}


def test_the_rooms_are_these_fourteen():
    assert len(ROOMS) == 14
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]


def test_a_room_says_in_one_sentence_what_it_is():
    for name in ROOMS:
        tree = ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        if name != "priors":  # `bg.priors` is a namespace for users: it names what they make priors of
            assert len(tree.body) == 1, f"bayesgmm/{name}/__init__.py holds more than its docstring"


def test_imports_point_one_way():
    wrong = [
        f"{name} imports {found}"
        for name in in_rooms()
        for found in imports(name)
        if found.startswith("bayesgmm.") and ROOMS.index(room(found)) > ROOMS.index(room(name))
    ]
    assert wrong == []


def test_there_is_no_circle_of_imports():
    graph = {name: {found for found in imports(name) if found in modules() and found != name} for name in in_rooms()}
    circles: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circles.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for found in sorted(graph[name]):
                visit(found, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert circles == []


def test_modules_name_each_other_in_full():
    """The names of the package itself are for users: they are loaded lazily."""
    assert [name for name in in_rooms() if "bayesgmm" in imports(name)] == []


def test_heavy_libraries_stay_above_the_solver():
    allowed = {"sampler", *ROOMS[ROOMS.index("model") :]}
    wrong = {name: outside(name) & HEAVY for name in in_rooms() if room(name) not in allowed}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_only_two_rooms_know_the_compilers():
    wrong = {
        name: outside(name) & {"pytensor", "nutpie", "llvmlite"}
        for name in in_rooms()
        if room(name) not in ("sampler", "model") and name not in MAKES_MACHINE_CODE
    }
    assert {name: found for name, found in wrong.items() if found} == {}


def test_one_file_names_the_insides_of_libraries():
    """What is private there, by an underscore or by our lists."""
    libraries = HEAVY | {"numba", "llvmlite"}
    wrong = []
    for name, path in modules().items():
        if name == INSIDES:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            found: list[str] = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute) and node.attr in READ_BY_NOBODY_ELSE:
                wrong.append(f"{name} reads {ast.unparse(node)}")
            for full in found:
                parts = full.split(".")
                private = any(part.startswith("_") for part in parts) or full.startswith(PROMISED_TO_NOBODY)
                if parts[0] in libraries and private:
                    wrong.append(f"{name} imports {full}")
    assert wrong == []


def test_numba_is_where_code_is_compiled():
    allowed = ("bayesgmm.kernel.compiled.", "bayesgmm.sampler.", "bayesgmm.model.", "bayesgmm.tools.compiled")
    assert [name for name in in_rooms() if "numba" in outside(name) and not name.startswith(allowed)] == []


def test_the_kernel_and_the_families_are_numpy_and_lapack():
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "threadpoolctl"}
    for name in in_rooms():
        if name.startswith("bayesgmm.kernel.compiled"):
            continue
        if room(name) == "kernel" or name.startswith("bayesgmm.em.families"):
            assert outside(name) <= allowed, name


def spells_a_family(tree: ast.AST) -> list[int]:
    """Lines where a name or code of a family is compared with, or is one of a set, or where a code is cut into letters.

    A default such as ``covariance_type="full"`` asks nothing of a family, and is none of these.
    """
    named = {word for family in (FAMILIES | ONE_DIMENSIONAL).values() for word in (family.name, family.code)}
    found = []
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Set | ast.Tuple | ast.List):
            parts = [*node.elts]
        elif isinstance(node, ast.Dict):
            parts = [*node.keys]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        spelled = any(isinstance(part, ast.Constant) and part.value in named for part in parts)
        cut = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "code"
        if spelled or cut:
            found.append(node.lineno)
    return found


def test_what_a_family_is_is_asked_of_the_family():
    for asked in ('f.code in ("VVV", "V")', '{"diag": 1}', 'name == "tied"', 'f.code[0] == "E"', 'x = {"EII"}'):
        assert spells_a_family(ast.parse(asked)), asked
    assert not spells_a_family(ast.parse('def fit(covariance_type="full"): return covariance_family("full").linear'))
    wrong = {
        name: lines
        for name, path in modules().items()
        if not name.startswith(("bayesgmm.em.families", "bayesgmm.model.families"))
        and name not in OTHER_WORDS
        and (lines := spells_a_family(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert wrong == {}


def test_only_plots_draw_and_nothing_distributes():
    for name in in_rooms():
        if room(name) != "plots":
            assert not outside(name) & {"arviz_plots", "matplotlib"}, name
        assert "dask" not in outside(name), name


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_too_long():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert {str(path.relative_to(ROOT)): lines(path) for path in files if lines(path) > MOST_LINES} == {}


def test_no_room_is_too_large():
    sizes = {name: sum(map(lines, (PACKAGE / name).rglob("*.py"))) for name in ROOMS}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_ROOM} == {}


def test_the_first_line_says_what_a_module_is():
    for name, path in modules().items():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring and docstring.splitlines()[0].endswith((".", ":", "?")), name


def test_tests_mirror_the_package():
    """A reader finds the module by taking `test_` away, or the folder where there is no such file."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests").with_suffix("").parts
        if parts[0] in ("calibration", "benchmarks", "laws", "documents"):
            continue
        folder = PACKAGE.joinpath(*parts[:-1])
        name = parts[-1].removeprefix("test_")
        if not ((folder / f"{name}.py").exists() or (folder / name).is_dir() or folder.name == name):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []
