"""Trains a text classifier, or goes on with a run that was cut off.

python train.py                                           ListOps, into runs/listops-<hash>
python train.py --config=configs/smoke.py                 another config
python train.py --config.model.encoding=rope              another encoding
python train.py --config.seeds=0,1,2                      three members in one program
python train.py --config=... --init_from=runs/NAME        from the weights of a finished run
python train.py --workdir=runs/NAME                       what the config.json in that folder says
python train.py --list=encoding                           what there is
python train.py --describe                                what would be trained, and what it costs
"""

import sys
from pathlib import Path

from absl import flags

from attention.training import backend, command_line

DEFAULT = Path(__file__).parent / "configs" / "listops.py"


def define_flags() -> flags.FlagValues:
    """The flags beside --config and its fields, made anew for each call."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The run directory; default runs/<config>-<hash>.", flag_values=values)
    flags.DEFINE_string("init_from", None, "A finished run whose weights are the start.", flag_values=values)
    flags.DEFINE_boolean("profile", False, "Write a trace of a few updates into the run.", flag_values=values)
    flags.DEFINE_boolean("describe", False, "Print config, parameters, cost; train nothing.", flag_values=values)
    flags.DEFINE_string("list", None, "Print the variants of a kind, or of all: --list[=kind].", flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Parses the flags and trains."""
    argv = listing(argv)
    values = define_flags()
    given = command_line.parse_config(argv, default=command_line.config_beside(argv) or DEFAULT)
    command_line.parse_flags(given.argv, values, usage=__doc__ or "")
    if values.list is not None:
        from attention.training import describe

        print(describe.variants_of(values.list))
        return
    from attention.training import config as configs

    fields = given.fields.to_dict()
    if "sweep" in fields:
        raise ValueError(f"config {given.name} is a sweep: python sweep.py --config=...")
    if values.init_from is not None:
        fields.setdefault("training", {})["init_from"] = values.init_from
    config = configs.from_dict(fields)
    backend.prepare()
    if values.describe:
        from attention.training import describe

        print(describe.describe(config))
        return
    from attention.runs import opening
    from attention.training import loop, process

    process.keep_freed_memory()
    name = opening.default_name(given.name, configs.words(config))
    workdir = values.workdir or Path("runs") / name
    result = loop.train(config, workdir, profile=values.profile, config_file=given.text)
    if result["summary"] is None:
        raise SystemExit("error: every member stopped before its first validation")
    if any(member["failed"] for member in result["members"]):
        raise SystemExit(command_line.FAILED)


def listing(argv: list[str]) -> list[str]:
    """``--list KIND`` as ``--list=KIND``, and ``--list`` alone as ``--list=all``."""
    for place, argument in enumerate(argv):
        if argument.lstrip("-") == "list" and argument.startswith("-"):
            kinds = [kind for kind in argv[place + 1 : place + 2] if not kind.startswith("-")]
            return [*argv[:place], f"--list={''.join(kinds) or 'all'}", *argv[place + 1 + len(kinds) :]]
    return argv


if __name__ == "__main__":
    sys.exit(command_line.run_main(main))
