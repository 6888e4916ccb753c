"""Evidence of the kernel that is chosen by size: it computes nothing itself."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.kernels import Ask, Given, _plan, chosen
from attention.kernels.auto import MOST
from attention.records import Call
from tests.support.evidence import KernelEvidence
from tests.support.masks import pairs, tiled
from tests.support.row import Row

ROW = Row("auto", {}, KernelEvidence())


def test_what_is_chosen():
    """Dense up to a number of scores, and where chunked cannot."""
    parts, coupled = (parts_of(normalizer=name) for name in ("softmax", "sinkhorn"))
    most = MOST[-1][1]
    choose = lambda scores, parts=parts, weights=False: chosen("auto", Ask(parts, scores, weights)).spec
    assert choose((most // 64**2, 64, 64)) == "dense"
    assert choose((2 * most // 64**2, 64, 64)) == "chunked"
    assert choose((2 * most // 64**2, 64, 64), coupled) == "dense"
    assert choose((2 * most // 64**2, 64, 64), weights=True) == "dense"


@pytest.mark.parametrize("left", range(len(MOST)))
def test_fewer_scores_suffice_where_a_mask_leaves_few(left, monkeypatch):
    """By the share it leaves, where positions count from 0."""
    at_most, most = MOST[left]
    monkeypatch.setattr(importlib.import_module("attention.kernels.auto"), "share", lambda mask, T, S: at_most)
    parts, T = parts_of(mask="causal"), 256
    few, many = ((heads, T, T) for heads in (most // T**2, 2 * most // T**2))
    assert chosen("auto", Ask(parts, few)).spec == "dense"
    assert chosen("auto", Ask(parts, many)).spec == "chunked"
    elsewhere = Given((jnp.float32,) * 3, (8, 8), ordered=False)
    assert chosen("auto", Ask(parts, many, given=elsewhere)).spec == ("chunked" if left == len(MOST) - 1 else "dense")


@pytest.mark.parametrize("spec", ["full", "causal", "local(window=64)", "bigbird(block=16, random_blocks=1)", "longformer"])
@pytest.mark.parametrize(("T", "S"), [(1, 1), (300, 300), (100, 200)])
def test_share(spec, T, S):
    """Of the blocks that hold an allowed pair, or of their limit where they depend on the text's end."""
    mask = attention.build("mask", spec)
    found, allowed = _plan.share(mask, T, S, 16), pairs(mask, Call(), T, S)
    wanted = tiled(np.asarray(jnp.broadcast_to(allowed, (T, S))), 16, 16).mean()
    assert wanted <= found <= 1
    assert found == wanted or mask.limits is not None
