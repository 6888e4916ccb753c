"""Decoders: torch's transformer decoder, and its LSTM and GRU cells with additive attention, on every text alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.decoders._decoder import Source
from attention.records import Call, Context, Dims
from tests.support.oracle_packages import F, torch
from tests.support.witness import Witness

LENGTHS, S, U, D, N = (5, 1, 3), 5, 4, 6, 2
DIMS = Dims(num_heads=N, kv_heads=N, head_dim=D // N, model_dim=D, causal=True)


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([43, seed]).normal(0.0, scale, shape)


def of(spec, theirs, score="scaled_dot"):
    """A witness of a decoder: ``theirs(y, source, params)`` are the states of one text, given the states of one source."""
    parts = parts_of("none", score, "softmax", "causal")
    decoder = attention.build("decoder", spec)
    decoder = dataclasses.replace(decoder, dims=DIMS, parts=parts, width=D)
    if "mixer" in decoder.uses:
        decoder = dataclasses.replace(decoder, mixer=attention.build("mixer", f"attention(heads={N})"))
    valid = np.arange(S) < np.array(LENGTHS)[:, None]

    def states(params, y, source, init=False):
        tokens = jnp.zeros(y.shape[:-1], jnp.int32)
        given = (
            Source(source, jnp.asarray(valid)),
            Context(parts, {}, tokens=tokens),
            Call(q_valid=tokens == 0, k_valid=tokens == 0),
        )
        return decoder.init(jax.random.key(0), y, *given)["params"] if init else decoder.apply({"params": params}, y, *given)

    y, source = _normal(0, len(LENGTHS), U, D), _normal(1, len(LENGTHS), S, D)
    shapes = jax.eval_shape(lambda y, source: states({}, y, source, init=True), *map(jnp.float32, (y, source)))
    leaves, tree = jax.tree.flatten(shapes)
    weights = [_normal(i + 2, *leaf.shape, scale=0.5) for i, leaf in enumerate(leaves)]

    def ours(y, source, *leaves):
        return states(jax.tree.unflatten(tree, leaves), y, source)

    def wanted(y, source, *leaves):
        params = jax.tree.unflatten(tree, leaves)
        return torch.stack([theirs(rows, states[:n], params) for rows, states, n in zip(y, source, LENGTHS)])

    return Witness(ours, wanted, (y, source, *weights))


def transformer(layers):
    def apply(y, source, params):
        x, future = y[None], torch.triu(torch.ones(U, U, dtype=torch.bool), 1)
        for layer in range(layers):
            own = params[f"blocks_{layer}"]
            mlp, weights = own["mlp"], {}
            for theirs, name in (("self_attn", "self"), ("multihead_attn", "cross")):
                mixer = own[name]
                project = lambda part, mixer=mixer: mixer[part]["kernel"].reshape(D, D).T
                bias = lambda part, mixer=mixer: mixer[part]["bias"].reshape(D)
                weights |= {
                    f"{theirs}.in_proj_weight": torch.cat([project(part) for part in ("query", "key", "value")]),
                    f"{theirs}.in_proj_bias": torch.cat([bias(part) for part in ("query", "key", "value")]),
                    f"{theirs}.out_proj.weight": own[name]["output"]["kernel"].reshape(D, D).T,
                    f"{theirs}.out_proj.bias": own[name]["output"]["bias"],
                }
            for i, name in enumerate(("in", "out"), 1):
                weights |= {f"linear{i}.weight": mlp[name]["kernel"].T, f"linear{i}.bias": mlp[name]["bias"]}
            for i, name in enumerate(("self", "cross", "mlp"), 1):
                norm = own[f"norms_{name}"]
                weights |= {f"norm{i}.weight": norm["scale"], f"norm{i}.bias": norm["bias"]}
            width = mlp["in"]["bias"].shape[0]
            gelu = lambda h: F.gelu(h, approximate="tanh")
            module = torch.nn.TransformerDecoderLayer(D, N, width, 0.0, gelu, 1e-6, True, True).double()
            x = torch.func.functional_call(module, weights, (x, source[None]), {"tgt_mask": future})
        return F.layer_norm(x[0], (D,), params["norm"]["scale"], params["norm"]["bias"], 1e-6)

    return apply


def recurrent(kind):
    def apply(y, source, params):
        score = {name: leaf[0] for name, leaf in params["score_0"].items()}
        linear = lambda name, x: F.linear(x, params[name]["kernel"].T, params[name]["bias"])
        weights = {"weight_ih": params["kernel"].T, "weight_hh": params["recurrent"].T, "bias_ih": params["bias"]}
        weights["bias_hh"] = torch.zeros_like(params["bias"])
        h = torch.tanh(linear("start", source[0]))
        c, found = torch.zeros_like(h), []
        for row in y:
            energies = torch.tanh(h @ score["query"] + score["bias"] + source @ score["key"]) @ score["vector"]
            into = torch.cat([row, torch.softmax(energies, 0) @ source])
            cell = kind(len(into), D).double()
            if kind is torch.nn.LSTMCell:
                h, c = torch.func.functional_call(cell, weights, (into, (h, c)))
            else:
                h = torch.func.functional_call(cell, weights, (into, h))
            found.append(torch.tanh(linear("output", torch.cat([h, into]))))
        return torch.stack(found)

    return apply


DECODERS = {
    "transformer": {
        "torch.nn.TransformerDecoderLayer, norm first, two": of("transformer(layers=2, mlp=2)", transformer(2)),
    },
    "recurrent": {
        "torch.nn.LSTMCell, additive attention": of("recurrent", recurrent(torch.nn.LSTMCell), "additive"),
        "torch.nn.GRUCell, additive attention": of("recurrent(cell=gru)", recurrent(torch.nn.GRUCell), "additive"),
    },
}
