"""The state of the tokenizers that look tokens up: a dictionary from token to id, ids in order from 2.

Padding and unknown are not in it: a text that holds the words ``<padding>`` or ``<unknown>`` cannot forge their ids.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attention.data.contracts import PADDING, UNKNOWN
from attention.files import parse_json, regular, write_atomic
from attention.messages import quoted

SPECIAL = ("<padding>", "<unknown>")  # how the ids PADDING and UNKNOWN are shown
FILE = "vocabulary.json"


LARGEST = 2**20  # tokens; no more are ever trained, and memory for all of them is taken beforehand


def at_least(name: str, value: int, smallest: int, why: str = "") -> None:
    """Raises ValueError where an option is below its range."""
    if value < smallest:
        raise ValueError(f"{name} must be at least {smallest}{f' ({why})' if why else ''}, got {quoted(value)}")


def check_size(name: str, value: int, smallest: int, why: str = "") -> None:
    """Raises ValueError for a number of tokens that no tokenizer has."""
    at_least(name, value, smallest, why)
    if value > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, got {quoted(value)}")


def ranked(counts: Mapping[str, int], *, max_size: int, min_count: int = 1) -> dict[str, int]:
    """Ids by falling count, ties alphabetically by code point, so that the order never depends on a hash.

    Args:
      counts: how often each token occurs.
      max_size: ids at most, with the two special ones.
      min_count: rarer tokens are left out.

    Raises:
      ValueError: where no token is left.
    """
    frequent = sorted((-count, token) for token, count in counts.items() if count >= min_count)
    if not frequent:
        raise ValueError(f"no token occurs {min_count} times in the training texts; lower min_count")
    kept = frequent[: max_size - len(SPECIAL)]
    return {token: identity for identity, (_, token) in enumerate(kept, start=len(SPECIAL))}


def size(state: Mapping[str, int]) -> int:
    """Number of ids."""
    return len(state) + len(SPECIAL)


def vocabulary(state: Mapping[str, int]) -> list[str]:
    """The token string of each id."""
    return [*SPECIAL, *state]


def strings(tokens: Sequence[str], ids: Sequence[int]) -> list[str]:
    """The tokens of ``ids``, padding left out."""
    for identity in (min(ids, default=PADDING), max(ids, default=PADDING)):
        if not 0 <= identity < len(tokens):
            raise ValueError(f"token id {identity} is not in a vocabulary of {len(tokens)}")
    return [tokens[identity] for identity in ids if identity != PADDING]


def save(state: Mapping[str, int], folder: Path) -> None:
    """Writes ``vocabulary.json``, one token a line."""
    write_atomic(Path(folder) / FILE, json.dumps({"tokens": list(state)}, indent=0).encode("ascii"))


def load(folder: Path) -> dict[str, int]:
    """Reads what ``save`` wrote.

    Raises:
      ValueError: where the file is missing or holds anything but a list of different tokens.
    """
    stored = read_json(Path(folder) / FILE)
    tokens = stored.get("tokens") if isinstance(stored, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f'{Path(folder) / FILE}: want {{"tokens": [strings]}}')
    state = {token: identity for identity, token in enumerate(tokens, start=UNKNOWN + 1)}
    if len(state) != len(tokens):
        raise ValueError(f"{Path(folder) / FILE}: a token occurs twice")
    return state


def read_json(path: Path) -> object:
    """A JSON file. Raises ValueError naming it where it is missing, no regular file, or not JSON."""
    try:
        return parse_json(regular(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"no tokenizer file {path}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not a tokenizer file: {error}") from None
