"""What evidence and contract of tasks share: three texts, their tokens, and a tokenizer that knows the letters a to g."""

import functools

import numpy as np

from attention import specs
from attention.data.contracts import Encoded, Scale
from attention.tasks import Facts

TEXTS = ("a b", "c", "d a z")
FLAT, OFFSETS = np.array([2, 3, 4, 5, 2, 1], np.int32), np.array([0, 2, 3, 6])
VOCABULARY = 10  # padding, unknown, a to g, and what ends a target
CLASSES = ("left", "middle", "right")
SCALE = Scale(2.0, 0.5)
UNLABELLED = Encoded(FLAT, OFFSETS, np.full(3, -1, np.int32))


@functools.cache
def facts():
    """Of a run of the seeds 3 and 5."""
    tokenizer = specs.build("tokenizer", "words")
    state = tokenizer.train(["a b c d e f g"])
    return Facts(CLASSES, (3, 5), tokenizer, state, VOCABULARY, 8, SCALE)
