"""The command `bayesgmm`, also `python -m bayesgmm.cli`: the application with every command."""

from bayesgmm.cli import compare, fit, generate, impute
from bayesgmm.cli.application import app

__all__ = ["app", "compare", "fit", "generate", "impute"]

if __name__ == "__main__":
    app(prog_name="bayesgmm")
