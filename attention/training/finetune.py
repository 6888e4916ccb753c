"""Starting from a finished run: its tokenizer, and its best weights."""

from typing import Any

import jax
import numpy as np

from attention.evaluation.trained import Trained, abstract_params, load
from attention.training.config import Config


def read(config: Config) -> Trained | None:
    """The run that ``config.training.init_from`` names, None where it names none.

    Raises:
      ValueError: where there is no run, it is not finished, or it has another tokenizer.
    """
    path = config.training.init_from
    if not path:
        return None
    trained = load(path)
    if not trained.run.finished:
        raise ValueError(f"config.training.init_from={path}: the run is not finished")
    given, wanted = trained.settings.data.tokenizer, config.data.tokenizer
    if given != wanted:
        raise ValueError(
            f"config.training.init_from={path} has the tokenizer {given}; config.data.tokenizer={wanted} wants to be the same"
        )
    return trained


def start(origin: Trained | None, config: Config, model: Any, classes: tuple[str, ...]) -> tuple[Any, list[str]]:
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
    where = f"config.training.init_from={config.training.init_from}"
    params, notes = dict(origin.params), []
    if classes != origin.data.classes:
        params.pop("head")
        notes.append(f"the head is drawn anew: {len(classes)} classes here, {len(origin.data.classes)} there or others")
    shapes = dict(abstract_params(model, 1))
    _compare(params, {name: leaf for name, leaf in shapes.items() if name in params or name != "head"}, where)
    seeds = origin.settings.seeds
    members = [seeds.index(seed) if seed in seeds else 0 for seed in config.seeds]
    for seed, member in zip(config.seeds, members):
        notes.append(f"the member with seed {seed} starts from that with seed {seeds[member]} of {origin.run.path}")
    return jax.tree.map(lambda leaf: np.asarray(leaf)[members], params), notes


def _compare(params: Any, wanted: Any, where: str) -> None:
    have = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    want = {jax.tree_util.keystr(path): leaf.shape[1:] for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)}
    for name in sorted({*have, *want}):
        if have.get(name) != want.get(name):
            there, here = have.get(name, "absent"), want.get(name, "absent")
            raise ValueError(f"{where} does not fit: {name} is {there} there, {here} here")
