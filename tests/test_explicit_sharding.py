"""Meshes whose axes are explicit: types of arrays say how they are split, and operations have to say what they make of it."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from tests.support import sharded

REFUSED = {("encoding", "randomized"), ("encoder", "hierarchical")}


@pytest.mark.parametrize(("kind", "name"), sharded.ALL, ids=lambda each: each)
def test_examples(kind, name):
    """Examples stay split, forward and backward, or it is refused in one line."""
    apply, own, arrays = sharded.case(kind, name)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        arrays = [jax.device_put(array, P("data")) for array in arrays]
        own = jax.tree.map(lambda leaf: jax.device_put(leaf, P()), own)
        floats = tuple(i for i, array in enumerate(arrays, 1) if array.dtype == jnp.float32)
        loss = lambda *given: jnp.sum(apply(*given) ** 2)
        trace = lambda: jax.eval_shape(lambda *given: (apply(*given), jax.grad(loss, (0, *floats))(*given)), own, *arrays)
        if (kind, name) in REFUSED:
            with pytest.raises(
                ValueError, match=f"{name} cannot be computed under explicit sharding: use a mesh whose axes are"
            ):
                trace()
            return
        output, (of_params, *of_arrays) = trace()
    assert output.sharding.spec[0] == "data"
    assert all(gradient.sharding.spec[0] == "data" for gradient in of_arrays)
    assert not any(any(leaf.sharding.spec) for leaf in jax.tree.leaves(of_params))
