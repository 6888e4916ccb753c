"""Evidence of multi-head attention pooling."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support import reference_normalizers as normalizers
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.helpers import spread_out
from tests.support.poolings import DIMS, VALID, D, draw, states, witness
from tests.support.row import Row

N, M = 2, 8


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def reference(normalize=normalizers.softmax):
    """Queries, keys and values of every head and position, as the formula has them."""

    def apply(x, valid, params):
        project = lambda name, row, n: row @ params[name]["kernel"][:, n] + params[name]["bias"][n]
        heads, z, found = params["query"]["bias"].shape[0], params["output"]["bias"], []
        for n in range(heads):
            q = project("query", params["probe"], n)
            scores = [q @ project("key", row, n) / math.sqrt(len(q)) for row in x]
            found.append(np.asarray(normalize(scores, valid)))
            z = z + sum(w * project("value", row, n) for w, row in zip(found[-1], x)) @ params["output"]["kernel"][n]
        normed = (z - z.mean()) / np.sqrt(z.var() + 1e-6) * params["norm"]["scale"] + params["norm"]["bias"]
        hidden = gelu(normed @ params["in"]["kernel"] + params["in"]["bias"])
        y = z + hidden @ params["out"]["kernel"] + params["out"]["bias"]
        return (y if any(valid) else 0 * y), np.stack(found), 0.0

    return apply


_AFFINE = {"query": (D, D), "key": (D, D), "value": (D, D), "output": (D, D), "in": (D, M), "out": (M, D)}
LEAVES = {
    "probe": (D,),
    "norm.scale": (D,),
    "norm.bias": (D,),
    **{f"{name}.kernel": shape for name, shape in _AFFINE.items()},
    **{f"{name}.bias": shape[1:] for name, shape in _AFFINE.items()},
}


def _ours(x, where, *leaves):
    """The heads have an axis of their own."""
    params = {}
    for name, leaf in zip(LEAVES, leaves):
        layer, _, kind = name.partition(".")
        if layer in ("query", "key", "value"):
            leaf = leaf.reshape(*leaf.shape[:-1], N, D // N)
        elif name == "output.kernel":
            leaf = leaf.reshape(N, D // N, D)
        params = {**params, layer: {**params.get(layer, {}), kind: leaf} if kind else leaf}
    return attention.map_pool(x, params, where)[0]


def oracles():
    from tests.support.oracle_packages import F, SiglipMultiheadAttentionPoolingHead, SiglipVisionConfig, torch

    def stacked(p):
        """The projections of queries, keys and values as torch has them, one below another, outputs first."""
        names = ("query", "key", "value")
        return torch.cat([p[f"{name}.kernel"].T for name in names]), torch.cat([p[f"{name}.bias"] for name in names])

    def siglip(z, p):
        """A published head that is this pooling; its own attention is torch's module."""
        config = SiglipVisionConfig(hidden_size=D, intermediate_size=M, num_attention_heads=N, layer_norm_eps=1e-6)
        weight, bias = stacked(p)
        given = {
            "probe": p["probe"][None, None],
            "attention.in_proj_weight": weight,
            "attention.in_proj_bias": bias,
            "attention.out_proj.weight": p["output.kernel"].T,
            "attention.out_proj.bias": p["output.bias"],
            "layernorm.weight": p["norm.scale"],
            "layernorm.bias": p["norm.bias"],
            "mlp.fc1.weight": p["in.kernel"].T,
            "mlp.fc1.bias": p["in.bias"],
            "mlp.fc2.weight": p["out.kernel"].T,
            "mlp.fc2.bias": p["out.bias"],
        }
        module = SiglipMultiheadAttentionPoolingHead(config).double()
        assert set(given) == set(module.state_dict())
        return torch.func.functional_call(module, given, (z[None],))[0]

    def by_torch(z, p):
        """torch.nn.MultiheadAttention's function, and the formula after it."""
        weight, bias = stacked(p)
        found, _ = F.multi_head_attention_forward(
            p["probe"][None, None], z[:, None], z[:, None], D, N, weight, bias, None, None, False, 0.0,
            p["output.kernel"].T, p["output.bias"],
        )  # fmt: skip
        x = found[0, 0]
        y = F.layer_norm(x, (D,), p["norm.scale"], p["norm.bias"], eps=1e-6)
        hidden = F.gelu(F.linear(y, p["in.kernel"].T, p["in.bias"]), approximate="tanh")
        return x + F.linear(hidden, p["out.kernel"].T, p["out.bias"])

    leaves = [draw(i + 10, *shape, scale=0.6) for i, shape in enumerate(LEAVES.values())]
    of = lambda theirs: witness(_ours, lambda z, *leaves: theirs(z, dict(zip(LEAVES, leaves))), *leaves)
    return {"transformers SigLIP head": of(siglip), "torch multi_head_attention_forward": of(by_torch)}


ATTENTION = 4 * (D * D + D)
DEAD = ("['key']['bias']",)  # adds one number to a whole row of scores, which softmax and sparsemax do not see
CASES = (
    PoolingCase(
        "map(heads=2, mlp=2)",
        reference(),
        ATTENTION + 2 * D * 2 * D + 3 * D + 3 * D,
        single=None,
        sums=False,
        dead=DEAD,
    ),
    PoolingCase(
        "map(heads=3, mlp=0.5, normalizer=sparsemax)",
        reference(normalizers.sparsemax),
        ATTENTION + D * D + 3 * D // 2 + 3 * D,
        single=None,
        sums=False,
        dead=DEAD,
    ),
)
ROW = Row(
    "map(heads=2, mlp=2)",
    {"heads": "3", "mlp": "0.5", "normalizer": "sparsemax"},
    PoolingEvidence(
        CASES,
        oracles,
        widths={
            "map(heads=4)": "heads must divide the width of the model, got 4 and 7",
            "map(heads=1, mlp=0.01)": "mlp must leave one unit at least, got 0.01 times 7 channels",
        },
        errors={"map(heads=0)": "heads must be >= 1, got 0", "map(mlp=0)": "mlp must be a finite number > 0, got 0.0"},
    ),
)


def test_it_looks_at_what_its_probe_asks_for():
    """With one head and identities for projections, z is the attention of the probe, and y = z + MLP(LN(z))."""
    record = attention.build("pooling", "map(heads=1, mlp=1)")
    params, where = spread_out(record.init(jax.random.key(0), DIMS)), jnp.asarray(VALID)
    eye = {"kernel": jnp.eye(D)[:, None], "bias": jnp.zeros((1, D))}
    params |= {"query": eye, "key": eye, "value": eye, "output": {"kernel": jnp.eye(D)[None], "bias": jnp.zeros(D)}}
    z, weights = attention.query_pool(states(), params["probe"], where)
    norm = params["norm"]["scale"] * (z - z.mean()) / jnp.sqrt(z.var() + 1e-6) + params["norm"]["bias"]
    hidden = jax.nn.gelu(norm @ params["in"]["kernel"] + params["in"]["bias"])
    pooled, found = attention.map_pool(states(), params, where)
    np.testing.assert_allclose(found, weights[None], atol=1e-6)
    np.testing.assert_allclose(pooled, z + hidden @ params["out"]["kernel"] + params["out"]["bias"], atol=1e-5)
