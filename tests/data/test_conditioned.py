"""ListOps expressions of a given number of tokens: as likely as in the process that makes them of any."""

import re
from collections import Counter

import numpy as np
import pytest

from attention.data.contracts import LENGTHS
from attention.data.sources import _conditioned, _lengths, listops
from tests.support.sources import build


def options(**changes):
    values = dict(min_length=4, max_length=20, max_depth=6, max_args=4, operator_share=0.3)
    return listops.Options(**{**values, "operators": tuple(listops.OPERATORS), **changes})


def test_likelihood_of_a_size_by_hand():
    """Two arguments or three, share 0.3: [o d d ] and [o d d d ]; with one operator inside there are 7 tokens or more."""
    likelihood = _conditioned.Conditioned(options(max_args=3), 8).likelihood
    assert likelihood[:5] == pytest.approx([0, 0, 0, 0, 0.5 * 0.7**2])
    assert likelihood[5:7] == pytest.approx([0.5 * 0.7**3, 0])
    # [o d [o d d ] ] in two orders, each operator with two arguments
    assert likelihood[7] == pytest.approx(2 * 0.5 * 0.5 * 0.3 * 0.7**3)
    assert _conditioned.Conditioned(options(max_args=3, max_depth=1), 8).likelihood[6:].tolist() == [0, 0, 0]
    assert _conditioned.Conditioned(options(), 400).likelihood.sum() == pytest.approx(1, abs=0.01)


def test_sizes_are_as_likely_as_in_the_plain_process():
    """Against the process itself, which throws away what is too long: sizes, and the shapes of one size."""
    drawn = listops.expressions(1500, options(operators=("MIN", "MAX")), seed=0, stream=0, seen=set())
    shape = lambda text: re.sub(r"\d", "d", re.sub(r"\[\w+", "[", text))
    process = _conditioned.Conditioned(options(operators=("MIN", "MAX")), 20)
    long = [text for text in drawn if len(text.split()) == 10]  # short ones are distinct, and so less often drawn
    rng = _lengths.Draws(0, 5)
    again = [" ".join(process.draw(10, rng)) for _ in range(1500)]
    assert {len(text.split()) for text in again} == {10}
    assert len({text.split()[0] for text in again}) == 2
    shapes, wanted = Counter(map(shape, again)), Counter(map(shape, long))
    for name, count in wanted.items():
        share = shapes[name] / 1500
        assert abs(count - share * len(long)) < 5 * max(share * len(long), 1) ** 0.5, name


def test_listops_goes_on_to_five_times_its_length(tmp_path):
    sizes = dict(train=200, validation=20, test=20, lengths=60, min_length=6, max_length=16, max_args=3, max_depth=5)
    corpus = build("listops", data_dir=tmp_path, **sizes).load(0)
    found = corpus.splits[LENGTHS]
    lengths = [len(text.split()) for text in found.texts]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1], corpus.trained_length) == (7, 79, 16)  # nothing has 6, and 60 of 71 are taken
    assert max(Counter(lengths).values()) - min(Counter(lengths).values()) <= 1
    assert [listops.evaluate(text) for text in found.texts] == found.labels.tolist()
    for text in found.texts:
        depth = np.cumsum([token.startswith("[") - (token == "]") for token in text.split()]).max()
        assert depth <= 5
    assert build("listops", data_dir=tmp_path, **sizes).load(1).splits[LENGTHS].texts != found.texts
    flat = build("listops", data_dir=tmp_path, **{**sizes, "max_depth": 1, "min_length": 4, "train": 50}).load(0)
    assert {len(text.split()) for text in flat.splits[LENGTHS].texts} == {4, 5}  # the longest there are
