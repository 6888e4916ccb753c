"""The rival of a run: fitted once the result is written, so that it delays no update and no failure of it costs anything."""

import contextlib
import functools
import hashlib
import importlib.metadata
import io
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from attention import specs
from attention.data.contracts import Dataset, Encoded, Split
from attention.files import cache_folder, json_hash, packed, read_arrays, read_sealed, write_sealed
from attention.messages import duration, one_line
from attention.rivals import Material, Rival
from attention.runs import environment
from attention.runs.directory import RunDirectory
from attention.tasks import Task, clean_scores
from attention.training import recipe
from attention.training.config import Config


def add(run: RunDirectory, config: Config, result: Mapping[str, Any], load: Callable[[], Dataset]) -> dict[str, Any]:
    """The result with its rival, which is fitted and written where the result has not the one that the config asks for.

    Args:
      run: finished.
      config: of the run, with the rival that is asked for.
      result: of the run.
      load: returns its data.
    """
    rival, known = recipe.checked_rival(config), result.get("rival")
    if rival.fit is None or (known is not None and known["spec"] == rival.spec and not known["failed"]):
        return dict(result)
    if not run.identity.exists():
        print(f"note: the rival {rival.spec} is not fitted: the run is of an older version, which kept no record of its data")
        return dict(result)
    if known is not None:
        run.write_result({**result, "rival": None})  # whose hashes are of files that are written anew
    found: dict[str, Any] = {"spec": rival.spec, "splits": {}, "failed": False, "note": None}
    try:
        data = load()
        found |= _left_out(rival, data) or _fitted(run, rival, config, data)
    except Exception as error:  # whatever it is, the result of the run is there
        found |= {"failed": True, "note": one_line(str(error) or type(error).__name__)}
    if found["note"]:
        print(f"note: the rival {rival.spec} is left out: {found['note']}", flush=True)
    run.write_result({**result, "rival": found})
    if (stored := run.read_config()).get("rival") != config.rival:
        run.write_config({**stored, "rival": config.rival})
    return run.read_result()


def _left_out(rival: Rival, data: Dataset) -> dict[str, Any] | None:
    """Why there is none: where train is not for it, or there is too much of it."""
    assert rival.amount is not None
    train = material(data, "train")
    if rival.lacks is not None and (why := rival.lacks(train)) is not None:
        return {"note": why}
    count = rival.amount(train)
    if count <= rival.most:
        return None
    unit = rival.unit
    return {"note": f"train has {count:,} {unit}, and it takes {rival.most:,} unless its option {unit} says more"}


def _fitted(run: RunDirectory, rival: Rival, config: Config, data: Dataset) -> dict[str, Any]:
    """What the result says of the rival, once its arrays and predictions are written."""
    assert rival.fit is not None
    assert rival.answer is not None
    assert rival.amount is not None
    assert rival.facts is not None
    task: Task = specs.build("task", config.task)
    train, validation = (material(data, name) for name in _LEARNED)
    amount = rival.amount(train)
    print(f"fitting the rival {rival.spec} on {amount:,} {rival.unit}", flush=True)
    key, start = _key(rival, data), time.perf_counter()
    learned, cached = _kept(key, functools.partial(rival.fit, train, validation))
    seconds = None if cached else time.perf_counter() - start
    print("it was fitted before: taken from the cache" if seconds is None else f"fitted in {duration(seconds)}", flush=True)
    names = dict.fromkeys(("validation", scored := recipe.scored_split(data, task)))
    answer = rival.answer
    ask = lambda name: functools.partial(answer, learned, material(data, name))
    outputs = {name: _kept(json_hash([key, data.hashes[name], _cut(data.splits[name])]), ask(name))[0] for name in names}
    test, seen = (data.splits["test"], data.seen["test"]) if scored == "test" else (None, None)
    run.write_rival(learned, None if test is None else task.predictions(outputs["test"], test))
    return {
        "splits": {name: task.scores(outputs[name], data.splits[name]) for name in names},
        "clean": None if test is None or seen is None else clean_scores(task, outputs["test"], test, seen),
        "facts": rival.facts(learned),
        rival.unit: amount,
        "seconds": seconds,
    }


_LEARNED = ("train", "validation")


def material(data: Dataset, name: str) -> Material:
    """A split as a rival has it."""
    rows = data.splits[name]
    split = Split(data.texts[name], rows.labels, data.targets.get(name))
    return Material(split, rows, data.classes, data.vocab_size)


def _key(rival: Rival, data: Dataset) -> str:
    """A hash of all that a fit depends on."""
    sources = {name: digest for name, digest in environment.sources().items() if name.startswith("rivals/")}
    versions = [_version(name) for name in rival.packages]
    learned = [[data.hashes[name], _wanted(data.splits[name])] for name in _LEARNED]
    sizes = len(data.classes), data.vocab_size if data.splits["train"].wanted is not None else None
    return json_hash([rival.spec, learned, sizes, sources, versions, platform.python_version()])


def _wanted(rows: Encoded) -> str | None:
    """A hash of what is wanted, in the order of the text, and of where documents begin."""
    if rows.wanted is None:
        return None
    documents = None if rows.documents is None else rows.documents.tobytes()
    return hashlib.sha256(rows.wanted[rows.wanted >= 0].tobytes() + (documents or b"")).hexdigest()


def _cut(rows: Encoded) -> str | None:
    """A hash of how many places of each row are asked for."""
    return None if rows.wanted is None else hashlib.sha256(rows.asked.tobytes()).hexdigest()


def _version(package: str) -> str | None:
    """None where it is missing, which the rival says in its own words."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _kept(key: str, make: Callable[[], dict[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], bool]:
    """Arrays from the cache, or made and kept there; and whether they were there. What is damaged is made again."""
    path = cache_folder() / "rivals" / key[:32]
    with contextlib.suppress(OSError, ValueError):
        return read_arrays(io.BytesIO(read_sealed(path))), True
    arrays = make()
    with contextlib.suppress(OSError):  # it costs the time of making them again
        write_sealed(path, packed(arrays))
    return arrays, False
