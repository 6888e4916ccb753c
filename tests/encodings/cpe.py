"""Evidence of a convolution as positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import models
from tests.support.encodings import D
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, normal
from tests.support.row import Row


def form(causal=False):
    def embed(x, tokens, i, text, params):
        kernel, seen = params["kernel"], np.where(text[:, None], x, 0.0)
        first = 1 - len(kernel) if causal else -(len(kernel) // 2)
        found = x + params["bias"]
        for t, offset in np.ndindex(len(x), len(kernel)):
            if 0 <= t + first + offset < len(x):
                found[t] += kernel[offset] * seen[t + first + offset]
        return found

    return embed


def oracles():
    from tests.support.encoding_oracles import A, F
    from tests.support.witness import Witness

    valid = np.arange(A.T) < np.array([[A.T], [5]])

    def witness(causal):
        def theirs(x, kernel, bias, valid):
            x = x.masked_fill(~valid[..., None], 0.0).transpose(1, 2)
            x = F.pad(x, (4, 0) if causal else (2, 2))
            return F.conv1d(x, kernel.T[:, None], bias, groups=A.D).transpose(1, 2)

        inputs = (A.normal(0, A.B, A.T, A.D), A.normal(1, 5, A.D), A.normal(2, A.D), valid)
        ours = lambda x, k, b, v: attention.depthwise_convolution(x, k, b, valid=v, causal=causal)
        return Witness(ours, theirs, inputs)

    return {"torch F.conv1d": witness(causal=False), "torch F.conv1d, causal": witness(causal=True)}


def picture():
    from tools.kinds.encoding_maps import D, Image, Lines, T, init

    record = attention.build("encoding", "cpe")
    params = init(record)
    kernel = np.asarray(params["kernel"])
    of_ones = np.asarray(record.embed(params, jnp.ones((T, D)), jnp.ones(T, jnp.int32), Call())) - 1.0
    here = np.arange(T)
    into = np.zeros((T, T))
    for step, weight in zip((-1, 0, 1), kernel[:, 0], strict=True):
        inside = (here + step >= 0) & (here + step < T)
        into[here[inside], here[inside] + step] = weight
    return (
        Image("the kernel", kernel, "channel", "tap"),
        Image("what a token gets, channel 0", into, "from token", "token"),
        Lines("of equal tokens", "token", here, {f"channel {c}": of_ones[:, c] for c in (0, 2, 4)}),
    )


ROW = Row(
    "cpe",
    {"width": "5", "causal": "True"},
    EncodingEvidence(
        (EncodingCase("cpe", form()), EncodingCase("cpe(width=5, causal=True)", form(causal=True))),
        oracles,
        (4 * D, 0),
        by_position=False,
        picture=picture,
        errors={
            "cpe(width=4)": "width must be an odd number >= 3, got 4",
            "cpe(width=1)": "width must be an odd number >= 3, got 1",
        },
    ),
)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [3, 7])
def test_depthwise_convolution(width, causal):
    x, kernel, bias = normal(0, 2, 5, 4), normal(1, width, 4), normal(2, 4)
    valid = np.array([[True] * 5, [False, True, True, True, False]])
    found = attention.depthwise_convolution(x, kernel, bias, valid=jnp.asarray(valid), causal=causal)
    first = -(width - 1) if causal else -(width // 2)
    for b, t, c in np.ndindex(2, 5, 4):
        near = [(o, t + first + o) for o in range(width) if 0 <= t + first + o < 5 and valid[b, t + first + o]]
        wanted = float(bias[c]) + sum(float(kernel[o, c]) * float(x[b, i, c]) for o, i in near)
        np.testing.assert_allclose(found[b, t, c], wanted, atol=1e-5)
    with pytest.raises(ValueError, match="has an odd width, got 4"):
        attention.depthwise_convolution(x, normal(1, 4, 4), bias)


@pytest.mark.parametrize("left", [0, 3])
def test_padding_may_be_nan(left):
    """Padding before and after the text holds anything, NaN included."""
    record = attention.build("encoding", "cpe(width=5)")
    params, x = init(record), normal(0, 1, 6, D)
    padded = jnp.full((1, 12, D), jnp.nan).at[:, left : left + 6].set(x)
    valid = (jnp.arange(12) >= left) & (jnp.arange(12) < left + 6)
    found = record.embed(params, padded, None, Call(q_valid=valid[None], k_valid=valid[None]))
    np.testing.assert_allclose(found[:, left : left + 6], record.embed(params, x, None, Call()), atol=1e-6)


def test_it_acts_after_the_first_block():
    """In a stack the first block's output is that without it, and the states of one block are norm(h + conv(h))."""
    two = {"encoder": "transformer(layers=2, mlp=2)"}
    tokens, valid = models.batch()
    made = models.made(**two, encoding="cpe")
    plain = models.made(**two, encoding="none")[0]
    plain_params = {**made[1], "encoder": {**made[1]["encoder"], "encoding": {}}}
    inside = made[1]["encoder"]
    params = {**made[1], "encoder": {**inside, "encoding": jax.tree.map(jnp.zeros_like, inside["encoding"])}}
    see = lambda model, params: model.apply({"params": params}, tokens, valid, capture=True)[1]
    silent, acting, none = see(made[0], params), see(made[0], made[1]), see(plain, plain_params)
    np.testing.assert_allclose(silent["states"], none["states"], atol=1e-6)
    np.testing.assert_array_equal(acting["layer_0/output"], silent["layer_0/output"])
    assert np.abs(acting["layer_1/output"] - silent["layer_1/output"]).max() > 1e-2
    model, params, _ = models.made(encoding="cpe")
    seen = see(model, params)
    h, own = seen["layer_0/output"], params["encoder"]["encoding"]
    h = h + attention.depthwise_convolution(h, own["kernel"], own["bias"], valid=valid)
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-6)
    norm = params["encoder"]["norm"]
    np.testing.assert_allclose(seen["states"], h * norm["scale"] + norm["bias"], atol=1e-4)


def test_causal_models():
    """The form that reads later tokens is refused under a causal mask; the other's outputs do not depend on them."""
    with pytest.raises(ValueError, match=r"cpe reads the tokens after each; under a causal mask use cpe\(causal=True\)"):
        models.made(encoding="cpe", mask="causal")
    model, params, _ = models.made(encoding="cpe(causal=True) + rope", mask="causal", encoder="transformer(layers=2, mlp=2)")
    tokens, valid = models.batch()
    see = lambda tokens: model.apply({"params": params}, tokens, valid, capture=True)[1]["states"]
    other = see(tokens.at[:, 4:].set(1 + tokens[:, 4:] % 5))
    np.testing.assert_allclose(other[:, :4], see(tokens)[:, :4], atol=1e-5)
    assert not np.allclose(other[0, 4:], see(tokens)[0, 4:], atol=1e-3)
