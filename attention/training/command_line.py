"""What the entry points share: flags, configs, one line and an exit code for what goes wrong.

An entry point is ``sys.exit(run_main(main))``, where ``main(argv)`` parses with ``parse_config`` and ``parse_flags``
and calls one function. ``--config=NAME`` names a config as ``config_files`` does; a field is set by
``--config.SECTION.FIELD=VALUE``, of the type the file gives it, a tuple as ``1,2,3``, a switch also as
``--config.FIELD`` and ``--noconfig.FIELD``. ``--flagfile=FILE`` stands for the arguments that a file holds, one a line.
"""

import contextlib
import importlib.util
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import config_dict

from attention import installation
from attention.files import TryAgainError, passing
from attention.messages import listed, one_line, quoted, shown
from attention.runs.beside import near
from attention.specs import nearest
from attention.training import config_files, streams

# Set to see the traceback of an error that is otherwise one line; for those who write a variant.
TRACEBACK = "ATTENTION_TRACEBACK"
_MISSING = object()  # in a field of config_dict.required_placeholder
FAILED, AGAIN = 1, 75  # exit codes: finished with something failed; worth trying again
_PATHS = ("workdir", "data", "out", "export", "init_from", "continue_from", "report", "compare", "config", "flagfile")
_HELP = ("help", "h", "?", "helpshort", "helpfull", "help=1", "help=true")
_DEBUG = f"{TRACEBACK}=1 shows tracebacks, and python -m pdb COMMAND.py ... debugs"
_PROFILE = "train.py --profile records updates, and python -m cProfile COMMAND.py ... all of Python"
_LOG = "what a command says goes to stdout and stderr"
_OF_ABSL_APP = {
    **dict.fromkeys(("pdb", "run_with_pdb", "pdb_post_mortem"), _DEBUG),
    **dict.fromkeys(("run_with_profiling", "profile_file", "use_cprofile_for_profiling"), _PROFILE),
    **dict.fromkeys(("verbosity", "v", "stderrthreshold", "logger_levels", "log_dir"), _LOG),
    **dict.fromkeys(("logtostderr", "alsologtostderr", "showprefixforinfo"), _LOG),
    "only_check_args": "train.py --describe and sweep.py --dry_run check everything and train nothing",
}


def run_main(main: Callable[[list[str]], Any], argv: list[str] | None = None) -> int:
    """Calls ``main(argv)``, and turns bad input into one line on stderr.

    Closed streams, a pipe whose reader has gone and encodings that lack signs change what is seen and nothing else.

    Args:
      main: raises ValueError for bad input.
      argv: program name and arguments; ``sys.argv`` where None.

    Returns:
      The exit code: 0; 2 for bad input (ValueError, flags, an OSError that names a file) and for want of memory; 75 for what is
      worth trying again as it is (TryAgainError, a full disk, a file server that does not answer); 130 for an interrupt.
      Whatever else is raised is a defect and goes through with its traceback, as everything does where
      ``ATTENTION_TRACEBACK`` is set.
    """
    try:
        with streams.lasting(), _heard():
            if importlib.util.find_spec("fcntl") is None:
                raise ValueError(installation.WINDOWS)
            main([_at_home(argument) for argument in _with_files(sys.argv if argv is None else argv)])
        return 0
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    except Exception as error:
        told = _told(error)
        if told is None or os.environ.get(TRACEBACK):
            raise
        message, code = told
    with streams.lasting():
        print(f"error: {one_line(message)}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Within it, an interrupt comes again where Python drops it: in what the garbage collector calls, as JAX has it do."""
    before = sys.unraisablehook

    def hook(dropped: Any) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            before(dropped)
            return
        again = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _told(error: Exception) -> tuple[str, int] | None:
    """The message and the exit code of an error that is no defect."""
    if isinstance(error, ImportError) and (message := installation.lacking(error)):
        return message, 2
    if isinstance(error, (ValueError, flags.Error)):
        return str(error), AGAIN if isinstance(error, TryAgainError) else 2
    from attention.training import process  # which imports JAX: what is said above needs none

    if process.out_of_memory(error):
        return f"not enough memory; {process.LESS_MEMORY}: {error}", 2
    if isinstance(error, OSError) and ((again := passing(error)) or error.filename):
        return f"{error.filename or 'the system'}: {error.strerror}", AGAIN if again else 2
    return None


def _with_files(argv: Sequence[str], within: tuple[str, ...] = ()) -> Iterator[str]:
    """The arguments, those of each ``--flagfile`` in its place: one a line, lines with # or // are comments."""
    arguments = iter(argv)
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            yield argument
            continue
        path = os.path.expanduser(path if equals else next(arguments, ""))
        if not path:
            raise ValueError("--flagfile wants a file: --flagfile=FILE")
        if path in within:
            raise ValueError(f"--flagfile={shown(path)} is read by itself, through {listed(within)}")
        try:
            text = Path(path).read_text(encoding="utf-8-sig")  # editors begin files with a BOM
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise ValueError(f"--flagfile={shown(path)} cannot be read: {reason}") from None
        lines = (line.strip() for line in text.splitlines())
        yield from _with_files([line for line in lines if line and not line.startswith(("#", "//"))], (*within, path))


def _at_home(argument: str) -> str:
    """``--NAME=~/PATH`` of a flag that holds paths as ``--NAME=/home/NAME/PATH``, as shells do to a path that stands alone."""
    name, equals, value = argument.partition("=")
    path = name.lstrip("-") in _PATHS or name.lstrip("-").startswith("config.")
    if not (equals and path and argument.startswith("-") and re.match(r"~[\w.-]*(/|$)", value)):
        return argument
    return f"{name}={os.path.expanduser(value)}"


def parse_flags(argv: list[str], values: flags.FlagValues, *, usage: str, config: config_dict.ConfigDict | None = None) -> None:
    """Parses ``argv`` into ``values``; ``--help``, ``--helpxml`` (flags as XML) and ``--version`` print and exit with 0.

    ``usage``, which ``--help`` prints before the flags, names the commands as installed, and is printed as they start here.

    Args:
      argv: program name and arguments, without those of the config.
      values: the flags.
      usage: what the command is for.
      config: that of a command that has one: its fields are what an unknown flag may have meant.

    Raises:
      ValueError: for an unknown flag, an ill-typed value, or an argument that is no flag.
    """
    asked = [argument.lstrip("-") for argument in argv[1:] if argument.startswith("-")]
    if any(argument in _HELP for argument in asked):
        print(f"{_started_here(usage.strip())}\n{values.get_help()}")
        raise SystemExit(0)
    if "version" in asked:
        print(f"{installation.DISTRIBUTION} {installation.version()}")
        raise SystemExit(0)
    if "helpxml" in asked:
        values.write_help_in_xml_format(sys.stdout)
        raise SystemExit(0)
    try:
        stray = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        known = sorted(set(values) - {"flagfile", "undefok"})  # the two that absl adds itself
        fields = [] if config is None else [f"config.{field}" for field, _ in _fields(config)]
        name, instead = error.flagname, _OF_ABSL_APP.get(error.flagname.split("=")[0])
        if instead is not None:
            raise ValueError(f"--{name} is a flag of absl.app, which these commands do without; {instead}") from None
        names = ", ".join(f"--{name}" for name in [*(["config", "config.FIELD"] if fields else []), *known])
        raise ValueError(f"unknown flag --{shown(name)}{_nearest_flag(name, known, fields)}; flags: {names}") from None
    except flags.Error as error:
        if found := re.fullmatch(r"flag --(\w+)=(.*): \('Non-boolean.*", str(error), re.DOTALL):
            raise ValueError(f"--{found[1]} is a switch, --{found[1]} or --no{found[1]}, got {quoted(found[2])}") from None
        raise ValueError(str(error)) from None
    except RecursionError:  # of absl, which looks for the nearest flag letter by letter
        longest = max(asked, key=lambda argument: len(argument.partition("=")[0]))
        raise ValueError(f"unknown flag --{shown(longest)}") from None
    if stray:
        dashed = re.fullmatch(r"[\u2012-\u2015\u2212]+(.*)", stray[0], re.DOTALL)  # as word processors make of two hyphens
        hint = f"; the dash before it wants to be two hyphens: --{shown(dashed[1])}" if dashed else ""
        raise ValueError(f"stray argument {quoted(stray[0])}: arguments are flags, --NAME=VALUE{hint}")


def _nearest_flag(name: str, known: Sequence[str], fields: Sequence[str]) -> str:
    """What an unknown flag may have meant: a field of the config where it is one or has a dot, else a flag or ``--config``."""
    last = [field for field in fields if field.rpartition(".")[2] == name.rpartition(".")[2]]
    whole = [field for field in last if field.endswith(f".{name}")]
    if fields and (whole or "." in name):
        return f" (nearest: {(whole or last)[0]!r})" if last else nearest(name, fields)
    return nearest(name, [*known, *(["config"] if fields else [])])


def _started_here(usage: str) -> str:
    """Usage with each ``attention-train`` as it is started here."""
    return re.sub(r"\battention-(train|eval|sweep)\b", lambda found: installation.program(found[1]), usage)


class Config(NamedTuple):
    """A config as given.

    Attributes:
      fields: with the overrides applied.
      name: for a folder.
      said: which it is, for people.
      arguments: the flags that gave it, none for the default; None where Python gave its fields.
      argv: the arguments left over.
      text: of its file.
    """

    fields: config_dict.ConfigDict
    name: str
    said: str
    arguments: list[str] | None
    argv: list[str]
    text: str | None

    def opening(self, folder: Path, state: str) -> str:
        """The first line of a command: what it trains, where, and whether that is "new"."""
        return f"training {shown(self.said)} into {shown(folder)} ({state})"


def parse_config(argv: list[str], *, default: str | os.PathLike[str]) -> Config:
    """Loads what ``--config=NAME`` says and applies each ``--config.FIELD=VALUE``.

    Args:
      argv: program name and arguments.
      default: the config where ``--config`` is not given.

    Raises:
      ValueError: for a config that is missing or none, an unknown field, or a value of the wrong type.
    """
    path, overrides, given, rest = os.fspath(default), [], [], argv[:1]
    arguments = iter(argv[1:])
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        negated = name.startswith("noconfig.")
        if not argument.startswith("-") or not (name == "config" or name.startswith("config.") or negated):
            rest.append(argument)
            continue
        if name == "config":
            path = value if equals else next(arguments, "")
            if not path:
                raise ValueError("--config wants a config: --config=NAME, or --config=FILE.py")
            argument = f"--config={path}"
        elif negated and equals:
            raise ValueError(f"--{name} takes no value")
        else:
            text = "false" if negated else value if equals else None
            overrides.append((name.partition(".")[2], text))
        given.append(argument)
    fields = config_files.base_config(path)
    for field, text in overrides:
        _override(fields, field, text)
    if missing := [name for name, value in _fields(fields) if value is _MISSING]:
        raise ValueError(f"config file {shown(path)} wants a value for {missing[0]!r}: --config.{missing[0]}=VALUE")
    file = config_files.find(path)[0]
    chosen = isinstance(default, Path) or any(argument.startswith("--config=") for argument in given)
    said = path if chosen else f"the default config, {path},"
    return Config(fields, file.stem, said, given, rest, file.read_text(encoding="utf-8"))


def config_beside(argv: list[str], *names: str) -> Path | None:
    """The ``config.json`` in the folder of ``--workdir``, or else in that of another flag, where there is one."""
    values = flags.FlagValues()
    for name in ("workdir", *names):
        flags.DEFINE_string(name, None, "", flag_values=values)
    values(argv, known_only=True)
    given = [str(values[name].value) for name in ("workdir", *names) if values[name].value]
    return next(filter(Path.is_file, (Path(folder) / "config.json" for folder in given)), None)


def check_begun(given: Config, workdir: str | os.PathLike[str] | None, file: str, what: str) -> None:
    """Raises ValueError where no config is given and a folder, in which one may be gone on with, has nothing.

    Args:
      given: the config, perhaps the default.
      workdir: the folder, if one is given.
      file: what the folder has if something was begun there.
      what: a run or a sweep.
    """
    if workdir is not None and not given.arguments and not (Path(workdir) / file).is_file():
        beside = near(Path(workdir), file)
        raise ValueError(f"{shown(workdir)} holds no {what}{beside}; --config=NAME starts a new one there")


def _override(config: config_dict.ConfigDict, field: str, text: str | None) -> None:
    """Sets a dotted field from text; None is the bare ``--config.FIELD``."""
    *sections, name = field.split(".")
    section: Any = config
    for part in sections:
        section = _value(section, part) if isinstance(section, config_dict.ConfigDict) and part in section else None
    known = dict(_fields(config))
    if not isinstance(section, config_dict.ConfigDict) or name not in section:
        raise ValueError(f"unknown config field {quoted(field)}{_nearest_field(field, list(known))}")
    current = _value(section, name)
    if isinstance(current, config_dict.ConfigDict):
        inside = [each for each in known if each.startswith(f"{field}.")]
        raise ValueError(f"config field {field!r} is a section; its fields: {listed(inside)}")
    kind = section.get_ref(name).get_type() if current is _MISSING else section.get_type(name)
    if text is None and kind is bool:
        text = "true"
    if text is None:
        raise ValueError(f"config field {field!r} wants a value: --config.{field}=VALUE")
    try:
        section[name] = _read(text, kind, current)
    except ValueError as error:
        such = "" if current in (None, _MISSING) else f" (as in {quoted(current)})"
        raise ValueError(f"config field {field!r} wants {error}{such}, got {quoted(text)}") from None


def _read(text: str, kind: type, current: Any) -> Any:
    """Text as a value of the type of a field. Raises ValueError saying what is wanted."""
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return text.lower() == "true"
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError("a whole number") from None
    if kind is float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError("a number") from None
        if not math.isfinite(number):
            raise ValueError("a finite number")
        return number
    if kind in (tuple, list):
        items = [item.strip() for item in text.strip().strip("()[]").split(",")]
        of = type(current[0]) if current else str
        try:
            return kind(_read(item, of, None) for item in items if item)
        except ValueError as error:
            raise ValueError(f"values separated by commas, each {error}") from None
    if kind is type(None):
        raise ValueError("a type, which the file says with config_dict.placeholder(int) or another")
    raise ValueError(f"a value that a command line cannot give, {kind.__name__}")


def _value(section: config_dict.ConfigDict, name: str) -> Any:
    """What a field holds; ``_MISSING`` where the file requires it to be given."""
    try:
        return section[name]
    except config_dict.RequiredValueError:
        return _MISSING


def _fields(config: config_dict.ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields that are no sections, by dotted names, with what they hold."""
    for name in config:
        value = _value(config, name)
        if isinstance(value, config_dict.ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nearest_field(field: str, fields: list[str]) -> str:
    last = field.split(".")[-1]
    same = [known for known in fields if known.split(".")[-1] == last]
    return (f" (nearest: '{same[0]}')" if same else nearest(field, fields)) or f"; fields: {listed(fields, 60)}"
