"""References that several normalizers, or tests of attention, share, in NumPy float64 from the formulas.

Nothing here knows the library. A row reference takes a row of scores, a row of booleans and options. A map reference takes
scores and mask ``[N T S]`` and the layer's parameters, and returns weights ``[N T S]``; `by_row` makes one of a row reference.
"""

import math

import numpy as np

# Row references.


def allowed(row, mask):
    return [(j, float(s)) for j, (s, m) in enumerate(zip(row, mask)) if m]


def ratio(row, mask, g, extra=0.0):
    """g(s) over its sum, 0 where that is 0."""
    weights = np.zeros(len(row))
    total = extra + sum(g(s) for _, s in allowed(row, mask))
    for j, s in allowed(row, mask):
        weights[j] = g(s) / total if total else 0.0
    return weights


def softmax(row, mask, temperature=1.0):
    top = max((s for _, s in allowed(row, mask)), default=0.0)
    return ratio(row, mask, lambda s: math.exp((s - top) / temperature))


def sum_norm(row, mask, form="signed", epsilon=1e-6):
    total = sum(abs(s) if form == "absolute" else s for _, s in allowed(row, mask))
    guarded = math.copysign(max(abs(total), epsilon), total)
    return np.array([s / guarded if m else 0.0 for s, m in zip(row, mask)])


def sparsemax(row, mask, temperature=1.0):
    """The simplex projection by sorting: the largest k with 1 + k z_(k) > Σ_{r<=k} z_(r)."""
    weights = np.zeros(len(row))
    z = {j: s / temperature for j, s in allowed(row, mask)}
    if not z:
        return weights
    top = max(z.values())
    ordered, threshold, total = sorted((s - top for s in z.values()), reverse=True), 0.0, 0.0
    for k, s in enumerate(ordered, 1):
        total += s
        if 1 + k * s > total:
            threshold = (total - 1) / k
    for j, s in z.items():
        weights[j] = max(s - top - threshold, 0.0)
    return weights


def entmax15(row, mask, temperature=1.0):
    """By sorting, with the running mean and variance of the largest k."""
    weights = np.zeros(len(row))
    z = {j: s / temperature / 2 for j, s in allowed(row, mask)}
    if not z:
        return weights
    top = max(z.values())
    ordered, threshold = sorted((s - top for s in z.values()), reverse=True), 0.0
    for k in range(1, len(ordered) + 1):
        mean = sum(ordered[:k]) / k
        spread = sum(s * s for s in ordered[:k]) - k * mean * mean
        candidate = mean - math.sqrt(max((1 - spread) / k, 0.0))
        if candidate <= ordered[k - 1]:
            threshold = candidate
    for j, s in z.items():
        weights[j] = max(s - top - threshold, 0.0) ** 2
    return weights


def bisected(row, mask, scale, constraint, weight):
    """θ with Σ constraint(scale·s - θ) = 1; weights normalised."""
    weights, open_ = np.zeros(len(row)), allowed(row, mask)
    if not open_:
        return weights
    top = max(s for _, s in open_)
    low, high = -1.0, 0.0
    for _ in range(200):
        middle = (low + high) / 2
        inside = sum(constraint((s - top) * scale - middle) for _, s in open_)
        low, high = (middle, high) if inside >= 1 else (low, middle)
    for j, s in open_:
        weights[j] = weight((s - top) * scale - low)
    return weights / weights.sum()


def sigmoid(row, mask, temperature=1.0, bias=None):
    b = -math.log(max(sum(mask), 1)) if bias is None else bias
    logistic = lambda s: 1 / (1 + math.exp(-s)) if s > -700 else 0.0
    return np.array([logistic(s / temperature + b) if m else 0.0 for s, m in zip(row, mask)])


ACTIVATIONS = {
    "relu": lambda s: max(s, 0.0),
    "relu2": lambda s: max(s, 0.0) ** 2,
    "gelu": lambda s: s * 0.5 * (1 + math.erf(s / math.sqrt(2))),
    "softplus": lambda s: math.log1p(math.exp(s)) if s < 30 else s,
    "sigmoid": lambda s: 1 / (1 + math.exp(-s)),
    "identity": lambda s: s,
    "relu6": lambda s: min(max(s, 0.0), 6.0),
}


def pointwise(row, mask, activation="relu", power=1.0):
    n = max(sum(mask), 1)
    return np.array([ACTIVATIONS[activation](s) / n**power if m else 0.0 for s, m in zip(row, mask)])


def ssmax(row, mask, kappa, bias=0.0):
    n = max(sum(mask), 1)
    return softmax([s * (kappa * math.log(n) + bias) for s in row], mask)


def hard(row, mask):
    weights, open_ = np.zeros(len(row)), allowed(row, mask)
    if open_:
        weights[max(open_, key=lambda pair: (pair[1], -pair[0]))[0]] = 1.0
    return weights


# Map references: scores and mask [N T S] of one example, parameters of the layer.


def by_row(function, **of_parameters):
    """Each row on its own; ``of_parameters`` make options from the parameters of its head."""

    def maps(scores, mask, own):
        weights = np.zeros(scores.shape)
        for n, t in np.ndindex(scores.shape[:2]):
            options = {name: of(own, n) for name, of in of_parameters.items()}
            weights[n, t] = function(scores[n, t], mask[n, t], **options)
        return weights

    return maps


def divided(weights, axis):
    total = weights.sum(axis, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def slot(scores, mask, own, epsilon=1e-8):
    competing = divided(np.where(mask, np.exp(scores), 0.0), -2)
    return divided(np.where(mask, competing + epsilon, 0.0), -1)
