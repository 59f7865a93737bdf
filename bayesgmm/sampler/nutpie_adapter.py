"""A log density as nutpie samples it, and nutpie's draws as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import nutpie
import pyarrow
import xarray as xr
from nutpie.compiled_pyfunc import from_pyfunc

from bayesgmm.sampler.insides import arrow_tables, gives_arrow, model_of_callbacks
from bayesgmm.sampler.log_density import LogDensity
from bayesgmm.sampler.native_callback import copy_callback

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


class _Rejected(ValueError):
    """A point where the density or its gradient is not finite: nutpie counts a divergence, and goes on."""

    is_recoverable = True


def start_chain(density: LogDensity, start: np.ndarray, **settings: Any) -> Any:
    """Begin one chain at `start`, exactly, in the background; the settings are those of `nutpie.sample`."""
    model = model_of_callbacks(
        _VARIABLE,
        density.space.size,
        start,
        compiled_logp_func=density.callback,
        compiled_expand_func=copy_callback(),
        user_data=density.settings,
        logp_func=density,
    )
    return nutpie.sample(
        _model_of_functions(density, start) if model is None else model,
        chains=1,
        cores=1,
        progress_bar=False,
        return_raw_trace=gives_arrow(),
        blocking=False,
        **settings,
    )


def read_trace(trace: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return one chain's draws after warm-up, (draw, n), and its statistics, each (draw,)."""
    if isinstance(trace, xr.DataTree):
        (vectors,), statistics = trace["posterior"].to_dataset()[_VARIABLE].values, trace["sample_stats"].to_dataset()
        return vectors, {name: statistics[column].values[0] for name, column in SAMPLE_STATS.items()}
    drawn, statistics = arrow_tables(trace)
    vectors = pyarrow.array(drawn.column(_VARIABLE)).flatten().to_numpy()
    columns = {
        name: pyarrow.array(statistics.column(name)).to_numpy(zero_copy_only=False)
        for name in ("tuning", *SAMPLE_STATS.values())
    }
    kept = ~columns["tuning"]
    vectors = vectors.reshape(len(kept), -1)
    return vectors[kept], {name: columns[column][kept] for name, column in SAMPLE_STATS.items()}


def _model_of_functions(density: LogDensity, start: np.ndarray) -> Any:
    """Describe a density to nutpie by functions of Python, which run one at a time whatever the number of chains."""

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        (value,), (gradient,) = density.at_many(x[None])
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise _Rejected("the log density or its gradient is not finite here")
        return float(value), gradient

    def keep(*_: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda x: {_VARIABLE: x}

    size = density.space.size
    return from_pyfunc(
        size,
        lambda: evaluate,
        keep,
        [np.dtype(np.float64)],
        [(size,)],
        [_VARIABLE],
        make_initial_point_fn=lambda _seed: start,
    )
