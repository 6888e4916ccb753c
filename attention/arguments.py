"""What callers give ``attend``, checked before anything is computed: types, shapes, parameters and positions."""

import functools
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from attention import compatibility, heads
from attention.messages import quoted
from attention.records import Call, Dims, Params, Parts
from attention.specs import nearest

KINDS = ("encoding", "score", "normalizer")
_INSTEAD = {
    "scale": "score=dot does without a scale, and query times a number has any",
    "k_last": "it follows from call.k_positions and call.k_valid",
    "consecutive": "it follows from positions that are None",
}
_KINDS = {"positions": jnp.number, "valid": jnp.bool_, "segments": jnp.integer}
_TYPES = {
    "positions": "whole numbers, or floating point ones",
    "valid": "booleans (False = padding): give valid != 0",
    "segments": "whole numbers",
}


def check_arrays(query: jax.Array, key: jax.Array, value: jax.Array, where: Any, bias: Any) -> None:
    """Refuses arrays of a wrong type, or whose shapes do not fit. Raises ValueError."""
    check_switches()
    for name, array in {"query": query, "key": key, "value": value}.items():
        _check_floating(name, array)
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(f"key and value want one shape but for their channels, got {key.shape} and {value.shape}")
    if query.ndim < 3 or query.shape[:-3] != key.shape[:-3] or query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query [*B T N H] and key [*B S K H] do not fit: got {query.shape} and {key.shape}")
    if query.shape[-1] == 0:
        raise ValueError(f"query and key want one channel or more, got {query.shape} and {key.shape}")
    N, K = query.shape[-2], key.shape[-2]
    if N != K and (K == 0 or N % K):
        raise ValueError(f"key heads must divide query heads, got {K} and {N}")
    check_scores((*query.shape[:-3], N, query.shape[-3], key.shape[-3]), where, bias)


def check_scores(scores: tuple[int, ...], where: Any, bias: Any) -> None:
    """Refuses a mask and a bias of a wrong type, or that are not of the scores ``[*B N T S]``. Raises ValueError."""
    for name, array in {"where": where, "bias": bias}.items():
        _check_array(name, array)
    if where is not None and where.dtype != jnp.bool_:
        raise ValueError(f"where must be boolean (True = may attend), got {where.dtype}: give mask != 0")
    if bias is not None and not jnp.issubdtype(bias.dtype, jnp.floating):
        hint = "; a mask goes to where=" if bias.dtype == jnp.bool_ else ""
        raise ValueError(f"bias wants floating point numbers, got {bias.dtype}{hint}")
    for name, array in {"where": where, "bias": bias}.items():
        if array is None:
            continue
        if array.ndim != len(scores):
            more = (
                f": give {name}.reshape({(1,) * (len(scores) - array.ndim) + array.shape})" if array.ndim < len(scores) else ""
            )
            raise ValueError(
                f"{name} of shape {array.shape} wants the axes of the scores [*B N T S], {len(scores)} of them{more}"
            )
        if any(size not in (1, full) for size, full in zip(array.shape, scores)):
            raise ValueError(f"{name} of shape {array.shape} does not broadcast to scores [*B N T S] of shape {scores}")


def check_call(call: Call, query: jax.Array, key: jax.Array, x: jax.Array | None) -> None:
    """Refuses what a call says of tokens in a wrong type, or of others than there are. Raises ValueError."""
    sides = {"q": query.shape[:-2], "k": key.shape[:-2]}
    for name in _KINDS:
        for side, tokens in sides.items():
            array = getattr(call, f"{side}_{name}")
            if array is None or (name == "positions" and isinstance(array, tuple)):  # as encodings leave them
                continue
            check_tokens(f"call.{side}_{name}", name, array, tokens)
    for field, empty in (("scale", 1.0), ("k_last", None), ("consecutive", False)):
        if getattr(call, field) is not empty and getattr(call, field) != empty:
            raise ValueError(f"call.{field} is what attend fills in for the parts, and is not to be given; {_INSTEAD[field]}")
    _check_heads(call, query.shape[-2])
    _check_array("x", x)
    if x is not None and x.shape[:-1] != query.shape[:-2]:
        raise ValueError(f"x [*B T D] of shape {x.shape} is not of the tokens {query.shape[:-2]}")


def check_tokens(owner: str, name: str, array: Any, tokens: tuple[int, ...]) -> None:
    """Refuses what is said of tokens, "positions", "valid" or "segments", in a wrong type or shape. Raises ValueError."""
    _check_array(owner, array)
    if not jnp.issubdtype(array.dtype, _KINDS[name]) or jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{owner} wants {_TYPES[name]}, got {array.dtype}")
    lead = array.shape[:-1]
    fits = array.shape[-1:] == tokens[-1:] and array.ndim <= len(tokens)
    if not fits or any(size not in (1, full) for size, full in zip(lead[::-1], tokens[-2::-1])):
        raise ValueError(f"{owner} of shape {array.shape} is not of the tokens {tokens}")


def check_states(name: str, array: Any, width: int) -> None:
    """Refuses states that are not ``[*B T D]`` floating point numbers. Raises ValueError."""
    _check_floating(name, array)
    if array.ndim < 2 or array.shape[-1] != width:
        raise ValueError(f"{name} wants [*B T D] with D = {width}, got {array.shape}")


def check_size(name: str, size: Any, least: int) -> None:
    """Refuses what is no whole number from ``least`` on. Raises ValueError."""
    if isinstance(size, bool) or not isinstance(size, numbers.Integral):
        raise ValueError(f"{name} must be a whole number, got {quoted(size)}")
    if size < least:
        raise ValueError(f"{name} must be >= {least}, got {size}")


def _check_heads(call: Call, N: int) -> None:
    if call.heads is None:
        if call.num_heads is not None:
            raise ValueError("call.num_heads is read where call.heads says which of them these are, and that is None")
        return
    _check_array("call.heads", call.heads)
    total = heads.total_heads(call, N)
    if not isinstance(total, int) or isinstance(total, bool) or not jnp.issubdtype(call.heads.dtype, jnp.integer):
        raise ValueError(f"call.heads and call.num_heads want whole numbers, got {call.heads.dtype} and {quoted(total)}")
    outside = (call.heads < 0) | (call.heads >= total)
    if not isinstance(outside, Tracer) and outside.any():
        raise ValueError(f"call.heads wants numbers in [0, {total}), got {np.asarray(call.heads)[outside][0]}")


def _check_floating(name: str, array: Any) -> None:
    _check_array(name, array)
    if array is not None and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} wants floating point numbers, got {array.dtype}")


def _check_array(name: str, given: Any) -> None:
    """Raises ValueError for what is no array, such as a list."""
    if given is not None and not (hasattr(given, "dtype") and hasattr(given, "shape")):
        raise ValueError(f"{name} wants an array, got {type(given).__name__}: give jnp.asarray(...)")


def check_switches() -> None:
    """Refuses the switches of JAX under which no attention can be computed. Raises ValueError."""
    switches = {
        "jax_debug_infs": (True, " stops at the -inf that stand for masked keys; jax_debug_nans finds what went wrong"),
        "jax_numpy_rank_promotion": ("raise", "='raise' forbids what masks and biases are spread by; 'warn' and 'allow' work"),
    }
    for name, (value, reason) in switches.items():
        if getattr(jax.config, name) == value:
            raise ValueError(name + reason)


def check_acts(parts: Parts, given: Mapping[str, str]) -> None:
    """Refuses an encoding that acts on embeddings, which attention never sees. Raises ValueError."""
    if parts.encoding.embed is not None:
        rest = " beside what it does to scores" if compatibility.needs_scores(parts.encoding) else ""
        raise ValueError(
            f"encoding={given['encoding']} acts on embeddings{rest}, and attend has none: it acts in a model "
            "(--config.model.encoding), or by its function on the embeddings, before they are projected"
        )


def check_positions(parts: Parts, call: Call, T: int, S: int, given: Mapping[str, str], *, apart: bool = False) -> None:
    """Refuses positions of one side alone, and of neither for other queries than keys, where a part reads them.

    ``apart``: whether the keys are known to be other tokens, however many. Raises ValueError.
    """
    missing = [call.q_positions is None, call.k_positions is None]
    if not any(missing) or (T == S and all(missing) and not apart):
        return
    for kind in compatibility.positional(parts):
        raise ValueError(
            f"{kind}={given[kind]} reads positions, and where {T} queries stand among {S} keys has to be said: give "
            "call=Call(q_positions=..., k_positions=...), or positions= and memory_positions= of a layer"
        )


def check_params(parts: Parts, params: Any, dims: Dims, unsaid: frozenset[str], given: Mapping[str, str]) -> None:
    """Refuses parameters that are not those of the parts: by name, shape and type.

    Args:
      parts: the records.
      params: what was given for them.
      dims: the sizes of the layer.
      unsaid: the fields of ``dims`` that are guesses; what goes by them may have any size.
      given: the spec of each kind.

    Raises:
      ValueError: naming the first that does not fit.
    """
    if not isinstance(params, Mapping):
        raise ValueError(f"params wants a dictionary with {_or(KINDS)}, got {type(params).__name__}")
    for kind in params:
        if kind not in KINDS:
            raise ValueError(f"params has no {kind!r}{nearest(str(kind), KINDS)}; it wants {_or(KINDS)}")
    for kind in KINDS:
        record = getattr(parts, kind)
        hooks = tuple(hook for hook in (getattr(record, "shared", None), record.init) if hook is not None)
        if hooks and kind not in params:
            raise ValueError(f"this {kind} has parameters: pass params={{'{kind}': ...}}, as its init and shared make them")
        check_tree(kind, given[kind], hooks, params.get(kind, {}), dims, unsaid)


def check_tree(
    kind: str, spec: str, hooks: tuple[Any, ...], found: Params, dims: Dims, unsaid: frozenset[str] = frozenset()
) -> None:
    """Refuses parameters of one kind that are not those that its ``hooks`` make. Raises ValueError."""
    place, owner, wanted = f"params[{kind!r}]", f"{kind}={spec}", _made(hooks, dims, unsaid)
    _check_names(place, owner, found, frozenset(wanted))
    _check_leaves(place, owner, _leaves(found), wanted)


def _check_names(place: str, owner: str, found: Params, wanted: frozenset[str]) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{place} wants a dictionary of the parameters of {owner}, got {type(found).__name__}")
    names = frozenset(_leaves(found))
    if not wanted and names:
        raise ValueError(f"{place} holds {_some(names)}, and {owner} has no parameters")
    for name in sorted(wanted - names):
        close = nearest(name, names - wanted)
        raise ValueError(f"{place} lacks {name!r} of {owner}, got {_some(names)}{close}")
    for name in sorted(names - wanted):
        raise ValueError(f"{place} holds {name!r}, which {owner} does not have{nearest(name, wanted)}; it has {_some(wanted)}")


def _check_leaves(place: str, owner: str, found: Mapping[str, Any], wanted: Mapping[str, tuple[int | str, ...]]) -> None:
    for name, shape in wanted.items():
        leaf = found[name]
        dtype, got = getattr(leaf, "dtype", type(leaf).__name__), np.shape(leaf)
        if not (isinstance(leaf, float) or (hasattr(leaf, "dtype") and jnp.issubdtype(dtype, jnp.floating))):
            raise ValueError(f"{place}: {name!r} of {owner} wants floating point numbers, got {dtype}")
        if len(got) != len(shape) or any(size != full for size, full in zip(got, shape) if not isinstance(full, str)):
            sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
            raise ValueError(f"{place}: {name!r} of {owner} wants the shape ({sizes}) for these heads, got {got}")


@functools.lru_cache(maxsize=256)
def _made(
    hooks: tuple[Callable[[jax.Array, Dims], Params], ...], dims: Dims, unsaid: frozenset[str]
) -> dict[str, tuple[int | str, ...]]:
    """The shapes of what ``init`` and ``shared`` make, found without computing; a size by an ``unsaid`` field is its name."""
    made = _shapes(hooks, dims)
    for field in sorted(unsaid):
        size = getattr(dims, field)
        others = _shapes(hooks, dims._replace(**{field: size // 2 if size > 1 else 2}))
        for name, shape in made.items():
            made[name] = tuple(
                full if isinstance(full, str) or full == size else field for full, size in zip(shape, others[name])
            )
    return made


def _shapes(hooks: tuple[Callable[[jax.Array, Dims], Params], ...], dims: Dims) -> dict[str, tuple[int | str, ...]]:
    made = jax.eval_shape(lambda: [hook(jax.random.key(0), dims) for hook in hooks])
    return {name: leaf.shape for tree in made for name, leaf in _leaves(tree).items()}


def _leaves(tree: Params) -> dict[str, Any]:
    named = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in named}


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"


def _some(names: frozenset[str]) -> str:
    """The names, the first few of many."""
    first = ", ".join(map(repr, sorted(names)[:6]))
    return (first or "nothing") + (", ..." if len(names) > 6 else "")
