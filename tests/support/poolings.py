"""Independent references of the poolings in NumPy float64, written from the formulas.

Nothing here knows the library. Each takes the states [T D] of one example, which of them are text, the parameters and options,
and returns the vector, the weights over positions (None where there are none) and the penalty.
"""

import math

import numpy as np

from tests.support.reference_normalizers import softmax


def _rows(x, valid):
    return [row for row, v in zip(x, valid) if v]


def plain(function):
    """A reference of ``function(rows)``, which sees the text alone; zeros where there is none."""

    def apply(x, valid, params):
        rows = _rows(x, valid)
        return (np.asarray(function(rows)) if rows else np.zeros(x.shape[-1])), None, 0.0

    return apply


mean = plain(lambda rows: sum(rows) / len(rows))
total = plain(sum)
mean_sqrt = plain(lambda rows: sum(rows) / math.sqrt(len(rows)))
top = plain(lambda rows: [max(channel) for channel in zip(*rows)])
first = plain(lambda rows: rows[0])
last = plain(lambda rows: rows[-1])


def cls(x, valid, params):
    return x[0], None, 0.0


@plain
def weighted_mean(rows):
    ranks = range(1, len(rows) + 1)
    return sum(rank * row for rank, row in zip(ranks, rows)) / sum(ranks)


def logsumexp(t):
    """By the definition; the tests' numbers do not overflow."""
    return plain(lambda rows: np.log(sum(np.exp(t * row) for row in rows) / len(rows)) / t)


def gem(p=None, epsilon=1e-6):
    def apply(x, valid, params):
        power = float(params["p"]) if p is None else p
        powers = lambda rows: (sum(np.maximum(row, epsilon) ** power for row in rows) / len(rows)) ** (1 / power)
        return plain(powers)(x, valid, params)

    return apply


def _context(x, valid, name):
    """The last state, or the ends of two directions."""
    rows, half = _rows(x, valid), x.shape[-1] // 2
    if not rows:
        return np.zeros(x.shape[-1])
    return rows[-1] if name == "last" else np.concatenate([rows[-1][:half], rows[0][half:]])


def attention(score, normalize=softmax, output=lambda y: y, context=None):
    """Weights ``normalize(scores, valid)`` of ``score(row, params, h)``, and the sum of the rows they weigh."""

    def apply(x, valid, params):
        h = _context(x, valid, context) if context else None
        weights = normalize([score(row, params, h) for row in x], valid)
        return output(sum(w * row for w, row in zip(weights, x))), weights, 0.0

    return apply


def query(scaled=True, activation=lambda x: x, q="learned", **rest):
    def score(row, params, h):
        asked = {"learned": params.get("query"), "ones": np.ones(len(row)), "self": row}.get(q, h)
        return float(np.dot(asked, activation(row))) / (math.sqrt(len(row)) if scaled else 1.0)

    return attention(score, **rest)


def additive(**rest):
    def score(row, params, h):
        inside = row @ params["kernel"] + params["bias"] + (0 if h is None else h @ params["context"])
        return float(params["vector"] @ np.tanh(inside))

    return attention(score, **rest)


def feed_forward(activation=np.tanh, **rest):
    def score(row, params, h):
        return float(activation(row @ params["kernel"] + params["bias"] + (0 if h is None else h @ params["context"])))

    return attention(score, **rest)


def structured(penalty=1.0, normalize=softmax):
    def apply(x, valid, params):
        count = params["rows"].shape[1]
        hops = [additive(normalize=normalize)(x, valid, _hop(params, r)) for r in range(count)]
        A = np.stack([weights for _, weights, _ in hops])
        overlap = [[A[r] @ A[s] - (r == s) for s in range(count)] for r in range(count)]
        loss = penalty * sum(entry**2 for line in overlap for entry in line) if any(valid) else 0.0
        return np.concatenate([y for y, _, _ in hops]), A, loss

    return apply


def _hop(params, r):
    return {"kernel": params["kernel"], "bias": 0.0, "vector": params["rows"][:, r]}


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def map_pool(normalize=softmax):
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
        hidden = _gelu(normed @ params["in"]["kernel"] + params["in"]["bias"])
        y = z + hidden @ params["out"]["kernel"] + params["out"]["bias"]
        return (y if any(valid) else 0 * y), np.stack(found), 0.0

    return apply
