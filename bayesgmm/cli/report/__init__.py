"""What a run found, for a reader: tables of text and plain sentences, one question per file.

Nothing here knows how a section is shown: that is ``console``'s.
"""

from bayesgmm.cli.report.compare_posteriors import posterior_comparison_section
from bayesgmm.cli.report.comparison import comparison_section
from bayesgmm.cli.report.generated import generated_section
from bayesgmm.cli.report.membership import membership_section
from bayesgmm.cli.report.posterior import posterior_section
from bayesgmm.cli.report.section import Section, time_section

__all__ = [
    "Section",
    "comparison_section",
    "generated_section",
    "membership_section",
    "posterior_comparison_section",
    "posterior_section",
    "time_section",
]
