"""Ways to compute the same attention: one file per kernel, all made of the block in ``_block.py``; and which of them runs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from attention import specs
from attention.kernels._block import Problem as Problem
from attention.records import Parts, Reads, by_spec, most


class Ask(NamedTuple):
    """What a kernel is asked to compute.

    Attributes:
      parts: the records.
      scores: the shape ``(*B, N, T, S)``.
      weights: whether the weights are to be returned.
    """

    parts: Parts
    scores: tuple[int, ...]
    weights: bool = False

    @property
    def reads(self) -> Reads:
        """What the normalizer and the encoding need of the scores at a time."""
        return most(self.parts.encoding.reads, self.parts.normalizer.reads)


class Kernel(NamedTuple):
    """A way to compute attention.

    Hooks:
      serves(ask, device) -> why it cannot, or None. ``device`` is the backend that the program is compiled for.
      run(problem) -> (output ``[*B T N E]``, weights ``[*B N T S]`` before dropout, or None where it never holds them).
      plan(problem) -> problem, before anything is prepared and projected.
      choose(ask, device) -> the name of the kernel that runs in its place.
    """

    serves: Callable[[Ask, str], str | None]
    run: Callable[[Problem], tuple[jax.Array, jax.Array | None]]
    plan: Callable[[Problem], Problem] | None = None
    choose: Callable[[Ask, str], str] | None = None
    spec: str = ""

    kind = "kernel"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Chosen(NamedTuple):
    """The kernel that runs, and its spec."""

    spec: str
    kernel: Kernel


def chosen(spec: str, ask: Ask) -> Chosen:
    """The kernel that a spec names, or that the one it names chooses.

    Raises:
      ValueError: for a spec that cannot be built, or a kernel that cannot do what is asked.
    """
    kernel, device = specs.build("kernel", spec), jax.default_backend()
    if kernel.choose is not None:
        spec = kernel.choose(ask, device)
        kernel = specs.build("kernel", spec)
    reason = kernel.serves(ask, device)
    if reason is not None:
        raise ValueError(f"kernel={spec}: {reason}")
    return Chosen(spec, kernel)
