"""How Sphinx builds the documentation: `make docs`. Nothing is fetched while building."""

import bayesgmm

project = "bayesgmm"
author = "The bayesgmm developers"
release = bayesgmm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
# scikit-learn's own methods, whose docstrings point into its user guide
autodoc_default_options = {"exclude-members": "set_fit_request, set_score_request, get_metadata_routing"}
autosummary_generate = False
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "bayesgmm"
