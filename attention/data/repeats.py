"""Texts that are the same but for letter case and runs of whitespace."""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

LONG = 20  # characters of a line that two texts do not share by chance


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


def lines_before(texts: Iterable[str], earlier: Iterable[str]) -> tuple[int, int]:
    """How many lines of ``LONG`` characters or more of some blocks of text also occur in earlier ones, and how many there are.

    Lines count as the same as texts do. Only hashes of those of ``texts`` are held.
    """
    own = np.fromiter(_lines(texts), np.int64)
    among = set(own.tolist())
    found = {line for line in _lines(earlier) if line in among}
    return int(np.isin(own, np.fromiter(found, np.int64, len(found))).sum()), len(own)


def _lines(blocks: Iterable[str]) -> Iterator[int]:
    """A number for each line that is long enough to be no coincidence, good within a process."""
    for block in blocks:
        yield from (hash(line) for line in map(normal_form, block.split("\n")) if len(line) >= LONG)


def together(texts: Iterable[str]) -> list[list[int]]:
    """The places of each distinct text, in the order of the first."""
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(normal_form(text), []).append(place)
    return list(found.values())
