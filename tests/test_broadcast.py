import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from attention.broadcast import by_token, spread
from tests.support.helpers import assert_close, normal

SHAPES = [
    ((3, 4), (5, 2, 3, 4)),
    ((1, 2, 3, 4), (7, 2, 3, 4)),
    ((2, 1, 1, 4), (2, 6, 3, 4)),
    ((1, 1, 1), (2, 3, 4)),
    ((3, 4), (3, 4)),
]


@pytest.mark.parametrize(("shape", "wanted"), SHAPES)
def test_is_broadcasting(shape, wanted):
    x, weights = normal(0, *shape), normal(1, *wanted)
    assert jnp.array_equal(spread(x, wanted), np.broadcast_to(x, wanted))
    gradient = jax.grad(lambda x: jnp.vdot(spread(x, wanted), weights))(x)
    kept = (1,) * (len(wanted) - len(shape)) + shape
    summed = np.sum(weights, axis=tuple(a for a, (n, m) in enumerate(zip(kept, wanted)) if n != m), keepdims=True)
    assert_close(gradient, summed.reshape(shape))


def test_transforms():
    """Forward mode, a second derivative, and a batch of them."""
    x, wanted = normal(0, 3, 4), (5, 2, 3, 4)
    f = lambda x: jnp.sum(jnp.sin(spread(x, wanted)))
    assert_close(jax.jvp(f, (x,), (x,))[1], 10 * np.sum(np.cos(x) * x))
    second = jax.jvp(jax.grad(f), (x,), (jnp.ones_like(x),))[1]
    assert_close(second, -10 * np.sin(x))
    several = normal(1, 2, 3, 4)
    assert_close(jax.vmap(jax.grad(f))(several), 10 * np.cos(several))


@pytest.mark.parametrize("lead", [(), (5,), (3, 5), (2, 3, 5), (0, 5)])
def test_by_token(lead):
    """Whatever it makes of a token; a function of lists is given nothing else."""
    x, kernel = normal(0, *lead, 4), normal(1, 4, 6)
    seen = []

    def function(x):
        seen.append(x.ndim)
        return (x @ kernel).reshape(*x.shape[:-1], 2, 3)

    assert_close(by_token(function, x), (x @ kernel).reshape(*lead, 2, 3))
    assert seen == [min(x.ndim, 2)]


@pytest.mark.parametrize("spec", [P("data"), P(None, "data"), P(None, None, "data")])
def test_by_token_under_explicit_sharding(spec):
    """Tokens stay split as they were, also within a text."""
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(normal(0, 3, 5, 4), spec)
        found = jax.eval_shape(lambda x: by_token(jnp.tanh, x), x)
    assert found.sharding.spec == P(*spec, *[None] * (3 - len(spec)))
