"""What we use of nutpie's insides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow
from nutpie.compile_pymc import CompiledPyMCModel

from bayesgmm.sampler.log_density import LogDensity

# ArviZ's name -> nutpie's.
SAMPLE_STATS = {
    "lp": "logp",
    "energy": "energy",
    "diverging": "diverging",
    "tree_depth": "depth",
    "reached_max_treedepth": "maxdepth_reached",
    "n_steps": "n_steps",
    "acceptance_rate": "mean_tree_accept",
    "step_size": "step_size",
}


_VARIABLE = "unconstrained"


def nutpie_model(density: LogDensity, copy: Any, start: np.ndarray) -> CompiledPyMCModel:
    """Describe the density to nutpie as a model with one variable, the vector it takes, starting at `start`."""
    size = density.space.size
    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=density.callback,
        compiled_expand_func=copy,
        initial_point_func=lambda _seed: start,
        shared_data={},
        shared_var_keys={},
        user_data=density.settings,
        n_expanded=size,
        shape_info=([_VARIABLE], [slice(0, size)], [(size,)]),
        logp_func=density,
        expand_func=None,
        _n_dim=size,
        _shapes={_VARIABLE: (size,)},
        _coords={},
    )


def read_trace(trace: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return one chain's draws after warm-up, (draw, n), and its statistics, each (draw,)."""
    (values,), (statistics,) = trace.get_arrow_trace()
    vectors = pyarrow.array(values.column(_VARIABLE)).flatten().to_numpy()
    columns = {
        name: pyarrow.array(statistics.column(name)).to_numpy(zero_copy_only=False)
        for name in ("tuning", *SAMPLE_STATS.values())
    }
    kept = ~columns["tuning"]
    vectors = vectors.reshape(len(kept), -1)
    return vectors[kept], {name: columns[column][kept] for name, column in SAMPLE_STATS.items()}
