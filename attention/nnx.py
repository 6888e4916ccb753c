"""Multi-head attention for Flax NNX, in place of its own layer, with the parts of this package."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attention import compatibility, module_inputs, projected
from attention.attention_fn import Told, as_attention_fn, part_of
from attention.layer import KINDS, Layer
from attention.records import Encoding, Mask, Normalizer, Params, Score, merged

UNSAID = "No `deterministic` argument was given, as an argument of the call, of the constructor or by nnx.view"


class MultiHeadAttention(nnx.MultiHeadAttention):
    """``nnx.MultiHeadAttention``, with an encoding, a score, a normalizer and a mask.

    Parameters have the framework's names and shapes; those of the parts stand beside them, as ``encoding``, ``normalizer`` and
    ``score``, and parts without any have none. In a cache positions are its index, and ``memory_valid`` and the like are of all
    of its ``[*B L]`` places; past its end the output is NaN, and where that is known without running it, an error.

    Args:
      num_heads, in_features, qkv_features, out_features, num_kv_heads, in_kv_features, rngs, options: those of
        ``nnx.MultiHeadAttention``, but ``attention_fn``.
      encoding: spec or record; one that acts on embeddings is for ``PositionalEncoding``.
      score, normalizer, mask: specs or records.
      kernel: spec of the kernel; ``dense`` drops what the framework drops, bit by bit.
      max_length: the longest sequence, for parts with a table of positions.
      layer: the 0-based number of the layer, for ``every`` and ``differential``; under ``nnx.scan`` the same for all.
      layers: how many there are.
      shared: the module that owns what the layers share, such as T5's table; or True where calls give it.

    Raises:
      ValueError: for arrays, specs or parts that do not fit, and, where a part is another in training, as the framework for
        dropout.

    Example:
      >>> parts = {"encoding": "alibi", "normalizer": "entmax15"}
      >>> layer = attention.nnx.MultiHeadAttention(8, 512, decode=False, **parts, rngs=nnx.Rngs(0))
      >>> y = layer(x, valid=lengths[:, None] > jnp.arange(x.shape[1]))

    Deviations: softmax is float32 whatever the type, as are the weights that are sown; a query without an allowed key gets
    zeros, not the mean of all values; ``precision`` is honoured without dropout, too; a mask of one head goes with
    ``is_causal``, which changes nothing in a cache.
    """

    def __init__(
        self,
        num_heads: int,
        in_features: int,
        qkv_features: int | None = None,
        out_features: int | None = None,
        num_kv_heads: int | None = None,
        in_kv_features: int | None = None,
        *,
        rngs: nnx.Rngs,
        encoding: str | Encoding = "none",
        score: str | Score = "scaled_dot",
        normalizer: str | Normalizer = "softmax",
        mask: str | Mask = "full",
        kernel: str = "auto",
        max_length: int | None = None,
        layer: int = 0,
        layers: int = 1,
        shared: "MultiHeadAttention | bool | None" = None,
        **options: Any,
    ):
        if "attention_fn" in options:
            raise ValueError("attention_fn is what this module is in place of: give it to the framework's own layer")
        super().__init__(num_heads, in_features, qkv_features, out_features, num_kv_heads, in_kv_features, rngs=rngs, **options)
        specs: dict[str, Any] = {"encoding": encoding, "score": score, "normalizer": normalizer, "mask": mask, "kernel": kernel}
        specs |= {"max_length": max_length, "number": layer, "layers": layers}
        part = part_of(self.num_heads, self.num_kv_heads, self.head_dim, in_features, **specs)  # refuses before NNX does
        self.specs = tuple(specs.items())
        if compatibility.by_mode(part.parts) and self.rngs is None and options.get("keep_rngs", True):
            self.rngs = nnx.data(rngs.dropout.fork())
        self.takes_shared = shared is True
        made = _made(part.own if shared else part.init, rngs, self.param_dtype)
        if shared and not self.takes_shared:
            made = merged(_owned(part, shared), made)
        for kind, tree in made.items():
            setattr(self, kind, nnx.data(tree))

    def __call__(
        self,
        inputs_q: jax.Array,
        inputs_k: jax.Array | None = None,
        inputs_v: jax.Array | None = None,
        *,
        mask: jax.Array | None = None,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        sow_weights: bool = False,
        decode: bool | None = None,
        is_causal: bool = False,
        out_sharding: Any = None,
        qkv_sharding: Any = None,
        bias: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        memory_valid: jax.Array | None = None,
        memory_positions: jax.Array | None = None,
        memory_segments: jax.Array | None = None,
        shared: Mapping[str, Params] | None = None,
    ) -> jax.Array:
        """Attends, from the queries' inputs to themselves or to others.

        Args:
          inputs_q, inputs_k, inputs_v, mask, deterministic, rngs, sow_weights, decode, is_causal, out_sharding, qkv_sharding:
            as of the framework's layer. Keys that are another object than ``inputs_q`` are other tokens, of which nothing is
            guessed.
          bias: float ``[*#B #N #T #S]``, added to the scores.
          valid: bool ``[*#B T]``, False at padding, where nothing is read.
          positions: whole numbers ``[*#B T]``; None for 0, 1, ..., in a cache for its index.
          segments: whole numbers ``[*#B T]``, the document of each token of a packed row, for ``mask="document"``.
          memory_valid, memory_positions, memory_segments: of the keys ``[*#B S]``, where ``inputs_k`` or a cache has others.
          shared: what the layers share, as ``attention.Layer.shared`` makes it, for a module made with ``shared=True``.

        Returns:
          ``[*B T out_features]``.
        """
        part, stepping = self._part, self.decode if decode is None else decode
        train = _trains(part, deterministic, self.deterministic)
        if self.takes_shared and shared is None:
            raise ValueError("shared=True says that calls give what layers share: shared={'encoding': ...}")
        own = {"valid": valid, "positions": positions, "segments": segments}
        memory = {"valid": memory_valid, "positions": memory_positions, "segments": memory_segments}
        place = self._place() if stepping else None
        module_inputs.check_mask(mask)
        given, sides, key_sides = module_inputs.of_flax(part, (inputs_q, inputs_k, inputs_v), own, memory, place)
        told = Told(
            params=merged(_values(shared or {}), _values(_of_parts(self))),
            x=given[0],
            bias=bias,
            sides=sides,
            key_sides=key_sides,
            place=None if place is None else lambda: place.at,
            rng=_key(self.rngs if rngs is None else rngs) if train and not self.dropout_rate > 0 else None,
            train=train,
            sow=self.sow,
        )
        theirs = object.__new__(nnx.MultiHeadAttention)  # this layer as the framework's, with another function for this call
        vars(theirs).update(vars(self), attention_fn=as_attention_fn(lambda query, key: part, told))
        options: dict[str, Any] = {"mask": mask, "deterministic": deterministic, "rngs": rngs, "sow_weights": sow_weights}
        options |= {"decode": decode, "is_causal": is_causal, "out_sharding": out_sharding, "qkv_sharding": qkv_sharding}
        return module_inputs.within(theirs(*given, **options), place)

    def _place(self) -> module_inputs.Place:
        if self.cache_index is None or self.cached_key is None:
            raise ValueError("there is no cache yet: call init_cache first")
        return module_inputs.Place(self.cache_index[...], self.cached_key.shape[-3])

    @property
    def _part(self) -> Layer:
        return part_of(self.num_heads, self.num_kv_heads, self.head_dim, self.in_features, **dict(self.specs))


class PositionalEncoding(nnx.Module):
    """An encoding that acts on embeddings, before the first layer of attention.

    Args:
      encoding: spec or record: ``sinusoidal``, ``learned``, ...
      features: D, channels of the embeddings.
      max_length: the longest sequence, for a table of positions.
      vocab_size: number of token ids, for encodings with a vector for each.
      deterministic: whether this is no training, for encodings that draw; here, in the call or by ``nnx.view``.
      param_dtype: type of the parameters.
      rngs: keys of parameters, and of encodings that draw.

    Example:
      >>> encode = attention.nnx.PositionalEncoding("learned", 512, max_length=128, rngs=nnx.Rngs(0))
      >>> x = encode(x, valid=valid)
    """

    def __init__(
        self,
        encoding: str | Encoding,
        features: int,
        *,
        max_length: int | None = None,
        vocab_size: int | None = None,
        deterministic: bool | None = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.specs, self.deterministic = (features, encoding, max_length, vocab_size), deterministic
        part = projected.embedder(*self.specs)
        self.rngs = rngs.dropout.fork() if compatibility.by_mode(part.parts) else None
        for kind, tree in _made(part.init, rngs, param_dtype).items():
            setattr(self, kind, nnx.data(tree))

    def __call__(
        self,
        x: jax.Array,
        tokens: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> jax.Array:
        """``x`` ``[*B T D]`` with what the encoding adds; the others are ``[*#B T]``, as of ``MultiHeadAttention``."""
        part = projected.embedder(*self.specs)
        train = _trains(part, deterministic, self.deterministic)
        options = {"rng": _key(self.rngs if rngs is None else rngs) if train else None, "train": train, "tokens": tokens}
        return part.embed(_values(_of_parts(self)), x, valid=valid, positions=positions, segments=segments, **options)

    def set_view(self, deterministic: bool | None = None):
        """Sets the mode, for ``nnx.view``.

        Args:
          deterministic: whether this is no training.
        """
        if deterministic is not None:
            self.deterministic = deterministic


def _made(make: Callable[[jax.Array], dict[str, Params]], rngs: nnx.Rngs, dtype: Any) -> dict[str, Any]:
    """Parameters of each kind; what has none draws no key, so that others start as they would without it."""
    if not jax.eval_shape(make, jax.random.key(0)):
        return {}
    return jax.tree.map(lambda leaf: nnx.Param(leaf.astype(dtype)), make(rngs.params()))


def _trains(part: Layer, *deterministic: bool | None) -> bool:
    """Whether parts have to act as in training. Raises ValueError where that matters and nobody says."""
    return compatibility.by_mode(part.parts) and not nnx.module.first_from(*deterministic, error_msg=UNSAID)


def _of_parts(module: nnx.Module) -> dict[str, Any]:
    """The parameters of parts that a module has."""
    return {kind: getattr(module, kind) for kind in KINDS if hasattr(module, kind)}


def _owned(part: Layer, owner: Any) -> dict[str, Params]:
    """What layers share, of the module that owns it. Raises ValueError where that is none, or of another kind or size."""
    if not isinstance(owner, MultiHeadAttention):
        raise ValueError(f"shared wants an attention.nnx.MultiHeadAttention, or True, got {type(owner)}")
    wanted, encoding = jax.eval_shape(part.shared, jax.random.key(0)), part.given["encoding"]
    if not wanted:
        raise ValueError(f"encoding={encoding} has nothing that layers share: leave shared out")
    its = f"and the one given has {owner.num_heads} heads and encoding={owner._part.given['encoding']}"
    try:
        found = projected.shared_of(part, _of_parts(owner))
    except ValueError:
        its += ", whose calls give what is shared" if owner.takes_shared else ""
        raise ValueError(f"shared wants a module that owns the table of encoding={encoding}, {its}") from None
    if [leaf.shape for leaf in jax.tree.leaves(found)] != [leaf.shape for leaf in jax.tree.leaves(wanted)]:
        raise ValueError(f"shared wants a module of {part.dims.num_heads} heads with encoding={encoding}, {its}")
    return found


def _values(tree: Any) -> Any:
    is_variable = lambda leaf: isinstance(leaf, nnx.Variable)
    return jax.tree.map(lambda leaf: leaf[...] if is_variable(leaf) else leaf, tree, is_leaf=is_variable)


def _key(rngs: Any) -> jax.Array:
    if rngs is None:
        raise ValueError("a part draws in training, and this layer keeps no rngs: give rngs to the call")
    return (rngs.dropout if isinstance(rngs, nnx.Rngs) else rngs)()
