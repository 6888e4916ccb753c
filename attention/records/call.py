"""What hooks are told beside their arrays, sizes, and trees of parameters."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

Params = Any


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["q_positions", "k_positions", "q_valid", "k_valid", "q_segments", "k_segments", "k_last", "rng", "heads"],
    meta_fields=["train", "scale", "layer", "max_length", "consecutive", "num_heads", "packed", "prefix"],
)
@dataclasses.dataclass(frozen=True)
class Call:
    """What every hook is told beside its arrays.

    Attributes:
      q_positions: int32 ``[*#B T]`` (float32 only where an encoding made them so), a tuple with one leaf per term once a
        composed encoding has transformed them; None means 0, 1, ..., T-1, and only then may blocks be skipped statically.
      k_positions: the same for the keys, ``[*#B S]``.
      q_valid: bool ``[*#B T]``, False at padding; None means all valid.
      k_valid: bool ``[*#B S]``.
      q_segments: int32 ``[*#B T]``, the segment (document, sentence) of each query; None for one segment.
      k_segments: the same for the keys, ``[*#B S]``.
      k_last: int32 ``[*#B]``, the largest position of a valid key, -1 where there is none; ``attend`` fills it in, for masks
        that ask where the text ends.
      rng: key for whatever is random in this call; None where nothing may be.
      train: whether this is a training step (static).
      scale: what the score multiplies q·k by (static), which ``attend`` fills in; terms that belong inside the same scaling
        multiply by it too.
      layer: the 0-based layer (static).
      max_length: the longest sequence of training (static); None where nobody said.
      consecutive: whether the positions of both sides count up by ones, alike for all examples (static), so that what depends
        on the distance alone has few values; a tuple with one entry per term where positions are one; ``attend`` fills it in.
      heads: int32 ``[N]``, which heads of the layer these are, where ``shard_map`` splits them, for parts that go by a head's
        number; None for all, 0, 1, ..., N-1.
      num_heads: how many heads the layer has (static), where ``heads`` says which.
      packed: whether segments are documents that do not see each other (static), so that what runs along a row starts anew in
        each; layers and ``attend`` fill it in from the mask.
      prefix: whether padding stands at the end of every text (static), so that its length says where; not looked at, so only
        who has made the padding may say it, and who changes it must not leave it said.
    """

    q_positions: Any = None
    k_positions: Any = None
    q_valid: jax.Array | None = None
    k_valid: jax.Array | None = None
    q_segments: jax.Array | None = None
    k_segments: jax.Array | None = None
    k_last: jax.Array | None = None
    rng: Any = None
    train: bool = False
    scale: float = 1.0
    layer: int = 0
    max_length: int | None = None
    consecutive: bool | tuple[bool, ...] = False
    heads: jax.Array | None = None
    num_heads: int | None = None
    packed: bool = False
    prefix: bool = False


class Dims(NamedTuple):
    """The static sizes ``init`` and ``shared`` are told.

    ``layer`` is the 0-based layer, of no meaning for what the layers share. ``reads`` names what a mixer's projections are
    read as: what nothing reads needs no weights.
    """

    num_heads: int
    kv_heads: int
    head_dim: int
    model_dim: int
    num_layers: int = 1
    layer: int = 0
    max_length: int | None = None
    vocab_size: int | None = None
    causal: bool = False
    reads: tuple[str, ...] = ("query", "key")


def merged(shared: Params, own: Params) -> Params:
    """One tree of what the layers share and of what a layer owns.

    Example:
      >>> merged({"0": {"table": 1}}, {"0": {"scale": 2}})
      {'0': {'table': 1, 'scale': 2}}

    Raises:
      ValueError: for a leaf that is in both, naming it.
    """
    both = dict(shared)
    for name, leaf in own.items():
        if name in both and not (isinstance(both[name], Mapping) and isinstance(leaf, Mapping)):
            raise ValueError(f"the parameter {name!r} is shared by the layers and owned by one, too")
        both[name] = merged(both[name], leaf) if name in both else leaf
    return both
