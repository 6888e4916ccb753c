"""Evaluates a trained run, in a new process, from its run directory.

attention-eval --workdir=runs/NAME                                 scores on test
attention-eval --workdir=runs/NAME --split=validation              on another split
attention-eval --workdir=runs/NAME --data=new.tsv --out=pred.tsv   on a file, with a prediction for each line
attention-eval --workdir=runs/NAME --data=new.csv --columns=body,stars   where its columns have other names
attention-eval --workdir=runs/NAME --data='new/*.parquet'           on several files, or a folder of texts
attention-eval --workdir=runs/NAME --text="Who wrote Hamlet?"      what it says of a text
attention-eval --workdir=runs/NAME --pairs=blimp.tsv --columns=good,bad   how often it finds the right text likelier
attention-eval --workdir=runs/NAME --export=model.safetensors      its best member: weights, config and tokenizer
attention-eval --workdir=runs/NAME --export=model.stablehlo        as a program that runs without this package
attention-eval --workdir=runs/NAME --text="May 3, 1998" --beam=4   what a run that writes makes of it
attention-eval --workdir=runs/NAME --text="ROMEO:" --tokens=500    how a language model goes on
attention-eval --workdir=runs/NAME --track=tensorboard             shows a run, or a sweep, in a tracker; evaluates nothing
"""

import functools
from collections.abc import Callable

from absl import flags

from attention.training import command_line

_WRITING = ("tokens", "samples", "temperature", "top_k", "top_p", "seed")
_SCORING = ("split", "data", "columns", "text", "out", "beam", "length_penalty", "stride")


def define_flags() -> flags.FlagValues:
    """The flags, made anew for each call."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The run directory.", flag_values=values)
    flags.DEFINE_string("split", None, "The split to score: test (default), validation or train.", flag_values=values)
    flags.DEFINE_string("data", None, "A file, glob or folder to score instead, or a source's spec.", flag_values=values)
    flags.DEFINE_list("columns", [], "Of --data files: the column of texts, and that of answers.", flag_values=values)
    flags.DEFINE_string("pairs", None, "A table of right and wrong texts: which are likelier?", flag_values=values)
    flags.DEFINE_multi_string("text", [], "A text to classify; may be given again.", flag_values=values)
    flags.DEFINE_string("out", None, "TSV, CSV or JSON Lines file to write the predictions to.", flag_values=values)
    flags.DEFINE_integer("beam", 1, "Beginnings pursued by a run that writes texts; 1 is greedy.", flag_values=values)
    flags.DEFINE_float("length_penalty", 0.0, "Exponent of the length in a beam; 0 for none.", flag_values=values)
    flags.DEFINE_integer("tokens", 200, "Of a language model with --text: tokens it writes at most.", flag_values=values)
    flags.DEFINE_integer("samples", 1, "How many texts it writes.", flag_values=values)
    flags.DEFINE_float("temperature", 1.0, "Of its draws; 0 takes the likeliest.", flag_values=values)
    flags.DEFINE_integer("top_k", 0, "It draws from the so many likeliest tokens; 0 for all.", flag_values=values)
    flags.DEFINE_float("top_p", 1.0, "It draws from the likeliest that reach this together; 1 for all.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of its draws.", flag_values=values)
    flags.DEFINE_integer("stride", None, "Of a language model: tokens that a window is asked for.", flag_values=values)
    flags.DEFINE_string("export", None, "File to write a member to: .safetensors or .stablehlo.", flag_values=values)
    flags.DEFINE_integer(
        "member", None, "Seed of the member that is exported or writes; the best by default.", flag_values=values
    )
    flags.DEFINE_string("quantize", "none", "Weights of an export: none (float32) or int8.", flag_values=values)
    flags.DEFINE_string("track", None, "Specs of trackers, to show the run in; --list=tracker.", flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Parses the flags and prints the report."""
    values = define_flags()
    command_line.parse_flags(argv, values, usage=__doc__ or "")
    if not values.workdir:
        raise ValueError("--workdir is missing: --workdir=runs/NAME")
    if values.track is not None:
        _track(values)
        return
    from attention.evaluation import export, report, writing
    from attention.training import backend

    writes = _writes(values, writing.is_writer)
    export.check_flags(values.export, None if writes else values.member, values.quantize, _given(values, *_SCORING, *_WRITING))
    backend.prepare()
    if values.export is not None:
        print(export.export(values.workdir, values.export, seed=values.member, quantize=values.quantize))
        return
    if writes:
        options = writing.Options(*(values[name].value for name in _WRITING))  # pyright: ignore[reportArgumentType]
        show = functools.partial(print, end="", flush=True)
        writing.write(values.workdir, values.text, options, member=values.member, show=show)
        return
    if values.pairs is not None:
        from attention.evaluation import pairs

        if given := _given(values, *(name for name in _SCORING if name not in ("columns", "out"))):
            raise ValueError(f"--pairs compares the texts of a table: it goes without --{given[0]}")
        print(pairs.report(values.workdir, values.pairs, columns=values.columns, out=values.out))
        return
    search = {"beam": values.beam, "length_penalty": values.length_penalty}
    asked = {"split": values.split, "data": values.data, "columns": values.columns, "texts": values.text}
    print(report.report(values.workdir, **asked, out=values.out, stride=values.stride, **search))


def _writes(values: flags.FlagValues, is_writer: Callable[[str], bool]) -> bool:
    """Whether a language model is to go on with texts. Raises ValueError for flags that mean nothing then, or otherwise."""
    writes = bool(values.text) and is_writer(values.workdir)
    idle = [name for name in _SCORING if name != "text"] if writes else _WRITING
    if given := _given(values, *idle):
        what = "is of scores: a language model goes on with --text alone" if writes else "is of a language model and its --text"
        raise ValueError(f"--{given[0]} {what}")
    return writes


def _given(values: flags.FlagValues, *names: str) -> list[str]:
    """Which of some flags are given."""
    return [name for name in names if values[name].present]


def _track(values: flags.FlagValues) -> None:
    """Shows a run in trackers. Raises ValueError for other flags beside it, SystemExit where a tracker fails."""
    from attention.training import following

    if others := [name for name in values if values[name].present and name not in ("workdir", "track")]:
        raise ValueError(f"--track evaluates nothing: it does not go with --{others[0]}")
    if code := following.catch_up(values.track, values.workdir):
        raise SystemExit(code)
