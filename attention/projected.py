"""Parts around queries, keys and values that someone else has projected: what the modules of other frameworks are made of.

A module holds parameters, projects, remembers, and asks its framework for keys; everything between is here, once for all.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from attention import arguments, caches, compatibility, specs
from attention.attend import run
from attention.layer import DEFAULTS, Layer, layer
from attention.records import Call, Encoding, Mixer, Params

SIDES = ("valid", "positions", "segments")


def parts_of_layer(num_heads: int, kv_heads: int, head_dim: int, model_dim: int, **options: Any) -> Layer:
    """A ``Layer`` whose mixer is somebody else's: parts, sizes and parameters of parts, and no projections.

    Args:
      num_heads, kv_heads, head_dim: N, K and H of what is projected.
      model_dim: D of what the queries are projected from.
      options: of ``attention.layer``, but for ``dim`` and ``mixer``.

    Raises:
      ValueError: as ``attention.layer``; for an encoding that acts on embeddings, which attention never sees.
    """
    encoding = options.get("encoding", DEFAULTS["encoding"])
    check_place(specs.build("encoding", encoding) if isinstance(encoding, str) else encoding)
    return layer(dim=model_dim, mixer=Mixer(_projects, num_heads=num_heads, kv_heads=kv_heads, head_dim=head_dim), **options)


def check_place(encoding: Encoding) -> None:
    """Refuses an encoding of embeddings, saying where it belongs: each half of a sum to its place. Raises ValueError."""
    if not isinstance(encoding, Encoding) or encoding.embed is None:
        return  # what is no encoding is refused where it is built
    spec = encoding.spec or "..."
    terms = [
        (str(term), specs.build("encoding", term)) for term in (specs.parse(encoding.spec).terms if encoding.spec else ())
    ] or [(spec, encoding)]
    before = " + ".join(term for term, record in terms if record.embed is not None)
    after = " + ".join(term for term, record in terms if record.embed is None)
    if any(record.embed is not None and compatibility.needs_scores(record) for _, record in terms):
        raise ValueError(
            f"encoding={spec} acts on embeddings and on scores in one: attention.layer(encoding='{spec}') has both"
        )
    here = f", and encoding='{after}' here" if after else ""
    place = f"PositionalEncoding(encoding='{before}') on what goes into layer {encoding.depth}"
    raise ValueError(f"encoding={spec} acts on embeddings, which attention does not see: use {place}{here}")


@functools.lru_cache(maxsize=256)
def embedder(dim: int, encoding: str | Encoding, max_length: int | None, vocab_size: int | None) -> Layer:
    """A ``Layer`` of which ``embed`` alone is used. Raises ValueError for an encoding that acts on more than embeddings."""
    mixer = Mixer(_projects, num_heads=1, kv_heads=1, head_dim=dim)
    made = layer(dim=dim, mixer=mixer, encoding=encoding, max_length=max_length, vocab_size=vocab_size)
    if compatibility.needs_scores(made.parts.encoding):
        raise ValueError(f"encoding={made.given['encoding']} acts on scores: give it to the attention module")
    return made


def shared_of(part: Layer, params: Mapping[str, Params]) -> dict[str, Params]:
    """What layers share, of the parameters of one that owns it. Raises ValueError where they are not there."""
    wanted = jax.eval_shape(part.shared, jax.random.key(0))

    def picked(like: Any, tree: Any) -> Any:
        return {name: picked(each, tree[name]) for name, each in like.items()} if isinstance(like, Mapping) else tree

    try:
        return picked(wanted, params)
    except KeyError as error:
        raise ValueError(f"shared wants a module that was called before and owns {error} of {part.given['encoding']}") from None


def check_width(part: Layer, width: int) -> None:
    """Refuses parts that act on values as wide as keys, where they are ``width`` wide. Raises ValueError."""
    acts = {"encoding": part.parts.encoding.values, "normalizer": part.parts.normalizer.finish}
    for kind, hook in acts.items():
        if hook is not None and width != part.dims.head_dim:
            spec = f"{kind}={part.given[kind]}"
            raise ValueError(f"{spec} acts on values as wide as keys, which are {part.dims.head_dim}, and they are {width}")


def check_remembers(part: Layer) -> None:
    """Refuses parts that need more of earlier tokens than their keys and values. Raises ValueError."""
    if not caches.keys_suffice(part.parts):
        kind = "normalizer" if part.parts.normalizer.reads == "all" else "encoding"
        raise ValueError(
            f"{kind}={part.given[kind]} needs more of earlier tokens than their keys, so that remembered ones are not enough: "
            f"attention.layer({kind}='{part.given[kind]}', ...).cache remembers the tokens themselves"
        )


def _projects(params: Params, x: Any, context: Any, call: Any) -> jax.Array:
    raise TypeError("the mixer is somebody else's")


def attended(
    part: Layer,
    params: Mapping[str, Params],
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    x: jax.Array | None = None,
    mask: Any = None,
    bias: jax.Array | None = None,
    is_causal: bool = False,
    sides: Mapping[str, Any],
    key_sides: Mapping[str, Any] | None = None,
    drop: Callable[[jax.Array, Any], jax.Array] | None = None,
    rng: jax.Array | None = None,
    train: bool = False,
    weights: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """The output ``[*B T N E]``, and the weights ``[*B N T S]`` before dropout where they are asked for.

    Args:
      part: as ``parts_of_layer`` makes it.
      params: of its parts, with what layers share.
      query, key, value: ``[*B T N H]``, ``[*B S K H]``, ``[*B S K E]``, of one type.
      x: what the queries are made of, ``[*B T D]``, for parts that read it; None where that is not known.
      mask: of any type and rank that broadcasts to ``[*B N T S]``; what is not 0 may be attended to.
      bias: floating point, likewise, added to the scores; -inf masks.
      is_causal: whether key j is seen by query i ≥ j alone, beside the mask.
      sides: "valid", "positions" and "segments" of the tokens, those that are known.
      key_sides: those of other keys than the queries' own; None for self-attention.
      drop: ``drop(weights, block)``, dropout with bits of the framework; ``block`` is 0, an int, where the weights are whole,
        and else a traced number, another for each block.
      rng: key of parts that draw in training.
      train: whether this is a training step.
      weights: whether to return them.

    Raises:
      ValueError: for arrays or parameters that do not fit, or positions that are wanting.
    """
    *batch, T, N, _ = query.shape
    scores = (*batch, N, T, key.shape[-3])
    where = None if mask is None else _spread(jnp.asarray(mask), len(scores)) != 0
    bias = None if bias is None else _spread(bias, len(scores))
    if is_causal:
        seen = jnp.tril(jnp.ones(scores[-2:], jnp.bool_)).reshape((1,) * len(batch) + (1, *scores[-2:]))
        where = seen if where is None else where & seen
    call = Call(
        **{f"q_{name}": array for name, array in sides.items()},
        **{f"k_{name}": array for name, array in (sides if key_sides is None else key_sides).items()},
        rng=rng,
        train=train,
        layer=part.dims.layer,
        max_length=part.dims.max_length,
    )
    arguments.check_arrays(query, key, value, where, bias)
    arguments.check_call(call, query, key, x)
    arguments.check_positions(part.parts, call, T, key.shape[-3], part.given)
    arguments.check_params(part.parts, params, part.dims, frozenset(), part.given)
    options: dict[str, Any] = {"where": where, "bias": bias, "x": x, "call": call, "dropout": drop, "kernel": part.kernel}
    return run(part.parts, query, key, value, params=params, weights=weights, **options)


def _spread(array: jax.Array, rank: int) -> jax.Array:
    """With leading axes of 1, as NumPy broadcasts."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape)
