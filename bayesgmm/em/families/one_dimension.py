"""One feature: a common variance, E, or a variance for each component, V (mclust's codes; Fraley & Raftery 1999).

In one dimension shape and orientation say nothing: the M-steps are those of EEE and VVV.
"""

from bayesgmm.em.families import full, tied
from bayesgmm.em.families.family import family_by_code

E = family_by_code("E", tied.maximise)
V = family_by_code("V", full.maximise)
