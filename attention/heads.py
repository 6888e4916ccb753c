"""Which heads are at hand, where ``shard_map`` has split them: a part cannot see that by itself."""

import jax

from attention.records import Call


def total_heads(call: Call, N: int) -> int:
    """The number of heads of the layer, of which N are at hand. Raises ValueError where only their numbers are given."""
    if call.heads is None:
        return N
    if call.num_heads is None or call.heads.shape != (N,):
        raise ValueError(f"call.heads wants the number of each of {N} heads, and call.num_heads of all, got {call.heads.shape}")
    return call.num_heads


def at_hand(per_head: jax.Array, call: Call) -> jax.Array:
    """What belongs to the heads at hand, of an array whose last axis is all heads of the layer."""
    return per_head if call.heads is None else per_head[..., call.heads]


def all_heads(owner: str, call: Call) -> None:
    """Refuses heads that were split. Raises ValueError."""
    if call.heads is not None:
        raise ValueError(f"{owner} reads all heads of a layer, and call.heads says that they are split; split something else")
