"""Independent references of the encoders in NumPy float64, written from the formulas.

Nothing here knows the library. Each takes the tokens [n D] of one text without padding, the sentence of each, and the
parameters, and returns the states as rows: one for each token, or for each sentence.
"""

import math

import numpy as np


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(rows, params):
    """States of one direction, gate by gate."""
    U = params["recurrent"].shape[0]
    W, R, b = (np.split(params[name], 4, axis=-1) for name in ("kernel", "recurrent", "bias"))
    h, c, found = np.zeros(U), np.zeros(U), []
    for x in rows:
        i, f, g, o = (x @ W[k] + h @ R[k] + b[k] for k in range(4))
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        found.append(h)
    return found


def gru(rows, params):
    U = params["recurrent"].shape[0]
    W, R, b = (np.split(params[name], 3, axis=-1) for name in ("kernel", "recurrent", "bias"))
    h, found = np.zeros(U), []
    for x in rows:
        r, z = (_sigmoid(x @ W[k] + b[k] + h @ R[k]) for k in range(2))
        h = (1 - z) * np.tanh(x @ W[2] + b[2] + r * (h @ R[2])) + z * h
        found.append(h)
    return found


def _both(cell, rows, params, combine=lambda f, b: np.concatenate([f, b])):
    forward, backward = cell(rows, params["forward"]), cell(rows[::-1], params["backward"])[::-1]
    return [combine(f, b) for f, b in zip(forward, backward)]


def recurrent(cell, layers=1, **rest):
    def apply(rows, sentences, params):
        for layer in range(layers):
            rows = _both(cell, rows, params[f"layer_{layer}"], **rest)
        return rows

    return apply


def embeddings(rows, sentences, params):
    return rows


def cnn(widths):
    """Every tap of every window by itself; zeros beyond the text."""

    def apply(rows, sentences, params):
        D, found = rows.shape[1], []
        for t in range(len(rows)):
            maps = []
            for w in widths:
                layer = params[f"width_{w}"]
                total = layer["bias"].copy()
                for k in range(w):
                    at = t + k - (w - 1) // 2
                    if 0 <= at < len(rows):
                        total += rows[at] @ layer["kernel"][k * D : (k + 1) * D]
                maps.append(np.maximum(total, 0))
            found.append(np.concatenate(maps))
        return found

    return apply


def hierarchical(rows, sentences, params):
    vectors = []
    for s in sorted(set(sentences)):
        states = _both(gru, rows[np.asarray(sentences) == s], params["words"])
        scores = [
            np.tanh(h @ params["attention"]["kernel"] + params["attention"]["bias"]) @ params["vector"][:, 0] for h in states
        ]
        shares = [math.exp(score) for score in scores]
        vectors.append(sum(share * h for share, h in zip(shares, states)) / sum(shares))
    return _both(gru, vectors, params["sentences"])


def _layer_norm(x, params):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * params["scale"] + params["bias"]


def _rms_norm(x, params):
    return x / np.sqrt((x**2).mean() + 1e-6) * params["scale"]


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _attention(rows, params):
    heads, width = params["query"]["bias"].shape
    found = [params["output"]["bias"].copy() for _ in rows]
    for n in range(heads):
        q, k, v = ([x @ params[m]["kernel"][:, n] + params[m]["bias"][n] for x in rows] for m in ("query", "key", "value"))
        for t, query in enumerate(q):
            shares = np.array([math.exp(query @ key / math.sqrt(width)) for key in k])
            found[t] += sum(a * value for a, value in zip(shares / shares.sum(), v)) @ params["output"]["kernel"][n]
    return found


def _mlp(rows, params):
    return [
        _gelu(x @ params["in"]["kernel"] + params["in"]["bias"]) @ params["out"]["kernel"] + params["out"]["bias"] for x in rows
    ]


def bare(rows, sentences, params):
    return _attention(rows, params["mixer"])


def transformer(layers=1, norm="pre", norm_type="layer", registers=0):
    normed = _layer_norm if norm_type == "layer" else _rms_norm

    def apply(rows, sentences, params):
        rows = [*params.get("registers", np.zeros((0, rows.shape[1]))), *rows]
        for layer in range(layers):
            block = params[f"block_{layer}"]
            for name, step, own in (("mixer", _attention, "mixer"), ("mlp", _mlp, "mlp")):
                inside = [normed(x, block[f"{name}_norm"]) for x in rows] if norm != "post" else rows
                added = step(inside, block[own])
                if norm == "sandwich":
                    added = [normed(x, block[f"{name}_norm_after"]) for x in added]
                rows = [x + y for x, y in zip(rows, added)]
                if norm == "post":
                    rows = [normed(x, block[f"{name}_norm"]) for x in rows]
        if norm != "post":
            rows = [normed(x, params["norm"]) for x in rows]
        return rows[registers:]

    return apply
