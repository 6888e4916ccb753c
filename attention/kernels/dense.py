"""All scores at once: the reference, and the only kernel that returns the weights."""

from attention.kernels import Kernel, attend_block

__all__: list[str] = []


def build() -> Kernel:
    """Serves everything, with memory for all scores."""
    return Kernel(serves=lambda ask, device: None, run=attend_block)
