"""Arguments that are whole numbers: Python's and NumPy's, never a bool or a float."""

from numbers import Integral
from typing import Any


def is_integer(value: Any) -> bool:
    """Tell whether a value is a whole number by its type; ``True`` and 2.0 are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_integer(name: str, value: Any, least: int = 1, most: int | None = None, what: str = "") -> int:
    """Return a whole number between bounds as an int.

    Parameters
    ----------
    name : str
        The argument.
    value : object
        What was given for it.
    least : int
    most : int, optional
    what : str
        What `most` is, said after it.

    Raises
    ------
    ValueError
        Naming the argument, the bounds and what came.
    """
    if is_integer(value) and value >= least and (most is None or value <= most):
        return int(value)
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}{what and ', ' + what}"
    raise ValueError(f"`{name}` must be an integer {bounds}; received {value!r}.")
