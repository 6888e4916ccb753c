"""What the files of offline runs of W&B hold: records of its package, in the format of LevelDB's logs.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention.files import regular

_HEADER, _BLOCK = 7, 2**15  # bytes: of a file and of a piece of a record; pieces cross no border of a block
_WHOLE, _LAST = 1, 4  # kinds of pieces


class Told(NamedTuple):
    """What a run has been told: the last update, -1 for none, and the summary."""

    reached: int
    summary: Mapping[str, Any]


def told(files: Sequence[Path]) -> Told:
    """What files hold together, the last one last."""
    reached, summary = -1, dict[str, Any]()
    for file in files:
        for record in records(file):
            if record.HasField("history"):
                reached = max(reached, record.history.step.num)
            summary |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update}
    return Told(reached, summary)


def records(file: Path) -> Iterator[Any]:
    """The records of a file, up to where it was cut off."""
    make = importlib.import_module("wandb.proto.wandb_internal_pb2").Record  # loaded when it is used
    raw, place, begun = regular(file).read_bytes(), _HEADER, b""
    while place + _HEADER <= len(raw):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        length, kind = int.from_bytes(raw[place + 4 : place + 6], "little"), raw[place + 6]
        begun += raw[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        if place > len(raw) or not kind:
            return
        if kind in (_WHOLE, _LAST):
            yield make.FromString(begun)
            begun = b""
