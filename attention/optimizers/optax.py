"""Any other optimizer of optax or optax.contrib, by its name there: ``optax(name='lamb', b2=0.99)``.

Options are those of the function of that name; learning rate and weight decay are the config's. Where the function has a decay
and a mask of its own, decay is as it has it; elsewhere it is decoupled, as for all others. What needs more than a gradient is
refused: the loss, a Hessian, the gradients of single examples, or a learning rate that is known at the start.

Source: https://optax.readthedocs.io
"""

import inspect
from collections.abc import Callable
from typing import Any

import optax
from optax import contrib

from attention import specs
from attention.optimizers._optimizer import Optimizer

__all__: list[str] = []

REFUSED = {
    "lbfgs": "the loss, for its line search",
    "polyak_sgd": "the loss",
    "momo": "the loss",
    "momo_adam": "the loss",
    "sophia": "an estimate of the Hessian",
    "sam": "gradients at two places",
    "opaque_sam": "gradients at two places",
    "dpsgd": "the gradients of single examples",
    "differentially_private_aggregate": "the gradients of single examples",
    "noisy_sgd": "a random stream of its own",
    "rprop": "a learning rate that is known at the start",
    "optimistic_adam": "its successor, optimistic_adam_v2",
    "schedule_free_sgd": "other weights in evaluation; schedule_free_adamw has them",
}
_OURS = ("learning_rate", "weight_decay", "weight_decay_rate", "mask", "weight_decay_mask")


def build(*, name: str, **options: Any) -> Optimizer:
    """An optimizer of optax.

    Args:
      name: of a function in ``optax`` or ``optax.contrib``.
      options: of that function.
    """
    function = _function(name)
    parameters = inspect.signature(function).parameters
    _check(name, parameters, options)
    own_decay = "weight_decay" in parameters and bool({"mask", "weight_decay_mask"} & set(parameters))
    fixed = {"weight_decay": 0.0} if "weight_decay" in parameters and not own_decay else {}

    def make(learning_rate: Any, weight_decay: Any, mask: Any) -> optax.GradientTransformation:
        if own_decay:
            masked = "mask" if "mask" in parameters else "weight_decay_mask"
            return function(learning_rate=learning_rate, weight_decay=weight_decay, **{masked: mask}, **options)
        steps = function(learning_rate=learning_rate, **fixed, **options)
        return optax.chain(optax.with_extra_args_support(steps), _decay(learning_rate * weight_decay, mask))

    return Optimizer(make)


def _decay(rate: Any, mask: Any) -> optax.GradientTransformation:
    """``- rate w`` for what decays."""
    return optax.add_decayed_weights(-rate, mask)


def known() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """The functions that can be named: those of a learning rate, without what has a file of its own."""
    found = {}
    for package in (optax, contrib):
        for name, function in vars(package).items():
            if not inspect.isfunction(function) or name.startswith(("_", "scale_by_")):
                continue
            first = next(iter(inspect.signature(function).parameters), "")
            if first == "learning_rate" and name not in REFUSED and name not in specs.names("optimizer"):
                found[name] = function
    return dict(sorted(found.items()))


def _function(name: str) -> Callable[..., optax.GradientTransformation]:
    if name in REFUSED:
        raise ValueError(f"optax's {name} needs {REFUSED[name]}; an update here has the gradient of a batch and no more")
    if name in specs.names("optimizer"):
        raise ValueError(f"{name} is an optimizer of its own: write {name}(...)")
    functions = known()
    if name not in functions:
        raise ValueError(f"optax has no optimizer {name!r}{specs.nearest(name, functions)}; known: {', '.join(functions)}")
    return functions[name]


def _check(name: str, parameters: Any, options: dict[str, Any]) -> None:
    """Raises ValueError for an option that the function has not, or of another type than its default."""
    plain = (bool, int, float, tuple, type(None))
    allowed = {key: each.default for key, each in parameters.items() if key not in _OURS and isinstance(each.default, plain)}
    for key, value in options.items():
        if key not in allowed:
            near, listed = specs.nearest(key, allowed), ", ".join(f"{each}={allowed[each]!r}" for each in allowed)
            raise ValueError(f"{name} has no option {key!r}{near}; options: {listed or 'none'}")
        default, number = allowed[key], isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = isinstance(value, bool) if isinstance(default, bool) else isinstance(value, tuple) or number
        if not fits or isinstance(value, tuple) != isinstance(default, tuple):
            raise ValueError(f"option {key!r} of {name} must be like {default!r}, got {value!r}")
