"""Batches bucketed by length: which examples go together in each epoch, and their padded arrays.

Examples are sorted by length and cut into batches; neighbouring batches share a bucket, one padded length for each.
Every batch is full but one, so the number of steps does not depend on the bucketing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attention.data.contracts import ELSEWHERE, Encoded

_MULTIPLE = 8  # padded lengths are multiples of it
_SHAPES, _EXAMPLES, _SHIFTS = 0, 1, 2  # what a stream of random bits is for


class Plan:
    """The batches of every epoch, a function of the seeds: resuming in mid-epoch is ``epoch(...)[index:]``.

    Example:
      >>> plan = Plan(encoded.lengths, batch_size=32, buckets=4, seed=0)
      >>> for length, indices in zip(plan.shapes(0), plan.epoch(0, member_seed=7)): gather(encoded, indices, length)

    Args:
      lengths: tokens of each example, at least 1 each.
      batch_size: examples of a batch, at least 1.
      buckets: padded lengths at most, at least 1. They are chosen so that the padding is least.
      seed: decides the order of the shapes.
      slack: how many tokens later the examples may begin, all alike, anew in each epoch.

    Attributes:
      bucket_lengths: the padded lengths, rising, multiples of 8.
      steps_per_epoch: ceil(examples / batch_size).
      padding_share: share of padding among all token slots of an epoch, filler included.
    """

    bucket_lengths: tuple[int, ...]
    steps_per_epoch: int
    padding_share: float

    def __init__(self, lengths: np.ndarray, *, batch_size: int, buckets: int, seed: int, slack: int = 0):
        lengths = np.asarray(lengths, np.int64)
        if lengths.ndim != 1 or lengths.size == 0 or lengths.min() < 1:
            raise ValueError("lengths must be one-dimensional, not empty, and at least 1 each")
        sizes = {"batch_size": (batch_size, 1), "buckets": (buckets, 1), "seed": (seed, 0), "slack": (slack, 0)}
        for name, (value, smallest) in sizes.items():
            if value < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {value}")
        self._batch_size, self._seed, self._slack = batch_size, seed, slack
        # Stable: examples of one length stay in the order of the data set.
        order = np.argsort(lengths, kind="stable")
        padded = _round_up(lengths[order])
        steps = -(-len(lengths) // batch_size)
        longest = padded[np.minimum(np.arange(1, steps + 1) * batch_size, len(lengths)) - 1]
        self.bucket_lengths, counts = _choose(longest, buckets)
        self._bucket_of_step = np.repeat(np.arange(len(counts)), counts)
        self._examples = np.split(order, np.cumsum(counts)[:-1] * batch_size)
        self.steps_per_epoch = steps
        slots = batch_size * int(np.dot(counts, self.bucket_lengths))
        self.padding_share = 1.0 - int(lengths.sum()) / slots

    def shapes(self, epoch: int) -> np.ndarray:
        """The padded length of each batch of an epoch, int64 ``[steps_per_epoch]``; the same for every member."""
        return np.array(self.bucket_lengths, np.int64)[self._buckets(epoch)]

    def epoch(self, epoch: int, member_seed: int) -> np.ndarray:
        """The examples of each batch of an epoch.

        Args:
          epoch: from 0.
          member_seed: decides the order of the examples inside their buckets, at least 0.

        Returns:
          int64 ``[steps_per_epoch batch_size]``: each example once; -1, filler, completes the last batch.
        """
        buckets = self._buckets(epoch)
        shuffled = np.full((self.steps_per_epoch, self._batch_size), -1, np.int64)
        for bucket, examples in enumerate(self._examples):
            rows = np.flatnonzero(buckets == bucket)
            batches = np.full(len(rows) * self._batch_size, -1, np.int64)
            batches[: len(examples)] = examples[_permutation(len(examples), _EXAMPLES, member_seed, epoch, bucket)]
            shuffled[rows] = batches.reshape(len(rows), self._batch_size)
        return shuffled

    def shift(self, epoch: int, member_seed: int) -> int:
        """How many tokens later the examples of an epoch begin, 0 to ``slack``."""
        return _uniform(self._slack + 1, _SHIFTS, member_seed, epoch)

    def examples(self, updates: int) -> int:
        """How many examples so many updates read, filler left out."""
        epochs, rest = divmod(updates, self.steps_per_epoch)
        last = self._bucket_of_step == self._bucket_of_step[-1]  # the bucket that filler completes
        completed = self._buckets(epochs)[:rest] == self._bucket_of_step[-1]
        count = sum(map(len, self._examples))
        filler = self.steps_per_epoch * self._batch_size - count
        return epochs * count + rest * self._batch_size - (filler if completed.sum() == last.sum() else 0)

    def _buckets(self, epoch: int) -> np.ndarray:
        return self._bucket_of_step[_permutation(self.steps_per_epoch, _SHAPES, self._seed, epoch)]


def gather(encoded: Encoded, indices: np.ndarray, length: int, shift: np.ndarray | int = 0) -> dict[str, np.ndarray]:
    """The padded arrays of some examples.

    Args:
      encoded: the split.
      indices: ``[...]`` example indices, any number of axes; -1 is filler.
      length: the padded length L, at least that of the longest example.
      shift: how many tokens later the examples begin, at most ``encoded.slack``; broadcast to ``indices``.

    Returns:
      ``tokens`` int32 ``[... L]`` (0 at padding), ``valid`` bool ``[... L]``, ``labels`` int32 ``[...]`` (-1 for filler
      and where there is none; int8 ``[... C]`` of sets of classes; float32 ``[...]`` of numbers, in standard deviations from
      the mean, 0 for filler), ``weight`` float32 ``[...]`` (0 for filler, else 1); where the examples have them,
      ``segments``, ``positions`` and ``targets`` int32 ``[... L]`` (0 at padding), ``characters`` int32 ``[... L C]`` of the
      words, and ``wanted`` int32 ``[... L]`` (``ELSEWHERE`` where nothing is asked). Where no example asks in more than half
      of the places, ``wanted`` is ``[... K]``, at ``places`` int32 ``[... K]``, the first of which are those that are asked,
      in order.

    Raises:
      ValueError: for an index out of range or an example longer than ``length``.
    """
    indices = np.asarray(indices, np.int64)
    if indices.size and not -1 <= indices.min() <= indices.max() < len(encoded):
        raise ValueError(f"indices must be in -1..{len(encoded) - 1}, got {indices.min()}..{indices.max()}")
    real = indices >= 0
    example = np.where(real, indices, 0)
    start = encoded.offsets[example]
    lengths = np.where(real, encoded.offsets[example + 1] - start, 0)
    if lengths.size and lengths.max() > length:
        raise ValueError(f"an example of {lengths.max()} tokens does not fit into the padded length {length}")
    position = np.arange(length)
    valid = position < lengths[..., None]
    taken = np.where(valid, (start + shift)[..., None] + position, 0)
    per_token = {"tokens": encoded.flat, "segments": encoded.segments, "positions": encoded.positions}
    written = {} if encoded.targets is None else {"targets": gather(encoded.targets, indices, length)["tokens"]}
    return {
        **{name: np.where(valid, flat[taken], np.int32(0)) for name, flat in per_token.items() if flat is not None},
        **written,
        **_characters(encoded, taken, valid),
        **({} if encoded.wanted is None else _wanted(encoded, np.where(valid, encoded.wanted[taken], np.int32(ELSEWHERE)))),
        "valid": valid,
        "labels": _labels(encoded, example, real),
        "weight": real.astype(np.float32),
    }


def _characters(encoded: Encoded, taken: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """The characters of the word of each token, 0 at padding, where they are kept."""
    if encoded.spelling is None:
        return {}
    characters, rows = encoded.spelling
    return {"characters": np.where(valid[..., None], characters[rows[taken]], np.int32(0))}


def _wanted(encoded: Encoded, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """What is wanted ``[... L]``, or, where few places are asked, at these alone."""
    most = int(_round_up(encoded.asked.max()))
    if 2 * most > wanted.shape[-1]:
        return {"wanted": wanted}
    places = np.argsort(wanted == ELSEWHERE, axis=-1, kind="stable")[..., :most]
    return {"wanted": np.take_along_axis(wanted, places, axis=-1), "places": places.astype(np.int32)}


def _labels(encoded: Encoded, example: np.ndarray, real: np.ndarray) -> np.ndarray:
    labels = encoded.labels[example]
    if labels.dtype.kind == "f":
        assert encoded.scale is not None  # numbers have one
        return np.where(real, (labels - encoded.scale.mean) / encoded.scale.deviation, 0.0).astype(np.float32)
    return np.where(real if labels.ndim == real.ndim else real[..., None], labels, labels.dtype.type(-1))


class Batches:
    """The batches of the members by update: ``tokens``, ``valid`` ``[M B T]``, ``labels`` and ``weight`` ``[M B]``."""

    def __init__(self, encoded: Encoded, plan: Plan, seeds: Sequence[int]):
        self._encoded, self._plan, self._seeds = encoded, plan, seeds
        self._epoch = -1
        self._orders, self._shapes, self._shifts = np.empty(0), np.empty(0), np.empty(0)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of update ``step``, from 0."""
        epoch, index = divmod(step, self._plan.steps_per_epoch)
        if epoch != self._epoch:
            self._orders = np.stack([self._plan.epoch(epoch, seed) for seed in self._seeds], axis=1)
            self._shapes, self._epoch = self._plan.shapes(epoch), epoch
            self._shifts = np.array([[self._plan.shift(epoch, seed)] for seed in self._seeds], np.int64)
        return gather(self._encoded, self._orders[index], int(self._shapes[index]), self._shifts)


READ = ("tokens", "valid", "segments", "positions", "targets", "places", "characters")


def inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What of a batch the model reads."""
    return {name: batch[name] for name in READ if name in batch}


def evaluation_batches(
    encoded: Encoded, *, batch_size: int, bucket_lengths: Sequence[int]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """All examples once, in order of length.

    Args:
      encoded: the split.
      batch_size: examples of every batch; the last is completed by filler.
      bucket_lengths: the padded lengths to use, as in ``Plan``. Should the split have longer examples, one more length
        is used for them: its longest, rounded up to a multiple of 8.

    Yields:
      ``(indices, batch)``: int64 ``[batch_size]`` with -1 for filler, and what ``gather`` returns.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    lengths = encoded.extents
    order = np.argsort(lengths, kind="stable")
    shapes = sorted({*map(int, bucket_lengths), int(_round_up(lengths[order[-1]]))}) if len(order) else []
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        indices = np.full(batch_size, -1, np.int64)
        indices[: len(chosen)] = chosen
        yield indices, gather(encoded, indices, next(shape for shape in shapes if shape >= lengths[chosen[-1]]))


def _round_up(lengths: np.ndarray) -> np.ndarray:
    return -(-lengths // _MULTIPLE) * _MULTIPLE


def _permutation(size: int, *entropy: int) -> np.ndarray:
    """A random order of ``range(size)``.

    By sorting raw bits of Philox, which NumPy promises to keep; it makes no such promise for ``Generator.permutation``.
    """
    bits = np.random.Philox(np.random.SeedSequence(entropy)).random_raw(size)
    return np.argsort(bits, kind="stable")


def _uniform(count: int, *entropy: int) -> int:
    """A random number of ``range(count)``, of raw bits as ``_permutation`` takes them."""
    if count == 1:
        return 0
    bits = np.random.Philox(np.random.SeedSequence(entropy)).random_raw()
    return int(bits) % count  # of 2^64 numbers: no number below a corpus of 2^40 tokens is likelier by more than 2^-24


def _choose(longest: np.ndarray, buckets: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The padded lengths, at most ``buckets``, that need the fewest token slots, and how many batches get each.

    Exact, by dynamic programming over the distinct lengths: ``best[j]`` is the least cost of the batches of the first j
    lengths, and one more bucket that ends at length j starts after the i that is cheapest. All buckets are used where
    there are as many distinct lengths, since splitting a bucket always saves.

    Args:
      longest: the padded length each batch needs, rising.
      buckets: lengths at most.
    """
    candidates, counts = np.unique(longest, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])
    ends = np.arange(1, len(candidates) + 1)
    unreachable = np.iinfo(np.int64).max // 2
    best = np.concatenate([[0], np.full(len(candidates), unreachable)])
    tables: list[np.ndarray] = []
    for _ in range(min(buckets, len(candidates))):
        cost = np.full_like(best, unreachable)
        starts = np.zeros_like(best)
        for end in ends:
            options = best[:end] + (before[end] - before[:end]) * candidates[end - 1]
            starts[end] = int(np.argmin(options))
            cost[end] = options[starts[end]]
        best = cost
        tables.append(starts)
    cuts = [len(candidates)]
    for starts in reversed(tables):
        cuts.append(int(starts[cuts[-1]]))
    cuts.reverse()
    return tuple(int(candidates[cut - 1]) for cut in cuts[1:]), np.diff(before[cuts])
