"""Evidence of the other optimizers of optax, with LAMB for all."""

import numpy as np
import pytest

from attention.optimizers import optax as others
from tests.support.evidence import OptimizerCase, OptimizerEvidence
from tests.support.optimizers import DECAY, ETA, path
from tests.support.row import Row


def lamb(gradients, w, rates, decay, b1=0.9, b2=0.999, eps=1e-6):
    """Algorithm 2 of You et al. 2020 (arXiv 1904.00962)."""
    m = v = np.zeros_like(w)
    for t, (g, eta) in enumerate(zip(gradients, rates), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * w
        w = w - eta * np.linalg.norm(w) / np.linalg.norm(r) * r
    return w


RATIO = (20 / (1.6**2 + 2.2**2)) ** 0.5  # of the norms of the weights and of the step, (1.6, -2.2) with the decay
ROW = Row(
    "optax(name='lamb')",
    {"name": "'adabelief'"},
    OptimizerEvidence(
        (
            OptimizerCase("optax(name='lamb')", lamb),
            OptimizerCase("optax(name='lamb', b1=0.5, b2=0.9, eps=0.1)", lambda *given: lamb(*given, b1=0.5, b2=0.9, eps=0.1)),
        ),
        first=(2 - 0.1 * RATIO * 1.6, -4 + 0.1 * RATIO * 2.2),
        geometric=False,  # the ratio of norms is of the decay, too
        errors={
            "optax": "option 'name' must be given",
            "optax(name='lmab')": r"optax has no optimizer 'lmab' \(nearest: 'lamb'\); known: acprop",
            "optax(name='lamb', b3=1)": r"lamb has no option 'b3' \(nearest: 'b2'\); options: b1=0.9",
            "optax(name='lamb', weight_decay=0.1)": "lamb has no option 'weight_decay'",
            "optax(name='lamb', b1='x')": "option 'b1' of lamb must be like 0.9, got 'x'",
            "optax(name='adamw')": "adamw is an optimizer of its own",
            **{f"optax(name='{name}')": f"optax's {name} needs" for name in others.REFUSED},
        },
    ),
)


def test_lamb_moves_a_matrix_by_a_share_of_its_norm():
    w = np.random.default_rng(0).normal(size=(3, 4))
    (found,) = path("optax(name='lamb')", [np.ones((3, 4))], w, decay=0.0)
    assert np.linalg.norm(found - w) == pytest.approx(ETA * np.linalg.norm(w), rel=1e-5)


def test_decay_is_decoupled_where_the_function_has_none():
    found = path("optax(name='rmsprop')", np.zeros((3, 2, 2)), np.full((2, 2), 8.0))
    np.testing.assert_allclose(found[-1], np.full((2, 2), 8.0 * (1 - ETA * DECAY) ** 3), rtol=1e-6)


@pytest.mark.parametrize("name", list(others.known()))
def test_the_rest_of_optax_runs_with_a_traced_rate(name):
    """Every function that can be named moves the weights, and they stay finite."""
    gradients = np.random.default_rng(0).normal(size=(4, 3, 4))
    start = np.full((3, 4), 1e-3, np.float32)  # small, so that small steps are not lost
    found = path(f"optax(name='{name}')", gradients, start, eta=0.01, decay=0.1)
    assert np.isfinite(found).all()
    assert not np.array_equal(found[-1], start)
