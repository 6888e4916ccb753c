"""What references of the rotary encodings share, in NumPy float64: frequencies, and one vector turned."""

import cmath
import math

import numpy as np


def frequencies(
    dim,
    base=10000.0,
    scaling="none",
    factor=1.0,
    train_length=None,
    length=None,
    beta_fast=32.0,
    beta_slow=1.0,
    truncate=True,
    low=1.0,
    high=4.0,
    factors=(),
):
    """Radians per position of each pair, as the papers have them."""
    found = []
    for t in range(dim // 2):
        theta, L = base ** (-2 * t / dim), train_length
        if scaling == "pi":
            theta /= factor
        elif scaling == "ntk":
            theta = (base * factor ** (dim / (dim - 2))) ** (-2 * t / dim)
        elif scaling == "dynamic_ntk":
            stretched = factor * max(length or L, L) / L - (factor - 1)
            theta = (base * stretched ** (dim / (dim - 2))) ** (-2 * t / dim)
        elif scaling == "yarn":
            ends = [dim * math.log(L / (2 * math.pi * turns)) / (2 * math.log(base)) for turns in (beta_fast, beta_slow)]
            if truncate:
                ends = [math.floor(ends[0]), math.ceil(ends[1])]
            first, last = max(ends[0], 0), min(ends[1], dim - 1)
            if first == last:
                last += 0.001
            ramp = min(max((t - first) / (last - first), 0), 1)
            theta = theta * (1 - ramp) + theta / factor * ramp
        elif scaling == "llama3":
            wave = 2 * math.pi / theta
            if wave > L / low:
                theta /= factor
            elif wave >= L / high:
                smooth = (L / wave - low) / (high - low)
                theta = (1 - smooth) * theta / factor + smooth * theta
        elif scaling == "longrope":
            theta /= factors[t]
        found.append(theta)
    return np.array(found)


def turned(x, position, theta, layout="interleaved", gain=1.0):
    """Pairs of channels times gain·e^{iφ}; what is beyond the last pair stays."""
    y = np.array(x, np.float64)
    for t, each in enumerate(theta):
        first, second = (2 * t, 2 * t + 1) if layout == "interleaved" else (t, t + len(theta))
        pair = complex(y[first], y[second]) * gain * cmath.exp(1j * position * each)
        y[first], y[second] = pair.real, pair.imag
    return y
