"""One row per mask, and per option that changes what it does: the spec, and who may attend to whom."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

import attention
import tests.support.reference_masks as masks
from tests.support import reference


class Pair(NamedTuple):
    """The positions of a query and a key, the last one of their text, and the segments the two are in."""

    i: int
    j: int
    last: int
    s: int = 0
    t: int = 0


@functools.cache
def random_blocks(count, seed=0):
    """The library's draws, which have tests of their own."""
    draw = functools.partial(attention.bigbird_random_blocks, random_blocks=count, rng=jax.random.key(seed))
    return functools.cache(lambda a, e: {int(b) for b in draw(jnp.array([a]), jnp.array([e]))[0]})


ROWS = {
    "full": ("full", lambda p: True),
    "causal": ("causal", lambda p: reference.causal(p.i, p.j)),
    "local": ("local(window=4)", lambda p: reference.local(p.i, p.j, 4)),
    "self": ("local(window=0)", lambda p: p.i == p.j),
    "dilated": ("dilated(window=4, dilation=3)", lambda p: masks.dilated(p.i, p.j, 4, 3)),
    "far": ("dilated(window=2, dilation=20)", lambda p: masks.dilated(p.i, p.j, 2, 20)),
    "block_local": ("block_local(size=5)", lambda p: masks.block_local(p.i, p.j, 5)),
    "neighbours": ("block_local(size=3, neighbours=1)", lambda p: masks.block_local(p.i, p.j, 3, 1)),
    "longformer": ("longformer(window=4, globals=2)", lambda p: masks.longformer(p.i, p.j, 4, 2)),
    "bigbird": (
        "bigbird(block=2, random_blocks=2, seed=3)",
        lambda p: masks.bigbird(p.i, p.j, p.last, 2, random_blocks(2, 3)),
    ),
    "ends": ("bigbird(block=5, random_blocks=0)", lambda p: masks.bigbird(p.i, p.j, p.last, 5, lambda a, e: ())),
    "prefix_lm": ("prefix_lm(prefix=3)", lambda p: masks.prefix_lm(p.i, p.j, 3)),
    "strided": ("strided(stride=4)", lambda p: masks.strided(p.i, p.j, 4)),
    "strided both": ("strided(stride=9, causal=False)", lambda p: masks.strided(p.i, p.j, 9, False)),
    "fixed": ("strided(stride=6, form=fixed, summary=2)", lambda p: masks.fixed(p.i, p.j, 6, 2)),
    "fixed both": ("strided(stride=20, form=fixed, causal=False)", lambda p: masks.fixed(p.i, p.j, 20, 1, False)),
    "document": ("document", lambda p: p.s == p.t),
    "causal & local": ("causal & local(window=6)", lambda p: p.j <= p.i <= p.j + 3),
    "two": ("local(window=10) & local(window=4)", lambda p: reference.local(p.i, p.j, 4)),
    "causal & longformer": (
        "causal & longformer(window=4, globals=1)",
        lambda p: p.j <= p.i and masks.longformer(p.i, p.j, 4, 1),
    ),
    "three": (
        "bigbird(block=4, random_blocks=1) & document & local(window=30)",
        lambda p: masks.bigbird(p.i, p.j, p.last, 4, random_blocks(1)) and p.s == p.t and reference.local(p.i, p.j, 30),
    ),
}
