"""The command line: a file in, a report and result files out. Composition only."""

from bayesgmm.cli import compare, fit, generate, impute
from bayesgmm.cli.application import app
from bayesgmm.cli.running import parse_components

__all__ = ["app", "compare", "fit", "generate", "impute", "parse_components"]
