"""`python -m bayesgmm.cli` is the command `bayesgmm`."""

from bayesgmm.cli.application import app

if __name__ == "__main__":
    app(prog_name="bayesgmm")
