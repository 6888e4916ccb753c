"""Weights & Biases: a run for each member, in a group for the whole; offline with WANDB_MODE=offline.

The server is asked which update a run has reached, and no row is sent twice. An offline run can ask nobody: what it has been
told stands beside its files, and ``wandb sync`` sends them. Files of W&B lie in the folder of the run. The summary has the
scores of test, the verdict and the number of parameters. Whoever is not logged in is told so, and never asked.

Source: https://docs.wandb.ai
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attention.files import json_hash, read_json, write_json
from attention.runs.trackers import Ending, Member, Row, Session, Tracker

__all__: list[str] = []

_TOLD = "attention_lab.json"  # in the folder of an offline run


def build(*, project: str = "attention-lab", entity: str = "", tags: tuple[str, ...] = ()) -> Tracker:
    """A run of W&B for each member.

    Args:
      project: made where missing.
      entity: the user or team it belongs to; by default the user's own.
      tags: words to find the runs by.
    """
    if not project:
        raise ValueError("project wants a name, as in wandb(project='attention-lab')")
    return Tracker(functools.partial(_open, project, entity, tags), packages=("wandb",))


def _open(project: str, entity: str, tags: tuple[str, ...], member: Member) -> Session:
    wandb, mode = _package(), os.environ.get("WANDB_MODE", "online")
    if mode == "disabled":
        raise ValueError("WANDB_MODE=disabled: W&B shows nothing; offline keeps files for wandb sync")
    offline = mode in ("offline", "dryrun")
    if not offline and not wandb.login(prompt=False):
        raise ValueError("W&B has no API key: wandb login, or WANDB_API_KEY; WANDB_MODE=offline keeps files for wandb sync")
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True, init_timeout=30
    )

    @functools.cache
    def run() -> Any:
        member.folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=project,
            entity=entity or None,
            id=member.id,
            name=member.name,
            group=member.group,
            tags=list(tags),
            config={**member.config, **{f"environment.{name}": value for name, value in member.environment.items()}},
            dir=member.folder,
            resume=None if offline else "allow",
            reinit="create_new",
            settings=settings,
        )

    before = _told(member) if offline else {"step": run().starting_step - 1, "ending": ""}
    told = dict(before)

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            run().log(dict(row.values), step=row.step, commit=True)
            tell(step=row.step)

    def tell(**new: Any) -> None:
        told.update(new)
        if offline:
            write_json(Path(run().dir).parent / _TOLD, told)

    def end(ending: Ending) -> None:
        digest = json_hash(ending._asdict())
        if told["ending"] != digest:
            run().summary.update({**ending.numbers, **ending.words})
            tell(ending=digest, failed=ending.failed)

    def close(finished: bool) -> None:
        if run.cache_info().currsize:
            run().finish(exit_code=int(not finished or bool(told.get("failed"))))

    places = [str(path.parent) for path in _offline_runs(member)]
    place = (places[-1] if places else f"{member.folder}/wandb") + " (for wandb sync)" if offline else str(run().url)
    return Session(add, end, close, before["step"], place)


def _package() -> Any:
    """W&B, loaded when it is used."""
    import wandb

    return wandb


def _offline_runs(member: Member) -> list[Path]:
    """What offline runs of a member have been told, the last one last."""
    return sorted(member.folder.glob(f"wandb/offline-run-*-{member.id}/{_TOLD}"))


def _told(member: Member) -> dict[str, Any]:
    """The last update that offline runs have, and the ending."""
    found = [read_json(path) for path in _offline_runs(member)]
    return found[-1] if found else {"step": -1, "ending": ""}
