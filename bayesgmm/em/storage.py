"""A mixture in one JSON file: every number in full precision, written whole or not at all.

May import NumPy, the parameters and noise only.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError
from bayesgmm.tools.atomic import replacing

KIND = "bayesgmm.GaussianMixture"
SCHEMA = 1
"""Raised when a file of today could no longer be read as it is."""


class StorageError(ValueError):
    """A file does not hold a mixture that this version can read; the message names the file."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredMixture:
    """What a file holds.

    Attributes
    ----------
    settings : dict
        Arguments of the estimator that JSON can hold.
    feature_names, units : tuple of D str
    named : bool
        Whether the names are the table's own.
    parameters : MixtureParameters
        One mixture, in the units of the data.
    status : str
        Name of a member of `em.Status`.
    attributes : dict
        How the fit ended: public attributes that JSON can hold.
    lower_bounds : list of float
    sampler : dict or None
        Where the generator of `sample` stands, when it has a seed.
    """

    settings: dict[str, Any]
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    named: bool
    parameters: MixtureParameters
    status: str
    attributes: dict[str, Any]
    lower_bounds: list[float]
    sampler: dict[str, Any] | None = None


def write_mixture(path: str | os.PathLike[str], stored: StoredMixture) -> None:
    """Write a mixture as JSON; whoever looks at `path` sees the old file or the whole new one."""
    parameters = stored.parameters
    noise = parameters.noise
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "versions": {name: version(name) for name in ("bayesgmm", "numpy", "scipy", "scikit-learn")},
        "settings": stored.settings,
        "feature_names": stored.feature_names,
        "units": stored.units,
        "named": stored.named,
        "weights": parameters.weights.tolist(),
        "means": parameters.means.tolist(),
        "covariances": parameters.covariances.tolist(),
        # not derived again: the answers after reading are the same to the last bit
        "precision_cholesky": parameters.precision_cholesky.tolist(),
        "noise": None if noise is None else {"weight": float(noise.weight), **noise.background.to_json()},
        "status": stored.status,
        "attributes": stored.attributes,
        "lower_bounds": [bound if np.isfinite(bound) else None for bound in stored.lower_bounds],
        "sampler": stored.sampler,
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_mixture(path: str | os.PathLike[str]) -> StoredMixture:
    """Read a mixture that `write_mixture` wrote.

    Raises
    ------
    StorageError
        When the file is damaged, foreign, or of a newer version.
    OSError
        When it cannot be opened.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StorageError(
            f"{path} is not a mixture: it is not JSON, or only a part of it ({error}). Name a file that `save` wrote."
        ) from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise StorageError(f"{path} is JSON, but not a mixture that `save` wrote: name another file.")
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        versions = document.get("versions")
        writer = versions.get("bayesgmm", "?") if isinstance(versions, dict) else "?"
        raise StorageError(
            f"{path} was written by bayesgmm {writer} with schema {schema}; this version reads up to {SCHEMA}: "
            "upgrade bayesgmm."
        )
    try:
        return _stored(document)
    except KeyError as error:
        raise StorageError(f"{path} is damaged: it has no {error}. Save the mixture again.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged: {error} Save the mixture again.") from None


def _stored(document: dict[str, Any]) -> StoredMixture:
    parameters = _parameters(document)
    D = parameters.n_features
    names, units = (tuple(map(str, document[key])) for key in ("feature_names", "units"))
    if len(names) != D or len(units) != D:
        raise ParameterError(f"{len(names)} feature names and {len(units)} units for {D} features.")
    bounds = [float("nan") if bound is None else float(bound) for bound in document["lower_bounds"]]
    attributes = dict(document["attributes"])
    for name in ("converged_", "admissible_", "n_iter_"):
        attributes[name]
    if not all(name.endswith("_") and not name.startswith("_") for name in attributes):
        raise ValueError(f"`attributes` are {', '.join(attributes)}.")
    return StoredMixture(
        dict(document["settings"]),
        names,
        units,
        bool(document["named"]),
        parameters,
        str(document["status"]),
        attributes,
        bounds,
        document["sampler"],
    )


def _parameters(document: dict[str, Any]) -> MixtureParameters:
    """Check the numbers, and take them as they are: to normalise or factorise again would change last bits."""
    weights, means, covariances, factors = (
        np.asarray(document[key], dtype=np.float64) for key in ("weights", "means", "covariances", "precision_cholesky")
    )
    checked = MixtureParameters.from_covariances(weights, means, covariances)
    if checked.batch_shape or factors.shape != checked.covariances.shape:
        raise ParameterError(f"`weights` have shape {weights.shape}, `precision_cholesky` {factors.shape}.")
    identity = np.swapaxes(factors, -1, -2) @ checked.covariances @ factors
    if not np.allclose(identity, np.eye(checked.n_features), atol=1e-3):
        raise ParameterError("`precision_cholesky` does not belong to `covariances`.")
    return MixtureParameters(weights, means, covariances, factors, _noise(document, checked.n_features))


def _noise(document: dict[str, Any], D: int) -> Noise | None:
    # files of mixtures without noise may have no such entry
    stored = document.get("noise")
    if stored is None:
        return None
    noise = Noise(np.asarray(float(stored["weight"])), Background.from_json(stored))
    if not 0 <= noise.weight <= 1 or noise.background.lower.shape != (D,) or noise.background.upper.shape != (D,):
        raise ParameterError("`noise` must be a share in [0, 1] of a background with the features of the mixture.")
    return noise


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are a finite number, a text, true, false or nothing: what JSON keeps as it is."""
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, bool | int | str | None) or (isinstance(value, float) and np.isfinite(value))
    }


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return where a generator stands, and its children: enough for `generator_at` to go on alike."""
    bits: Any = generator.bit_generator
    seed = bits.seed_seq
    return {
        "state": bits.state,
        "entropy": seed.entropy,
        "spawn_key": list(seed.spawn_key),
        "n_children_spawned": seed.n_children_spawned,
    }


def generator_at(state: dict[str, Any]) -> np.random.Generator:
    """Return a generator that goes on where `generator_state` looked."""
    seed = np.random.SeedSequence(
        state["entropy"], spawn_key=tuple(state["spawn_key"]), n_children_spawned=state["n_children_spawned"]
    )
    bits = np.random.PCG64(seed)
    bits.state = state["state"]
    return np.random.Generator(bits)
