"""The kernel that is fastest for the sizes at hand: ``dense`` for few scores, ``chunked`` for many or under masks that skip."""

import math

from attention.kernels import Ask, Kernel
from attention.kernels._plan import share

__all__: list[str] = []

# Of a mask that leaves at most such a share of the scores, the number of scores above which rows are computed in blocks, least
# share first. Without a mask it is 16 MiB of float32. Measured on two cores of a CPU, forward and backward, by
# ``python -m benchmarks.kernels --table --keep_freed_memory`` with ``--length`` 256, 512 and 1024.
MOST = ((0.25, 2**20), (0.5, 2**21), (1.0, 2**22))


def build() -> Kernel:
    """Chooses by the number of scores and the share that the mask leaves, and by what the parts and the caller need."""

    def choose(ask: Ask, device: str) -> str:
        known = all(isinstance(size, int) for size in ask.scores)  # jax.export may leave sizes open
        if not known or ask.reads == "all" or ask.weights:
            return "dense"
        left = share(ask.parts.mask, *ask.scores[-2:]) if ask.ordered else 1.0
        return "chunked" if math.prod(ask.scores) > next(most for at_most, most in MOST if left <= at_most) else "dense"

    def run(problem):
        raise AssertionError("another kernel runs in the place of auto")

    return Kernel(serves=lambda ask, device: None, run=run, choose=choose)
