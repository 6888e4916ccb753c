"""Equinox's own layer and the module in its place, for ``benchmarks.modules``."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax

from attention.equinox import MultiheadAttention

KEY = jax.random.key(0)


def equinox(x: jax.Array, mask: jax.Array) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any], Any]]:
    """With a mask, and with dropout: a name, theirs and ours as functions of ``(params, x, mask)``, and these."""
    cases: dict[str, dict[str, Any]] = {"mask": {}, "dropout": {"dropout_p": 0.1}}
    for name, options in cases.items():
        theirs, ours = (build(8, x.shape[-1], key=KEY, **options) for build in (eqx.nn.MultiheadAttention, MultiheadAttention))
        params = jax.tree.leaves(eqx.filter(theirs, eqx.is_array))
        yield f"Equinox, {name}", _mapped(theirs), _mapped(ours), (params, x, mask)


def _mapped(layer: Any) -> Callable[..., jax.Array]:
    """The layer over a batch, with other arrays in the place of its own."""
    arrays, rest = eqx.partition(layer, eqx.is_array)
    tree = jax.tree.structure(arrays)

    def run(params: list[jax.Array], x: jax.Array, mask: jax.Array) -> jax.Array:
        here = eqx.combine(jax.tree.unflatten(tree, params), rest)
        return jax.vmap(lambda x, mask, key: here(x, x, x, mask[0], key=key))(x, mask, jax.random.split(KEY, x.shape[0]))

    return run
