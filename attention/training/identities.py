"""Whether what a config names is what a run on the disk was made of."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from attention import specs
from attention.data import contracts
from attention.files import file_hash
from attention.messages import shown
from attention.runs import identity
from attention.runs.directory import RunDirectory
from attention.runs.identity import Content, Identity, Places
from attention.runs.opening import Opened
from attention.training import config as configs
from attention.training import finetune, longer, recipe
from attention.training.config import Config

_START = ("model.vectors", "training.init_from", "training.continue_from")


def of(config: Config, data: contracts.Dataset, start: str | None) -> Identity:
    """What a config is with these data, and weights of this hash to start from."""
    return Identity(configs.content(config), Content(data.hashes, data.classes, start))


def start_hash(config: Config, origin: finetune.Origin | longer.Earlier | None) -> str | None:
    """The hash of what training starts from: a run, trained weights, or the file of vectors; None for its seed alone."""
    if origin is not None:
        return origin.hash
    if not config.model.vectors:
        return None
    if not Path(config.model.vectors).is_file():
        raise ValueError(f"config.model.vectors: no file of word vectors at {shown(config.model.vectors)}")
    return file_hash(Path(config.model.vectors))


def recorded(run: RunDirectory) -> Identity:
    """What a run is. An older one that does not say it is its config and the data it recorded."""
    found = run.read_identity()
    if found is not None:
        return found[0]
    record = run.read_data()
    settings = configs.from_dict(run.read_config())
    return Identity(configs.content(settings), Content(record.hashes, record.classes, None))


class Begun(NamedTuple):
    """What training begins with.

    Attributes:
      tokenizer: the state of the one to take, None to train one.
      origin: the model whose weights are the start, None for none.
      earlier: the run that it goes on with in one of its own, None for none.
      start: hash of what training starts from, or started.
      goes_on: whether it goes on from a checkpoint, so that what it once started from is not needed any more.
    """

    tokenizer: Any
    origin: finetune.Origin | None
    earlier: longer.Earlier | None
    start: str | None
    goes_on: bool


def begin(opened: Opened | None, config: Config) -> Begun:
    """What a new run, or one that is not finished, begins with. Raises ValueError where that is wanting."""
    run = opened.run if opened is not None and opened.run.data.exists() else None
    if opened is not None and any(opened.run.checkpoints.glob("step-*")):
        if run is None:
            raise ValueError(f"{opened.run.data} is missing, without which the checkpoints beside it are of unknown data")
        if not any(name in opened.moved for name in _START):
            return Begun(_tokenizer(run, config), None, None, recorded(run).content.start, goes_on=True)
    earlier = longer.read(config)
    origin = None if earlier else finetune.read(config)
    start = earlier or origin
    tokenizer = _tokenizer(run, config) if run else start and start.tokenizer
    return Begun(tokenizer, origin, earlier, start_hash(config, start), goes_on=False)


def _tokenizer(run: RunDirectory, config: Config) -> Any:
    """The state of a run's tokenizer."""
    return specs.build("tokenizer", config.data.tokenizer).load(run.tokenizer)


def check_config(run: RunDirectory, config: Config) -> None:
    """Raises ValueError where the config of a run is not the one that it was trained with."""
    found = run.read_identity()
    if found is None:
        return
    known = configs.content(configs.from_dict(found[0].config))  # of an older version, with the fields that it had not
    different, _ = identity.differing(known, configs.content(config), ())
    if different:
        what = "; ".join(different.values())
        raise ValueError(f"{shown(run.config)} is not what the run was trained with, which {run.identity.name} says: {what}")


def still_there(opened: Opened, config: Config) -> tuple[bool, list[str]]:
    """Whether a finished run may be answered with without reading its data, and notes for the user."""
    found = opened.run.read_identity()
    if opened.moved:
        return False, []
    if found is None:
        return True, ["the run is of an older version: whether its data are as they were has not been looked at"]
    named, files = found[1]
    gone = [path for path in files if not Path(path).exists()]
    now = identity.stamps([*map(Path, files), *_start_files(config)])
    same = named == _named(config) and now == {path: files[path] for path in files if path not in gone}
    return same, [f"{path} is not there any more: whether it is as it was cannot be told" for path in gone]


def check_finished(opened: Opened, config: Config) -> contracts.Dataset:
    """The data of a finished run: compares what it was made of with what its config names now, and remembers where that lies.

    Raises:
      ValueError: where it is something else.
    """
    data = recipe.load_data(config, _tokenizer(opened.run, config))
    start = recorded(opened.run).content.start
    there = (_value(config, name) and Path(_value(config, name)).exists() for name in _START)
    if any(name in opened.moved for name in _START) or any(there):  # else it is believed to be what it was
        start = start_hash(config, longer.read(config) or finetune.read(config))
    check(opened, config, data, start)
    return data


def check(opened: Opened, config: Config, data: contracts.Dataset, start: str | None) -> None:
    """Compares what a run was made of, if it has begun, with data and the hash of a start, and remembers where they lie.

    Raises:
      ValueError: where it is something else, naming it and the run.
    """
    run, found = opened.run, of(config, data, start)
    if not run.data.exists():  # nothing has been trained
        return
    content = recorded(run).content
    if not run.identity.exists():
        content = content._replace(start=start)
    try:
        identity.check_content(found.content, content, f"workdir {run.path} holds a run of other data")
    except identity.ChangedError as error:
        raise identity.ChangedError(f"{error}; put back what was there, or give another --workdir") from None
    if run.identity.exists():
        run.write_identity(found, places(config, data))
    if opened.moved:
        run.write_config(configs.to_dict(config))
        run.write_data(run.read_data()._replace(source=data.source))


def places(config: Config, data: contracts.Dataset) -> Places:
    """Where all lies that decides what is trained."""
    return Places(_named(config), identity.stamps([*(path.absolute() for path in data.files), *_start_files(config)]))


def _named(config: Config) -> dict[str, str]:
    """What the paths of a config lead to by now, whether it is there or not."""
    source = specs.build("source", config.data.source).resolved
    starts = {name: os.path.abspath(_value(config, name)) for name in _START if _value(config, name)}
    return {**({"data.source": source} if source else {}), **starts}


def _start_files(config: Config) -> list[Path]:
    """The files that hold what training starts from."""
    training, vectors = config.training, config.model.vectors
    weights = finetune.files(training.init_from) if training.init_from else []
    states = longer.files(training.continue_from) if training.continue_from else []
    return [path.absolute() for path in (*weights, *states, *([Path(vectors)] if vectors else []))]


def _value(config: Config, field: str) -> str:
    section, _, name = field.partition(".")
    return getattr(getattr(config, section), name)
