"""Event files for TensorBoard, written without TensorFlow: ``tensorboard --logdir runs``.

Each member has a folder of its own. What its files hold is what it has been told: a run that is tracked again goes on after the
last update there, in another file beside them, and files that were removed are written anew. The times of events are those of
the run. Scores of test, the config and the verdict are written at the end: SCALARS, HPARAMS and TEXT show them.

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
    folder = Path(os.path.expanduser(path), member.group, member.name) if path else member.folder
    folder.mkdir(parents=True, exist_ok=True)
    told, opened = _told(folder), list[Any]()

    def write(row_or_end: Row | Ending, *summaries: Any) -> None:
        """All in one event, which is there whole or not at all."""
        if not opened:
            opened.append(_writer(folder, member, begin=told.reached < 0))
        opened[0].write_event(_event(member, row_or_end.step, row_or_end.seconds, *summaries))
        opened[0].flush()

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            write(row, _scalars(row.values))

    def end(ending: Ending) -> None:
        from tensorboardX import summary

        result = _table({**ending.words, **{name: f"{value:g}" for name, value in ending.numbers.items()}})
        if told.texts.get("result") == result:
            return
        new = {name: value for name, value in ending.numbers.items() if told.numbers.get(name) != np.float32(value)}
        hparams = summary.hparams(dict(member.config), dict.fromkeys(ending.numbers))
        write(ending, _scalars(new), _text("result", result), *hparams)

    def close(finished: bool) -> None:
        for writer in opened:
            writer.close()

    return Session(add, end, close, told.reached, str(folder))


def _told(folder: Path) -> _Told:
    reached, numbers, texts = -1, dict[str, float](), dict[str, str]()
    for file in sorted(folder.glob("*tfevents*")):
        for event in _events(file):
            for value in event.summary.value:
                reached = max(reached, event.step)
                if value.HasField("simple_value"):
                    numbers[value.tag] = value.simple_value
                elif value.tensor.string_val:
                    texts[value.tag] = value.tensor.string_val[0].decode()
    return _Told(reached, numbers, texts)


def _writer(folder: Path, member: Member, *, begin: bool) -> Any:
    """A new file, which begins with what was asked for where it is the first."""
    from tensorboardX.event_file_writer import EventsWriter

    writer = EventsWriter(str(folder / "events"), f".{uuid.uuid4().hex[:8]}")
    if begin:
        facts = {**member.config, **{f"environment.{name}": value for name, value in member.environment.items()}}
        writer.write_event(_event(member, 0, 0.0, _text("config", _table(facts))))
    return writer


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
