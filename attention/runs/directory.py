"""The run directory: everything that evaluation needs but the data.

::

  runs/<name>/config.json       what was asked for
              config_file.txt   the file that asked for it, to be read by people
              identity.json     what the run is: its config without paths, and hashes of what the paths led to
              environment.json  versions, device, cores, git commit
              sources.json      hash of each file of the package
              data.json         resolved source, classes, and of each split a hash, statistics and baselines
              tokenizer/        the tokenizer as trained
              continued.json    the run that it goes on with, where it is another one trained for longer
              checkpoints/      step-*: the last ones; best-*: the best weights of each member
              metrics.jsonl     one JSON object per line, of training or of a validation
              tracking.json     what trackers call the members, where that is not after this folder
              tracked/          what trackers keep of each member
              predictions.npz   what each member says of each example of test, and whether it is right
              rival.npz         what the rival of the run has learned
              rival_predictions.npz   what it says of each example of test
              by_length.png     accuracy by length, where the source has texts for it
              contexts.png      of a language model, the loss with contexts longer than those of training
              result.json       written last: a run that has it is finished

JSON files are written aside, fsynced and renamed, and hold their ``format`` and their own hash; ``data.json`` and
``result.json`` hold those of the other files that evaluation and reports read. Numbers that are not finite become null, which
is what JSON has. Runs of format 1, whose files do not say it, are evaluated; one that is not finished cannot be gone on with.
"""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.files import file_hash, json_hash, packed, parse_json, plain, read_arrays, regular, write_atomic
from attention.messages import quoted, shown
from attention.runs import data_record, environment, identity, json_files
from attention.runs.beside import near
from attention.runs.data_record import DataRecord
from attention.runs.identity import Identity, Places


class Metrics(NamedTuple):
    """The lines of ``metrics.jsonl``; ``damaged`` names a last line that was cut off, None where there is none."""

    lines: list[dict[str, Any]]
    damaged: str | None


class RunDirectory:
    """The paths of a run, and how each is written and read. Making one touches nothing."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.config_file = self.path / "config_file.txt"
        self.identity = self.path / "identity.json"
        self.sources = self.path / "sources.json"
        self.environment = self.path / "environment.json"
        self.data = self.path / "data.json"
        self.tokenizer = self.path / "tokenizer"
        self.continued = self.path / "continued.json"
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.tracking = self.path / "tracking.json"
        self.predictions = self.path / "predictions.npz"
        self.rival = self.path / "rival.npz"
        self.rival_predictions = self.path / "rival_predictions.npz"
        self.by_length = self.path / "by_length.png"
        self.contexts = self.path / "contexts.png"
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

    @property
    def token(self) -> str | None:
        """What the files of this run have in common, and those of no other; None for one not begun, or an older one."""
        return json_files.read(self.identity).get("run") if self.identity.exists() else None

    def check_of_this_run(self, stored: Mapping[str, Any], path: Path) -> None:
        """Raises ValueError where what a file holds was not written for this run."""
        token = self.token
        if token is not None and stored.get("run") != token:
            raise ValueError(
                f"{shown(path)} was written for another run than {shown(self.identity)}: files of two runs are mixed here"
            )

    def read_config(self) -> dict[str, Any]:
        """The config of the run. Raises ValueError where the folder holds no run."""
        if not self.path.is_dir():
            raise ValueError(f"no run at {self.path}: there is no such folder{near(self.path, self.config.name)}")
        if not self.config.exists():
            raise ValueError(f"no run at {self.path}: the folder has no {self.config.name}{near(self.path, self.config.name)}")
        config = json_files.read(self.config)
        return self._multiplied(config if json_files.format_of(self.config) > 1 else _from_format_1(config))

    def _multiplied(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config of a run, which may be of before ``matmul_precision``: such a one had what JAX does by itself.

        On a CPU that is what is usual now.
        """
        model = config.get("model")
        if not isinstance(model, dict) or "matmul_precision" in model or not (self.data.exists() and self.environment.exists()):
            return dict(config)
        if self.read_environment().get("platform", "cpu") == "cpu":
            return dict(config)
        return {**config, "model": {**model, "matmul_precision": "default"}}

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes ``config.json``."""
        json_files.write(self.config, config)

    def write_identity(self, found: Identity, places: Places) -> None:
        """Writes ``identity.json``, with ``identity.Places`` that were read for it."""
        token = self.token or uuid.uuid4().hex
        json_files.write(self.identity, {**found.plain(), **places._asdict(), "run": token})

    def read_identity(self) -> tuple[Identity, Places] | None:
        """What ``write_identity`` wrote; None for a run that has it not, or not yet."""
        if not self.identity.exists():
            return None
        stored = json_files.read(self.identity)
        try:
            found = identity.of_json(stored)
            return found._replace(config=self._multiplied(found.config)), Places(stored["named"], stored["files"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.identity} is not what training writes ({error!r})") from None

    def write_data(self, record: DataRecord) -> None:
        """Writes ``data.json``, with the hashes of the files of the tokenizer."""
        files = {path.name: file_hash(path) for path in sorted(self.tokenizer.iterdir())} if self.tokenizer.is_dir() else {}
        json_files.write(self.data, {**record._asdict(), "tokenizer": files, "run": self.token})

    def read_data(self) -> DataRecord:
        """Reads ``data.json``. Raises ValueError where it or the tokenizer is missing or not what training wrote."""
        stored = self._own(self.data)
        for name, wanted in stored.pop("tokenizer", {}).items():
            _verify(self.tokenizer / name, wanted)
        return data_record.checked(stored, self.data)

    def read_environment(self) -> dict[str, Any]:
        """What ``environment.json`` says."""
        return json_files.read(self.environment)

    def write_environment(self) -> None:
        """Writes ``environment.json`` and ``sources.json``."""
        json_files.write(self.sources, environment.sources())
        json_files.write(self.environment, {**environment.environment(), "started": environment.now()})

    def add_sources(self) -> None:
        """Notes that files of the package are not those it began with: a run that went on with others is of both."""
        before, now = self.read_sources(), environment.sources()
        if not before or before == now:
            return
        both = {name: _both(before.get(name, "absent"), now.get(name, "absent")) for name in sorted({*before, *now})}
        began = self.read_environment()
        dirty = [each.get("git_dirty") for each in (began, environment.environment())]
        json_files.write(self.sources, both)
        json_files.write(self.environment, {**began, "sources": json_hash(both), "git_dirty": any(dirty)})

    def read_sources(self) -> dict[str, str]:
        """Hashes of the files of the package; none where an older version trained."""
        return json_files.read(self.sources) if self.sources.exists() else {}

    def record(self, **facts: Any) -> None:
        """Adds to ``environment.json`` what is known once the model is: its kernel, and the devices that it trains on."""
        json_files.write(self.environment, {**self.read_environment(), **facts})

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes ``result.json``, with which a run is finished, and in it the hashes of what else is read of a finished run."""
        rival = (self.rival, self.rival_predictions) if (result.get("rival") or {}).get("splits") else ()
        files = {path.name: file_hash(path) for path in (self.metrics, self.predictions, *rival) if path.exists()}
        json_files.write(self.result, {**result, "files": files, "run": self.token})

    def read_result(self) -> dict[str, Any]:
        """What ``write_result`` was given. Raises ValueError where the file is missing or not what was written."""
        stored = self._own(self.result)
        perhaps = lambda value: isinstance(value, (dict, type(None)))
        for name, fits in (("members", _are_members), ("summary", perhaps), ("rival", _is_rival)):
            if not fits(stored.get(name)):
                raise ValueError(f"{shown(self.result)} is not what training writes: {name} is {quoted(stored.get(name))}")
        return {name: value for name, value in stored.items() if name != "files"}

    def _own(self, path: Path) -> dict[str, Any]:
        """What a file of this run holds. Raises ValueError for one of another."""
        stored = json_files.read(path, sealed=self.identity.exists())
        self.check_of_this_run(stored, path)
        return {name: value for name, value in stored.items() if name != "run"}

    def _verified(self, path: Path) -> Path:
        """A file of the run. Raises ValueError where it is no regular file or ``result.json`` has another hash of it."""
        files = self._own(self.result).get("files", {}) if self.finished else {}
        if path.name in files:
            _verify(path, files[path.name])
        return regular(path)

    def write_predictions(self, members: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Writes ``predictions.npz``: arrays ``[M n]`` by name, from ``[n]`` of each member."""
        write_atomic(self.predictions, packed({name: np.stack([member[name] for member in members]) for name in members[0]}))

    def read_predictions(self) -> dict[str, np.ndarray] | None:
        """What ``write_predictions`` wrote; None where the run has no test split with labels.

        Raises:
          ValueError: where the file is damaged.
        """
        return self._read_arrays(self.predictions)

    def write_rival(self, learned: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray] | None) -> None:
        """Writes ``rival.npz`` and, where there are any, ``rival_predictions.npz`` of arrays ``[n]``: before the result."""
        write_atomic(self.rival, packed(learned))
        if predictions is not None:
            write_atomic(self.rival_predictions, packed(predictions))

    def read_rival(self) -> dict[str, np.ndarray] | None:
        """What the rival has learned; None where none was fitted. Raises ValueError where the file is damaged."""
        return self._read_arrays(self.rival)

    def read_rival_predictions(self) -> dict[str, np.ndarray] | None:
        """What the rival says of each example of test; None where it was not asked. Raises ValueError where it is damaged."""
        return self._read_arrays(self.rival_predictions)

    def _read_arrays(self, path: Path) -> dict[str, np.ndarray] | None:
        if not self._verified(path).exists():
            return None
        try:
            with open(path, "rb") as file:
                return read_arrays(file)
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error})") from None

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds one line to ``metrics.jsonl`` and hands it to the operating system, so that a kill does not lose it."""
        with open(regular(self.metrics), "ab") as file:
            file.write((json.dumps(plain(line), allow_nan=False) + "\n").encode())

    def metrics_size(self) -> int:
        """Bytes of ``metrics.jsonl``, which are on the disk afterwards: what a checkpoint's meta records."""
        if not self.metrics.exists():
            return 0
        with open(regular(self.metrics), "ab") as file:
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
        raw = self.metrics.read_bytes().split(b"\n") if self._verified(self.metrics).exists() else [b""]
        cut = raw.pop()  # empty where the last line ends as it should
        lines = []
        for number, line in enumerate(raw, 1):
            try:
                lines.append(parse_json(line))
            except ValueError as error:
                raise ValueError(f"{self.metrics}, line {number}, is not JSON ({error})") from None
        name = f"{self.metrics}, line {len(raw) + 1}, was cut off after {len(cut)} bytes and is left out"
        return Metrics(lines, name if cut else None)


def _are_members(value: Any) -> bool:
    """Whether a value of JSON is what is known of members."""
    known = {"seed", "failed", "validation", "test"}
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and known <= set(one) and isinstance(one["failed"], bool) for one in value)
    )


def _is_rival(value: Any) -> bool:
    """Whether a value of JSON is what is known of a rival; None where nothing is."""
    if value is None:
        return True
    kinds = {"spec": str, "splits": dict, "failed": bool}
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def _both(before: str, now: str) -> str:
    """The hashes of a file that a run was trained with, one after another."""
    return before if now in before.split(" then ") else f"{before} then {now}"


def _verify(path: Path, wanted: str) -> None:
    """Raises ValueError for a file that is not there or has another hash."""
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    if file_hash(path) != wanted:
        raise ValueError(f"{path} is damaged: it does not have the hash it was written with")


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
