"""Texts that are the same but for letter case and runs of whitespace."""

from collections.abc import Iterable

import numpy as np


def normal_form(text: str) -> str:
    """What texts that count as the same have in common."""
    return " ".join(text.lower().split())


def seen_before(texts: Iterable[str], earlier: Iterable[str]) -> np.ndarray:
    """Which ``texts`` also occur among the ``earlier`` ones, letter case and runs of whitespace aside: bool ``[n]``."""
    known = {normal_form(text) for text in earlier}
    return np.array([normal_form(text) in known for text in texts], bool)


def together(texts: Iterable[str]) -> list[list[int]]:
    """The places of each distinct text, in the order of the first."""
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(normal_form(text), []).append(place)
    return list(found.values())
