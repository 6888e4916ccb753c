"""Encoders: torch's recurrences over packed sequences, its convolutions and its transformer, on every text alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.records import Call, Context, Dims
from tests.support.oracle_packages import F, torch
from tests.support.witness import Witness

LENGTHS, D, N = (9, 1, 4, 7), 6, 2
DIMS = Dims(num_heads=N, kv_heads=N, head_dim=D // N, model_dim=D)
SENTENCES = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3], np.int32)


def _normal(seed, *shape, scale=1.0):
    return np.random.default_rng([41, seed]).normal(0.0, scale, shape)


def of(spec, theirs):
    """A witness of an encoder: ``theirs(x, params)`` returns the states of each text, beyond which there are zeros."""
    encoder = attention.build("encoder", spec)
    if "mixer" in encoder.uses:
        encoder = dataclasses.replace(encoder, mixer=attention.build("mixer", f"attention(heads={N})"))
    valid = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    segments = np.where(valid, SENTENCES, 5).astype(np.int32)

    def states(params, x, init=False):
        context = Context(parts_of("none"), {}, tokens=jnp.zeros(x.shape[:-1], jnp.int32))
        call = Call(q_valid=jnp.asarray(valid), k_valid=jnp.asarray(valid), q_segments=jnp.asarray(segments))
        if init:
            return encoder.init(jax.random.key(0), x, context, call, DIMS)["params"]
        found, call = encoder.apply({"params": params}, x, context, call, DIMS)
        return jnp.where(call.q_valid[..., None], found, 0)

    x = _normal(0, *valid.shape, D)
    shapes = jax.eval_shape(lambda x: states({}, x, init=True), jnp.asarray(x, jnp.float32))
    leaves, tree = jax.tree.flatten(shapes)
    weights = [_normal(i + 1, *leaf.shape, scale=0.5) for i, leaf in enumerate(leaves)]

    def ours(x, *leaves):
        return states(jax.tree.unflatten(tree, leaves), x)

    def wanted(x, *leaves):
        params = jax.tree.unflatten(tree, leaves)
        found = theirs(x, params)
        rows = [F.pad(rows, (0, 0, 0, x.shape[1] - len(rows))) for rows in found]
        return torch.stack(rows)

    return Witness(ours, wanted, (x, *weights))


def packed(kind, layers=1):
    """``torch.nn.LSTM`` or ``GRU`` over a packed batch, with our weights in place of its own."""

    def apply(texts, params):
        flat = []
        for layer in range(layers):
            for direction in ("forward", "backward"):
                own = params[f"layer_{layer}"][direction]
                flat += [own["kernel"].T, own["recurrent"].T, own["bias"], torch.zeros_like(own["bias"])]
        U = params["layer_0"]["forward"]["recurrent"].shape[0]
        module = kind(texts[0].shape[-1], U, layers, batch_first=True, bidirectional=True).double()
        module._flat_weights = flat
        sequence = torch.nn.utils.rnn.pack_sequence(texts, enforce_sorted=False)
        found, lengths = torch.nn.utils.rnn.pad_packed_sequence(module(sequence)[0], batch_first=True)
        return [rows[:n] for rows, n in zip(found, lengths)]

    return apply


def texts(x):
    return [rows[:n] for rows, n in zip(x, LENGTHS)]


def recurrent(kind, layers=1, total=False):
    def apply(x, params):
        found = packed(kind, layers)(texts(x), params)
        return [sum(rows.chunk(2, dim=-1)) for rows in found] if total else found

    return apply


def cnn(widths):
    def apply(x, params):
        found = []
        for rows in texts(x):
            maps = []
            for w in widths:
                kernel = params[f"width_{w}"]["kernel"]
                kernel = kernel.reshape(w, D, -1).permute(2, 1, 0)
                around = F.pad(rows.T[None], ((w - 1) // 2, w // 2))
                maps.append(F.relu(F.conv1d(around, kernel, params[f"width_{w}"]["bias"]))[0].T)
            found.append(torch.cat(maps, dim=-1))
        return found

    return apply


def hierarchical(x, params):
    """Sentence by sentence, as lists."""
    found = []
    words = lambda sentences: packed(torch.nn.GRU)(sentences, {"layer_0": params["words"]})
    for rows, n in zip(texts(x), LENGTHS):
        sentences = [rows[torch.tensor(SENTENCES[:n] == s)] for s in range(SENTENCES[:n].max() + 1)]
        vectors = []
        for h in words(sentences):
            u = torch.tanh(F.linear(h, params["attention"]["kernel"].T, params["attention"]["bias"]))
            vectors.append(torch.softmax(u @ params["vector"][:, 0], dim=0) @ h)
        found += packed(torch.nn.GRU)([torch.stack(vectors)], {"layer_0": params["sentences"]})
    return found


def bare(x, params):
    """``torch.nn.MultiheadAttention`` with our weights, and nothing around it."""
    own, names = params["mixer"], ("query", "key", "value")
    weights = {
        "in_proj_weight": torch.cat([own[name]["kernel"].reshape(D, D).T for name in names]),
        "in_proj_bias": torch.cat([own[name]["bias"].reshape(D) for name in names]),
        "out_proj.weight": own["output"]["kernel"].reshape(D, D).T,
        "out_proj.bias": own["output"]["bias"],
    }
    module = torch.nn.MultiheadAttention(D, N, batch_first=True).double()
    return [torch.func.functional_call(module, weights, (rows[None],) * 3)[0][0] for rows in texts(x)]


def transformer(norm_first):
    def apply(x, params):
        own, norms = params["block_0"], ("mixer_norm", "mlp_norm")
        project = lambda name: own["mixer"][name]["kernel"].reshape(D, D).T
        bias = lambda name: own["mixer"][name]["bias"].reshape(D)
        layer = lambda y: _layer(y, own, norms, project, bias, norm_first)
        found = [layer(rows[None])[0] for rows in texts(x)]
        if not norm_first:
            return found
        return [F.layer_norm(rows, (D,), params["norm"]["scale"], params["norm"]["bias"], 1e-6) for rows in found]

    return apply


def _layer(y, own, norms, project, bias, norm_first):
    """``torch.nn.TransformerEncoderLayer`` with our weights."""
    mlp = own["mlp"]
    gelu = lambda h: F.gelu(h, approximate="tanh")
    width = mlp["in"]["bias"].shape[0]
    module = torch.nn.TransformerEncoderLayer(D, N, width, 0.0, gelu, 1e-6, True, norm_first).double()
    weights = {
        "self_attn.in_proj_weight": torch.cat([project(name) for name in ("query", "key", "value")]),
        "self_attn.in_proj_bias": torch.cat([bias(name) for name in ("query", "key", "value")]),
        "self_attn.out_proj.weight": own["mixer"]["output"]["kernel"].reshape(D, D).T,
        "self_attn.out_proj.bias": own["mixer"]["output"]["bias"],
        "linear1.weight": mlp["in"]["kernel"].T,
        "linear1.bias": mlp["in"]["bias"],
        "linear2.weight": mlp["out"]["kernel"].T,
        "linear2.bias": mlp["out"]["bias"],
    }
    for i, norm in enumerate(norms, 1):
        weights |= {f"norm{i}.weight": own[norm]["scale"], f"norm{i}.bias": own[norm]["bias"]}
    return torch.func.functional_call(module, weights, (y,))


LSTM, GRU = torch.nn.LSTM, torch.nn.GRU
ENCODERS = {
    "bare": {"torch.nn.MultiheadAttention": of("bare", bare)},
    "bilstm": {
        "torch.nn.LSTM, packed": of("bilstm", recurrent(LSTM)),
        "torch.nn.LSTM, packed, two layers": of("bilstm(layers=2, hidden=4)", recurrent(LSTM, 2)),
        "torch.nn.LSTM, packed, directions added": of("bilstm(combine=sum)", recurrent(LSTM, total=True)),
    },
    "bigru": {
        "torch.nn.GRU, packed": of("bigru", recurrent(GRU)),
        "torch.nn.GRU, packed, two layers": of("bigru(layers=2, hidden=4)", recurrent(GRU, 2)),
    },
    "cnn": {
        "torch.conv1d": of("cnn(filters=4)", cnn((3, 4, 5))),
        "torch.conv1d, widths 1 and 2": of("cnn(widths=(1, 2), filters=4)", cnn((1, 2))),
    },
    "hierarchical": {"torch.nn.GRU, sentence by sentence": of("hierarchical(attention=5)", hierarchical)},
    "transformer": {
        "torch.nn.TransformerEncoderLayer, norm first": of("transformer(layers=1, mlp=2)", transformer(True)),
        "torch.nn.TransformerEncoderLayer, norm last": of("transformer(layers=1, mlp=2, norm=post)", transformer(False)),
    },
}  # fmt: skip
