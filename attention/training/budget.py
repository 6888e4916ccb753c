"""How many updates a run makes, from steps, epochs or tokens."""

import dataclasses
import math

from attention.data import contracts
from attention.training.config import IN_TOKENS, Config, TrainingConfig


def in_updates(config: Config, train: contracts.Encoded) -> TrainingConfig:
    """What is given in tokens as numbers of updates, the fewest that read as many.

    An update reads ``batch_size max_length`` tokens, the last of an epoch what is left.

    Raises:
      ValueError: where rows of train are not all of ``max_length`` tokens.
    """
    training = config.training
    given = {name: tokens for name in IN_TOKENS if (tokens := getattr(training, name))}
    if not given:
        return training
    if train.documents is None or config.data.windows != "stream":
        have = "rows that the source has" if train.documents is None else f"config.data.windows={config.data.windows}"
        first, tokens = next(iter(given.items()))
        wants = "wants windows of one length, config.data.windows=stream of texts"
        raise ValueError(f"config.training.{first}={tokens} {wants}; got {have}: give {IN_TOKENS[first]}")
    windows, size = len(train), training.batch_size

    def updates(tokens: int) -> int:
        epochs, rest = divmod(-(-tokens // config.data.max_length), windows)
        return epochs * -(-windows // size) + -(-rest // size)

    return dataclasses.replace(training, **{IN_TOKENS[name]: updates(tokens) for name, tokens in given.items()})


def total_steps(training: TrainingConfig, steps_per_epoch: int) -> int:
    """Updates of a run."""
    return training.steps or math.ceil(training.epochs * steps_per_epoch)


def warmup_of(training: TrainingConfig, steps: int) -> int:
    """Updates of warmup: those asked for, and of a run that is not longer than these a tenth of it, rounded down."""
    return training.warmup if training.warmup < steps else steps // 10
