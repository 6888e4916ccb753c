"""Evidence of rotary positions; their scalings' frequencies are in ``test_frequencies``."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support import reference
from tests.support.encodings import H, compared, shows_direction
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit, normal
from tests.support.rotations import frequencies, turned
from tests.support.row import Row


def form(base=10000.0, fraction=1.0, layout="interleaved"):
    def product(q, k, i, j, params, head):
        return reference.rope(q, i, base, fraction, layout) @ reference.rope(k, j, base, fraction, layout)

    return compared(product)


def scaled(**options):
    """By the frequencies of the length of the text."""

    def scores(q, k, params, i, j, scale, x, text):
        theta, gain = frequencies(H, length=int(text.sum()), **options), 1.0
        if options["scaling"] == "yarn":
            gain = 0.1 * math.log(options["factor"]) + 1
        product = lambda a, b, i, j, params, head: turned(a, i, theta, gain=gain) @ turned(b, j, theta, gain=gain)
        return compared(product)(q, k, params, i, j, scale, x, text)

    return scores


def oracles():
    from tests.support.encoding_oracles import R as shapes
    from tests.support.encoding_oracles import (
        RotaryEmbedding,
        rope_frequencies,
        rotated_scores,
        rotation,
        turned_by_equinox,
        x_rope,
    )

    H, L = shapes.H, shapes.L
    long = tuple(float(x) for x in np.random.default_rng(5).uniform(1.0, 20.0, H // 2))
    torch_rope = lambda size: RotaryEmbedding(size, cache_if_possible=False).rotate_queries_or_keys
    scaled = lambda **options: lambda q, k: x_rope(q, k, **options)

    def dynamic(length):
        ours = {"scaling": "dynamic_ntk", "factor": 3.0, "train_length": L, "length": length}
        return rope_frequencies("dynamic", length, factor=3.0, ours=ours)

    def yarn(truncate):
        ours = {"scaling": "yarn", "factor": 8.0, "train_length": 2048, "truncate": truncate}
        return rope_frequencies("yarn", factor=8.0, original_max_position_embeddings=2048, truncate=truncate, ours=ours)

    return {
        "rotary-embedding-torch": rotation(torch_rope(H)),
        "rotary-embedding-torch (fraction)": rotation(torch_rope(H // 2), fraction=0.5),
        "equinox (half)": turned_by_equinox(),
        "x-transformers": rotated_scores("rope", x_rope),
        "x-transformers (pi)": rotated_scores("rope(scaling=pi, factor=3)", scaled(interpolation_factor=3.0)),
        "x-transformers (ntk)": rotated_scores("rope(scaling=ntk, factor=3)", scaled(base_rescale_factor=3.0)),
        "transformers linear": rope_frequencies("linear", factor=3.0, ours={"scaling": "pi", "factor": 3.0}),
        "transformers dynamic, length 10": dynamic(10),
        "transformers dynamic, length 64": dynamic(64),
        "transformers dynamic, length 500": dynamic(500),
        "transformers yarn, truncated": yarn(truncate=True),
        "transformers yarn, not truncated": yarn(truncate=False),
        "transformers llama3": rope_frequencies(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=8192,
            ours={"scaling": "llama3", "factor": 8.0, "train_length": 8192},
        ),
        "transformers longrope": rope_frequencies(
            "longrope",
            8192,
            factor=8.0,
            long_factor=list(long),
            short_factor=[1.0] * (H // 2),
            original_max_position_embeddings=2048,
            ours={"scaling": "longrope", "factor": 8.0, "train_length": 2048, "factors": long},
        ),
    }


def picture():
    from tools.kinds.encoding_maps import rotations

    curves = {
        "rope": "rope",
        "pi, factor 4": "rope(scaling=pi, factor=4)",
        "yarn, factor 4": "rope(scaling=yarn, factor=4, train_length=64)",
    }
    return rotations("rope", curves)


REFUSED = {
    "factor=2": "factor is for scaling=pi or ntk or dynamic_ntk or yarn or llama3 or longrope, got scaling=none",
    "scaling=pi, train_length=9": "train_length is for scaling=dynamic_ntk or yarn or llama3 or longrope, got scaling=pi",
    "scaling=llama3, truncate=False": "truncate is for scaling=yarn, got scaling=llama3",
    "scaling=yarn, low=2": "low is for scaling=llama3, got scaling=yarn",
    "scaling=yarn, high=2": "high is for scaling=llama3",
    "scaling=ntk, beta_fast=2": "beta_fast is for scaling=yarn",
    "scaling=ntk, beta_slow=2": "beta_slow is for scaling=yarn",
    "scaling=ntk, factors=(1, 2)": "factors is for scaling=longrope",
    "scaling=ntk, attention_factor=2": "attention_factor is for scaling=yarn or longrope",
    "scaling=pi, factor=0.5": "factor must be a finite number >= 1, got 0.5",
    "scaling=yarn, train_length=1": "train_length must be >= 2, got 1",
    "scaling=yarn, beta_fast=1": "want beta_fast > beta_slow > 0, got 1.0 and 1.0",
    "scaling=yarn, beta_slow=0": "want beta_fast > beta_slow > 0, got 32.0 and 0.0",
    "scaling=llama3, low=4": "want high > low > 0, got 4.0 and 4.0",
    "scaling=longrope": "longrope wants its factors, one for each pair",
    "scaling=longrope, factors=(1, 0)": r"factors must be finite numbers > 0, got \(1.0, 0.0\)",
    "scaling=yarn, attention_factor=0": "attention_factor must be None or a finite number > 0, got 0.0",
    "scaling=linear": r"option 'scaling' wants one of 'none', 'pi'",
    "base=0": "base must be > 0, got 0.0",
    "fraction=0": r"fraction must be in \(0, 1\], got 0.0",
    "fraction=1.5": r"fraction must be in \(0, 1\], got 1.5",
}
ROW = Row(
    "rope",
    {
        "base": "50.0",
        "fraction": "0.5",
        "layout": "half",
        "scaling": "pi, factor=2.0",
        "factor": "2.0, scaling=ntk",
        "train_length": "10, scaling=dynamic_ntk",
        "beta_fast": "2.0, scaling=yarn, factor=3.0, base=50.0",
        "beta_slow": "0.3, scaling=yarn, factor=3.0, base=50.0",
        "truncate": "False, scaling=yarn, factor=3.0, base=50.0",
        "low": "0.5, scaling=llama3, factor=3.0",
        "high": "8.0, scaling=llama3, factor=3.0",
        "factors": "(1.0, 2.0, 3.0, 4.0), scaling=longrope",
        "attention_factor": "2.0, scaling=yarn",
    },
    EncodingEvidence(
        (
            EncodingCase("rope", scores=form()),
            EncodingCase("rope(base=50.0, fraction=0.5, layout=half)", scores=form(50.0, 0.5, "half")),
            EncodingCase(
                "rope(scaling=dynamic_ntk, factor=2.0, train_length=5)",
                scores=scaled(scaling="dynamic_ntk", factor=2.0, train_length=5),
            ),
            EncodingCase(
                "rope(scaling=yarn, factor=2.0, train_length=10)", scores=scaled(scaling="yarn", factor=2.0, train_length=10)
            ),
        ),
        oracles,
        picture=picture,
        errors={f"rope({options})": message for options, message in REFUSED.items()},
    ),
)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@pytest.mark.parametrize(("dim", "fraction"), [(2, 1.0), (8, 1.0), (8, 0.25), (12, 0.5)])
def test_every_layout_and_fraction(dim, fraction, layout):
    x, positions = normal(0, 2, 3, 2, dim), np.array([[0, 4, 9], [500, 7, 3]])
    run = jit(functools.partial(attention.rope, base=70.0, fraction=fraction, layout=layout))
    found = run(x, positions)
    wanted = [
        [[reference.rope(x[b, t, n], int(positions[b, t]), 70.0, fraction, layout) for n in range(2)] for t in range(3)]
        for b in range(2)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(run(x, positions.astype(np.float32)), wanted, atol=1e-3)  # after encodings that make floats


def test_published():
    """Values computed apart from this project; ones(6) at position 3 is keras-hub's, rotary_embedding_test.py."""
    ones, ramp = jnp.ones((1, 1, 6)), jnp.arange(1.0, 7.0)[None, None]
    rope = lambda x, position, **options: attention.rope(x, jnp.array([position]), **options)[0, 0]
    for found, wanted in [
        (rope(ones, 3), [-1.13111250, -0.84887249, 0.85152260, 1.12911880, 0.99351585, 1.00644237]),
        (rope(ones, 3, layout="half"), [-1.1311, 0.8515, 0.9935, -0.8489, 1.1291, 1.0064]),
        (rope(ramp, 2), [-2.23474169, 0.07700375, 2.61628867, 4.26087240, 4.97410045, 6.02148858]),
        (rope(ramp, 2, layout="half"), [-4.05333654, 1.52789594, 2.97411901, -0.75528992, 5.16386812, 6.01287087]),
    ]:
        np.testing.assert_allclose(found, wanted, atol=5e-5 if len(str(wanted[0])) < 9 else 2e-6)
    # transformers, test_modeling_roformer.py: arange/100 of shape (2, 12, 16, 64), row 1.
    x = jnp.arange(2 * 12 * 16 * 64, dtype=jnp.float32).reshape(2, 12, 16, 64)[:1, 0, :2].swapaxes(0, 1) / 100
    wanted = [-0.2012, 0.8897, 0.0263, 0.9401, 0.2074, 0.9463, 0.3481, 0.9343]
    np.testing.assert_allclose(attention.rope(x, jnp.arange(2))[1, 0, :8], wanted, atol=1e-4)


def test_it_is_a_rotation():
    """Rotation: norms stay, position 0 is the identity, layouts are a permutation, and products depend on the distance."""
    q, k, positions = normal(0, 6, 1, 8), normal(1, 6, 1, 8), jnp.array([0, 1, 2, 50, 51, 99])
    rope = jit(attention.rope, static_argnames=("layout", "fraction"))
    np.testing.assert_allclose(jnp.sum(rope(q, positions) ** 2, -1), jnp.sum(q**2, -1), rtol=1e-5)
    np.testing.assert_array_equal(rope(q, positions)[0], q[0])
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])
    half = rope(q[..., order], positions, layout="half")
    np.testing.assert_allclose(half, rope(q, positions)[..., order], atol=1e-6)
    np.testing.assert_array_equal(rope(q, positions, fraction=0.5)[..., 4:], q[..., 4:])
    np.testing.assert_allclose(rope(q, positions, fraction=0.5)[..., :4], rope(q[..., :4], positions), atol=1e-6)
    scores = lambda shift: jnp.einsum("inh,jnh->ij", rope(q, positions + shift), rope(k, positions + shift))
    for shift in (1, 1000, 1_000_000):
        np.testing.assert_allclose(scores(shift), scores(0), atol=2e-5)
    relative = jnp.einsum("inh,jnh->ij", rope(q, positions - positions[2]), rope(k, positions - positions[2]))
    np.testing.assert_allclose(relative[:, 2], jnp.einsum("inh,nh->i", rope(q, positions - 2), k[2]), atol=1e-5)


def test_pairs_of_channels():
    for dim, options in [(5, {}), (6, {"fraction": 0.5}), (8, {"fraction": 0.1})]:
        with pytest.raises(ValueError, match="rope turns pairs of channels"):
            attention.rope(jnp.ones((1, 1, dim)), jnp.array([1]), **options)


def test_the_other_layout_shows_direction_too():
    assert shows_direction("rope(layout=half)")
