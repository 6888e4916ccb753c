"""The blocks and commands of a page, and what becomes of each where the page is run.

Python blocks run as printed, those of a page in one namespace from top to bottom; what ``expression  # -> value`` promises is
compared. A block that begins with ``# some/file.py`` is that file, in a namespace of its own; one without a folder is written
where the commands find it. Commands are those of blocks
whose first word is a program, and those in lines of text. They run in a folder that holds what a reader has:

- ``train.py``, or ``attention-train``, trains where the page has written the data; else it reads the flags and builds the
  experiment: data, batches, model and update. ``sweep.py`` builds each variant. Of sets that are downloaded there are a few
  texts, and what is generated is small.
- ``eval.py``, ``sweep.py --report`` and ``--compare`` read a run that the page has trained; of one that is not there, the flags
  are read.
- ``python -m MODULE`` reads its arguments with its own parser, and stops there but for the modules of ``RUN``.
- ``curl -O`` makes a file of that name, with lines of text. ``cat``, ``mkdir`` and ``cp`` are carried out; the config of a run
  that is not there is that of one that is.
- Programs of ``ELSEWHERE`` are not run, for the reason that stands there; files that they are given exist.
"""

import argparse
import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import io
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from attention import heartbeat, specs
from attention.commands import eval as evaluate
from attention.commands import sweep, train
from attention.data.contracts import Split
from attention.data.sources import _downloads
from attention.evaluation import export, pairs, report, writing
from attention.lab import command, compare_runs, compare_variants, plan
from attention.lab import report as sweep_report
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, config_files, describe, following, longer, loop, recipe

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "pip": "installs into the environment that the tests run in",
    "pre-commit": "writes into .git",
    "apt-get": "installs into the system",
    "ruff": "is a job of CI",
    "pyright": "is a job of CI",
    "bash": "is CI itself",
}
WRITES = ("--tokens", "--samples", "--temperature")
RUN = ("studies.vectors", "attention_lab")
SHELL = ("cat", "mkdir", "cp")
SCRIPTS = {"train.py": train.main, "eval.py": evaluate.main, "sweep.py": sweep.main}
INSTALLED = {f"attention-{name.removesuffix('.py')}": name for name in SCRIPTS}
PROGRAMS = ("python", "curl", *INSTALLED, *ELSEWHERE, *SHELL)
STANDS_FOR = {"KIND": "encoding", "NAME": "of_mine"}  # words of a command that a reader replaces
SMALL = {"train": 200, "validation": 40, "test": 40}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# [\w/]+\.py\n")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Block(NamedTuple):
    """A piece of a page: ``python``, ``commands``, ``text``, or ``inline``, a command in a line of text."""

    kind: str
    line: int
    text: str


def blocks(page: str) -> list[Block]:
    """What is to be run of a page, and what is printed in between, from top to bottom."""
    found = []
    for fence in _FENCE.finditer(page):
        language, text = fence[1], fence[2]
        kind = language if language in ("python", "math") else "commands" if _program(text) else "text"
        found.append(Block(kind, _line(page, fence.start()), text))
    prose = _FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), page)
    for code in re.finditer(r"`([^`]+)`", prose):
        words = " ".join(code[1].split())
        if _program(words) and " " in words:
            found.append(Block("inline", _line(page, code.start()), words))
    return sorted((block for block in found if block.kind != "math"), key=lambda block: block.line)


def _line(page: str, place: int) -> int:
    return page.count("\n", 0, place) + 1


def _program(text: str) -> bool:
    """Whether text begins with a program, comments aside."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return bool(lines) and lines[0].split()[0] in PROGRAMS


def commands(text: str) -> Iterator[tuple[list[str], str]]:
    """The words of each command, as a shell reads them, and what it is given by ``<<END``."""
    lines = iter(text.replace("\\\n", " ").splitlines())
    for line in lines:
        shell = shlex.shlex(line, posix=True, punctuation_chars=True)
        shell.whitespace_split = True
        words, given = list(shell), ""
        if "<<" in words:
            at = words.index("<<")
            given = "".join(f"{each}\n" for each in iter(lambda end=words[at + 1]: next(lines), words[at + 1]))
            words = words[:at] + words[at + 2 :]
        while words:
            at = words.index("&&") if "&&" in words else len(words)
            yield words[:at], given
            words = words[at + 1 :]


def run(page: Path, folder: Path) -> int:
    """Runs a page in a folder, the working directory; returns how many blocks and commands it had.

    Raises:
      AssertionError: for the first that fails, with its line.
    """
    reader, count = _Reader(folder), 0
    for block in blocks(page.read_text(encoding="utf-8")):
        try:
            count += reader.follow(block)
        except (Exception, SystemExit) as error:
            text = f"{type(error).__name__}: {error}"
            raise AssertionError(f"{page.name}, line {block.line}: {text}\n{block.text}") from error
    return count


class _Reader:
    """Who goes through a page: a namespace, a folder, what the last command printed, and the files that the page wrote."""

    def __init__(self, folder: Path):
        self.folder, self.names, self.printed, self.written = folder, {"__name__": "page"}, "", set()

    def follow(self, block: Block) -> int:
        if block.kind == "python":
            file = _FILE.match(block.text)
            if file and "/" not in file[0]:
                (self.folder / file[0][2:-1]).write_text(block.text, encoding="utf-8")
            python(block.text, {"__name__": "page"} if file else self.names)
            return 1
        if block.kind == "text":
            stray = [line for line in block.text.splitlines() if line.strip() and line.split()[0] == "python"]
            assert not stray, f"a command in a block that begins with none: {stray[0]}"
            self._compare(block.text)
            return 0
        found = list(commands(block.text))
        for words, given in found:
            self.command([STANDS_FOR.get(word, word) for word in words], given)
        return len(found)

    def _compare(self, text: str) -> None:
        """What the last command printed has these lines, whatever the numbers, where it has the first of them."""
        printed = [_NUMBER.sub("#", line) for line in self.printed.splitlines()]
        promised = [_NUMBER.sub("#", line) for line in text.splitlines()]
        if promised[0] in printed:
            start = printed.index(promised[0])
            lines = zip(promised, printed[start : start + len(promised)], strict=True)
            assert all(sorted(a.split()) == sorted(b.split()) for a, b in lines), f"printed is {self.printed}"

    def command(self, words: list[str], given: str) -> None:
        """Carries out a command, as the head of this file says."""
        program, *rest = words
        if program == "python" and rest[0] == "-m":
            module(rest[1], rest[2:])
        elif program == "python":
            self._script(rest)
        elif program in INSTALLED:
            self._script([INSTALLED[program], *rest])
        elif program == "cat":
            name = words[words.index(">") + 1]
            (self.folder / name).write_text(given, encoding="utf-8")
            self.written.add(name)
        elif program == "curl":
            (self.folder / Path(rest[-1]).name).write_text("a line of a long text\n" * 600, encoding="utf-8")
        elif program in SHELL:
            self._run_stands_in(rest)
            subprocess.run(words, cwd=self.folder, check=True)
        else:
            assert program in ELSEWHERE, f"no rule for {program}"
            _files_exist(rest)

    def _run_stands_in(self, words: list[str]) -> None:
        """The config of a run that is not there is that of the run there is."""
        for place in (self.folder / word for word in words if word.startswith("runs/")):
            if place.name == "config.json" and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / "runs" / "NAME" / "config.json", place)

    def _script(self, argv: list[str]) -> None:
        name, *flags = argv
        trains = any(repr(str(file)) in flag for flag in flags for file in self.written)
        workdir = next((flag.split("=", 1)[1] for flag in flags if flag.startswith("--workdir=")), "")
        there = (self.folder / workdir / "result.json").exists() and workdir != ""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.ExitStack() as stack:
            for replaced in [] if trains or there else _BUILT:
                stack.enter_context(replaced())
            if not there and any(flag.split("=")[0] in WRITES for flag in flags):  # such a run is a language model's
                stack.enter_context(mock.patch.object(writing, "is_writer", return_value=True))
                stack.enter_context(mock.patch.object(writing, "write"))
            stack.enter_context(mock.patch.object(heartbeat, "EVERY", 1000.0))  # no page shows what a slow machine adds
            stack.enter_context(mock.patch.object(heartbeat, "FIRST", 1000.0))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            code = command_line.run_main(SCRIPTS[name], [name, *flags])
        assert code == 0, err.getvalue()
        self.printed = out.getvalue()


def python(text: str, names: dict[str, Any]) -> None:
    """Runs a block; the value of a line ``expression  # -> value`` is that value, to 4 digits."""
    exec(compile(text, "block", "exec", dont_inherit=True), names)
    for expression, value in re.findall(r"^(\S.*?)  # -> (.*)$", text, re.MULTILINE):
        found, wanted = eval(expression, names), ast.literal_eval(value)
        if isinstance(wanted, str | tuple):
            assert found == wanted, f"{expression} is {found!r}"
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-4, err_msg=expression)


def module(name: str, arguments: list[str]) -> None:
    """Reads the arguments of ``python -m``; goes on where ``RUN`` has the module."""
    if name == "pytest":
        return _files_exist(arguments)
    main = "__main__" if (ROOT / name.replace(".", "/")).is_dir() else ""
    assert importlib.util.find_spec(f"{name}.{main}".rstrip(".")) is not None, f"there is no module {name}"
    real, said, code = argparse.ArgumentParser.parse_args, io.StringIO(), None

    def parse(self: argparse.ArgumentParser, *given: Any) -> argparse.Namespace:
        read = real(self, *given)
        if name in RUN:
            return read
        raise _ReadError

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(argparse.ArgumentParser, "parse_args", parse))
        stack.enter_context(mock.patch.object(sys, "argv", [name, *arguments]))
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of runpy, where a module is imported already
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        try:
            runpy.run_module(name, run_name="__main__")
        except _ReadError:
            return
        except SystemExit as error:
            code = error.code
    assert not code, said.getvalue()
    assert name in RUN, f"{name} did not read its arguments"


class _ReadError(Exception):
    """The arguments of a module have been read."""


def _files_exist(arguments: list[str]) -> None:
    for word in arguments:
        if "/" in word or word.endswith((".txt", ".py")):
            assert (ROOT / word).exists(), f"there is no {word}"


# What takes the place of training.


def _small(source: str) -> str:
    """The spec of a source whose generated splits are few."""
    spec = specs.check("source", source)
    known = inspect.signature(specs.module("source", spec.name).build).parameters
    return str(
        spec._replace(options=tuple({**dict(spec.options), **{k: v for k, v in SMALL.items() if _counts(known, k)}}.items()))
    )


def _counts(known: Any, name: str) -> bool:
    return name in known and isinstance(known[name].default, int)


@functools.cache
def _experiment(given: config.Config) -> recipe.Experiment:
    made = recipe.experiment(given)
    recipe.vectors(given, made.data)
    describe.abstract_members(made)
    return made


def _build(given: config.Config, *_: Any, **__: Any) -> dict[str, Any]:
    """A training that stops before the first update: one for all seeds."""
    data = dataclasses.replace(given.data, source=_small(given.data.source))
    _experiment(dataclasses.replace(given, data=data, seeds=(0,)))
    return {"summary": {}, "members": []}


def _plan(given: command_line.Config, *_: Any, **__: Any) -> int:
    fields = given.fields.to_dict()
    fields["data"]["source"] = _small(fields["data"]["source"])
    _planned(json.dumps(fields), given.name)
    return 0


@functools.cache
def _planned(fields: str, name: str) -> None:
    """Builds each variant."""
    plan.plan(plan.read(json.loads(fields), name))


def texts(recipe: _downloads.Recipe, *_: Any) -> dict[str, Split]:
    """Splits of a downloaded set in little: texts of 120 words, those of a class alike."""
    rng, classes = np.random.default_rng(0), len(recipe.classes)
    write = lambda label: " ".join(f"word{number}" for number in (*rng.integers(0, 120, 8), label))
    labels = np.arange(120, dtype=np.int32) % classes
    return {split: Split([write(label) for label in labels], labels) for split in recipe.counts}


_BUILT = (
    lambda: mock.patch.object(loop, "train", _build),
    lambda: mock.patch.object(command, "sweep", _plan),
    lambda: mock.patch.object(report, "report", return_value=""),
    lambda: mock.patch.object(pairs, "report", return_value=""),
    lambda: mock.patch.object(longer, "read", return_value=None),
    lambda: mock.patch.object(export, "export", return_value=""),
    lambda: mock.patch.object(following, "catch_up", side_effect=lambda spec, _: specs.check("tracker", spec) and 0),
    lambda: mock.patch.object(compare_runs, "compare", return_value=""),
    lambda: mock.patch.object(compare_variants, "compare", return_value=""),
    lambda: mock.patch.object(sweep_report, "write", return_value=""),
)


def downloads() -> contextlib.ExitStack:
    """Replaces the sets that are downloaded, or read from a folder of them, by ``texts``."""
    stack = contextlib.ExitStack()
    for name in ("_prepare", "_read_folder"):
        stack.enter_context(mock.patch.object(_downloads, name, texts))
    return stack


def furnish(folder: Path) -> None:
    """What a reader has: the configs, files of texts, two of them with a tag for each word, and the config of a run."""
    (folder / "configs").symlink_to(ROOT / "configs")
    rows = "".join(f"a text about {word}\t{label}\n" for word in range(40) for label in ("good", "bad"))
    for name in ("reviews.tsv", "held_out.tsv"):
        (folder / name).write_text(f"body\tstars\n{rows}", encoding="utf-8")
    tagged = folder / "attention_data_dir" / "ud_english_lines"
    tagged.mkdir(parents=True)
    for name in ("train", "validation", "test"):
        (tagged / f"{name}.tsv").write_text("text\ttags\n" + f"a {name} sees\tDET NOUN VERB\n" * 40, encoding="utf-8")
    (folder / "UD_English-EWT").mkdir()
    words = "1\ta\ta\tDET\tDT\t_\t2\tdet\t_\t_\n2\ttext\ttext\tNOUN\tNN\t_\t0\troot\t_\t_\n\n"
    for name in ("train", "dev", "test"):
        (folder / "UD_English-EWT" / f"en_ewt-ud-{name}.conllu").write_text(words * 40, encoding="utf-8")
    fields = config_files.base_config("smoke").to_dict()
    (folder / "runs" / "NAME").mkdir(parents=True)
    RunDirectory(folder / "runs" / "NAME").write_config(config.to_dict(config.from_dict(fields)))
