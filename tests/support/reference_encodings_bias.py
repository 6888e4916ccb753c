"""Biases of one head and one pair of a query at i and a key at j, from their formulas, in Python floats."""

import math

from tests.support import reference


def softplus(y):
    return math.log1p(math.exp(y))


def alibi(form):
    """``params`` are those of the form; ``heads`` how many there are."""

    def bias(params, h, i, j, heads, last):
        if form == "split_heads":
            return reference.alibi(i, j, reference.alibi_slopes(heads // 2)[h % (heads // 2)])
        if form == "learned":
            return -softplus(params["slopes"][h]) * abs(i - j)
        if form == "learned_lr":
            return -softplus(params["left" if j < i else "right"][h]) * abs(i - j)
        return reference.alibi(i, j, reference.alibi_slopes(heads)[h], form)

    return bias


def kerple(form):
    def bias(params, h, i, j, heads, last):
        r1, size = softplus(params["r1"][h]), abs(i - j)
        if form == "log":
            return -r1 * math.log(1 + softplus(params["r2"][h]) * size)
        return -r1 * size ** (2 / (1 + math.exp(-params["r2"][h])))

    return bias


def sandwich(dim):
    """The product of the codes of i and j, without its first frequency and with one more, less its largest value."""

    def bias(params, h, i, j, heads, last):
        total = 0.0
        for t in range(1, dim // 2 + 1):
            a, b = i / 10000 ** (2 * t / dim), j / 10000 ** (2 * t / dim)
            total += math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b)
        return (total - dim // 2) / (8 * (h + 1) / heads)

    return bias


def mlp(params, x, h, activation):
    """Output h of a network of one hidden layer."""
    first, out = params["in"], params["out"]
    total = out["bias"][h] if "bias" in out else 0.0
    for unit in range(len(first["bias"])):
        inner = sum(x[n] * first["kernel"][n][unit] for n in range(len(x))) + first["bias"][unit]
        total += activation(inner) * out["kernel"][unit][h]
    return total


def relu(x):
    return max(x, 0.0)


def sign(x):
    return math.copysign(1.0, x) if x else 0.0


def fire(threshold=512.0, bidirectional=True, directed=False):
    def bias(params, h, i, j, heads, last):
        psi = lambda x: math.log(abs(params["c"]) * x + 1)
        length = max(i, last - i) if bidirectional else i
        size = abs(i - j) if bidirectional else max(i - j, 0)
        share = psi(size) / (psi(max(length, abs(params["factor"] * threshold))) + 1e-6)
        return mlp(params["mlp"], [share, sign(i - j)] if directed else [share], h, relu)

    return bias


def table(window):
    def bias(params, h, i, j, heads, last):
        return params["table"][i - j + window - 1][h] if abs(i - j) < window else math.nan

    return bias


def cpb(form, window=64):
    def bias(params, h, i, j, heads, last):
        distance = i - j
        if form == "nlp":
            return mlp(params, [sign(distance) * math.log(1 + abs(distance))], h, lambda x: x / (1 + math.exp(-x)))
        x = 8 * distance / (window - 1)
        return 16 / (1 + math.exp(-mlp(params, [sign(x) * math.log2(1 + abs(x)) / math.log2(8)], h, relu)))

    return bias


def tisa(params, h, i, j, heads, last):
    bumps = zip(params["amplitude"][:, h], params["sharpness"][:, h], params["offset"][:, h])
    return sum(a * math.exp(-abs(s) * (i - j - o) ** 2) for a, s, o in bumps)


def gaussian(params, h, i, j, heads, last):
    return -abs(softplus(params["w"][h]) * (i - j) ** 2 - softplus(params["b"][h]))
