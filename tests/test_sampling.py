"""Writing with a language model, against NumPy, the arg max of the whole text, and frequencies."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.models.tokens import tagger
from attention.sampling import continued, log_odds, sliding
from tests.support.helpers import jit
from tests.support.tokens import L, V, made, start

ROPE = made(encoding="rope")
PARAMS = start(ROPE)


def likely(logits, temperature, top_k, top_p):
    """Probabilities in NumPy float64: the likeliest one by one, until they are ``top_k``, or reach ``top_p`` of those."""
    if temperature == 0:
        return np.eye(len(logits))[np.argmax(logits)]
    shares = np.exp(np.float64(logits) / temperature)
    order = sorted(range(len(logits)), key=lambda token: -logits[token])[: top_k or None]
    shares /= shares[order].sum()
    kept, total = [], 0.0
    while total < top_p - 1e-9 and len(kept) < len(order):
        kept.append(order[len(kept)])
        total += shares[kept[-1]]
    found = np.zeros(len(logits))
    found[kept] = shares[kept] / total
    return found


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.7])
@pytest.mark.parametrize("top_k", [0, 1, 4, 10**20])
@pytest.mark.parametrize("top_p", [0.05, 0.6, 1.0])
def test_shares(temperature, top_k, top_p):
    """The last row has ties, of which the first come first."""
    logits = np.random.default_rng(0).normal(0, 2, (3, 9)).astype(np.float32)
    logits[2] = [1, 0, 1, 0, 1, -1, 0, 0, -2]
    found = jax.nn.softmax(log_odds(jnp.asarray(logits), temperature=temperature, top_k=top_k, top_p=top_p))
    np.testing.assert_allclose(found, [likely(row, temperature, top_k, top_p) for row in logits], atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e30])
@pytest.mark.parametrize("temperature", [1e-6, 1e-40, 1e-300])
def test_the_least_temperatures_take_the_likeliest(scale, temperature):
    """Of logits of any size; the highest takes all alike."""
    logits = scale * np.random.default_rng(0).normal(0, 2, (5, 9)).astype(np.float32)
    share = lambda temperature: jax.nn.softmax(log_odds(jnp.asarray(logits), temperature=temperature))
    np.testing.assert_array_equal(share(temperature), share(0.0))
    np.testing.assert_allclose(share(1e300), 1 / 9)


def test_frequencies():
    """10,000 draws of one token: Pearson's statistic against its 0.999 quantile, of as many degrees of freedom less one."""
    count, temperature, top_k = 10_000, 0.7, 6
    (tokens,) = continued(ROPE, PARAMS, [3, 1, 4], count=1, samples=count, temperature=temperature, top_k=top_k)
    ids = jnp.array([[3, 1, 4]])
    wanted = likely(np.asarray(ROPE.apply({"params": PARAMS}, ids, ids >= 0)[0][0, -1]), temperature, top_k, 1.0)
    seen = np.bincount(tokens, minlength=V)
    assert seen[wanted == 0].sum() == 0
    expected = count * wanted[wanted > 0]
    assert expected.min() > 100
    assert np.sum((seen[wanted > 0] - expected) ** 2 / expected) < 20.5


def test_a_full_window_goes_on_from_its_half():
    """The greedy text is the arg max of the whole window at each place, in one window and past it, remembered or read anew."""
    for encoding in ("rope", "cope(max_position=4)"):
        model = made(encoding=encoding)
        params = start(model)
        forward = jit(lambda ids, model=model, params=params: model.apply({"params": params}, ids, ids >= 0)[0][0])
        read, written = [5, 2], []
        for (token,) in continued(model, params, read, count=2 * L, temperature=0):
            if len(read) > L:
                read = read[-(L // 2) :]
            padded = np.pad(read, (0, L - len(read)))[None]
            assert token == np.argmax(forward(padded)[len(read) - 1])
            written.append(token)
            read.append(int(token))
        assert len(written) == 2 * L


def test_a_prompt_longer_than_a_window():
    prompt = np.arange(20) % V
    options = {"count": 3, "temperature": 0}
    (long, short) = (list(continued(ROPE, PARAMS, text, **options)) for text in (prompt, prompt[-8:]))
    np.testing.assert_array_equal(long, short)
    assert sliding(ROPE, 4, 13) == ""
    assert (
        sliding(ROPE, 4, 14) == "the model reads 16 tokens at once: whenever these are full, it goes on from the last 8 of them"
    )
    assert sliding(ROPE, 20, 1, window=10).startswith("of the 20 tokens of the prompt the last 5 are read; ")


def test_samples_and_seeds():
    """The first of several is the one alone; a seed is repeated, another is another text."""
    draw = lambda samples, seed=0: np.stack(list(continued(ROPE, PARAMS, [1], count=12, samples=samples, seed=seed)), axis=1)
    three = draw(3)
    assert three.shape == (3, 12)
    np.testing.assert_array_equal(three, draw(3))
    np.testing.assert_array_equal(three[0], draw(1)[0])
    assert len({tuple(row) for row in (*three, *draw(3, 1))}) == 6


def test_the_end():
    """After its end a text has nothing else, and when all have ended there is no more."""
    end, text = 4, np.stack(list(continued(ROPE, PARAMS, [1], count=200, samples=3, end=4)), axis=1)
    assert text.shape[1] < 200
    for row in text:
        first = np.argmax(row == end)
        assert (row[first:] == end).all()
        assert end not in row[:first]
    assert max(np.argmax(row == end) for row in text) == text.shape[1] - 1


def test_positions_are_drawn_once():
    """What a method draws at test is drawn for the window, by the key: the text goes by it, and is the same again."""
    model = made(encoding="randomized(inner=learned, max_position=64)")
    params = start(model)
    write = lambda seed: np.ravel(list(continued(model, params, [1], count=L, temperature=0, rng=jax.random.key(seed))))
    found = write(0)
    ids = np.array([[1, *found[:-1]]])
    logits = jit(lambda ids: model.apply({"params": params}, ids, ids >= 0, rng=jax.random.key(0))[0])(ids)
    np.testing.assert_array_equal(found, np.argmax(logits[0], axis=-1))
    assert any((write(seed) != found).any() for seed in (1, 2, 3))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": -1.0}, "temperature wants a number from 0 on, got -1.0"),
        ({"temperature": float("nan")}, "temperature wants a number from 0 on, got nan"),
        ({"top_p": 0.0}, "top_p wants a number in (0, 1], got 0.0"),
        ({"top_k": -1}, "top_k must be >= 0, got -1"),
        ({"count": 0}, "count must be >= 1, got 0"),
        ({"seed": 2**32}, "seed wants a number below 2**32, got 4294967296"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"samples": 10**30}, "samples wants a number below 2**20, got 1000"),
        ({"samples": 1.5}, "samples must be a whole number, got 1.5"),
        ({"window": 0}, "window must be >= 1, got 0"),
        ({"window": 17, "model": made(encoding="learned")}, "the encoding has 16 positions, got a sequence of 17"),
        ({"prompt": []}, "prompt wants one id or more, in a row, got []"),
        ({"prompt": [1, 13]}, "prompt wants ids in [0, 13), got 13"),
        ({"prompt": "ROMEO:"}, "prompt wants one id or more, in a row, got 'ROMEO:'"),
        ({"model": tagger(dim=8, vocab_size=V, num_classes=2, max_length=L)}, "writing wants a language model, config.task=lm"),
    ],
)
def test_refused(given, message):
    """At once, and not when the first token is asked for."""
    with pytest.raises(ValueError, match=re.escape(message)):
        continued(**{"model": ROPE, "params": PARAMS, "prompt": [1], "count": 1, **given})
