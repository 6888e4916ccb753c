"""Evidence of Adafactor."""

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import DECAY, ETA
from tests.support.row import Row


def adafactor(gradients, w, rates, decay, decay_rate=0.8, clip=1.0, factored=False):
    """Algorithm 4 of Shazeer & Stern; the second moment begins with the first gradient, as t^-c is 1 then."""
    rms = lambda x: np.sqrt(np.mean(x * x))
    v, rows, columns = np.zeros_like(w), np.zeros(w.shape[0]), np.zeros(w.shape[-1])
    for t, (g, eta) in enumerate(zip(gradients, rates), start=1):
        b2 = 1 - t**-decay_rate
        square = g * g + 1e-30
        if factored and w.ndim == 2:
            rows, columns = (b2 * old + (1 - b2) * square.mean(axis) for old, axis in ((rows, 1), (columns, 0)))
            v = rows[:, None] * columns / rows.mean()
        else:
            v = b2 * v + (1 - b2) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / clip) * max(1e-3, rms(w))
        w = w - eta * (u + decay * w)
    return w


ROW = Row(
    "adafactor",
    {"decay_rate": "0.5", "clip": "0.5", "factor_from": "3"},
    OptimizerEvidence(
        (
            OptimizerCase("adafactor", adafactor),
            OptimizerCase("adafactor(decay_rate=0.5, clip=0.5)", lambda *given: adafactor(*given, decay_rate=0.5, clip=0.5)),
            OptimizerCase("adafactor(factor_from=3)", lambda *given: adafactor(*given, factored=True)),
        ),
        # The sign (root mean square 1, not clipped) times that of the weights, the root of 10: 2 - 0.1 (3.16228 + 0.3 * 2).
        first=(2 - 0.1 * (10**0.5 + 0.6), -4 - 0.1 * (-(10**0.5) - 1.2)),
        errors={
            "adafactor(clip=0)": "clip must be above 0, got 0",
            "adafactor(factor_from=0)": "factor_from must be above 0, got 0",
            "adafactor(decay_rate=1)": r"decay_rate must be in \[0, 1\), got 1",
        },
    ),
)


def test_moments_are_factored_from_the_size_given():
    w = jnp.ones((8, 8))
    states = [specs.build("optimizer", f"adafactor(factor_from={n})").make(ETA, DECAY, True).init(w) for n in (8, 9)]
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(state)) for state in states]
    assert sizes[0] < 64 < sizes[1]
