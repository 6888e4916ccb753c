"""Counts of parameters as formulas, against counting them."""

import jax.numpy as jnp
import pytest

import attention
from tools.parameters import SIZES, count, formula


@pytest.mark.parametrize(
    ("kind", "name", "text", "number"),
    [
        ("encoding", "tisa", "15 N", 5 * 3 * 8),
        ("encoding", "fox", "N D + N", 8 * 256 + 8),
        ("encoding", "transformer_xl", "D² + 2 D", 256 * 256 + 2 * 256),
        ("encoding", "music", "L D", 512 * 256),
        ("encoding", "cope", "64 H", 64 * 32),
        ("score", "synthesizer", "L D + L N", 512 * 256 + 512 * 8),
        ("mixer", "aft", "4 D² + L² + 4 D", 4 * 256 * 257 + 512 * 512),
    ],
)
def test_formulas_of_variants(kind, name, text, number):
    init = attention.build(kind, name).init
    assert (formula(init), count(init)) == (text, number)


def test_what_the_layers_share_may_be_of_the_vocabulary_or_a_root():
    assert formula(attention.build("encoding", "complex_order").shared) == "V D"
    assert formula(attention.build("encoding", "axial").shared) == "⌈√L⌉ D"
    assert formula(attention.build("encoding", "learned_fourier").shared) == "65½ D + 32"


def test_no_parameters():
    assert (formula(None), count(None)) == ("0", 0)


def test_a_length_that_is_no_simple_function_of_an_axis():
    assert formula(lambda rng, dims: jnp.zeros(dims.model_dim**2 % 1009)) is None


def test_a_negative_term():
    assert formula(lambda rng, dims: {"a": jnp.zeros(dims.max_length - 1)}) == "L - 1"


def test_formulas_hold_at_every_size():
    """By counting, where the formula is the product of two axes."""
    init = attention.build("encoding", "music").init
    assert [count(init, dims) for dims in SIZES] == [(dims.max_length or 0) * dims.model_dim for dims in SIZES]
