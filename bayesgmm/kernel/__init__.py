"""One pass over rows: log joint densities, and the sums that the E-step makes of them."""
