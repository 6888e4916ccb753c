"""What the public function of every normalizer promises: known numbers, laws, axes, masks, infinities and words."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.helpers import assert_close, jit, normal, unchecked
from tests.support.normalizers import G, Z
from tests.support.rows import cases, over_rows, rows

EVIDENCE = {name: row.evidence for name, row in rows("normalizer").items()}
LAWS = {(name, law): found for name, evidence in EVIDENCE.items() for law, found in evidence.laws.items()}
# Those that make weights of scores.
PUBLIC = {name: evidence.public for name, evidence in EVIDENCE.items() if evidence.public is not None}
COUPLED = [name for name in PUBLIC if attention.build("normalizer", name).reads == "all"]
# Those whose rows are shares of one whole, whatever is added to the scores.
_share = lambda claims: claims.row_sum == "one" and claims.shift_invariant
SHARES = [name for name in PUBLIC if name not in COUPLED and _share(attention.build("normalizer", name).claims)]


def public(name):
    if callable(PUBLIC[name]):
        return PUBLIC[name]
    return functools.partial(unchecked(getattr(attention, name)), **PUBLIC[name])


@over_rows("normalizer")
def test_what_takes_scores_and_a_mask_is_public(name, row):
    """It has the name of its file."""
    parameters = inspect.signature(getattr(attention, name, lambda: None)).parameters
    assert (row.evidence.public is not None) == ("where" in parameters)


@pytest.mark.parametrize("spec", [spec for spec, (_, case) in cases("normalizer").items() if case.golden is not None])
def test_golden_values(spec):
    """Without jit, too: what is compiled elsewhere is the same."""
    name, case = cases("normalizer")[spec]
    weights, options = case.golden
    function = functools.partial(getattr(attention, name), **options)
    np.testing.assert_allclose(function(jnp.asarray(Z, jnp.float32)), weights, atol=1e-6)
    if case.gradient is not None:
        found = jit(jax.grad(lambda z: jnp.sum(function(z) * G)))(jnp.asarray(Z, jnp.float32))
        np.testing.assert_allclose(found, case.gradient, atol=1e-5)


@pytest.mark.parametrize("law", LAWS, ids=": ".join)
def test_laws(law):
    """Where one method becomes another."""
    one, other, tolerance = LAWS[law]
    scores, where = normal(0, 6, 9, scale=2.0), jnp.asarray(np.random.default_rng(0).random((6, 9)) > 0.3)
    np.testing.assert_allclose(*jit(lambda s, w: (one(s, w), other(s, w)))(scores, where), atol=tolerance)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in COUPLED])
def test_any_axis(name):
    scores, where = normal(0, 3, 5, 4), jnp.asarray(np.random.default_rng(0).random((3, 5, 4)) > 0.3)

    @jit
    def run(scores, where):
        there = lambda x, axis: jnp.moveaxis(x, axis, -1)
        moved = [jnp.moveaxis(public(name)(there(scores, a), there(where, a)), -1, a) for a in (0, -2)]
        found = [public(name)(scores, where, axis=a) for a in (0, -2)]
        wide = jnp.broadcast_to(where[0], where.shape)
        return (moved, public(name)(scores, wide, axis=0)), (found, public(name)(scores, where[0], axis=0))

    assert_close(*run(scores, where), tolerance=1e-6)


@pytest.mark.parametrize("name", COUPLED)
def test_any_two_axes(name):
    scores, where = normal(0, 3, 5, 4), jnp.asarray(np.random.default_rng(0).random((3, 5, 4)) > 0.3)
    moved = public(name)(jnp.moveaxis(scores, (0, 1), (-1, -2)), jnp.moveaxis(where, (0, 1), (-1, -2)))
    found = public(name)(scores, where, axis=0, query_axis=1)
    np.testing.assert_allclose(found, jnp.moveaxis(moved, (-1, -2), (0, 1)), atol=1e-6)


@pytest.mark.parametrize("name", PUBLIC)
def test_no_mask_is_a_full_one(name):
    """And a NaN score makes its own weight NaN, and leaves other rows alone where they do not couple."""
    scores = normal(1, 4, 9)
    run = jit(lambda s: (public(name)(s), public(name)(s, jnp.ones((4, 9), bool))))
    np.testing.assert_allclose(*run(scores), atol=1e-7)
    weights = np.asarray(run(scores.at[0, 1].set(jnp.nan))[0])
    assert np.isnan(weights[0, 1])
    assert name in COUPLED or np.isfinite(weights[1:]).all()
    assert jax.eval_shape(public(name), scores.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", PUBLIC)
def test_bad_masks(name):
    scores = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"boolean .* got dtype int32"):
        public(name)(scores, jnp.ones((2, 3), jnp.int32))
    for shape in [(3, 3), (2, 2), (1, 2, 3), (3, 1)]:
        with pytest.raises(ValueError, match="does not broadcast to scores"):
            public(name)(scores, jnp.ones(shape, bool))


@over_rows("normalizer")
def test_bad_arguments(name, row):
    for options, message in row.evidence.refused:
        with pytest.raises(ValueError, match=message):
            unchecked(getattr(attention, name))(jnp.ones((2, 3)), **options)


@pytest.mark.parametrize("name", SHARES)
def test_known_rows(name):
    """Constants give 1/n, one key gets everything, a score far ahead wins, and infinities are seen."""
    run, inf = jit(public(name)), np.inf
    shared = EVIDENCE[name].ties
    is_close = functools.partial(np.testing.assert_allclose, atol=1e-6)
    for value in (0.0, 1e4, -1e4, 1e-30):
        is_close(run(jnp.full((7,), value)), np.full(7, 1 / 7) if shared else np.eye(7)[0])
        is_close(run(jnp.full((1,), value)), [1.0])
    is_close(run(jnp.array([0.0, 1e4, -1e4])), [0, 1, 0])
    is_close(run(jnp.array([3.0, 1e4, 1e4])), [0, 0.5, 0.5] if shared else [0, 1, 0])
    is_close(run(jnp.array([0.0, -inf, 0.0])), [0.5, 0, 0.5] if shared else [1, 0, 0])
    is_close(run(jnp.array([0.0, inf, -inf]), jnp.array([True, False, True])), [1, 0, 0])
    if shared:
        for row in ([0.0, inf, 1.0], [-inf, -inf, -inf], [inf, inf, -inf]):
            assert np.isnan(run(jnp.array(row))).any()


@pytest.mark.parametrize("name", SHARES)
def test_cold_is_hard(name):
    if "temperature" in inspect.signature(getattr(attention, name)).parameters:
        cold = public(name)(jnp.asarray(Z, jnp.float32), temperature=1e-6)
        np.testing.assert_array_equal(cold, Z.max() == Z)


@pytest.mark.parametrize("name", PUBLIC)
def test_documentation(name):
    """Arguments, what is returned, errors, NaN, second derivatives, an example and the source."""
    text = " ".join(getattr(attention, name).__doc__.split())
    for section in ("Args:", "Returns:", "Raises:", "Example:", "Source:", "econd order", "NaN", "``[..., S]``"):
        assert section in text, section
