"""ListOps expressions of a given number of tokens, each as likely as the process of ``listops`` makes it among those.

With p(n, d) the probability that an argument whose operator would be at depth d has n tokens, K = max_args and s the share of
operators, 0 below the greatest depth::

  p(1, d) = 1 - s,   p(n, d) = s o(n, d)  for n > 1
  o(n, d) = 1/(K-1) sum_{k=2..K} f(n-2, k, d+1)
  f(n, k, d) = sum_m p(m, d) f(n-m, k-1, d),   f(0, 0, d) = 1

where o is the probability of n tokens for an operator at depth d, and f that of n tokens for k arguments. The tables are filled
from the greatest depth up; an expression is drawn from the root down, first how many arguments, then the size of each.
"""

from typing import Any

import numpy as np

from attention.data.sources._lengths import Draws


class Conditioned:
    """The process of ``options``, for expressions of up to ``longest`` tokens.

    Attributes:
      likelihood: float64 ``[longest + 1]``, the probability that an expression has so many tokens.
    """

    def __init__(self, options: Any, longest: int):
        self._operators, self._most = options.operators, options.max_args
        share = options.operator_share
        depth = min(options.max_depth, longest // 3)  # an expression has three tokens for each of its open operators, or more
        none, digit = np.zeros(longest + 1), np.zeros(longest + 1)
        none[0], digit[1] = 1.0, 1.0
        argument = operator = digit if depth == options.max_depth else (1 - share) * digit
        self._tables = []  # by depth, the deepest first: p, and f of 0, 1, ..., K arguments, of arguments below that depth
        for _ in range(depth):
            several = [none]
            for _ in range(self._most):
                several.append(np.convolve(several[-1], argument)[: longest + 1])
            self._tables.append((argument, several))
            operator = np.zeros(longest + 1)
            operator[2:] = np.mean(several[2:], axis=0)[:-2]
            argument = (1 - share) * digit + share * operator
        self.likelihood = operator
        self._tables.reverse()

    def draw(self, length: int, rng: Draws) -> list[str]:
        """The tokens of an expression of ``length`` tokens, which must have a likelihood above 0."""
        tokens: list[str] = []
        todo: list[tuple[int, int]] = [(length, 0)]  # the size and depth of what is to be written, last first; size 0 is "]"
        while todo:
            size, depth = todo.pop()
            if size == 0:
                tokens.append("]")
            elif size == 1:
                tokens.append(str(rng.below(10, 1)[0]))
            else:
                tokens.append(f"[{self._operators[rng.below(len(self._operators), 1)[0]]}")
                sizes = self._sizes(size - 2, depth, rng)
                todo.append((0, depth))
                todo.extend((each, depth + 1) for each in reversed(sizes))
        return tokens

    def _sizes(self, rest: int, depth: int, rng: Draws) -> list[int]:
        """The sizes of the arguments of an operator at ``depth``, ``rest`` tokens together."""
        argument, several = self._tables[depth]
        count = 2 + _choose(np.array([several[k][rest] for k in range(2, self._most + 1)]), rng)
        sizes = []
        for left in range(count - 1, 0, -1):
            sizes.append(_choose(argument[: rest + 1] * several[left][rest::-1], rng))
            rest -= sizes[-1]
        return [*sizes, rest]


def _choose(weights: np.ndarray, rng: Draws) -> int:
    """An index, as likely as its weight."""
    total = np.cumsum(weights)
    return int(np.searchsorted(total, total[-1] * (rng.below(2**32 - 1, 1)[0] / (2**32 - 1)), side="right"))
