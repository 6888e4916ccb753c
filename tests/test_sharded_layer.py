"""A layer and the module for Equinox over eight devices, by examples and by heads: no device gathers what others hold."""

import os
import subprocess
import sys

CHILD = """
import equinox as eqx, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import attention

B, T, D, N = 8, 12, 64, 8
mesh = Mesh(np.array(jax.devices()).reshape(8), ("x",))
put = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))
x, valid = jax.random.normal(jax.random.key(1), (B, T, D)), jnp.arange(T) < jnp.arange(5, 5 + B)[:, None]
parts = {"encoding": "alibi", "normalizer": "entmax15", "mask": "causal"}
layer = attention.layer(dim=D, mixer=f"attention(heads={N})", **parts)
pure = lambda params, x, valid: layer.apply(params, x, valid=valid)
module = attention.equinox.MultiheadAttention(N, D, key=jax.random.key(0), **parts)
arrays, rest = eqx.partition(module, eqx.is_array)
one = lambda arrays, x, valid: eqx.combine(arrays, rest)(x, x, x, valid=valid)
mapped = jax.vmap(one, in_axes=(None, 0, 0))


def heads(path, leaf):
    "Split by heads: in a layer [D N H], [N H] and [N H D], in Equinox [N·H D] and, after attention, [D N·H]."
    name = jax.tree_util.keystr(path)
    if "mixer" in name:
        into = P("x") if leaf.shape[0] == N else P(None, "x") if leaf.ndim == 3 else P()
    else:
        into = P(None, "x") if "output" in name else P("x")
    return put(leaf, into)


for apply, params in ((pure, layer.init(jax.random.key(0))), (mapped, arrays)):
    wanted = jax.jit(apply)(params, x, valid)
    loss = lambda params, x, valid: jnp.sum(apply(params, x, valid) ** 2)
    for given in (
        (put(params, P()), put(x, P("x")), put(valid, P("x"))),
        (jax.tree.map_with_path(heads, params), put(x, P()), put(valid, P())),
    ):
        for function in (apply, jax.grad(loss)):
            text = jax.jit(function).lower(*given).compile().as_text()
            crossing = ("all-gather", "all-to-all", "all-reduce", "collective-permute")
            whole = f"[{B},{N},{T},{T}]" in text
            print(*[name for name in crossing if f"{name}(" in text], *["whole scores"] * whole, sep=", ")
        np.testing.assert_allclose(jax.jit(apply)(*given), wanted, atol=1e-5)
"""


def test_no_device_gathers():
    """What crosses devices is summed: gradients by examples, outputs by heads, and whether a loop of entmax goes on."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, env=environment)
    assert done.stdout == "all-reduce\n" * 8, done.stdout + done.stderr
