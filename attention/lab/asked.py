"""A sweep as it is asked for, before anything is built."""

import dataclasses
from typing import Any

from attention import specs
from attention.lab.grid import Variant
from attention.lab.results import better
from attention.lab.search import Search
from attention.training import config as configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep as it is asked for: what ``plan.read`` makes of a config file.

    Attributes:
      name: of the config file.
      base: the fields of the base config, without seeds.
      variants: the changes, in order.
      baseline: the name of one of them.
      seeds: of the members of each.
      metric: what they are compared by.
      margin: a difference of the metric that does not matter, or None.
      title: the heading of the report, or "".
      data_name: what the report calls the data, or "".
      max_members: points of a cohort at most.
      drop_incompatible: whether variants that cannot be built are left out.
      search: of hyperparameters, or None.
    """

    name: str
    base: dict[str, Any]
    variants: tuple[Variant, ...]
    baseline: str
    seeds: tuple[int, ...]
    metric: str
    margin: float | None
    title: str
    data_name: str
    max_members: int
    drop_incompatible: bool
    search: Search | None

    @property
    def task(self) -> Any:
        """The record of what is learned."""
        return specs.build("task", configs.from_dict(self.base).task)

    @property
    def higher_is_better(self) -> bool:
        """Of the metric that variants are compared by."""
        return better(self.task, self.metric)

    def identity(self) -> dict[str, Any]:
        """What stays the same when a sweep is given more seeds or variants, or asked another question.

        A directory belongs to one identity, and to the data that its record names.
        """
        search = None if self.search is None else self.search._asdict()
        return {"base": configs.content(configs.from_dict(self.base)), "search": search}

    def words(self) -> dict[str, Any]:
        """What the name of its directory is made of."""
        base = {name: value for name, value in self.base.items() if name not in configs.BESIDE}
        return {"base": base, "search": self.identity()["search"]}
