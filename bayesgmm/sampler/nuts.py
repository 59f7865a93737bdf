"""NUTS on any PyMC model, through nutpie's sampler and our own callback.

`nutpie.compile_pymc_model` compiles for eight seconds each time; here the log density comes from PyTensor's cache
(`bayesgmm.sampler.log_density`), nutpie draws unconstrained vectors only, and NumPy constrains them all afterwards
(`bayesgmm.sampler.unconstrained`). Each chain is a sampler of its own, with its own start and its own seed, so that
the draws do not depend on how many run at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pymc as pm

from bayesgmm.sampler.log_density import Frame, LogDensity, compile_log_density
from bayesgmm.sampler.nutpie_adapter import SAMPLE_STATS, read_trace, start_chain
from bayesgmm.sampler.unconstrained import constrain_draws, initial_vector
from bayesgmm.tools.progress import Advance, progress
from bayesgmm.tools.threads import available_cores, single_threaded_blas

# A diagonal mass matrix cannot follow the means of correlated features: on iris, K = 1, it took 1.7 times the leapfrogs
# for an eighth of the effective draws. In a frame in which the posterior is about standard normal it is all that is
# needed, and is learned in a third of the warm-up.
_ADAPTATION, _ADAPTATION_IN_FRAME = "low_rank", "diag"
_POLL_SECONDS = 0.01
_N_START_TRIES = 10


class UnconstrainedDraws(NamedTuple):
    """Draws after warm-up, in the coordinates the sampler moves in.

    Parameters
    ----------
    values : (chain, draw, n) float64
    sample_stats : dict
        ArviZ's name -> array (chain, draw).
    chains : tuple of int
        Which rows of the starts these are: all of them, unless interrupted.
    interrupted : bool
    """

    values: np.ndarray
    sample_stats: dict[str, np.ndarray]
    chains: tuple[int, ...]
    interrupted: bool


@dataclass(frozen=True, slots=True)
class NutsResult:
    r"""What `sample_nuts` returns.

    Parameters
    ----------
    posterior : dict
        Name of each free variable and Deterministic -> (chain, draw, \*shape), constrained.
    sample_stats : dict
        ArviZ's name -> (chain, draw).
    unconstrained : (chain, draw, n) float64
        The same draws as the sampler saw them.
    chains : tuple of int
        Which rows of the starts these are: all of them, unless interrupted.
    interrupted : bool
        Whether Ctrl-C cut the chains short.
    timings : dict
        Seconds: ``graph``, ``compile``, ``sampling``, ``constrain``.
    """

    posterior: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    unconstrained: np.ndarray
    chains: tuple[int, ...]
    interrupted: bool
    timings: dict[str, float]


def sample_nuts(
    model: pm.Model,
    *,
    initial_points: np.ndarray | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    progressbar: bool = True,
    log_density: LogDensity | None = None,
    frames: Sequence[Frame | None] | None = None,
) -> NutsResult:
    """Draw from the posterior of a PyMC model with the No-U-Turn sampler.

    Parameters
    ----------
    model : pm.Model
        All of its free variables continuous.
    initial_points : (chains, n) float64, optional
        Where each chain starts (see `bayesgmm.sampler.unconstrained.unconstrained_point`); one chain per row. By
        default `chains` points around the model's own initial point.
    draws, tune : int
        Draws per chain that are kept, and warm-up draws before them; at least one of each.
    chains : int
        Number of chains when there are no `initial_points`.
    cores : int, optional
        Chains that run at once; by default as many as there are cores. The draws do not depend on it.
    random_seed : int, optional
    target_accept : float
        Acceptance rate which the step size is tuned to.
    progressbar : bool
        Whether to show one when standard error is a terminal.
    log_density : LogDensity, optional
        The model's compiled log density, if you have it already.
    frames : sequence of Frame or None, optional
        For each chain the coordinates it moves in; the vector itself for None. The posterior is the same, and so are
        `initial_points` and what is returned; a frame in which the posterior is about standard normal saves warm-up.

    Raises
    ------
    ValueError
        If a start has the wrong length, no finite density and gradient, or a gradient with an exact zero.
    KeyboardInterrupt
        If interrupted before any chain finished its warm-up; later interruptions return the draws made.

    References
    ----------
    Hoffman & Gelman (2014), JMLR 15, algorithm 6.
    """
    density = compile_log_density(model) if log_density is None else log_density
    timings = dict(density.timings) if log_density is None else {"graph": 0.0, "compile": 0.0}
    sampling_seed, start_seed = np.random.SeedSequence(random_seed).spawn(2)
    if initial_points is None:
        initial_points = jittered_starts(model, density, chains, np.random.default_rng(start_seed))

    started = time.perf_counter()
    unconstrained = draw_unconstrained(
        density,
        initial_points,
        draws=draws,
        tune=tune,
        cores=cores,
        random_seed=sampling_seed,
        target_accept=target_accept,
        progressbar=progressbar,
        frames=frames,
    )
    timings["sampling"] = time.perf_counter() - started
    started = time.perf_counter()
    posterior = constrain_draws(model, unconstrained.values)
    timings["constrain"] = time.perf_counter() - started
    return NutsResult(
        posterior=posterior,
        sample_stats=unconstrained.sample_stats,
        unconstrained=unconstrained.values,
        chains=unconstrained.chains,
        interrupted=unconstrained.interrupted,
        timings=timings,
    )


def jittered_starts(model: pm.Model, density: LogDensity, chains: int, rng: np.random.Generator) -> np.ndarray:
    """Draw starts around the model's initial point, each coordinate moved by U(-1, 1), as PyMC does.

    Returns
    -------
    (chains, n) float64, each with a finite density and gradient if ten tries found one.
    """
    centre = initial_vector(model)
    starts = np.empty((chains, centre.size))
    for start in starts:
        for _ in range(_N_START_TRIES):
            start[:] = centre + rng.uniform(-1.0, 1.0, centre.size)
            value, gradient = density(start)
            if np.isfinite(value) and np.all(np.isfinite(gradient)):
                break
    return starts


def draw_unconstrained(
    density: LogDensity,
    initial_points: np.ndarray,
    *,
    draws: int,
    tune: int,
    cores: int | None = None,
    random_seed: int | np.random.SeedSequence | None = None,
    target_accept: float = 0.8,
    progressbar: bool = True,
    frames: Sequence[Frame | None] | None = None,
) -> UnconstrainedDraws:
    """Run one NUTS chain from each start; the parameters are those of `sample_nuts`.

    An interrupt (Ctrl-C) keeps what was drawn, as the largest block of chains of equal length: two chains or more if
    two have draws after warm-up. A chain that had hardly begun is left out rather than cut the others short.
    """
    starts = np.ascontiguousarray(initial_points, dtype=np.float64)
    if starts.ndim != 2 or len(starts) == 0 or starts.shape[1] != density.space.size:
        raise ValueError(
            f"`initial_points` has shape {starts.shape}; expected (chains, {density.space.size}), "
            "one unconstrained vector per chain."
        )
    if draws < 1 or tune < 1:
        raise ValueError(f"`draws` is {draws} and `tune` is {tune}; expected at least 1 of each.")
    for chain, start in enumerate(starts):
        value, gradient = density(start)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            raise ValueError(
                f"The log density or its gradient is not finite at the start of chain {chain}: "
                f"log density {value}, gradient {gradient} — start it inside the support."
            )
        if not np.all(gradient):
            raise ValueError(
                f"The gradient at the start of chain {chain} is exactly zero in {np.sum(gradient == 0)} coordinates; "
                "nutpie takes its first scales from the gradient — move the start a little."
            )
    frames = [None] * len(starts) if frames is None else list(frames)
    if len(frames) != len(starts):
        raise ValueError(f"`frames` has {len(frames)} items for {len(starts)} chains; expected one for each.")
    densities = [density if frame is None else density.within(frame) for frame in frames]
    seeds = _seed_sequence(random_seed).generate_state(len(starts), np.uint64)
    reports = _Reports(len(starts))

    def start_one(chain: int) -> Any:
        frame = frames[chain]
        start = starts[chain] if frame is None else frame.to_z(starts[chain])
        return start_chain(
            densities[chain],
            start,
            draws=draws,
            tune=tune,
            seed=int(seeds[chain]),
            target_accept=target_accept,
            adaptation=_ADAPTATION if frame is None else _ADAPTATION_IN_FRAME,
            progress_callback=reports.of(chain),
        )

    total = len(starts) * (draws + tune)
    with single_threaded_blas(), progress(reports.text, total, show=progressbar) as advance:
        told = partial(reports.tell, advance)
        traces, interrupted = _run_chains(start_one, len(starts), cores or available_cores(), told)
    kept = _largest_block({chain: len(values) for chain, (values, _) in traces.items()})
    if kept is None:
        # chains that ran to their end have their draws
        raise KeyboardInterrupt
    chains, length = kept
    return UnconstrainedDraws(
        values=np.stack([_values(traces[chain][0][:length], frames[chain]) for chain in chains]),
        sample_stats={name: np.stack([traces[chain][1][name][:length] for chain in chains]) for name in SAMPLE_STATS},
        chains=chains,
        interrupted=interrupted,
    )


def _values(drawn: np.ndarray, frame: Frame | None) -> np.ndarray:
    return drawn if frame is None else frame.to_x(drawn)


def _seed_sequence(seed: int | np.random.SeedSequence | None) -> np.random.SeedSequence:
    return seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)


class _Reports:
    """How far each chain has come, as nutpie says from threads of its own."""

    def __init__(self, n_chains: int) -> None:
        self._draws, self._divergences = np.zeros((2, n_chains), dtype=int)
        self._told = 0

    def of(self, chain: int) -> Callable[[list], None]:
        """Give what nutpie calls with the progress of its one chain."""

        def report(chains: list) -> None:
            self._draws[chain] = chains[0].finished_draws
            self._divergences[chain] = chains[0].divergences

        return report

    @property
    def text(self) -> str:
        return f"Sampling {len(self._draws)} chains, {self._divergences.sum()} divergences"

    def tell(self, advance: Advance) -> None:
        """Pass on what has changed."""
        before, self._told = self._told, int(self._draws.sum())
        advance(self._told - before, self.text)


def _run_chains(
    start_chain: Callable[[int], Any], n_chains: int, cores: int, told: Callable[[], None]
) -> tuple[dict, bool]:
    """Run the chains, `cores` at a time; return chain -> (values, statistics), and whether Ctrl-C cut them short."""
    waiting = deque(range(n_chains))
    running: dict[int, Any] = {}
    traces: dict[int, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < cores:
                running[waiting[0]] = start_chain(waiting[0])
                waiting.popleft()
            for chain, sampler in list(running.items()):
                try:
                    trace = sampler.wait(timeout=_POLL_SECONDS)
                except TimeoutError:  # still drawing
                    continue
                traces[chain] = read_trace(trace)
                del running[chain]
            told()
    except KeyboardInterrupt:
        for chain, sampler in running.items():
            if chain not in traces:
                traces[chain] = read_trace(sampler.abort())
        return traces, True
    except BaseException:
        for sampler in running.values():
            sampler.cancel()
        raise
    return traces, False


def _largest_block(lengths: dict[int, int]) -> tuple[tuple[int, ...], int] | None:
    """Choose chains and a common number of draws: two chains or more if two have any, then the most draws in all."""
    longest_first = sorted(lengths, key=lambda chain: -lengths[chain])
    blocks = [(longest_first[: i + 1], lengths[chain]) for i, chain in enumerate(longest_first) if lengths[chain]]
    if not blocks:
        return None
    # R-hat needs two chains; of equal blocks the one with more chains.
    chains, length = max(blocks, key=lambda block: (len(block[0]) > 1, len(block[0]) * block[1], len(block[0])))
    return tuple(sorted(chains)), length
