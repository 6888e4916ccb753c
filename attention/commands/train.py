"""Trains a text classifier, or goes on with a run that was cut off.

attention-train                                           ListOps, into runs/listops-<hash>
attention-train --config=smoke                            another config that comes along
attention-train --config=mine.py                          one of your own
attention-train --config.model.encoding=rope              another encoding
attention-train --config.seeds=0,1,2                      three members in one program
attention-train --config=... --init_from=runs/NAME        from the weights of a finished run or of model.safetensors
attention-train --continue_from=runs/NAME --config.training.steps=4000   a finished run for longer, in a run of its own
attention-train --workdir=runs/NAME                       what the config.json in that folder says
attention-train --list=encoding                           what there is
attention-train --describe                                what would be trained, and what it costs
"""

import gc
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from attention import heartbeat, installation, specs
from attention.commands import _python
from attention.training import command_line
from attention.training import config as configs

# What needs JAX is imported where it is used: flags, configs and specs are answered for without it.
if TYPE_CHECKING:
    from attention.evaluation import Trained

DEFAULT: str = "listops"  # the config of that name


class Result(NamedTuple):
    """A trained run: its folder, and what its ``result.json`` holds."""

    workdir: Path
    record: dict[str, Any]

    @property
    def summary(self) -> dict[str, dict[str, float | None]] | None:
        """By metric the mean over the members, ``std`` and ``ci95``; None where no member was validated."""
        return self.record["summary"]

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each member, as for ``pandas.DataFrame``; scores are ``test_accuracy``, ``validation_nll``, ..."""
        return [_python.flat(member) for member in self.record["members"]]

    def load(self) -> "Trained":
        """The run with its best weights, for ``predict(texts)`` and ``evaluate(split)``."""
        from attention.evaluation import load

        return load(str(self.workdir))

    def __repr__(self) -> str:
        from attention.training import result

        return f"{self.workdir}\n{result.stored_table(self.record, self.workdir)}"


@installation.naming_what_is_missing()
def train(config: _python.Given | None = None, workdir: str | os.PathLike[str] | None = None) -> Result:
    """Trains a model, or goes on with a run that was cut off; one that is finished answers at once.

    Sets up JAX and the memory of the process as ``training.backend`` says.

    Example:
      >>> trained = attention.train("smoke")
      >>> trained.summary["accuracy"]["mean"]
      >>> trained.load().predict(["[MAX 2 9 ]"]).labels

    Args:
      config: the name of a config that comes along, a path, or fields as those of ``attention.base_config()``; None
        for what the run in ``workdir`` is of, or ``listops``.
      workdir: the run directory; ``runs/<config>-<hash>`` where None.

    Raises:
      ValueError: for bad input of any kind, before anything is trained.
      KeyboardInterrupt: after an interrupt, once a checkpoint is written; the same call goes on from there.
    """
    given = _python.read(config, workdir, default=DEFAULT, file="config.json", what="run")
    with _python.interruptible():
        return _train(_checked(given), given, workdir)


def define_flags() -> flags.FlagValues:
    """The flags beside --config and its fields, made anew for each call."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The run directory; default runs/<config>-<hash>.", flag_values=values)
    flags.DEFINE_string(
        "init_from", None, "A finished run, or a .safetensors file of eval.py --export, to start from.", flag_values=values
    )
    flags.DEFINE_string("continue_from", None, "A finished run to train for longer.", flag_values=values)
    flags.DEFINE_boolean("profile", False, "Write a trace of a few updates into the run.", flag_values=values)
    flags.DEFINE_boolean("describe", False, "Print config, parameters, cost; train nothing.", flag_values=values)
    flags.DEFINE_string("list", None, "Print the variants of a kind, or of all: --list[=kind].", flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Parses the flags and trains."""
    argv = listing(argv)
    values = define_flags()
    given = command_line.parse_config(argv, default=command_line.config_beside(argv, "continue_from") or DEFAULT)
    command_line.parse_flags(given.argv, values, usage=__doc__ or "", config=given.fields)
    if values.list is not None:
        print(variants_of(values.list))
        return
    command_line.check_begun(given, values.workdir, "config.json", "run")
    config = _checked(given, init_from=values.init_from, continue_from=values.continue_from)
    if values.describe:
        from attention.training import backend, describe

        backend.prepare()
        print(describe.describe(config))
        return
    with heartbeat.watching(), heartbeat.doing("loading JAX"):
        importlib.import_module("attention.training.loop")
        gc.freeze()  # what is loaded stays: the collector does not look through it again, a second before the first update
        from attention.training import job

    with job.reporting():
        record = _train(config, given, values.workdir, profile=values.profile).record
    if record["summary"] is None:
        raise SystemExit("error: every member stopped before its first validation")
    if any(member["failed"] for member in record["members"]):
        raise SystemExit(command_line.FAILED)


def _checked(given: command_line.Config, **starts: str | None) -> configs.Config:
    """The config of one run. Raises ValueError for that of a sweep, and as ``training.config.from_dict``."""
    fields = given.fields.to_dict()
    if "sweep" in fields:
        sweep = installation.program("sweep")
        raise ValueError(f"config {given.name} is a sweep: {sweep} --config=..., in Python attention.sweep(config)")
    fields.setdefault("training", {}).update({name: path for name, path in starts.items() if path is not None})
    return configs.from_dict(fields)


@heartbeat.watching()
def _train(
    config: configs.Config, given: command_line.Config, workdir: str | os.PathLike[str] | None, *, profile: bool = False
) -> Result:
    with heartbeat.doing("loading JAX"):
        from attention.runs.opening import default_name
        from attention.training import backend, job, longer, loop, process

    process.check_alone()
    backend.prepare()
    folder = Path(workdir or Path("runs") / default_name(given.name, configs.words(config)))
    state = "finished" if (folder / "result.json").exists() else "going on" if (folder / "data.json").exists() else "new"
    if state == "new":
        longer.read(config)  # what cannot be gone on with is said alone
    print(given.opening(folder, state), flush=True)
    return Result(folder, loop.train(config, folder, profile=profile, config_file=given.text, **job.asked(folder)))


def variants_of(kind: str) -> str:
    """One line for each variant of a kind, or of every kind where it is "all": name, options, summary."""
    kinds = tuple(specs.KINDS) if kind == "all" else (kind,)
    lines = []
    for each in kinds:
        names = specs.names(each)
        lines.append(f"{each}:")
        lines += [f"  {specs.describe(each, name)}" for name in names]
    return "\n".join(lines)


def listing(argv: list[str]) -> list[str]:
    """``--list KIND`` as ``--list=KIND``, and ``--list`` alone as ``--list=all``."""
    for place, argument in enumerate(argv):
        if argument.lstrip("-") == "list" and argument.startswith("-"):
            kinds = [kind for kind in argv[place + 1 : place + 2] if not kind.startswith("-")]
            return [*argv[:place], f"--list={''.join(kinds) or 'all'}", *argv[place + 1 + len(kinds) :]]
    return argv
