"""Starting from a finished run, or from a file of weights: the tokenizer, and the best weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention import specs, tensors
from attention.data.tokenizer_text import unpack
from attention.files import json_hash
from attention.messages import shown
from attention.runs import checkpoints, weights_file
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training.cohort.members import abstract_params
from attention.training.config import Config


class Origin(NamedTuple):
    """A trained model to start from.

    Attributes:
      path: the run, or the file.
      seeds: of its members.
      classes: their names.
      tokenizer: the state of its tokenizer.
      weights: the best ones, ``[M ...]``.
      hash: of them.
    """

    path: Path
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    tokenizer: Any
    weights: dict[str, Any]
    hash: str


def read(config: Config) -> Origin | None:
    """What ``config.training.init_from`` names, None where it names nothing.

    Raises:
      ValueError: where there is no run or file, the run is not finished, the file is damaged, or the tokenizer is another.
    """
    path = config.training.init_from
    if not path:
        return None
    if Path(path).suffix == ".stablehlo":
        raise ValueError(
            f"init_from={shown(path)} is a program, which learns no more; eval.py --export=FILE.safetensors writes weights"
        )
    return _of_file(config, Path(path)) if tensors.named(path) else _of_run(config, RunDirectory(path))


def files(init_from: str) -> list[Path]:
    """The files that change where other weights lie there."""
    if tensors.named(init_from):
        return [Path(init_from)]
    return sorted(RunDirectory(init_from).checkpoints.glob(f"{checkpoints.BEST}-*/{checkpoints.MANIFEST}"))


def _of_run(config: Config, run: RunDirectory) -> Origin:
    settings = configs.from_dict(run.read_config())
    found = checkpoints.read_named(run.checkpoints, checkpoints.BEST)
    if found is None:
        raise ValueError(f"run {run.path} has no best checkpoint: no member has been validated yet")
    run.check_of_this_run(found.meta, run.checkpoints)
    if not run.finished:
        raise ValueError(f"config.training.init_from={run.path}: the run is not finished")
    _check_tokenizer(config, settings)
    classes = run.read_data().classes
    tokenizer = specs.build("tokenizer", settings.data.tokenizer).load(run.tokenizer)
    return _origin(run.path, settings.seeds, classes, tokenizer, found.tree, found.sha256)


def _of_file(config: Config, path: Path) -> Origin:
    stored = weights_file.read(path)
    try:
        settings = configs.from_dict(stored.config)
        tokenizer = unpack(specs.build("tokenizer", settings.data.tokenizer), json.dumps(stored.tokenizer).encode())
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from None
    _check_tokenizer(config, settings)
    weights = jax.tree.map(lambda leaf: leaf[None], stored.weights)
    return _origin(path, (stored.seed,), stored.classes, tokenizer, weights, stored.sha256)


def _origin(path: Path, seeds: tuple[int, ...], classes: tuple[str, ...], tokenizer: Any, weights: Any, sha256: str) -> Origin:
    start = json_hash({"weights": sha256, "seeds": seeds, "classes": classes})
    return Origin(path, seeds, classes, tokenizer, weights, start)


def _check_tokenizer(config: Config, settings: Config) -> None:
    """Raises ValueError where the tokenizer is not the one that the weights were trained with."""
    given, wanted, path = settings.data.tokenizer, config.data.tokenizer, config.training.init_from
    if given != wanted:
        raise ValueError(
            f"config.training.init_from={path} has the tokenizer {given}; config.data.tokenizer={wanted} wants to be the same"
        )


def start(origin: Origin | None, config: Config, model: Any, classes: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The weights to start from, and what to tell of them.

    The member with seed s starts from the member with seed s there, or from its first one where it has none, so
    that a member of a cohort still equals the single run with its seed. The head is drawn anew where the classes are
    other ones.

    Returns:
      A nested dict of weights ``[M ...]``, empty without an ``origin``, and notes.

    Raises:
      ValueError: where a leaf has another shape, naming it, or one side lacks it.
    """
    if origin is None:
        return {}, []
    shapes, weights, notes = dict(abstract_params(model, 1)), dict(origin.weights), []
    if classes != origin.classes:
        notes.append(f"the head is drawn anew: {len(classes)} classes here, {len(origin.classes)} there or others")
        for tree in (shapes, weights):
            tree.pop("head", None)
    _compare(weights, shapes, f"config.training.init_from={config.training.init_from}")
    members = [origin.seeds.index(seed) if seed in origin.seeds else 0 for seed in config.seeds]
    for seed, member in zip(config.seeds, members):
        notes.append(f"the member with seed {seed} starts from that with seed {origin.seeds[member]} of {origin.path}")
    return jax.tree.map(lambda leaf: np.asarray(leaf)[members], weights), notes


def _compare(weights: Any, wanted: Any, where: str) -> None:
    have = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(weights)}
    want = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)}
    for name in sorted({*have, *want}):
        if have.get(name) != want.get(name):
            there, here = have.get(name, "absent"), want.get(name, "absent")
            raise ValueError(f"{where} does not fit: {name} is {there} there, {here} here")
