"""A stack of bits and what becomes of it, from its top: 0 1 1 0 push1 pop pop gives 1 1 0 end. For ``task=tagging``.

From "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2022, arXiv 2207.02098), where it is deterministic
context-free: the stack is given from its bottom, one bit or more and one action or more, each number of bits as likely;
actions are ``pop``, ``push0`` and ``push1``, each as likely, and an empty stack stays as it is when popped. There is one dot
more than the string has symbols. A string of one symbol is a stack, without actions.
"""

import numpy as np

from attention.data.sources._binary import padded
from attention.data.sources._lengths import Draws
from attention.data.sources._tapes import Strings, Tape, builder

_POP, _PUSH = 2, 3  # the number of popping, and that of pushing 0
_SYMBOLS = ("0", "1", "pop", "push0", "push1")


def draw(rng: Draws, lengths: np.ndarray) -> Strings:
    """Stacks with actions, and what becomes of them."""
    place, length = np.arange(int(lengths.max())), lengths[:, None]
    stacked = np.where(length > 1, 1 + rng.below(np.maximum(length - 1, 1), len(lengths), 1), 1)
    shape = len(lengths), len(place)
    read = np.where(place < stacked, rng.below(2, *shape), _POP + rng.below(3, *shape))
    rows = zip(read.tolist(), lengths.tolist(), stacked[:, 0].tolist())
    written = [_done(row[:at], row[at:length]) for row, length, at in rows]
    return Strings(np.where(place < length, read, -1), padded(written))


def _done(stack: list[int], actions: list[int]) -> list[int]:
    """The stack after the actions, its top first."""
    for action in actions:
        if action != _POP:
            stack.append(action - _PUSH)
        elif stack:
            stack.pop()
    return stack[::-1]


build = builder(Tape("stack_manipulation", _SYMBOLS, draw, lambda length: length + 1, 2, ended=True))
