"""Trains the variants of a sweep, and says which differ from the baseline, with what certainty and at what cost.

python sweep.py --config=configs/sweeps/smoke.py                       into runs/smoke-<hash>, with report.html
python sweep.py --config=configs/sweeps/encodings.py --dry_run         what would be trained, in what time
python sweep.py --config=... --config.seeds=0,1,2,3,4                  more seeds: only what is new is trained
python sweep.py --config=... --config.training.steps=500               another base config, another sweep
python sweep.py --config=... --export=shell                            a command for each cohort, for a scheduler
python sweep.py --compare runs/A runs/B                                two finished runs, seed by seed
python sweep.py --report=runs/S --baseline=rope --metric=nll           another question to what is trained
python sweep.py --report=runs/S --compare rope alibi                   any two of its variants
"""

import sys
from pathlib import Path

from absl import flags

from attention.training import backend, command_line

OF_REPORT = ("baseline", "metric", "margin", "title", "data_name")  # flags that go with --report
DEFAULT = Path(__file__).parent / "configs" / "sweeps" / "smoke.py"


def define_flags() -> flags.FlagValues:
    """The flags beside --config and its fields, made anew for each call."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The sweep's directory; default runs/<config>-<hash>.", flag_values=values)
    flags.DEFINE_enum("executor", "local", ["local"], "What trains: this machine's devices.", flag_values=values)
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
    command_line.parse_flags(given.argv, values, usage=__doc__ or "")
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
    from attention.lab import command

    arguments = [argument for argument in argv[1:] if argument.lstrip("-").startswith(("config", "noconfig"))]
    backend.prepare()
    options = {name: getattr(values, name) for name in ("only", "retry_failed", "retrain_changed")}
    code = command.sweep(given, arguments, workdir=values.workdir, dry_run=values.dry_run, export=values.export, **options)
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


if __name__ == "__main__":
    sys.exit(command_line.run_main(main))
