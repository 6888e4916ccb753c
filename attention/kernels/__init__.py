"""Ways to compute the same attention: one file per kernel, all made of the block in ``_block.py``."""

from attention.kernels._block import Problem
from attention.kernels._kernel import Ask, Chosen, Kernel, chosen

__all__ = ["Ask", "Chosen", "Kernel", "Problem", "chosen"]
