"""align_labels: one labelling for all draws of a posterior, by the EM fit or by Stephens' relabelling."""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import some_rows
from bayesgmm.mixture.alignment import Alignment, align, assign, cheapest
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import (
    CHAIN,
    COMPONENT,
    DRAW,
    fixed_labels,
    meta,
    parameter_dataset,
    posterior_parameters,
    view,
    write_meta,
)
from bayesgmm.posterior.quantities import MOST_NUMBERS, memberships, plogp

MOST_ROWS = 5_000
"""Rows that Stephens' relabelling looks at; of more, this many are taken at even distances."""

MOST_ITERATIONS = 100


class RelabellingWarning(UserWarning):
    """Stephens' relabelling did not settle."""


def align_labels(dt: xr.DataTree, method: Literal["em", "kl"] = "em") -> xr.DataTree:
    """Give every draw's components the labels that agree best with all others.

    "em": label k goes to the component nearest to component k of the EM fit, by Bhattacharyya distances (`align`);
    what `sample_posterior` does. "kl": Stephens' (2000, algorithm 2) relabelling. With r_nk(s) the membership
    probabilities of draw s and q_nk their mean over relabelled draws, each draw takes the permutation that minimises
    sum_nk r_nk log(r_nk / q_nk), a linear assignment, until none changes. It starts at the labels that the draws
    have. Each step lowers the sum over draws, so it ends, at a local minimum.

    No draw is dropped. Where labels are not identifiable both methods give labels all the same; `diagnose` says so.
    "kl" asks that rows belong to the same label in every draw, "em" that components look like those of one fit.

    Parameters
    ----------
    dt : DataTree
        A posterior, as from `sample_posterior`; left as it is.
    method : {"em", "kl"}

    Returns
    -------
    DataTree
        A copy whose groups ``posterior`` and ``alignment`` are new: ``permutation`` (chain, draw, component), the
        component of the draw *as sampled* that has label k, ``cost`` (chain, draw), and ``margin`` (chain, draw,
        component), how much the cost rises when label k goes to another component. For "kl" both are in nats, over
        the rows looked at. Attributes of ``alignment``: ``method``, and for "kl" ``n_iterations``, ``objective``
        (the sum of the costs at the start and after each step, as JSON) and ``n_rows``.

    Raises
    ------
    TypeError
        When `dt` is not a DataTree.
    ValueError
        When `method` is unknown, or `dt` lacks the EM fit or the rows that the method needs.

    Warns
    -----
    RelabellingWarning
        When "kl" has not settled after 100 steps.

    Notes
    -----
    "kl" looks at up to 5 000 rows, at even distances where there are more. Each step costs one evaluation of every
    draw at these rows; memory does not grow with the number of rows or draws.

    References
    ----------
    Stephens (2000), Journal of the Royal Statistical Society B 62, 795-809.
    """
    if method not in ("em", "kl"):
        raise ValueError(f"`method` must be 'em' or 'kl'; received {method!r}.")
    if not isinstance(dt, xr.DataTree):
        raise TypeError(
            f"`dt` must be a posterior (xarray.DataTree); received {type(dt)!r}: a fit has no draws to align."
        )
    drawn, fixed = posterior_parameters(dt), fixed_labels(dt)
    if method == "em":
        alignment = align(drawn, posterior_parameters(dt, "em"), fixed=fixed)
        attrs: dict[str, object] = {"method": method}
    else:
        observations = view(dt).observations
        if observations is None:
            raise ValueError(
                "the DataTree has no group 'observed_data', whose rows method='kl' needs: use method='em'."
            )
        rows = some_rows(observations, MOST_ROWS)
        relabelled, objective = stephens(rows, drawn.flat(), fixed)
        shape = drawn.batch_shape
        alignment = Alignment(*(part.reshape(*shape, *part.shape[1:]) for part in relabelled))
        attrs = {
            "method": method,
            "n_iterations": len(objective) - 1,
            "objective": json.dumps(objective),
            "n_rows": rows.n_rows,
        }
    return _relabelled(dt, drawn, alignment, attrs)


def _relabelled(
    dt: xr.DataTree, drawn: MixtureParameters, alignment: Alignment, attrs: dict[str, object]
) -> xr.DataTree:
    """Put draws in their new labels, and how they came to them, in a copy."""
    old = dt["posterior"].to_dataset()
    coords = {dim: old.coords[dim] for dim in (CHAIN, DRAW) if dim in old.coords}
    mixture = view(dt)
    new = parameter_dataset(drawn.permute(alignment.permutation), mixture.feature_names, mixture.units)
    new = new.assign_coords(coords).assign_attrs(old.attrs)
    before = dt["alignment"].dataset if "alignment" in dt.children else {}
    permutation = alignment.permutation
    if "permutation" in before:
        # of the draw as sampled, not as it came here
        earlier = before["permutation"].transpose(CHAIN, DRAW, COMPONENT).values
        permutation = np.take_along_axis(earlier, permutation, axis=-1)
    arrays = alignment._replace(permutation=permutation)._asdict()
    result = dt.copy(deep=True)
    result["posterior"] = xr.DataTree(new)
    result["alignment"] = xr.DataTree(
        xr.Dataset(
            {name: ((CHAIN, DRAW, COMPONENT)[: values.ndim], values) for name, values in arrays.items()},
            coords={**coords, COMPONENT: new.coords[COMPONENT]},
            attrs=attrs,
        )
    )
    if said := meta(dt, missing_ok=True):
        write_meta(result, said | {"labels": attrs["method"]})
    return result


def stephens(
    observations: Observations, draws: MixtureParameters, fixed: Sequence[int] = ()
) -> tuple[Alignment, list[float]]:
    """Stephens' (2000) algorithm 2.

    One pass over the rows gives both q_nk of the present permutations and, row by row, the costs of the next ones:
    with h_j = sum_n r_nj log r_nj, cost[k, j] = h_j - sum_n r_nj log q_nk, a matrix product.

    Parameters
    ----------
    draws : MixtureParameters
        Batch shape (S,).
    fixed : sequence of int
        Labels that keep their component.

    Returns
    -------
    Alignment
        permutation (S, K), cost (S,), margin (S, K).
    objective : list of float
        Sum of the costs at the start and after each step; it never rises.
    """
    S, K = draws.weights.shape
    blocks: Iterable[Block] = _Blocks(observations, draws)
    if S * K * observations.n_rows <= MOST_NUMBERS:
        blocks = list(blocks)
    entropy = np.zeros((S, K))
    for r, _, row_weights in blocks:
        entropy += plogp(r) @ row_weights
    permutation = np.broadcast_to(np.arange(K), (S, K)).copy()
    objective: list[float] = []
    for _ in range(MOST_ITERATIONS):
        costs = entropy[:, None, :] - _cross(blocks, permutation)
        present = _cost(costs, permutation)
        objective.append(float(present.sum()))
        proposed = cheapest(costs, fixed)
        # a tie, or a gain that is rounding, changes nothing: so it ends
        gains = present - _cost(costs, proposed) > 1e-9 * (1.0 + np.abs(present))
        if not gains.any():
            break
        permutation[gains] = proposed[gains]
    else:
        warnings.warn(
            f"Stephens' relabelling still changed {int(gains.sum())} of {S} draws after {MOST_ITERATIONS} steps: the "
            "labels are not identifiable; use method='em', or quantities that need no labels.",
            RelabellingWarning,
            stacklevel=3,
        )
    return assign(costs, fixed)._replace(permutation=permutation, cost=_cost(costs, permutation)), objective


Block = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Blocks:
    """The memberships of all rows, computed anew each time they are gone through; without those in noise.

    Noise keeps its label, so that its part of the costs is the same for every permutation.
    """

    def __init__(self, observations: Observations, draws: MixtureParameters) -> None:
        self._source = observations, draws

    def __iter__(self) -> Iterator[Block]:
        K = self._source[1].n_components
        for r, log_density, row_weights in memberships(*self._source):
            yield r[:, :K], log_density, row_weights


def _cross(blocks: Iterable[Block], permutation: np.ndarray) -> np.ndarray:
    """Sum over n of r_nj log q_nk, (S, K labels, K components), with q from the present permutations."""
    S, K = permutation.shape
    cross, order = np.zeros((S, K, K)), permutation[:, :, None]
    for r, _, row_weights in blocks:
        q = np.take_along_axis(r, order, axis=1).mean(axis=0)
        cross += (r.reshape(S * K, -1) @ (_log(q) * row_weights).T).reshape(S, K, K)
    return np.swapaxes(cross, 1, 2)


def _cost(costs: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    return np.take_along_axis(costs, permutation[:, :, None], axis=2)[..., 0].sum(axis=1)


def _log(probability: np.ndarray) -> np.ndarray:
    """Logarithm, finite at zero: 0 log 0 is 0."""
    return np.log(np.maximum(probability, np.finfo(np.float64).tiny))
