"""Who belongs where, how sure, and how sure of that: membership probabilities with intervals."""

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import entr

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.draws import mean_mixture
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import COMPONENT, OBS, fixed_labels, netcdf_labels, posterior_parameters, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.novelty import tail_probabilities
from bayesgmm.questions.summaries import compiling_pays, summarise_memberships
from bayesgmm.tools.integers import check_integer


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
    >>> sure = bg.membership(gm, [[3.0, 68.0], [3.0, 200.0]])
    >>> sure["probability"].values.round(2).max(axis=1)
    array([0.92, 1.  ])
    >>> sure["tail_probability"].values < 0.001
    array([False,  True])
    """
    n_simulated = check_integer("n_simulated", n_simulated, 0)
    mixture = view(dt)
    observations = mixture.observe(X)
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    parameters, K = mixture.parameters, mixture.parameters.n_components
    compiled = compiling_pays(observations, parameters)
    rows = summarise_memberships(
        observations, parameters, prob if intervals else None, compiled=compiled, progressbar=progressbar
    )
    result = xr.Dataset(coords={OBS: netcdf_labels(observations.row_labels), COMPONENT: np.arange(K)})

    def add(name: str, values: Any, text: str, **attrs: Any) -> None:
        dims = (OBS, COMPONENT)[: np.ndim(values)]
        result[name] = (dims, values, {"long_name": text, **attrs})

    probabilities = {"": (rows.mean, "mean over draws")}
    if rows.lower is not None and rows.upper is not None:
        probabilities["_lower"] = (rows.lower, "lower end of the interval over draws")
        probabilities["_upper"] = (rows.upper, "upper end of the interval over draws")
    if isinstance(dt, xr.DataTree) and "em" in dt.children:
        probabilities["_em"] = (_em_probability(dt, observations, parameters), "EM fit")
    for end, (values, text) in probabilities.items():
        add(f"probability{end}", values[:, :K], f"P(component | row), {text}")
    if parameters.noise is not None:
        for end, (values, text) in probabilities.items():
            add(f"noise_probability{end}", values[:, K], f"P(noise | row), {text}")
    label = rows.mean.argmax(axis=1)
    add("label", np.where(label == K, NOISE_LABEL, label), "most probable component")
    if mixture.has_draws:
        add("label_agreement", rows.agreement, "share of draws that agree with the label")
    add("entropy", entr(rows.mean).sum(axis=1), "entropy of the probabilities", units="nat")
    add("log_density", rows.log_density, "log of the mean density over draws")
    if n_simulated:
        rng = np.random.default_rng(random_seed)
        tail, n_each = tail_probabilities(
            observations, parameters, rows.log_density, n_simulated, rng, compiled=compiled
        )
        text = "P(density of a row of the mixture, seen alike, <= density of this row)"
        add("tail_probability", tail, text, n_simulated=n_each, largest_standard_error=0.5 / n_each**0.5)
    if mixture.has_draws:
        lower, upper = interval(rows.switched, prob)
        add("n_switched", rows.switched.mean(), "rows that a draw puts elsewhere than their label, mean over draws")
        add("n_switched_lower", lower, "lower end of the interval over draws")
        add("n_switched_upper", upper, "upper end of the interval over draws")
        result.attrs["ci_prob"] = prob
    return result


def _em_probability(dt: xr.DataTree, observations: Observations, draws: MixtureParameters) -> np.ndarray:
    """Memberships (N, K) of the maximum-likelihood fit; its components in the order of the posterior's mean mixture.

    With noise, (N, K + 1).
    """
    em = posterior_parameters(dt, "em")
    em = em.permute(align(em.flat(), mean_mixture(draws), fixed=fixed_labels(dt)).permutation[0])

    def memberships(log_joint: np.ndarray) -> np.ndarray:
        normalise(log_joint)
        return log_joint.T

    return map_rows(memberships, observations, em, trailing=(em.n_components + (em.noise is not None),))
