"""Greedy and beam search against every text there is, and against a beam search over tuples."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.helpers import jit

V, U, END = 4, 4, 3


# References, which know nothing of the library.


def every_text(vocabulary, length, end):
    """Every text of tokens 1, ..., V - 1 that ends, or is cut off at ``length``."""
    for size in range(1, length + 1):
        for text in itertools.product(range(1, vocabulary), repeat=size):
            if end in text[:-1] or (size < length and text[-1] != end):
                continue
            yield text


def beam(log_p, *, vocabulary, length, end, width, length_penalty):
    """Beam search over prefixes as tuples; ``log_p(prefix)`` are those of the next token, [V]."""
    beams = [((), 0.0)]
    for _ in range(length):
        grown = []
        for text, total in beams:
            if text and text[-1] == end:
                grown.append((text, total))
                continue
            grown += [((*text, token), total + log_p(text)[token]) for token in range(1, vocabulary)]
        beams = sorted(grown, key=lambda each: -each[1])[:width]
    return sorted(beams, key=lambda each: -each[1] / ((5 + len(each[0])) / 6) ** length_penalty)


def table(seed):
    """Logits of the next token for every state of a walk over five, and where each token leads, for two rows."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1.5, (2, 5, V)), rng.integers(0, 5, (2, 5, V))


def advance_over(logits, leads):
    """A model that remembers a state for each row, so that a search must hand it on with its beginning."""

    def advance(tokens, place, remembered):
        row, state, logits, leads = remembered
        token = tokens[jnp.arange(len(tokens)), place]
        state = jnp.where(place == 0, state, leads[jnp.arange(len(tokens)), state, token])
        return logits[jnp.arange(len(tokens)), state], (row, state, logits, leads)

    return advance, (jnp.arange(2), jnp.zeros(2, jnp.int32), jnp.asarray(logits, jnp.float32), jnp.asarray(leads))


def log_p_of(logits, leads, row):
    def log_p(prefix):
        state = 0
        for token in prefix:
            state = leads[row, state, token]
        known = logits[row, state] - np.log(np.exp(logits[row, state]).sum())
        return known

    return log_p


SEARCHES = ((1, 0.0), (2, 0.0), (3, 1.5), (200, 0.0))


@jit
def searched(logits, leads):
    """Greedy, and then every search of the tests, in one program."""
    advance, remembered = advance_over(logits, leads)
    options = {"batch": 2, "length": U, "end": END}
    beams = [attention.beam(advance, remembered, **options, width=w, length_penalty=penalty) for w, penalty in SEARCHES]
    return [attention.greedy(advance, remembered, **options), *beams]


def _text(row):
    return tuple(int(token) for token in row if token)


@pytest.mark.parametrize("seed", range(3))
def test_searches(seed):
    logits, leads = table(seed)
    found = dict(zip(["greedy", *SEARCHES], jax.device_get(searched(logits, leads))))
    for row in range(2):
        log_p = log_p_of(logits, leads, row)
        for width, penalty in SEARCHES[:3]:
            tokens, scores = found[width, penalty]
            wanted = beam(log_p, vocabulary=V, length=U, end=END, width=width, length_penalty=penalty)
            assert [_text(text) for text in tokens[row]] == [text for text, _ in wanted]
            np.testing.assert_allclose(scores[row], [total for _, total in wanted], rtol=1e-5)
        # A beam wide enough holds every text there is, and the best of them is first.
        every = {text: sum(log_p(text[:i])[token] for i, token in enumerate(text)) for text in every_text(V, U, END)}
        tokens, scores = found[200, 0.0]
        assert np.isneginf(scores[row, len(every) :]).all()
        assert {_text(text) for text in tokens[row, : len(every)]} == set(every)
        np.testing.assert_allclose(scores[row, : len(every)], sorted(every.values(), reverse=True), rtol=1e-5)
        # Greedy: the likeliest token each time.
        text = ()
        while len(text) < U and (not text or text[-1] != END):
            text = (*text, int(np.argmax(log_p(text)[1:])) + 1)
        tokens, scores = found["greedy"]
        assert _text(tokens[row]) == text
        np.testing.assert_allclose(scores[row], every[text], rtol=1e-5)


def test_a_penalty_prefers_longer_texts():
    """One token of probability 0.6 ends; the other, 0.4, is followed by an end for sure: with α, -log 0.4 / (7/6)^α wins."""
    logits = jnp.log(jnp.array([[0.0, 0.6, 0.4], [0.0, 1.0, 0.0]]) + 1e-30)
    advance = lambda tokens, place, state: (logits[jnp.minimum(place, 1)][None].repeat(len(tokens), 0), state)
    for penalty, wanted in ((0.0, [1, 0]), (4.0, [2, 1])):
        tokens, _ = attention.beam(advance, (), batch=1, length=2, end=1, width=2, length_penalty=penalty)
        assert tokens[0, 0].tolist() == wanted


@pytest.mark.parametrize("given", [{"length": 0}, {"width": 0}, {"length_penalty": -1.0}])
def test_refused(given):
    options = {"length": 3, "width": 2, "length_penalty": 0.0, **given}
    with pytest.raises(ValueError, match=f"{next(iter(given))} must be at least"):
        attention.beam(lambda *_: None, (), batch=1, end=2, **options)
