"""Bootstrap tests of K against K + 1 components, and the number that they stop at."""

from typing import TYPE_CHECKING

import pandas as pd

from bayesgmm.cli.report.section import Section, fixed

if TYPE_CHECKING:
    # it loads xarray, which who reads a report of EM fits must not wait for
    from bayesgmm.selection.sequential import SequentialTest


def sequential_test_section(found: "SequentialTest", covariance_type: str) -> Section:
    """Statistic of each test beside its null distribution; what was found, and what that says."""
    table = found.table
    shown = pd.DataFrame(
        {
            "test": [f"{K} against {K + 1}" for K in table["n_components"]],
            "statistic": [fixed(v, 2) for v in table["statistic"]],
            "null median": [fixed(v, 2) for v in table["null_median"]],
            "null 95 %": [fixed(v, 2) for v in table["null_quantile_95"]],
            "p": [fixed(v, 3) for v in table["p_value"]],
            "simulated": table["n_simulated"].astype(str),
        }
    )
    K = found.n_components
    sentences = [found.stopped] if found.stopped else [f"{K} components are not rejected in favour of {K + 1} at 5 %."]
    least = 1 / (1 + table["n_simulated"].max())
    if least > 0.05:
        sentences.append(f"With so few simulated data sets no p-value is below {least:.2g}, and nothing is rejected.")
    if (failed := int(table["n_failed"].sum())) > 0:
        sentences.append(f"{failed} simulated data sets had no admissible fit; others took their place.")
    return Section(
        f"Bootstrap likelihood-ratio tests ({covariance_type})",
        shown,
        tuple(sentences),
        ("test",),
        (len(table) - 1,) if not found.stopped else (),
    )
