"""Readable references of the likelihood as graphs: logsumexp(Phi eta^T), and PyMC's own mixture of normals."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.compile.mode import Mode

from bayesgmm.kernel.natural import LOG_2PI
from bayesgmm.model.coordinates.matrices import covariances
from bayesgmm.model.families import parametrisation
from bayesgmm.model.mixture_model import Standardise

# NumPy runs the graph node by node: nothing to compile.
INTERPRETED = Mode(linker="py", optimizer=None)


def plain_log_likelihood(x, row_weights, log_weights, means, precision_cholesky, log_noise=-np.inf, background=None):
    """sum_n w_n logsumexp_k <T(x_n), eta_k>, with T(x) = (1, x, vec x x^T), all in PyTensor's own operations.

    With a background it is one more term, log_noise + background_n.
    """
    N, D = x.shape
    features = pt.concatenate(
        [pt.ones((N, 1)), x, (x[:, :, None] * x[:, None, :]).reshape((N, D * D))],
        axis=1,
    )
    precision = pt.matmul(precision_cholesky, precision_cholesky.swapaxes(1, 2))
    linear = pt.matmul(precision, means[:, :, None])[:, :, 0]
    log_determinant = pt.log(pt.diagonal(precision_cholesky, axis1=1, axis2=2)).sum(axis=1)
    constant = log_weights - 0.5 * D * LOG_2PI + log_determinant - 0.5 * (linear * means).sum(axis=1)
    eta = pt.concatenate([constant[:, None], linear, -0.5 * precision.reshape((means.shape[0], D * D))], axis=1)
    log_density = pt.logsumexp(features @ eta.T, axis=1)
    if background is not None:
        log_density = pt.logaddexp(log_density, log_noise + background)
    return (row_weights * log_density).sum()


def pymc_mixture_model(X, specification):
    """`bayesgmm.mixture_model` with its likelihood replaced by `pm.Mixture` of `pm.MvNormal`: same free variables."""
    X = np.asarray(X, dtype=np.float64)
    K, D, prior = specification.n_components, X.shape[1], specification.prior
    names = [f"x{j}" for j in range(D)]
    pairs = [f"{i}:{j}" for i, j in zip(*np.triu_indices(D, 1), strict=True)]
    coords = {"component": range(K), "feature": names, "feature_bis": names, "feature_pair": pairs}
    with pm.Model(coords={name: list(values) for name, values in coords.items() if len(values)}) as model:
        if K == 1:
            weights = pt.ones(1)
        else:
            weights = pm.Dirichlet("weights", np.asarray(prior.weights.concentration), shape=(K,))
        mu, sigma = np.asarray(prior.means.mu), np.asarray(prior.means.sigma)
        means = pm.Normal("means", mu, sigma, shape=(K, D), default_transform=Standardise())
        given = () if specification.centre is None else (specification.centre,)
        U = parametrisation(specification.covariance_type).precision_cholesky(prior.covariances, K, D, *given)
        components = pm.MvNormal.dist(means, covariances(U))
        pm.Mixture("x", weights, components, observed=X)
    return model


def random_parameters(rng, K, D):
    """log_weights (K,), means (K, D) and precision Cholesky factors (K, D, D), of order one."""
    U = 0.3 * np.triu(rng.normal(size=(K, D, D)), 1)
    U[:, np.arange(D), np.arange(D)] = 0.5 + rng.random((K, D))
    return np.log(rng.dirichlet(np.full(K, 3.0))), rng.normal(size=(K, D)), U


def random_covariances(rng, family, K, D):
    """Covariances (K, D, D) that belong to a family."""
    root = rng.normal(size=(K, D, D))
    full = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(D)
    if family == "tied":
        return np.repeat(full[:1], K, axis=0)
    if family == "diag":
        return full * np.eye(D)
    return full[:, :1, :1] * np.eye(D) if family == "spherical" else full


def lkj_mixture_model(X, K, prior, start=None):
    """PyMC's own: `pm.Mixture` of `pm.MvNormal` with `pm.LKJCholeskyCov`, full covariances, as its user would write it.

    Parameters
    ----------
    prior : Prior
        With a `priors.LKJ` of log-normal standard deviations.
    start : MixtureParameters, optional
        Also return the initial values there.

    Returns
    -------
    pm.Model with variables weights (K,), means (K, D) and deterministic covariances (K, D, D); or (model, values).
    """
    X = np.asarray(X, dtype=np.float64)
    D = X.shape[1]
    resolved = prior.resolve((X.mean(axis=0), np.cov(X.T).reshape(D, D)), K, "full")
    sd = resolved.covariances.sd
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.asarray(resolved.weights.concentration))
        means = pm.Normal("means", np.asarray(resolved.means.mu), np.asarray(resolved.means.sigma), shape=(K, D))
        roots = []
        for k in range(K):
            scales = pm.LogNormal.dist(np.asarray(sd.mu), np.asarray(sd.sigma), shape=D)
            eta = resolved.covariances.eta
            roots.append(pm.LKJCholeskyCov(f"root_{k}", n=D, eta=eta, sd_dist=scales, compute_corr=False))
        roots = [pm.expand_packed_triangular(D, root, lower=True) for root in roots]
        pm.Deterministic("covariances", pt.stack([root @ root.T for root in roots]))
        components = [pm.MvNormal.dist(means[k], chol=roots[k]) for k in range(K)]
        pm.Mixture("x", weights, components, observed=X)
    if start is None:
        return model
    L = np.linalg.cholesky(start.covariances)
    packed = {f"root_{k}": L[k][np.tril_indices(D)] for k in range(K)}
    return model, {"weights": start.weights, "means": start.means, **packed}
