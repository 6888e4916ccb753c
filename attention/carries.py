"""Carries of loops under ``shard_map``, which tells what varies over a mesh from what does not."""

from typing import Any

import jax


def varying(carry: Any, *given: Any) -> Any:
    """The start of a loop's carry, said to vary over every axis of a mesh that ``given``, which the loop reads, varies over."""
    axes = frozenset().union(*(_axes(leaf) for leaf in jax.tree.leaves(given)))

    def cast(leaf):
        missing = tuple(sorted(axes - _axes(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(cast, carry)


def _axes(leaf: Any) -> frozenset[str]:
    return jax.typeof(leaf).manual_axis_type.varying
