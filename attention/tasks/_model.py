"""From a config to the arguments of a model."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any


def arguments(config: Any, make: Callable[..., Any]) -> dict[str, Any]:
    """What ``make`` takes of a config, for a vocabulary of one token.

    Batches are padded to multiples of 8, so positions may run up to the next one.
    """
    taken = inspect.signature(make).parameters
    given = {name: value for name, value in dataclasses.asdict(config.model).items() if name in taken}
    return {**given, "vocab_size": 1, "max_length": -(-config.data.max_length // 8) * 8}
