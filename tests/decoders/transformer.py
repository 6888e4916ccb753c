"""Evidence of the transformer's decoder."""

import math

import numpy as np

from tests.support.decoders import WIDTH, WRITTEN, N, softmax, witness
from tests.support.evidence import DecoderCase, DecoderEvidence
from tests.support.row import Row


def norm(x, params):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * params["scale"] + params["bias"]


def attend(params, queries, rows, causal):
    """Scaled dot products head by head, and what each head's weights are."""
    heads = lambda name, x: np.einsum("d,dnh->nh", x, params[name]["kernel"]) + params[name]["bias"]
    keys, values = ([heads(name, x) for x in rows] for name in ("key", "value"))
    found, weights = [], []
    for place, x in enumerate(queries):
        query, seen = heads("query", x), place + 1 if causal else len(rows)
        N, H = query.shape
        each = [softmax(np.array([query[n] @ keys[j][n] / math.sqrt(H) for j in range(seen)])) for n in range(N)]
        summed = np.stack([sum(each[n][j] * values[j][n] for j in range(seen)) for n in range(N)])
        found.append(np.einsum("nh,nhd->d", summed, params["output"]["kernel"]) + params["output"]["bias"])
        weights.append(each)
    return found, weights


def reference(layers):
    """Vaswani et al. 2017 with norms before what is added, relu in the MLP."""

    def apply(source, rows, params):
        x, weights = list(rows), None
        for layer in range(layers):
            block = params[f"blocks_{layer}"]
            for name in ("self", "cross"):
                normed = [norm(row, block[f"norms_{name}"]) for row in x]
                added, weights = attend(block[name], normed, normed if name == "self" else source, name == "self")
                x = [row + more for row, more in zip(x, added)]
            mlp = block["mlp"]
            for place, row in enumerate(x):
                h = np.maximum(norm(row, block["norms_mlp"]) @ mlp["in"]["kernel"] + mlp["in"]["bias"], 0)
                x[place] = row + h @ mlp["out"]["kernel"] + mlp["out"]["bias"]
        return np.array([norm(row, params["norm"]) for row in x]), weights

    return apply


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(layers):
        def apply(y, source, params):
            x, future = y[None], torch.triu(torch.ones(WRITTEN, WRITTEN, dtype=torch.bool), 1)
            for layer in range(layers):
                own = params[f"blocks_{layer}"]
                mlp, weights = own["mlp"], {}
                for theirs, name in (("self_attn", "self"), ("multihead_attn", "cross")):
                    mixer = own[name]
                    project = lambda part, mixer=mixer: mixer[part]["kernel"].reshape(WIDTH, WIDTH).T
                    bias = lambda part, mixer=mixer: mixer[part]["bias"].reshape(WIDTH)
                    weights |= {
                        f"{theirs}.in_proj_weight": torch.cat([project(part) for part in ("query", "key", "value")]),
                        f"{theirs}.in_proj_bias": torch.cat([bias(part) for part in ("query", "key", "value")]),
                        f"{theirs}.out_proj.weight": own[name]["output"]["kernel"].reshape(WIDTH, WIDTH).T,
                        f"{theirs}.out_proj.bias": own[name]["output"]["bias"],
                    }
                for i, name in enumerate(("in", "out"), 1):
                    weights |= {f"linear{i}.weight": mlp[name]["kernel"].T, f"linear{i}.bias": mlp[name]["bias"]}
                for i, name in enumerate(("self", "cross", "mlp"), 1):
                    norm = own[f"norms_{name}"]
                    weights |= {f"norm{i}.weight": norm["scale"], f"norm{i}.bias": norm["bias"]}
                width = mlp["in"]["bias"].shape[0]
                gelu = lambda h: F.gelu(h, approximate="tanh")
                module = torch.nn.TransformerDecoderLayer(WIDTH, N, width, 0.0, gelu, 1e-6, True, True).double()
                x = torch.func.functional_call(module, weights, (x, source[None]), {"tgt_mask": future})
            return F.layer_norm(x[0], (WIDTH,), params["norm"]["scale"], params["norm"]["bias"], 1e-6)

        return apply

    spec = "transformer(layers=2, mlp=2)"
    return {"torch.nn.TransformerDecoderLayer, norm first, two": witness(spec, theirs(2))}


SPEC = "transformer(layers=2, mlp=2)"
LAYERS = {"encoder": "transformer(layers=1)", "decoder": SPEC, "mixer": "attention(heads=2)"}
MIXED = "attention(heads=2, kv_heads=1, gate=head, talking_heads=True)"
PLAIN = {"encoding": "none", "decoder": "transformer(layers=2, mlp=2, activation=relu)"}
NARROW = {"encoder": "bilstm(hidden=3)", "encoding": "none", "mixer": "attention(heads=2, memory=2)"}
CASES = (
    DecoderCase("transformer", LAYERS),
    DecoderCase("transformer, plain", LAYERS | PLAIN, reference(2)),
    DecoderCase("transformer, rope", LAYERS | {"encoding": "rope", "mixer": MIXED}),
    DecoderCase("transformer, alibi", LAYERS | {"encoding": "alibi", "mask": "causal", "normalizer": "ssmax"}),
    DecoderCase("transformer, shaw", LAYERS | {"encoding": "shaw(max_distance=2)"}),
    DecoderCase("transformer, cpe", LAYERS | {"encoding": "cpe(causal=True)", "decoder": "transformer(layers=1)"}),
    DecoderCase("transformer, randomized", LAYERS | {"encoding": "randomized(inner=sinusoidal, max_position=40)"}, alone=False),
    DecoderCase("transformer, local", LAYERS | {"mask": "local(window=4)", "normalizer": "sparsemax", "score": "cosine"}),
    DecoderCase("transformer, narrow source", LAYERS | NARROW),
)
REFUSED = (
    ({"mixer": "linear"}, r"mixer=linear: a decoder wants one that can attend to a source, mixer=attention"),
    ({"normalizer": "sinkhorn"}, "normalizer=sinkhorn with mask=causal & full: this normalizer couples queries"),
    (
        {"mask": "causal", "normalizer": "stick_breaking"},
        r"normalizer=stick_breaking with mask=full \(to the source\)",
    ),
    ({"encoding": "fox"}, "encoding=fox with mask=full: this encoding is defined for earlier keys only"),
    ({"mixer": "attention(heads=3)"}, r"mixer=attention\(heads=3\): dim 8 is not a multiple of its 3 heads"),
)
ROW = Row(
    SPEC,
    {"layers": "1", "mlp": "1", "activation": ("relu", "swiglu"), "norm_type": "rms"},
    DecoderEvidence(CASES, oracles, REFUSED, {"transformer(layers=0)": "layers must be >= 1, got 0"}),
)
