"""Contours of a density of two features: lines that hold given shares of it."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

REGIONS = (0.5, 0.8, 0.95)
"""Shares that contours hold if nothing else is asked for."""


def region_levels(mean: np.ndarray, regions: Sequence[float]) -> dict[float, float]:
    """Find the densities above which the grid holds each share of its total (highest-density regions).

    Returns
    -------
    dict
        {density: share}, densities increasing; shares that one point of the grid holds together are kept once.
    """
    if not all(0 < share < 1 for share in regions):
        raise ValueError(f'stats["regions"] must be shares strictly between 0 and 1; received {regions!r}.')
    ordered = np.sort(mean, axis=None)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    return {float(ordered[np.searchsorted(held, share)]): share for share in sorted(regions, reverse=True)}


def pack(x: np.ndarray, y: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Put axes (M,) and heights (M, M) of one panel side by side, because each panel has its own: (2 M + M^2,)."""
    return np.concatenate([x, y, heights.ravel()])


def unpack(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take apart what `pack` put side by side."""
    # M^2 + 2 M + 1 is the square of M + 1
    M = round(np.sqrt(len(packed) + 1)) - 1
    x, y, heights = np.split(packed, [M, 2 * M])
    return x, y, heights.reshape(M, M)


def draw_contours(
    da: xr.DataArray, target: Any, *, backend: ModuleType, shares: Sequence[float], named: bool, **properties: Any
) -> Any:
    """Draw lines that hold these shares of a packed density, by matplotlib with their names on them if `named`."""
    x, y, mean = unpack(da.values)
    levels = region_levels(mean, shares)
    lines = backend.contour(x, y, mean, target, **{"levels": np.array(list(levels)), **properties})
    if named and "levels" not in properties:
        names = [f"{100 * share:g} %" for share in levels.values()]
        target.clabel(lines, fmt=dict(zip(lines.levels, names, strict=True)), fontsize="x-small")
    return lines[0] if isinstance(lines, list) else lines


def draw_filled(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    """Draw packed heights as areas of colour."""
    return backend.contourf(*unpack(da.values), target, **properties)
