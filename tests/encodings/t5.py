"""Evidence of T5's buckets."""

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support import reference
from tests.support.encodings import D, N, biased, idle_rows, shows_direction, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def form(bidirectional):
    def bias(params, h, i, j, heads, last):
        return params["table"][reference.t5_bucket(j - i, 8, 12, bidirectional), h]

    return biased(bias)


def oracles():
    from tests.support.encoding_oracles import B, F, T5Attention, bias_of

    def theirs(bidirectional):
        def bias(distance, table):
            rows = T5Attention._relative_position_bucket(-distance, bidirectional=bidirectional, num_buckets=8, max_distance=20)
            return F.embedding(rows, table)

        return bias

    def witness(both):
        spec = f"t5(buckets=8, max_distance=20, bidirectional={both})"
        return bias_of(spec, theirs(both), ("table",), B.normal(1, 8, B.N))

    return {
        "transformers T5Attention buckets, bidirectional=True": witness(both=True),
        "transformers T5Attention buckets, bidirectional=False": witness(both=False),
    }


def picture():
    from tools.kinds.encoding_maps import Image, T, added, of_distance, per_head

    found, distance = added("t5"), jnp.arange(T)[None] - jnp.arange(T)[:, None]
    return (
        Image("buckets", np.asarray(attention.t5_buckets(distance)), counted=True),
        Image("head 1, at the start", found[0]),
        of_distance("by distance", per_head(found, (1, 2))),
    )


ROW = Row(
    "t5(buckets=8, max_distance=12)",
    {"buckets": "6", "max_distance": "20", "bidirectional": "False"},
    EncodingEvidence(
        (
            EncodingCase("t5(buckets=8, max_distance=12)", scores=form(True)),
            EncodingCase("t5(buckets=8, max_distance=12, bidirectional=False)", scores=form(False)),
        ),
        oracles,
        (8 * N, 0),
        picture=picture,
        errors={
            "t5(buckets=3)": "buckets must be an even number >= 4, got 3",
            "t5(buckets=2)": "buckets must be an even number >= 4, got 2",
            "t5(max_distance=8)": "max_distance must be above the 8 distances with a bucket each, got 8",
            "t5(max_distance=16, bidirectional=False)": "above the 16 distances",
        },
    ),
)

T5_BOTH = (
    "-200:15 -128:15 -91:15 -64:14 -32:12 -16:10 -15:9 -8:8 -7:7 -1:1 0:0 1:17 7:23 8:24 11:24 12:25 16:26 22:26 23:27 31:27 "
    "32:28 45:28 46:29 63:29 64:30 90:30 91:31 128:31"
)
T5_CAUSAL = "-128:31 -113:31 -112:30 -64:26 -32:21 -21:18 -20:17 -19:17 -18:16 -16:16 -15:15 -1:1 0:0 1:0 5:0 400:0"


@pytest.mark.parametrize(("table", "bidirectional"), [(T5_BOTH, True), (T5_CAUSAL, False)], ids=["both", "causal"])
def test_published_buckets(table, bidirectional):
    relative, buckets = zip(*(map(int, pair.split(":")) for pair in table.split()))
    found = attention.t5_buckets(jnp.array(relative), bidirectional=bidirectional)
    np.testing.assert_array_equal(found, buckets)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (16, 64), (12, 10), (64, 256), (320, 800), (4, 2), (6, 9)])
def test_buckets(buckets, max_distance, bidirectional):
    if (buckets, max_distance, bidirectional) == (4, 2, False):
        max_distance = 3
    relative = np.array([*range(-600, 601), -(2**30), 2**30])
    options = {"buckets": buckets, "max_distance": max_distance, "bidirectional": bidirectional}
    found = np.asarray(attention.t5_buckets(jnp.asarray(relative), **options))
    np.testing.assert_array_equal(found, [reference.t5_bucket(int(r), **options) for r in relative])
    assert found.max() == buckets - 1 or max_distance > 600
    past = np.abs(relative) >= max_distance
    assert set(found[past & (relative < 0)]) == {found[-2]}


def test_start():
    np.testing.assert_allclose(starts("t5", num_heads=400)["table"].std(), D**-0.5, rtol=0.05)


def test_every_bucket_is_used_but_that_of_later_keys_at_distance_0():
    assert idle_rows(ROW.spec) == {4}


def test_buckets_of_one_side_show_direction():
    assert shows_direction("t5(bidirectional=False)")
