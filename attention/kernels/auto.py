"""The kernel that is fastest for the sizes at hand: ``dense`` for few scores, ``chunked`` for many or under masks that skip."""

import math

from attention.kernels import Ask, Kernel
from attention.kernels._plan import share

__all__: list[str] = []

# Of a mask that leaves at most such a share of the scores, the number of scores above which rows are computed in blocks, least
# share first; 2^22 are 16 MiB of float32. Measured on two cores of a CPU, forward and backward at B4 N4 H64, by
# ``python -m benchmarks.kernels --table --keep_freed_memory --length=512`` and 256 and 1024. The times of ``dense`` in those of
# ``chunked``: 2^20 scores of which 0.62 are left 1.2 to 1.5; 2^22 and 0.34 1.9, all 1.1; 2^24 and 0.18 4.1, 0.29 1.7, 0.53 1.5,
# all 1.2.
MOST = ((0.35, 2**20), (1.0, 2**22))


def build() -> Kernel:
    """Chooses by the number of scores and the share that the mask leaves, and by what the parts and the caller need."""

    def choose(ask: Ask, device: str) -> str:
        if not all(isinstance(size, int) for size in ask.scores):  # jax.export may leave sizes open
            return "dense"
        count = math.prod(ask.scores)
        if count <= MOST[0][1] or ask.reads == "all" or ask.weights:
            return "dense"
        left = share(ask.parts.mask, *ask.scores[-2:]) if ask.ordered else 1.0
        return "chunked" if count > next(most for at_most, most in MOST if left <= at_most) else "dense"

    def run(problem):
        raise AssertionError("another kernel runs in the place of auto")

    return Kernel(serves=lambda ask, device: None, run=run, choose=choose)
