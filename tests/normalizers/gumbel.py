"""Evidence of Gumbel softmax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.helpers import inputs
from tests.support.normalizers import case
from tests.support.reference_normalizers import by_row, hard, softmax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(hard):
        """Their noise, drawn again from the same seed."""

        def theirs(scores, where):
            o.torch.manual_seed(5)
            found = o.F.gumbel_softmax(scores.masked_fill(~where, -o.torch.inf), tau=0.7, hard=hard)
            return o.torch.where(where.any(-1, keepdim=True), found, 0.0)

        scores, where = o.some_scores()
        o.torch.manual_seed(5)
        drawn = -o.torch.empty_like(o.torch.tensor(scores)).exponential_().log().numpy()
        ours = lambda s, w: attention.gumbel(s, w, noise=jnp.asarray(drawn), temperature=0.7, hard=hard)
        return o.Witness(ours, theirs, (scores, where))

    return {
        "torch F.gumbel_softmax(hard=False)": witness(hard=False),
        "torch F.gumbel_softmax(hard=True)": witness(hard=True),
    }


NO_NOISE = {"noise": np.zeros((), np.float32)}
CASES = (
    case("gumbel(temperature=0.5)", softmax, options={"temperature": 0.5}),
    case("gumbel(hard=True)", hard, straight=by_row(softmax)),
)
LAWS = {
    "without noise it is softmax": Law(
        lambda s, w: attention.gumbel(s, w, noise=jnp.zeros(9)), lambda s, w: attention.softmax(s, w)
    ),
}


def picture():
    from tools.kinds.normalizer_weights import Shown

    return Shown("gumbel, one draw", lambda scores: attention.gumbel(scores, rng=jax.random.key(0)))


ROW = Row(
    "gumbel(temperature=0.5)",
    {"temperature": "2", "hard": "True"},
    NormalizerEvidence(
        CASES,
        oracles,
        public=NO_NOISE,
        refused=(
            ({}, "give noise or rng, and one of them only"),
            ({"noise": np.zeros(3, np.float32), "rng": 0}, "give noise or rng, and one of them only"),
        ),
        laws=LAWS,
        errors={"gumbel(temperature=0)": "temperature must be a finite number > 0"},
        picture=picture,
    ),
)


def test_it_samples_softmax():
    """Hard samples come as often as softmax says: 20,000 draws, within five standard deviations."""
    z = jnp.array([0.0, 1.0, -1.0, 5.0])
    mask = jnp.array([True, True, True, False])
    draws = attention.gumbel(jnp.tile(z, (20000, 1)), mask, rng=jax.random.key(0), hard=True)
    np.testing.assert_array_equal(draws.sum(-1), 1)
    np.testing.assert_allclose(draws.mean(0), attention.softmax(z, mask), atol=5 * np.sqrt(0.25 / 20000))
    soft = attention.gumbel(z, mask, rng=jax.random.key(1), temperature=0.01)
    assert soft.max() > 0.99


def test_noise_in_attention():
    """In training only, another for every key and for every block of a kernel."""
    arrays = inputs(T=64, S=64)
    run = lambda rng, train: attention.attend(
        *arrays, normalizer="gumbel", call=Call(rng=rng, train=train), return_weights=True
    )[1]
    one, two = jax.random.key(1), jax.random.key(2)
    np.testing.assert_allclose(run(None, False), attention.attend(*arrays, return_weights=True)[1], atol=1e-6)
    np.testing.assert_array_equal(run(one, True), run(one, True))
    assert not np.allclose(run(one, True), run(two, True), atol=0.1)
    assert not np.allclose(run(one, True), run(None, False), atol=0.1)
    with pytest.raises(ValueError, match="gumbel draws in training and wants a key"):
        run(None, True)
    same = jnp.broadcast_to(arrays[0][:, :1], arrays[0].shape)
    output = attention.attend(same, *arrays[1:], normalizer="gumbel", call=Call(rng=one, train=True), kernel="chunked")
    assert np.unique(np.asarray(output)[0, :, 0, 0]).size == 64
