"""Which devices of a machine hold which members of a cohort, and trees that lie on them in parts.

M members on D devices: where M >= D each device has ``M // D`` members or one more, and runs a program of its own over them.
Nothing passes between devices, and with ``map`` each member is bitwise what it is on one device. Where M < D each member has
``D // M`` devices, of which as many as divide the rows of a batch share them; what crosses is sums over the rows, and a
member is what it is on one device but for rounding.

===========  =========  ===================  ====
members M    devices D  groups               idle
===========  =========  ===================  ====
8            8          8 of one device      0
12           8          4 of 2 members,      0
                        4 of one
3            8          3 of two devices     2
1            8          1 of eight devices,  0
                        for 32 rows
1            8          1 of six devices,    2
                        for 30 rows
===========  =========  ===================  ====
"""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

Device = Any  # a ``jax.Device``, which type checkers do not take for a type
_ROWS = "data"  # the axis of a group's mesh


class Group(NamedTuple):
    """Some members on one device, or one member on several, which share the rows of its batches.

    Attributes:
      first, end: the members, ``first`` to ``end - 1``.
      devices: theirs, and no other group's.
    """

    first: int
    end: int
    devices: tuple[Device, ...]

    @property
    def whole(self) -> Sharding:
        """Of what each device has in full."""
        return SingleDeviceSharding(self.devices[0]) if len(self.devices) == 1 else NamedSharding(self._mesh, PartitionSpec())

    def rows(self, axis: int) -> Sharding:
        """Of what is shared among the devices along an axis, such as the rows of a batch."""
        return self.whole if len(self.devices) == 1 else NamedSharding(self._mesh, PartitionSpec(*[None] * axis, _ROWS))

    def members(self, tree: Any) -> Any:
        """What of a tree ``[M ...]`` is of these members."""
        return jax.tree.map(lambda leaf: leaf if leaf.shape[0] == self.end - self.first else leaf[self.first : self.end], tree)

    def batch(self, batch: Mapping[str, Any], axis: int) -> Mapping[str, Any]:
        """Arrays whose rows, along an axis, the devices share; where these do not divide them, each device has all.

        For one device they stay as they are: a program takes them where it runs.
        """
        if len(self.devices) == 1:
            return batch
        divided = lambda array: array.shape[axis] % len(self.devices) == 0
        return {name: jax.device_put(array, self.rows(axis) if divided(array) else self.whole) for name, array in batch.items()}

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (_ROWS,), axis_types=(AxisType.Auto,))


class Layout(NamedTuple):
    """The groups of a cohort, in the order of its members, and the devices that have nothing to do."""

    groups: tuple[Group, ...]
    idle: tuple[Device, ...]

    @property
    def used(self) -> int:
        """Devices that have something to do."""
        return sum(len(group.devices) for group in self.groups)

    def __str__(self) -> str:
        device = self.groups[0].devices[0]
        most, shared = max(group.end - group.first for group in self.groups), len(self.groups[0].devices)
        each = f"one member on {shared}" if shared > 1 else f"{most} {'member' if most == 1 else 'members'} on one at most"
        spare = f"; idle: {', '.join(map(str, self.idle))}" if self.idle else ""
        return f"{self.used} of {self.used + len(self.idle)} devices ({device.device_kind}), {each}{spare}"


def usable() -> tuple[Device, ...]:
    """The devices of this process, or the one that ``jax.default_device`` names."""
    chosen = getattr(jax.config, "jax_default_device", None)
    return (chosen,) if isinstance(chosen, jax.Device) else tuple(jax.local_devices())


def layout(members: int, rows: int, devices: Sequence[Device]) -> Layout:
    """The groups of a cohort.

    Example:
      >>> str(layout(3, 32, jax.devices()))  # of eight
      '6 of 8 devices (cpu), one member on 2; idle: cpu:6, cpu:7'

    Args:
      members: M, 1 or more.
      rows: of a batch, or of a part of it where gradients are accumulated over parts.
      devices: one or more.
    """
    shared, several = divmod(members, len(devices))
    if shared:
        sizes = [shared + (place < several) for place in range(len(devices))]
        ends = np.cumsum(sizes).tolist()
        groups = (Group(end - size, end, (device,)) for size, end, device in zip(sizes, ends, devices))
        return Layout(tuple(groups), ())
    size = next(size for size in range(len(devices) // members, 0, -1) if rows % size == 0)
    own = lambda member: tuple(devices[member * size : (member + 1) * size])
    groups = tuple(Group(member, member + 1, own(member)) for member in range(members))
    return Layout(groups, tuple(devices[members * size :]))


def shares(devices: Sequence[Device], among: int) -> list[tuple[Device, ...]]:
    """The devices of each of several cohorts that train at the same time: as many as there are, with one device at least.

    Example:
      >>> [len(share) for share in shares(jax.devices(), 3)]  # of eight
      [3, 3, 2]
    """
    count = max(1, min(among, len(devices)))
    ends = [len(devices) // count * place + min(place, len(devices) % count) for place in range(count + 1)]
    return [tuple(devices[start:end]) for start, end in itertools.pairwise(ends)]


@dataclasses.dataclass(frozen=True)
class Spread:
    """A tree ``[M ...]`` in parts: what each group has of it, ``[M' ...]`` on its devices."""

    groups: tuple[Group, ...]
    parts: tuple[Any, ...]

    def map(self, function: Callable[..., Any], *others: Sequence[Any]) -> "Spread":
        """The trees that ``function(part, *others)`` makes of each part, and of what others have at its place."""
        return Spread(self.groups, tuple(side_by_side(function, self.parts, *others)))

    def member(self, number: int) -> "Spread":
        """That of one member, counted from 0, where it lies."""
        place, group = next(each for each in enumerate(self.groups) if each[1].first <= number < each[1].end)
        inside = number - group.first
        part = jax.tree.map(lambda leaf: leaf[inside : inside + 1], self.parts[place])
        return Spread((Group(0, 1, group.devices),), (part,))

    def joined(self) -> Any:
        """The tree ``[M ...]``: of several parts in NumPy."""
        if len(self.parts) == 1:
            return self.parts[0]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(self.parts))


def spread(tree: Any, groups: Sequence[Group]) -> Spread:
    """A tree ``[M ...]`` as its members lie on devices."""
    return Spread(tuple(groups), tuple(jax.device_put(group.members(tree), group.whole) for group in groups))


def side_by_side(function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    """``map``, in a thread for each where there are several: what a call compiles or waits for holds up no other."""
    if len(columns[0]) == 1:
        return [function(*(column[0] for column in columns))]
    with concurrent.futures.ThreadPoolExecutor(len(columns[0])) as pool:
        return list(pool.map(function, *columns))
