"""The gate on what attention returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.helpers import assert_close, jit, normal
from tests.support.models import D, N, batch, made

FORMS = ("element", "head")


@pytest.mark.parametrize("form", FORMS)
def test_output_gate(form):
    x, output = normal(0, 2, 3, D), normal(1, 2, 3, N, 4)
    kernel = normal(2, D, N, 4 if form == "element" else 1)
    found = attention.output_gate(output, x, kernel)
    wanted = np.zeros((2, 3, N, 4))
    for b, t, n, h in np.ndindex(wanted.shape):
        weights = np.float64(kernel[:, n, h if form == "element" else 0])
        wanted[b, t, n, h] = float(output[b, t, n, h]) / (1 + np.exp(-np.float64(x[b, t]) @ weights))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert attention.output_gate(output.astype(jnp.bfloat16), x.astype(jnp.bfloat16), kernel).dtype == jnp.bfloat16
    gradients = jit(jax.grad(lambda *a: jnp.sum(attention.output_gate(*a) ** 2), (0, 1, 2)))(output, x, kernel)
    assert all(np.abs(gradient).max() > 1e-3 for gradient in gradients)


@pytest.mark.parametrize("form", FORMS)
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
    dims = attention.Dims(N, N, D // N, D)
    own = mixer.init(jax.random.key(0), dims)
    assert own["gate"]["kernel"].shape == (D, N, D // N if form == "element" else 1)
    np.testing.assert_array_equal(own["query"]["kernel"], plain.init(jax.random.key(0), dims)["query"]["kernel"])
    specs = zip(attention.Parts._fields, ("none", "dot", "softmax", "full"))
    context = attention.Context(attention.Parts(*(attention.build(*each) for each in specs)), {})
    # With an output projection that is the identity, what is gated can be seen.
    own["output"] = {"kernel": jnp.eye(D).reshape(N, D // N, D), "bias": jnp.zeros(D)}
    x = normal(0, 2, 3, D)
    run = lambda mixer: mixer.apply(own, x, context, attention.Call())
    wanted = attention.output_gate(run(plain).reshape(2, 3, N, D // N), x, own["gate"]["kernel"]).reshape(x.shape)
    np.testing.assert_allclose(run(mixer), wanted, atol=1e-6)
    assert not np.allclose(run(mixer), run(plain) / 2, atol=1e-2)
