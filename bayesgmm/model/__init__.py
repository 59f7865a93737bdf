"""The PyMC model of a mixture."""
