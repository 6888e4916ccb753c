"""Event files for TensorBoard, written without TensorFlow: ``tensorboard --logdir runs``.

Each member has a folder of its own, and its id in the names of its files. What these hold is what it has been told: a run that
is tracked again goes on after the last update there, in another file beside them, and files that were removed are written anew.
Where a folder of that name has files of another run, this one has its own beside it. The times of events are those of the run.
The config is written first, scores of test and the verdict at the end: SCALARS, HPARAMS and TEXT show them.

Source: https://www.tensorflow.org/tensorboard, https://github.com/lanpa/tensorboardX
"""

import contextlib
import functools
import os
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention.files import regular
from attention.runs.trackers import Ending, Member, Row, Session, Tracker

__all__: list[str] = []


def build(*, path: str = "") -> Tracker:
    """Event files.

    Args:
      path: the folder for them, with one for each run, and in that one for each member; by default ``tracked`` in the run.
    """
    return Tracker(functools.partial(_open, path), packages=("tensorboardX",))


class _Told(NamedTuple):
    """What the files of a member hold: the last update, and by tag the last numbers and texts."""

    reached: int
    numbers: Mapping[str, float]
    texts: Mapping[str, str]


def _open(path: str, member: Member) -> Session:
    wanted = Path(os.path.expanduser(path), member.group, member.name) if path else member.folder
    folder = _own(wanted, member)
    folder.mkdir(parents=True, exist_ok=True)
    told, opened = _told(folder), list[Any]()

    def write(step: int, seconds: float, *summaries: Any) -> None:
        """All in one event, which is there whole or not at all."""
        if not opened:
            opened.append(_writer(folder, member))
        opened[0].write_event(_event(member, step, seconds, *summaries))
        opened[0].flush()

    if "config" not in told.texts:
        facts = {**member.config, **{f"environment.{name}": value for name, value in member.environment.items()}}
        write(0, 0.0, _text("config", _table(facts)))

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            write(row.step, row.seconds, _scalars(row.values))

    def end(ending: Ending) -> None:
        from tensorboardX import summary

        result = _table({**ending.words, **{name: f"{value:g}" for name, value in ending.numbers.items()}})
        if told.texts.get("result") == result:
            return
        new = {name: value for name, value in ending.numbers.items() if told.numbers.get(name) != np.float32(value)}
        hparams = summary.hparams(dict(member.config), dict.fromkeys(ending.numbers))
        write(ending.step, ending.seconds, _scalars(new), _text("result", result), *hparams)

    def close(finished: bool) -> None:
        for writer in opened:
            writer.close()

    place = str(folder) if folder == wanted else f"{folder} ({wanted.name} is of another run)"
    return Session(add, end, close, told.reached, place)


def _own(folder: Path, member: Member) -> Path:
    """The folder of a member, or one beside it where that has files of another run, which TensorBoard would mix with these."""
    others = [file for file in folder.glob("*tfevents*") if f".{member.id}." not in file.name]
    return folder.with_name(f"{folder.name}-{member.id[:8]}") if others else folder


def _told(folder: Path) -> _Told:
    reached, numbers, texts = -1, dict[str, float](), dict[str, str]()
    for file in sorted(folder.glob("*tfevents*")):
        for event in _events(file):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    reached, numbers[value.tag] = max(reached, event.step), value.simple_value
                elif value.tensor.string_val:
                    texts[value.tag] = value.tensor.string_val[0].decode()
    return _Told(reached, numbers, texts)


def _writer(folder: Path, member: Member) -> Any:
    """A new file."""
    from tensorboardX.event_file_writer import EventsWriter

    return EventsWriter(str(folder / "events"), f".{member.id}.{uuid.uuid4().hex[:8]}")


def _events(file: Path) -> Iterator[Any]:
    """The events of a file, up to where it was cut off."""
    make = _messages()[0]
    with open(regular(file), "rb") as content, contextlib.suppress(struct.error, ValueError):
        while header := content.read(12):  # the length, and a sum over it
            (length,) = struct.unpack("<Qxxxx", header)
            record = content.read(length + 4)  # and a sum over that
            if len(record) < length + 4:
                return
            yield make.FromString(record[:length])


def _event(member: Member, step: int, seconds: float, *summaries: Any) -> Any:
    event, summary = _messages()
    values = [value for each in summaries for value in each.value]
    return event(wall_time=member.started + seconds, step=step, summary=summary(value=values))


def _messages() -> tuple[Any, Any]:
    """The types of an event and of its summary, loaded when they are used."""
    from tensorboardX.proto import event_pb2, summary_pb2

    return getattr(event_pb2, "Event"), getattr(summary_pb2, "Summary")  # noqa: B009 (made while it is loaded)


def _scalars(values: Mapping[str, float]) -> Any:
    make = _messages()[1]
    return make(value=[make.Value(tag=name, simple_value=value) for name, value in values.items()])


def _text(tag: str, text: str) -> Any:
    from tensorboardX import summary

    made = summary.text(tag, text)
    made.value[0].tag = tag
    return made


def _table(facts: Mapping[str, Any]) -> str:
    rows = (f"| {name} | {' '.join(str(value).split())} |" for name, value in facts.items())
    return "\n".join(["| | |", "| --- | --- |", *rows])
