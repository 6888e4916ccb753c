"""Every query may attend to every key.

Allowed: all
Sees: $T$ keys
When: to classify: every token may read every other.
Source: Vaswani et al. 2017 (arXiv 1706.03762).
"""

from attention.records import Mask

__all__: list[str] = []


def build() -> Mask:
    """No restriction beside padding."""
    return Mask(band=(None, None))
