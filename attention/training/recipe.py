"""From a config to what it trains: data, batches, model and program. All input is checked here."""

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention import heartbeat, rivals, specs, tensors
from attention.data import batches, contracts, dataset, remarks, vector_tensors
from attention.data.formats.rows import MissingColumnError
from attention.data.vectors import load_vectors
from attention.messages import shown
from attention.rivals import Rival
from attention.tasks import Task
from attention.training import budget
from attention.training.cohort import devices as cohort_devices
from attention.training.cohort.devices import Device, Layout, Spread
from attention.training.cohort.program import Program, program
from attention.training.config import Config, reading


class Experiment(NamedTuple):
    """What a config trains.

    Attributes:
      config: as given.
      task: what is learned.
      data: the splits.
      plan: the batches of training.
      model: the model, of the size of the data.
      steps: updates.
      eval_every: updates between validations.
      program: one of them.
    """

    config: Config
    task: Task
    data: contracts.Dataset
    plan: batches.Plan
    model: Any
    steps: int
    eval_every: int
    program: Program

    @property
    def tokens_per_example(self) -> float | None:
        """Tokens of an example of train, on average; None for a task that has one answer for all of them."""
        return float(self.data.splits["train"].lengths.mean()) if self.task.at_words else None


def experiment(config: Config, *, data: contracts.Dataset | None = None, tokenizer: Any = None) -> Experiment:
    """The one way from a config to its program: training, ``--describe`` and the dry run of a sweep take it.

    Args:
      config: what to train.
      data: the data, where they are loaded already.
      tokenizer: the state of a trained tokenizer to load them with.

    Raises:
      ValueError: for bad input of any kind; what is wrong with the model is said before anything is loaded.
    """
    task, checked = specs.build("task", config.task), checked_model(config)
    checked_rival(config)
    data = load_data(config, tokenizer) if data is None else data
    train = data.splits["train"]
    _check_windows(config, train)
    section, training = config.data, budget.in_updates(config, train)
    sizes = {"batch_size": training.batch_size, "buckets": section.buckets}
    plan = batches.Plan(train.extents, **sizes, seed=section.seed, slack=train.slack)
    model = task.sized(checked, data.vocab_size, len(data.classes))
    steps = budget.total_steps(training, plan.steps_per_epoch)
    warmup = budget.warmup_of(training, steps)
    if warmup != training.warmup:
        given = "warmup" if config.training.warmup else "warmup_tokens"
        asked = f"config.training.{given}={getattr(config.training, given)} is not less than the {steps} updates of this run"
        rises = f"rises over {warmup} of them" if warmup else "begins at its peak"  # fewer than ten
        data = data._replace(notes=(*data.notes, f"{asked}: the learning rate {rises}"))
    weights = None if task.class_weights is None else task.class_weights(training.class_weights, data)
    shape = {"steps": steps, "warmup": warmup, "class_weights": weights}
    eval_every = training.eval_every or plan.steps_per_epoch
    return Experiment(config, task, data, plan, model, steps, eval_every, program(config, model, **shape))


def layout(config: Config, devices: Sequence[Device] | None = None) -> Layout:
    """Which members of a config lie on which devices: on these, or on all of this process where None."""
    return cohort_devices.layout(len(config.seeds), _rows(config), cohort_devices.usable() if devices is None else devices)


def spread(params: Any, config: Config) -> Spread:
    """Weights ``[M ...]`` on the devices of this process, as those of M members that are trained are."""
    members = len(jax.tree.leaves(params)[0])
    return cohort_devices.spread(params, cohort_devices.layout(members, _rows(config), cohort_devices.usable()).groups)


def _rows(config: Config) -> int:
    """Of a batch that is computed at once."""
    return config.training.batch_size // config.training.accumulation


def checked_model(config: Config) -> Any:
    """The model of a config, of one token and one class: ``Task.sized`` gives it the size of the data. Raises ValueError.

    Batches are padded to multiples of 8, so positions may run up to the next one.
    """
    task = specs.build("task", config.task)
    make = task.model
    given = {**dataclasses.asdict(config.model), "vocab_size": 1, "num_classes": 1}
    given["max_length"] = -(-config.data.max_length // 8) * 8
    model = make(**{name: given[name] for name in inspect.signature(make).parameters if name in given})
    model = model.clone(prefix=True)  # batches are padded at the end
    packed = task.next_token and config.data.windows == "packed"
    if packed:
        model.check_packing(dataclasses.asdict(config.model))
    cut = packed or config.data.segments != "none"
    reading = {"encoder": model.encoder.needs_segments, "mask": model.parts.mask.packs}
    if not cut and (kinds := [kind for kind, reads in reading.items() if reads]):
        what = f"config.model.{kinds[0]}={getattr(config.model, kinds[0])}"
        if task.next_token:
            raise ValueError(f"{what} wants config.data.windows=packed, got {config.data.windows}")
        if task.at_words:
            raise ValueError(f"{what} wants texts cut into segments, and those of config.task={config.task} are whole")
        raise ValueError(f"{what} wants config.data.segments=sentences, lines or columns, got none")
    return model


def checked_rival(config: Config) -> Rival:
    """The rival of a config. Raises ValueError for one of other tasks."""
    task = specs.build("task", config.task)
    try:
        rival = rivals.chosen(config.rival, task.rival)
    except ValueError as error:
        raise ValueError(f"config.rival: {error}") from None
    if rival.answers not in ("", task.answers):
        fitting = [other for other in specs.names("task") if specs.build("task", other).answers == rival.answers]
        have = f"config.rival={config.rival} is for config.task={' or '.join(fitting)}, got {config.task}"
        raise ValueError(f"{have}; give none, or auto for its own")
    return rival


def load_data(config: Config, tokenizer: Any = None) -> contracts.Dataset:
    """The data of a config, with a tokenizer of this state where one is given.

    Raises:
      ValueError: where there is no train or validation split, or one lacks what the task is to learn.
    """
    section, task = config.data, specs.build("task", config.task)
    options = {**reading(config), "seed": section.seed, "training": True, "tokenizer_state": tokenizer}
    try:
        with heartbeat.doing(f"loading {shown(section.source)}"):
            data = dataset.load(section.source, section.tokenizer, **options)
    except MissingColumnError as error:
        hint = "; plain text is read by text(path='FILE')" if task.next_token else ""
        raise ValueError(f"{error}{hint}") from None
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ValueError(f"{data.source} has no {name} split")
        lack = task.lacks(data.splits[name])
        if lack is not None:
            fitting = [other for other in specs.names("task") if specs.build("task", other).lacks(data.splits[name]) is None]
            hint = f"; it fits config.task={' or '.join(fitting)}" if fitting else ""
            raise ValueError(f"{data.source}: the {name} split {lack}{hint}")
    return data


def _check_windows(config: Config, train: contracts.Encoded) -> None:
    """Raises ValueError for a way to cut windows where a source has rows of its own."""
    for name in ("windows", "stride") if train.documents is None else ():
        given, usual = getattr(config.data, name), getattr(type(config.data), name)
        if given != usual:
            have = f"config.data.{name}={given} is of windows cut from texts; {config.data.source} has rows of its own"
            raise ValueError(f"{have}: leave it at {usual}")


def notes(data: contracts.Dataset) -> tuple[str, ...]:
    """All that a user should know of the data."""
    return (*data.notes, *remarks.notes(data.statistics))


def scored_split(data: contracts.Dataset, task: Task) -> str:
    """The split that runs are summed up and compared by: test, or validation where no test says what is right."""
    return "test" if "test" in data.splits and task.lacks(data.splits["test"]) is None else "validation"


def vectors(config: Config, data: contracts.Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """The vectors that ``config.model.vectors`` gives ``[V D]``, and for which tokens ``[V]``; None without a file."""
    path = config.model.vectors
    if not path:
        return None
    vocabulary = data.tokenizer.vocabulary(data.tokenizer_state)
    matrix, found = load_vectors(path, vocabulary)
    if matrix.shape[1] != config.model.dim:
        raise ValueError(f"config.model.vectors: {path} has vectors of {matrix.shape[1]}, model.dim={config.model.dim}")
    if tensors.named(Path(path)) and (note := vector_tensors.spare(Path(path))):
        print(f"note: {note}")
    print(f"vectors: {found.sum()} of {len(vocabulary)} tokens have one")
    return matrix, found


def report_data(data: contracts.Dataset, plan: batches.Plan, task: Task) -> None:
    """Prints sizes, lengths, unknown and truncated shares, padding, baselines of each split, and notes."""
    for name, facts in data.statistics.items():
        repeated = facts.get("seen_in_train_or_validation", facts.get("seen_in_train", 0))
        where = "train or validation" if name == "test" else "train"
        seen = f", {repeated:.0f} also in {where}" if repeated else ""
        count, mean, longest = (facts[each] for each in ("examples", "mean_length", "max_length"))
        many = f"{count:.0f} examples of {mean:.1f} tokens on average, {longest:.0f} at most"
        sizes = many if count > 1 else f"1 example of {longest:.0f} tokens"
        print(
            f"{name}: {sizes}; {100 * facts['unknown_rate']:.2f} % unknown, "
            f"{100 * facts['truncated_share']:.2f} % truncated{seen}"
        )
    lengths = ", ".join(map(str, plan.bucket_lengths))
    told = "" if task.next_token else f"{_told_of(data.splits['train'], len(data.classes))}, "
    print(f"{told}{data.vocab_size} tokens; padded to {lengths}: ", end="")
    print(f"{100 * plan.padding_share:.1f} % padding")
    for rule in data.rules:
        factor, digits = (100, 2) if task.ruled.share else (1, 4)
        scores = (f"{factor * found[rule]:.{digits}f} on {split}" for split, found in data.baselines.items() if rule in found)
        print(f"baseline {rule}: {', '.join(scores)}")
    for note in notes(data):
        print(f"note: {note}")


def _told_of(train: contracts.Encoded, classes: int) -> str:
    """What is to be told of texts, in words."""
    if train.targets is not None:
        return f"targets of {train.targets.lengths.mean():.1f} tokens on average"
    if train.scale is not None:
        return f"numbers of {train.scale.mean:.6g} on average, standard deviation {train.scale.deviation:.6g}"
    several = f", {train.labels.sum() / len(train):.2f} for a text on average" if train.labels.ndim > 1 else ""
    return f"{classes} classes{several}"
