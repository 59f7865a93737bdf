"""Precision factors of a group's covariances, made once for as long as the group has these covariances.

Every question about a posterior begins with them, and where few points are asked about they are most of the work.

May import xarray and the modules below it only.
"""

import weakref
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesgmm.mixture.parameters import inverse_cholesky


class _Kept(NamedTuple):
    """Factors, what they were made of, and whose they are."""

    group: weakref.ref
    made_of: tuple[tuple[int, ...], bytes]
    factors: np.ndarray


_KEPT: dict[int, _Kept] = {}
"""By the identity of the group, which cannot be hashed; of groups that are still there."""


def precision_factors(group: xr.DataTree, covariances: np.ndarray) -> np.ndarray:
    """Return `inverse_cholesky` of the covariances of a group, from the last time where they are still the same.

    They are the same where every bit is: a variable that was replaced, or changed in place, is factorised again. What
    is kept takes as much memory as the covariances themselves, and goes when the group does.

    Parameters
    ----------
    group : DataTree
        One group, not the root.
    covariances : (..., K, D, D) array
        As the group has them.

    Returns
    -------
    (..., K, D, D) float64
        Shared by all who ask: not to be written to.
    """
    key = id(group)
    made_of = covariances.shape, blake2b(np.ascontiguousarray(covariances)).digest()
    kept = _KEPT.get(key)
    if kept is None or kept.made_of != made_of:
        owner = weakref.ref(group, lambda _: _KEPT.pop(key, None))
        kept = _Kept(owner, made_of, inverse_cholesky(covariances))
        _KEPT[key] = kept
    return kept.factors
