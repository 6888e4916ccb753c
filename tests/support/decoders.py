"""Independent references of decoders and searches in NumPy float64, written from the formulas.

Nothing here knows the library. Decoders take the rows of one source and of one text, without padding.
"""

import itertools
import math

import numpy as np


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def lstm_cell(x, state, W, R, b):
    i, f, g, o = np.split(x @ W + state[0] @ R + b, 4)
    c = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def gru_cell(x, state, W, R, b):
    (xr, xz, xn), (hr, hz, hn) = np.split(x @ W + b, 3), np.split(state[0] @ R, 3)
    z = _sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + _sigmoid(xr + hr) * hn) + z * state[0],)


def recurrent(cell, carries):
    """Bahdanau et al. 2014: the weights of step i are of the state after step i - 1."""

    def apply(source, rows, params):
        score = params["score_0"]
        query, key, vector, bias = (np.squeeze(score[name], 0) for name in ("query", "key", "vector", "bias"))
        h = np.tanh(source[0] @ params["start"]["kernel"] + params["start"]["bias"])
        state, found, weights = (h, *[np.zeros_like(h)] * (carries - 1)), [], []
        for y in rows:
            energies = np.array([vector @ np.tanh(state[0] @ query + bias + h @ key) for h in source])
            weights.append(_softmax(energies))
            context = sum(a * h for a, h in zip(weights[-1], source))
            into = np.concatenate([y, context])
            state = cell(into, state, params["kernel"], params["recurrent"], params["bias"])
            deep = np.concatenate([state[0], into]) @ params["output"]["kernel"] + params["output"]["bias"]
            found.append(np.tanh(deep))
        return np.array(found), np.array(weights)

    return apply


def _norm(x, params):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * params["scale"] + params["bias"]


def _attention(params, queries, rows, causal):
    """Scaled dot products head by head, and what each head's weights are."""
    heads = lambda name, x: np.einsum("d,dnh->nh", x, params[name]["kernel"]) + params[name]["bias"]
    keys, values = ([heads(name, x) for x in rows] for name in ("key", "value"))
    found, weights = [], []
    for place, x in enumerate(queries):
        query, seen = heads("query", x), place + 1 if causal else len(rows)
        N, H = query.shape
        each = [_softmax(np.array([query[n] @ keys[j][n] / math.sqrt(H) for j in range(seen)])) for n in range(N)]
        summed = np.stack([sum(each[n][j] * values[j][n] for j in range(seen)) for n in range(N)])
        found.append(np.einsum("nh,nhd->d", summed, params["output"]["kernel"]) + params["output"]["bias"])
        weights.append(each)
    return found, weights


def transformer(layers):
    """Vaswani et al. 2017 with norms before what is added, relu in the MLP."""

    def apply(source, rows, params):
        x, weights = list(rows), None
        for layer in range(layers):
            block = params[f"blocks_{layer}"]
            for name in ("self", "cross"):
                normed = [_norm(row, block[f"norms_{name}"]) for row in x]
                added, weights = _attention(block[name], normed, normed if name == "self" else source, name == "self")
                x = [row + more for row, more in zip(x, added)]
            mlp = block["mlp"]
            for place, row in enumerate(x):
                h = np.maximum(_norm(row, block["norms_mlp"]) @ mlp["in"]["kernel"] + mlp["in"]["bias"], 0)
                x[place] = row + h @ mlp["out"]["kernel"] + mlp["out"]["bias"]
        return np.array([_norm(row, params["norm"]) for row in x]), weights

    return apply


def texts(vocabulary, length, end):
    """Every text of tokens 1, ..., V - 1 that ends, or is cut off at ``length``."""
    for size in range(1, length + 1):
        for text in itertools.product(range(1, vocabulary), repeat=size):
            if end in text[:-1] or (size < length and text[-1] != end):
                continue
            yield text


def beam(log_p, *, vocabulary, length, end, width, length_penalty):
    """Beam search over prefixes as tuples; ``log_p(prefix)`` are those of the next token, [V]."""
    beams = [((), 0.0)]
    for _ in range(length):
        grown = []
        for text, total in beams:
            if text and text[-1] == end:
                grown.append((text, total))
                continue
            grown += [((*text, token), total + log_p(text)[token]) for token in range(1, vocabulary)]
        beams = sorted(grown, key=lambda each: -each[1])[:width]
    return sorted(beams, key=lambda each: -each[1] / ((5 + len(each[0])) / 6) ** length_penalty)
