"""Search for the best fit: several starts a short way, the most promising to their end.

May import NumPy and the modules below it only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bayesgmm.data.observations import Observations
from bayesgmm.em import solver
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.mixture.parameters import MixtureParameters

SHORT_RUN = 30
"""E-steps given to each of several starts before the most promising go on (see ``docs/design/em.md``)."""

SHORT_RUN_PLAIN = 100
"""The same for plain EM, which needs more to show where it is going."""

MOST_PROMISING = 3
"""How many of several starts are run to their end."""

SAME_OPTIMUM = 1e-6
"""Fits whose log-likelihoods differ by less than this per row are one optimum."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """The best fit, and what became of the other starts.

    Attributes
    ----------
    best : EMResult
        The admissible end with the largest objective (log-likelihood); the largest of all where none is admissible.
    n_starts : int
        Starts tried.
    n_ended : int
        Starts run to their end; the others looked worse after a short run, or collapsed.
    n_at_best : int
        Of those that ended, how many at the optimum of `best`.
    """

    best: solver.EMResult
    n_starts: int
    n_ended: int
    n_at_best: int


def search(
    observations: Observations,
    starts: Sequence[Callable[[], MixtureParameters]],
    family: CovarianceFamily,
    *,
    max_iter: int,
    **settings: Any,
) -> SearchResult:
    """Run one start to its end; of several, all a short way and the best to their end.

    Parameters
    ----------
    observations : Observations
    starts : sequence of callables
        Each makes a start in standard coordinates.
    family : CovarianceFamily
    max_iter, **settings
        As of `solver.run`.

    Raises
    ------
    CollapseError
        When the only start collapses, or each of several does.
    """
    short = SHORT_RUN if settings.get("accelerated") else SHORT_RUN_PLAIN
    first = max_iter if len(starts) == 1 else min(max_iter, short)
    results: list[solver.EMResult] = []
    for start in starts:
        try:
            results.append(solver.run(observations, start(), family, max_iter=first, **settings))
        except CollapseError:
            if len(starts) == 1:
                raise
    results.sort(key=lambda result: (not result.floored, result.objective), reverse=True)
    ends = []
    for result in results[:MOST_PROMISING]:
        try:
            ends.append(solver.go_on(observations, result, family, max_iter=max_iter, **settings))
        except CollapseError:
            continue
    # what converged within its short run needs no more to be known
    ends += [result for result in results[MOST_PROMISING:] if result.status is not solver.Status.MAX_ITER]
    if not ends:
        raise CollapseError(
            f"every one of {len(starts)} starts collapsed: use fewer components, a simpler `covariance_type`, or a "
            "positive `reg_covar`.",
            0,
        )
    best = max(ends, key=lambda end: (end.admissible, end.objective))
    near = SAME_OPTIMUM * observations.total_weight
    at_best = sum(end.admissible == best.admissible and abs(end.objective - best.objective) <= near for end in ends)
    return SearchResult(best, len(starts), len(ends), at_best)
