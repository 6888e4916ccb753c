"""Texts that rivals learn in a moment."""

import numpy as np

from attention.data.contracts import Split

CLASSES = 3
WORDS = ("a", "the", "it", "is", "was", "and", "don't", "3", "oh!", "你好吗")
TOLD = (("awful", "dull"), ("fine", "so so"), ("grand", "not bad"))
# Texts that are no texts of words.
ODD = ("", " \n\t", "\ud800", "\x00", "🙂🙂", "१२ हिन्दी", "ไทย", "e\u0301", "never seen before", "x" * 100_000, "?! " * 3000)


def split(count, seed, classes=range(CLASSES)):
    """Texts whose class one word tells, of nine in ten."""
    random, chosen = np.random.default_rng(seed), list(classes)
    labels = random.choice(chosen, count)
    told = np.where(random.random(count) < 0.9, labels, random.choice(chosen, count))
    texts = [" ".join([*random.choice(WORDS, random.integers(1, 9)), random.choice(TOLD[label])]) for label in told]
    return Split(texts, labels.astype(np.int32))


TRAIN, VALIDATION, TEST = split(400, 0), split(80, 1), split(60, 2)
