"""Where runs are shown beside their own files: one file per tracker. What they show is read from the run directory."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention import specs
from attention.specs import by_spec


class Member(NamedTuple):
    """A member of a run, as a tracker knows it.

    Attributes:
      id: its own, the same whenever the run is tracked; 16 hexadecimal digits.
      name: as people look for it.
      group: what its run is called.
      folder: in the run directory, for what a tracker keeps of it; made where missing by whoever writes there.
      started: when the run began, in seconds since 1970.
      config: what it was asked for, flat, as ``model.encoding``.
      environment: versions and machine, flat.
    """

    id: str
    name: str
    group: str
    folder: Path
    started: float
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


class Row(NamedTuple):
    """What is known of a member after ``step`` updates, ``seconds`` after it began."""

    step: int
    seconds: float
    values: Mapping[str, float]


class Ending(NamedTuple):
    """What a finished run says of a member.

    Attributes:
      step: its last update.
      seconds: of training.
      numbers: scores, sizes and times, by name.
      words: the verdict and what else is no number.
      failed: whether it was stopped by a loss or gradient that is not finite.
    """

    step: int
    seconds: float
    numbers: Mapping[str, float]
    words: Mapping[str, str]
    failed: bool


class Session(NamedTuple):
    """A member in a tracker. Whatever is told twice stands there once.

    Hooks:
      add(rows) -> None: rows after ``reached``, in order; they are there when it returns.
      end(ending) -> None: told again, what has changed takes the place of what was there.
      close(finished) -> None.

    Attributes:
      reached: the last update that the tracker shows; -1 for none.
      place: where it is to be seen.
    """

    add: Callable[[Sequence[Row]], None]
    end: Callable[[Ending], None]
    close: Callable[[bool], None]
    reached: int
    place: str


class Tracker(NamedTuple):
    """Where members are shown.

    Hooks:
      open(member) -> a session. Raises ValueError for what another try does not help, in one line. None where nothing is shown.

    Attributes:
      packages: modules that it needs.
      parts: several, each by itself.
    """

    open: Callable[[Member], Session] | None = None
    packages: tuple[str, ...] = ()
    parts: tuple["Tracker", ...] = ()
    spec: str = ""

    kind = "tracker"

    def __reduce__(self) -> Any:
        return by_spec(self)


def combine(*trackers: Tracker) -> Tracker:
    """Several, none of which knows of the others."""
    return Tracker(parts=trackers)


def each(spec: str) -> list[Tracker]:
    """The trackers that a spec names, each once."""
    tracker = specs.build("tracker", spec)
    return list(dict.fromkeys(one for one in tracker.parts or (tracker,) if one.open is not None))
