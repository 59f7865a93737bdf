"""Compiled log densities are found again by the structure of their model, and never where it is another one."""

import subprocess
import sys

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

import bayesgmm as bg
from bayesgmm.sampler.compile_cache import (
    MOST_FUNCTIONS,
    fingerprint,
    lift_data,
    load_from_disk,
    once,
    sources,
)
from bayesgmm.sampler.log_density import LogDensity, compile_log_density
from bayesgmm.tools.sources import closure
from tests.support.copies import PackageCopy

ROWS = np.random.default_rng(0).normal(size=(40, 2)) * [1.0, 3.0]


@pytest.fixture(autouse=True)
def nothing_made_yet():
    once.cache_clear()


def model(X=ROWS, K=2, **settings) -> pm.Model:
    return bg.mixture_model(X, K, **settings)


def key(built: pm.Model) -> str | None:
    outputs, lifted = lift_data([built.logp()])
    return fingerprint(outputs, [*(built.rvs_to_values[rv] for rv in built.free_RVs), *lifted])


def afresh(built: pm.Model) -> LogDensity:
    """Compile without what was made in the process."""
    kept = dict(once.cache)
    once.cache_clear()
    try:
        return compile_log_density(built)
    finally:
        once.cache_clear()
        once.cache.update(kept)


def missing() -> np.ndarray:
    X = ROWS.copy()
    X[3, 1] = np.nan
    return X


LKJ = bg.Prior(covariances=bg.priors.LKJ(2.0, sd=bg.priors.LogNormal(0.0, 1.0)))
FIRST, SECOND = (bg.GaussianMixture(2, random_state=0).fit(rows) for rows in (ROWS, ROWS[:25]))


@pytest.mark.parametrize(
    "other",
    [
        {"K": 3},
        {"X": ROWS[:, :1]},
        {"covariance_type": "tied"},
        {"prior": LKJ},
        {"weights": np.ones(40)},
        {"X": missing()},
        {"errors": np.full((40, 2), 0.1)},
        {"known_labels": np.r_[0, np.full(39, -1)]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_structure_is_another_function(other):
    assert key(model()) is not None
    assert key(model(**other)) != key(model())


@pytest.mark.parametrize(
    ("settings", "other"),
    [
        ({}, {"X": ROWS[::-1] + 5.0}),
        ({}, {"X": ROWS[:30] * 1e3}),
        ({"weights": np.ones(40)}, {"weights": np.arange(40.0)}),
        ({}, {"prior": bg.Prior(weights=bg.priors.Dirichlet(3.7))}),
        ({}, {"prior": bg.Prior(covariances=bg.priors.InverseWishart(7.3, ((3.1, 0.2), (0.2, 4.4))))}),
        ({"covariance_type": "VEV", "start": FIRST}, {"covariance_type": "VEV", "start": SECOND}),
    ],
    ids=["rows", "number and units of rows", "weights", "prior of weights", "prior of covariances", "start"],
)
def test_other_numbers_share_what_fits_and_equal_a_function_of_their_own(settings, other):
    compile_log_density(model(**settings))
    changed = model(**other)
    shared, own = compile_log_density(changed), afresh(changed)
    first = compile_log_density(model(**settings))
    for x in np.random.default_rng(1).normal(size=(3, own.space.size)) * 0.3:
        value, gradient = own(x)
        assert shared(x)[0] == value != first(x)[0]
        np.testing.assert_array_equal(shared(x)[1], gradient)
        # and through the callback, which is told where the data are
        values, gradients = shared.at_many(np.array([x, x]))
        assert values[1] == value
        np.testing.assert_array_equal(gradients[1], gradient)


def test_the_same_model_again_is_the_same_function_of_its_own_data():
    one, two = compile_log_density(model()), compile_log_density(model(ROWS + 1.0))
    assert one.compiled is two.compiled
    assert len(once.cache) == 1
    assert not any(np.shares_memory(a, b) for a in one.data for b in two.data if np.size(a) >= ROWS.size)


def test_what_is_not_understood_is_not_remembered():
    class Twice(Op):
        __props__ = ()

        def make_node(self, x):
            return Apply(self, [x], [x.type()])

        def perform(self, node, inputs, outputs):
            outputs[0][0] = 2.0 * inputs[0]

    x = pt.dvector("x")
    assert fingerprint([Twice()(x)], [x]) is None
    assert fingerprint([x + pt.dvector("y")], [x]) is None
    assert fingerprint([2.0 * x], [x]) not in (None, fingerprint([4.0 * x], [x]), fingerprint([x * 2.0], [x]))


def test_a_fingerprint_is_compiled_once_and_so_many_are_kept():
    made: list[str] = []
    others = [str(i) for i in range(MOST_FUNCTIONS - 1)]
    for name in ["first", "second", "first", *others, "first", "second"]:
        once(name, lambda name=name: made.append(name))
    assert made == ["first", "second", *others, "second"], "the one that was used last stays"
    assert len(once.cache) == MOST_FUNCTIONS


def test_another_process_finds_the_function_on_disk_and_it_is_the_same():
    x = np.linspace(-0.3, 0.4, compile_log_density(model()).space.size)
    value, gradient = afresh(model())(x)
    script = f"""
import numpy as np, bayesgmm as bg
from bayesgmm.sampler import log_density
def refuse(*arguments): raise AssertionError("compiled again")
log_density._compile = refuse
rows = np.random.default_rng(0).normal(size=(40, 2)) * [1.0, 3.0]
density = log_density.compile_log_density(bg.mixture_model(rows, 2))
value, gradient = density(np.linspace(-0.3, 0.4, {x.size}))
print(value.hex(), gradient.tobytes().hex())
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert said == [float(value).hex(), gradient.tobytes().hex()]


def test_a_note_on_disk_without_its_code_is_no_function(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesgmm.sampler.compile_cache.FOLDER", tmp_path)
    import numba

    signature = (numba.typeof(np.zeros(2)),)
    assert load_from_disk("absent", signature) is None
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    assert load_from_disk("broken", signature) is None
    (tmp_path / "gone.json").write_text('{"name": "f", "key": "no such code"}', encoding="utf-8")
    assert load_from_disk("gone", signature) is None
    (tmp_path / "unnamed.json").write_text('{"name": "f", "key": "some code", "symbols": null}', encoding="utf-8")
    assert load_from_disk("unnamed", signature) is None


def test_all_that_makes_a_function_is_in_its_fingerprint(monkeypatch):
    """Our own operations' classes with their constants, and the modules that compile."""
    named = {found.__name__ for found in sources([model(missing(), covariance_type="VEV").logp()])}
    for name in (
        "model.likelihood_incomplete",
        "kernel.compiled.complete",
        "kernel.forms",
        "model.coordinates.rotations",
    ):
        assert f"bayesgmm.{name}" in named
    assert {found.__name__ for found in closure(sys.modules["bayesgmm.sampler.log_density"])} >= {
        f"bayesgmm.{name}"
        for name in (
            "sampler.log_density",
            "sampler.native_callback",
            "tools.compiled",
            "sampler.compile_cache",
            "sampler.insides",
            "sampler.unconstrained",
            "tools.sources",
        )
    }
    before = key(model())
    monkeypatch.setattr("bayesgmm.sampler.compile_cache.symbols", lambda modules: ["another"])
    assert key(model()) != before


CONSTANT = """
import numpy as np
import pymc as pm
from bayesgmm.sampler import compile_cache, log_density
from bayesgmm.model.likelihood import mixture_log_likelihood

with pm.Model() as model:
    mean = pm.Flat("mean", shape=(1, 1))
    rows = np.zeros((2, 1)), np.ones(1), np.zeros(1), mean, np.ones((1, 1, 1))
    pm.Potential("rows", mixture_log_likelihood(*rows))

compile_function, made = log_density._compile, []
log_density._compile = lambda *arguments: made.append(1) or compile_function(*arguments)

def compiled():
    value, gradient = log_density.compile_log_density(model)(np.ones(1))
    print(value, *gradient, len(made))

compiled()
notes = sorted(compile_cache.FOLDER.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
if len(notes) > 1:
    old, new = notes
    new.write_text(old.read_text(encoding="utf-8"), encoding="utf-8")
    compile_cache.once.cache_clear()
    compiled()
"""


def test_an_edited_constant_is_compiled_anew_and_code_whose_symbol_is_gone_is_not_run(tmp_path):
    package = PackageCopy(tmp_path)
    # in place of what takes long to compile: it is the caches that are tested
    package.add(
        "kernel/compiled/complete.py",
        """
@numba.njit
def value_and_gradient(x, row_weights, log_weights, means, U, log_noise, background, d_weights, d_means, d_U):
    d_weights[:], d_means[:], d_U[:] = 0.0, LARGEST_CONDITION, 0.0
    return LARGEST_CONDITION * means[0, 0], 0.0
""",
    )
    assert package.run(CONSTANT) == ["1000000.0 1000000.0 1"]
    assert package.run(CONSTANT) == ["1000000.0 1000000.0 0"]
    package.edit("kernel/forms.py", "LARGEST_CONDITION = 1e6", "LARGEST_CONDITION = 2e6")
    assert package.run(CONSTANT) == ["2000000.0 2000000.0 1", "2000000.0 2000000.0 2"]
