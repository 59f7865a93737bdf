"""Simulation-based calibration (Talts et al. 2018): parameters from the prior, data from them, posterior ranks uniform.

One model is compiled for each configuration; its data array is overwritten from replication to replication. Of the two
chains one starts at the truth, which is a draw from the posterior, the other at an independent draw from the prior.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import arviz_stats
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import xarray as xr
from pymc.distributions.transforms import Transform
from pytensor.graph.replace import vectorize_graph

from bayesgmm import priors
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.model.families import parametrisation
from bayesgmm.model.mixture_model import mixture_model, specification
from bayesgmm.sampler.log_density import LogDensity, compile_log_density
from bayesgmm.sampler.nuts import draw_unconstrained
from bayesgmm.sampler.unconstrained import unconstrained_point, unconstrained_space
from tests.calibration.bands import p_value
from tests.support.reference import INTERPRETED

N_ROWS = 30
KEPT = 99
"""Draws the truth is ranked among: L of the bands."""

TUNE, DRAWS = 400, 750
LEAST_ESS = 150
"""Kept draws are nearly independent when the effective draws exceed them; below this the chains run on."""

LONGER = (1, 4, 16)
POINTS = np.array([[0.0, 0.0], [1.5, -1.0]])
PARAMETERS = ("weights", "means", "covariances")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One study.

    Parameters
    ----------
    covariance_type : str
    n_features, n_components : int
    prior : Prior
        With every number given, so that it does not look at the data.
    name : str
    assumed : Prior, optional
        Planted fault: the posterior's prior, where it is not the one that the parameters came from.
    without_jacobian : str, optional
        Planted fault: the free variable whose transform loses its Jacobian.
    noise : (lower, upper), optional
        Edges of the box that noise is in, in every feature.
    """

    covariance_type: str
    n_features: int
    n_components: int
    prior: priors.Prior
    name: str
    assumed: priors.Prior | None = None
    without_jacobian: str | None = None
    noise: tuple[float, float] | None = None

    @property
    def background(self) -> Background | None:
        """Where noise is."""
        if self.noise is None:
            return None
        return Background.box(*(np.full(self.n_features, edge) for edge in self.noise))

    @property
    def faulty(self) -> bool:
        """Whether a fault is planted, so that the ranks must not be uniform."""
        return self.assumed is not None or self.without_jacobian is not None


class WithoutJacobian(Transform):
    """A transform that says its Jacobian is one."""

    def __init__(self, whole: Transform) -> None:
        self.whole, self.name, self.ndim_supp = whole, whole.name, whole.ndim_supp

    def forward(self, value, *inputs):
        return self.whole.forward(value, *inputs)

    def backward(self, value, *inputs):
        return self.whole.backward(value, *inputs)

    def log_jac_det(self, value, *inputs):
        return pt.zeros_like(self.whole.log_jac_det(value, *inputs))


def quantities(
    X: np.ndarray,
    background: Background | None,
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    noise_weight: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Quantities of S mixtures that do not know their labels, each (S,).

    Parameters
    ----------
    X : (N, D)
    weights, means, covariances : (S, K), (S, K, D), (S, K, D, D)
    noise_weight : (S,), where there is a background
    """
    D = X.shape[1]
    log_dets = np.linalg.slogdet(covariances)[1]
    precisions = np.linalg.inv(covariances)

    def log_density(rows: np.ndarray) -> np.ndarray:
        residuals = rows - means[:, :, None]
        squares = np.einsum("sknd,skde,skne->skn", residuals, precisions, residuals, optimize=True)
        constants = np.log(weights) - 0.5 * (log_dets + D * np.log(2 * np.pi))
        found = np.logaddexp.reduce(constants[:, :, None] - 0.5 * squares, axis=1)
        if background is None or noise_weight is None:
            return found
        density = np.exp(-background.log_volume) * background.contains(rows)
        return np.log((1 - noise_weight[:, None]) * np.exp(found) + noise_weight[:, None] * density)

    centre = np.einsum("sk,skd->sd", weights, means)
    second = np.einsum("skdd->skd", covariances) + (means - centre[:, None]) ** 2
    spread = np.einsum("sk,skd->sd", weights, second)
    found = {"log_likelihood": log_density(X).sum(axis=1)}
    found |= {f"mean_{d}": centre[:, d] for d in range(D)} | {f"variance_{d}": spread[:, d] for d in range(D)}
    found |= {f"log_density_{i}": value for i, value in enumerate(log_density(POINTS[:, :D]).T)}
    found |= {"smallest_log_det": log_dets.min(axis=1)}
    if np.ptp(log_dets, axis=1).max() > 1e-6:
        found |= {"largest_log_det": log_dets.max(axis=1)}
    if weights.shape[1] > 1:
        entropy = -(weights * np.log(weights)).sum(axis=1)
        found |= {"largest_weight": weights.max(axis=1), "weight_entropy": entropy}
    return found if noise_weight is None else found | {"noise_weight": noise_weight}


def parameter_names(model: pm.Model) -> tuple[str, ...]:
    """Names of the variables that a mixture is made of."""
    return (*PARAMETERS, *(["noise_weight"] if "noise_weight" in model.named_vars else []))


def arrays_of(mixtures: MixtureParameters) -> list[np.ndarray]:
    """Their arrays."""
    found = [getattr(mixtures, name) for name in PARAMETERS]
    return found if mixtures.noise is None else [*found, mixtures.noise.weight]


def prior_draws(model: pm.Model, draws: int, seed: int) -> MixtureParameters:
    """Mixtures from the prior, batch shape (draws,)."""
    drawn = pm.draw([model[name] for name in parameter_names(model)], draws, mode=INTERPRETED, random_seed=seed)
    found = MixtureParameters.from_covariances(*drawn[:3])
    background = specification(model).background
    return found if background is None else replace(found, noise=Noise(drawn[3], background))


def starting_vectors(model: pm.Model, mixtures: MixtureParameters) -> np.ndarray:
    """Unconstrained vectors of mixtures; where orientations have a chart its middle moves to those of the first."""
    given = specification(model)
    family = parametrisation(given.covariance_type)
    centre = ()
    if given.centre is not None:
        stored = model["orientation_centre"].get_value(borrow=True)
        stored[:] = family.centre(mixtures.covariances[0])
        centre = (stored,)
    starts = []
    for s in range(len(mixtures.weights)):
        values = family.start(given.prior.covariances, mixtures.covariances[s], *centre)
        values |= {"means": mixtures.means[s], "weights": mixtures.weights[s]}
        if mixtures.noise is not None:
            values |= {"noise_weight": mixtures.noise.weight[s]}
        starts.append(unconstrained_point(model, {rv.name: values[rv.name] for rv in model.free_RVs}))
    return np.array(starts)


def compiled(configuration: Configuration) -> tuple[pm.Model, LogDensity, np.ndarray]:
    """Model that posteriors are sampled from, its log density, and the (N, D) array that both read the data from."""
    rng = np.random.default_rng(5)
    some = rng.normal(size=(N_ROWS, configuration.n_features))
    if configuration.noise is not None:
        some[0] = 2 * configuration.noise[1]  # outside, so that each row has a density of its own
    model = mixture_model(
        some,
        configuration.n_components,
        covariance_type=configuration.covariance_type,
        prior=configuration.assumed or configuration.prior,
        noise=configuration.background,
    )
    if configuration.without_jacobian is not None:
        rv = model[configuration.without_jacobian]
        model.rvs_to_transforms[rv] = WithoutJacobian(model.rvs_to_transforms[rv])
    density = compile_log_density(model)
    X = model["x_data"].get_value(borrow=True)
    for name in {"x_data", "orientation_centre", "background_log_density"} & set(model.named_vars):
        assert any(np.shares_memory(model[name].get_value(borrow=True), array) for array in density.data)
    return model, density, X


def constrainer(model: pm.Model) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Function from unconstrained vectors (S, n) to weights, means and covariances, its graph built once."""
    vectors = pt.tensor("vectors", dtype="float64", shape=(None, unconstrained_space(model).size))
    parts = unconstrained_space(model).split(vectors)
    values = {value: parts[value.name] for value in (model.rvs_to_values[rv] for rv in model.free_RVs)}
    names = parameter_names(model)
    outputs = [o for o in model.unobserved_value_vars if o.name in names]
    function = pytensor.function([vectors], vectorize_graph(outputs, replace=values), mode=INTERPRETED)
    batched = [output.name for output in outputs]

    def constrain(draws: np.ndarray) -> list[np.ndarray]:
        found = dict(zip(batched, function(draws), strict=True))
        K = model[PARAMETERS[1]].type.shape[0]
        found[PARAMETERS[0]] = np.broadcast_to(found[PARAMETERS[0]], (len(draws), K))
        return [found[name] for name in names]

    return constrain


def posterior_quantities(
    constrain: Callable,
    density: LogDensity,
    X: np.ndarray,
    background: Background | None,
    starts: np.ndarray,
    seed: int,
) -> tuple[dict[str, np.ndarray], float, float]:
    """Quantities over (chain, draw), their smallest bulk ESS and largest R-hat."""
    for longer in LONGER:
        drawn = draw_unconstrained(
            density, starts, draws=longer * DRAWS, tune=TUNE, cores=1, random_seed=seed, progressbar=False
        )
        shape = drawn.values.shape[:2]
        arrays = constrain(drawn.values.reshape(-1, drawn.values.shape[2]))
        found = {name: value.reshape(shape) for name, value in quantities(X, background, *arrays).items()}
        ess = min(float(arviz_stats.ess(value, chain_axis=0, draw_axis=1)) for value in found.values())
        if ess >= LEAST_ESS:
            break
    rhat = max(float(arviz_stats.rhat(value, chain_axis=0, draw_axis=1)) for value in found.values())
    return found, ess, rhat


def calibrate(configuration: Configuration, replications: int, seed: int = 7) -> xr.DataTree:
    """Rank the truth among its posterior draws, again and again.

    Returns
    -------
    DataTree
        Group ``prior_sbc`` for `az.plot_ecdf_pit`: for each quantity, over (chain, draw), one draw for each
        replication, (rank + u) / (KEPT + 1) with u uniform, which is uniform itself. Group ``ranks``: the ranks, 0 to
        KEPT. Group ``sampling``: smallest bulk ESS and largest R-hat of each replication's quantities.
    """
    model, density, X = compiled(configuration)
    constrain = constrainer(model)
    source = model
    if configuration.assumed is not None:
        K, family = configuration.n_components, configuration.covariance_type
        source = mixture_model(X, K, covariance_type=family, prior=configuration.prior, noise=configuration.background)
    mixtures, background = prior_draws(source, 2 * replications, seed), configuration.background
    rng = np.random.default_rng(seed)
    ranks: dict[str, list[int]] = {}
    sampling: dict[str, list[float]] = {"ess": [], "rhat": []}
    for r in range(replications):
        truth = mixtures[r]
        X[:] = draw_rows(rng, truth, N_ROWS)[0]
        if background is not None:
            densities = model["background_log_density"].get_value(borrow=True)
            densities[:] = np.where(background.contains(X), -background.log_volume, -np.inf)
        starts = starting_vectors(model, mixtures[[r, replications + r]])
        found, ess, rhat = posterior_quantities(constrain, density, X, background, starts, seed + r)
        at_truth = quantities(X, background, *(array[None] for array in arrays_of(truth)))
        for name, value in found.items():
            kept = value.ravel()[np.linspace(0, value.size - 1, KEPT).astype(int)]
            ranks.setdefault(name, []).append(int((kept < at_truth[name]).sum()))
        sampling["ess"].append(ess)
        sampling["rhat"].append(rhat)
    pit = {name: (np.array(value) + rng.random(replications)) / (KEPT + 1) for name, value in ranks.items()}
    groups = {
        name: xr.Dataset({key: (("chain", "draw"), np.asarray(value)[None]) for key, value in group.items()})
        for name, group in (("prior_sbc", pit), ("ranks", ranks), ("sampling", sampling))
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["configuration"] = configuration.name
    return tree


def p_values(tree: xr.DataTree) -> dict[str, float]:
    """P-value of each quantity's ranks by its own simultaneous band."""
    return {str(name): p_value(values.values.ravel(), KEPT) for name, values in tree["ranks"].to_dataset().items()}
