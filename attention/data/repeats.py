"""Texts that are the same but for letter case and runs of whitespace."""

import hashlib
from collections.abc import Iterable

import numpy as np


def normal_form(text: str) -> str:
    """What texts that count as the same have in common."""
    return " ".join(text.lower().split())


def seen_before(texts: Iterable[str], earlier: Iterable[str]) -> np.ndarray:
    """Which ``texts`` also occur among the ``earlier`` ones, letter case and runs of whitespace aside: bool ``[n]``."""
    return np.isin(_digests(texts), _digests(earlier))


def _digests(texts: Iterable[str]) -> np.ndarray:
    """A number of 64 bits for each text, the same for texts that count as the same: of very many, all there is room for."""
    of = lambda text: hashlib.blake2b(normal_form(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.frombuffer(b"".join(map(of, texts)), np.uint64)


def together(texts: Iterable[str]) -> list[list[int]]:
    """The places of each distinct text, in the order of the first."""
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(normal_form(text), []).append(place)
    return list(found.values())
