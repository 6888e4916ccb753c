"""Independent references in NumPy float64, written from the formulas, with plain loops where they read better.

Nothing here knows the library. Rows, vectors and pairs of positions are the units: a test loops over everything else.
"""

import itertools
import math
from fractions import Fraction

import numpy as np

# Scores: one query vector and one key vector.


def dot(q, k):
    return sum(a * b for a, b in zip(q, k))


def scaled_dot(q, k, terms=1):
    return dot(q, k) / math.sqrt(terms * len(q))


def cosine(q, k, gain=1.0):
    norms = math.sqrt(dot(q, q)) * math.sqrt(dot(k, k))
    return gain * dot(q, k) / norms if norms > 0 else 0.0


def additive(q, k, w, u, v, b):
    """vᵀ tanh(q W + k U + b) with W, U of shape [H A]."""
    return sum(v[a] * math.tanh(dot(q, w[:, a]) + dot(k, u[:, a]) + b[a]) for a in range(len(v)))


def bilinear(q, k, w):
    return sum(q[h] * w[h, g] * k[g] for h in range(len(q)) for g in range(len(k)))


def linear(q, k, w, b):
    return dot(np.concatenate([q, k]), w) + b


# Encodings.


def sinusoidal(position, dim, base=10000.0, layout="interleaved", denominator="dim"):
    half = (dim + 1) // 2
    sines, cosines = [], []
    for t in range(half):
        exponent = 2 * t / dim if denominator == "dim" else t / max(half - 1, 1)
        angle = position / base**exponent
        sines.append(math.sin(angle))
        cosines.append(math.cos(angle))
    if layout == "concat":
        return np.array(sines + cosines)[:dim]
    return np.array(list(itertools.chain.from_iterable(zip(sines, cosines))))[:dim]


def rope(x, position, base=10000.0, fraction=1.0, layout="interleaved"):
    """Complex multiplication of each pair of channels by e^{iφ}."""
    y = np.array(x, np.float64)
    rotated = round(fraction * len(y))
    for t in range(rotated // 2):
        first, second = (2 * t, 2 * t + 1) if layout == "interleaved" else (t, t + rotated // 2)
        turned = complex(y[first], y[second]) * np.exp(1j * position * base ** (-2 * t / rotated))
        y[first], y[second] = turned.real, turned.imag
    return y


def alibi_slopes(heads):
    """As the paper's text says: a geometric sequence for powers of two, else interleaved with the next one's."""
    if math.log2(heads).is_integer():
        ratio = 2 ** (-8 / heads)
        return [ratio**h for h in range(1, heads + 1)]
    below = 2 ** math.floor(math.log2(heads))
    return alibi_slopes(below) + alibi_slopes(2 * below)[0::2][: heads - below]


def alibi(i, j, slope, form="symmetric"):
    return -slope * abs(i - j) + (0.5 * slope if form == "asymmetric" and j < i else 0.0)


def t5_bucket(relative, buckets=32, max_distance=128, bidirectional=True):
    """The floor of the logarithm's quotient decided in whole numbers."""
    offset = 0
    if bidirectional:
        buckets //= 2
        offset = buckets if relative > 0 else 0
        n = abs(relative)
    else:
        n = max(-relative, 0)
    exact = buckets // 2
    if n < exact:
        return offset + n
    steps = 0
    # ⌊log(n/E) / log(M/E) · (N-E)⌋ >= s  <=>  (n/E)^(N-E) >= (M/E)^s
    left = Fraction(n, exact) ** (buckets - exact)
    while exact + steps < buckets - 1 and left >= Fraction(max_distance, exact) ** (steps + 1):
        steps += 1
    return offset + exact + steps


# Masks: one pair of positions.


def causal(i, j):
    return j <= i


def local(i, j, window):
    return -window // 2 <= i - j <= window // 2


# Attention.


def attention(
    query,
    key,
    value,
    *,
    score,
    normalize,
    allowed=lambda b, t, s: True,
    rotate=lambda vector, position: vector,
    project=lambda vector, head, side: vector,
    bias=lambda b, n, t, s, q: 0.0,
    add_value=lambda b, t, s: 0.0,
    q_positions=None,
    k_positions=None,
):
    """The whole order of operations, one query of one head of one example at a time.

    Head n reads key head ⌊n / (N/K)⌋. `score(n, q, k)`, `normalize(n, row, mask)`, and `bias` gets the query before rotation.
    Returns the output [B T N H] and the weights [B N T S].
    """
    B, T, N, _ = query.shape
    S, K = key.shape[1:3]
    output, weights = np.zeros((B, T, N, value.shape[-1])), np.zeros((B, N, T, S))
    q_positions = np.broadcast_to(np.arange(T) if q_positions is None else q_positions, (B, T))
    k_positions = np.broadcast_to(np.arange(S) if k_positions is None else k_positions, (B, S))
    for b, n in itertools.product(range(B), range(N)):
        group = n // (N // K)
        keys = [rotate(project(key[b, s, group], n, "key"), k_positions[b, s]) for s in range(S)]
        for t in range(T):
            plain = query[b, t, n]
            q = rotate(project(plain, n, "query"), q_positions[b, t])
            row = np.array([score(n, q, keys[s]) + bias(b, n, t, s, plain) for s in range(S)])
            mask = [bool(allowed(b, t, s)) for s in range(S)]
            weights[b, n, t] = normalize(n, row, mask)
            for s in range(S):
                output[b, t, n] += weights[b, n, t, s] * (value[b, s, group] + add_value(b, t, s))
    return output, weights
