"""What ``attention.train`` and ``attention.sweep`` share: what a config may be, what an interrupt does, and flat rows."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections.config_dict import ConfigDict

from attention.messages import quoted
from attention.training import command_line
from attention.training import config as configs

# The name of a config that comes along, a path, what ``attention.base_config()`` returns, any mapping of its fields.
Given = str | os.PathLike[str] | ConfigDict | Mapping[str, Any] | configs.Config


def read(
    given: Given | None, workdir: str | os.PathLike[str] | None, *, default: str, file: str, what: str
) -> command_line.Config:
    """A config as the commands have it.

    Args:
      given: the config; None for that of a run in ``workdir``, or the default.
      workdir: the folder, if one is given.
      default: the name of the default.
      file: as ``command_line.check_begun``.
      what: the same.

    Raises:
      ValueError: for what is no config, or none and a folder in which nothing is begun.
    """
    if given is None:
        argv = [""] if workdir is None else ["", f"--workdir={os.fspath(workdir)}"]
        found = command_line.parse_config(argv, default=command_line.config_beside(argv) or default)
        command_line.check_begun(found, workdir, file, what)
        return found
    if isinstance(given, (str, os.PathLike)):
        return command_line.parse_config(["", f"--config={os.fspath(given)}"], default="")
    fields = configs.to_dict(given) if isinstance(given, configs.Config) else given
    fields = fields.to_dict() if isinstance(fields, ConfigDict) else fields
    if not isinstance(fields, Mapping):
        raise ValueError(f"a config is a name, a path, a ConfigDict or a mapping of fields, got {quoted(given)}")
    name = "sweep" if "sweep" in fields else "run"
    return command_line.Config(ConfigDict(dict(fields)), name, f"a {name} that Python gives", None, [], None)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turns the exit after SIGINT into the KeyboardInterrupt that a notebook survives."""
    try:
        yield
    except SystemExit as stop:
        if stop.code != 130:
            raise
        raise KeyboardInterrupt("stopped; the same call goes on") from None


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with ``{"test": {"accuracy": 1}}`` as ``{"test_accuracy": 1}``."""
    pairs: dict[str, Any] = {}
    for name, value in row.items():
        pairs |= {f"{name}_{inner}": item for inner, item in value.items()} if isinstance(value, Mapping) else {name: value}
    return pairs
