"""The command `bayesgmm` itself; its commands add themselves to it.

What a command needs is imported when it runs: ``bayesgmm --help`` loads neither NumPy nor PyMC.
"""

import time

import typer

STARTED = time.perf_counter() - time.process_time()
"""When this process began, but for the time in which it waited for the disk."""

ABOUT = """Gaussian mixtures whose answers carry their uncertainty.

\b
Start with    bayesgmm demo -o demo-output
Your data     bayesgmm fit table.csv -k 1:6 -o results
Any command   bayesgmm fit --help
"""

app = typer.Typer(
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    # plain help: the same in a pipe as on a terminal
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
