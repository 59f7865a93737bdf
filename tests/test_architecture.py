"""The shape of the code: imports point one way, heavy libraries stay where they belong, files stay short."""

import ast
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bayesgmm"

# From the bottom up; a module imports from layers below its own, and from its own folder. A new module finds its place
# here first: one that fits nowhere is two modules.
LAYERS = [
    {"noise"},
    {"atomic", "sources", "progress", "threads", "tables", "parameters", "statistics", "datasets"},
    {"checking", "formats"},
    {"observations"},
    {"covariance", "kernel"},
    {"complete"},
    {"incomplete"},
    {"background", "blocks", "projection", "conjugate", "packing"},
    {"acceleration"},
    {"em", "hierarchy"},
    {"initialization"},
    {"clutter"},
    {"starting", "completion", "criteria", "simulation", "labels", "conditioning", "storage", "novelty", "allocation"},
    {"search", "known", "resampling"},
    {"fitted"},
    {"estimator"},
    {"scores"},
    {"information", "survey"},
    {"priors"},
    {"compiled"},
    {"dispatch"},
    {"op", "op_incomplete"},
    {"parametrisation", "distribution"},
    {"model"},
    {"unconstrained", "remembered"},
    {"c_callbacks"},
    {"callback"},
    {"nuts", "laplace"},
    {"optima"},
    {"approximation"},
    {"datatree", "intervals", "bridge", "gibbs", "partition_loss", "over_draws"},
    {"assembling", "partition_search"},
    {"sampling"},
    {"quantities"},
    {"diagnosis"},
    {"findings"},
    {"compare", "membership", "density", "generate", "relabelling", "diagnose", "evidence", "imputation"},
    {"conditional", "regression", "quantiles", "modes", "leave_one_out", "bootstrap", "crossvalidation"},
    {"standard_errors", "pseudo_posterior"},
    {"posterior_comparison", "sequential_test"},
    {"regions", "matching", "number_of_components"},
    {"coclustering", "partition", "pseudo_class", "merging"},
    {"plots", "files", "report"},
    {"console"},
    {"analysis"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# A compiled form registers itself with what it compiles, and is imported there so that it always is registered: the
# only imports allowed in both directions.
REGISTRATION = {"dispatch"}

HEAVY = {"pymc", "pytensor", "nutpie", "numba", "arviz", "arviz_base", "arviz_stats", "arviz_plots"}
BELOW_THE_OP = {name for name in LEVEL if LEVEL[name] < LEVEL["compiled"]}


def modules() -> dict[str, Path]:
    """Dotted name below the package, and file, of every module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its head or inside functions, in dotted form."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {member if member in EVERY_NAME else node.module for member in members}
    return found


EVERY_NAME = {f"bayesgmm.{name}" for name in modules()}
MODULES = {name: path for name, path in modules().items() if name}
every_module = pytest.mark.parametrize("name", MODULES)


def top(dotted: str) -> str:
    return dotted.split(".")[0]


def own(name: str) -> set[str]:
    """Top-level parts of this package that a module imports."""
    return {top(found.removeprefix("bayesgmm.")) for found in imports(MODULES[name]) if found.startswith("bayesgmm.")}


def outside(name: str) -> set[str]:
    return {top(found) for found in imports(MODULES[name]) if top(found) != "bayesgmm"}


@every_module
def test_every_module_has_its_layer(name):
    assert top(name) in LEVEL, f"say in {Path(__file__).name} on which layer bayesgmm.{top(name)} is"


def test_no_layer_names_a_module_that_is_gone():
    assert set(LEVEL) == {top(name) for name in MODULES}


@every_module
def test_imports_point_downwards(name):
    here = top(name)
    for found in own(name) - {here}:
        if {here, found} & REGISTRATION and abs(LEVEL[here] - LEVEL[found]) <= 2:
            continue
        assert LEVEL[found] < LEVEL[here], f"bayesgmm.{name} imports bayesgmm.{found}, which is not below it"


def test_no_module_imports_itself_by_a_detour():
    """Within a folder too, but for the registrations."""
    names = {f"bayesgmm.{name}": name for name in MODULES}
    graph = {
        name: {names[found] for found in imports(path) if found in names and names[found] != name}
        for name, path in MODULES.items()
    }
    for name in graph:
        if top(name) not in REGISTRATION:
            graph[name] = {found for found in graph[name] if top(found) not in REGISTRATION}
    done: set[str] = set()

    def visit(name, path):
        assert name not in path, f"a circle of imports: {' -> '.join([*path, name])}"
        if name not in done:
            for found in graph[name]:
                visit(found, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@every_module
def test_heavy_libraries_stay_above_the_solver(name):
    if top(name) in BELOW_THE_OP:
        assert not outside(name) & HEAVY


@every_module
def test_the_kernel_and_the_families_are_numpy_and_lapack(name):
    allowed = {"kernel": {"numpy"}, "covariance": {"numpy", "scipy"}, "statistics": {"numpy"}}.get(top(name))
    if allowed is not None:
        assert outside(name) <= {*allowed, *sys.stdlib_module_names}


@every_module
def test_only_plots_draw_and_only_blocks_distribute(name):
    if top(name) != "plots":
        assert not outside(name) & {"arviz_plots", "matplotlib"}
    if name != "blocks":
        assert "dask" not in outside(name)


@every_module
def test_modules_name_each_other_in_full(name):
    """The package's own names are for users: they are loaded lazily, and some hide a module of the same name."""
    if name != "cli":
        assert "bayesgmm" not in imports(MODULES[name])


@pytest.mark.parametrize("folder", ["bayesgmm", "tests"])
def test_no_file_is_longer_than_400_lines(folder):
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > 400} == {}


@every_module
def test_the_first_line_says_what_a_module_is(name):
    docstring = ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    assert docstring and docstring.splitlines()[0].endswith((".", ":", "?"))


# Laws that are no single module's, and the calibration studies' own tools.
CROSS_CUTTING = {
    "test_agreement",
    "test_architecture",
    "test_bad_input",
    "test_incomplete_agreement",
    "test_noise_fits",
    "test_noise_posterior",
    "test_calibration",
    "test_frames",
    "test_guide",
    "test_notebooks",
    "test_public_api",
    "test_scikit_learn",
}


def test_tests_mirror_the_package():
    """A reader finds the module by taking `test_` away, or the folder's front where there is none."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests").with_suffix("").parts
        if parts[0] in ("calibration", "benchmarks") or path.stem in CROSS_CUTTING:
            continue
        folder = PACKAGE.joinpath(*parts[:-1])
        assert (
            (folder / f"{parts[-1].removeprefix('test_')}.py").exists()
            or (parts[:-1] and (folder / "__init__.py").exists())
            or (folder / parts[-1].removeprefix("test_")).is_dir()
        ), f"{path.relative_to(ROOT)} mirrors nothing"


def test_layers_are_disjoint():
    names = sorted(name for layer in LAYERS for name in layer)
    assert all(a != b for a, b in pairwise(names))
