"""Two numbers in bits, the lowest first, to be added: 0 0 1 + 0 1 1 0 1 gives 0 1 0 1 1 end. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is context-sensitive: 4 +
22 = 26. A text is the string, as many dots and one more; at each dot a symbol of the output is wanted. A string of one or two
bits is one number, to be repeated without zeros behind its highest bit.
"""

import operator

from attention.data.sources._binary import bits, of_two, value

build = of_two("binary_addition", "+", operator.add, lambda row: bits(value(row)), more=1)
