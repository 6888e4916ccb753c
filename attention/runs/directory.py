"""The run directory: everything that evaluation needs but the data.

::

  runs/<name>/config.json       what was asked for; a run is its config, and another config is another run
              environment.json  versions, device, cores, git commit
              data.json         resolved source, content hash per split, classes, baselines
              tokenizer/        the tokenizer as trained
              checkpoints/      step-*: the last ones; best-*: the best weights of each member
              metrics.jsonl     one JSON object per line, of training or of a validation
              predictions.npz   what each member says of each example of test, and whether it is right
              by_length.png     accuracy by length, where the source has texts for it
              result.json       written last: a run that has it is finished

JSON files are written aside, fsynced and renamed, and say their ``format``. Numbers that are not finite become null, which is
what JSON has. Runs of format 1, whose files do not say it, are evaluated; one that is not finished cannot be gone on with.
"""

import fcntl
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from attention import specs
from attention.files import (
    TEMPORARY,
    TryAgainError,
    differences,
    json_hash,
    parse_json,
    plain,
    read_arrays,
    read_json,
    write_atomic,
    write_json,
)
from attention.messages import quoted
from attention.runs import data_record, environment
from attention.runs.data_record import DataRecord

FORMAT = 2
LAST_OF_FORMAT_1 = "56dc08c"  # the last commit that trains such runs
_LOCK = ".lock"
Status = Literal["new", "unfinished", "finished"]


class InUseError(TryAgainError):
    """A run directory that another process writes."""


class OldRunError(ValueError):
    """A run that an older version began, and that this one cannot go on with."""


class Metrics(NamedTuple):
    """The lines of ``metrics.jsonl``; ``damaged`` names a last line that was cut off, None where there is none."""

    lines: list[dict[str, Any]]
    damaged: str | None


class RunDirectory:
    """The paths of a run, and how each is written and read. Making one touches nothing."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.data = self.path / "data.json"
        self.tokenizer = self.path / "tokenizer"
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.predictions = self.path / "predictions.npz"
        self.by_length = self.path / "by_length.png"
        self.result = self.path / "result.json"

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def finished(self) -> bool:
        """Whether ``result.json`` has been written."""
        return self.result.exists()

    def outside(self, *named: str) -> list[str]:
        """What lies outside of the run and is read with it: ends of links, and what specs of it name.

        Args:
          named: specs that files of the run hold.
        """
        root = self.path.resolve()
        links = (entry for entry in sorted(self.path.rglob("*")) if entry.is_symlink())
        away = [f"{link} -> {link.resolve()}" for link in links if not link.resolve().is_relative_to(root)]
        return [*away, *(place for spec in named for place in data_record.places(specs.parse(spec)))]

    def read_config(self) -> dict[str, Any]:
        """The config of the run. Raises ValueError where the folder holds no run."""
        if not self.path.is_dir():
            raise ValueError(f"no run at {self.path}: there is no such folder{_neighbours(self.path)}")
        if not self.config.exists():
            raise ValueError(f"no run at {self.path}: the folder has no {self.config.name}")
        config = _read(self.config)
        return config if format_of(read_json(self.config)) == FORMAT else _from_format_1(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes ``config.json``."""
        _write(self.config, config)

    def write_data(self, record: DataRecord) -> None:
        """Writes ``data.json``."""
        _write(self.data, record._asdict())

    def read_data(self) -> DataRecord:
        """Reads ``data.json``. Raises ValueError where it is missing or not what ``write_data`` writes."""
        return data_record.checked(_read(self.data), self.data)

    def read_environment(self) -> dict[str, Any]:
        """What ``environment.json`` says."""
        return _read(self.environment)

    def record_kernel(self, kernel: str) -> None:
        """Adds the kernel that the model runs to ``environment.json``."""
        _write(self.environment, {**self.read_environment(), "kernel": kernel})

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes ``result.json``, with which a run is finished."""
        _write(self.result, result)

    def read_result(self) -> dict[str, Any]:
        """What ``result.json`` says. Raises ValueError where it is missing or not JSON."""
        return _read(self.result)

    def write_predictions(self, members: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Writes ``predictions.npz``: arrays ``[M n]`` by name, from ``[n]`` of each member."""
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: np.stack([member[name] for member in members]) for name in members[0]}
        np.savez_compressed(content, **arrays)
        write_atomic(self.predictions, content.getvalue())

    def read_predictions(self) -> dict[str, np.ndarray] | None:
        """What ``write_predictions`` wrote; None where the run has no test split with labels.

        Raises:
          ValueError: where the file is damaged.
        """
        if not self.predictions.exists():
            return None
        try:
            with open(self.predictions, "rb") as file:
                return read_arrays(file)
        except ValueError as error:
            raise ValueError(f"{self.predictions} cannot be read ({error})") from None

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds one line to ``metrics.jsonl`` and hands it to the operating system, so that a kill does not lose it."""
        with open(self.metrics, "ab") as file:
            file.write((json.dumps(plain(line), allow_nan=False) + "\n").encode())

    def metrics_size(self) -> int:
        """Bytes of ``metrics.jsonl``, which are on the disk afterwards: what a checkpoint's meta records."""
        if not self.metrics.exists():
            return 0
        with open(self.metrics, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def truncate_metrics(self, size: int) -> None:
        """Cuts ``metrics.jsonl`` back to the size a checkpoint recorded.

        Raises:
          ValueError: where the file is shorter than that: lines that the checkpoint counts on are lost.
        """
        have = self.metrics_size()
        if have < size:
            raise ValueError(f"{self.metrics} has {have} bytes, the checkpoint was written when it had {size}")
        if have > size:
            with open(self.metrics, "r+b") as file:
                file.truncate(size)
                os.fsync(file.fileno())

    def read_metrics(self) -> Metrics:
        """Every line of ``metrics.jsonl``; a last line that was cut off is left out and named.

        Raises:
          ValueError: where another line is not JSON.
        """
        raw = self.metrics.read_bytes().split(b"\n") if self.metrics.exists() else [b""]
        cut = raw.pop()  # empty where the last line ends as it should
        lines = []
        for number, line in enumerate(raw, 1):
            try:
                lines.append(parse_json(line))
            except ValueError as error:
                raise ValueError(f"{self.metrics}, line {number}, is not JSON ({error})") from None
        name = f"{self.metrics}, line {len(raw) + 1}, was cut off after {len(cut)} bytes and is left out"
        return Metrics(lines, name if cut else None)


def format_of(stored: Mapping[str, Any]) -> int:
    """The format of a JSON file; those of format 1 do not say it."""
    number = stored.get("format", 1)
    return number if isinstance(number, int) else FORMAT + 1  # of no version


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of a run, without its format. Raises ValueError for one that is missing, none, or of a later format."""
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise ValueError(f"{path} holds no fields, got {quoted(stored)}")
    if format_of(stored) > FORMAT:
        raise ValueError(f"{path} has format {quoted(stored['format'])}; this version reads formats up to {FORMAT}")
    return {name: value for name, value in stored.items() if name != "format"}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_json(path, {"format": FORMAT, **value})


class Opened(NamedTuple):
    """A run that this process, and no other, may write; it is let go when ``with`` ends or the process does.

    Attributes:
      run: the paths.
      status: "new" (just made), "unfinished" (resume it) or "finished" (``result.json`` is there).
      notes: lines for the user: what of the environment has changed since the run began.
      lock: the open lock file.
    """

    run: RunDirectory
    status: Status
    notes: tuple[str, ...]
    lock: IO[str]

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.close()


def open_run(workdir: str | os.PathLike[str], config: dict[str, Any]) -> Opened:
    """Makes a run directory or finds it again, and locks it for this process.

    Args:
      workdir: the folder; made where missing, with its parents.
      config: what JSON can hold; the run is new where the folder is empty.

    Returns:
      The run and whether it is new, unfinished or finished.

    Raises:
      ValueError: where the folder cannot be written, is in use by another process, has files but is no run, or holds a
        run of another config, listing each differing field with both values.
    """
    run = RunDirectory(workdir)
    lock = _lock(run)
    try:
        return Opened(run, *_enter(run, plain(config)), lock)
    except BaseException:
        lock.close()
        raise


def _enter(run: RunDirectory, config: dict[str, Any]) -> tuple[Literal["new", "unfinished", "finished"], tuple[str, ...]]:
    now = environment.environment()
    # Of killed processes; the lock is ours.
    for leftover in (*run.path.glob(f"{TEMPORARY}*"), *run.tokenizer.glob(f"{TEMPORARY}*")):
        leftover.unlink()
    if not run.config.exists():
        # A process killed before its config was written leaves a lock and temporary files, which make no run.
        others = sorted(p.name for p in run.path.iterdir() if not p.name.startswith((_LOCK, TEMPORARY)))
        if set(others) - {run.environment.name}:
            raise ValueError(
                f"workdir {run.path} is not empty and holds no run (it has {others[0]!r}, no config.json); "
                "give a new or empty folder"
            )
        _write(run.environment, now)
        run.write_config(config)
        return "new", ()
    stored = run.read_config()
    differing = differences(stored, config)
    if differing:
        raise ValueError(
            f"workdir {run.path} holds a run of another config; give another --workdir, or the same config. "
            f"Differing: {'; '.join(f'{name} is {was} there, {given} given' for name, was, given in differing)}"
        )
    if not run.finished and format_of(read_json(run.config)) != FORMAT:
        raise OldRunError(
            f"workdir {run.path} holds an unfinished run of format 1, which this version cannot go on with; "
            f"commit {LAST_OF_FORMAT_1} can finish it, or give another --workdir"
        )
    began = run.read_environment()
    changed = differences({name: began[name] for name in now if name in began}, now)
    notes = tuple(f"{name} was {was} when the run began, is {given} now" for name, was, given in changed)
    return ("finished" if run.finished else "unfinished"), notes


def _from_format_1(config: Any) -> Any:
    """A config with ``gate_bias``, an option of the encoder, where it is now: in the spec of the gate."""
    if isinstance(config, dict):
        return {name: _from_format_1(value) for name, value in config.items()}
    if isinstance(config, list):
        return [_from_format_1(value) for value in config]
    return str(_gates(specs.parse(config))) if isinstance(config, str) and "gate_bias" in config else config


def _gates(spec: Any) -> Any:
    if not isinstance(spec, specs.Spec):
        return spec
    options = {name: _gates(value) for name, value in spec.options}
    bias = options.pop("gate_bias", None)
    if bias is not None and "gate" in options:
        options["gate"] = specs.Spec(options["gate"], (("bias", bias),))
    return specs.Spec(spec.name, tuple(options.items()), tuple(map(_gates, spec.terms)))


def _lock(run: RunDirectory) -> IO[str]:
    if run.path.exists() and not run.path.is_dir():
        raise ValueError(f"workdir {run.path} is a file, not a folder")
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        lock = open(run.path / _LOCK, "w", encoding="utf-8")  # noqa: SIM115 (held as long as the run)
    except OSError as error:
        raise ValueError(f"workdir {run.path} cannot be written ({error.strerror})") from None
    try:
        # The kernel lets go of it when the process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InUseError(f"workdir {run.path} is in use by another process; wait for it or give another") from None
    except OSError as error:
        lock.close()
        raise ValueError(f"workdir {run.path} cannot be locked ({error.strerror})") from None
    return lock


def default_name(config_name: str, config: dict[str, Any]) -> str:
    """``<config>-<hash8>``: two settings never share a folder."""
    return f"{config_name}-{json_hash(config)[:8]}"


def _neighbours(path: Path) -> str:
    """The runs beside a folder that is not there, newest last, for the message."""
    runs = sorted(path.parent.glob("*/config.json")) if path.parent.is_dir() else []
    return f"; runs in {path.parent}: {', '.join(run.parent.name for run in runs)}" if runs else ""
