"""What every prior is: a frozen value, exact in JSON, that checks its own numbers. May import NumPy only."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

Numbers = float | tuple[Any, ...]
"""A number, or nested tuples of numbers: what an array becomes in a value that is frozen and survives JSON."""


class PriorError(ValueError):
    """A prior that cannot be used; the message names the argument."""


def numbers(name: str, value: Any, ndims: tuple[int, ...]) -> Numbers:
    """Check `value` and turn it into nested tuples of float."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise PriorError(f"`{name}` must be a number or an array of numbers, received {value!r}.") from None
    if array.ndim not in ndims:
        raise PriorError(
            f"`{name}` must have {' or '.join(str(n) for n in ndims)} dimensions, received shape {array.shape}."
        )
    if array.size == 0 or not np.isfinite(array).all():
        raise PriorError(f"`{name}` must hold finite numbers, received {value!r}.")
    return as_tuples(array)


def positive(name: str, value: Any, ndims: tuple[int, ...]) -> Numbers:
    """Check that `value` is positive too."""
    checked = numbers(name, value, ndims)
    if not (np.asarray(checked) > 0).all():
        raise PriorError(f"`{name}` must be positive, received {value!r}.")
    return checked


def as_tuples(array: Any) -> Numbers:
    """Nested tuples of float from an array, or a float from a number."""
    array = np.asarray(array, dtype=np.float64)
    return float(array) if array.ndim == 0 else tuple(as_tuples(part) for part in array)


class Value:
    """What the priors share: a JSON form made of their fields."""

    __slots__ = ()

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Form for JSON: the kind, then the fields."""
        return {"kind": type(self).__name__, **{f.name: to_json(getattr(self, f.name)) for f in fields(self)}}  # type: ignore[arg-type]


def to_json(value: Any) -> Any:
    """Turn a prior and what it is made of into what JSON knows."""
    if isinstance(value, Value):
        return value.to_dict()
    return [to_json(part) for part in value] if isinstance(value, tuple) else value
