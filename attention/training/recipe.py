"""What a run needs before it trains: data, batches, weights of classes, pretrained vectors. All input is checked here."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.data import batches, dataset
from attention.data.vectors import load_vectors
from attention.evaluation.trained import build_model
from attention.runs.directory import RunDirectory
from attention.training.config import Config, TrainingConfig, reading


def load_data(config: Config, run: RunDirectory | None, origin: Any) -> dataset.Dataset:
    """The data of a config: with the tokenizer of the run that goes on, or of the one to start from, if any."""
    build_model(config, vocab_size=1, num_classes=1)  # what is wrong with the model is said before anything is loaded
    known = run if run is not None and run.data.exists() else None
    state = None
    if known is not None or origin is not None:
        folder = (known or origin.run).tokenizer
        state = specs.build("tokenizer", config.data.tokenizer).load(folder)
    section = config.data
    data = dataset.load(
        section.source,
        section.tokenizer,
        **reading(section),
        seed=section.seed,
        tokenizer_state=state,
    )
    if known is not None:
        dataset.verify_hashes(data.hashes, known.read_data().hashes)
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ValueError(f"{data.source} has no {name} split")
        check_task(data.splits[name], config.task, f"{data.source}: the {name} split")
    return data


def check_task(encoded: dataset.Encoded, task: str, what: str) -> None:
    """Raises ValueError where a split has not what the task is to learn."""
    if task == "classification" and encoded.targets is not None:
        raise ValueError(f"{what} has texts to write and no classes; config.task=seq2seq learns to write them")
    if task == "seq2seq" and encoded.targets is None:
        raise ValueError(f"{what} has classes and no texts to write; config.task=classification tells them apart")
    if task == "classification" and (encoded.labels < 0).any():
        raise ValueError(f"{what} wants a label for every text")


def train_plan(config: Config, data: dataset.Dataset) -> batches.Plan:
    """The batches of training."""
    lengths, section = data.splits["train"].extents, config.data
    return batches.Plan(lengths, batch_size=config.training.batch_size, buckets=section.buckets, seed=section.seed)


def total_steps(training: TrainingConfig, steps_per_epoch: int) -> int:
    """Updates of a run. Raises ValueError where the warmup leaves none to train."""
    steps = training.steps or math.ceil(training.epochs * steps_per_epoch)
    if training.warmup >= steps:
        raise ValueError(
            f"config.training.warmup wants fewer updates than there are: got {training.warmup}, "
            f"and {training.epochs:g} epochs are {steps} updates"
        )
    return steps


def class_weights(training: TrainingConfig, data: dataset.Dataset) -> tuple[float, ...] | None:
    """One weight per class: ``n / (C n_c)`` where balanced, as given, or None."""
    spec, where = training.class_weights, "config.training.class_weights"
    if spec == "none":
        return None
    if spec == "balanced":
        counts = np.bincount(data.splits["train"].labels, minlength=len(data.classes))
        if not counts.all():
            missing = data.classes[int(np.argmin(counts))]
            raise ValueError(f"{where}=balanced wants examples of every class; train has none of {missing!r}")
        return tuple(float(weight) for weight in counts.sum() / (len(counts) * counts))
    try:
        weights = tuple(float(item) for item in spec.split(","))
    except ValueError:
        raise ValueError(f"{where} wants none, balanced or numbers such as 1,2.5; got {spec!r}") from None
    if len(weights) != len(data.classes) or not all(0 < weight < math.inf for weight in weights):
        raise ValueError(f"{where} wants {len(data.classes)} numbers above 0, one per class; got {spec!r}")
    return weights


def vectors(config: Config, data: dataset.Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """The rows of the embedding that ``config.model.vectors`` gives, and which these are; None without a file."""
    from attention.models.classifier import embedding_table

    path = config.model.vectors
    if not path:
        return None
    vocabulary = data.tokenizer.vocabulary(data.tokenizer_state)
    matrix, found = load_vectors(path, vocabulary)
    if matrix.shape[1] != config.model.dim:
        raise ValueError(f"config.model.vectors: {path} has vectors of {matrix.shape[1]}, model.dim={config.model.dim}")
    print(f"vectors: {found.sum()} of {len(vocabulary)} tokens have one")
    return np.asarray(embedding_table(jnp.asarray(matrix))), found


def report_data(data: dataset.Dataset, plan: batches.Plan) -> None:
    """Prints sizes, lengths, unknown and truncated shares, padding, baselines and notes."""
    for name, facts in data.statistics.items():
        repeated = facts.get("seen_in_train_or_validation", facts.get("seen_in_train", 0))
        where = "train or validation" if name == "test" else "train"
        seen = f", {repeated:.0f} also in {where}" if repeated else ""
        print(
            f"{name}: {facts['examples']:.0f} examples of {facts['mean_length']:.1f} tokens on average, "
            f"{facts['max_length']:.0f} at most; {100 * facts['unknown_rate']:.2f} % unknown, "
            f"{100 * facts['truncated_share']:.2f} % truncated{seen}"
        )
    lengths = ", ".join(map(str, plan.bucket_lengths))
    written = data.splits["train"].targets
    what = f"{len(data.classes)} classes" if written is None else f"targets of {written.lengths.mean():.1f} tokens on average"
    print(f"{what}, {data.vocab_size} tokens; padded to {lengths}: ", end="")
    print(f"{100 * plan.padding_share:.1f} % padding")
    for name, value in data.baselines.items():
        print(f"baseline {name}: {100 * value:.2f}")
    for note in data.notes:
        print(f"note: {note}")
