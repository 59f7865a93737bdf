"""Where groups, dimensions and coordinates are named: parameters in, a DataTree in ArviZ's schema out, and back.

Nothing else in the package spells a dimension, or reads and writes the JSON of the root attribute. May import xarray
and the modules below it, not PyMC or PyTensor.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import covariance_family
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.factors import precision_factors
from bayesgmm.tools.atomic import replacing

MODE, IMPORTANCE_DRAW = "mode", "importance_draw"
CHAIN, DRAW, COMPONENT, FEATURE, FEATURE_BIS, OBS = "chain", "draw", "component", "feature", "feature_bis", "obs_id"
UNIT = "unit"
"""Coordinate along ``feature`` of the observed data."""

CONSTANT = "constant_data"
ROW_WEIGHTS, ERRORS, KNOWN_LABELS, LABEL_NAMES = "row_weights", "errors", "known_labels", "label_names"
"""What is stored beside the values of the rows, where it was given."""

NOISE, NOISE_WEIGHT = "noise", "noise_weight"
"""Key of the background in the root attribute; variable over the draws."""

CELL = "cell"
"""Values of the observed data that are missing or were measured with an error."""

SCHEMA_VERSION = 1
"""Of what is written here; this and every earlier one is read."""

META = "bayesgmm"
"""Root attribute that says, in JSON, how a posterior was made."""


@dataclass(frozen=True, slots=True, eq=False)
class MixtureView:
    """A fit or a posterior, seen alike: S mixtures over one leading dimension, S = 1 for a maximum-likelihood fit.

    Attributes
    ----------
    parameters : MixtureParameters
        Batch shape (S,), in the units of the data, components aligned.
    has_draws : bool
        Whether the S mixtures are posterior draws, so that intervals mean something.
    feature_names, units : tuple of D str
    observations : Observations or None
        The rows it was fitted to, where they are kept.
    """

    parameters: MixtureParameters
    has_draws: bool
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    observations: Observations | None

    def observe(self, X: Any) -> Observations:
        """Rows to look at: new ones, or the fitted ones when X is None.

        Raises
        ------
        ValueError
            When X is None and the source keeps no rows (a fitted GaussianMixture does not).
        """
        if X is not None:
            return as_new_observations(X, self.parameters, self.feature_names)
        if self.observations is None:
            raise ValueError("a fitted GaussianMixture keeps no data: pass the rows as `X`.")
        return self.observations


def view(source: "xr.DataTree | GaussianMixture") -> MixtureView:
    """Read a posterior DataTree or a fitted GaussianMixture.

    Raises
    ------
    TypeError
        When it is neither.
    ValueError
        When the DataTree has no mixture posterior; the missing variables are named.
    """
    if isinstance(source, GaussianMixture):
        names = source.feature_names
        return MixtureView(source.parameters_.flat(), False, names, source.units, None)
    if not isinstance(source, xr.DataTree):
        raise TypeError(f"expected a posterior (xarray.DataTree) or a fitted GaussianMixture, got {type(source)!r}.")
    parameters = posterior_parameters(source).flat()
    observed = source["observed_data"].to_dataset()["x"] if "observed_data" in source.children else None
    names = tuple(str(name) for name in source["posterior"].to_dataset()[FEATURE].values)
    units, observations = ("",) * len(names), None
    if observed is not None:
        if UNIT in observed.coords:
            units = tuple(str(unit) for unit in observed[UNIT].values)
        observations = _stored_observations(source, observed.transpose(OBS, FEATURE), parameters, names)
    return MixtureView(parameters, True, names, units, observations)


def _stored_observations(
    source: xr.DataTree, observed: xr.DataArray, parameters: MixtureParameters, names: tuple[str, ...]
) -> Observations:
    """Rows with all that was known of them: missing values, weights, errors, components."""
    known = source[CONSTANT].to_dataset() if CONSTANT in source.children else xr.Dataset()
    weights = known[ROW_WEIGHTS].values if ROW_WEIGHTS in known else None
    errors = None
    if ERRORS in known:
        dims = (OBS, FEATURE, FEATURE_BIS)[: known[ERRORS].ndim]
        errors = known[ERRORS].transpose(*dims).values
    observations = as_new_observations(observed, parameters, names, weights=weights, errors=errors)
    if KNOWN_LABELS not in known:
        return observations
    labels = known[KNOWN_LABELS]
    label_names = json.loads(labels.attrs[LABEL_NAMES]) if LABEL_NAMES in labels.attrs else None
    return replace(
        observations,
        known_labels=labels.values.astype(np.int64),
        label_names=None if label_names is None else tuple(label_names),
    )


def _constant_data(observations: Observations, coords: Mapping[str, Any]) -> xr.Dataset | None:
    """Lay down what comes with the rows, as `_stored_observations` reads it; None where nothing does."""
    known: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]] = {}
    if observations.weights is not None:
        known[ROW_WEIGHTS] = ((OBS,), observations.weights, {"units": "1"})
    if (errors := observations.errors) is not None:
        text = "variances or covariances of the measurement errors, in squared units"
        known[ERRORS] = ((OBS, FEATURE, FEATURE_BIS)[: errors.ndim], errors, {"long_name": text})
    if observations.known_labels is not None:
        attrs = {"long_name": "component where it is known, -1 where not"}
        if observations.label_names is not None:
            attrs[LABEL_NAMES] = json.dumps(observations.label_names)
        known[KNOWN_LABELS] = ((OBS,), observations.known_labels, attrs)
    if not known:
        return None
    used = {dim for dims, _, _ in known.values() for dim in dims}
    names = list(observations.feature_names)
    every = {**coords, FEATURE: names, FEATURE_BIS: names}
    return xr.Dataset(known, coords={dim: values for dim, values in every.items() if dim in used})


def posterior_parameters(dt: xr.DataTree, group: str = "posterior") -> MixtureParameters:
    """Parameters of a group, with its leading dimensions ((chain, draw), or none for the group ``em``)."""
    if group not in dt.children:
        raise ValueError(f"the DataTree has no group {group!r}; it has {sorted(dt.children)}.")
    data = dt.children[group]
    missing = [name for name in ("weights", "means", "covariances") if name not in data]
    if missing:
        raise ValueError(f"group {group!r} lacks {missing}: expected what `sample_posterior` returns.")
    lead = [dim for dim in (CHAIN, DRAW) if dim in data["weights"].dims]
    covariances = data["covariances"].transpose(*lead, COMPONENT, FEATURE, FEATURE_BIS).values
    parameters = MixtureParameters.from_covariances(
        data["weights"].transpose(*lead, COMPONENT).values,
        data["means"].transpose(*lead, COMPONENT, FEATURE).values,
        covariances,
        factorise=partial(precision_factors, data),
    )
    if NOISE_WEIGHT not in data:
        return parameters
    region = background(dt)
    if region is None:
        raise ValueError(f"group {group!r} has a noise weight, but the root attribute {META!r} no background of noise.")
    return replace(parameters, noise=Noise(data[NOISE_WEIGHT].transpose(*lead).values.astype(np.float64), region))


def background(dt: xr.DataTree) -> Background | None:
    """Where noise is, from the root attribute; None for a mixture without."""
    stored = meta(dt, missing_ok=True).get(NOISE)
    return None if stored is None else Background.from_json(stored)


def parameter_dataset(
    parameters: MixtureParameters,
    feature_names: tuple[str, ...],
    units: tuple[str, ...],
    lead: tuple[str, ...] = (CHAIN, DRAW),
) -> xr.Dataset:
    """Weights, means and covariances with names and units; `lead` names the batch dimensions, if there are any.

    With noise also its weight; the background is for the root attribute (`posterior_datatree`).
    """
    lead = lead[: len(parameters.batch_shape)]
    unit = unit_text(units)
    squared = " x ".join([f"({unit})"] * 2) if unit else ""
    # no coordinate beside the dimensions' own: ArviZ stacks variables, and one that only some have would stop it
    coords = _coords(parameters.n_components, feature_names)
    for dim, size in zip(lead, parameters.batch_shape, strict=True):
        coords[dim] = np.arange(size)
    variables = {
        "weights": ((*lead, COMPONENT), parameters.weights, {"units": "1"}),
        "means": ((*lead, COMPONENT, FEATURE), parameters.means, {"units": unit}),
        "covariances": ((*lead, COMPONENT, FEATURE, FEATURE_BIS), parameters.covariances, {"units": squared}),
    }
    if parameters.noise is not None:
        variables[NOISE_WEIGHT] = (lead, parameters.noise.weight, {"units": "1"})
    return xr.Dataset(variables, coords=coords)


def posterior_datatree(
    observations: Observations,
    parameters: MixtureParameters,
    *,
    sample_stats: Mapping[str, np.ndarray],
    log_likelihood: np.ndarray | None,
    em: GaussianMixture,
    alignment: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
    log_likelihood_every: int = 1,
) -> xr.DataTree:
    """Assemble the DataTree of a posterior.

    Parameters
    ----------
    parameters : MixtureParameters
        Batch shape (chain, draw), aligned.
    sample_stats : mapping of (chain, draw) arrays, in ArviZ's names
    log_likelihood : (chain, draw', N) array or None
        Pointwise, marginal over allocations, of every `log_likelihood_every`-th draw.
    em : GaussianMixture
        The fit that seeded the sampler.
    alignment : mapping
        ``permutation`` and ``margin`` (chain, draw, component), ``cost`` (chain, draw).
    meta : mapping
        Must be JSON; stored as one string in the root's attributes, with the background of noise where there is one.
    """
    names, units = observations.feature_names, observations.units
    posterior = parameter_dataset(parameters, names, units)
    draws = {dim: posterior.coords[dim] for dim in (CHAIN, DRAW)}
    rows = {OBS: netcdf_labels(observations.row_labels)}
    em_fit = parameter_dataset(em.parameters_, names, units)
    em_fit.attrs = {
        "log_likelihood": em.lower_bound_ * observations.total_weight,
        "n_parameters": em.n_parameters_,
        "n_iter": em.n_iter_,
        "status": em.status_.name,
    }
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset({k: ((CHAIN, DRAW), v) for k, v in sample_stats.items()}, coords=draws),
        "alignment": xr.Dataset(
            {k: ((CHAIN, DRAW, COMPONENT)[: np.ndim(v)], v) for k, v in alignment.items()},
            coords={**draws, COMPONENT: posterior.coords[COMPONENT]},
        ),
        "em": em_fit,
        "observed_data": xr.Dataset(
            {"x": ((OBS, FEATURE), np.asarray(observations.values, dtype=np.float64), {"units": unit_text(units)})},
            coords={**rows, FEATURE: list(names), UNIT: (FEATURE, list(units))},
        ),
    }
    if (constant := _constant_data(observations, rows)) is not None:
        groups[CONSTANT] = constant
    if log_likelihood is not None:
        some = {**draws, DRAW: posterior.coords[DRAW][::log_likelihood_every], **rows}
        groups["log_likelihood"] = xr.Dataset({"x": ((CHAIN, DRAW, OBS), log_likelihood)}, coords=some)
    tree = xr.DataTree.from_dict(groups)
    noise = parameters.noise
    of_noise = {} if noise is None else {NOISE: noise.background.to_json()}
    write_meta(tree, {**meta, **of_noise})
    return tree


def em_fit(dt: xr.DataTree) -> GaussianMixture:
    """Give back the EM fit of group ``em``, ready to predict and to start from."""
    parameters = posterior_parameters(dt, "em")
    family = covariance_family(meta(dt)["covariance_type"])
    return GaussianMixture.from_parameters(
        parameters.weights,
        parameters.means,
        family.pack(parameters.covariances),
        covariance_type=family.name,
        feature_names=[str(name) for name in dt["em"].to_dataset()[FEATURE].values],
        noise=parameters.noise,
    )


def meta(dt: xr.DataTree, *, missing_ok: bool = False) -> dict[str, Any]:
    """Return what the DataTree says of its making: K, family, resolved prior, seed, versions.

    Parameters
    ----------
    missing_ok : bool
        Whether a DataTree that says nothing of it has an empty answer.

    Raises
    ------
    ValueError
        When it says nothing, what it says is no JSON, or it was written by a later version of this package.
    """
    if META not in dt.attrs:
        if missing_ok:
            return {}
        raise ValueError(f"the DataTree has no root attribute {META!r}: expected what `sample_posterior` returns.")
    try:
        said = json.loads(dt.attrs[META])
    except (TypeError, ValueError) as error:
        raise ValueError(f"the root attribute {META!r} is not the JSON of `sample_posterior`: {error}.") from None
    if said.get("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
        raise ValueError(
            f"the DataTree has schema version {said['schema_version']}, and this version of bayesgmm reads up to "
            f"{SCHEMA_VERSION}: update bayesgmm."
        )
    return said


def write_meta(dt: xr.DataTree, said: Mapping[str, Any]) -> None:
    """Say in a DataTree how it was made, in place of what it said before; `said` must be JSON."""
    dt.attrs[META] = json.dumps({"schema_version": SCHEMA_VERSION, **said})


def fixed_labels(dt: xr.DataTree) -> tuple[int, ...]:
    """Components that keep their labels, because some rows were known to be of them; none where nothing is said."""
    return tuple(int(k) for k in meta(dt, missing_ok=True).get("known_components", ()))


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write netCDF beside its place, then move it there: an interrupted run leaves no broken file."""
    with replacing(path) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")
    return Path(path)


def unit_text(units: tuple[str, ...]) -> str:
    """Units as one attribute: the common unit, or one for each feature."""
    return units[0] if len(set(units)) == 1 else ", ".join(units)


def netcdf_labels(labels: np.ndarray) -> np.ndarray:
    """Row labels as netCDF takes them: numbers and dates as they are, anything else as text."""
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iufM" else labels.astype(str)


def _coords(K: int, feature_names: tuple[str, ...]) -> dict[str, Any]:
    return {
        COMPONENT: np.arange(K),
        FEATURE: list(feature_names),
        FEATURE_BIS: list(feature_names),
    }
