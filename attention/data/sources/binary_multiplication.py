"""Two numbers in bits, the lowest first, to be multiplied: 1 1 * 1 0 1 gives 1 1 1 1 end. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive: 3 x 5
= 15. A text is the string and as many dots; at each a symbol of the output is wanted. A string of one bit has an empty output,
and one of two a zero.
"""

import operator

from attention.data.sources._binary import of_two

build = of_two("binary_multiplication", "*", operator.mul, lambda row: row[1:] and [0], more=0)
