"""What a caller asks of a picture: ArviZ's options, some of the features, and what is known already.

May import arviz_plots and the modules below ``plots/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import xarray as xr
from arviz_plots import PlotCollection

from bayesgmm.posterior.datatree import OBS, MixtureView


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller asked of any picture, by ArviZ's options; each picture's docstring says what they are."""

    plot_collection: PlotCollection | None
    backend: str | None
    labeller: Any
    aes_by_visuals: Mapping[str, Sequence[str]] | None
    visuals: Mapping[str, Any] | None
    pc_kwargs: Mapping[str, Any]


def choose_features(mixture: MixtureView, features: str | Sequence[str] | None, most: int | None = None) -> list[int]:
    """Positions of the features asked for; the first `most` of all of them where none are.

    Raises
    ------
    ValueError
        For a name that is not a feature, or is given twice.
    """
    names = mixture.feature_names
    if features is None:
        return list(range(len(names)))[:most]
    asked = [features] if isinstance(features, str) else list(features)
    unknown = [name for name in asked if name not in names]
    if unknown or not asked or len(set(asked)) < len(asked):
        raise ValueError(f"`features` is {features!r}; expected distinct names among {list(names)}.")
    return [names.index(name) for name in asked]


def map_features(mixture: MixtureView, features: str | Sequence[str] | None) -> list[int]:
    """Positions of the two features of a map, the first two by default; of the one there is.

    Raises
    ------
    ValueError
        As `choose_features`, and where they are not two.
    """
    chosen = choose_features(mixture, features, most=2)
    if len(chosen) != min(2, len(mixture.feature_names)):
        raise ValueError(
            f"`features` is {features!r}; the map has two axes: give two of {list(mixture.feature_names)}."
        )
    return chosen


def pairs_of(mixture: MixtureView, features: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Positions of every pair of some features, by its name: "eruptions, waiting"."""
    names = mixture.feature_names
    return {f"{names[i]}, {names[j]}": (i, j) for i, j in combinations(features, 2)}


def known_answer(stats: Mapping[str, Any] | None, name: str, n_rows: int | None = None) -> xr.Dataset | None:
    """Return what a caller knows of `name` already, given as ``stats={name: ...}``, if anything.

    Raises
    ------
    ValueError
        For another key, or an answer of another number of rows than `n_rows`.
    """
    known = known_keys("stats", stats, [name]).get(name)
    if known is not None and n_rows is not None and known.sizes[OBS] != n_rows:
        raise ValueError(f'stats["{name}"] has {known.sizes[OBS]} rows, and the data {n_rows}: they must be the same.')
    return known


def known_keys(name: str, given: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Any]:
    """Copy a mapping that a caller gave, empty for None.

    Raises
    ------
    ValueError
        When it has a key that is none of `keys`.
    """
    given = dict(given or {})
    if unknown := [key for key in given if key not in keys]:
        raise ValueError(f"`{name}` has the keys {unknown}; expected some of {list(keys)}.")
    return given
