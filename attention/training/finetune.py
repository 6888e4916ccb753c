"""Starting from a finished run: its tokenizer, and its best weights."""

from typing import Any, NamedTuple

import jax
import numpy as np

from attention.files import json_hash
from attention.runs import checkpoints
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training.cohort.members import abstract_params
from attention.training.config import Config


class Origin(NamedTuple):
    """A finished run to start from: its directory, seeds and classes, the best weights ``[M ...]``, and a hash of them."""

    run: RunDirectory
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    weights: dict[str, Any]
    hash: str


def read(config: Config) -> Origin | None:
    """The run that ``config.training.init_from`` names, None where it names none.

    Raises:
      ValueError: where there is no run, it is not finished, or it has another tokenizer.
    """
    path = config.training.init_from
    if not path:
        return None
    run = RunDirectory(path)
    settings = configs.from_dict(run.read_config())
    found = checkpoints.read_named(run.checkpoints, checkpoints.BEST)
    if found is None:
        raise ValueError(f"run {run.path} has no best checkpoint: no member has been validated yet")
    run.check_of_this_run(found.meta, run.checkpoints)
    if not run.finished:
        raise ValueError(f"config.training.init_from={path}: the run is not finished")
    given, wanted = settings.data.tokenizer, config.data.tokenizer
    if given != wanted:
        raise ValueError(
            f"config.training.init_from={path} has the tokenizer {given}; config.data.tokenizer={wanted} wants to be the same"
        )
    classes = run.read_data().classes
    start = json_hash({"weights": found.sha256, "seeds": settings.seeds, "classes": classes})
    return Origin(run, settings.seeds, classes, found.tree, start)


def start(origin: Origin | None, config: Config, model: Any, classes: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The weights to start from, and what to tell of them.

    The member with seed s starts from the member of the run with seed s, or from its first one where it has none, so
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
        del shapes["head"], weights["head"]
    _compare(weights, shapes, f"config.training.init_from={config.training.init_from}")
    members = [origin.seeds.index(seed) if seed in origin.seeds else 0 for seed in config.seeds]
    for seed, member in zip(config.seeds, members):
        notes.append(f"the member with seed {seed} starts from that with seed {origin.seeds[member]} of {origin.run.path}")
    return jax.tree.map(lambda leaf: np.asarray(leaf)[members], weights), notes


def _compare(weights: Any, wanted: Any, where: str) -> None:
    have = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(weights)}
    want = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)}
    for name in sorted({*have, *want}):
        if have.get(name) != want.get(name):
            there, here = have.get(name, "absent"), want.get(name, "absent")
            raise ValueError(f"{where} does not fit: {name} is {there} there, {here} here")
