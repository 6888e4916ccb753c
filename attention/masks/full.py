"""Every query may attend to every key."""

from attention.records import Mask

__all__: list[str] = []


def build() -> Mask:
    """No restriction beside padding."""
    return Mask()
