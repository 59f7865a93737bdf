"""NumPyro's mixture, run by an interpreter that has NumPyro: `python _numpyro_mixture.py IN.npz OUT.npz`.

MixtureSameFamily of MultivariateNormal, LKJCholesky and log-normal standard deviations, NUTS, chains in parallel,
float64.
"""

import os
import sys
import time

problem = dict(__import__("numpy").load(sys.argv[1]))
chains, draws, tune, seed, runs = (int(problem[name]) for name in ("chains", "draws", "tune", "seed", "runs"))
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={chains}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import numpyro  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from numpyro.infer import MCMC, NUTS, init_to_value  # noqa: E402

numpyro.enable_x64()
X, K = jnp.asarray(problem["X"]), len(problem["start_weights"])
D = X.shape[1]


def model() -> None:
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.asarray(problem["concentration"])))
    with numpyro.plate("component", K):
        means = numpyro.sample("means", dist.Normal(problem["mu"], problem["sigma"]).to_event(1))
        sd = numpyro.sample("sd", dist.LogNormal(problem["sd_mu"], problem["sd_sigma"]).to_event(1))
        correlation = numpyro.sample("correlation", dist.LKJCholesky(D, float(problem["eta"])))
    components = dist.MultivariateNormal(means, scale_tril=sd[..., None] * correlation)
    numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(weights), components), obs=X)


start_sd = np.sqrt(np.diagonal(problem["start_covariances"], axis1=-2, axis2=-1))
correlations = problem["start_covariances"] / (start_sd[:, :, None] * start_sd[:, None, :])
values = {
    "weights": problem["start_weights"],
    "means": problem["start_means"],
    "sd": start_sd,
    "correlation": np.linalg.cholesky(correlations),
}
kernel = NUTS(model, init_strategy=init_to_value(values={name: jnp.asarray(v) for name, v in values.items()}))
sampler = MCMC(kernel, num_warmup=tune, num_samples=draws, num_chains=chains, progress_bar=False)
seconds = []
for run in range(runs):
    start = time.perf_counter()
    sampler.run(jax.random.PRNGKey(seed + run))
    drawn = {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}
    seconds.append(time.perf_counter() - start)
L = drawn["sd"][..., None] * drawn["correlation"]
np.savez(
    sys.argv[2],
    weights=drawn["weights"],
    means=drawn["means"],
    covariances=L @ np.swapaxes(L, -1, -2),
    seconds=np.array(seconds),
)
