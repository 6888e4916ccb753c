"""Independent references of the mixers in NumPy float64, written from the formulas.

Nothing here knows the library. Each takes the parameters of a mixer and one text [n D] without padding (the memory [s D], which
is the text itself in self-attention), with loops over heads and queries, and returns [n D].
"""

import math

import numpy as np


def _layer(layer, x, heads=2):
    """x W + b into heads, [N n H]; without weights x itself, cut into heads."""
    if layer is None:
        return np.stack(np.split(x, heads, axis=-1))
    y = np.einsum("nd,dkh->knh", x, layer["kernel"])
    return y + layer["bias"][:, None] if "bias" in layer else y


def _merge(layer, heads):
    if layer is None:
        return np.concatenate(list(heads), -1)
    y = sum(head @ kernel for head, kernel in zip(heads, layer["kernel"]))
    return y + layer["bias"] if "bias" in layer else y


def of_heads(function):
    """A mixer that is ``function(q, k, v, causal, **options)`` on each head [n H]."""

    def apply(own, x, memory, causal=False, **options):
        q, k, v = _layer(own["query"], x), _layer(own["key"], memory), _layer(own["value"], memory)
        groups = len(q) // len(k)
        heads = [function(q[h], k[h // groups], v[h // groups], causal, **options) for h in range(len(q))]
        return _merge(own["output"], heads)

    return apply


def _softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _seen(i, keys, causal):
    return range(min(i + 1, keys) if causal else keys)


def _means(weight, q, k, v, causal, epsilon=0.0, least=0.0):
    """Σ_j w_ij v_j / max(Σ_j w_ij + ε, least)."""
    rows = []
    for i in range(len(q)):
        weights = np.array([weight(i, j) for j in _seen(i, len(k), causal)])
        rows.append(weights @ v[: len(weights)] / max(weights.sum() + epsilon, least))
    return np.array(rows)


def _elu1(x):
    return np.where(x > 0, x + 1, np.exp(x))


@of_heads
def linear(q, k, v, causal):
    return _means(lambda i, j: _elu1(q[i]) @ _elu1(k[j]), q, k, v, causal, epsilon=1e-6)


def _turn(x, position):
    """RoPE, pairs beside each other, base 10000."""
    y = np.empty_like(x)
    for t in range(len(x) // 2):
        angle = position * 10000.0 ** (-2 * t / len(x))
        y[2 * t] = x[2 * t] * math.cos(angle) - x[2 * t + 1] * math.sin(angle)
        y[2 * t + 1] = x[2 * t] * math.sin(angle) + x[2 * t + 1] * math.cos(angle)
    return y


@of_heads
def linear_rope(q, k, v, causal):
    rows = []
    for i in range(len(q)):
        seen = _seen(i, len(k), causal)
        top = sum((_turn(_elu1(q[i]), i) @ _turn(_elu1(k[j]), j)) * v[j] for j in seen)
        rows.append(top / (sum(_elu1(q[i]) @ _elu1(k[j]) for j in seen) + 1e-6))
    return np.array(rows)


@of_heads
def efficient(q, k, v, causal, scaled=True):
    out = _softmax(q) @ (_softmax(k.T) @ v)
    return out / math.sqrt(q.shape[-1]) if scaled else out


@of_heads
def performer(q, k, v, causal, omega, epsilon=1e-4):
    y, z = q / q.shape[-1] ** 0.25, k / k.shape[-1] ** 0.25
    a, b = y @ np.float64(omega).T, z @ np.float64(omega).T
    a = np.exp(a - (y**2).sum(-1, keepdims=True) / 2 - a.max(-1, keepdims=True)) + epsilon
    b = np.exp(b - (z**2).sum(-1, keepdims=True) / 2 - (0.0 if causal else b.max())) + epsilon
    return _means(lambda i, j: a[i] @ b[j], q, k, v, causal)


@of_heads
def cosformer(q, k, v, causal, length=None):
    M = length or max(len(q), len(k))
    relu = lambda x: np.maximum(x, 0)
    weight = lambda i, j: relu(q[i]) @ relu(k[j]) * math.cos(math.pi * (i - j) / (2 * M))
    return _means(weight, q, k, v, causal, least=1e-6)


def linformer(own, x, memory, causal=False):
    E, F = (own[name][: len(memory)] for name in (("table",) * 2 if "table" in own else ("key_table", "value_table")))
    head = lambda q, k, v, causal: _softmax(q @ (E.T @ k).T / math.sqrt(q.shape[-1])) @ (F.T @ v)
    return of_heads(head)(own, x, memory)


def _landmarks(x, m):
    groups = [[] for _ in range(min(m, len(x)))]
    for i, row in enumerate(x):
        groups[i * len(groups) // len(x)].append(row)
    return np.array([np.mean(group, axis=0) for group in groups])


def inverse(A, iterations):
    Z = A.T / (np.abs(A).sum(0).max() * np.abs(A).sum(1).max())
    one = np.eye(len(A))
    for _ in range(iterations):
        Z = Z @ (13 * one - A @ Z @ (15 * one - A @ Z @ (7 * one - A @ Z))) / 4
    return Z


def nystrom(own, x, memory, causal=False, landmarks=3, iterations=6):
    number = iter(range(99))

    def head(q, k, v, causal):
        scale, h = math.sqrt(q.shape[-1]), next(number)
        q_marks, k_marks = _landmarks(q, landmarks), _landmarks(k, landmarks)
        inner = inverse(_softmax(q_marks @ k_marks.T / scale), iterations)
        out = _softmax(q @ k_marks.T / scale) @ inner @ _softmax(q_marks @ k.T / scale) @ v
        if "conv" in own:
            kernel = own["conv"]["kernel"][:, h]
            for t in range(len(v)):
                for c, weight in enumerate(kernel):
                    at = t + c - len(kernel) // 2
                    out[t] += weight * v[at] if 0 <= at < len(v) else 0
        return out

    return of_heads(head)(own, x, memory)


def fnet(own, x, memory, causal=False, length=24):
    n, D = x.shape
    y = np.zeros((n, D))
    for k, c, t, d in np.ndindex(n, D, n, D):
        y[k, c] += x[t, d] * math.cos(2 * math.pi * (k * t / length + c * d / D))
    return y


def aft(own, x, memory, causal=False):
    q, k, v = (_layer(own[name], y)[0] for name, y in (("query", x), ("key", memory), ("value", memory)))
    y = np.zeros_like(q)
    for i in range(len(q)):
        seen = _seen(i, len(k), causal)
        w = [own["pairs"][i, j] if "pairs" in own else 0.0 for j in seen]
        e = np.array([np.exp(k[j] + w[j]) for j in seen])
        y[i] = (e * v[: len(e)]).sum(0) / e.sum(0) / (1 + np.exp(-q[i]))
    return _merge(own["output"], [y])


def _attend(scores, v, causal, allowed=None):
    """Softmax of scores [N n s] over the allowed pairs, and the sums of values [N s E]; the weights too."""
    N, n, s = scores.shape
    open_pairs = np.ones((n, s), bool) if allowed is None else allowed
    open_pairs = open_pairs & np.tril(np.ones((n, s), bool)) if causal else open_pairs
    weights = np.zeros_like(scores)
    for h, i in np.ndindex(N, n):
        row = open_pairs[i]
        weights[h, i, row] = _softmax(scores[h, i, row])
    return weights @ v, weights


def synthesizer(own, x, memory, causal=False):
    v, s, score = _layer(own["value"], memory), len(memory), own["score"]
    if "query" in own:
        hidden = np.maximum(_layer(own["query"], x), 0)
        scores = np.einsum("nth,nsh->nts", hidden, score["table"][:, :s]) + score["bias"][:, None, :s]
    else:
        table = score["table"] if "table" in score else score["fixed"].reshape(len(v), 24, 24)
        scores = table[:, : len(x), :s]
    return _merge(own["output"], _attend(scores, v, causal)[0])


def _silu(x):
    return x / (1 + np.exp(-x))


def gau(own, x, memory, causal=False):
    u, v, z = (_silu(x @ own[name]) for name in ("gate", "value", "base"))
    q, k = own["scale"][:, None] * z + own["offset"][:, None]
    mixed = np.zeros_like(v)
    for i in range(len(x)):
        seen = _seen(i, len(x), causal)
        mixed[i] = sum(max(q[i] @ k[j] / len(seen), 0) ** 2 * v[j] for j in seen)
    return (u * mixed) @ own["output"]


def _scores(q, k):
    k = np.repeat(k, len(q) // len(k), axis=0)
    return np.einsum("nth,nsh->nts", q, k) / math.sqrt(q.shape[-1])


def attention(own, x, memory, causal=False, allowed=None, names=("query", "key", "value")):
    q, k, v = (_layer(own.get(name), y) for name, y in zip(names, (x, memory, memory)))
    mixing = own.get("talking")
    scores, v = _scores(q, k), np.repeat(v, len(q) // len(v), axis=0)
    if mixing is not None:
        scores = np.einsum("nm,mts->nts", mixing["scores"], scores)
    if "memory" in own:
        learned_k, learned_v = (np.swapaxes(own["memory"][name], 0, 1) for name in ("key", "value"))
        m, open_pairs = learned_k.shape[1], np.ones(scores.shape[1:], bool)
        open_pairs = np.tril(open_pairs) if causal else open_pairs
        allowed, causal = np.concatenate([np.ones((len(x), m), bool), open_pairs], 1), False
        scores = np.concatenate([_scores(q, learned_k), scores], -1)
        v = np.concatenate([np.repeat(learned_v, len(q) // len(learned_v), axis=0), v], 1)
    _, weights = _attend(scores, v, causal, allowed)
    if mixing is not None:
        weights = np.einsum("nm,mts->nts", mixing["weights"], weights)
    return _merge(own.get("output"), weights @ v)


def _rms(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def latent_attention(own, x, memory, causal=False, turned=False):
    c = _rms(memory @ own["latent"], own["latent_scale"])
    queries = _rms(x @ own["q_latent"], own["q_latent_scale"]) if "q_latent" in own else x
    q = np.einsum("nd,dkh->knh", queries, own["query"])
    shared = memory @ own["shared_key"]
    R = shared.shape[-1]
    if turned:
        shared = np.array([_turn(row, j) for j, row in enumerate(shared)])
        q = np.concatenate([q[..., :-R], [[_turn(row, i) for i, row in enumerate(head[:, -R:])] for head in q]], -1)
    heads = []
    for h in range(len(q)):
        k = np.concatenate([c @ own["key"][:, h], shared], -1)
        scores = q[h] @ k.T / math.sqrt(k.shape[-1])
        heads.append(_attend(scores[None], (c @ own["value"][:, h])[None], causal)[0][0])
    return sum(head @ own["output"][h] for h, head in enumerate(heads))


def longformer(own, x, memory, causal=False, window=2, globals=1):
    i, j = np.arange(len(x))[:, None], np.arange(len(x))
    allowed = (abs(i - j) <= window // 2) | (i < globals) | (j < globals)
    rows = attention(own, x, x, causal, allowed)
    if "global_query" in own:
        names = ("global_query", "global_key", "global_value")
        rows[:globals] = attention(own, x, x, causal, names=names)[:globals]
    return rows


def bigbird(own, x, memory, causal=False, block=2):
    i, j, end = np.arange(len(x))[:, None] // block, np.arange(len(memory)) // block, (len(memory) - 1) // block
    allowed = (abs(i - j) <= 1) | (i == 0) | (j == 0) | (i == end) | (j == end)
    return attention(own, x, memory, causal, allowed)
