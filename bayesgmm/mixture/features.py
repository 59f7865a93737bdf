"""Features by name or position, and values given for some."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.tools.integers import is_integer


def positions(names: Sequence[str], features: Sequence[Any]) -> list[int]:
    """Return the positions of features that are given by name or position.

    Raises
    ------
    ValueError
        When one is unknown or given twice, or there is none; the names there are, are listed.
    """
    chosen = []
    for feature in features:
        if isinstance(feature, str) and feature in names:
            chosen.append(list(names).index(feature))
        elif is_integer(feature) and 0 <= int(feature) < len(names):
            chosen.append(int(feature))
        else:
            raise ValueError(
                f"there is no feature {feature!r}: give names ({', '.join(names)}) or positions 0 to {len(names) - 1}."
            )
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"name at least one feature, and none twice; received {features} of {', '.join(names)}.")
    return chosen


def given_values(names: Sequence[str], values: Mapping[Any, Any]) -> tuple[list[int], np.ndarray]:
    """Return positions and values, (len(values),), of the features that are given.

    Raises
    ------
    ValueError
        As `positions`; also when every feature is given, or a value is no finite number.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"`values` must be a dict from features to numbers; received {type(values).__name__}.")
    given = positions(names, list(values))
    if len(given) == len(names):
        raise ValueError(f"every feature is given ({', '.join(names)}): leave out at least one.")
    numbers = np.empty(len(given))
    for n, (position, value) in enumerate(zip(given, values.values(), strict=True)):
        try:
            numbers[n] = float(value)
        except (TypeError, ValueError):
            numbers[n] = np.nan
        if not np.isfinite(numbers[n]):
            raise ValueError(f"the value of {names[position]!r} must be a finite number; received {value!r}.")
    return given, numbers
