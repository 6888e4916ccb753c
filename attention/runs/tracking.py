"""What trackers are told of a run: its members, the rows that no kill takes back, and how it ended."""

import datetime
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from attention import installation, specs
from attention.files import json_hash
from attention.messages import one_line, quoted, shortened, shown
from attention.runs import checkpoints, json_files
from attention.runs.directory import RunDirectory
from attention.runs.trackers import Ending, Member, Row

_HARDWARE = ("device", "device_count", "processor", "cores", "platform", "system", "python", "jax", "version", "git_commit")
_TIMES = ("train_seconds", "examples_per_second")


class Named(NamedTuple):
    """What a run and its members are called elsewhere, in ``tracking.json``; ``ids`` are None where the run's own are meant."""

    group: str
    names: tuple[str, ...]
    ids: tuple[str, ...] | None = None


def name(run: RunDirectory, named: Named) -> None:
    """Writes what the members of a run are called, which otherwise are called after its folder and their seeds."""
    json_files.write(run.tracking, named._asdict())


def members(run: RunDirectory) -> list[Member]:
    """The members of a run, in order. Raises ValueError for names and folders that lead out of the run."""
    config, environment = run.read_config(), run.read_environment()
    labels, named = _labels(config), _named(run)
    began = datetime.datetime.fromisoformat(environment["started"]).timestamp() if "started" in environment else 0.0
    hardware = {name: environment[name] for name in (*_HARDWARE, "kernel") if environment.get(name) is not None}
    found = []
    for number, (label, called, own) in enumerate(zip(labels, named.names, named.ids or _ids(run, len(labels)), strict=True)):
        folder = run.path / "tracked" / label
        if not folder.resolve().is_relative_to(run.path.resolve()):
            raise ValueError(f"{shown(folder)} leads out of the run")
        found.append(Member(own, called, named.group, folder, began, dict(_flat(_own_config(config, number))), hardware))
    return found


def hand_over(cohort: RunDirectory, number: int, run: RunDirectory, group: str, called: str) -> None:
    """Gives the run of one member what trackers keep of it in its cohort; it goes on there as what it was.

    Args:
      cohort: the run that is taken apart.
      number: of the member in it.
      run: of the member alone, which has its config already.
      group: what the whole is called.
      called: what the member is called.
    """
    labels = _labels(cohort.read_config())
    identity = (_named(cohort).ids or _ids(cohort, len(labels)))[number]
    name(run, Named(group, (called,), (identity,)))
    kept = cohort.path / "tracked" / labels[number]
    if kept.is_dir():
        shutil.copytree(kept, run.path / "tracked" / _labels(run.read_config())[0], symlinks=True)


def of_member(line: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    """A line of metrics as the run of one member has it: of every list of members, that member's.

    Examples per second are those of the member: its share.
    """
    found = {name: _one(value, number) for name, value in line.items()}
    if "examples_per_second" in found and found["examples_per_second"] is not None:
        found["examples_per_second"] /= count
    return found


def _one(value: Any, number: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _one(item, number) for name, item in value.items()}
    return [value[number]] if isinstance(value, list) else value


class Rows:
    """The rows of each member, read on from where they were read before.

    Args:
      run: the run.
      count: of its members.
    """

    def __init__(self, run: RunDirectory, count: int):
        self._run, self._count, self._read, self._seconds = run, count, 0, 0.0

    def new(self) -> list[list[Row]]:
        """By member, the rows up to the newest checkpoint, or the end of a finished run, without those of before.

        What comes after a checkpoint is trained again if the run is killed, and may come out otherwise.
        """
        raw = self._run.metrics.read_bytes()[: self._settled()][self._read :] if self._run.metrics.exists() else b""
        raw = raw[: raw.rfind(b"\n") + 1]
        self._read += len(raw)
        found: list[dict[int, Row]] = [{} for _ in range(self._count)]
        for line in map(json.loads, raw.splitlines()):
            self._seconds = line.get("seconds", self._seconds)
            for number, rows in enumerate(found):
                step, values = line["step"], dict(_values(of_member(line, number, self._count)))
                before = rows[step].values if step in rows else {}
                rows[step] = Row(step, self._seconds, {**before, **values})
        return [[row for row in rows.values() if row.values] for rows in found]

    def _settled(self) -> int | None:
        """Bytes that are not taken back; None for all."""
        if self._run.finished:
            return None
        found = checkpoints.newest(self._run.checkpoints)
        return 0 if found is None else found.meta["metrics_size"]


def endings(run: RunDirectory) -> list[Ending]:
    """How each member of a finished run ended: the same in its cohort and alone, where times are its share."""
    result = run.read_result()
    seconds = max((line.get("seconds", 0.0) for line in run.read_metrics().lines), default=0.0)
    return [_ending(result, number, seconds) for number in range(len(result["members"]))]


def _ending(result: Mapping[str, Any], number: int, seconds: float) -> Ending:
    member, rival = result["members"][number], result.get("rival") or {}
    split = result["summary_split"]
    scores = {"best_validation": member["validation"], "test": member["test"], "clean": member.get("clean")}
    scores |= {"rival": rival.get("splits", {}).get(split), "baseline": result["baselines"]}
    numbers = {f"{name}/{metric}": value for name, each in scores.items() for metric, value in (each or {}).items()}
    facts = {"parameters": result["parameters"], "updates": member["updates"], "best_step": member["best_step"]}
    facts |= {name: result[name] / len(result["members"]) for name in _TIMES}
    numbers |= {f"run/{name}": value for name, value in facts.items()}
    words = {"stopped": member["stopped"], "verdict": _verdict(result, member[split], rival)}
    return Ending(
        result["steps"],
        seconds,
        {name: value for name, value in numbers.items() if _is_number(value) and not name.endswith("/count")},
        {name: value for name, value in words.items() if value},
        member["failed"],
    )


def _verdict(result: Mapping[str, Any], scores: Mapping[str, float] | None, rival: Mapping[str, Any]) -> str:
    """Whether a member is better than the rival and each baseline, by the first metric."""
    metric = specs.build("task", result["task"]).metrics[0]
    own = None if scores is None else scores[metric.name]
    if own is None:
        return ""
    split = result["summary_split"]
    others = {f"baseline {name}": value for name, value in result["baselines"].items()}
    if rival.get("splits"):
        others[f"rival {rival['spec']}"] = rival["splits"][split][metric.name]
    sign = 1 if metric.higher_is_better else -1
    known = [(name, value) for name, value in others.items() if value is not None]
    said = [f"{'better' if sign * own > sign * value else 'no better'} than the {name} ({value:.4f})" for name, value in known]
    return f"{metric.name} {own:.4f} on {split}: {', '.join(said)}" if said else ""


def _values(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line of one member, by name; heads by layer and head."""
    for name, value in line.items():
        if isinstance(value, Mapping):
            for inner, layers in value.items():
                for layer, heads in enumerate(layers[0] or ()):
                    named = ((f"{name}_{inner}/layer{layer}_head{head}", number) for head, number in enumerate(heads))
                    yield from (each for each in named if _is_number(each[1]))
        elif name not in ("split", "step"):
            number = value[0] if isinstance(value, list) else value
            if _is_number(number):
                yield f"{line['split']}/{name}", number


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _own_config(config: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The config of one member: its seed, and of what differs between members its own."""
    own = {name: value for name, value in config.items() if name not in ("seeds", "trackers")}
    training = {name: value[number] if isinstance(value, list) else value for name, value in config["training"].items()}
    return {**own, "training": training, "seed": config["seeds"][number]}


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _labels(config: Mapping[str, Any]) -> list[str]:
    """``seed0``, and of members of one seed what they differ in: each is another."""
    training = config["training"]
    varied = [name for name, value in training.items() if isinstance(value, list)]
    several = Counter(config["seeds"])
    return [
        "-".join([f"seed{seed:d}", *(f"{name}{training[name][number]:g}" for name in (varied if several[seed] > 1 else ()))])
        for number, seed in enumerate(config["seeds"])
    ]


def _named(run: RunDirectory) -> Named:
    """What the members are called: as it is written, or after the folder."""
    if not run.tracking.exists():
        group = run.path.resolve().name
        return Named(group, tuple(f"{group}-{label}" for label in _labels(run.read_config())))
    stored = json_files.read(run.tracking)
    words = [stored.get("group"), *(stored.get("names") or ()), *(stored.get("ids") or ())]
    if not all(isinstance(word, str) and re.fullmatch(r"[^/\\.][^/\\]*", word) for word in words):
        raise ValueError(f"{shown(run.tracking)} is not what training writes: {quoted(stored)}")
    return Named(stored["group"], tuple(stored["names"]), None if stored["ids"] is None else tuple(stored["ids"]))


def _ids(run: RunDirectory, count: int) -> tuple[str, ...]:
    """The members' own ids, from what no other run has in its files."""
    own = run.token or str(run.path.resolve())
    return tuple(json_hash([own, number])[:16] for number in range(count))


def not_told(spec: str, run: RunDirectory, reason: str) -> str:
    """What is said where a tracker fails: why, and the command that makes up for it, of a sweep for all its members."""
    sweep = run.path.absolute().parents[1]
    folder = run.path.parent.parent if (sweep / "sweep.json").exists() else run.path
    command = f'{installation.program("eval")} --workdir={shown(folder)} --track="{spec}"'
    why = shortened(one_line(reason).rstrip("."), 300)
    return f"tracker {specs.parse(spec).name}: {why}; the run has all of it, and {command} shows it later"


def runs(folder: RunDirectory) -> Sequence[RunDirectory]:
    """The run in a folder, or those of the members of a sweep.

    Raises:
      ValueError: where there is neither.
    """
    points = [RunDirectory(path.parent) for path in sorted((folder.path / "points").glob("[!.]*/config.json"))]
    if not folder.config.exists() and points:
        return points
    folder.read_config()
    return [folder]
