"""Evidence of FIRE."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import N, biased, fixed_bias, is_shared, mlp, relu, sign, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, inputs
from tests.support.row import Row

W = 5


def form(threshold=512.0, bidirectional=True, directed=False):
    def bias(params, h, i, j, heads, last):
        psi = lambda x: math.log(abs(params["c"]) * x + 1)
        length = max(i, last - i) if bidirectional else i
        size = abs(i - j) if bidirectional else max(i - j, 0)
        share = psi(size) / (psi(max(length, abs(params["factor"] * threshold))) + 1e-6)
        return mlp(params["mlp"], [share, sign(i - j)] if directed else [share], h, relu)

    return biased(bias)


def oracles():
    from tests.support.encoding_oracles import MLP, POSITIONS, WEIGHTS, B, F, bias_of, network, torch

    def causal(distance, c, factor, *weights):
        i = torch.as_tensor(POSITIONS)[:, :, None]
        psi = lambda x: torch.log(torch.abs(c * x) + 1)
        share = psi(distance.clamp(min=0)) / (psi(torch.maximum(i.double(), torch.abs(factor * 9.0))) + 1e-6)
        return network(share[..., None], *weights, F.relu)

    names = ("c", "factor", *(f"mlp/{name}" for name in MLP))
    spec = "fire(width=5, threshold=9, bidirectional=False)"
    return {"torch: causal": bias_of(spec, causal, names, B.positive(5), B.positive(6), *WEIGHTS)}


def picture():
    from tools.kinds.encoding_maps import Image, T, added, beside_itself, larger, rows_of

    sharper = lambda params: {**params, "mlp": larger(4.0)(params["mlp"])}
    found = beside_itself(added("fire(threshold=16)", change=sharper)[0])
    i, j = np.arange(T)[:, None], np.arange(T)[None]
    share = attention.fire_share(jnp.asarray(i - j), jnp.maximum(i, T - 1 - i), jnp.asarray(0.1), jnp.asarray(16.0))
    return (
        Image("the share f reads", np.asarray(share)),
        Image("head 1, less Δ = 0", found),
        rows_of("rows of head 1", found),
    )


SPEC = f"fire(width={W}, threshold=26.0)"
ROW = Row(
    SPEC,
    {"width": "7", "bidirectional": "False", "directed": "True", "threshold": "4.0", "shared": "True"},
    EncodingEvidence(
        (
            EncodingCase(SPEC, scores=form(26.0), far=False),
            EncodingCase(f"fire(width={W}, directed=True, shared=True)", scores=form(directed=True), far=False),
            EncodingCase(
                f"fire(width={W}, threshold=9.0, bidirectional=False)",
                scores=form(9.0, bidirectional=False),
                mask="causal",
                far=False,
            ),
        ),
        oracles,
        (0, 2 * W + (W + 1) * N + 2),
        moved="other",
        directed=False,
        picture=picture,
        errors={"fire(width=0)": "width must be >= 1, got 0", "fire(threshold=0)": "threshold must be > 0, got 0.0"},
    ),
)


def test_the_length_of_each_example():
    """The last valid key decides, whatever stands in the padding or where; the causal form asks for no length."""
    record = attention.build("encoding", "fire(threshold=2)")
    params = init(record)
    valid = jnp.arange(9) < jnp.array([[9], [5]])
    call = Call(jnp.arange(9), jnp.arange(9), None, valid)
    found = fixed_bias(record, params, call)[0]
    alone = fixed_bias(record, params, Call(jnp.arange(5), jnp.arange(5)))[0]
    np.testing.assert_allclose(found[1, :, :5, :5], alone, atol=1e-6)
    assert not np.allclose(found[0, :, :5, :5], alone, atol=1e-3)
    moved = jnp.where(valid, jnp.arange(9), 700)
    elsewhere = fixed_bias(record, params, Call(moved, moved, None, valid))[0]
    np.testing.assert_allclose(elsewhere[1, :, :5, :5], alone, atol=1e-6)
    share = lambda **k: attention.fire_share(jnp.arange(600), jnp.array([599]), jnp.array(0.1), jnp.array(512.0))
    assert float(share().max()) <= 1.0
    causal = attention.build("encoding", "fire(bidirectional=False)")
    assert causal.needs_causal
    with pytest.raises(ValueError, match="use mask=causal"):
        attention.attend(*inputs(T=3, S=3), encoding=causal)


def test_start():
    found = starts("fire", num_heads=4000)
    assert (found["c"], found["factor"]) == (np.float32(0.1), 1.0)
    for layer, bound in ((found["mlp"]["in"], 1.0), (found["mlp"]["out"], 32**-0.5)):
        for leaf in layer.values():
            assert np.abs(leaf).max() <= bound
            np.testing.assert_allclose(leaf.std(), bound / 3**0.5, rtol=0.3)


def test_shared_by_the_layers():
    assert is_shared("fire(shared=True)")
    assert not is_shared("fire")
