"""A training run from data to result."""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention import heartbeat, installation
from attention.data.batches import Batches
from attention.files import json_hash, write_atomic
from attention.runs import environment, json_files, tracking
from attention.runs.identity import Content, Identity, check_content
from attention.runs.opening import Opened, open_run
from attention.tasks import clean_scores
from attention.training import (
    bookkeeping,
    by_length,
    contexts,
    finetune,
    following,
    identities,
    longer,
    machine,
    recipe,
    result,
    rivals,
    validation,
)
from attention.training.bookkeeping import Course, Setting
from attention.training.cohort.devices import Device, Spread
from attention.training.cohort.members import resolve_axis, take_sums
from attention.training.cohort.predict import of_members, predict
from attention.training.cohort.update import Update
from attention.training.config import BESIDE, PATHS, Config, from_dict, member_values, to_dict, words
from attention.training.pace import Pace
from attention.training.process import Clock, Spent, Trace, set_gaps_aside, signals, unused_gpus
from attention.training.progress import Progress


def train(
    config: Config,
    workdir: str | os.PathLike[str],
    *,
    profile: bool = False,
    test: bool = True,
    progress: Callable[[int, int], Progress] = Progress,
    config_file: str | None = None,
    expected: Content | None = None,
    named: tracking.Named | None = None,
    devices: Sequence[Device] | None = None,
) -> dict[str, Any]:
    """Trains a cohort, or goes on with a run that was cut off, and writes ``result.json``.

    Args:
      config: what to train.
      workdir: the run directory; made where missing. A finished run of this config and these data is left as it is.
      profile: whether to write a trace of a few updates into the run directory.
      test: whether to score the test split at the end, and to fit the rival; False where a choice is still to
        be made, on validation.
      progress: shows how it goes, made of the number of updates and of those done before.
      config_file: the text of the file that asked for it, of which the run keeps a copy.
      expected: the data and the start that it was planned with, if it was.
      named: what trackers call it and its members, where that is not after the folder.
      devices: that its members are spread over; all of this process where None.

    Returns:
      The result, as ``result.json`` holds it.

    Raises:
      ValueError: for bad input of any kind, before anything is trained.
      SystemExit: after SIGINT (130) or SIGTERM (143), once a checkpoint is written.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(heartbeat.watching())
        # ---- run directory: one that exists answers at once, a new one is made once all input has been checked
        folder = Path(workdir)
        usual = to_dict(from_dict({}))
        enter = functools.partial(open_run, folder, to_dict(config), paths=PATHS, beside=BESIDE, usual=usual)
        opened = stack.enter_context(enter()) if _holds_run(folder) else None
        if opened is not None:
            identities.check_config(opened.run, config)
        if opened is not None and opened.status == "finished":
            return _answer(opened, config, rival=test)

        # ---- data, model, program
        begun = identities.begin(opened, config)
        experiment = recipe.experiment(config, tokenizer=begun.tokenizer)
        found = identities.of(config, experiment.data, begun.start)
        if opened is not None:
            identities.check(opened, config, experiment.data, begun.start)
        if begun.earlier is not None:
            longer.check(begun.earlier, experiment.data, experiment.steps)
        if expected is not None:
            check_content(found.content, expected, "what was planned has changed")
        recipe.report_data(experiment.data, experiment.plan, experiment.task)
        start, notes = finetune.start(begun.origin, config, experiment.model, experiment.data.classes)
        vectors = None if begun.goes_on or begun.earlier else recipe.vectors(config, experiment.data)
        if vectors is not None:
            vectors = np.asarray(experiment.model.embedding_table(jnp.asarray(vectors[0]))), vectors[1]

        # ---- state
        opened = opened or stack.enter_context(enter())
        for note in (*_moved(opened), *opened.notes, *notes, *unused_gpus()):
            print(f"note: {note}")
        if config_file is not None and not opened.run.config_file.exists():
            write_atomic(opened.run.config_file, config_file.encode())
        axis = resolve_axis(config.cohort.axis)
        layout = recipe.layout(config, devices)
        if layout.used + len(layout.idle) > 1:
            print(f"devices: {layout}")
        update = Update(experiment.program, axis, layout.groups, member_values(config))
        setting = Setting(experiment, opened.run, update, axis, layout)
        _write_data(setting, found)
        with heartbeat.doing("drawing the first weights"):
            course = bookkeeping.start(setting, start, vectors, begun.earlier)

        if named is not None:
            tracking.name(setting.run, named)
        tracked = stack.enter_context(following.following(config.trackers, setting.run))

        # ---- training, with validations and checkpoints
        with signals() as caught:
            pace = _train(setting, course, caught, profile=profile, test=test, make_progress=progress, news=tracked.news)

        # ---- final test and result
        with heartbeat.doing("scoring") as scoring:
            scoring.left = pace.left(0, 0, _scored(setting)) if test else None
            finished = _finish(setting, course, test=test)
        if test:
            with heartbeat.doing("fitting the rival"):
                finished = rivals.add(setting.run, config, finished, lambda: experiment.data)
        print(result.table(finished))
        return finished


def _holds_run(folder: Path) -> bool:
    return (folder / "config.json").exists()


def _answer(opened: Opened, config: Config, *, rival: bool) -> dict[str, Any]:
    """The result of a finished run, once it is known that its data are what they were; with the rival that it lacks."""
    same, notes = identities.still_there(opened, config)
    load = functools.cache(lambda: identities.check_finished(opened, config))
    if not same:
        load()
    for note in (*_moved(opened), *opened.notes, *notes):
        print(f"note: {note}")
    print(f"{opened.run.path} is finished; its result:")
    finished = opened.run.read_result()
    if rival:
        finished = rivals.add(opened.run, config, finished, load)
    with following.following(config.trackers, opened.run):
        pass
    print(result.stored_table(finished, opened.run.result))
    return finished


def _moved(opened: Opened) -> list[str]:
    return [f"{text}; what lies there is the same" for text in opened.moved.values()]


def _write_data(setting: Setting, found: Identity) -> None:
    """The tokenizer, the kernel, the devices and what the run is, and last ``data.json``, which says that they are whole."""
    run, experiment = setting.run, setting.experiment
    data = experiment.data
    if run.data.exists():
        return
    run.tokenizer.mkdir(exist_ok=True)
    data.tokenizer.save(data.tokenizer_state, run.tokenizer)
    idle = [str(device) for device in setting.layout.idle]
    run.record(kernel=_kernel(setting), devices_used=setting.layout.used, idle_devices=idle)
    run.write_config(to_dict(experiment.config))  # a run that was cut off before may have had other paths
    run.write_identity(found, identities.places(experiment.config, experiment.data))
    run.write_data(setting.record)


def _kernel(setting: Setting) -> str:
    experiment = setting.experiment
    training, longest = experiment.config.training, experiment.plan.bucket_lengths[-1]
    return experiment.model.kernel_at(training.batch_size // training.accumulation, longest)


def _train(
    setting: Setting,
    course: Course,
    caught: Sequence[int],
    *,
    profile: bool,
    test: bool,
    make_progress: Callable[[int, int], Progress],
    news: Callable[[], Sequence[str]],
) -> Pace:
    """Updates until the last one, until every member has stopped, or until a signal is caught. Returns how long things take."""
    experiment, update, compiled = setting.experiment, setting.update, setting.update.compiling
    batch_of = Batches(experiment.data.splits["train"], experiment.plan, experiment.config.seeds)
    batch = batch_of(course.step) if course.step < experiment.steps else {}
    trace = Trace(setting.run.path / "profile" if profile else None)
    clock, before = Clock(), None
    pace = Pace(experiment.config.training.batch_size)
    with contextlib.closing(make_progress(experiment.steps, course.step)) as progress:
        while course.step < experiment.steps and any(course.active):
            # ---- one update: the next batch is gathered while the device computes, two updates are under way at most
            interrupted = list(caught)
            trace.before()
            course.members, done = update(course.members, batch)
            course.step += 1
            course.examples += int(batch["weight"][0].sum())
            if course.step < experiment.steps:
                batch = batch_of(course.step)
            jax.block_until_ready(before)
            before = done
            trace.after(done)
            spent, compiling = clock.spent(), update.compiling.less(compiled)
            course.stepped(spent, compiling)
            pace.updated(spent.seconds, compiling.seconds)
            compiled = update.compiling
            progress.advance(course.step, _left(setting, course, pace, test=test))

            # ---- metrics: fetched once the next update is under way
            logging, validating, saving = _due(setting, course, interrupted=bool(interrupted))
            bookkeeping.write_metrics(setting, course, progress)
            if logging:
                course.members, sums = _take_sums(course.members)
                course.pending = (course.step, sums, course.step_seconds, course.examples)
            if not (validating or saving):
                continue

            # ---- validation and checkpoint
            jax.block_until_ready(done)
            spent = clock.spent()
            course.stepped(spent, Spent())
            pace.waited(spent.seconds)
            bookkeeping.write_metrics(setting, course, progress)
            if validating:
                with heartbeat.doing("validating"):
                    validation.validate(setting, course, progress)
                if not pace.validations:
                    set_gaps_aside()  # of compiling what scores
            spent = clock.spent()
            course.train_seconds += spent.seconds
            if validating:
                pace.validated(spent.seconds, len(experiment.data.splits["validation"]))
            if saving:
                with heartbeat.doing("saving"):
                    bookkeeping.save(setting, course)
            for line in news():
                progress.say(f"note: {line}")
            clock.spent()
            if interrupted:
                progress.say(f"saved after update {course.step} of {experiment.steps}; the same command goes on")
                raise SystemExit(128 + interrupted[0])
        trace.close()
        if course.saved_step != course.step:  # every member has stopped
            bookkeeping.save(setting, course)
    return pace


def _left(setting: Setting, course: Course, pace: Pace, *, test: bool) -> float | None:
    """The seconds that the rest of a run takes, with validations and the final test, if no member stops."""
    experiment = setting.experiment
    validations = -(-experiment.steps // experiment.eval_every) - course.step // experiment.eval_every
    examples = validations * len(experiment.data.splits["validation"]) + (_scored(setting) if test else 0)
    return pace.left(experiment.steps - course.step, len(experiment.plan.bucket_lengths), examples)


def _scored(setting: Setting) -> int:
    """The examples that are scored after the last update: those of test, and of longer texts."""
    return sum(len(split) for name, split in setting.experiment.data.splits.items() if name not in ("train", "validation"))


def _take_sums(members: Spread) -> tuple[Spread, Spread]:
    """``take_sums`` of the members of each group."""
    both = members.map(_taken)
    return both.map(lambda pair: pair[0]), both.map(lambda pair: pair[1])


_taken = jax.jit(take_sums, donate_argnums=0)


def _due(setting: Setting, course: Course, *, interrupted: bool) -> tuple[bool, bool, bool]:
    """Whether a line of metrics, a validation and a checkpoint are due after an update."""
    training = setting.experiment.config.training
    last = course.step == setting.experiment.steps
    eval_every = setting.experiment.eval_every
    every = training.checkpoint_every or eval_every
    late = 0 < training.checkpoint_seconds <= course.train_seconds - course.saved_at
    logging = course.step % training.log_every == 0 or last
    validating = course.step % eval_every == 0 or course.step in setting.rungs or last
    return logging, validating, course.step % every == 0 or last or late or interrupted


def _finish(setting: Setting, course: Course, *, test: bool) -> dict[str, Any]:
    """Evaluates the best weights of each member on test, by length and with longer contexts, and writes the result."""
    data, config, task = setting.experiment.data, setting.experiment.config, setting.experiment.task
    known = [record.best is not None for record in course.records]
    nothing = [None] * len(known)
    tested, clean = _test(setting, course, known) if test else (nothing, nothing)
    updates = np.asarray(course.members.map(lambda part: part.step).joined()).tolist()
    members = [
        {
            "seed": record.seed,
            "updates": done,
            "best_step": record.best_step,
            "stopped": record.stopped,
            "failed": record.failed,
            "validation": record.best,
            "test": scores,
            "clean": unseen,
        }
        for record, scores, unseen, done in zip(course.records, tested, clean, updates)
    ]
    device = jax.devices()[0]
    split = recipe.scored_split(data, task) if test else "validation"
    finished = {
        "config_hash": json_hash(words(config)),
        "version": installation.version(),
        "task": config.task,
        "baselines": data.baselines[split],
        "notes": recipe.notes(data),
        "members": members,
        "summary_split": split,
        "summary": result.summary([member[split] for member in members], task),
        "tested": test,
        "clean": result.clean(data, [member["clean"] for member in members], task) if split == "test" else None,
        **(_longer(setting, course, known) if test else {"by_length": None, "contexts": None}),
        "parameters": sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(course.best.parts[0])),
        "steps": course.step,
        "train_seconds": course.train_seconds,
        "step_seconds": course.step_seconds,
        "process_seconds": course.process_seconds if machine.own_time() else None,
        "compile_seconds": course.compile_seconds,
        "load": course.load,
        "cores": os.cpu_count(),
        "state_bytes": setting.update.state_bytes,
        "work_bytes": setting.update.work_bytes,
        **bookkeeping.speed(setting, len(members) * course.examples / max(course.step_seconds, 1e-9)),
        "device": f"{device.device_kind} ({os.cpu_count()} cores)" if device.platform == "cpu" else device.device_kind,
        "devices": setting.layout.used,
        "idle_devices": [str(each) for each in setting.layout.idle],
        "kernel": _kernel(setting),
        "continued": json_files.read(setting.run.continued) if setting.run.continued.exists() else None,
        "ended": environment.now(),
    }
    setting.run.write_result(finished)
    return setting.run.read_result()


def _test(
    setting: Setting, course: Course, known: Sequence[bool]
) -> tuple[list[dict[str, float] | None], list[dict[str, float] | None]]:
    """The scores of each member on test, and on its clean texts, None where there are none.

    What each member says of each example of test is written beside them.
    """
    experiment, lengths = setting.experiment, setting.record.bucket_lengths
    data, config, task, model = experiment.data, experiment.config, experiment.task, experiment.model
    tested: list[dict[str, float] | None] = [None] * len(known)
    clean = tested
    if (name := recipe.scored_split(data, task)) == "test":
        split = data.splits[name]
        members = of_members(predict(model, course.best, split, config, lengths))
        tested = [task.scores(member, split) if there else None for there, member in zip(known, members)]
        unseen = lambda member: clean_scores(task, member, split, data.seen[name])
        clean = [unseen(member) if there else None for there, member in zip(known, members)]
        setting.run.write_predictions([task.predictions(member, split) for member in members])
    return tested, clean


def _longer(setting: Setting, course: Course, known: Sequence[bool]) -> dict[str, Any]:
    """The reports on texts and on contexts longer than those of training, each drawn; None where there is none."""
    experiment, run = setting.experiment, setting.run
    data, config, model, task = experiment.data, experiment.config, experiment.model, experiment.task
    name = recipe.scored_split(data, task)
    title = f"{config.data.source}, encoding {config.model.encoding}"
    lengths = by_length.measured(model, course.best, data, config, setting.record.bucket_lengths, known)
    if lengths is not None:
        beside = {} if task.next_token else data.baselines[name]  # rules are scored by token, and the curve by whole answers
        by_length.plot(lengths, run.by_length, title=title, baselines=beside)
    more = contexts.measured(model, course.best, data.splits[name], config, known, split=name)
    if more is not None:
        contexts.plot(more, run.contexts, title=title)
    return {"by_length": lengths, "contexts": more}
