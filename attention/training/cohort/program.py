"""What is fixed when an update is compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from attention import specs
from attention.optimizers._optimizer import Optimizer, decayed, schedule
from attention.tasks import Task
from attention.training.config import Config


class Program(NamedTuple):
    """What is fixed at compilation: parts, and which features there are. Their values are traced.

    Attributes:
      task: what is learned.
      model: the model.
      optimizer: what makes steps of gradients.
      factor: of the learning rate, by update.
      class_weights: one per class, or None.
      accumulation: parts of a batch.
      frozen_embeddings: whether the embedding is not to decay.
      decay_embeddings: whether embedding and tables of positions decay, where they are not frozen.
      dropout, word_dropout, clip, average: whether any member has it.
      rows: how the rows of the parts of a batch, ``[parts rows ...]``, lie on the devices that share them; None for one device.
    """

    task: Task
    model: Any
    optimizer: Optimizer
    factor: Callable[[jax.Array], jax.Array]
    class_weights: tuple[float, ...] | None = None
    accumulation: int = 1
    frozen_embeddings: bool = False
    decay_embeddings: bool = True
    dropout: bool = False
    word_dropout: bool = False
    clip: bool = False
    average: bool = False
    rows: jax.sharding.Sharding | None = None

    def steps(self, params: Any, learning_rate: Any = 0.0, weight_decay: Any = 0.0) -> optax.GradientTransformation:
        """The optimizer for these weights; the structure of its state does not depend on the numbers."""
        return self.optimizer.make(learning_rate, weight_decay, self.decays(params))

    def decays(self, params: Any) -> Any:
        """A tree of bools: which weights decay."""
        return decayed(params, frozen_embeddings=self.frozen_embeddings, decay_embeddings=self.decay_embeddings)


def program(config: Config, model: Any, *, steps: int, warmup: int, class_weights: tuple[float, ...] | None) -> Program:
    """The program of a config: ``steps`` updates of ``model``, the learning rate of the first ``warmup`` of them rising."""
    training = config.training
    return Program(
        task=specs.build("task", config.task),
        model=model,
        optimizer=specs.build("optimizer", training.optimizer),
        factor=schedule(training.schedule, steps=steps, warmup=warmup, end=training.schedule_end),
        class_weights=class_weights,
        accumulation=training.accumulation,
        frozen_embeddings=config.model.frozen_embeddings,
        decay_embeddings=training.decay_embeddings,
        dropout=bool(np.max(training.dropout) > 0),
        word_dropout=bool(np.max(training.word_dropout) > 0),
        clip=bool(np.max(training.clip_norm) > 0),
        average=bool(np.max(training.ema_decay) > 0),
    )
