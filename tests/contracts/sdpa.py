"""The samples that jax.nn and torch test their attention with, over ``attend``; read with ``-m oracle`` alone.

Where ``attend`` differs by intention, and what these tests do about it:
- other queries than keys under a causal mask: both packages count queries and keys from 0, ``attend`` wants to be told so;
- torch broadcasts batches and heads, and has inputs without heads: ``attend`` wants ``[*B T N H]`` of one batch;
- float16, which jax.nn cannot compute on a CPU, is left out;
- dropout is drawn from another generator: samples with it run without;
- an empty row is NaN (torch, before 2.5) or the mean of all values (jax.nn): here it is 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import normal

pytestmark = pytest.mark.oracle


def _torch_samples():
    """Those of ``sample_inputs_scaled_dot_product_attention`` of torch 2.13: query, key, value, and options."""
    batch, T, S, heads, H = 4, 3, 6, 4, 8
    flat, split = ((batch, T, H), (batch, S, H)), ((batch, heads, T, H), (batch, heads, S, H))
    broadcast = ((heads, T, H), (batch, heads, S, H))
    found = [(q, k, k, {"is_causal": causal}) for q, k in (flat, split, broadcast) for causal in (True, False)]
    found += [(*split, (batch, heads, S, H + 8), {"is_causal": True}), (*split, split[1], {"attn_mask": (T, S)})]
    draw = lambda shape: np.random.default_rng(len(shape)).normal(size=shape)
    for q, k, v, options in found:
        yield draw(q), draw(k), draw(v), {name: draw(x) if name == "attn_mask" else x for name, x in options.items()}


@pytest.mark.parametrize("sample", list(_torch_samples()), ids=lambda sample: f"{sample[0].shape}-{list(sample[3])}")
def test_torch_samples(sample):
    torch = pytest.importorskip("torch")
    *arrays, options = sample
    given = {name: torch.from_numpy(x) if name == "attn_mask" else x for name, x in options.items()}
    wanted = torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, arrays), **given).numpy()
    with_heads = lambda x: x if x.ndim == 4 else x[:, None] if arrays[1].ndim == 3 else x[None]
    heads = [with_heads(x) for x in arrays]
    batch = np.broadcast_shapes(*(x.shape[:2] for x in heads))
    query, key, value = (np.swapaxes(np.broadcast_to(x, (*batch, *x.shape[2:])), 1, 2) for x in heads)
    with jax.enable_x64(True):
        call = Call(jnp.arange(query.shape[1]), jnp.arange(key.shape[1]))
        bias = jnp.asarray(options["attn_mask"])[None, None] if "attn_mask" in options else None
        mask = "causal" if options.get("is_causal") else "full"
        found = attention.attend(*map(jnp.asarray, (query, key, value)), mask=mask, bias=bias, call=call)
    np.testing.assert_allclose(np.swapaxes(found, 1, 2).reshape(wanted.shape), wanted, atol=1e-6)


B, T, N, H = 2, 32, 8, 16
MODES = {
    "plain": ({}, {}),
    "causal": ({"is_causal": True}, {"mask": "causal"}),
    "bias": ({"bias": normal(9, 1, N, T, T)}, {"bias": normal(9, 1, N, T, T)}),
    "bias per example": ({"bias": normal(8, B, 1, 1, T)}, {"bias": normal(8, B, 1, 1, T)}),
    "custom": ({"mask": normal(7, B, 1, T, T) > -1}, {"where": normal(7, B, 1, T, T) > -1}),
    "sliding window": ({"local_window_size": 5}, {"mask": "local(window=10)"}),
    "causal window": ({"local_window_size": (5, 0)}, {"mask": "causal & local(window=10)"}),
    "padding": (
        {"query_seq_lengths": jnp.array([20, T]), "key_value_seq_lengths": jnp.array([11, T])},
        {"call": Call(k_valid=jnp.arange(T) < jnp.array([[11], [T]]))},
    ),
    "causal bias": ({"is_causal": True, "bias": normal(9, 1, N, T, T)}, {"mask": "causal", "bias": normal(9, 1, N, T, T)}),
}


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("mode", MODES)
def test_jax_samples(mode, dtype, groups):
    """Value and gradients, in every kernel; of padded queries, which there are zeros, nothing is compared."""
    theirs, ours = MODES[mode]
    query, key, value = normal(0, B, T, N, H), normal(1, B, T, N // groups, H), normal(2, B, T, N // groups, H)
    arrays = [x.astype(dtype) for x in (query, key, value)]
    upstream = normal(3, B, T, N, H)
    if mode == "padding":
        upstream = jnp.where((jnp.arange(T) < jnp.array([[20], [T]]))[..., None, None], upstream, 0.0)

    def both(attend, **options):
        loss = lambda *given: jnp.sum(attend(*given, **options).astype(jnp.float32) * upstream)
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*arrays)

    wanted = jax.tree.leaves(both(jax.nn.dot_product_attention, **theirs))
    for kernel in ("dense", "chunked"):
        for a, b in zip(jax.tree.leaves(both(attention.attend, kernel=kernel, **ours)), wanted):
            a, b = (np.asarray(x, np.float32) for x in (a, b))
            scale = max(1.0, np.abs(b).max()) if a.ndim else np.abs(upstream).sum() ** 0.5
            np.testing.assert_allclose(a / scale, b / scale, atol=2e-5 if dtype == jnp.float32 else 2e-2)
