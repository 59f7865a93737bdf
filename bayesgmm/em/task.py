"""What EM is asked to do, checked once."""

import numpy as np

from bayesgmm.data.checks import UNKNOWN, row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.data.tables import DataError


def check_components(observations: Observations, n_components: int) -> None:
    """Refuse more components than there are distinct rows.

    Raises
    ------
    DataError
        With the number of distinct rows.
    """
    present = None if observations.weights is None else observations.weights > 0
    n_rows = observations.n_rows if present is None else int(present.sum())
    if n_rows < n_components:
        raise DataError(
            f"n_components={n_components} needs at least {n_components} rows; "
            f"received n_samples = {n_rows}: lower `n_components` or add rows."
        )
    distinct: set[bytes] = set()
    for rows in row_slices(observations.n_rows, 256):
        # +0.0 makes -0.0 and 0.0 the same bytes
        block = observations.values[rows] if present is None else observations.values[rows][present[rows]]
        distinct.update(row.tobytes() for row in np.ascontiguousarray(block + 0.0))
        if len(distinct) >= n_components:
            return
    raise DataError(
        f"n_components={n_components}, but the data has only {len(distinct)} distinct rows: "
        f"use n_components <= {len(distinct)}."
    )


def check_known_labels(observations: Observations, n_components: int) -> None:
    """Refuse known components that a mixture of K does not have.

    Raises
    ------
    DataError
        Naming the row and its label, or when every row is known to be of one component and K is more.
    """
    labels = observations.known_labels
    if labels is None:
        return
    if labels.max() >= n_components:
        n = int(np.argmax(labels >= n_components))
        named = observations.label_names
        what = f"{named[labels[n]]!r}, one of {len(named)} labels" if named else f"{labels[n]}"
        raise DataError(
            f"row {observations.row_labels[n]} is known to be of component {what}, but n_components={n_components} "
            f"has components 0 to {n_components - 1}: raise `n_components`."
        )
    if (labels != UNKNOWN).all() and len(np.unique(labels)) < n_components:
        empty = sorted(set(range(n_components)) - set(labels.tolist()))
        raise DataError(
            f"every row has a known component and none is of component{'s' if len(empty) > 1 else ''} "
            f"{', '.join(map(str, empty))}: lower `n_components`, or leave some labels unknown."
        )
