"""What commands share: reading their input, saying what is wrong with it, and showing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bayesgmm.cli.console import Screen
    from bayesgmm.data.observations import Observations

BAD_INPUT = 2
INTERRUPTED = 130


def parse_components(text: str) -> list[int]:
    """Numbers of components from "2", "1:6" (both ends count) or "1,3,5", in rising order.

    Raises
    ------
    ValueError
        When the text says something else, or a number below 1.
    """
    counts: set[int] = set()
    try:
        for part in text.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = int(last) if colon else low
            if high < low:
                raise ValueError
            counts |= set(range(low, high + 1))
    except ValueError:
        raise ValueError(f"-k must be like 2, 1:6 or 1,3,5; received {text!r}.") from None
    if min(counts) < 1:
        raise ValueError(f"-k must be at least 1 (a mixture has one component or more); received {text!r}.")
    return sorted(counts)


def parse_pairs(text: str | None, option: str, between: str) -> dict[str, str]:
    """Pairs from "a=1,b=2", or with another mark between the two.

    Raises
    ------
    ValueError
        When a part is no pair, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for part in [] if text is None else text.split(","):
        name, mark, value = (word.strip() for word in part.partition(between))
        if not (name and mark and value):
            raise ValueError(f"{option} must be like a{between}b,c{between}d; received {text!r}.")
        if name in pairs:
            raise ValueError(f"{option} names {name!r} twice; received {text!r}.")
        pairs[name] = value
    return pairs


def parse_numbers(text: str | None, option: str) -> dict[str, float]:
    """Numbers by name from "a=1,b=2.5".

    Raises
    ------
    ValueError
        When a part is no pair, or what follows the mark no number.
    """
    numbers = {}
    for name, value in parse_pairs(text, option, "=").items():
        try:
            numbers[name] = float(value)
        except ValueError:
            raise ValueError(f"{option} must give {name!r} a number; received {value!r}.") from None
    return numbers


def read_rows(
    screen: "Screen",
    path: Path,
    counts: list[int],
    *,
    columns: str | None,
    row_label: str | None = None,
    weights: str | None = None,
    errors: str | None = None,
    label: str | None = None,
) -> "Observations":
    """Read a table, check it against the numbers of components, and say what it is."""
    from bayesgmm.data.files import read_observations
    from bayesgmm.em.task import check_components, check_known_labels

    names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    if names == []:
        raise ValueError(f"--columns must name columns, as a,b,c; received {columns!r}.")
    observations, left_out = read_observations(
        path,
        columns=names,
        row_label=row_label,
        weights=weights,
        errors=parse_pairs(errors, "--errors", ":"),
        label=label,
    )
    check_components(observations, max(counts))
    check_known_labels(observations, min(counts))
    screen.say(f"{path}: {size(observations)}.")
    if left_out:
        reasons = "; ".join(f"{name} ({why})" for name, why in left_out.items())
        screen.say(f"Columns left out: {reasons}. Choose others with --columns.")
    return observations


def size(observations: "Observations") -> str:
    """Rows, columns with their units, and what is known of the rows."""
    titled = [f"{n} [{u}]" if u else n for n, u in zip(observations.feature_names, observations.units, strict=True)]
    said = f"{observations.n_rows} rows, columns {', '.join(titled)}"
    if observations.missing is not None and (holes := int(observations.missing.sum())):
        said += f"; {holes} values missing in {int(observations.missing.any(axis=1).sum())} rows"
    if observations.known_labels is not None:
        said += f"; the component of {int((observations.known_labels >= 0).sum())} rows known"
    return said


def in_options(message: str) -> str:
    """Name options of the command line where a message names arguments of a function."""
    for argument, option in (
        ("`covariance_type`", "--covariance"),
        ("`n_components`", "-k"),
        ("n_components", "-k"),
        ("`known_labels`", "--label"),
        ("`noise`", "--noise"),
        ("leave it out", "leave it out (--columns)"),
    ):
        message = message.replace(argument, option)
    return message


def new_screen(quiet: bool) -> "Screen":
    """Open the place where a run is shown."""
    from bayesgmm.cli.console import Screen

    return Screen(quiet=quiet)


@contextmanager
def bad_input() -> Iterator[None]:
    """End with a message and status 2, not with a traceback, when what was given cannot be used."""
    try:
        yield
    except (ValueError, TypeError) as error:
        typer.secho(f"Error: {in_options(str(error))}", fg="red", err=True)
        raise typer.Exit(BAD_INPUT) from None
