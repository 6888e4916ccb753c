"""What a sweep would train: its variants checked, its points with their keys, and the cohorts that share a program.

A **variant** is a change to the base config (``axes.Variant``). A **point** is one member: a variant, a seed, and where the
sweep searches hyperparameters, a draw of them. It is known by the hash of its config and of the content of its data and
of what it starts from, so that a sweep that is given more seeds or variants finds again what it has done. A **cohort** is
the points that one compiled program trains together.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ml_collections import config_dict

from attention import heartbeat, specs
from attention.data import contracts
from attention.files import json_hash
from attention.lab import scored
from attention.lab.asked import Sweep
from attention.lab.grid import Axis, Variant
from attention.lab.plain_names import plain_name
from attention.lab.results import LONGER, checked_margin
from attention.lab.search import Search
from attention.messages import listed
from attention.runs.identity import Content, Identity
from attention.specs import nearest
from attention.training import config as configs
from attention.training.config import Config

# What needs JAX is imported where it is used: config files import this module, and are read before anything is built.
if TYPE_CHECKING:
    from attention.training import recipe

Phase = Literal["final", "search"]
BEYOND = "accuracy_beyond_training"  # a metric of data that have texts longer than those of training


def section(
    variants: Axis,
    *,
    baseline: str,
    metric: str = "",
    margin: float = 0.0,
    title: str = "",
    data_name: str = "",
    max_members: int = 32,
    drop_incompatible: bool = False,
    search: Mapping[str, str] | None = None,
    trials: int = 8,
    halvings: int = 0,
    search_seed: int = 1_000_000,
) -> config_dict.ConfigDict:
    """What a config file gives ``config.sweep``.

    Args:
      variants: what ``attention.lab.grid`` makes.
      baseline: the name of the variant that the others are compared with.
      metric: what they are compared by; the task's first where empty. ``accuracy_beyond_training`` is that on all texts longer
        than those of training; ``longer_context`` the nll of a language model with the longest context less that with the
        length of training, of the same tokens.
      margin: a difference smaller than this does not matter, in units of the metric: 0.01 is one percentage point of accuracy.
        Variants are then called equivalent where that is shown; 0 for no such margin.
      title: the heading of the report; the name of the config file where empty.
      data_name: what the report calls the data; their spec where empty.
      max_members: points of a cohort at most, and so on one device; several devices share them.
      drop_incompatible: whether variants that cannot be built are left out, with their reasons, or stop the sweep.
      search: by field, what is searched for each variant before its seeds are trained: ``log(1e-4, 1e-2)``,
        ``uniform(0, 0.5)`` or ``choice(0.1, 0.3)``; None to search nothing.
      trials: draws of each variant; the same draws for all.
      halvings: times that the worse half of a variant's trials stops early.
      search_seed: the seed of the trials, and of the draws; none of ``config.seeds``.
    """
    given: dict[str, Any] = {"variants": tuple(variants), "baseline": baseline, "metric": metric}
    given |= {"margin": margin, "title": title, "data_name": data_name}
    given |= {"max_members": max_members, "drop_incompatible": drop_incompatible}
    given["search"] = tuple((search or {}).items())
    return config_dict.ConfigDict({**given, "trials": trials, "halvings": halvings, "search_seed": search_seed})


class Point(NamedTuple):
    """One member to train.

    Attributes:
      variant: the change it belongs to.
      config: its own, with one seed.
      phase: "final", or "search" for a trial.
      content: of its data and its start.
    """

    variant: Variant
    config: Config
    phase: Phase
    content: Content

    @property
    def key(self) -> str:
        """Its name among all points: the hash of its identity, of a trial with a mark."""
        return key(self.config, self.phase, self.content)


def key(config: Config, phase: Phase, content: Content) -> str:
    """The name of the point of a config with one seed."""
    return json_hash({"phase": phase, **Identity(configs.content(config), content).plain()})


class Built(NamedTuple):
    """A variant that can be built.

    Attributes:
      variant: the change.
      config: its config with the sweep's seeds.
      content: of its data and its start.
      data: the splits, which variants with the same share.
      steps: updates.
      split: that its members are scored on.
      notes: on its data.
    """

    variant: Variant
    config: Config
    content: Content
    data: contracts.Dataset
    steps: int
    split: str
    notes: tuple[str, ...]

    def experiment(self) -> "recipe.Experiment":
        """What its first member trains; made anew, because two hundred hold more than a machine does."""
        from attention.training import recipe

        return recipe.experiment(configs.members(self.config)[0], data=self.data)

    def counted(self) -> tuple[int, float]:
        """Entries of the weights of a member, and operations per example of training at the longest padded length.

        Takes about a second: the update is traced.
        """
        import jax

        from attention.training.describe import abstract_members, flops_per_example

        experiment = self.experiment()
        members = abstract_members(experiment)
        return sum(leaf.size for leaf in jax.tree.leaves(members.params)), flops_per_example(experiment, members)


class Plan(NamedTuple):
    """A sweep that has been checked.

    Attributes:
      sweep: as asked for.
      built: the variants that can be built.
      dropped: those that cannot: name and reason.
    """

    sweep: Sweep
    built: tuple[Built, ...]
    dropped: tuple[tuple[str, str], ...]

    def points(self, chosen: Mapping[str, Mapping[str, float]] | None = None) -> list[Point]:
        """The final points, variant by variant; ``chosen`` has the searched values of each, those without are left out."""
        found = []
        for built in self.built:
            if self.sweep.search is not None and (chosen is None or built.variant.name not in chosen):
                continue
            values = (chosen or {}).get(built.variant.name, {})
            whole = with_training(built.config, values)
            found += [Point(built.variant, one, "final", built.content) for one in configs.members(whole)]
        return found

    def trials(self) -> list[Point]:
        """The points of the search, variant by variant; none where nothing is searched."""
        search = self.sweep.search
        if search is None:
            return []
        found = []
        for built in self.built:
            cohort = dataclasses.replace(built.config.cohort, halvings=search.halvings)
            single = dataclasses.replace(built.config, seeds=(search.seed,), cohort=cohort)
            drawn = [with_training(single, values) for values in search.draws()]
            found += [Point(built.variant, one, "search", built.content) for one in drawn]
        return found

    def cohorts(self, points: Sequence[Point]) -> list[list[Point]]:
        """Points that can share a program, in groups of up to ``max_members``; trials of a variant stay together."""
        groups: dict[Any, list[Point]] = {}
        for point in points:
            # Halving compares the trials of one variant with each other.
            among = point.variant.name if point.phase == "search" else None
            groups.setdefault((configs.program_of(point.config), point.phase, among), []).append(point)
        most = self.sweep.max_members
        return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]


def with_training(config: Config, values: Mapping[str, float]) -> Config:
    """The config with other values of ``config.training``, by dotted field."""
    changed: dict[str, Any] = {field.removeprefix("training."): value for field, value in values.items()}
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changed))


def read(fields: Mapping[str, Any], name: str) -> Sweep:
    """Checks what a config file asks for, as far as no model is needed.

    Args:
      fields: of a config, with the section ``sweep`` that ``section`` makes.
      name: of the file.

    Raises:
      ValueError: for a config without a sweep, an axis that names no field, an empty grid, variants of one name or of one
        config, a baseline that is not among them, an unknown metric, a margin that is none, a name with control characters,
        or a search that cannot be.
    """
    base = dict(fields)
    if "sweep" not in base:
        raise ValueError(
            f"config {name} has no section sweep, which --config=sweeps/smoke has and attention.lab.plan.section makes"
        )
    asked = dict(base.pop("sweep"))
    variants = tuple(Variant(tuple(names), dict(values)) for names, values in asked["variants"])
    _check_variants(variants, asked["baseline"])
    checked = configs.from_dict(base)
    task = specs.build("task", checked.task)
    metrics = (*(metric.name for metric in task.metrics), BEYOND, *([LONGER] if task.next_token else []))
    shares = (*(metric.name for metric in task.metrics if metric.share), BEYOND)
    metric = asked["metric"] or metrics[0]
    if metric not in metrics:
        raise ValueError(f"config.sweep.metric must be one of {', '.join(metrics)}, got {metric!r}{nearest(metric, metrics)}")
    if asked["max_members"] < 1:
        raise ValueError(f"config.sweep.max_members must be 1 or more, got {asked['max_members']}")
    search = None
    if asked["search"]:
        search = Search.read(dict(asked["search"]), asked["trials"], asked["halvings"], asked["search_seed"])
        if search.seed in checked.seeds:
            raise ValueError(f"config.sweep.search_seed must not be one of config.seeds, got {search.seed}")
        if search.halvings and search.trials > asked["max_members"]:
            have = f"{search.trials} trials and max_members={asked['max_members']}"
            raise ValueError(f"config.sweep.halvings needs all trials in one cohort; got {have}")
    del base["seeds"]
    return Sweep(
        name=plain_name(name, "the name of a config"),
        base=base,
        variants=variants,
        baseline=asked["baseline"],
        seeds=checked.seeds,
        metric=metric,
        margin=checked_margin(asked["margin"], metric, shares, "config.sweep.margin") if asked["margin"] else None,
        title=plain_name(asked["title"], "config.sweep.title"),
        data_name=plain_name(asked["data_name"], "config.sweep.data_name"),
        max_members=asked["max_members"],
        drop_incompatible=asked["drop_incompatible"],
        search=search,
    )


def _check_variants(variants: Sequence[Variant], baseline: str) -> None:
    known = _field_names()
    seen: dict[str, Variant] = {}
    for variant in variants:
        for field in variant.fields:
            if field not in known:
                near = nearest(field, known) or f"; fields: {', '.join(known)}"
                raise ValueError(f"the axis {field!r} is no field of a config{near}")
        plain_name(variant.name, "the name of a variant")
        if variant.name in seen:
            raise ValueError(
                f"two variants are called {variant.name!r}; give their values names: param(field, {{name: value}})"
            )
        seen[variant.name] = variant
    if not seen:
        raise ValueError("the grid of config.sweep.variants is empty")
    if baseline not in seen:
        have = f"got {baseline!r}{nearest(baseline, seen)}; variants: {', '.join(seen)}"
        raise ValueError(f"config.sweep.baseline must be one of the variants, {have}")


def _field_names() -> list[str]:
    sections = dataclasses.asdict(Config())
    nested = [f"{name}.{field}" for name, value in sections.items() if isinstance(value, dict) for field in value]
    return ["task", *nested]


def plan(sweep: Sweep) -> Plan:
    """Builds every variant once: its config, its data and its model; nothing is traced or trained.

    Raises:
      ValueError: for a value that no config takes, data that cannot be read, two variants of one config, and for variants
        that cannot be built where the sweep does not drop them, with every reason.
    """
    from attention.training import finetune, identities, recipe

    built, dropped, seen = [], [], {}
    loaded: dict[Any, contracts.Dataset] = {}
    starts: dict[tuple[str, ...], str | None] = {}
    for variant in heartbeat.each("checking variant", sweep.variants):
        config = configs.from_dict({**_changed(sweep.base, variant.fields), "seeds": sweep.seeds})
        if config in seen:
            raise ValueError(f"duplicate points: {seen[config]!r} and {variant.name!r} are the same config")
        seen[config] = variant.name
        try:
            recipe.checked_model(config)
        except ValueError as error:
            dropped.append((variant.name, str(error)))
            continue
        data = _load(config, loaded)
        if sweep.metric == BEYOND and data.trained_length is None:
            raise ValueError(
                f"config.sweep.metric={BEYOND} needs test texts longer than those of training; {data.source} has none"
            )
        if sweep.metric == LONGER and data.splits["train"].documents is None:
            raise ValueError(f"config.sweep.metric={LONGER} needs windows cut from texts; {data.source} has rows of its own")
        try:
            if config.training.continue_from:
                raise ValueError("config.training.continue_from goes on with one run, which a sweep of several cannot be")
            begun = config.training.init_from, config.model.vectors, config.data.tokenizer
            if begun not in starts:
                starts[begun] = identities.start_hash(config, finetune.read(config))
            content = Content(data.hashes, data.classes, starts[begun])
            one = _built(variant, recipe.experiment(config, data=data), data, content)
            if lack := scored.undefined(sweep.metric, data.splits[one.split]):
                raise ValueError(f"config.sweep.metric={sweep.metric} is undefined on {one.split}: {lack}")
            built.append(one)
        except ValueError as error:
            dropped.append((variant.name, str(error)))
    named = [name for name, _ in dropped]
    if dropped and (not sweep.drop_incompatible or sweep.baseline in named):
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in dropped)
        hint = "" if sweep.drop_incompatible else "; --config.sweep.drop_incompatible leaves them out"
        what = f"{len(dropped)} of {len(sweep.variants)} variants cannot be built"
        raise ValueError(f"{what}: {reasons}{hint if sweep.baseline not in named else '; the baseline is among them'}")
    made = Plan(sweep, tuple(built), tuple(dropped))
    _check_alike(made)
    _check_tokens(made)
    _check_search(made)
    return made


def _check_alike(plan: Plan) -> None:
    """Raises ValueError for variants that differ in what their files are called, and in nothing else."""
    seen: dict[str, str] = {}
    for built in plan.built:
        found = key(configs.members(built.config)[0], "final", built.content)
        if found in seen:
            raise ValueError(
                f"duplicate points: {seen[found]!r} and {built.variant.name!r} are one config with data of one content"
            )
        seen[found] = built.variant.name


def _check_tokens(plan: Plan) -> None:
    """Raises ValueError for variants with other tokens that are compared by a mean over tokens."""
    sweep = plan.sweep
    if sweep.metric not in (LONGER, *(each.name for each in sweep.task.metrics if each.per_token)):
        return
    baseline = next(built for built in plan.built if built.variant.name == sweep.baseline)
    same = lambda built: built.split == baseline.split and scored.same_tokens(baseline.data, built.data, built.split)
    if others := [built.variant.name for built in plan.built if not same(built)]:
        instead = [each.name for each in sweep.task.metrics if not each.per_token and _defined(each.name, plan.built)]
        hint = f"; compare them by {' or '.join(instead)}" if instead else ""
        have = f"config.sweep.metric={sweep.metric} is per token, and variants have other tokens than {sweep.baseline!r}"
        raise ValueError(f"{have}, by their tokenizers or by what these learned: {listed(others, 5)}{hint}")


def _defined(metric: str, built: Sequence[Built]) -> bool:
    return not any(scored.undefined(metric, each.data.splits[each.split]) for each in built)


def _check_search(plan: Plan) -> None:
    """Raises ValueError for a search whose trials or whose variants cannot be trained as they are drawn."""
    search = plan.sweep.search
    if search is None:
        return
    for variant in plan.sweep.variants:
        for field in variant.fields:
            if field in search.ranges:
                raise ValueError(
                    f"the variant {variant.name!r} sets {field}, which config.sweep.search draws; give one of them"
                )
    for trial in plan.trials():
        configs.from_dict(configs.to_dict(trial.config))  # the ranges of the fields
    cohorts = plan.cohorts(plan.trials())
    for cohort in cohorts:
        configs.cohort([point.config for point in cohort])
    if search.halvings and len(cohorts) > len(plan.built):
        what = "draws 0 and other values of a field that 0 leaves out of the program"
        raise ValueError(f"config.sweep.halvings needs all trials of a variant in one cohort; config.sweep.search {what}")


def _changed(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested fields with dotted ones set."""
    fields = {name: dict(value) if isinstance(value, Mapping) else value for name, value in base.items()}
    for field, value in values.items():
        part, _, name = field.rpartition(".")
        (fields.setdefault(part, {}) if part else fields)[name] = value
    return fields


def _load(config: Config, loaded: dict[Any, contracts.Dataset]) -> contracts.Dataset:
    """The data of a config, among those that are ``loaded`` by all that they depend on."""
    from attention.training import recipe

    key = config.task, config.data.source, config.data.tokenizer, config.data.seed, *configs.reading(config).items()
    if key not in loaded:
        loaded[key] = recipe.load_data(config)
    return loaded[key]


def _built(variant: Variant, experiment: "recipe.Experiment", data: contracts.Dataset, content: Content) -> Built:
    from attention.training import recipe

    said = recipe.scored_split(data, experiment.task), recipe.notes(experiment.data)
    return Built(variant, experiment.config, content, data, experiment.steps, *said)
