"""NUTS, Laplace and bridge sampling on any PyMC model; it alone knows the insides of PyTensor, numba, nutpie."""
