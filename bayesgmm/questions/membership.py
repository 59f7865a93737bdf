"""Who belongs where, how sure, and how sure of that: membership probabilities with intervals."""

import threading
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.special import entr

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.over_draws import sweep_blocks
from bayesgmm.kernel.passes import for_each_block, map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import (
    COMPONENT,
    OBS,
    MixtureView,
    fixed_labels,
    netcdf_labels,
    posterior_parameters,
    view,
)
from bayesgmm.posterior.intervals import COMPILED_FROM, check_ci_prob, equal_tailed, interval
from bayesgmm.questions.novelty import (
    FEWEST_SIMULATED,
    MOST_KINDS,
    kinds_of_rows,
    mean_log_density,
    seen_like,
    simulated_observations,
    tail_probability,
)
from bayesgmm.tools.progress import progress


def membership(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    ci_prob: float | None = None,
    intervals: bool = True,
    n_simulated: int = 2000,
    random_seed: int = 0,
    progressbar: bool = True,
) -> xr.Dataset:
    """Give membership probabilities of rows, with intervals over the posterior.

    r_nk = weights_k N(x_n | mu_k, Sigma_k) / p(x_n) in each draw. Its posterior mean is P(z_n = k | data); its interval
    says how far the parameters leave that probability open. Time is O(S N K D^2); memory, the result and a few blocks.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no interval).
    X : table, optional
        Rows to judge; the fitted rows by default.
    ci_prob : float, optional
        Probability of the intervals; ``az.rcParams["stats.ci_prob"]`` by default.
    intervals : bool
        Whether to find the intervals of the probabilities, which take longer than the probabilities.
    n_simulated : int
        Rows simulated for the tail probabilities; 0 leaves these out.
    random_seed : int
        Seed of that simulation.
    progressbar : bool
        Show the rows done on standard error, where that is a terminal and it takes more than a few seconds.

    Returns
    -------
    Dataset
        Over (obs_id, component): ``probability``, ``probability_lower``, ``probability_upper``, and
        ``probability_em``, that of the maximum-likelihood fit, where the DataTree has it, its components matched to
        those of the posterior. Over obs_id: ``label`` (most probable component), ``label_agreement`` (share of draws
        whose most probable component it is), ``entropy`` of the probabilities (nats; 0 to log K), ``log_density`` (log
        of the mean density over draws, per unit of volume of the data) and ``tail_probability`` (probability that the
        mixture makes a row of no more density: small for a row unlike the data; see `bayesgmm.questions.novelty`; of a
        row with missing values or errors, among rows seen likewise, or NaN where these are of too many kinds). With a
        noise component, over obs_id also ``noise_probability``, ``noise_probability_lower``,
        ``noise_probability_upper`` and ``noise_probability_em``: the probabilities of a row sum to one minus that of
        noise, ``label`` is -1 where noise is more probable than any component, and it counts as one of them in
        ``label_agreement``, ``entropy`` and ``n_switched``; the density is that of components and noise together. One
        number: ``n_switched``, how many rows a draw puts elsewhere than ``label`` does, on average over draws (the sum
        of 1 - label_agreement), with ``n_switched_lower`` and ``n_switched_upper``.
        A fit has no draws, hence neither ends of intervals, ``label_agreement`` nor ``n_switched``.

    Raises
    ------
    DataError, ValueError, TypeError
        For rows that do not fit the mixture, a probability or a number of rows that is none, or another source.

    See Also
    --------
    coclustering, partition : the same question asked without labels.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, section 4.2 (tail probabilities by simulation).

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> found = bg.membership(gm, [[3.0, 68.0], [3.0, 200.0]])
    >>> found["probability"].values.round(2).max(axis=1)
    array([0.92, 1.  ])
    >>> found["tail_probability"].values < 0.001
    array([False,  True])
    """
    if isinstance(n_simulated, bool) or int(n_simulated) != n_simulated or n_simulated < 0:
        raise ValueError(f"`n_simulated` must be a whole number of rows, 0 or more; received {n_simulated!r}.")
    mixture = view(dt)
    observations = mixture.observe(X)
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    compiled = _compiled(observations, mixture)
    rows = _over_rows(observations, mixture, prob if intervals else None, compiled=compiled, progressbar=progressbar)
    result = xr.Dataset(
        coords={OBS: netcdf_labels(observations.row_labels), COMPONENT: np.arange(mixture.parameters.n_components)}
    )

    def add(name: str, values: Any, text: str, **attrs: Any) -> None:
        dims = (OBS, COMPONENT)[: np.ndim(values)]
        result[name] = (dims, values, {"long_name": text, **attrs})

    K = mixture.parameters.n_components
    said = {"": (rows.mean, "mean over draws")}
    if rows.lower is not None and rows.upper is not None:
        said["_lower"] = (rows.lower, "lower end of the interval over draws")
        said["_upper"] = (rows.upper, "upper end of the interval over draws")
    if isinstance(dt, xr.DataTree) and "em" in dt.children:
        said["_em"] = (_em_probability(dt, observations, mixture.parameters), "EM fit")
    for name, (values, text) in said.items():
        add(f"probability{name}", values[:, :K], f"P(component | row), {text}")
    if mixture.parameters.noise is not None:
        for name, (values, text) in said.items():
            add(f"noise_probability{name}", values[:, K], f"P(noise | row), {text}")
    label = rows.mean.argmax(axis=1)
    add("label", np.where(label == K, NOISE_LABEL, label), "most probable component")
    if mixture.has_draws:
        add("label_agreement", rows.agreement, "share of draws that agree with the label")
    add("entropy", entr(rows.mean).sum(axis=1), "entropy of the probabilities", units="nat")
    add("log_density", rows.log_density, "log of the mean density over draws")
    if n_simulated:
        rng = np.random.default_rng(random_seed)
        tail, n_each = _tail_probabilities(observations, mixture, rows.log_density, int(n_simulated), rng, compiled)
        text = "P(density of a row of the mixture, seen alike, <= density of this row)"
        add("tail_probability", tail, text, n_simulated=n_each, largest_standard_error=0.5 / n_each**0.5)
    if mixture.has_draws:
        lower, upper = interval(rows.switched, prob)
        add("n_switched", rows.switched.mean(), "rows that a draw puts elsewhere than their label, mean over draws")
        add("n_switched_lower", lower, "lower end of the interval over draws")
        add("n_switched_upper", upper, "upper end of the interval over draws")
        result.attrs["ci_prob"] = prob
    return result


def _tail_probabilities(
    observations: Observations,
    mixture: MixtureView,
    log_density: np.ndarray,
    n_simulated: int,
    rng: np.random.Generator,
    compiled: bool,
) -> tuple[np.ndarray, int]:
    """Tail probability of each row among simulated ones that are seen alike, and how many those are."""
    kinds = kinds_of_rows(observations)
    if len(kinds) > MOST_KINDS:
        kinds = [kind for kind in kinds if kind.missing is None and kind.error is None]
    n_each = max(n_simulated // max(len(kinds), 1), min(FEWEST_SIMULATED, n_simulated))
    tail = np.full(observations.n_rows, np.nan)
    for kind in kinds:
        simulated = seen_like(simulated_observations(mixture.parameters, n_each, rng), kind, rng)
        reference = _over_rows(simulated, mixture, None, compiled=compiled, progressbar=False).log_density
        tail[kind.rows] = tail_probability(log_density[kind.rows], reference)
    return tail, n_each


class _Rows(NamedTuple):
    """What one pass over the rows leaves: (N, K), (N,), and the count of each draw, (S,); K is one more with noise."""

    mean: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None
    agreement: np.ndarray
    log_density: np.ndarray
    switched: np.ndarray


def _compiled(observations: Observations, mixture: MixtureView) -> bool:
    """Whether the compiled sweep saves more time than its compilation takes."""
    return mixture.has_draws and float(observations.n_rows) * mixture.parameters.weights.size >= COMPILED_FROM


def _over_rows(
    observations: Observations, mixture: MixtureView, prob: float | None, *, compiled: bool, progressbar: bool
) -> _Rows:
    """Summarise r_nk of every row over draws; intervals of probability `prob`, or none."""
    N, (S, K) = observations.n_rows, mixture.parameters.weights.shape
    K += mixture.parameters.noise is not None
    wanted = prob is not None
    compiled = compiled and (not wanted or equal_tailed())
    mean, agreement, log_density = np.empty((N, K)), np.empty(N), np.empty(N)
    ends = np.empty((2, N, K) if wanted else (2, 0, K))
    switched, lock = np.zeros(S), threading.Lock()

    def count(elsewhere: np.ndarray) -> None:
        with lock:
            # whole numbers: the order of addition does not matter
            np.add(switched, elsewhere, out=switched)

    with progress("memberships of rows", N, show=progressbar) as advance:

        def plain(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
            block_mean, best, log_density[rows] = sweep(log_joint)
            elsewhere = best != block_mean.argmax(axis=0)
            mean[rows] = block_mean.T
            agreement[rows] = 1 - elsewhere.mean(axis=0)
            if wanted:
                ends[:, rows] = np.swapaxes(interval(log_joint, prob), 1, 2)
            count(elsewhere.sum(axis=1))
            advance(len(best[0]))

        def fast(rows: slice | np.ndarray, eta: np.ndarray, features: np.ndarray, log_joint: np.ndarray) -> None:
            from bayesgmm.kernel.compiled import over_draws as draws

            B = features.shape[1] or log_joint.shape[2]
            tail = 0.0 if prob is None else (1 - prob) / 2
            block_mean, block_ends = np.empty((K, B)), np.empty((2, K, B if wanted else 0))
            block_agreement, block_density = np.empty(B), np.empty(B)
            elsewhere = np.zeros(S, dtype=np.int64)
            draws.memberships(
                eta, features, log_joint, tail, 1 - tail,
                block_mean, block_ends[0], block_ends[1], block_agreement, block_density, elsewhere,
            )  # fmt: skip
            mean[rows], agreement[rows], log_density[rows] = block_mean.T, block_agreement, block_density
            if wanted:
                ends[:, rows] = np.swapaxes(block_ends, 1, 2)
            count(elsewhere)
            advance(B)

        if compiled:
            sweep_blocks(fast, observations, mixture.parameters)
        else:
            for_each_block(plain, observations, mixture.parameters)
    lower, upper = ends if wanted else (None, None)
    return _Rows(mean, lower, upper, agreement, log_density, switched)


def sweep(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn log joint densities (S, K, B), of noise too, into memberships, in place, and sum them up.

    Returns
    -------
    mean : (K, B) float64
        Mean of r_nk over draws.
    best : (S, B) int
        Most probable component in each draw.
    log_density : (B,) float64
        Log of the mean over draws of p(x_n).
    """
    best = log_joint.argmax(axis=1)
    log_density = mean_log_density(normalise(log_joint))
    return log_joint.mean(axis=0), best, log_density


def _em_probability(dt: xr.DataTree, observations: Observations, draws: MixtureParameters) -> np.ndarray:
    """Memberships (N, K) of the maximum-likelihood fit; its components in the order of the posterior's mean mixture.

    With noise, (N, K + 1).
    """
    em = posterior_parameters(dt, "em")
    centre = MixtureParameters.from_covariances(
        *(a.mean(axis=0) for a in (draws.weights, draws.means, draws.covariances))
    )
    em = em.permute(align(em.flat(), centre, fixed=fixed_labels(dt)).permutation[0])

    def memberships(log_joint: np.ndarray) -> np.ndarray:
        normalise(log_joint)
        return log_joint.T

    return map_rows(memberships, observations, em, trailing=(em.n_components + (em.noise is not None),))
