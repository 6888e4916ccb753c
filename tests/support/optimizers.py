"""What evidence and contract of optimizers share: runs of a few updates, with the rate and the decay traced as in a cohort."""

import functools

import jax
import numpy as np
import optax

from attention import specs
from attention.optimizers._optimizer import decayed
from tests.support.helpers import jit

ETA, DECAY = 0.1, 0.3
# Two members with rates and decays of their own, of a matrix, which decays, and a vector, which does not.
RATES = np.array([[0.02, 0.1, 0.1, 0.05, 0.1, 0.01], [0.1, 0.05, 0.2, 0.2, 0.02, 0.1]])
DECAYS = np.array([0.3, 0.1])
SHAPES = {"kernel": (3, 4), "bias": (4,)}


def normal(seed, *axes):
    """A tree like the weights, with axes before theirs."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(*axes, *shape)) for name, shape in SHAPES.items()}


def float32(tree):
    return jax.tree.map(np.float32, tree)


START, GRADIENTS = normal(0), normal(1, *RATES.shape)


def updates(optimizer, mask):
    """(weights, gradients, rates [U], decay) -> the weights after each of U updates, and those to evaluate."""

    def run(params, gradients, rates, decay):
        def update(carry, given):
            params, state = carry
            gradient, rate = given
            moves, state = optimizer.make(rate, decay, mask).update(gradient, state, params)
            params = optax.apply_updates(params, moves)
            evaluated = params if optimizer.evaluated is None else optimizer.evaluated(state, params)
            return (params, state), (params, evaluated)

        return jax.lax.scan(update, (params, optimizer.make(0.0, 0.0, mask).init(params)), (gradients, rates))[1]

    return run


@functools.cache
def of_members(spec):
    """The weights of ``START`` after each of the updates of each member, ``[M U ...]``, and those to evaluate."""
    run = updates(specs.build("optimizer", spec), decayed(START))
    found = jit(jax.vmap(run, in_axes=(None, 0, 0, 0)))(*float32((START, GRADIENTS, RATES, DECAYS)))
    return jax.tree.map(np.asarray, found)


def path(spec, gradients, start, *, eta=ETA, decay=DECAY, decays=True):
    """The weights after each update of one array, which decays or not."""
    return both_paths(spec, gradients, start, eta=eta, decay=decay, decays=decays)[0]


def both_paths(spec, gradients, start, *, eta=ETA, decay=DECAY, decays=True):
    """The same, and the weights to evaluate."""
    run = jit(updates(specs.build("optimizer", spec), decays))
    return jax.tree.map(np.asarray, run(*map(np.float32, (start, gradients, np.full(len(gradients), eta), decay))))
