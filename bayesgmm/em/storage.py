"""A mixture in one JSON file: every number in full precision, written whole or not at all."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.em.known import KnownMixture
from bayesgmm.em.solver import Status
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError
from bayesgmm.tools.atomic import replacing

KIND = "bayesgmm.GaussianMixture"
SCHEMA = 1
"""Raised when a file of today could no longer be read as it is."""


class StorageError(ValueError):
    """A file does not hold a mixture that this version can read; the message names the file."""


def write_mixture(path: str | os.PathLike[str], known: KnownMixture) -> None:
    """Write a mixture as JSON; whoever looks at `path` sees the old file or the whole new one.

    Settings and attributes that JSON cannot hold are left out; the sampler is kept where a seed decides it.
    """
    parameters, noise, sampler = known.parameters, known.parameters.noise, known.sampler
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "versions": {name: version(name) for name in ("bayesgmm", "numpy", "scipy", "scikit-learn")},
        "settings": plain(known.settings),
        "feature_names": known.feature_names,
        "units": known.units,
        "named": known.named,
        "weights": parameters.weights.tolist(),
        "means": parameters.means.tolist(),
        "covariances": parameters.covariances.tolist(),
        # not derived again: the answers after reading are the same to the last bit
        "precision_cholesky": parameters.precision_cholesky.tolist(),
        "noise": None if noise is None else {"weight": float(noise.weight), **noise.background.to_json()},
        "status": known.status.name,
        "attributes": plain(known.ending),
        "lower_bounds": [bound if np.isfinite(bound) else None for bound in known.lower_bounds],
        "sampler": None if sampler is None or not known.seeded else generator_state(sampler),
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_mixture[Made](path: str | os.PathLike[str], make: Callable[[KnownMixture], Made]) -> Made:
    """Read a mixture that `write_mixture` wrote, and give what `make` makes of it.

    Raises
    ------
    StorageError
        When the file is damaged, foreign or of a newer version, or `make` refuses what it holds; the file is named.
    OSError
        When it cannot be opened.
    """
    path = Path(path)
    document = _document(path)
    try:
        known, status, sampler = _known(document), str(document["status"]), document["sampler"]
    except KeyError as error:
        raise StorageError(f"{path} is damaged: it has no {error}. Save the mixture again.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged: {error} Save the mixture again.") from None
    try:
        generator = None if sampler is None else generator_at(sampler)
        return make(replace(known, status=Status[status], sampler=generator))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} holds what this version of bayesgmm does not know: {error}.") from None


def _document(path: Path) -> dict[str, Any]:
    """Read JSON that says it is a mixture, of a version that is not newer than this one."""
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
    return document


def _known(document: dict[str, Any]) -> KnownMixture:
    """Give what a document holds, but for its status and its sampler."""
    parameters = _parameters(document)
    D = parameters.n_features
    names, units = (tuple(map(str, document[key])) for key in ("feature_names", "units"))
    if len(names) != D or len(units) != D:
        raise ParameterError(f"{len(names)} feature names and {len(units)} units for {D} features.")
    lower_bounds = [float("nan") if bound is None else float(bound) for bound in document["lower_bounds"]]
    ending = dict(document["attributes"])
    for name in ("converged_", "admissible_", "n_iter_"):
        ending[name]
    if not all(name.endswith("_") and not name.startswith("_") for name in ending):
        raise ValueError(f"`attributes` are {', '.join(ending)}.")
    settings = dict(document["settings"])
    if parameters.noise is not None:
        # an array is no setting that the file keeps: the background itself is what it made
        settings.setdefault("noise", parameters.noise.background)
    named = bool(document["named"])
    return KnownMixture(parameters, settings, names, units, named, ending=ending, lower_bounds=lower_bounds)


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
