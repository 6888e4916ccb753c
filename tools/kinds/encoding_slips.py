"""What the slips of ``docs/encodings.md`` do, in numbers that the library gives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tools.kinds.encoding_maps import T, added, code, init, normal
from tools.markdown import plain, table

WIDE = 64  # numbers per head, where no figure limits them


def _period() -> str:
    positions, rows = jnp.arange(512), []
    for D in (16, 64, 256):
        repeating, sinusoidal = (np.asarray(make(positions, D)) for make in (attention.sin_period_d, attention.sinusoidal))
        same = np.abs(repeating - repeating[0]).max(-1) < 1e-5
        rows.append([str(D), str(1 + int(np.argmax(same[1:]))), *map(_different, (repeating, sinusoidal))])
    return table(["D", "first repeat of position 0", "different codes of 512", "of `sinusoidal`"], rows)


def _different(codes: np.ndarray) -> str:
    """How many codes there are, to 5 decimals."""
    return str(len(np.unique(np.round(codes, 5) + 0.0, axis=0)))


def _layout() -> str:
    query, key = normal(1, 1, WIDE, seed=1), normal(1, 1, WIDE, seed=2)
    order = np.concatenate([np.arange(0, WIDE, 2), np.arange(1, WIDE, 2)])

    def score(q_layout: Any, k_layout: Any, i: int, permuted: bool = False) -> float:
        pair = zip((query, key), (i, i - 10), (q_layout, k_layout), strict=True)
        q, k = (attention.rope(x[..., order] if permuted else x, jnp.array([at]), layout=layout) for x, at, layout in pair)
        return float((q * k).sum())

    cases = {
        "both interleaved": ("interleaved", "interleaved"),
        "both half": ("half", "half"),
        "query interleaved, key half": ("interleaved", "half"),
        "both half, channels of both reordered": ("half", "half"),
    }
    rows = (
        [name, *plain([score(*pair, i, "reordered" in name) for i in (10, 11, 100, 1000)], 3)] for name, pair in cases.items()
    )
    return table(["score of positions", "10 and 0", "11 and 1", "100 and 90", "1000 and 990"], rows)


def _clamp() -> str:
    rows_of = jnp.arange(8.0)[:, None]
    rows = []
    for position in (6, 7, 8, 500):
        try:
            found = f"row {int(attention.look_up_positions(rows_of, jnp.array([position]))[0, 0])}"
        except ValueError as error:
            found = f"`ValueError: {error}`"
        traced = float(jax.jit(attention.look_up_positions)(rows_of, jnp.array([position]))[0, 0])
        shown = f"row {int(traced)}" if np.isfinite(traced) else "NaN"
        rows.append([str(position), f"row {int(rows_of[jnp.array([position])][0, 0])}", found, shown])
    return table(["position", "`table[position]` reads", "here", "here, under `jit`"], rows)


def _direction() -> str:
    x = normal(T, 64, seed=5)
    rows = []
    for spec, mask in (
        ("none", "full"),
        ("alibi", "full"),
        ("alibi", "causal"),
        ("alibi(form=asymmetric)", "full"),
        ("t5", "full"),
        ("rope", "full"),
    ):
        record = attention.build("encoding", spec)

        def pooled(x: jax.Array, record: attention.Encoding = record, mask: str = mask) -> jax.Array:
            heads = x.reshape(T, 4, 16)
            params = {"encoding": init(record)}
            return attention.attend(heads, heads, heads, encoding=record, mask=mask, params=params).mean(0)

        apart = jnp.abs(pooled(x) - pooled(x[::-1])).max()
        rows.append([f"`{spec}`", mask, "0.0000" if apart < 1e-5 else f"{apart:.4f}"])
    return table(["encoding", "mask", "largest change of the mean output when the text is reversed"], rows)


def _key_form() -> str:
    distance, by_key = attention.alibi_bias(jnp.array([2]), jnp.arange(5), jnp.array([0.5]))[0, 0], 0.5 * jnp.arange(5.0)
    rows = []
    for mask, where in (("full", jnp.ones(5, bool)), ("causal", jnp.arange(5) <= 2)):
        for name, normalize in (("softmax", attention.softmax), ("sigmoid", attention.sigmoid)):
            for form, bias in (("-m \\|i - j\\|", distance), ("+m j", by_key)):
                rows.append([mask, name, form, *plain(normalize(bias, where=where), 2)])
    return table(["mask", "normalizer", "bias", *(f"key {j}" for j in range(5))], rows)


def _inside() -> str:
    near, far = 2.0, -2.0
    weights = lambda scale: attention.softmax(jnp.array([near, far]) * scale)
    right = weights(1.0)
    rows = []
    for heads in (16, 64, 128):
        inside = weights(heads**-0.5)
        rows.append([str(heads), f"{right[0] / right[1]:.1f}", f"{inside[0] / inside[1]:.2f}"])
    return table(["H", "bias added after scaling", "bias inside (q·k + b)/√H"], rows)


def _terms() -> str:
    keys = 512
    draw = lambda *shape, seed: normal(*shape, WIDE, seed=seed)
    query, key = draw(8, seed=6), draw(keys, seed=7)
    of_query, of_key = draw(8, keys, seed=8), draw(8, keys, seed=9)
    product = lambda x, y: jnp.einsum("...h,...h->...", x, y)
    total = query @ key.T + product(query[:, None], of_query) + product(key[None], of_key)
    rows = []
    for name, terms in (("1/√(3H), three terms", 3), ("1/√H, three terms", 1)):
        weights = attention.softmax(total / np.sqrt(terms * WIDE))
        kept = jnp.exp(-(weights * jnp.log(weights)).sum(-1)).mean()
        rows.append([name, f"{total.std() / np.sqrt(terms * WIDE):.2f}", f"{kept:.0f}", f"{weights.max(-1).mean():.3f}"])
    return table(["scale", "standard deviation of scores", "e^entropy of 512 keys", "largest weight"], rows)


def _far() -> str:
    frequencies, rows = attention.rope_frequencies(WIDE)[0], []
    for position in (1_000, 100_000, 1_000_000, 10_000_000):
        true = np.exp(1j * position * frequencies)
        product = np.float32(position) * frequencies.astype(np.float32)
        rounded = np.float32(jnp.bfloat16(position)) * frequencies.astype(np.float32)
        found = attention.rope(jnp.tile(jnp.array([1.0, 0.0]), WIDE // 2)[None, None], jnp.array([position]))[0, 0]
        ours = np.asarray(found, np.float64)[0::2] + 1j * np.asarray(found, np.float64)[1::2]
        angles = (np.exp(1j * each.astype(np.float64)) for each in (rounded, product))
        rows.append([f"{position:,}", *(_power(np.abs(each - true).max()) for each in (*angles, ours))])
    return table(["position", "positions in bfloat16", "float32 product", "here"], rows)


def _power(value: float) -> str:
    """One digit: enough to see the size of an error, and the same on every machine."""
    return f"{value:.1f}" if value >= 0.1 else f"below {10.0 ** np.ceil(np.log10(value)):.0e}"


def _norms() -> str:
    D = 256
    size = float(jnp.linalg.norm(attention.sinusoidal(jnp.arange(1), D)))
    rows = []
    for name, deviation in (("N(0, 0.02)", 0.02), ("N(0, 0.02), times √D", 0.02 * D**0.5), ("N(0, 1/√D), times √D: here", 1.0)):
        word = deviation * D**0.5
        rows.append([name, f"{word:.2f}", f"{size:.2f}", f"{size / word:.2f}"])
    return table(["embeddings, D = 256", "size of a word", "size of a position", "ratio"], rows)


def _layer_norm() -> str:
    word, rows = normal(64, seed=11), []
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    for spec in ("sin_half_period", "sin_cos_sum", "linear", "index", "sinusoidal"):
        found = code(spec)
        seen = norm(word + found)
        rows.append([f"`{spec}`", *(f"{float(jnp.ptp(each, axis=0).max()):.2f}" for each in (found, seen))])
    return table(["code", "it moves a channel by", "after layer norm"], rows)


def _symmetric() -> str:
    rows = []
    for spec in ("alibi", "alibi(form=asymmetric)", "kerple", "t5", "tisa"):
        found = added(spec)[0]
        rows.append([f"`{spec}`", *plain([found[32, 32 + step] for step in (-4, -1, 0, 1, 4)], 3)])
    return table(["head 1", "Δ = 4", "Δ = 1", "Δ = 0", "Δ = -1", "Δ = -4"], rows)


SLIPS: dict[str, Callable[[], str]] = {
    "period": _period,
    "layout": _layout,
    "clamp": _clamp,
    "direction": _direction,
    "key_form": _key_form,
    "inside": _inside,
    "terms": _terms,
    "far": _far,
    "norms": _norms,
    "layer_norm": _layer_norm,
    "symmetric": _symmetric,
}
