"""One feature: a common variance, E, or a variance for each component, V. They are EEE and VVV there."""

from dataclasses import replace

from bayesgmm.model.families.full import FULL
from bayesgmm.model.families.tied import TIED

E = replace(TIED, name="E")
V = replace(FULL, name="V")
