"""Multi-head attention for Flax Linen, in place of its own layer, with the parts of this package."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from attention import compatibility, module_inputs, projected
from attention.attention_fn import Told, as_attention_fn, part_of
from attention.layer import Layer
from attention.records import Encoding, Mask, Normalizer, Params, Score, merged

THEIRS = nn.MultiHeadDotProductAttention
_FIELDS = [field.name for field in dataclasses.fields(THEIRS) if field.name not in ("attention_fn", "parent", "name")]


class MultiHeadAttention(THEIRS, kw_only=True):
    """``nn.MultiHeadDotProductAttention``, with an encoding, a score, a normalizer and a mask.

    Parameters have the framework's names and shapes; those of the parts stand beside them, under "encoding", "score" and
    "normalizer", and parts without any have none. In a cache positions are its index, and ``memory_valid`` and the like are of
    all of its ``[*B L]`` places; past its end the output is NaN, and where that is known without running it, an error.

    Args:
      num_heads, dtype, param_dtype, ...: those of ``nn.MultiHeadDotProductAttention``, but ``attention_fn``.
      encoding: spec or record; one that acts on embeddings is for ``PositionalEncoding``.
      score, normalizer, mask: specs or records.
      kernel: spec of the kernel; ``dense`` drops what the framework drops, bit by bit.
      max_length: the longest sequence, for parts with a table of positions.
      layer: the 0-based number of the layer, for ``every`` and ``differential``; under ``nn.scan`` the same for all.
      layers: how many there are.
      shared: the module, called before, that owns what the layers share, such as T5's table.

    Returns:
      ``[*B T out_features]``.

    Raises:
      ValueError: for arrays, specs or parts that do not fit, and, where a part is another in training, as the framework for
        dropout.

    Example:
      >>> layer = attention.linen.MultiHeadAttention(num_heads=8, encoding="alibi", normalizer="entmax15")
      >>> variables = layer.init(jax.random.key(0), x)
      >>> y = layer.apply(variables, x, valid=lengths[:, None] > jnp.arange(x.shape[1]))

    Deviations: softmax is float32 whatever the type, as are the weights that are sown; a query without an allowed key gets
    zeros, not the mean of all values.
    """

    encoding: str | Encoding = "none"
    score: str | Score = "scaled_dot"
    normalizer: str | Normalizer = "softmax"
    mask: str | Mask = "full"
    kernel: str = "auto"
    max_length: int | None = None
    layer: int = 0
    layers: int = 1
    shared: nn.Module | None = None

    @nn.compact
    def __call__(
        self,
        inputs_q: jax.Array,
        inputs_k: jax.Array | None = None,
        inputs_v: jax.Array | None = None,
        *,
        inputs_kv: jax.Array | None = None,
        mask: jax.Array | None = None,
        deterministic: bool | None = None,
        dropout_rng: jax.Array | None = None,
        sow_weights: bool = False,
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
          inputs_q, inputs_k, inputs_v, inputs_kv, mask, deterministic, dropout_rng, sow_weights: as of the framework's layer.
            Keys that are another object than ``inputs_q`` are other tokens, of which nothing is guessed.
          bias: float ``[*#B #N #T #S]``, added to the scores.
          valid: bool ``[*#B T]``, False at padding, where nothing is read.
          positions: whole numbers ``[*#B T]``; None for 0, 1, ..., in a cache for its index.
          segments: whole numbers ``[*#B T]``, the document of each token of a packed row, for ``mask="document"``.
          memory_valid, memory_positions, memory_segments: of the keys ``[*#B S]``, where ``inputs_k`` or a cache has others.
          shared: what the layers share, as ``attention.Layer.shared`` makes it; then these parameters are not this module's.
        """
        part = self._part(inputs_q.shape[-1])
        stepping = self.decode and self.has_variable("cache", "cached_key")
        train = compatibility.by_mode(part.parts) and not nn.merge_param("deterministic", self.deterministic, deterministic)
        if train and dropout_rng is None:
            dropout_rng = self.make_rng("dropout")
        own = {"valid": valid, "positions": positions, "segments": segments}
        memory = {"valid": memory_valid, "positions": memory_positions, "segments": memory_segments}
        place = self._place() if stepping else None
        module_inputs.check_mask(mask)
        others = inputs_k if inputs_kv is None else inputs_kv
        given, sides, key_sides = module_inputs.of_flax(part, (inputs_q, others, inputs_v), own, memory, place)
        told = Told(
            params=self._params(part, shared),
            x=given[0],
            bias=bias,
            sides=sides,
            key_sides=key_sides,
            place=None if place is None else lambda: place.at,
            rng=dropout_rng,
            train=train,
        )
        fields = {name: getattr(self, name) for name in _FIELDS}
        theirs = THEIRS(**fields, attention_fn=as_attention_fn(lambda query, key: part, told))
        nn.share_scope(self, theirs)
        options: dict[str, Any] = {"mask": mask, "dropout_rng": dropout_rng, "sow_weights": sow_weights}
        options |= {"deterministic": deterministic}
        if inputs_kv is not None:  # the framework says what it has to say of it
            given, options["inputs_kv"] = (given[0], inputs_k, inputs_v), given[1]
        return module_inputs.within(theirs(*given, **options), place)

    def _place(self) -> module_inputs.Place:
        return module_inputs.Place(
            self.get_variable("cache", "cache_index"), self.get_variable("cache", "cached_key").shape[-3]
        )

    def _part(self, width: int) -> Layer:
        if self.attention_fn is not THEIRS.attention_fn:
            raise ValueError("attention_fn is what this module is in place of: give it to the framework's own layer")
        specs = {"encoding": self.encoding, "score": self.score, "normalizer": self.normalizer, "mask": self.mask}
        sizes: dict[str, Any] = {"max_length": self.max_length, "number": self.layer, "layers": self.layers}
        N, features = self.num_heads, self.qkv_features or width
        return part_of(N, N, features // N, width, **specs, kernel=self.kernel, **sizes)

    def _params(self, part: Layer, shared: Mapping[str, Params] | None) -> dict[str, Params]:
        """Of the parts, with what is shared."""
        if shared is not None and self.shared is not None:
            raise ValueError("shared is given to the call and to the constructor: one of them")
        if self.shared is not None:
            shared = projected.shared_of(part, self.shared.variables.get("params", {}))
        return merged(shared or {}, _made(self, part.init if shared is None else part.own, self.param_dtype))


class MultiHeadDotProductAttention(MultiHeadAttention):
    """``MultiHeadAttention`` by the framework's longer name, after which Linen names the parameters of a model."""


class PositionalEncoding(nn.Module):
    """An encoding that acts on embeddings, before the first layer of attention.

    Args:
      encoding: spec or record: ``sinusoidal``, ``learned``, ...
      max_length: the longest sequence, for a table of positions.
      vocab_size: number of token ids, for encodings with a vector for each.
      deterministic: whether this is no training, for encodings that draw; here or in the call.
      param_dtype: type of the parameters.

    Example:
      >>> x = attention.linen.PositionalEncoding("learned", max_length=512)(x, valid=valid)
    """

    encoding: str | Encoding
    max_length: int | None = None
    vocab_size: int | None = None
    deterministic: bool | None = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        tokens: jax.Array | None = None,
        valid: jax.Array | None = None,
        positions: jax.Array | None = None,
        segments: jax.Array | None = None,
        *,
        deterministic: bool | None = None,
    ) -> jax.Array:
        """``x`` ``[*B T D]`` with what the encoding adds; the others are ``[*#B T]``, as of ``MultiHeadAttention``."""
        part = projected.embedder(x.shape[-1], self.encoding, self.max_length, self.vocab_size)
        train = compatibility.by_mode(part.parts) and not nn.merge_param("deterministic", self.deterministic, deterministic)
        params = _made(self, part.init, self.param_dtype)
        rng = self.make_rng("dropout") if train else None
        sides = {"valid": valid, "positions": positions, "segments": segments}
        return part.embed(params, x, tokens=tokens, **sides, rng=rng, train=train)


def _made(module: nn.Module, make: Callable[[jax.Array], dict[str, Params]], dtype: Any) -> dict[str, Params]:
    """Parameters of the module, one for each kind that ``make`` makes."""
    cast = lambda tree: jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
    return {
        kind: module.param(kind, lambda rng, kind=kind: cast(make(rng)[kind]))
        for kind in jax.eval_shape(make, jax.random.key(0))
    }
