"""Where each public name lives: the table in CONTRIBUTING.md, made from the package itself.

python -m tests.documents.where_is            prints it
python -m tests.documents.where_is --write    puts it into CONTRIBUTING.md
"""

import inspect
import sys
from functools import cache
from pathlib import Path
from typing import Any

import bayesgmm as bg
from tests.support.imports import PACKAGE, ROOT, public_modules
from tests.support.marks import replace_between

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
COMMAND = "python -m tests.documents.where_is"

NOUNS = {
    "data/datasets.py": "the data sets that `load_dataset` loads, with their sources",
    "em/estimator.py": "scikit-learn's word for what `GaussianMixture` is; two other ways to have one are beside it",
    "posterior/pseudo_posterior.py": "what `adjust_pseudo_posterior` adjusts",
    "posterior/sampling.py": "what `sample_posterior` does, from the start to the DataTree",
    "questions/conditional.py": "mixtures of some features: given the others, or whatever the others are (`marginal`)",
    "questions/quantiles.py": "the distribution function and its inverse: `cdf` and `quantile`",
    "selection/evidence.py": "the evidence, whose logarithm `log_evidence` is",
}
"""Files that hold a public name other than their own: what the noun in the file's name is to it."""


@cache
def public() -> dict[str, Any]:
    """Every public name with what it names, in the order of a dictionary."""
    return {name: getattr(bg, name) for name in sorted(bg.__all__, key=str.lower)}


def home(name: str) -> str:
    """Where a public name lives, as a path below ``bayesgmm/``; a folder for a namespace."""
    module = public_modules()[name]
    if module == f"bayesgmm.{name}":
        return f"{name}/"
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    # a folder that hands on what one of its files has
    path = path if path.exists() else Path(inspect.getfile(sys.modules[public()[name].__module__]))
    return path.relative_to(PACKAGE).as_posix()


def says(value: Any) -> str:
    """First line of a docstring, for a cell of a table."""
    return str(inspect.getdoc(value)).split("\n")[0].replace("|", "\\|")


def has_its_name(path: str, name: str) -> bool:
    """Whether a file, or the folder it is in, has the name of what is public; a picture's without `plot_`."""
    parts = Path(path).with_suffix("").parts
    return name.removeprefix("plot_").lower() in parts[1:] or parts == (name,)


def table() -> str:
    """Make the table, in Markdown."""
    rows = [f"| `{name}` | `{home(name)}` | {says(value)} |" for name, value in public().items()]
    return "\n".join(["| name | in `bayesgmm/` | what it does |", "|---|---|---|", *rows])


def nouns() -> str:
    """List the files that are named after a noun."""
    return "\n".join(f"- `{path}`: {why}" for path, why in NOUNS.items())


def written() -> str:
    """Everything between the two marks in CONTRIBUTING.md."""
    named = "A file has the name of the function, or of the noun that it is about:"
    return f"{table()}\n\n{named}\n\n{nouns()}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        replace_between(CONTRIBUTING, COMMAND, written())
    else:
        print(written())
