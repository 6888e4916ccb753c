"""Independent references of the normalizers in NumPy float64, written from the formulas: a row, or the maps of one example.

Nothing here knows the library. A row reference takes a row of scores, a row of booleans and options. A map reference takes
scores and mask ``[N T S]`` and the layer's parameters, and returns weights ``[N T S]``; `by_row` makes one of a row reference.
"""

import math

import numpy as np
from scipy import special

# Row references.


def _allowed(row, mask):
    return [(j, float(s)) for j, (s, m) in enumerate(zip(row, mask)) if m]


def _ratio(row, mask, g, extra=0.0):
    """g(s) over its sum, 0 where that is 0."""
    weights = np.zeros(len(row))
    total = extra + sum(g(s) for _, s in _allowed(row, mask))
    for j, s in _allowed(row, mask):
        weights[j] = g(s) / total if total else 0.0
    return weights


def softmax(row, mask, temperature=1.0):
    top = max((s for _, s in _allowed(row, mask)), default=0.0)
    return _ratio(row, mask, lambda s: math.exp((s - top) / temperature))


def log_softmax(row, mask):
    weights, p = np.zeros(len(row)), softmax(row, mask)
    for j, _ in _allowed(row, mask):
        weights[j] = math.log(p[j])
    return weights


def sum_norm(row, mask, form="signed", epsilon=1e-6):
    total = sum(abs(s) if form == "absolute" else s for _, s in _allowed(row, mask))
    guarded = math.copysign(max(abs(total), epsilon), total)
    return np.array([s / guarded if m else 0.0 for s, m in zip(row, mask)])


def sparsemax(row, mask, temperature=1.0):
    """The simplex projection by sorting: the largest k with 1 + k z_(k) > Σ_{r<=k} z_(r)."""
    weights = np.zeros(len(row))
    z = {j: s / temperature for j, s in _allowed(row, mask)}
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
    z = {j: s / temperature / 2 for j, s in _allowed(row, mask)}
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


def entmax(row, mask, alpha=1.5):
    """By bisection in exact arithmetic's place: 200 halvings of float64."""
    return _bisected(
        row, mask, alpha - 1, lambda r: max(r, 0.0) ** (1 / (alpha - 1)), lambda r: max(r, 0.0) ** (1 / (alpha - 1))
    )


def normmax(row, mask, alpha=2.0):
    return _bisected(row, mask, 1.0, lambda r: max(r, 0.0) ** (alpha / (alpha - 1)), lambda r: max(r, 0.0) ** (1 / (alpha - 1)))


def _bisected(row, mask, scale, constraint, weight):
    """θ with Σ constraint(scale·s - θ) = 1; weights normalised."""
    weights, allowed = np.zeros(len(row)), _allowed(row, mask)
    if not allowed:
        return weights
    top = max(s for _, s in allowed)
    low, high = -1.0, 0.0
    for _ in range(200):
        middle = (low + high) / 2
        inside = sum(constraint((s - top) * scale - middle) for _, s in allowed)
        low, high = (middle, high) if inside >= 1 else (low, middle)
    for j, s in allowed:
        weights[j] = weight((s - top) * scale - low)
    return weights / weights.sum()


def budget(row, mask, k=2.0):
    weights, allowed = np.zeros(len(row)), _allowed(row, mask)
    if not allowed:
        return weights
    low, high = min(s for _, s in allowed) - 1, max(s for _, s in allowed)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(min(max(s - middle, 0), 1) for _, s in allowed) >= k else (low, middle)
    for j, s in allowed:
        weights[j] = min(max(s - low, 0.0), 1.0)
    return weights


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


def laplace(row, mask):
    mean, deviation = math.sqrt(0.5), math.sqrt(1 / (4 * math.pi))
    return np.array([0.5 * math.erfc(-(s - mean) / (deviation * math.sqrt(2))) if m else 0.0 for s, m in zip(row, mask)])


def softmax1(row, mask):
    return _ratio(row, mask, math.exp, extra=1.0)


def sink(row, mask, logit):
    return _ratio(row, mask, math.exp, extra=math.exp(logit))


def ssmax(row, mask, kappa, bias=0.0):
    n = max(sum(mask), 1)
    return softmax([s * (kappa * math.log(n) + bias) for s in row], mask)


def log_length(row, mask, length):
    return ssmax(row, mask, 1 / math.log(length))


def hard(row, mask):
    weights, allowed = np.zeros(len(row)), _allowed(row, mask)
    if allowed:
        weights[max(allowed, key=lambda pair: (pair[1], -pair[0]))[0]] = 1.0
    return weights


def topk(row, mask, k=8):
    kept = sorted((s for _, s in _allowed(row, mask)), reverse=True)[:k]
    return softmax(row, [m and s >= kept[-1] for s, m in zip(row, mask)])


def taylor(row, mask, order=2):
    return _ratio(row, mask, lambda s: sum(s**m / math.factorial(m) for m in range(order + 1)))


def stick_breaking(row, mask):
    weights, left = np.zeros(len(row)), 1.0
    for j, s in reversed(_allowed(row, mask)):
        share = 1 / (1 + math.exp(-s))
        weights[j], left = share * left, left * (1 - share)
    return weights


def clipped(row, mask, gamma=-0.03, zeta=1.0, alpha=None):
    low = gamma if alpha is None else -alpha / max(sum(mask), 1)
    return np.array([min(max((zeta - low) * p + low, 0.0), 1.0) if m else 0.0 for p, m in zip(softmax(row, mask), mask)])


def softpick(row, mask):
    weights, total = np.zeros(len(row)), sum(abs(math.exp(s) - 1) for _, s in _allowed(row, mask))
    for j, s in _allowed(row, mask):
        weights[j] = max(math.exp(s) - 1, 0.0) / total if total else 0.0
    return weights


def cog(row, mask):
    return np.sign(row) * softmax(np.abs(row), mask)


def spherical(row, mask):
    return _ratio(row, mask, lambda s: s * s)


def l1_positive(row, mask, map="softplus"):
    g = {
        "softplus": lambda s: math.log1p(math.exp(s)),
        "relu": lambda s: max(s, 0.0),
        "elu1": lambda s: s + 1 if s > 0 else math.exp(s),
    }[map]
    return _ratio(row, mask, g)


def adaptive_temp(row, mask):
    p = softmax(row, mask)
    entropy = -sum(special.xlogy(p, p))
    value = -0.037 * entropy**4 + 0.481 * entropy**3 - 2.3 * entropy**2 + 4.917 * entropy - 1.791
    return softmax(np.asarray(row) * (max(value, 1.0) if entropy > 0.5 else 1.0), mask)


def softcapped(row, mask, cap, inner):
    return inner([cap * math.tanh(s / cap) for s in row], mask)


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


def sinkhorn(scores, mask, own, steps=3):
    """Rows and columns divided by their sums in turn, without logarithms."""
    weights = np.where(mask, np.exp(scores), 0.0)
    for step in range(steps):
        weights = _divided(weights, -1 if step % 2 == 0 else -2)
    return weights


def _divided(weights, axis):
    total = weights.sum(axis, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def slot(scores, mask, own, epsilon=1e-8):
    competing = _divided(np.where(mask, np.exp(scores), 0.0), -2)
    return _divided(np.where(mask, competing + epsilon, 0.0), -1)


def differential(scores, mask, own, initial=0.2):
    """Maps 2h and 2h + 1 are those of head h; λ₀ of layer 0 is 0.2."""
    mix = math.exp(sum(own["q1"] * own["k1"])) - math.exp(sum(own["q2"] * own["k2"])) + initial
    plain = by_row(softmax)(scores, mask, own)
    return plain[0::2] - mix * plain[1::2]


def stick_breaking_maps(offset, remainder):
    """Query t has position t + offset; its own key gets what is left where that is asked for."""

    def maps(scores, mask, own):
        weights = np.zeros(scores.shape)
        for n, t, j in np.ndindex(scores.shape):
            if j < t + offset and mask[n, t, j]:
                share = lambda k, n=n, t=t: 1 / (1 + math.exp(-scores[n, t, k])) if mask[n, t, k] else 0.0
                weights[n, t, j] = share(j) * math.prod(1 - share(k) for k in range(j + 1, t + offset))
        if remainder:
            for n, t in np.ndindex(scores.shape[:2]):
                if mask[n, t, t + offset]:
                    weights[n, t, t + offset] = 1 - weights[n, t].sum()
        return weights

    return maps


def selective(offset):
    """Head 0 hides: scores less what all queries before it have hidden of a key."""

    def maps(scores, mask, own):
        hides = lambda k, j: max(scores[0, k, j], 0.0) if mask[0, k, j] and j not in (0, k + offset) else 0.0
        lowered = scores.copy()
        for n, t, j in np.ndindex(scores.shape):
            lowered[n, t, j] -= sum(hides(k, j) for k in range(t))
        return by_row(softmax)(lowered, mask, own)

    return maps
