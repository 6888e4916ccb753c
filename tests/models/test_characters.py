"""Words by their characters: against a reference, and what a tagger does with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.data import characters
from attention.data.characters import spelled
from attention.models.characters import EMBEDDED, ROWS, Characters
from attention.models.tokens import tagger
from tests.support.helpers import jit

WORDS = ["a", "tag", "Straße", "слово", "語"]
OPTIONS = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8, "vocab_size": 9, "num_classes": 3}


def reference(table, kernel, bias, numbers):
    """The greatest of each channel over the places of a word, in float64."""
    x = np.zeros((len(numbers) + 2, EMBEDDED))
    x[1:-1] = table[numbers] * np.sqrt(EMBEDDED)
    return np.max([x[k : k + 3].ravel() @ kernel + bias for k in range(len(numbers))], axis=0)


def test_the_convolution_is_that_of_a_reference():
    """However many characters there is room for; a place without a word has zeros, and no gradient."""
    assert ROWS == characters.ROWS
    module, numbers = Characters(6, jnp.float32), jnp.asarray(spelled(WORDS, 16))
    params = module.init(jax.random.key(0), numbers)["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), params)
    plain = {name: np.asarray(leaf, np.float64) for name, leaf in {**params["filters"], "table": params["table"]}.items()}
    wanted = [reference(plain["table"], plain["kernel"], plain["bias"], row[row > 0]) for row in np.asarray(numbers)]
    apply = jit(lambda given, params: module.apply({"params": params}, given))
    for more in (0, 5):
        given = jnp.pad(numbers, [(0, 1), (0, more)])
        found = np.asarray(apply(given, params))
        np.testing.assert_allclose(found[:-1], wanted, rtol=1e-5, atol=1e-5)
        assert not found[-1].any()
    gradients = jax.grad(lambda params: jnp.sum(apply(given[-1:], params)))(params)
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients))


def test_a_tagger_reads_characters_beside_words():
    """Two unknown words differ; what is at padding does not count, and a model says what it wants."""
    model, tokens = tagger(**OPTIONS, max_length=8, characters=8), jnp.array([[2, 1, 0]])
    valid, words = tokens > 0, jnp.asarray(spelled(["it", "foxes", "jumped"], 8))
    params = model.init(jax.random.key(0), **model.example())["params"]
    apply = jit(lambda given: model.apply({"params": params}, tokens, valid, characters=given)[0][:, :2])
    first = apply(words[None])
    assert not np.allclose(first, apply(words[jnp.array([[0, 2, 1]])]))
    np.testing.assert_array_equal(first, apply(words[jnp.array([[0, 1, 0]])]))
    with pytest.raises(ValueError, match="wants the characters of words: it was made with characters=8"):
        model.apply({"params": params}, tokens, valid)
    plain = tagger(**OPTIONS, max_length=8)
    with pytest.raises(ValueError, match="reads no characters: it was made with characters=0"):
        plain.apply({"params": params}, tokens, valid, characters=words[None])
    with pytest.raises(ValueError, match="characters must be >= 3, got 2"):
        tagger(**OPTIONS, max_length=8, characters=2)
