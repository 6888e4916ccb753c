"""Weights & Biases: a run for each member, in a group for the whole; offline with WANDB_MODE=offline.

The server is asked which update a run has reached, and no row is sent twice. An offline run can ask nobody: its files, which
``wandb sync`` sends, are read, and what a kill has kept from them follows in another. They lie in the folder of the run. The
summary has the scores of test, the verdict and the number of parameters. Whoever is not logged in is told so, and never asked.

Source: https://docs.wandb.ai
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attention.messages import quoted
from attention.runs.trackers import Ending, Member, Row, Session, Tracker, _wandb_files

__all__: list[str] = []

_FORBIDDEN, _LONGEST = r"/\#?%:", 128  # signs that no name of a project has, and its length


def build(*, project: str = "attention-lab", entity: str = "", tags: tuple[str, ...] = ()) -> Tracker:
    """A run of W&B for each member.

    Args:
      project: made where missing.
      entity: the user or team it belongs to; by default the user's own.
      tags: words to find the runs by.
    """
    if not 0 < len(project) <= _LONGEST or set(project) & set(_FORBIDDEN):
        wanted = f"a name of at most {_LONGEST} signs without any of {_FORBIDDEN}"
        raise ValueError(f"project wants {wanted}, as in wandb(project='attention-lab'); got {quoted(project, 60)}")
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

    files = _files(member) if offline else []
    if not files:
        run()
    told = _wandb_files.told(files) if offline else _wandb_files.Told(run().starting_step - 1, {})
    failed = False

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            run().log(dict(row.values), step=row.step, commit=True)

    def end(ending: Ending) -> None:
        nonlocal failed
        summary = {**ending.numbers, **ending.words}
        if any(told.summary.get(name) != value for name, value in summary.items()):
            run().summary.update(summary)
            failed = ending.failed

    def close(finished: bool) -> None:
        if run.cache_info().currsize:
            run().finish(exit_code=int(not finished or failed))

    place = f"{(files or _files(member))[-1].parent} (for wandb sync)" if offline else str(run().url)
    return Session(add, end, close, told.reached, place)


def _package() -> Any:
    """W&B, loaded when it is used."""
    import wandb

    return wandb


def _files(member: Member) -> list[Path]:
    """The files of offline runs of a member, the last one last."""
    return sorted(member.folder.glob(f"wandb/offline-run-*-{member.id}/*.wandb"))
