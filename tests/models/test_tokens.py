"""Language models and taggers: their logits by hand, at some places alone, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.models.tokens import tagger
from tests.support.helpers import jit
from tests.support.tokens import D, L, V, made, start

BAG = {"encoder": "embeddings", "mixer": "attention", "mask": "full"}
TOKENS = jnp.asarray(np.random.default_rng(3).integers(0, V, (2, 6)), jnp.int32)


def logits_of(model, params, **rest):
    return model.apply({"params": params}, TOKENS, TOKENS >= 0, **rest)[0]


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_by_hand(tied, scale):
    """Of a model without layers: rows of the table, with √D or without, times the head or the table itself."""
    model = made(**BAG, tied=tied, embedding_scale=scale)
    params = start(model)
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    assert sorted(own) == (["embedding"] if tied else ["embedding", "head"])
    states = own["embedding"]["table"][np.asarray(TOKENS)] * (np.sqrt(D) if scale else 1.0)
    head = own["embedding"]["table"].T if tied else own["head"]["kernel"]
    found = logits_of(model, params)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, states @ head, atol=1e-5)


def test_embeddings_at_the_start():
    """As the option says, and with √D so much smaller; pretrained vectors are seen as they are."""
    for scale, std in ((True, 0.5 / np.sqrt(D)), (False, 0.5)):
        model = made(**BAG, vocab_size=2000, embedding_init=0.5, embedding_scale=scale, tied=True)
        table = model.init(jax.random.key(0), **model.example())["params"]["embedding"]["table"]
        assert table.std() == pytest.approx(std, rel=0.05)
        params = {"embedding": {"table": model.embedding_table(table)}}
        seen = model.apply({"params": params}, TOKENS, TOKENS >= 0, capture=True)[1]["embeddings"]
        np.testing.assert_allclose(seen, table[TOKENS], atol=1e-6)


@pytest.mark.parametrize("make", [made, lambda: tagger(dim=D, vocab_size=V, num_classes=5, max_length=L, encoder="bilstm")])
def test_places(make):
    """Logits at some places are those among all, and no others are computed."""
    model = make()
    params, places = start(model), jnp.array([[1, 3], [0, 5]])
    whole = logits_of(model, params)
    np.testing.assert_allclose(
        logits_of(model, params, places=places), np.take_along_axis(whole, places[..., None], 1), atol=1e-6
    )
    text = str(jax.make_jaxpr(lambda params: logits_of(model, params, places=places))(params))
    all_of_them = f"f32[2,6,{whole.shape[-1]}]"
    assert all_of_them not in text
    assert all_of_them in str(jax.make_jaxpr(lambda params: logits_of(model, params))(params))


def test_a_tagger_reads_both_sides():
    model = tagger(dim=D, vocab_size=V, num_classes=5, max_length=L, mixer="attention(heads=2)")
    params = start(model)
    assert sorted(params["head"]) == ["bias", "kernel"]
    found = logits_of(model, params)
    assert found.shape == (2, 6, 5)
    other = model.apply({"params": params}, TOKENS.at[:, -1].add(1) % V, TOKENS >= 0)[0]
    assert np.abs(other[:, 0] - found[:, 0]).max() > 1e-3


def test_writing_in_pieces():
    """Several tokens at once, and one: what is remembered is keys and values, or the tokens."""
    for encoding, shapes in (("rope", [(2, L, 2, 4)] * 2), ("cope(max_position=4)", [(2, L)])):
        model = made(encoding=encoding)
        params, remembered, place = start(model), model.begin(2, L), 0
        assert [leaf.shape for leaf in jax.tree.leaves(remembered)] == shapes
        whole = jit(lambda model=model, params=params: logits_of(model, params))()
        read = jit(lambda *given, model=model, params=params: model.apply({"params": params}, *given, method="advance"))
        for size in (4, 1, 1):
            found, remembered = read(TOKENS[:, place : place + size], place, remembered)
            place += size
            np.testing.assert_allclose(found, whole[:, place - 1], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (made, {"encoding": "roep"}, "unknown encoding 'roep' (nearest: 'rope'"),
        (made, {"tied": 1}, "tied must be True or False, got 1"),
        (made, {"vocab_size": 0}, "vocab_size must be >= 1, got 0"),
        (made, {"encoding": "learned(max_length=7)"}, "the encoding has 7 positions, got a sequence of 16"),
        (tagger, {"num_classes": 0}, "num_classes must be >= 1, got 0"),
        (
            tagger,
            {"encoder": "hierarchical"},
            "encoder=hierarchical has states of segments, and a tagger wants one for each token",
        ),
    ],
)
def test_refused(make, given, message):
    sizes = {"dim": D, "vocab_size": V, "num_classes": 2, "max_length": L} if make is tagger else {}
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**{**sizes, **given})
