"""Evidence of Nyström's approximation."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.helpers import jit, normal
from tests.support.mixers import HEADS, MHA, VALID, D, N, assert_same, flat, made, of_heads, outputs, softmax, states, witness
from tests.support.row import Row


def landmarks_of(x, m):
    groups = [[] for _ in range(min(m, len(x)))]
    for i, row in enumerate(x):
        groups[i * len(groups) // len(x)].append(row)
    return np.array([np.mean(group, axis=0) for group in groups])


def inverse(A, iterations):
    Z = A.T / (np.abs(A).sum(0).max() * np.abs(A).sum(1).max())
    one = np.eye(len(A))
    for _ in range(iterations):
        Z = Z @ (13 * one - A @ Z @ (15 * one - A @ Z @ (7 * one - A @ Z))) / 4
    return Z


def reference(own, x, memory, causal=False, landmarks=3, iterations=6):
    number = iter(range(99))

    def head(q, k, v, causal):
        scale, h = math.sqrt(q.shape[-1]), next(number)
        q_marks, k_marks = landmarks_of(q, landmarks), landmarks_of(k, landmarks)
        inner = inverse(softmax(q_marks @ k_marks.T / scale), iterations)
        out = softmax(q @ k_marks.T / scale) @ inner @ softmax(q_marks @ k.T / scale) @ v
        if "conv" in own:
            kernel = own["conv"]["kernel"][:, h]
            for t in range(len(v)):
                for c, weight in enumerate(kernel):
                    at = t + c - len(kernel) // 2
                    out[t] += weight * v[at] if 0 <= at < len(v) else 0
        return out

    return of_heads(head)(own, x, memory)


def oracles():
    from tests.support.oracle_mixer_packages import NystromAttention
    from tests.support.oracle_packages import torch

    def theirs(x, p):
        """One head and one text, because the package takes the maxima of all of them."""
        module = NystromAttention(D, dim_head=D, heads=1, num_landmarks=3, residual_conv_kernel=5).double()
        given = {"to_qkv.weight": torch.cat([flat(p[name]) for name in ("query", "key", "value")])}
        given |= {"to_out.0.weight": p["output"]["kernel"].flatten(0, 1).T, "to_out.0.bias": torch.zeros(D, dtype=x.dtype)}
        given |= {"res_conv.weight": p["conv"]["kernel"].T[:, None, :, None]}
        return torch.func.functional_call(module, given, (x[None],))[0]

    spec = "nystrom(heads=1, landmarks=3, conv=5, bias=False)"
    return {"nystrom-attention": witness(spec, theirs, valid=np.ones((1, 6), bool))}


CASES = (
    MixerCase("nystrom(heads=2, landmarks=3)", reference, MHA, cross=False, ordered=True),
    MixerCase("nystrom(heads=2, landmarks=3, conv=5)", reference, MHA + 5 * N, cross=False, ordered=True),
)
REFUSED = (({"score": "dot"}, "mixer=nystrom with score=dot: it uses no score"),)
ERRORS = {
    "nystrom(landmarks=0)": "landmarks must be >= 1, got 0",
    "nystrom(iterations=-1)": "iterations must be >= 0, got -1",
    "nystrom(conv=4)": "conv must be 0 or an odd width, got 4",
}
ROW = Row(
    "nystrom(heads=2, landmarks=3)",
    {**HEADS, "landmarks": "2", "iterations": "2", "conv": "3"},
    MixerEvidence(CASES, oracles, parts=REFUSED, errors=ERRORS),
)


def test_with_every_token_a_landmark_it_is_attention():
    """Also where the landmarks are more than the tokens, in a padded text, as far as the inverse converges."""
    own, x = made("attention(heads=2)")[2], states()
    found, wanted = (outputs(s, own, x, VALID) for s in ("nystrom(heads=2, landmarks=8, iterations=40)", "attention(heads=2)"))
    assert_same(found, wanted, 2e-4)


def test_the_iterated_inverse():
    matrix = np.eye(4) + 0.3 * np.random.default_rng(0).random((3, 4, 4))
    found = attention.iterated_inverse(jnp.asarray(matrix, jnp.float32), 12)
    np.testing.assert_allclose(found, np.linalg.inv(matrix), atol=1e-4)
    holes = matrix.copy()
    holes[:, 2], holes[:, :, 2] = 0, 0
    np.testing.assert_allclose(
        attention.iterated_inverse(jnp.asarray(holes, jnp.float32), 20), np.linalg.pinv(holes), atol=1e-4
    )
    alone = attention.iterated_inverse(jnp.asarray(100 * matrix[:1], jnp.float32))
    beside = attention.iterated_inverse(jnp.asarray(np.concatenate([100 * matrix[:1], matrix]), jnp.float32))
    np.testing.assert_array_equal(beside[:1], alone)


@pytest.mark.parametrize(("n", "sizes"), [(7, [3, 2, 2]), (3, [1, 1, 1]), (2, [1, 1, 0]), (0, [0, 0, 0])])
def test_landmarks_share_the_valid_tokens(n, sizes):
    where = jnp.asarray([False, *([True] * n), *([False] * (8 - n))])
    means, there = attention.landmark_means(jnp.arange(-1.0, 8.0).reshape(9, 1, 1), where, landmarks=3)
    starts = np.cumsum([0, *sizes])
    wanted = [np.mean(range(a, b)) if b > a else 0 for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(means[:, 0, 0], wanted)
    np.testing.assert_array_equal(there, np.array(sizes) > 0)


def test_landmarks_that_there_are_not_take_no_memory():
    """Of 8 tokens there are 8 landmarks at most."""
    shape = jax.ShapeDtypeStruct((64, 8, 2, 4), jnp.float32)

    def temporary(**options):
        loss = lambda *arrays: jnp.sum(attention.nystrom_attention(*arrays, **options) ** 2)
        return jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape).compile().memory_analysis().temp_size_in_bytes

    assert temporary(landmarks=64) == temporary(landmarks=8)
    x = normal(0, 2, 5, 2, 4)
    found, wanted = (attention.nystrom_attention(x, x, x, landmarks=landmarks) for landmarks in (64, 5))
    np.testing.assert_array_equal(found, wanted)
