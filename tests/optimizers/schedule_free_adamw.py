"""Evidence of AdamW without a schedule."""

import numpy as np

from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import ETA, both_paths
from tests.support.row import Row


def schedule_free(gradients, w, rates, decay, b1=0.9, b2=0.999, eps=1e-8):
    """Algorithm 1 of Defazio et al., with the squares of the largest rates so far as weights of the average: y and x."""
    x, y, z, v, total = w, w, w, np.zeros_like(w), 0.0
    for t, (g, eta) in enumerate(zip(gradients, rates), start=1):
        v = b2 * v + (1 - b2) * g * g
        z = z - eta * (g / (np.sqrt(v / (1 - b2**t)) + eps) + decay * y)
        weight = max(rates[:t]) ** 2
        total += weight
        x = (1 - weight / total) * x + weight / total * z
        y = (1 - b1) * z + b1 * x
    return y, x


def _case(spec, **options):
    made = [lambda *given, part=part: schedule_free(*given, **options)[part] for part in (0, 1)]
    return OptimizerCase(spec, *made)


ROW = Row(
    "schedule_free_adamw",
    {"b1": "0.5", "b2": "0.9", "eps": "0.1"},
    OptimizerEvidence(
        (
            _case("schedule_free_adamw"),
            _case("schedule_free_adamw(b1=0.5, b2=0.9, eps=0.1)", b1=0.5, b2=0.9, eps=0.1),
        ),
        first=(1.84, -3.78),  # that of AdamW: the average is the first step
        geometric=False,
        errors={"schedule_free_adamw(b1=0)": "b1 must be above 0, got 0"},
    ),
)


def test_the_mean_of_its_steps_is_evaluated():
    """With momentum b1 near 1 gradients are taken at the average, which is that of z: here z_t = -0.1 t."""
    found, evaluated = both_paths("schedule_free_adamw", np.ones((4, 1)), np.zeros(1), decay=0.0)
    np.testing.assert_allclose(evaluated[-1], -ETA * np.mean([1, 2, 3, 4]), rtol=1e-5)
    np.testing.assert_allclose(found[-1], -ETA * (0.9 * 2.5 + 0.1 * 4), rtol=1e-5)
