"""The numbers that pictures of encodings show, all from the library itself; rows of ``tests/encodings`` put them together."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of, positioned, run
from attention.records import merged

T, N, H = 64, 4, 16  # tokens, heads, numbers per head
D = N * H
LONG = 256  # distances that curves of rotations reach
UNSEEN = -1e30
DIMS = attention.Dims(N, N, H, D, num_layers=8, max_length=T, vocab_size=11)
QUERIES = (16, 48)  # whose similarities with all keys are drawn
# Keeps the scores in place of weights, and says where none are allowed.
SCORES = attention.Normalizer(lambda params, scores, mask, call: scores if mask is None else jnp.where(mask, scores, UNSEEN))


class Image(NamedTuple):
    """A matrix with its first row on top; NaN is drawn grey. Colours reach to ``limit``, or to the largest value.

    ``counted``: whether values are numbers of things, with a colour for each that occurs.
    """

    title: str
    values: np.ndarray
    across: str = "key"
    down: str = "query"
    limit: float | None = None
    counted: bool = False


class Lines(NamedTuple):
    """Curves over one axis, from ``lowest`` on; ``beside``: whether the first is what the others are beside, drawn in grey."""

    title: str
    across: str
    x: np.ndarray
    curves: dict[str, np.ndarray]
    lowest: float | None = None
    beside: bool = False


Panel = Image | Lines
Change = Callable[[Any], Any]


def normal(*shape: int, seed: int = 0) -> jax.Array:
    """The same standard normal numbers each time."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def init(record: attention.Encoding, dims: attention.Dims = DIMS, layer: int = 0) -> Any:
    """Parameters of a layer at the start, with those that layers share."""
    rngs = jax.random.split(jax.random.key(0))
    shared, own = record.shared, record.init
    return merged(
        {} if shared is None else shared(rngs[0], dims), {} if own is None else own(rngs[1], dims._replace(layer=layer))
    )


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
    parts = parts_of(encoding=record, normalizer=SCORES, mask=mask)
    _, found = run(parts, query, key, key, params=params, x=x, call=call, kernel="dense", weights=True)
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
    assert record.embed is not None, f"{spec} has no code for embeddings"
    return np.asarray(record.embed(params, jnp.full((T, D), x), jnp.ones(T, jnp.int32), moved))


def turned(spec: str, at: np.ndarray, change: Change = lambda params: params) -> tuple[np.ndarray, np.ndarray]:
    """Ones turned to the positions ``at``, ``[A H]``, and their scores with ones at position 0, ``[A]``; of the first head."""
    record = attention.build("encoding", spec)
    call = attention.Call(q_positions=jnp.asarray(at), k_positions=jnp.zeros(1, jnp.int32), max_length=T)
    assert record.rotate is not None, f"{spec} does not rotate"
    query, key = record.rotate(change(init(record)), jnp.ones((len(at), N, H)), jnp.ones((1, N, H)), call)
    return np.asarray(query[:, 0]), np.asarray(query[:, 0] @ key[0, 0]) / np.sqrt(H)


def by_distance(matrix: np.ndarray) -> np.ndarray:
    """A matrix that depends on the distance alone as a row: of distances ``1-T .. T-1``, query minus key."""
    return np.concatenate([matrix[0, :0:-1], matrix[-1, ::-1]])


DISTANCES = np.arange(1 - T, T)


def per_head(values: np.ndarray, heads: tuple[int, ...] = (1, 2, 3, 4)) -> dict[str, np.ndarray]:
    """Curves over the distance, of some heads of ``[N T T]``."""
    return {f"head {h}": by_distance(values[h - 1]) for h in heads}


def of_distance(title: str, curves: dict[str, np.ndarray], lowest: float | None = None) -> Lines:
    """Curves over query minus key, as ``by_distance`` makes them."""
    return Lines(title, "query minus key", DISTANCES, curves, lowest)


def rows_of(title: str, matrix: np.ndarray) -> Lines:
    """Two rows of a matrix of queries and keys, as curves over the key."""
    return Lines(title, "key", np.arange(T), {f"query {i}": matrix[i] for i in QUERIES})


def codes(spec: str, x: float = 0.0, label: str = "the code") -> tuple[Panel, ...]:
    """Of what acts on embeddings: the code, and how alike the codes of two positions are."""
    found = code(spec, x)
    alike = found @ found.T
    return (
        Image(label, found, "channel", "position"),
        Image("similarity, p_i · p_j", alike),
        rows_of("rows of the similarity", alike),
    )


def rotations(spec: str, others: dict[str, str]) -> tuple[Panel, ...]:
    """Of rotations: a vector of ones turned, the scores of ones with ones, and those over longer distances."""
    curves = {label: turned(other, np.arange(LONG))[1] for label, other in others.items()}
    return (
        Image("ones, turned", turned(spec, np.arange(T))[0], "channel", "position"),
        Image("scores of equal tokens", scores(spec, "alike")[0]),
        Lines("score by distance", "query minus key", np.arange(LONG), curves, beside=len(curves) > 1),
    )


def contents(spec: str, change: Change = lambda params: params, heads: tuple[int, ...] = (1, 2)) -> tuple[Panel, ...]:
    """Of what reads queries, keys or scores: what it adds for random tokens, and for tokens that are all alike."""
    alike, first = added(spec, "alike", change=change), heads[0] - 1
    return (
        Image("added: random tokens", added(spec, "random", change=change)[first]),
        Image("added: equal tokens", alike[first]),
        of_distance("equal tokens, by distance", per_head(alike, heads)),
    )


def moved(spec: str, *, beside: bool = False, draws: int = 3) -> Lines:
    """Positions in some draws of training, and in evaluation; or how far the draws are ``beside`` those of evaluation."""
    base = _positions(spec, evaluation())
    found = {f"draw {draw + 1}": _positions(spec, training(draw)) for draw in range(draws)}
    if beside:
        return Lines("moved in training by", "token", np.arange(T), {each: found[each] - base for each in found})
    return Lines("positions given to tokens", "token", np.arange(T), {"evaluation": base, **found}, beside=True)


def evaluation() -> attention.Call:
    """A call of evaluation, with the key that a run would fix."""
    return attention.Call(rng=jax.random.key(9))


def training(draw: int) -> attention.Call:
    """A call of training, a key per draw."""
    return attention.Call(train=True, rng=jax.random.key(draw))


def _positions(spec: str, call: attention.Call) -> np.ndarray:
    record = attention.build("encoding", spec)
    found = positioned(record, init(record), call, (T,), (T,)).q_positions
    return np.arange(T) if found is None else np.asarray(found)


def augmented(spec: str, beside: bool = False) -> tuple[Panel, ...]:
    """Of what moves positions of codes: how far, and the code in evaluation and in training."""
    shown = lambda label, call: Image(label, code(spec, call=call), "channel", "position")
    return moved(spec, beside=beside), shown("code, evaluation", evaluation()), shown("code, draw 1", training(0))


def drawn(spec: str, beside: str) -> tuple[Panel, ...]:
    """Of what draws positions: some draws, and the scores of equal tokens with and without."""
    alike = scores(spec, "alike", call=evaluation())[0]
    return moved(spec), Image("scores of equal tokens", alike), Image(f"{beside} itself", scores(beside, "alike")[0])


def of_heads(spec: str, heads: tuple[int, ...] = (1, 2, 3, 4), change: Change = lambda params: params) -> tuple[Panel, ...]:
    """Of biases: the maps of the first and the last head, and curves over the distance."""
    found, last = added(spec, change=change), heads[-1]
    curves = of_distance("by distance", per_head(found, heads))
    return Image("head 1", found[0]), Image(f"head {last}", found[last - 1]), curves


def beside_itself(values: np.ndarray) -> np.ndarray:
    """A bias less that of the query's own key: what softmax sees of it."""
    return values - np.diagonal(values, axis1=-2, axis2=-1)[..., None]


def larger(factor: float) -> Change:
    """Parameters so many times as large, where those of the start would show nothing."""
    return lambda params: jax.tree.map(lambda leaf: factor * leaf, params)


def map_of(spec: str) -> Image:
    """One map of query and key: similarities of codes, scores of equal tokens that are turned, or what is added to scores."""
    record = attention.build("encoding", spec)
    if record.embed is not None:
        found = code(spec)
        return Image(f"{spec}\nsimilarity of codes", found @ found.T)
    if record.rotate is not None:
        return Image(f"{spec}\nscores of equal tokens", scores(spec, "alike")[0])
    return Image(f"{spec}\nadded to scores", added(spec, "random")[0])


def default(spec: str) -> tuple[Panel, ...]:
    """The picture of an encoding whose row has none, by the hooks it has.

    Raises:
      ValueError: where no hook is one that can be shown.
    """
    record = attention.build("encoding", spec)
    if record.embed is not None:
        return codes(spec) if record.positions is None else augmented(spec)
    if record.rotate is not None:
        return rotations(spec, {"rope": "rope", spec: spec})
    if record.on_scores:
        return contents(spec, heads=(1,)) if record.prepare is not None else of_heads(spec)
    raise ValueError(f"encoding {spec}: nothing to show by default; give its row's evidence a picture")
