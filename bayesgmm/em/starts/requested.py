"""The start that a user asked for: a method, memberships or a mixture, with parts of it given.

Everything given is checked before any work. May import NumPy and the modules below it only.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.families.projection import within_family
from bayesgmm.em.m_step import maximise
from bayesgmm.em.starts.clutter import without_clutter
from bayesgmm.em.starts.completed import completed, keep_known
from bayesgmm.em.starts.methods import METHODS, from_method, statistics_of
from bayesgmm.em.task import Task
from bayesgmm.mixture.noise import NOISE_LABEL, Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError

GIVEN_BY = {"weights": "`weights_init`", "means": "`means_init`", "covariances": "`precisions_init`"}
"""The parts that may be given, each with its argument, and that may be frozen."""

DETERMINISTIC = "hierarchical"
"""The method that makes the same start every time."""

FIRST_SHARE = 0.05
"""Share of noise to start from where nothing says what it is."""

NO_SHARE = 1e-6
"""Responsibilities may sum to one but for this: rounding is no noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What was asked for.

    Attributes
    ----------
    origin : str, MixtureParameters, labels (N,) or responsibilities (N, K)
        A name of `METHODS`, a mixture in the units of the data, or memberships.
    weights, means, precisions : array or None
        Parts that replace those of `origin`: (K,), (K, D), and precisions in the shape of the family.
    background : Background, optional
        Of a mixture with noise. Its share is that of a given mixture with noise, of rows with the label -1, or of what
        responsibilities lack to one.
    """

    origin: Any
    weights: Any = None
    means: Any = None
    precisions: Any = None
    background: Background | None = None

    @property
    def is_one(self) -> bool:
        """Whether every start would be the same, so that more than one is no use."""
        return not isinstance(self.origin, str) or all(part is not None for part in self._parts)

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        return self.weights, self.means, self.precisions

    @property
    def is_mixture(self) -> bool:
        """Whether every parameter is given."""
        return isinstance(self.origin, MixtureParameters)

    @property
    def gives_noise(self) -> bool:
        """Whether the share of noise is that of a given mixture."""
        return isinstance(self.origin, MixtureParameters) and self.origin.noise is not None

    @property
    def given(self) -> set[str]:
        """Names of the parts that are given."""
        return {name for name, part in zip(GIVEN_BY, self._parts, strict=True) if part is not None}

    def starts(
        self, task: Task, floor: np.ndarray, seeds: np.random.SeedSequence, n_init: int
    ) -> list[Callable[[], MixtureParameters]]:
        """List what makes each start, see `parameters`; one where more would be the same.

        The deterministic method comes first, and k-means makes the other starts. With noise a method sees the rows
        that do not look like it, and one start more, the last, is made from all of them. Components that are known of
        some rows stay with those.
        """
        observations, K, family = completed(task.observations), task.n_components, task.family
        requested = [self] * (1 if self.is_one else n_init)
        if isinstance(self.origin, str) and self.origin == DETERMINISTIC:
            requested[1:] = [replace(self, origin="kmeans")] * (len(requested) - 1)
        rows, share = [observations] * len(requested), FIRST_SHARE
        if self.background is not None and isinstance(self.origin, str):
            cleaned = without_clutter(observations, K, np.random.default_rng(seeds.spawn(1)[0]))
            if cleaned is not None:
                requested.append(requested[0])
                rows, share = [cleaned.observations] * len(rows) + [observations], cleaned.share
        made: list[Callable[[], MixtureParameters]] = [
            partial(start.parameters, some, K, family, floor, np.random.default_rng(seed), share)
            for start, some, seed in zip(requested, rows, seeds.spawn(len(requested)), strict=True)
        ]
        return made if self.is_mixture else [keep_known(start, task.observations, family, floor) for start in made]

    def check(self, task: Task, frozen: Collection[str] = ()) -> None:
        """Refuse what does not fit the rows, the components or the family, or does not give what is frozen.

        Raises
        ------
        ValueError
            Naming the argument, what was expected and what came.
        """
        observations, K, family = task.observations, task.n_components, task.family
        D = observations.n_features
        if isinstance(self.origin, str):
            if self.origin not in METHODS:
                raise ValueError(
                    f"`init_params` must be one of {', '.join(map(repr, METHODS))}, labels, responsibilities or a "
                    f"fitted GaussianMixture; received {self.origin!r}."
                )
        elif isinstance(self.origin, MixtureParameters):
            if self.origin.means.shape != (K, D):
                raise ValueError(
                    f"the start (`init_params`, or the fit of `warm_start`) has {self.origin.n_components} components "
                    f"in {self.origin.n_features} features; expected {K} in {D}."
                )
        else:
            _check_memberships(np.asarray(self.origin), observations.n_rows, K, noise=self.background is not None)
        spread = family.unpack(family.pack(np.repeat(np.eye(D)[None], K, axis=0)), K, D)
        some = MixtureParameters.from_covariances(np.full(K, 1 / K), np.zeros((K, D)), spread)
        self._with_parts(observations, some, family)
        given = set(GIVEN_BY) if self.is_mixture else self.given
        if missing := sorted(set(frozen) - given):
            raise ValueError(
                f"`frozen` holds {missing} at values that the start must give, and it does not: pass "
                f"{', '.join(GIVEN_BY[name] for name in missing)}, or a fitted mixture as `init_params`."
            )
        if task.background is not None and "weights" in frozen and not self.gives_noise:
            raise ValueError(
                "`frozen` weights hold the share of noise too, which the start does not give: pass a mixture "
                "fitted with `noise` as `init_params`."
            )

    def parameters(
        self,
        observations: Observations,
        n_components: int,
        family: CovarianceFamily,
        floor: np.ndarray,
        rng: np.random.Generator,
        noise_share: float = FIRST_SHARE,
    ) -> MixtureParameters:
        """Make the start, in standard coordinates; `check` comes first.

        `noise_share` is what noise begins with where the start does not say.

        Raises
        ------
        CollapseError
            When given memberships make a component without spread and there is no floor; its rows are named.
        """
        if isinstance(self.origin, MixtureParameters):
            start = within_family(observations.to_standard(self.origin), family)
            if start.noise is not None:
                noise_share = float(start.noise.weight)
        elif isinstance(self.origin, str):
            start = from_method(observations, self.origin, n_components, family, floor, rng)
        else:
            memberships = np.asarray(self.origin)
            clustered = observations
            if self.background is not None:
                noise_share = _noise_share(memberships, observations.weights) or noise_share
                if memberships.ndim == 1:
                    in_cluster = np.flatnonzero(memberships != NOISE_LABEL)
                    clustered, memberships = observations.take(in_cluster), memberships[in_cluster]
            start = from_memberships(clustered, memberships, family, floor)
        noise = None if self.background is None else Noise(np.asarray(noise_share), self.background)
        return replace(self._with_parts(observations, start, family), noise=noise)

    def _with_parts(
        self, observations: Observations, start: MixtureParameters, family: CovarianceFamily
    ) -> MixtureParameters:
        if all(part is None for part in self._parts):
            return start
        base = observations.from_standard(start)
        K, D = base.means.shape
        weights, means, covariances = base.weights, base.means, base.covariances
        if self.precisions is not None:
            packed = _shaped("precisions_init", self.precisions, family.pack(covariances).shape)
            covariances = _inverse(family.unpack(packed, K, D))
        if self.weights is not None:
            weights = _shaped("weights_init", self.weights, (K,))
        if self.means is not None:
            means = _shaped("means_init", self.means, (K, D))
        try:
            given = MixtureParameters.from_covariances(weights, means, covariances)
        except ParameterError as error:
            raise ParameterError(f"`weights_init`, `means_init` or `precisions_init` is no mixture: {error}") from None
        return observations.to_standard(given)


def from_memberships(
    observations: Observations, memberships: np.ndarray, family: CovarianceFamily, floor: np.ndarray
) -> MixtureParameters:
    """Return the M-step of given labels (N,) or responsibilities (N, K), exactly, in standard coordinates.

    Components are in the order of the sorted labels.
    """
    codes = memberships
    if memberships.ndim == 1:
        codes = np.unique(memberships, return_inverse=True)[1]
    try:
        return maximise(statistics_of(observations, codes, family.moments), family, floor)[0]
    except CollapseError as error:
        labels = codes if codes.ndim == 1 else codes.argmax(axis=1)
        rows = observations.name_rows(labels == error.component)
        raise CollapseError(f"{error} The start gives it {rows}.", error.component) from None


def _noise_share(memberships: np.ndarray, weights: np.ndarray | None) -> float:
    """Share of noise in given memberships: labels (N,) of -1, or what responsibilities (N, K) lack to one."""
    in_noise = memberships == NOISE_LABEL if memberships.ndim == 1 else 1.0 - memberships.sum(axis=1)
    share = float(np.average(in_noise, weights=weights))
    return share if share > NO_SHARE else 0.0


def _check_memberships(memberships: np.ndarray, N: int, K: int, *, noise: bool) -> None:
    if memberships.shape[:1] != (N,) or memberships.ndim > 2:
        raise ValueError(
            f"`init_params` must be labels ({N},) or responsibilities ({N}, {K}) for the {N} rows; "
            f"received shape {memberships.shape}."
        )
    if memberships.ndim == 1:
        labels = np.unique(memberships)
        n_labels = len(labels) - int(noise and (labels == NOISE_LABEL).any())
        if n_labels != K:
            besides = f" besides {NOISE_LABEL}, noise" if n_labels < len(labels) else ""
            raise ValueError(
                f"`init_params` has {n_labels} distinct labels{besides}, but n_components={K}: give K labels."
            )
    elif memberships.shape[1] != K:
        raise ValueError(f"`init_params` has {memberships.shape[1]} columns, but n_components={K}.")
    elif not (memberships >= 0).all() or not _sum_to_one(memberships, noise=noise):
        rest = " or, the rest being noise, to less" if noise else ""
        raise ValueError(f"responsibilities in `init_params` must be non-negative and each row must sum to one{rest}.")


def _sum_to_one(responsibilities: np.ndarray, *, noise: bool) -> bool:
    total = responsibilities.sum(axis=1)
    return bool((total <= 1.0 + NO_SHARE).all()) if noise else np.allclose(total, 1.0, atol=NO_SHARE)


def _inverse(precisions: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(precisions)
    except np.linalg.LinAlgError:
        raise ParameterError("`precisions_init` must be positive definite; one of its matrices is singular.") from None


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}; received {array.shape}.")
    return array
