"""What every optimizer promises: its reference, decoupled decay of matrices, and numbers that may be traced."""

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.optimizers._optimizer import decayed
from tests.support.optimizers import DECAY, DECAYS, ETA, GRADIENTS, RATES, START, float32, of_members, path, updates
from tests.support.rows import over_cases, over_knobs, over_rows

every = over_rows("optimizer")


@over_cases("optimizer")
def test_reference(case):
    """Of two members side by side, each with its own gradients, rates and decay; the matrix decays, the vector does not."""
    assert (case.evaluated is None) == (specs.build("optimizer", case.spec).evaluated is None)
    for found, reference in zip(of_members(case.spec), (case.reference, case.evaluated or case.reference)):
        for name, start in START.items():
            for member, (rates, decay) in enumerate(zip(RATES, DECAYS)):
                wanted = reference(GRADIENTS[name][member], start, rates, decay if name == "kernel" else 0.0)
                # 1 - 0.999^t in float32
                np.testing.assert_allclose(found[name][member, -1], wanted, rtol=5e-4, atol=2e-5, err_msg=name)


@every
def test_first_update_by_hand(name, row):
    (found,) = path(row.spec, [[0.5, -7.0]], [2.0, -4.0])
    np.testing.assert_allclose(found, row.evidence.first, rtol=1e-5)


@over_knobs("optimizer")
def test_no_dead_options(knob):
    one, other = (of_members(spec)[0] for spec in (knob.without, knob.with_))
    assert not all(np.allclose(one[name], other[name], rtol=1e-3, atol=1e-4) for name in START)


@every
def test_without_a_gradient_there_is_decay_alone(name, row):
    optimizer, nothing = specs.build("optimizer", row.spec), jax.tree.map(np.zeros_like, GRADIENTS)
    run = updates(optimizer, decayed(START))
    found, _ = run(*float32((START, {name: each[0] for name, each in nothing.items()}, RATES[0], DECAYS[0])))
    np.testing.assert_allclose(found["bias"][-1], START["bias"], rtol=1e-6)
    shares = found["kernel"][-1] / START["kernel"]
    if row.evidence.geometric:
        np.testing.assert_allclose(shares, np.prod(1 - RATES[0] * DECAYS[0]), rtol=1e-5)
    assert (shares < 1 - 1e-3).all()


@every
def test_a_rate_of_zero_moves_nothing(name, row):
    """Neither a step nor decay: the rate multiplies both."""
    found = path(row.spec, GRADIENTS["kernel"][0], START["kernel"], eta=0.0)
    np.testing.assert_allclose(found, np.broadcast_to(START["kernel"], found.shape), rtol=1e-6)


@every
def test_the_state_does_not_depend_on_the_numbers(name, row):
    """Its structure, shapes and types are the same at the start, after an update, and for whatever rate and decay."""
    optimizer, params = specs.build("optimizer", row.spec), float32(START)
    mask = decayed(params)
    start = optimizer.make(0.0, 0.0, mask).init(params)
    updated = optimizer.make(jnp.float32(ETA), jnp.float32(DECAY), mask).update(params, start, params)[1]
    kinds = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert kinds(optimizer.make(ETA, DECAY, mask).init(params)) == kinds(start)
    assert kinds(updated) == kinds(start)
    assert {leaf.dtype for leaf in jax.tree.leaves(start)} <= {np.dtype(np.float32), np.dtype(np.int32)}
