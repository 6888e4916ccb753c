"""What the entry points share: flags, configs, one line and an exit code for what goes wrong.

An entry point is ``sys.exit(run_main(main))``, where ``main(argv)`` parses with ``parse_config`` and ``parse_flags``
and calls one function. Configs are files whose ``get_config()`` returns a ``ConfigDict``; a field is set by
``--config.SECTION.FIELD=VALUE``, of the type the file gives it, a tuple as ``1,2,3``, a switch also as
``--config.FIELD`` and ``--noconfig.FIELD``.
"""

import importlib.util
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags
from ml_collections import config_dict

from attention.files import TryAgainError, passing
from attention.messages import one_line
from attention.runs.directory import RunDirectory
from attention.specs import nearest

# Set to see the traceback of an error that is otherwise one line; for those who write a variant.
TRACEBACK = "ATTENTION_TRACEBACK"
FAILED, AGAIN = 1, 75  # exit codes: finished with something failed; worth trying again


def run_main(main: Callable[[list[str]], Any], argv: list[str] | None = None) -> int:
    """Calls ``main(argv)``, and turns bad input into one line on stderr.

    Args:
      main: raises ValueError for bad input.
      argv: program name and arguments; ``sys.argv`` where None.

    Returns:
      The exit code: 0; 2 for bad input (ValueError, flags, an OSError that names a file); 75 for what is worth trying again as
      it is (TryAgainError, a full disk, a file server that does not answer); 130 for an interrupt.
      Whatever else is raised is a defect and goes through with its traceback, as everything does where
      ``ATTENTION_TRACEBACK`` is set.
    """
    try:
        main([_at_home(argument) for argument in (sys.argv if argv is None else argv)])
        return 0
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    except (ValueError, flags.Error) as error:
        message, code = str(error), AGAIN if isinstance(error, TryAgainError) else 2
        if os.environ.get(TRACEBACK):
            raise
    except BrokenPipeError:  # whoever reads, as in `train.py --list | head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        again = passing(error)
        if not (error.filename or again) or os.environ.get(TRACEBACK):
            raise
        message, code = f"{error.filename or 'the system'}: {error.strerror}", AGAIN if again else 2
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _at_home(argument: str) -> str:
    """``--NAME=~/PATH`` as ``--NAME=/home/NAME/PATH``, which shells do to a path that stands alone."""
    name, equals, value = argument.partition("=")
    if not (equals and argument.startswith("-") and re.match(r"~[\w.-]*(/|$)", value)):
        return argument
    return f"{name}={os.path.expanduser(value)}"


def parse_flags(argv: list[str], values: flags.FlagValues, *, usage: str) -> None:
    """Parses ``argv`` into ``values``; ``--help`` prints ``usage`` and the flags, and exits with 0.

    Raises:
      ValueError: for an unknown flag, an ill-typed value, or an argument that is no flag.
    """
    if any(argument in ("--help", "-h", "-help") for argument in argv[1:]):
        print(f"{usage.strip()}\n{values.get_help()}")
        raise SystemExit(0)
    try:
        stray = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        known = sorted(set(values) - {"flagfile", "undefok"})  # the two that absl adds itself
        names = ", ".join(f"--{name}" for name in known)
        raise ValueError(f"unknown flag --{error.flagname}{nearest(error.flagname, known)}; flags: {names}") from None
    except flags.Error as error:
        raise ValueError(str(error)) from None
    if stray:
        raise ValueError(f"stray argument {stray[0]!r}: arguments are flags, --NAME=VALUE")


class Config(NamedTuple):
    """A config as given: its fields with the overrides applied, its file's name and text, and the arguments left over."""

    fields: config_dict.ConfigDict
    name: str
    argv: list[str]
    text: str


def parse_config(argv: list[str], *, default: str | os.PathLike[str]) -> Config:
    """Loads the file of ``--config=FILE`` and applies each ``--config.FIELD=VALUE``.

    Args:
      argv: program name and arguments.
      default: the file where ``--config`` is not given.

    Raises:
      ValueError: for a file that is missing or no config, an unknown field, or a value of the wrong type.
    """
    path, overrides, rest = os.fspath(default), [], argv[:1]
    arguments = iter(argv[1:])
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        negated = name.startswith("noconfig.")
        if not argument.startswith("-") or not (name == "config" or name.startswith("config.") or negated):
            rest.append(argument)
        elif name == "config":
            path = value if equals else next(arguments, "")
            if not path:
                raise ValueError("--config wants a file: --config=FILE")
        elif negated and equals:
            raise ValueError(f"--{name} takes no value")
        else:
            text = "false" if negated else value if equals else None
            overrides.append((name.partition(".")[2], text))
    fields = load_config(path)
    for field, text in overrides:
        _override(fields, field, text)
    return Config(fields, Path(path).stem, rest, Path(path).read_text(encoding="utf-8"))


def config_beside(argv: list[str]) -> Path | None:
    """The ``config.json`` in the folder of ``--workdir``, where there is one."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    values(argv, known_only=True)
    found = Path(values.workdir or "") / "config.json"
    return found if values.workdir and found.is_file() else None


def load_config(path: str | os.PathLike[str]) -> config_dict.ConfigDict:
    """What ``get_config()`` of a file returns, or what the ``config.json`` of a run says.

    Raises:
      ValueError: where there is no such file or it is no config.
    """
    file = Path(path)
    if file.name == "config.json" and file.is_file():
        return config_dict.ConfigDict(RunDirectory(file.parent).read_config())
    if not file.is_file():
        beside = sorted(str(found) for found in file.parent.glob("*.py")) if file.parent.is_dir() else []
        listed = f"; beside it: {', '.join(beside)}" if beside else ""
        raise ValueError(f"config file {file} does not exist{nearest(str(file), beside)}{listed}")
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"config file {file} is no Python file; want NAME.py with a function get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"config file {error.filename}, line {error.lineno}: {error.msg}") from None
    except ImportError as error:
        raise ValueError(f"config file {file}: {error}") from None
    if not callable(getattr(module, "get_config", None)):
        raise ValueError(f"config file {file} has no function get_config()")
    config = module.get_config()
    if not isinstance(config, config_dict.ConfigDict):
        raise ValueError(f"config file {file}: get_config() wants to return a ConfigDict, got {type(config).__name__}")
    return config


def _override(config: config_dict.ConfigDict, field: str, text: str | None) -> None:
    """Sets a dotted field from text; None is the bare ``--config.FIELD``."""
    *sections, name = field.split(".")
    section: Any = config
    for part in sections:
        section = section[part] if isinstance(section, config_dict.ConfigDict) and part in section else None
    if not isinstance(section, config_dict.ConfigDict) or name not in section:
        raise ValueError(f"unknown config field {field!r}{_nearest_field(field, list(_fields(config)))}")
    current = section[name]
    if isinstance(current, config_dict.ConfigDict):
        raise ValueError(f"config field {field!r} is a section; its fields: {', '.join(_fields(current, field + '.'))}")
    kind = section.get_type(name)
    if text is None and kind is bool:
        text = "true"
    if text is None:
        raise ValueError(f"config field {field!r} wants a value: --config.{field}=VALUE")
    try:
        section[name] = _read(text, kind, current)
    except ValueError as error:
        raise ValueError(f"config field {field!r} wants {error} (as in {current!r}), got {text!r}") from None


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
    raise ValueError(f"a value that a command line cannot give, {kind.__name__}")


def _fields(config: config_dict.ConfigDict, prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, config_dict.ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _nearest_field(field: str, fields: list[str]) -> str:
    last = field.split(".")[-1]
    same = [known for known in fields if known.split(".")[-1] == last]
    near = f" (nearest: '{same[0]}')" if same else nearest(field, fields)
    return near or f"; fields: {', '.join(fields)}"


def enable_compilation_cache() -> None:
    """Keeps compiled programs, however small, between processes.

    They lie in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``, ``attention-lab/compilation``), because
    who can write there can have code run here; ``JAX_COMPILATION_CACHE_DIR`` names another.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(base / "attention-lab" / "compilation"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
