"""What every causal part promises in a language model: no later token is seen, it learns, and it writes what it reads.

To compile few programs, models are made of one part of each kind at once, where these go together. Parts that would know later
tokens, or how many there are, are refused by name.
"""

import functools
import itertools
import operator

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import attention
from attention import specs
from tests.support.helpers import jit
from tests.support.rows import rows
from tests.support.tokens import L, V, made, start

T, AT = 12, 8  # tokens, and those that stay as they are
TOKENS = jnp.asarray(np.random.default_rng(0).permutation(V)[None, :T], jnp.int32)  # all different: no ties
EARLY = jnp.arange(T) < AT
MORE = {  # in place of, or beside, the spec of a row
    "cpe": ("cpe(causal=True)",),
    "fire": ("fire(bidirectional=False)",),
    "cosformer": ("cosformer(heads=2, length=16)",),
    "rope": ("rope", "rope(scaling=dynamic_ntk, factor=2.0)"),
}
REFUSED = (
    ({"encoding": "cpe"}, r"encoding=cpe in a language model, where later tokens .*; use cpe\(causal=True\)"),
    ({"encoding": "rope + fire"}, r"encoding=rope \+ fire .* divided by the length of the text; use fire\(bidir"),
    ({"encoding": "index(normalize=True)"}, "divided by how many tokens there are"),
    ({"encoding": "rope(scaling=dynamic_ntk, train_length=4)"}, "give no train_length"),
    ({"mask": "causal & bigbird"}, "mask=causal & bigbird .* its last block is where the text ends"),
    ({"mask": "causal & longformer(last=2)"}, "its last positions are where the text ends; use last=0"),
    ({"mixer": "bigbird"}, "mixer=bigbird .* its last block is where the text ends"),
    ({"mask": "full"}, "mask=full lets a token see later ones, .* use --config.model.mask=causal$"),
    ({"mask": "local(window=4)"}, r"use --config.model.mask='causal & local\(window=4\)'$"),
    ({"encoder": "bilstm"}, "encoder=bilstm: its states see later tokens; .* encoder=bare, embeddings or transformer$"),
)


def _goes(given):
    """Whether there is such a language model; what is refused is named."""
    try:
        made(**given)
    except ValueError as error:
        return not any(f"{kind}=" in str(error) for kind in given)
    return True


@functools.cache
def _accepted(kind):
    """The specs of a kind that a language model takes: those of the rows, masks as joined with ``causal``."""
    specs_of = [spec for name, row in rows(kind).items() for spec in MORE.get(name, (row.spec,))]
    if kind == "mask":
        specs_of = [spec if specs.build(kind, spec).causal else f"causal & {spec}" for spec in specs_of]
    return [{kind: spec} for spec in specs_of if _goes({kind: spec})]


def _models():
    scores = list(_accepted("score"))
    gates = [{"encoder": f"transformer(layers=1, mlp=1, gate={name})"} for name in rows("gate")]
    rest = (itertools.cycle(each) for each in (_accepted("normalizer"), _accepted("mask"), gates))
    for given in zip(_accepted("encoding"), *rest):
        given = functools.reduce(operator.or_, given)
        score = next((score for score in scores if _goes(given | score)), None)
        if score is not None:
            scores.remove(score)
        yield given | (score or {})
    yield from (*scores, *_accepted("mixer"), {"encoder": "bare"})
    yield {"encoder": "embeddings", "mixer": "attention", "mask": "full"}
    yield {"encoder": "transformer(layers=2, mlp=1, registers=2)"}


MODELS = {", ".join(given.values()): given for given in _models()}


@functools.partial(jit, static_argnums=0)
def told(model, params):
    """Losses of four passes with three updates between; logits of a text, of one that ends otherwise, and of its beginning
    alone; and those of writing it token by token, in a longer window."""
    rng, optimizer = jax.random.key(2), optax.adamw(1e-2)
    flat, tree = jax.flatten_util.ravel_pytree(params)  # one leaf is compiled faster than many

    def loss(flat):
        params, sides = tree(flat), {"segments": 0 * TOKENS, "rng": rng, "train": True}
        logits, _ = model.apply({"params": params}, TOKENS, TOKENS >= 0, **sides)
        return optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], TOKENS[:, 1:]).mean()

    def update(carry, _):
        flat, state = carry
        value, gradient = jax.value_and_grad(loss)(flat)
        moves, state = optimizer.update(gradient, state, flat)
        return (flat + moves, state), value

    def write(carry, token):
        remembered, place = carry
        logits, remembered = model.apply({"params": params}, token[None, None], place, remembered, rng, method="advance")
        return (remembered, place + 1), logits[0]

    _, losses = jax.lax.scan(update, (flat, optimizer.init(flat)), None, 4)
    texts = jnp.concatenate([TOKENS, jnp.where(EARLY, TOKENS, (TOKENS + 3) % V), TOKENS])
    valid = jnp.stack([EARLY | True, EARLY | True, EARLY])
    logits, _ = model.apply({"params": params}, texts, valid, segments=0 * texts, rng=rng)
    return losses, logits, jax.lax.scan(write, (model.begin(1, L), jnp.int32(0)), TOKENS[0])[1]


@pytest.mark.parametrize("given", list(MODELS.values()), ids=list(MODELS))
def test_language_model(given):
    model = made(**given)
    losses, logits, written = told(model, start(model))
    assert losses[-1] < losses[0]
    whole, other, short = logits
    np.testing.assert_allclose(other[:AT], whole[:AT], atol=1e-5)
    np.testing.assert_allclose(short[:AT], whole[:AT], atol=1e-5)
    assert np.abs(other[AT:] - whole[AT:]).max() > 1e-3
    np.testing.assert_allclose(written, whole, atol=1e-5)


def test_all_parts_are_tried():
    """Of every kind all that a language model takes; most rows are."""
    for kind in ("encoding", "normalizer", "score", "mask", "mixer"):
        wanted = {each[kind] for each in _accepted(kind)}
        assert wanted <= {given.get(kind) for given in MODELS.values()}
        assert len(wanted) > 0.5 * len(attention.names(kind))


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[str(given) for given, _ in REFUSED])
def test_what_knows_later_tokens_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        made(**given)
