"""No rival."""

from attention.rivals import Rival

__all__: list[str] = []


def build() -> Rival:
    """Nothing is fitted."""
    return Rival()
