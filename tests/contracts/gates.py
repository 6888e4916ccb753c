import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.gates import GATES, build_gate
from attention.training import config
from attention.training.describe import variants_of
from tests.support.helpers import assert_close, float64, jit, normal, size
from tests.support.models import C, D, N, batch, classifier, made

X = normal(0, 2, 3, D)
GATED = [name for name in GATES if name != "none"]
MIXERS = ("element", "head")


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _params(name, seed=1):
    """Random parameters of a gate, by the shapes of its start."""
    rng = np.random.default_rng(seed)
    made = build_gate(name).init(jax.random.key(0), D)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), made)


REFERENCE = {
    "residual": lambda x, p: np.stack([[row + p["weight"] * row for row in rows] for rows in x]),
    "mult": lambda x, p: np.stack([[p["weight"] * row for row in rows] for rows in x]),
    "input": lambda x, p: np.stack([[row * _sigmoid(row @ p["kernel"] + p["bias"]) for row in rows] for rows in x]),
    "residual_input": lambda x, p: np.stack([[row + row * _sigmoid(row @ p["kernel"] + p["bias"]) for row in r] for r in x]),
}
START = {"residual": X, "mult": X, "input": X * float(_sigmoid(2.0)), "residual_input": X * float(1 + _sigmoid(2.0))}
HALF = {"input": X / 2, "residual_input": 1.5 * X}  # with b = 0
COUNT = {"residual": D, "mult": D, "input": D * D + D, "residual_input": D * D + D}


def test_every_gate_has_a_row():
    assert set(REFERENCE) == set(START) == set(COUNT) == set(GATED)
    assert build_gate("none") is None


@pytest.mark.parametrize("name", GATED)
def test_reference(name):
    """Value, type, number of parameters, and a gradient for each and for the input, by finite differences."""
    gate, params = build_gate(name), _params(name)
    assert size(params) == COUNT[name]
    x, exact = np.float64(X), float64(params)
    np.testing.assert_allclose(jit(gate.apply)(params, X), REFERENCE[name](x, exact), atol=1e-5)
    assert gate.apply(params, X.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    np.testing.assert_allclose(gate.apply(params, X.astype(jnp.bfloat16)), REFERENCE[name](x, exact), atol=0.1)
    gradients = jit(jax.grad(lambda a: jnp.sum(jnp.sin(gate.apply(*a)))))((params, X))
    assert all(np.abs(leaf).min() > 1e-6 for leaf in jax.tree.leaves(gradients))
    direction = jax.tree.map(lambda leaf: np.random.default_rng(leaf.size).normal(size=leaf.shape), (exact, x))
    moved = lambda step: jax.tree.map(lambda a, d: a + step * d, (exact, x), direction)
    loss = lambda a: np.sum(np.sin(REFERENCE[name](a[1], a[0])))
    along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradients), jax.tree.leaves(direction)))
    np.testing.assert_allclose(along, (loss(moved(1e-5)) - loss(moved(-1e-5))) / 2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", GATED)
def test_start(name):
    """residual and mult are the identity, bit for bit; the others are open by σ(2), or by what is asked for."""
    gate = build_gate(name)
    found = gate.apply(gate.init(jax.random.key(0), D), X)
    if name in HALF:
        np.testing.assert_allclose(found, START[name], rtol=1e-6)
        half = build_gate(name, 0.0)
        np.testing.assert_allclose(half.apply(half.init(jax.random.key(0), D), X), HALF[name], rtol=1e-6)
    else:
        np.testing.assert_array_equal(found, X)


def test_residual_and_mult_are_one_family():
    """w of mult is 1 + w of residual; what differs is where decay pulls to: the identity or nothing."""
    weight = normal(3, D)
    np.testing.assert_allclose(attention.mult_gate(X, 1.0 + weight), attention.residual_gate(X, weight), rtol=1e-6)
    np.testing.assert_array_equal(attention.residual_gate(X, 0.0 * weight), X)
    np.testing.assert_array_equal(attention.mult_gate(X, 0.0 * weight), 0.0)


def test_the_trap_of_mult():
    """A start at 0, as the residual form has it, passes nothing and no gradient to what made the input."""
    loss = lambda gate: jax.grad(lambda x, w: jnp.sum(gate(x, w) ** 2), (0, 1))(X, jnp.zeros(D))
    for gradient in loss(attention.mult_gate):
        np.testing.assert_array_equal(gradient, 0.0)
    assert all(np.abs(gradient).min() > 1e-6 for gradient in loss(attention.residual_gate))


def test_unknown():
    with pytest.raises(
        ValueError, match=r"gate must be one of none, residual, mult, input, residual_input \(nearest: 'mult'\), got 'multi'"
    ):
        build_gate("multi")


# After attention.


@pytest.mark.parametrize("form", MIXERS)
def test_output_gate(form):
    x, output = normal(0, 2, 3, D), normal(1, 2, 3, N, 4)
    kernel = normal(2, D, N, 4 if form == "element" else 1)
    found = attention.output_gate(output, x, kernel)
    wanted = np.zeros((2, 3, N, 4))
    for b, t, n, h in np.ndindex(wanted.shape):
        weights = np.float64(kernel[:, n, h if form == "element" else 0])
        wanted[b, t, n, h] = float(output[b, t, n, h]) * _sigmoid(np.float64(x[b, t]) @ weights)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert attention.output_gate(output.astype(jnp.bfloat16), x.astype(jnp.bfloat16), kernel).dtype == jnp.bfloat16
    gradients = jit(jax.grad(lambda *a: jnp.sum(attention.output_gate(*a) ** 2), (0, 1, 2)))(output, x, kernel)
    assert all(np.abs(gradient).max() > 1e-3 for gradient in gradients)


@pytest.mark.parametrize("form", MIXERS)
def test_output_gate_of_the_mixer(form):
    """It gates the sum of values by the layer's input, before the output projection; chunked as dense."""
    spec = f"attention(heads={N}, gate={form})"
    tokens, valid = batch((20, 13), 20)
    found = {}
    for kernel in ("dense", "chunked"):
        model, params, _ = made(mixer=spec, kernel=kernel)
        loss = lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)  # noqa: B023
        found[kernel] = jit(jax.value_and_grad(loss))(params)
    assert_close(found["chunked"], found["dense"], 3e-5)
    assert np.abs(found["dense"][1]["encoder"]["block_0"]["mixer"]["gate"]["kernel"]).max() > 1e-4

    mixer, plain = (attention.build("mixer", text) for text in (spec, f"attention(heads={N})"))
    dims = attention.Dims(N, N, D // N, D, layer=0)
    own = mixer.init(jax.random.key(0), dims)
    assert own["gate"]["kernel"].shape == (D, N, D // N if form == "element" else 1)
    np.testing.assert_array_equal(own["query"]["kernel"], plain.init(jax.random.key(0), dims)["query"]["kernel"])
    parts = attention.Parts(
        *(attention.build(k, s) for k, s in zip(attention.Parts._fields, ("none", "dot", "softmax", "full")))
    )
    context = attention.Context(parts, {})
    # With an output projection that is the identity, what is gated can be seen.
    own["output"] = {"kernel": jnp.eye(D).reshape(N, D // N, D), "bias": jnp.zeros(D)}
    run = lambda mixer: mixer.apply(own, X, context, attention.Call())
    wanted = attention.output_gate(run(plain).reshape(2, 3, N, D // N), X, own["gate"]["kernel"]).reshape(X.shape)
    np.testing.assert_allclose(run(mixer), wanted, atol=1e-6)
    assert not np.allclose(run(mixer), run(plain) / 2, atol=1e-2)


# In the model.


BLOCKS = ("block_0", "block_1")
OPEN = {
    "residual": {"weight": jnp.zeros(D)},
    "mult": {"weight": jnp.ones(D)},
    "input": {"kernel": jnp.zeros((D, D)), "bias": jnp.full(D, 40.0)},
    "residual_input": {"kernel": jnp.zeros((D, D)), "bias": jnp.full(D, -40.0)},
}


def _edited(params, edit):
    """The parameters with ``edit(block)`` in the place of every block."""
    blocks = {name: edit(params["encoder"][name]) for name in BLOCKS}
    return {**params, "encoder": {**params["encoder"], **blocks}}


def _without_gate(block):
    return {part: leaf for part, leaf in block.items() if part != "gate"}


@pytest.mark.parametrize("name", GATED)
def test_gate_of_the_blocks(name):
    """Every parameter of it has a gradient, and a gate that changes nothing leaves the model as it is without."""
    model, params, forward = made(encoder=f"transformer(layers=2, mlp=1, gate={name})")
    _, plain, plain_forward = made(encoder="transformer(layers=2, mlp=1)")
    tokens, valid = batch()
    assert size(params) - size(plain) == 2 * COUNT[name]
    gradient = jit(jax.grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)
    for block in BLOCKS:
        assert all(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(gradient["encoder"][block]["gate"]))
    opened = forward(_edited(params, lambda block: {**block, "gate": OPEN[name]}), tokens, valid)[0]
    wanted = plain_forward(_edited(params, _without_gate), tokens, valid)[0]
    np.testing.assert_allclose(opened, wanted, atol=1e-5)
    assert not np.allclose(forward(params, tokens, valid)[0], wanted, atol=1e-2)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_where_the_gate_of_the_blocks_stands(norm):
    """Right before the projections, after a pre-norm, and on no other path: weighing the channels by the gate is weighing the
    rows of the projections."""
    _, params, forward = made(encoder=f"transformer(layers=2, mlp=1, norm={norm}, gate=mult)")
    _, _, plain_forward = made(encoder=f"transformer(layers=2, mlp=1, norm={norm})")
    tokens, valid = batch()
    weight = normal(5, D)

    def weigh(block):
        weighed = lambda leaf: {**leaf, "kernel": leaf["kernel"] * weight[:, None, None]}
        mixer = {part: leaf if part == "output" else weighed(leaf) for part, leaf in block["mixer"].items()}
        return {**_without_gate(block), "mixer": mixer}

    gated = forward(_edited(params, lambda block: {**block, "gate": {"weight": weight}}), tokens, valid)[0]
    np.testing.assert_allclose(gated, plain_forward(_edited(params, weigh), tokens, valid)[0], atol=1e-4)


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_gate_of_the_head(name, pooling):
    """On the pooled vector, before the linear layer: logits are those of the gated vector, by hand."""
    model, params, _ = made(head_gate=name, pooling=pooling)
    tokens, valid = batch()
    logits, aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True))(params)
    assert size(params["head_gate"]) == COUNT[name]
    gated = REFERENCE[name](np.float64(aux["pooled"])[None], float64(params["head_gate"]))[0]
    head = float64(params["head"])
    np.testing.assert_allclose(logits, gated @ head["kernel"] + head["bias"], atol=1e-4)
    gradient = jit(jax.grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)
    assert all(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(gradient["head_gate"]))
    start = model.init(jax.random.key(0), tokens, valid)["params"]
    plain = classifier(pooling=pooling)
    ungated = {key: leaf for key, leaf in start.items() if key != "head_gate"}
    wanted = plain.apply({"params": ungated}, tokens, valid)[0]
    found = model.apply({"params": start}, tokens, valid)[0]
    assert found.shape == (2, C)
    if name in HALF:
        assert not np.allclose(found, wanted, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("gate", ["none", "residual_input"])
def test_softmax_and_hidden_layer_of_the_head(gate):
    """In this order: gate, softmax over the channels, relu layer, linear layer."""
    model, params, _ = made(head_gate=gate, head_softmax=True, head_hidden=5)
    tokens, valid = batch()
    logits, aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True))(params)
    exact = float64(params)
    vector = np.float64(aux["pooled"])
    vector = vector if gate == "none" else REFERENCE[gate](vector[None], exact["head_gate"])[0]
    shares = np.exp(vector) / np.exp(vector).sum(-1, keepdims=True)
    hidden = np.maximum(shares @ exact["head_hidden"]["kernel"] + exact["head_hidden"]["bias"], 0)
    np.testing.assert_allclose(logits, hidden @ exact["head"]["kernel"] + exact["head"]["bias"], atol=1e-4)
    assert exact["head"]["kernel"].shape == (5, C)


def test_gates_are_listed():
    encoders, mixers = variants_of("encoder"), variants_of("mixer")
    assert "gate='none', gate_bias=2.0" in encoders
    assert "gate='none'" in mixers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "transformer(gate=resdual)"},
            "encoder 'transformer(gate=resdual)': option 'gate' wants one of 'none', 'residual', 'mult', 'input', "
            "'residual_input' (nearest: 'residual'), got 'resdual'",
        ),
        ({"encoder": "transformer(gate_bias=0)"}, "gate_bias is for gate='input' and 'residual_input', got gate='none'"),
        (
            {"encoder": "transformer(gate=mult, gate_bias=0)"},
            "gate_bias is for gate='input' and 'residual_input', got gate='mult'",
        ),
        ({"mixer": "attention(gate=heads)"}, "option 'gate' wants one of 'none', 'element', 'head' (nearest: 'head')"),
        (
            {"head_gate": "multi"},
            "head_gate must be one of none, residual, mult, input, residual_input (nearest: 'mult'), got 'multi'",
        ),
        ({"head_hidden": -1}, "head_hidden must be >= 0, got -1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        classifier(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_config():
    with pytest.raises(
        ValueError, match=r"config\.model\.head_gate wants one of none, residual, mult, input, residual_input, "
    ):
        config.from_dict({"model": {"head_gate": "multi"}})
    assert config.from_dict({"model": {"head_gate": "input"}}).model.head_gate == "input"


def test_gate_bias():
    """Where the input gate starts, in every block."""
    model = classifier(encoder="transformer(layers=2, mlp=1, gate=input, gate_bias=0.5)")
    tokens, valid = batch()
    encoder = model.init(jax.random.key(0), tokens, valid)["params"]["encoder"]
    for block in ("block_0", "block_1"):
        np.testing.assert_array_equal(encoder[block]["gate"]["bias"], 0.5)
        np.testing.assert_array_equal(encoder[block]["gate"]["kernel"], 0.0)
