"""One feature: a common variance, E, or a variance for each component, V. They are EEE and VVV there."""

from dataclasses import replace

from bayesgmm.parametrisation.full import FULL
from bayesgmm.parametrisation.tied import TIED

E = replace(TIED, name="E")
V = replace(FULL, name="V")
