"""Normalizers and scores with parameters, in a small classifier: updates lower the loss and move all of them.

That gradients are right, of those without parameters too, their contracts say.
"""

import pytest

import attention
from tests.support.models import check_training, train

# Learned options beside the defaults.
LEARNED = ["softmax(temperature=learned)", "entmax(alpha=learned)", "sigmoid(bias=learned)"]
LEARNED += [f"qk_norm(form={form})" for form in ("l2_scale", "l2_head_clamp", "rms_full", "layernorm")]


def _owning(kind):
    return [name for name in attention.names(kind) if attention.build(kind, name).init is not None]


@pytest.mark.parametrize("spec", ["gumbel(hard=True)", *LEARNED, *_owning("normalizer")])
def test_normalizer(spec):
    causal = attention.build("normalizer", spec).needs_causal
    # Adam moves what has any gradient at all, rounding included: a bias that softmax ignores moves too.
    check_training(*train(normalizer=spec, mask="causal" if causal else "full"))


@pytest.mark.parametrize("spec", _owning("score"))
def test_score(spec):
    """With sigmoid weights, through which no shift of the scores is lost."""
    check_training(*train(score=spec, normalizer="sigmoid"))
