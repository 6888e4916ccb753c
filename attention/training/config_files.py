"""Config files: found by name or path, and read.

A config is a Python file whose ``get_config()`` returns a ``ConfigDict``. **What ends with .py or .json is a path; all else is
the name of a config that comes along**, as ``smoke`` or ``sweeps/smoke``, whatever lies in the current folder. An argument
after a colon is passed to ``get_config``, and the ``config.json`` of a run is a config too.
"""

import importlib.util
import inspect
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from attention import installation
from attention.messages import listed, quoted, shown
from attention.specs import nearest


def names() -> list[str]:
    """The configs that come along."""
    folder = installation.configs()
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.py"))


def find(given: str | os.PathLike[str]) -> tuple[Path, tuple[str, ...]]:
    """The file that a name or a path means, and the argument after a colon where there is one.

    Raises:
      ValueError: for a name that no config has, or a file that is not there.
    """
    text = os.fspath(given)
    name, colon, argument = text.partition(":")
    name, arguments = (name, (argument,)) if colon and not Path(text).exists() else (text, ())
    if not name.endswith((".py", ".json")):
        if name not in names():
            if Path(name).exists():
                raise ValueError(f"config file {shown(name)} is no Python file; want NAME.py with a function get_config()")
            raise ValueError(f"no config {quoted(name)}{_near(name)}; a file of your own is PATH.py")
        return installation.configs() / f"{name}.py", arguments
    file = Path(name)
    if not file.is_file():
        beside = sorted(str(found) for found in file.parent.glob("*.py")) if file.parent.is_dir() else []
        along = file.with_suffix("").as_posix().removeprefix("configs/")
        if along in names():
            raise ValueError(f"config file {shown(file)} does not exist; --config={along} is the one that comes along")
        near = f"; beside it: {listed(beside)}" if beside else ""
        raise ValueError(f"config file {shown(file)} does not exist{nearest(str(file), beside)}{near}")
    return file, arguments


def _near(name: str) -> str:
    """The config of that name in another folder, or the nearest, or all."""
    known = names()
    same = [each for each in known if each.rpartition("/")[2] == name.rpartition("/")[2]]
    near = f" (nearest: {same[0]!r})" if same else nearest(name, known)
    return near or f"; configs: {listed(known, 60)}"


def base_config(given: str | os.PathLike[str] = "base") -> Any:  # a ConfigDict, whose fields a type checker cannot know
    """A config to start from: every field with its default, or those of another config.

    Example:
      >>> config = attention.base_config("smoke")
      >>> config.model.encoding = "rope"

    Args:
      given: the name of a config that comes along, or the path of one, perhaps with ``:ARGUMENT`` for its ``get_config``; or
        the path of the ``config.json`` of a run.

    Returns:
      A ``ConfigDict`` of the caller's own.

    Raises:
      ValueError: where there is no such file, it is no config, or an error is raised in it, naming the line.
    """
    file, arguments = find(given)
    if file.name == "config.json":
        from attention.runs.directory import RunDirectory  # this, and not every config, needs JAX

        return config_dict.ConfigDict(RunDirectory(file.parent).read_config())
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"config file {file} is no Python file; want NAME.py with a function get_config()")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    _in_file(file, lambda: loader.exec_module(module))
    make = getattr(module, "get_config", None)
    if not callable(make):
        raise ValueError(f"config file {file} has no function get_config()")
    try:
        inspect.signature(make).bind(*arguments)
    except TypeError as error:
        form = "no argument: --config=FILE" if arguments else "an argument: --config=FILE:ARGUMENT"
        raise ValueError(f"get_config() of config file {file} wants {form} ({error})") from None
    config = _in_file(file, lambda: make(*arguments))
    if not isinstance(config, config_dict.ConfigDict):
        raise ValueError(f"config file {file}: get_config() wants to return a ConfigDict, got {type(config).__name__}")
    return config


def _in_file(file: Path, call: Callable[[], Any]) -> Any:
    """Calls what is written in a config file. Raises ValueError for any error there, with its line."""
    try:
        return call()
    except SyntaxError as error:
        raise ValueError(f"config file {error.filename}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""
        what = str(error) if isinstance(error, (ValueError, ImportError)) else f"{type(error).__name__}: {error}"
        raise ValueError(f"config file {file}{where}: {what}") from error
