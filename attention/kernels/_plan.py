"""Which keys each block of queries reads, so that what a mask hides is not computed.

Blocks of queries are in at most two groups, each served by one program: those that keep few blocks of keys, and those that keep
more (global rows, the end of a causal text). Within a group all read the same number of keys: a run of them where the blocks
kept lie close together, else a list.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from attention.masks import tiles, within
from attention.records import Mask

MIN_ROWS, MAX_ROWS = 16, 1024
MAX_BLOCKS = 4096  # blocks of a long sequence, so that a plan does not grow with its square
# What a score of blocks that read lists of keys costs, in those of blocks that read runs, what reading a key costs, in rows of
# scores, and what a block costs, in scores: on a 2-core CPU, where masks of all kinds take 9 to 11 ns for a score of cost.
LISTED, KEY_COST, BLOCK_COST = 1.8, 28, 2**12
# What a score of a visit costs in the same, its queries and keys, and it itself. Products of fewer than ``SHARED`` scores of a
# head are left to one core by XLA's CPU backend, at little more than half the speed.
VISITED, VISITED_ALONE, SHARED, EDGE_COST, VISIT_COST = 0.7, 1.1, 2**17, 4, 2**15
SAVING = 0.9  # of the scores: what a second program, or a list in place of a run, may leave


class Group(NamedTuple):
    """Blocks of queries that read the same number of keys.

    Attributes:
      queries: the numbers of the blocks ``[g]``, or ``[*#B g]`` where examples differ.
      keys: None for all keys; the first key of each block's run ``[g]``; or the numbers of its blocks of keys ``[*#B g c]``, in
        order, and past the last one where it has fewer.
      span: the keys each reads.
    """

    queries: Any
    keys: Any
    span: int


class Plan(NamedTuple):
    """``rows`` queries to a block, ``size`` keys to a block of a list; each block of queries is in one group."""

    rows: int
    size: int
    groups: tuple[Group, ...]

    @property
    def scores(self) -> int:
        """The scores computed for a head of an example."""
        return sum(self.rows * group.queries.shape[-1] * group.span for group in self.groups)


class Visits(NamedTuple):
    """``rows`` queries at a time visit ``size`` keys, which follow each other.

    Attributes:
      rows: the queries of a visit.
      size: the keys of a visit.
      queries: the first query of each visit ``[n]``.
      keys: its first key.
      fresh: the first key that is its own: those before it, of a visit that ends with the last key, were visited already.
    """

    rows: int
    size: int
    queries: np.ndarray
    keys: np.ndarray
    fresh: np.ndarray

    @property
    def scores(self) -> int:
        """The scores computed for a head of an example."""
        return self.rows * self.size * len(self.queries)

    def cost(self, maps: int) -> float:
        visited = VISITED if self.rows * self.size >= SHARED else VISITED_ALONE
        edges = (self.rows + self.size) * maps * len(self.queries)
        return float(visited * self.scores * maps + EDGE_COST * edges + VISIT_COST * len(self.queries))


def visits(mask: Mask, T: int, S: int, rows: int, size: int) -> Visits:
    """Visits for positions 0, 1, ... to all blocks in which the mask leaves a pair."""
    rows, size = min(rows, T), min(size, S)
    keep = None if mask.blocks is None else mask.blocks(T, S, rows, size, None)
    shape = (-(-T // rows), -(-S // size))
    queries, keys = np.nonzero(np.ones(shape, bool) if keep is None else keep)
    if not len(queries):
        queries = keys = np.zeros(1, int)
    return Visits(rows, size, queries * rows, np.minimum(keys * size, S - size), keys * size)


def share(mask: Mask, T: int, S: int, size: int = 64) -> float:
    """The share of the scores that a mask leaves in blocks of ``size`` queries and keys, for positions 0, 1, ..."""
    of_queries, of_keys = (-(-length // size) for length in (T, S))
    found = [of_queries * of_keys]
    if mask.blocks is not None and (keep := mask.blocks(T, S, size, size, None)) is not None:
        found.append(int(np.sum(keep)))
    if mask.limits is not None and (limits := mask.limits(T, S, size, size)) is not None:
        few, many = min(limits[0], of_keys), min(limits[1], of_queries)
        found.append((of_queries - many) * few + many * of_keys)
    return min(found) / (of_queries * of_keys)


def listed(plan: Plan | Visits) -> bool:
    """Whether any block of queries reads keys that do not follow each other."""
    return isinstance(plan, Plan) and any(np.ndim(group.keys) > 1 for group in plan.groups)


class _Choice(NamedTuple):
    """A plan that could be made: of each of its groups the number of blocks, the span, and whether it reads lists."""

    rows: int
    groups: tuple[tuple[int, int, bool], ...]
    make: Callable[[], Plan]

    def cost(self, maps: int) -> float:
        each = lambda span, lists: span * (self.rows * (LISTED if lists else 1.0) + KEY_COST) * maps + BLOCK_COST
        return sum(count * each(span, lists) for count, span, lists in self.groups)


def whole(T: int, S: int, rows: int) -> Plan:
    """Every query reads all keys."""
    return Plan(rows, S, (Group(np.arange(-(-T // rows)), None, S),))


def power(number: int | float) -> int:
    """The power of two from ``number`` on, at least 1."""
    return 2 ** max(0, math.ceil(math.log2(max(number, 1))))


def cheapest(
    mask: Mask,
    T: int,
    S: int,
    last: Any,
    *,
    size: int,
    maps: int,
    plain: Plan,
    fits: Callable,
    runs: bool,
    visiting: Sequence[Visits],
) -> Plan | Visits:
    """The plan for positions 0, 1, ... that costs least.

    Args:
      mask: the mask.
      T: queries.
      S: keys.
      last: ``call.k_last``.
      size: keys in a block.
      maps: heads times examples.
      plain: the plan without a mask.
      fits: whether blocks of some rows and keys can be held.
      runs: whether queries must read runs of keys, themselves among them, because something sums over what lies between.
      visiting: visits that would do.
    """
    size *= power(S / (MAX_BLOCKS * size))
    least = MIN_ROWS * power(T / (MAX_BLOCKS * MIN_ROWS))
    choices = [_Choice(plain.rows, ((len(plain.groups[0].queries), S, False),), lambda: plain)]
    for rows in (least * 2**i for i in range(7)):
        if rows == least or rows <= min(MAX_ROWS, power(T)):
            found = [_of_all(mask, T, S, rows, size, runs), None if runs else _of_each(mask, T, S, rows, size, last)]
            choices += [c for c in found if c and (rows == least or all(fits(rows, span) for _, span, _ in c.groups))]
    best = min((*choices, *visiting), key=lambda choice: choice.cost(maps))
    return best if isinstance(best, Visits) else best.make()


def _of_all(mask: Mask, T: int, S: int, rows: int, size: int, runs: bool) -> _Choice | None:
    """What serves texts of all lengths."""
    keep = None if mask.blocks is None else mask.blocks(T, S, rows, size, None)
    if keep is None:
        return None
    groups = _groups(keep | within(tiles(T, S, rows, size), 0, 0) if runs else keep, S, size, runs)
    sizes = tuple((len(g.queries), g.span, np.ndim(g.keys) > 1) for g in groups)
    return _Choice(rows, sizes, lambda: Plan(rows, size, groups))


def _of_each(mask: Mask, T: int, S: int, rows: int, size: int, last: Any) -> _Choice | None:
    """What differs by where a text ends."""
    limits, count = None if mask.limits is None else mask.limits(T, S, rows, size), -(-T // rows)
    if limits is None or limits[0] * size >= S or limits[1] >= count:
        return None
    few, many = limits
    make = functools.partial(_by_text, mask, T, S, rows, size, last, few, many)
    return _Choice(rows, ((count - many, few * size, True), (many, S, False)), make)


def _groups(keep: np.ndarray, S: int, size: int, runs: bool) -> tuple[Group, ...]:
    """The blocks in one group or in two, whichever reads fewer keys."""
    count = keep.sum(1)
    first, after = np.where(count, keep.argmax(1), 0), np.where(count, keep.shape[1] - keep[:, ::-1].argmax(1), 0)
    wanted = after - first if runs else count
    order = np.argsort(wanted, kind="stable")
    n, ascending = len(order), wanted[order]
    read = np.arange(1, n + 1) * ascending + np.arange(n - 1, -1, -1) * ascending[-1]
    split = int(read.argmin()) + 1 if read.min() <= SAVING * read[-1] else n
    return tuple(
        _group(np.sort(part), keep, first, after, S, size, runs) for part in (order[:split], order[split:]) if len(part)
    )


def _group(part: np.ndarray, keep: np.ndarray, first: np.ndarray, after: np.ndarray, S: int, size: int, runs: bool) -> Group:
    run, most = max(1, int((after - first)[part].max())), max(1, int(keep[part].sum(1).max()))
    if not runs and most < SAVING * run:
        end = keep.shape[1]
        return Group(part, np.sort(np.where(keep[part], np.arange(end), end), axis=1)[:, :most], most * size)
    span = min(run * size, S)
    return Group(part, None if span == S else np.clip(first[part] * size, 0, S - span), span)


def _by_text(mask: Mask, T: int, S: int, rows: int, size: int, last: Any, few: int, many: int) -> Plan:
    """A plan of lists for a mask that depends on where each text ends."""
    assert mask.blocks is not None
    keep = mask.blocks(T, S, rows, size, last)
    if math.prod(keep.shape[:-2]) == 1:
        keep = keep.reshape(keep.shape[-2:])
    count, end = keep.shape[-2:]
    order = jnp.argsort(keep.sum(-1) > few, axis=-1, stable=True)
    light, heavy = order[..., : count - many], order[..., count - many :]
    kept = jnp.take_along_axis(keep, light[..., None], axis=-2)
    lists = jnp.sort(jnp.where(kept, jnp.arange(end), end), axis=-1)[..., :few]
    return Plan(rows, size, (Group(light, lists, few * size), Group(heavy, None, S)))
