"""The scores of content-dependent encodings from their formulas, in float64 and plain loops over one example.

Every function returns what is added to ``q·k·scale``, ``[N T S]``, from q ``[T N H]``, k ``[S N H]``, (shared, own) parameters,
positions i and j, the scale, the layer's input x ``[T D]`` and which tokens are text.
"""

import math

import numpy as np

from tests.support import reference


def _terms(q, k, term):
    (T, N, _), S = q.shape, len(k)
    return np.array([[[term(n, a, b) for b in range(S)] for a in range(T)] for n in range(N)])


def transformer_xl(q, k, params, i, j, scale, x, text):
    own = params[1]
    D = len(own["kernel"])

    def term(n, a, b):
        code = reference.sinusoidal(int(i[a] - j[b]), D, layout="concat") @ own["kernel"][:, n]
        return scale * (own["u"][n] @ k[b, n] + (q[a, n] + own["v"][n]) @ code)

    return _terms(q, k, term)


def tener(q, k, params, i, j, scale, x, text):
    own, H = params[1], q.shape[-1]

    def term(n, a, b):
        code = reference.sinusoidal(int(i[a] - j[b]), H, layout="concat")
        return own["u"][n] @ k[b, n] + (q[a, n] + own["v"][n]) @ code

    return _terms(q, k, term)


def music(q, k, params, i, j, scale, x, text):
    table = params[1]["table"]
    heads = lambda n: n if table.shape[1] > 1 else 0
    return _terms(q, k, lambda n, a, b: scale * q[a, n] @ table[j[b] - i[a] - 1, heads(n)] if j[b] <= i[a] else 0.0)


def deberta_bucket(r, buckets, max_distance):
    m = buckets // 2
    if abs(r) <= m:
        return r
    exact = math.log(abs(r) / m) / math.log((max_distance - 1) / m) * (m - 1)
    return int(math.copysign(min(math.ceil(round(exact, 9)) + m, buckets), r))


def deberta(q, k, params, i, j, scale, x, text, max_distance=16, buckets="log", p2c="code"):
    table, own = params[0]["table"], params[1]
    K = len(table) // 2

    def row(r):
        r = deberta_bucket(r, K, max_distance) if buckets == "log" else r
        return table[min(max(r + K, 0), 2 * K - 1)]

    def term(n, a, b):
        r = int(i[a] - j[b])
        to_position = q[a, n] @ (row(r) @ own["key"][:, n])
        from_position = k[b, n] @ (row(r if p2c == "code" else -r) @ own["query"][:, n])
        return scale * (to_position + from_position)

    return _terms(q, k, term)


def tupe(q, k, params, i, j, scale, x, text, relative="none", untie_cls=False):
    shared, first = params[0], int(untie_cls)
    table = shared["table"]
    codes = (table - table.mean(-1, keepdims=True)) / np.sqrt(table.var(-1, keepdims=True) + 1e-5)
    codes = codes * shared["gain"] + shared["offset"]
    product = lambda n, a, b: scale * (codes[a] @ shared["query"][:, n]) @ (codes[b] @ shared["key"][:, n])
    t5 = lambda n, bucket: shared["relative"][bucket, n] if relative == "t5" else 0.0

    def term(n, a, b):
        if untie_cls and i[a] == 0:
            return product(n, 0, 0) + t5(n, 16)
        if untie_cls and j[b] == 0:
            return product(n, 1, 1) + t5(n, 32)
        return product(n, i[a] + first, j[b] + first) + t5(n, reference.t5_bucket(int(j[b] - i[a])))

    return _terms(q, k, term)


def cope(q, k, params, i, j, scale, x, text, scaling="paper", direction="causal"):
    own = params[1]
    gate = lambda n, a, b: 1 / (1 + math.exp(-scale * q[a, n] @ k[b, n])) if text[b] else 0.0

    def term(n, a, b):
        if b > a and direction != "both":
            return 0.0
        table = own["earlier" if b <= a else "later"]
        p = min(sum(gate(n, a, c) for c in range(min(a, b), max(a, b) + 1)), len(table) - 1)
        logits = table @ q[a, n] * (scale if scaling == "official" else 1.0)
        w = p - math.floor(p)
        return (1 - w) * logits[math.floor(p)] + w * logits[math.ceil(p)]

    return _terms(q, k, term)


def fox(q, k, params, i, j, scale, x, text, direction="causal"):
    def log_gate(name, n, c):
        gate = params[1][name]
        return -math.log1p(math.exp(-(x[c] @ gate["kernel"][:, n] + gate["bias"][n]))) if text[c] else 0.0

    def term(n, a, b):
        if b > a:
            return sum(log_gate("later", n, c) for c in range(a + 1, b + 1)) if direction == "both" else 0.0
        return sum(log_gate("earlier", n, c) for c in range(b + 1, a + 1))

    return _terms(q, k, term)
