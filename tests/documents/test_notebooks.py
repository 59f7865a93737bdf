"""The quickstart runs from a clean kernel, and its checks hold; the others are executed by `make notebooks`."""

import ast
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def code(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_quickstart_runs_to_its_last_check() -> None:
    notebook = nbformat.read(NOTEBOOKS / "01_quickstart.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_ends_in_a_check_that_can_fail(path: Path) -> None:
    last = ast.walk(ast.parse(code(path)[-1].source.replace(";\n", "\n")))
    asserted = [node.test for node in last if isinstance(node, ast.Assert)]
    assert any(not isinstance(test, ast.Constant) for test in asserted)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_uses_only_what_is_public_and_there(path: Path) -> None:
    import bayesgmm as bg

    tree = ast.parse("\n".join(cell.source for cell in code(path)))
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bg"
    }
    assert names and names <= set(bg.__all__), names - set(bg.__all__)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in code(path))
