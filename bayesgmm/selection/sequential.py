"""How many components: bootstrap tests of K against K + 1 in turn, until one does not reject.

May import NumPy, pandas and the modules below it only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.selection.bootstrap_test import BootstrapTest, bootstrap_test

LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class SequentialTest:
    """Tests of K against K + 1 components, from the smallest K on.

    Attributes
    ----------
    tests : tuple of BootstrapTest
        In rising order of K; all but the last one reject K, unless none is left to be tried.
    n_components : int
        The first K that is not rejected.
    stopped : str
        Why no further K was tried, where the last test rejects; otherwise empty.
    """

    tests: tuple[BootstrapTest, ...]
    n_components: int
    stopped: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """A row for each test: n_components (of the null hypothesis), statistic, quantiles of the null, p_value."""
        return pd.DataFrame(
            {
                "n_components": [test.n_components for test in self.tests],
                "statistic": [test.statistic for test in self.tests],
                "null_median": [float(np.median(test.null)) for test in self.tests],
                "null_quantile_95": [float(np.quantile(test.null, 0.95)) for test in self.tests],
                "p_value": [test.p_value for test in self.tests],
                "n_simulated": [len(test.null) for test in self.tests],
                "n_failed": [test.n_failed for test in self.tests],
            }
        )


def sequential_test(X: Any, smallest: int, largest: int, **settings: Any) -> SequentialTest:
    """Test K against K + 1 components for K = smallest, ..., largest - 1, until a test does not reject at 5 %.

    Each test has its level; the number found is too large with a probability of at most 5 % where the true number is
    among those tried, and too small as often as a test lacks the power (McLachlan & Peel 2000, section 6.6).

    Parameters
    ----------
    X : table
        (N, D).
    smallest, largest : int
    **settings
        Of `bootstrap_test`.

    Raises
    ------
    ValueError
        When `largest` is not above `smallest`, or the first test cannot be done.
    """
    if largest <= smallest:
        raise ValueError(
            f"a test needs two numbers of components, the smaller against the larger; received {smallest} to {largest}."
        )
    tests: list[BootstrapTest] = []
    for K in range(smallest, largest):
        try:
            tests.append(bootstrap_test(X, K, **settings))
        except ValueError as error:
            if not tests:
                raise
            return SequentialTest(tuple(tests), K, f"{K} could not be tested: {error}")
        if tests[-1].p_value > LEVEL:
            break
    if tests[-1].p_value > LEVEL:
        return SequentialTest(tuple(tests), tests[-1].n_components)
    return SequentialTest(tuple(tests), largest, f"{largest} is the largest number asked for, and was not tested.")
