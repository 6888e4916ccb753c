"""Evidence of softmax by the logarithm of the length."""

import math

import jax.numpy as jnp
import pytest

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import LONGEST, case
from tests.support.reference_normalizers import ssmax
from tests.support.row import Row


def log_length(row, mask, length):
    return ssmax(row, mask, 1 / math.log(length))


def oracles():
    from tests.support import oracle_normalizers as o

    return {
        "scalable_softmax(1 / log n_train)": o.row(
            lambda s, w: attention.log_length(s, w, train_length=5),
            lambda z: o.ssmax(z, o.torch.tensor(1 / math.log(5), dtype=z.dtype), o.torch.zeros(1, dtype=z.dtype)),
        )
    }


LAWS = {
    "at the training length it is softmax": Law(
        lambda s, w: attention.log_length(s, train_length=9), lambda s, w: attention.softmax(s), 1e-5
    ),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("log_length(train_length=3)", "log_length, n = 5, trained at 3")


ROW = Row(
    "log_length",
    {"train_length": "8"},
    NormalizerEvidence(
        (
            case("log_length", log_length, options={"length": LONGEST}),
            case("log_length(train_length=8)", log_length, options={"length": 8}),
        ),
        oracles,
        public={"train_length": 8},
        refused=(({"train_length": 1}, "train_length must be >= 2, got 1"),),
        laws=LAWS,
        errors={"log_length(train_length=1)": "train_length must be >= 2, got 1"},
        picture=picture,
    ),
)


def test_the_training_length_is_asked_for():
    x = jnp.ones((3, 2, 4))
    with pytest.raises(ValueError, match="log_length needs the training length"):
        attention.attend(x, x, x, normalizer="log_length")
    attention.attend(x, x, x, normalizer="log_length(train_length=4)")
