"""Two numbers in bits, the lowest first, to be added: 0 0 1 + 0 1 1 0 1 gives 0 1 0 1 1 end. For ``task=tagging``.

4 + 22 = 26; context-sensitive. There are as many dots as the string has symbols and one more. A string of one or two bits is
one number, to be repeated without zeros behind its highest bit.
"""

import operator

from attention.data.sources._binary import bits, of_two, value

build = of_two("binary_addition", "+", operator.add, lambda row: bits(value(row)), more=1)
