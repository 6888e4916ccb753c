"""What every gate promises: its reference, its start, and its places in a model."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.gates import BLOCKS, edited, without_gate
from tests.support.helpers import float64, jit, normal, size
from tests.support.models import C, D, batch, classifier, made
from tests.support.rows import over_cases, over_knobs, over_rows

every = over_cases("gate")


def _start(record):
    return {} if record.init is None else record.init(jax.random.key(0), D)


def _passed(record, params, x):
    return x if record.apply is None else record.apply(params, x)


@every
def test_reference(case):
    """Value, type, number of parameters, and a gradient for each and for the input, by finite differences."""
    record, x = attention.build("gate", case.spec), normal(0, 6, D)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), _start(record))
    assert size(params) == case.count(D)
    assert (record.init is None) == (record.apply is None) == (case.count(D) == 0)
    exact = float64((params, x))

    @jit
    def run(params, x):
        loss = lambda a: (lambda y: (jnp.sum(jnp.sin(y)), y))(_passed(record, *a))
        return jax.value_and_grad(loss, has_aux=True)((params, x)), _passed(record, params, x.astype(jnp.bfloat16))

    ((_, found), gradients), narrow = run(params, x)
    np.testing.assert_allclose(found, case.reference(exact[1], exact[0]), atol=1e-5)
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow.astype(jnp.float32), case.reference(exact[1], exact[0]), atol=0.1)
    assert all(np.abs(leaf).min() > 1e-6 for leaf in jax.tree.leaves(gradients))
    direction = jax.tree.map(lambda leaf: np.random.default_rng(leaf.size).normal(size=leaf.shape), exact)
    moved = lambda step: jax.tree.map(lambda a, d: a + step * d, exact, direction)
    loss = lambda a: np.sum(np.sin(case.reference(a[1], a[0])))
    along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradients), jax.tree.leaves(direction)))
    np.testing.assert_allclose(along, (loss(moved(1e-5)) - loss(moved(-1e-5))) / 2e-5, rtol=1e-4)


@every
def test_start(case):
    """The identity, bit for bit, or as open as is said."""
    record, x = attention.build("gate", case.spec), normal(0, 2, 3, D)
    found = _passed(record, _start(record), x)
    if case.start is None:
        np.testing.assert_array_equal(found, x)
    else:
        np.testing.assert_allclose(found, case.start(x), rtol=1e-6)


@over_knobs("gate")
def test_no_dead_options(knob):
    x = normal(0, 3, D)
    one, other = (
        _passed(record, _start(record), x) for record in (attention.build("gate", spec) for spec in (knob.without, knob.with_))
    )
    assert not np.allclose(one, other)


@over_rows("gate")
def test_of_the_blocks(name, row):
    """Every parameter of it has a gradient, and a gate that changes nothing leaves the model as it is without."""
    case = row.evidence.cases[0]
    model, params, forward = made(encoder=f"transformer(layers=2, mlp=1, gate={name})")
    _, plain, plain_forward = made(encoder="transformer(layers=2, mlp=1)")
    tokens, valid = batch()
    assert size(params) - size(plain) == 2 * case.count(D)
    if case.count(D) == 0:
        return
    gradient = jit(jax.grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)
    for block in BLOCKS:
        assert all(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(gradient["encoder"][block]["gate"]))
    opened = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), case.opened(D))
    found = forward(edited(params, lambda block: {**block, "gate": opened}), tokens, valid)[0]
    wanted = plain_forward(edited(params, without_gate), tokens, valid)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert not np.allclose(forward(params, tokens, valid)[0], wanted, atol=1e-2)


@over_rows("gate")
def test_of_the_head(name, row):
    """On the pooled vector, before the linear layer: logits are those of the gated vector, by hand; and at the start those of
    a model without it, if everything passes."""
    case = row.evidence.cases[0]
    model, params, _ = made(head_gate=name)
    tokens, valid = batch()

    @jit
    def run(params):
        loss = lambda p: (lambda y: (jnp.sum(y[0] ** 2), y))(model.apply({"params": p}, tokens, valid, capture=True))
        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, (logits, aux)), gradient = run(params)
    assert size(params.get("head_gate", {})) == case.count(D)
    gated = case.reference(np.float64(aux["pooled"]), float64(params.get("head_gate", {})))
    head = float64(params["head"])
    np.testing.assert_allclose(logits, gated @ head["kernel"] + head["bias"], atol=1e-4)
    assert all(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(gradient.get("head_gate", {})))

    @jit
    def started(rng):
        start = model.init(rng, tokens, valid)["params"]
        ungated = {part: leaf for part, leaf in start.items() if part != "head_gate"}
        plain = classifier().apply({"params": ungated}, tokens, valid)[0]
        return model.apply({"params": start}, tokens, valid)[0], plain

    found, wanted = started(jax.random.key(0))
    assert found.shape == (2, C)
    if case.start is None:
        np.testing.assert_array_equal(found, wanted)
    else:
        assert not np.allclose(found, wanted, atol=1e-4)
