"""A noise component: rows that belong to no cluster, uniform over a box or a hull of the data.

The mixture is then p(x) = (1 - pi_0) sum_k weights_k N(x | mu_k, Sigma_k) + pi_0 u(x), u = 1 / volume inside the
background and zero outside (Banfield & Raftery 1993, section 3.1; Fraley & Raftery 2002, section 5.3). The background
is fixed before the fit, and stays in the units of the data in whatever coordinates the Gaussian components are.
May import NumPy and SciPy only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError

NOISE_LABEL = -1
"""What stands for noise where a row's component is said."""

MOST_HULL_FEATURES = 8
"""A hull of n rows has of the order of n^(D/2) facets: beyond this many features only a box is offered."""

EDGE = 1e-9
"""Rows outside a hull by less than this share of its width are on its edge: facets are rounded, corners are rows."""


class BackgroundError(ValueError):
    """A background that is no region with a volume; the message says which feature."""


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """A region with a uniform density, in the units of the data.

    Attributes
    ----------
    lower, upper : (D,) float64
        Edges of the box, or of the box around the hull.
    log_volume : float
        Natural logarithm of the volume of the region.
    facets : (M, D + 1) float64 or None
        Of a hull: x is inside where ``facets[:, :D] @ x + facets[:, D] <= 0``, normals of length one. None for a box.
    """

    lower: np.ndarray
    upper: np.ndarray
    log_volume: float
    facets: np.ndarray | None = None

    @classmethod
    def box(cls, lower: np.ndarray, upper: np.ndarray) -> "Background":
        """Box of given edges, (D,) each.

        Raises
        ------
        BackgroundError
            Naming the first feature whose edges are not finite and in order.
        """
        lower, upper = np.atleast_1d(np.asarray(lower, float)), np.atleast_1d(np.asarray(upper, float))
        if lower.ndim != 1 or lower.shape != upper.shape:
            raise BackgroundError(f"a box needs as many lower as upper edges; received {lower.shape}, {upper.shape}.")
        with np.errstate(invalid="ignore"):
            bad = ~(np.isfinite(lower) & np.isfinite(upper) & (lower < upper))
        if bad.any():
            j = int(np.argmax(bad))
            raise BackgroundError(
                f"the background has no width in feature {j}: its edges are {lower[j]:g} and {upper[j]:g}; they must "
                "be finite, the lower below the upper."
            )
        return cls(lower, upper, float(np.log(upper - lower).sum()))

    @classmethod
    def around(cls, values: np.ndarray) -> "Background":
        """Smallest box around rows (N, D), which may have missing values (NaN)."""
        return cls.box(np.nanmin(values, axis=0), np.nanmax(values, axis=0))

    @classmethod
    def hull(cls, values: np.ndarray) -> "Background":
        """Convex hull of complete rows (N, D): tighter than the box where features are correlated.

        Raises
        ------
        BackgroundError
            When rows have missing values, have too many features, or lie in a plane.
        """
        values = np.asarray(values, dtype=np.float64)
        D = values.shape[1]
        box = cls.around(values)
        if D == 1:
            return box
        if not np.isfinite(values).all():
            raise BackgroundError('a hull needs complete rows, and some values are missing: use the "box" instead.')
        if D > MOST_HULL_FEATURES:
            raise BackgroundError(f'a hull of {D} features has too many facets: use the "box" instead.')
        width = box.upper - box.lower
        try:
            # in units of the box, so that features of very different units do not look like a plane
            convex = ConvexHull((values - box.lower) / width)
        except QhullError as error:
            raise BackgroundError('the rows lie (nearly) in a plane, which has no volume: use the "box".') from error
        normals = convex.equations[:, :D] / width
        offsets = convex.equations[:, D] - normals @ box.lower
        length = np.sqrt((normals**2).sum(axis=1))
        facets = np.column_stack([normals, offsets]) / length[:, None]
        return cls(box.lower, box.upper, float(np.log(convex.volume) + np.log(width).sum()), facets)

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.lower)

    def same_as(self, other: "Background") -> bool:
        """Whether it is the same region, number by number."""
        pairs = [(self.lower, other.lower), (self.upper, other.upper)]
        if self.facets is not None and other.facets is not None:
            pairs.append((self.facets, other.facets))
        return (self.facets is None) == (other.facets is None) and all(np.array_equal(a, b) for a, b in pairs)

    def contains(self, values: np.ndarray) -> np.ndarray:
        """Which rows (N, D) are inside or on the edge, (N,) bool."""
        inside = ((values >= self.lower) & (values <= self.upper)).all(axis=1)
        if self.facets is not None and inside.any():
            D = self.n_features
            allowed = EDGE * np.abs(self.facets[:, :D]) @ (self.upper - self.lower)
            inside[inside] = (values[inside] @ self.facets[:, :D].T + self.facets[:, D] <= allowed).all(axis=1)
        return inside

    def marginal(self, features: Iterable[int]) -> "Background":
        """Background of some of the features; of a hull, the density of these alone is not uniform.

        Raises
        ------
        BackgroundError
            For fewer than all features of a hull.
        """
        return _marginal(self, tuple(int(j) for j in features))

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows (size, D), uniform over the region; of a hull, by rejection from its box."""
        D = self.n_features
        if self.facets is None:
            return rng.uniform(self.lower, self.upper, size=(size, D))
        rows = np.empty((0, D))
        share = np.exp(self.log_volume - np.log(self.upper - self.lower).sum())
        while len(rows) < size:
            more = rng.uniform(self.lower, self.upper, size=(int(1.2 * (size - len(rows)) / share) + 16, D))
            rows = np.concatenate([rows, more[self.contains(more)]])
        return rows[:size]

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` needs to make it again: lists and numbers."""
        facets = None if self.facets is None else self.facets.tolist()
        return {
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
            "log_volume": self.log_volume,
            "facets": facets,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Background":
        """Make a background again from what `to_json` gave."""
        facets = None if stored["facets"] is None else np.array(stored["facets"], dtype=np.float64)
        return cls(np.array(stored["lower"]), np.array(stored["upper"]), float(stored["log_volume"]), facets)


@lru_cache(maxsize=256)
def _marginal(background: Background, features: tuple[int, ...]) -> Background:
    """One object for each choice of features: what is known of rows is remembered by it."""
    if features == tuple(range(background.n_features)):
        return background
    if background.facets is not None:
        raise BackgroundError("the features of a hull are not independent: fit with the box to see some of them.")
    chosen = list(features)
    return Background.box(background.lower[chosen], background.upper[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Share of the rows that are noise, and where noise is.

    Attributes
    ----------
    weight : (...) float64
        pi_0, for each mixture of the batch.
    background : Background
        One for the whole batch.
    """

    weight: np.ndarray
    background: Background

    @property
    def log_weight(self) -> np.ndarray:
        """Logarithm of pi_0, (...); minus infinity for no noise."""
        with np.errstate(divide="ignore"):
            return np.log(self.weight)

    @property
    def log_rest(self) -> np.ndarray:
        """Logarithm of 1 - pi_0, (...): the share of the Gaussian components together."""
        with np.errstate(divide="ignore"):
            return np.log1p(-self.weight)

    def __getitem__(self, index: Any) -> "Noise":
        """Index or slice the batch."""
        return Noise(self.weight[index], self.background)

    def marginal(self, features: Iterable[int]) -> "Noise":
        """Noise in some of the features."""
        return Noise(self.weight, self.background.marginal(features))
