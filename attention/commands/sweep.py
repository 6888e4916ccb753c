"""Trains the variants of a sweep, and says which differ from the baseline, with what certainty and at what cost.

attention-sweep --config=sweeps/smoke                                  into runs/smoke-<hash>, with report.html
attention-sweep --config=sweeps/encodings --dry_run                    what would be trained, in what time
attention-sweep --config=mine.py                                       a sweep of your own
attention-sweep --config=... --config.seeds=0,1,2,3,4                  more seeds: only what is new is trained
attention-sweep --config=... --config.training.steps=500               another base config, another sweep
attention-sweep --config=... --executor='local(processes=2)'            cohorts side by side, on cores of their own
attention-sweep --config=... --executor='slurm(gpus=1)'                cohorts as jobs of a cluster
attention-sweep --config=... --export=shell                            a command for each cohort, for a scheduler
attention-sweep --compare runs/A runs/B                                two finished runs, seed by seed
attention-sweep --report=runs/S --baseline=rope --metric=nll           another question to what is trained
attention-sweep --report=runs/S --compare rope alibi                   any two of its variants
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from attention import installation
from attention.commands import _python
from attention.training import command_line

# What needs JAX is imported where it is used: flags and configs are answered for without it.
if TYPE_CHECKING:
    from attention.lab import against_rival, analysis, results

DEFAULT = "sweeps/smoke"
OF_REPORT = ("baseline", "metric", "margin", "title", "data_name")  # flags that go with --report
# Columns of ``results.SCHEMA`` that hold curves, bits or whole files.
_LONG = (
    "names",
    "config",
    "baselines",
    "losses",
    "validations",
    "by_length",
    "correct",
    "rival_correct",
    "environment",
    "data",
)


class SweepResult(NamedTuple):
    """A sweep: its folder, which has ``report.html``, and what its ``results.parquet`` holds."""

    workdir: Path
    results: "results.Results"

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each variant and seed, as for ``pandas.DataFrame``: what ``lab.results.SCHEMA`` says, but curves."""
        return [_python.flat({name: row[name] for name in row if name not in _LONG}) for row in self.results.rows]

    def verdicts(self) -> list[dict[str, Any]]:
        """A flat row for each variant: verdict, difference, interval, ..., as ``lab.comparisons.Comparison`` has them.

        Where there is a rival, also "beside_the_rival", "rival", and "rival_score", "_difference", "_low" and "_high".
        """
        from attention.lab import against_rival, analysis

        beside = {one.name: one for one in against_rival.against(self.results)}
        return [
            {"variant": one.name, "mean": one.mean, **_compared(one), **_beside(beside.get(one.name))}
            for one in analysis.standings(self.results)
        ]

    def __repr__(self) -> str:
        told = [f"{row['variant']}: {row.get('verdict', 'the baseline')}" for row in self.verdicts()]
        return "\n".join([str(self.workdir / "report.html"), *told])


def _compared(one: "analysis.Standing") -> dict[str, Any]:
    return {} if one.comparison is None else one.comparison._asdict()


def _beside(found: "against_rival.Against | None") -> dict[str, Any]:
    if found is None:
        return {}
    known = {"rival": found.rival, "rival_score": found.score, "rival_difference": found.difference}
    return {"beside_the_rival": found.verdict, **known, "rival_low": found.low, "rival_high": found.high}


@installation.naming_what_is_missing()
def sweep(
    config: _python.Given | None = None,
    workdir: str | os.PathLike[str] | None = None,
    *,
    retry_failed: bool = False,
    executor: str = "local",
) -> SweepResult:
    """Trains of a sweep what is not trained yet, and writes its report.

    Sets up JAX and the process's memory as ``training.backend`` and ``training.process`` say.

    Example:
      >>> swept = attention.sweep("sweeps/smoke")
      >>> pandas.DataFrame(swept.verdicts())

    Args:
      config: the name of a config that comes along, a path, or fields, with the section that ``lab.plan.section`` makes;
        None for ``sweeps/smoke``, where no ``workdir`` of another is given.
      workdir: the sweep's directory; ``runs/<config>-<hash>`` where None.
      retry_failed: whether members that are recorded as failed are trained again.
      executor: spec of what trains, as ``local(processes=2)``.

    Raises:
      ValueError: for bad input of any kind, before anything is trained. A member that cannot be trained is a row that says why.
      KeyboardInterrupt: after an interrupt, once checkpoints are written; the same call goes on from there.
    """
    from attention.lab import command, results
    from attention.training import backend

    given = _python.read(config, workdir, default=DEFAULT, file="sweep.json", what="sweep")
    folder = command.folder(given, workdir)
    backend.prepare()
    with _python.interruptible():
        command.sweep(given, workdir=folder, retry_failed=retry_failed, executor=executor)
    return SweepResult(folder, results.read(folder / "results.parquet"))


def define_flags() -> flags.FlagValues:
    """The flags beside --config and its fields, made anew for each call."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The sweep's directory; default runs/<config>-<hash>.", flag_values=values)
    flags.DEFINE_string(
        "executor", "local", "Spec of what trains, as slurm(gpus=1); local is this machine.", flag_values=values
    )
    flags.DEFINE_boolean("dry_run", False, "Print the plan; train nothing.", flag_values=values)
    flags.DEFINE_enum("export", None, ["shell"], "Print a command for each cohort; train nothing.", flag_values=values)
    flags.DEFINE_string("only", None, "Train this cohort alone, as --export names it.", flag_values=values)
    flags.DEFINE_boolean("retry_failed", False, "Try again what is recorded as failed.", flag_values=values)
    flags.DEFINE_boolean(
        "retrain_changed", False, "Train again what was trained with other files of the package.", flag_values=values
    )
    flags.DEFINE_string("report", None, "Write the report of a sweep's directory anew; train nothing.", flag_values=values)
    flags.DEFINE_string("baseline", None, "Of --report: the variant to compare the others with.", flag_values=values)
    flags.DEFINE_string("metric", None, "Of --report: what to compare them by.", flag_values=values)
    flags.DEFINE_float("margin", None, "Of --report: a difference that does not matter.", flag_values=values)
    flags.DEFINE_string("title", None, "Of --report: its heading.", flag_values=values)
    flags.DEFINE_string("data_name", None, "Of --report: what it calls the data.", flag_values=values)
    flags.DEFINE_list("compare", None, "Compare two runs, or with --report two variants: --compare A B.", flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Parses the flags and runs the sweep."""
    given = command_line.parse_config(joined(argv), default=DEFAULT)
    values = define_flags()
    command_line.parse_flags(given.argv, values, usage=__doc__ or "", config=given.fields)
    if values.compare is not None and values.report is not None:
        from attention.lab import compare_variants

        options = {"metric": values.metric, "margin": values.margin}
        print(compare_variants.compare(Path(values.report), values.compare, **options))
        return
    if values.compare is not None:
        from attention.lab import compare_runs

        print(compare_runs.compare(values.compare))
        return
    if values.report is not None:
        from attention.lab import report

        print(report.write(Path(values.report), **{name: getattr(values, name) for name in OF_REPORT}))
        return
    if given_too := [name for name in OF_REPORT if getattr(values, name) is not None]:
        raise ValueError(f"--{given_too[0]} goes with --report=DIR; of a sweep it is --config.sweep.{given_too[0]}")
    from attention.lab import plan

    command_line.check_begun(given, values.workdir, "sweep.json", "sweep")
    plan.read(given.fields.to_dict(), given.name)  # what is wrong with the config is said before the rest is imported
    from attention.lab import command
    from attention.training import backend

    backend.prepare()
    options = {name: getattr(values, name) for name in ("only", "retry_failed", "retrain_changed", "executor")}
    folder = command.folder(given, values.workdir)
    code = command.sweep(given, workdir=folder, dry_run=values.dry_run, export=values.export, **options)
    if code:
        raise SystemExit(code)


def joined(argv: list[str]) -> list[str]:
    """``--compare A B`` as ``--compare=A,B``."""
    for place, argument in enumerate(argv):
        if argument.lstrip("-") == "compare":
            runs = argv[place + 1 : place + 3]
            quoted = ",".join(f'"{run}"' for run in runs)  # a name may have commas
            return [*argv[:place], f"--compare={quoted}", *argv[place + 3 :]]
    return argv
