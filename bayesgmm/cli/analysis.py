"""From observations to a folder of results: EM, a choice, its posterior, a report, files. Composition only."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from bayesgmm.cli import report
from bayesgmm.cli.console import Screen
from bayesgmm.cli.files import write_csv
from bayesgmm.cli.frames import generated_frame, membership_frame
from bayesgmm.cli.report.section import join
from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.posterior import datatree
from bayesgmm.questions.membership import membership
from bayesgmm.selection.compare import Comparison, compare
from bayesgmm.tools.atomic import replacing
from bayesgmm.tools.clock import Clock

if TYPE_CHECKING:
    from bayesgmm.selection.compare_posteriors import PosteriorComparison

FILES = (
    *("posterior.nc", "comparison.csv", "membership.csv", "synthetic.csv"),
    *("density.png", "components.png", "membership.png"),
)


class NoModelError(ValueError):
    """None of the models tried describes the data."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a table.

    Attributes
    ----------
    counts : sequence of int
        Numbers of components to try.
    covariance_type, criterion : str
    seed : int
        Of EM, of the sampler, and of generated data.
    draws, tune, chains : int
    cores : int or None
    method : {"nuts", "laplace"}
    noise : {None, "box", "hull"}
        Background of rows that belong to no cluster.
    """

    counts: Sequence[int]
    covariance_type: str
    criterion: str
    seed: int
    draws: int
    tune: int
    chains: int
    cores: int | None = None
    method: Literal["nuts", "laplace"] = "nuts"
    noise: Literal["box", "hull"] | None = None


def analyse(
    observations: Observations,
    plan: Plan,
    out: Path,
    screen: Screen,
    *,
    started: float | None = None,
) -> xr.DataTree:
    """Fit, choose, sample, report; write each result as soon as it is there.

    Parameters
    ----------
    out : Path
        A folder that exists.
    started : float, optional
        When the run began, on the clock of `time.perf_counter`; now, by default.

    Returns
    -------
    DataTree
        The posterior.

    Raises
    ------
    NoModelError
        When no number of components gives an admissible fit; the comparison is written by then.
    """
    clock = Clock(started)
    # no window is opened, so no toolkit need be found; before anything imports matplotlib
    os.environ.setdefault("MPLBACKEND", "agg")
    clock.lap("imports")
    comparison = compare(
        observations,
        plan.counts,
        covariance_type=plan.covariance_type,
        noise=plan.noise,
        random_state=plan.seed,
        progressbar=screen.live,
    )
    clock.lap("em")
    screen.show(report.comparison_section(comparison, plan.criterion))
    write_csv(comparison.table, out / "comparison.csv")
    if not comparison.table["admissible"].any():
        raise NoModelError(
            f"no mixture of {plan.covariance_type} covariance with {_numbers(plan.counts)} components describes these "
            "data (see the notes in the table): lower -k, or choose a simpler --covariance."
        )
    chosen = comparison.best(plan.criterion)
    clock.lap("report")

    posterior = _sample(observations, chosen, plan, screen, clock)
    datatree.save(posterior, out / "posterior.nc")
    memberships = membership(posterior)
    screen.show(report.posterior_section(posterior))
    screen.show(report.membership_section(memberships))
    screen.show(report.generated_section(posterior, random_seed=plan.seed))
    for name, frame in (
        ("membership.csv", membership_frame(memberships)),
        ("synthetic.csv", generated_frame(posterior, random_seed=plan.seed)),
    ):
        write_csv(frame, out / name)
    clock.lap("report")

    _draw_pictures(posterior, out, clock, screen)
    screen.show(report.time_section(clock.seconds))
    screen.heading(f"Written to {out}")
    screen.say(", ".join(FILES))
    return posterior


def _sample(
    observations: Observations, chosen: GaussianMixture, plan: Plan, screen: Screen, clock: Clock
) -> xr.DataTree:
    # said before the slow import, so that nobody wonders
    K = chosen.n_components
    screen.say(
        f"Approximating the posterior of K = {K} around its modes (Laplace), from the EM fit."
        if plan.method == "laplace"
        else f"Sampling the posterior of K = {K} by NUTS, from the EM fit: {plan.chains} chains x "
        f"({plan.tune} warm-up + {plan.draws} draws). Ctrl-C keeps the draws made so far."
    )
    from bayesgmm.posterior.sampling import sample_posterior
    from bayesgmm.sampler.laplace import LaplaceError

    clock.lap("imports")
    with _warnings_said(screen):
        try:
            posterior = sample_posterior(
                observations,
                K,
                covariance_type=chosen.covariance_type,
                start=chosen,
                noise=plan.noise,
                method=plan.method,
                draws=plan.draws,
                tune=plan.tune,
                chains=plan.chains,
                cores=plan.cores,
                random_seed=plan.seed,
                progressbar=screen.live,
            )
        except LaplaceError as error:
            raise NoModelError(f"{error} Use --method nuts.") from None
    clock.take_over(datatree.meta(posterior)["seconds"])
    return posterior


@contextmanager
def _warnings_said(screen: Screen) -> Iterator[None]:
    """Show the sampler's own warnings as sentences, any other as Python does."""
    from bayesgmm.posterior.sampling import LaplaceWarning, OtherModeWarning, PseudoPosteriorWarning

    ours = (LaplaceWarning, OtherModeWarning, PseudoPosteriorWarning)
    with warnings.catch_warnings():
        for kind in ours:
            warnings.simplefilter("always", kind)
        otherwise = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, ours):
                screen.warn(str(message))
            else:
                otherwise(message, category, *place, **more)

        warnings.showwarning = show
        yield


def compare_best(
    observations: Observations,
    comparison: Comparison,
    criterion: str,
    most: int,
    screen: Screen,
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    seed: int,
) -> "PosteriorComparison":
    """Sample the posteriors of the best numbers of components, and show how they compare.

    Those of the family of the best model, by the criterion, in rising order of K.

    Parameters
    ----------
    comparison : Comparison
        With at least one admissible model.
    most : int
        How many.
    """
    table = comparison.table[comparison.table["admissible"].astype(bool)]
    family = table.loc[table[criterion].astype(float).idxmin(), "covariance_type"]
    best = table[table["covariance_type"] == family].nsmallest(most, criterion)
    counts = sorted(int(k) for k in best["n_components"])
    screen.say(
        f"Sampling the posteriors of K = {join([str(k) for k in counts])} ({family}), {chains} chains x ({tune} "
        f"warm-up + {draws} draws) each."
    )
    from bayesgmm.posterior.sampling import sample_posterior
    from bayesgmm.selection.compare_posteriors import compare_posteriors

    posteriors = {}
    with _warnings_said(screen):
        for k in counts:
            posteriors[f"K = {k}"] = sample_posterior(
                observations,
                k,
                covariance_type=family,
                start=comparison.fits[family, k],
                noise=comparison.fits[family, k].noise,
                draws=draws,
                tune=tune,
                chains=chains,
                cores=cores,
                random_seed=seed,
                progressbar=screen.live,
            )
        found = compare_posteriors(posteriors, random_seed=seed, progressbar=screen.live)
    screen.show(report.posterior_comparison_section(found))
    return found


def _draw_pictures(posterior: xr.DataTree, out: Path, clock: Clock, screen: Screen) -> None:
    from bayesgmm.plots.components import plot_components
    from bayesgmm.plots.density import plot_density
    from bayesgmm.plots.membership import plot_membership

    rows = datatree.view(posterior).observe(None)
    if rows.missing is not None and rows.missing.any():
        complete = np.flatnonzero(~rows.missing.any(axis=1))
        if len(complete) < 2:
            screen.warn("every row has a missing value, so no picture is drawn.")
            return
        screen.say(f"Pictures show the {len(complete)} rows without a missing value.")
        rows = rows.take(complete)
    clock.lap("imports")
    pictures = {
        "density.png": plot_density,
        "components.png": plot_components,
        "membership.png": plot_membership,
    }
    for name, picture in pictures.items():
        with replacing(out / name) as temporary:
            picture(posterior, rows).savefig(temporary)
    clock.lap("pictures")


def _numbers(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
