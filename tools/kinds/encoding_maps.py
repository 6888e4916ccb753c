"""The numbers behind the figures of ``docs/encodings.md``, all from the library itself."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import positioned

T, N, H = 64, 4, 16  # tokens, heads, numbers per head
D = N * H
LONG = 256  # distances that curves of rotations reach
UNSEEN = -1e30
DIMS = attention.Dims(N, N, H, D, num_layers=8, max_length=T, vocab_size=11)
QUERIES = (16, 48)  # whose similarities with all keys are drawn
# Keeps the scores in place of weights, and says where none are allowed.
SCORES = attention.Normalizer(
    apply=lambda params, scores, mask, call: scores if mask is None else jnp.where(mask, scores, UNSEEN), row_sum="any"
)


class Image(NamedTuple):
    """A matrix with its first row on top; NaN is drawn grey. Colours reach to ``limit``, or to the largest value."""

    title: str
    values: np.ndarray
    across: str = "key"
    down: str = "query"
    limit: float | None = None


class Lines(NamedTuple):
    """Curves over one axis, and how far down the axis of their values reaches."""

    title: str
    across: str
    x: np.ndarray
    curves: dict[str, np.ndarray]
    lowest: float | None = None


Panel = Image | Lines
Change = Callable[[Any], Any]


def normal(*shape: int, seed: int = 0) -> jax.Array:
    """The same standard normal numbers each time."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def init(record: attention.Encoding, dims: attention.Dims = DIMS, layer: int = 0) -> Any:
    """Parameters (shared, own) at the start."""
    rngs = jax.random.split(jax.random.key(0))
    return record.init(rngs[0], dims._replace(layer=None)), record.init(rngs[1], dims._replace(layer=layer))


def tokens(kind: str) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries, keys and the layer's input: all ``zero``, all ``alike`` (ones), or ``random``."""
    if kind == "random":
        return normal(T, N, H, seed=1), normal(T, N, H, seed=2), normal(T, D, seed=3)
    value = {"zero": 0.0, "alike": 1.0}[kind]
    return jnp.full((T, N, H), value), jnp.full((T, N, H), value), jnp.full((T, D), value)


def scores(
    spec: str, kind: str = "zero", *, change: Change = lambda params: params, layer: int = 0, call: attention.Call | None = None
) -> np.ndarray:
    """The scores ``[N T T]`` of some tokens in one layer; NaN where a key is not seen."""
    record = attention.build("encoding", spec)
    query, key, x = tokens(kind)
    call = dataclasses.replace(call or attention.Call(), max_length=T, layer=layer)
    params = {"encoding": change(init(record, layer=layer))}
    mask = "causal" if record.needs_causal else "full"
    options = {"normalizer": SCORES, "mask": mask, "params": params, "x": x, "call": call, "kernel": "dense"}
    _, found = attention.attend(query, key, key, encoding=record, return_weights=True, **options)
    return np.where(np.asarray(found) < 0.1 * UNSEEN, np.nan, np.asarray(found))


def added(spec: str, kind: str = "zero", **options: Any) -> np.ndarray:
    """What an encoding adds to the scores ``[N T T]``, beside the scaled product of queries and keys."""
    query, key, _ = map(np.asarray, tokens(kind))
    terms = attention.build("encoding", spec).terms
    return scores(spec, kind, **options) - np.einsum("tnh,snh->nts", query, key) / np.sqrt(terms * H)


def code(spec: str, x: float = 0.0, call: attention.Call | None = None) -> np.ndarray:
    """What embeddings of ``x`` become, ``[T D]``."""
    record = attention.build("encoding", spec)
    params, call = init(record), dataclasses.replace(call or attention.Call(), max_length=T)
    moved = positioned(record, params, call, (T,), (T,))
    return np.asarray(record.embed(params, jnp.full((T, D), x), jnp.ones(T, jnp.int32), moved))


def turned(spec: str, at: np.ndarray, change: Change = lambda params: params) -> tuple[np.ndarray, np.ndarray]:
    """Ones turned to the positions ``at``, ``[A H]``, and their scores with ones at position 0, ``[A]``; of the first head."""
    record = attention.build("encoding", spec)
    call = attention.Call(q_positions=jnp.asarray(at), k_positions=jnp.zeros(1, jnp.int32), max_length=T)
    query, key = record.rotate(change(init(record)), jnp.ones((len(at), N, H)), jnp.ones((1, N, H)), call)
    return np.asarray(query[:, 0]), np.asarray(query[:, 0] @ key[0, 0]) / np.sqrt(H)


def by_distance(matrix: np.ndarray) -> np.ndarray:
    """A matrix that depends on the distance alone as a row: of distances ``1-T .. T-1``, query minus key."""
    return np.concatenate([matrix[0, :0:-1], matrix[-1, ::-1]])


DISTANCES = np.arange(1 - T, T)


def _heads(values: np.ndarray, heads: tuple[int, ...] = (1, 2, 3, 4)) -> dict[str, np.ndarray]:
    return {f"head {h}": by_distance(values[h - 1]) for h in heads}


def _of_distance(title: str, curves: dict[str, np.ndarray], lowest: float | None = None) -> Lines:
    return Lines(title, "query minus key", DISTANCES, curves, lowest)


def _rows(title: str, matrix: np.ndarray) -> Lines:
    return Lines(title, "key", np.arange(T), {f"query {i}": matrix[i] for i in QUERIES})


def codes(spec: str, x: float = 0.0, label: str = "the code") -> tuple[Panel, ...]:
    """Of what acts on embeddings: the code, and how alike the codes of two positions are."""
    found = code(spec, x)
    alike = found @ found.T
    return (
        Image(label, found, "channel", "position"),
        Image("similarity, p_i · p_j", alike),
        _rows("rows of the similarity", alike),
    )


def rotations(spec: str, others: dict[str, str]) -> tuple[Panel, ...]:
    """Of rotations: a vector of ones turned, the scores of ones with ones, and those over longer distances."""
    curves = {label: turned(other, np.arange(LONG))[1] for label, other in others.items()}
    return (
        Image("ones, turned", turned(spec, np.arange(T))[0], "channel", "position"),
        Image("scores of equal tokens", scores(spec, "alike")[0]),
        Lines("score by distance", "query minus key", np.arange(LONG), curves),
    )


def contents(spec: str, change: Change = lambda params: params, heads: tuple[int, ...] = (1, 2)) -> tuple[Panel, ...]:
    """Of what reads queries, keys or scores: what it adds for random tokens, and for tokens that are all alike."""
    alike, first = added(spec, "alike", change=change), heads[0] - 1
    return (
        Image("added: random tokens", added(spec, "random", change=change)[first]),
        Image("added: equal tokens", alike[first]),
        _of_distance("equal tokens, by distance", _heads(alike, heads)),
    )


def moved(spec: str, *, beside: bool = False, draws: int = 3) -> Lines:
    """Positions in some draws of training, and in evaluation; or how far the draws are ``beside`` those of evaluation."""
    base = _positions(spec, EVALUATION)
    found = {f"draw {draw + 1}": _positions(spec, TRAINING(draw)) for draw in range(draws)}
    if beside:
        return Lines("moved in training by", "token", np.arange(T), {each: found[each] - base for each in found})
    return Lines("positions given to tokens", "token", np.arange(T), {"evaluation": base, **found})


EVALUATION = attention.Call(rng=jax.random.key(9))
TRAINING = lambda draw: attention.Call(train=True, rng=jax.random.key(draw))


def _positions(spec: str, call: attention.Call) -> np.ndarray:
    record = attention.build("encoding", spec)
    found = positioned(record, init(record), call, (T,), (T,)).q_positions
    return np.arange(T) if found is None else np.asarray(found)


def _augmented(spec: str, beside: bool) -> tuple[Panel, ...]:
    """Of what moves positions of sinusoids: how far, and the code in evaluation and in training."""
    shown = lambda label, call: Image(label, code(spec, call=call), "channel", "position")
    return moved(spec, beside=beside), shown("code, evaluation", EVALUATION), shown("code, draw 1", TRAINING(0))


def _randomized() -> tuple[Panel, ...]:
    drawn = scores("randomized", "alike", call=EVALUATION)[0]
    return moved("randomized"), Image("scores of equal tokens", drawn), Image("rope itself", scores("rope", "alike")[0])


def _none() -> tuple[Panel, ...]:
    ones = jnp.ones((T, 1, 1))
    weigh = lambda mask: np.asarray(attention.attend(ones, ones, ones, mask=mask, return_weights=True)[1][0])
    full, causal = weigh("full"), weigh("causal")
    return (
        Image("weights of equal tokens", full, limit=0.25),
        Image("the same, causal mask", np.where(causal == 0, np.nan, causal), limit=0.25),
        Lines("weight of the first token", "query", np.arange(T), {"causal": causal[:, 0], "full": full[:, 0]}),
    )


def _cpe() -> tuple[Panel, ...]:
    record = attention.build("encoding", "cpe")
    params, call = init(record), attention.Call()
    kernel = np.asarray(params[0]["kernel"])
    of_ones = np.asarray(record.embed(params, jnp.ones((T, D)), jnp.ones(T, jnp.int32), call)) - 1.0
    here = np.arange(T)
    into = np.zeros((T, T))
    for step, weight in zip((-1, 0, 1), kernel[:, 0], strict=True):
        inside = (here + step >= 0) & (here + step < T)
        into[here[inside], here[inside] + step] = weight
    return (
        Image("the kernel", kernel, "channel", "tap"),
        Image("what a token gets, channel 0", into, "from token", "token"),
        Lines("of equal tokens", "token", here, {f"channel {c}": of_ones[:, c] for c in (0, 2, 4)}),
    )


def _alibi() -> tuple[Panel, ...]:
    symmetric = added("alibi")
    return (
        Image("head 1, symmetric", symmetric[0]),
        Image("head 1, split_heads", added("alibi(form=split_heads)")[0]),
        _of_distance("symmetric, by distance", _heads(symmetric), lowest=-20.0),
    )


def _t5() -> tuple[Panel, ...]:
    found, distance = added("t5"), jnp.arange(T)[None] - jnp.arange(T)[:, None]
    return (
        Image("buckets", np.asarray(attention.t5_buckets(distance))),
        Image("head 1, at the start", found[0]),
        _of_distance("by distance", _heads(found, (1, 2))),
    )


def _kerple() -> tuple[Panel, ...]:
    log, power = added("kerple"), added("kerple(form=power)")
    curves = {f"log, head {h}": by_distance(log[h - 1]) for h in (1, 2)}
    curves |= {f"power, head {h}": by_distance(power[h - 1]) for h in (1, 2)}
    return Image("log, head 1", log[0]), Image("power, head 1", power[0]), _of_distance("by distance", curves)


def _of_heads(spec: str, heads: tuple[int, ...] = (1, 2, 3, 4)) -> tuple[Panel, ...]:
    found, last = added(spec), heads[-1]
    return Image("head 1", found[0]), Image(f"head {last}", found[last - 1]), _of_distance("by distance", _heads(found, heads))


def _beside_itself(values: np.ndarray) -> np.ndarray:
    """A bias less that of the query's own key: what softmax sees of it."""
    return values - np.diagonal(values, axis1=-2, axis2=-1)[..., None]


def _fire() -> tuple[Panel, ...]:
    found = _beside_itself(added("fire(threshold=16)", change=_sharper)[0])
    i, j = np.arange(T)[:, None], np.arange(T)[None]
    share = attention.fire_share(jnp.asarray(i - j), jnp.maximum(i, T - 1 - i), jnp.asarray(0.1), jnp.asarray(16.0))
    return (
        Image("the share f reads", np.asarray(share)),
        Image("head 1, less Δ = 0", found),
        _rows("rows of head 1", found),
    )


def _sharper(params: Any) -> Any:
    """FIRE's parameters with a network four times as large."""
    return params[0], {**params[1], "mlp": jax.tree.map(lambda leaf: 4.0 * leaf, params[1]["mlp"])}


def _larger(factor: float) -> Change:
    """The layer's own parameters so many times as large, where those of the start would show nothing."""
    return lambda params: (params[0], jax.tree.map(lambda leaf: factor * leaf, params[1]))


def _cpb() -> tuple[Panel, ...]:
    swin, nlp = (_beside_itself(each) for each in (added("cpb", change=_larger(12.0)), added("cpb(form=nlp)")))
    curves = {f"swin, head {h}": by_distance(swin[h - 1]) for h in (1, 2)}
    curves |= {f"nlp, head {h}": by_distance(nlp[h - 1]) for h in (1, 2)}
    return (
        Image("swin, head 1, less Δ = 0", swin[0]),
        Image("nlp, head 1, less Δ = 0", nlp[0]),
        _of_distance("by distance, less Δ = 0", curves),
    )


def _gaussian() -> tuple[Panel, ...]:
    found = added("gaussian")
    return (
        Image("head 1", found[0], limit=20.0),
        Image("head 2", found[1], limit=20.0),
        _of_distance("by distance", _heads(found), lowest=-20.0),
    )


def _rel_matrix() -> tuple[Panel, ...]:
    sloped = added("rel_matrix", change=lambda params: (params[0], {"slopes": jnp.array([0.5, 0.2, -0.2, 0.05])}))
    return (
        Image("form=raw", added("rel_matrix(form=raw)")[0]),
        Image("form=embedding, random", added("rel_matrix(form=embedding)", "random")[0]),
        _of_distance("form=bias, four slopes", _heads(sloped), lowest=-20.0),
    )


def _tupe() -> tuple[Panel, ...]:
    tied, untied = added("tupe")[0], added("tupe(untie_cls=True)")[0]
    return Image("head 1", tied), Image("untie_cls, first 12 tokens", untied[:12, :12]), _rows("rows of head 1", tied)


def _table_drawn(params: Any) -> Any:
    """The tables of cope, zero at the start, drawn N(0, 1)."""
    return params[0], {name: normal(*leaf.shape, seed=4) for name, leaf in params[1].items()}


def _every() -> tuple[Panel, ...]:
    plain = scores("none", "alike")
    apart = [float(np.abs(scores("every", "alike", layer=layer) - plain).mean()) for layer in range(8)]
    return (
        Image("layers 0, 1, 2", scores("every", "alike", layer=0)[0]),
        Image("layer 3", scores("every", "alike", layer=3)[0], limit=4.0),
        Lines("change of the scores, mean", "layer", np.arange(8), {"every": np.asarray(apart)}),
    )


PANELS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "none": _none,
    "sinusoidal": lambda: codes("sinusoidal"),
    "learned": lambda: codes("learned"),
    "learned_fourier": lambda: codes("learned_fourier"),
    "axial": lambda: codes("axial"),
    "complex_order": lambda: codes("complex_order", 1.0, "a word of ones"),
    "cpe": _cpe,
    "index": lambda: codes("index"),
    "linear": lambda: codes("linear"),
    "sin_half_period": lambda: codes("sin_half_period"),
    "sin_period_d": lambda: codes("sin_period_d"),
    "sin_cos_sum": lambda: codes("sin_cos_sum"),
    "rope": lambda: rotations(
        "rope",
        {
            "rope": "rope",
            "pi, factor 4": "rope(scaling=pi, factor=4)",
            "yarn, factor 4": "rope(scaling=yarn, factor=4, train_length=64)",
        },
    ),
    "p_rope": lambda: rotations("p_rope", {"rope": "rope", "p_rope": "p_rope", "share=0.5": "p_rope(share=0.5)"}),
    "xpos": lambda: rotations("xpos", {"rope": "rope", "xpos": "xpos"}),
    "fope": lambda: rotations("fope", {"rope": "rope", "fope": "fope"}),
    "pope": lambda: rotations("pope", {"rope": "rope", "pope": "pope"}),
    "alibi": _alibi,
    "t5": _t5,
    "kerple": _kerple,
    "sandwich": lambda: _of_heads("sandwich"),
    "fire": _fire,
    "dape": lambda: contents("dape", heads=(3, 4)),
    "table": lambda: _of_heads("table(window=16)", heads=(1, 2)),
    "cpb": _cpb,
    "tisa": lambda: _of_heads("tisa"),
    "gaussian": _gaussian,
    "rel_matrix": _rel_matrix,
    "shaw": lambda: contents("shaw", heads=(1,)),
    "transformer_xl": lambda: contents("transformer_xl"),
    "music": lambda: contents("music", heads=(1,)),
    "deberta": lambda: contents("deberta(max_distance=32)"),
    "tupe": _tupe,
    "cope": lambda: contents("cope(max_position=16)", _table_drawn, heads=(1,)),
    "fox": lambda: contents("fox(bias=1)", heads=(1, 2, 3, 4)),
    "tener": lambda: contents("tener", heads=(1,)),
    "randomized": _randomized,
    "shift": lambda: _augmented("shift", beside=False),
    "cape": lambda: _augmented("cape", beside=True),
    "every": _every,
}


def families() -> tuple[Image, ...]:
    """One map for each way in."""
    similar = lambda spec: code(spec) @ code(spec).T
    return (
        Image("sinusoidal, p_i · p_j", similar("sinusoidal")),
        Image("learned, p_i · p_j", similar("learned")),
        Image("rope, equal tokens", scores("rope", "alike")[0]),
        Image("xpos, scale_base 32", scores("xpos(scale_base=32)", "alike")[0]),
        Image("alibi, head 1", added("alibi")[0]),
        Image("t5, head 1", added("t5")[0]),
        Image("shaw, random tokens", added("shaw", "random")[0]),
        Image("fox, random tokens", added("fox(bias=1)", "random")[0]),
    )
