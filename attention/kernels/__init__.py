"""Ways to compute the same attention: one file per kernel, all made of the block in ``_block.py``.

``dense`` computes all scores at once and can return the weights. ``chunked`` computes the rows of a block of queries at a
time and recomputes them in the backward pass. ``choose`` picks one.
"""

import dataclasses
import math

from attention.kernels._block import Problem
from attention.kernels._plan import listed
from attention.kernels.chunked import chunked, make_plan
from attention.kernels.dense import dense
from attention.specs import nearest

__all__ = ["KERNELS", "Problem", "choose", "chunked", "dense", "planned"]

KERNELS = {"dense": dense, "chunked": chunked}
# Scores held at once above which rows are computed in blocks; 16 MiB of float32.
AUTO_ELEMENTS = 2**22


def choose(kernel: str, scores_shape: tuple[int, ...], *, reads: str, weights: bool = False) -> str:
    """The kernel that runs.

    Args:
      kernel: "auto", or one of ``KERNELS``.
      scores_shape: ``(*B, N, T, S)``.
      reads: what the normalizer and the encoding need of the scores; "all" needs the dense kernel.
      weights: whether the weights are to be returned, which needs the dense kernel.

    Raises:
      ValueError: for an unknown kernel, or one that cannot do what is asked.
    """
    if kernel == "auto":
        return "chunked" if math.prod(scores_shape) > AUTO_ELEMENTS and reads != "all" and not weights else "dense"
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}{nearest(kernel, KERNELS)}; known: auto, {', '.join(KERNELS)}")
    if kernel == "chunked" and reads == "all":
        raise ValueError("the chunked kernel holds some rows of the scores at a time; one of the parts reads them all")
    if kernel == "chunked" and weights:
        raise ValueError("the chunked kernel never holds all weights; ask for them with kernel='dense' or 'auto'")
    return kernel


def planned(kernel: str, problem: Problem) -> Problem:
    """The problem with the kernel's plan, if it makes one, before anything is prepared and projected.

    Where keys are read in lists, the encoding's call does not say any more that positions count up by ones.
    """
    if kernel != "chunked":
        return problem
    plan = make_plan(problem)
    if not listed(plan):
        return problem._replace(plan=plan)
    return problem._replace(plan=plan, encoding_call=dataclasses.replace(problem.encoding_call, consecutive=False))
