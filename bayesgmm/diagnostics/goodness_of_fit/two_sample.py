"""Whether real rows and generated ones can be told apart: nearest neighbours, and a classifier."""

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 5


def neighbour_share(real: np.ndarray, generated: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Share of the k nearest neighbours, in both samples together, that are of a row's own sample.

    About one half where the samples are alike (and as large), more where they are not.

    References
    ----------
    Schilling (1986), Multivariate two-sample tests based on nearest neighbors, JASA 81.
    Henze (1988), A multivariate two-sample test based on the number of nearest neighbor type coincidences, Annals of
    Statistics 16.
    """
    both = np.concatenate([real, generated])
    own = np.arange(len(both)) < len(real)
    k = min(k, len(both) - 1)
    _, neighbours = cKDTree(both).query(both, k=k + 1)
    # with equal rows a row need not be its own first neighbour: leave out itself, or else the last
    itself = neighbours == np.arange(len(both))[:, None]
    itself[~itself.any(axis=1), -1] = True
    others = neighbours[~itself].reshape(len(both), k)
    return float((own[others] == own[:, None]).mean())


def classifier_accuracy(real: np.ndarray, generated: np.ndarray, classifier: Any, rng: np.random.Generator) -> float:
    """Share of held-out rows that a classifier calls right, real or generated.

    It learns from one half of each sample and is asked about the other: about one half where they are alike.

    References
    ----------
    Lopez-Paz & Oquab (2017), Revisiting classifier two-sample tests, ICLR.
    """
    from sklearn.base import clone

    halves = []
    for sample in (real, generated):
        order = rng.permutation(len(sample))
        halves.append((sample[order[: len(sample) // 2]], sample[order[len(sample) // 2 :]]))
    (real_in, real_out), (generated_in, generated_out) = halves

    def labels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.repeat([0, 1], [len(one), len(other)])

    learner = clone(classifier)
    if "random_state" in learner.get_params():
        learner.set_params(random_state=int(rng.integers(2**31)))
    learner.fit(np.concatenate([real_in, generated_in]), labels(real_in, generated_in))
    said = learner.predict(np.concatenate([real_out, generated_out]))
    return float((said == labels(real_out, generated_out)).mean())


def default_classifier() -> Any:
    """Return a classification tree: it sees shapes of any kind, and is quick enough for hundreds of datasets."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_samples_leaf=10)
