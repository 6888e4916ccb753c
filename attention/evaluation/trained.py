"""A trained run in a new process: scores and predictions, from the run directory and the data recorded there.

Training evaluates with ``cohort.predict`` too: same programs, same batches, same numbers. The best weights of every member
are the checkpoint named ``checkpoints.BEST``: its tree is the parameters as ``model.init`` makes them, with a leading axis of
members.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention import specs
from attention.data import contracts, dataset, encode, paths, plain_files, rules, tables, unpacking, windows
from attention.data.contracts import Encoded, Scale, Tokenizer
from attention.data.segments import BETWEEN, joined
from attention.evaluation import columns as written
from attention.evaluation import sizes
from attention.evaluation.evaluations import Clean, Evaluation, Rivalled
from attention.messages import listed, quoted, shown
from attention.metrics import summarize
from attention.rivals import Material
from attention.runs import checkpoints, data_record
from attention.runs.directory import DataRecord, RunDirectory
from attention.tasks import Examples, Facts, Task, clean_scores
from attention.training import by_length, config, contexts, identities, recipe
from attention.training.cohort.devices import Spread
from attention.training.cohort.members import abstract_params
from attention.training.cohort.predict import of_members, predict
from attention.training.result import summary as summarized

ENDLESS = "train is one text that goes on beyond its split: texts are not asked for their ends, of which it has learned nothing"

Text = str | tuple[str, ...]  # of several columns a tuple


class Trained(NamedTuple):
    """A run with its best weights. ``params`` has a leading axis of members, in the order of ``settings.seeds``."""

    run: RunDirectory
    settings: config.Config
    data: DataRecord
    tokenizer: Tokenizer
    tokenizer_state: Any
    model: Any
    params: Any
    meta: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def task(self) -> Task:
        """The record of what it has learned."""
        return specs.build("task", self.settings.task)

    @property
    def facts(self) -> Facts:
        """What its task needs to know of it."""
        sizes = self.data.vocab_size, self.settings.data.max_length
        facts = Facts(self.data.classes, self.settings.seeds, self.tokenizer, self.tokenizer_state, *sizes)
        known = self.data.splits.get("train", {})
        there = Scale._fields[0] in known
        return facts._replace(scale=Scale(*(float(known[name]) for name in Scale._fields)) if there else None)

    @property
    def documents(self) -> bool:
        """Whether it has learned whole texts token by token, in windows."""
        return "windows" in self.data.splits.get("train", {})

    @property
    def ends(self) -> bool:
        """Whether texts ended in train, or it is not known: one that goes on beyond its split says nothing of ends."""
        return self.data.splits.get("train", {}).get("ends", 1) > 0

    def predict(self, texts: Sequence[Text], member: int | None = None) -> Any:
        """What the run says of texts: of a classifier the classes and their probabilities.

        Example:
          >>> load("runs/trec-1a2b3c4d").predict(["Who wrote Hamlet?"]).labels
          ['HUM']

        Args:
          texts: one or more; none empty. Those of several columns are tuples.
          member: which member to ask, counted from 0; all where None.

        Returns:
          What the task's ``read`` makes: ``tasks.classification.Predictions``, ``tasks.multilabel.LabelSets``,
          ``tasks.regression.Numbers`` or ``tasks.seq2seq.Transcripts``.

        Raises:
          ValueError: for no texts, an empty one, or a member that is not there.
        """
        if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__") or not len(texts):
            raise ValueError(f"predict wants a list of one or more texts, got {quoted(texts)}")
        examples = self.encode(texts)
        return self.task.read(self.outputs(examples, member), examples.encoded, self.facts)

    def evaluate(self, split: str = "test", data: str | None = None) -> Evaluation:
        """Scores on a split of the data recorded in the run, whose content is verified, or of other data.

        Args:
          split: "train", "validation" or "test".
          data: spec of another source, its classes matched by name.

        Raises:
          ValueError: for an unknown split, data that has changed, a class unseen in training, or a missing answer.
        """
        return self.score(self.examples(split, data), split)

    def load_data(self, data: str | None = None) -> contracts.Dataset:
        """The data recorded in the run, verified, or that of another source; its classes are those of the source."""
        wanted = self.settings.data
        read = {**config.reading(self.settings), "seed": wanted.seed, "tokenizer_state": self.tokenizer_state}
        if data is not None:
            return dataset.load(data, wanted.tokenizer, **read)
        try:
            loaded = dataset.load(self.source, wanted.tokenizer, **read)
        except ValueError as error:
            raise ValueError(f"{error}; if the data of {shown(self.run.path)} moved, --data= says where they are") from None
        try:
            dataset.verify_hashes(loaded.hashes, self.data.hashes)
        except ValueError as error:
            what = f"{shown(self.source)} has changed since {shown(self.run.path)} was trained"
            raise ValueError(f"{what}: {error}; --data= scores other data") from None
        return loaded

    @property
    def source(self) -> str:
        """Where the run's data are: as recorded, or where paths of the config with variables in them lead to by now."""
        there = [path for path in data_record.places(specs.parse(self.data.source)) if path.startswith("/")]
        written = [path for path in data_record.places(specs.parse(self.settings.data.source)) if "$" in path]
        moved = not all(map(paths.leads, there))
        leads = written and all(map(paths.leads, written))
        return self.settings.data.source if moved and leads else self.data.source

    def accuracy_by_length(self, loaded: contracts.Dataset) -> dict[str, Any] | None:
        """Training's report of accuracy by length, of what ``load_data`` returns; None where the source has none."""
        known = [step is not None for step in self.meta["steps"]]
        return by_length.measured(self.model, self._spread, loaded, self.settings, self.data.bucket_lengths, known)

    def with_contexts(self, loaded: contracts.Dataset) -> dict[str, Any] | None:
        """Training's report of contexts longer than its own, of what ``load_data`` returns; None where there is none."""
        known, split = [step is not None for step in self.meta["steps"]], recipe.scored_split(loaded, self.task)
        return contexts.measured(self.model, self._spread, loaded.splits[split], self.settings, known, split=split)

    def examples(self, split: str, data: str | contracts.Dataset | None = None) -> Examples:
        """The examples that ``evaluate`` scores; their answers may be missing. ``data`` may be loaded already."""
        loaded = data if isinstance(data, contracts.Dataset) else self.load_data(data)
        if split not in loaded.splits:
            near = specs.nearest(split, loaded.splits)
            raise ValueError(f"{shown(loaded.source)} has no split {quoted(split)}{near}; splits: {', '.join(loaded.splits)}")
        with _said_of(loaded.source):
            encoded = self.task.adapt(loaded.splits[split], loaded.classes, self.facts)
        trained_on = all(loaded.hashes.get(name) == self.data.hashes.get(name) for name in ("train", "validation"))
        seen = loaded.seen.get(split) if trained_on else None
        encoded = encoded if trained_on else dataclasses.replace(encoded, unseen=None)  # which are others than those of the run
        encoded = encoded if loaded.hashes[split] in self.data.hashes.values() else self._as_trained(encoded)
        return Examples(loaded.texts[split], encoded, loaded.targets.get(split), seen, loaded.wanted.get(split))

    def baselines(self, examples: Examples, learned: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, float]:
        """The score of each trivial rule, by ``Task.ruled``, on the very examples.

        Args:
          examples: whatever is evaluated.
          learned: what the rules have learned of the run's train; by default what the run recorded, which those of before
            rules were recorded did not.
        """
        try:
            known = specs.build("source", self.data.source).rules
        except ValueError:  # of a source that this version has not, or not so
            return {}
        split = contracts.Split(examples.texts, examples.encoded.labels, examples.targets, examples.wanted)
        return rules.scores(known, self.data.rules if learned is None else learned, split, examples.encoded)

    def rival(self, examples: Examples) -> "Rivalled | None":
        """What the run's rival scores on the very examples; None where it was not fitted.

        Raises:
          ValueError: where its files are damaged.
          ImportError: where what it needs is not installed.
        """
        found = (self.run.read_result().get("rival") or {}) if self.run.finished else {}
        learned = self.run.read_rival() if found.get("splits") else None
        if learned is None:
            return None
        spec, seen = str(found["spec"]), examples.seen
        try:
            answer = specs.build("rival", spec).answer
            if answer is None:
                raise ValueError(f"{shown(spec)} answers nothing")
            split = contracts.Split(examples.texts, examples.encoded.labels, examples.targets)
            outputs = answer(learned, Material(split, examples.encoded, self.data.classes, self.data.vocab_size))
            scores = self.task.scores(outputs, examples.encoded)
        except ValueError as error:
            raise ValueError(f"{self.run.rival}: {error}") from None
        return Rivalled(spec, scores, None if seen is None else clean_scores(self.task, outputs, examples.encoded, seen))

    def why_no_rival(self) -> str | None:
        """Why a finished run that asks for a rival has none; None where it has, or asks for none.

        Raises:
          ValueError: where its result is damaged.
        """
        if not self.run.finished or "rival" not in self.run.read_config():  # of before there were rivals
            return None
        found, spec = self.run.read_result().get("rival"), recipe.checked_rival(self.settings).spec
        if found is not None:
            return f"the rival {found['spec']} is left out: {found.get('note')}" if not found["splits"] else None
        asked = specs.build("rival", spec).fit is not None
        return f"the rival {spec} is not fitted; train.py with the flags of the run fits it" if asked else None

    def encode(self, texts: Sequence[Text], answers: Sequence[Any] | None = None) -> Examples:
        """Texts, and what is right of them where it is known: names of classes, tuples of them, digits or texts to be written.

        Raises:
          ValueError: for a text that has not the columns of those of the run, or an answer that it cannot have.
        """
        texts = [self._of_columns(number, text) for number, text in enumerate(texts)]
        given = config.reading(self.settings)
        given |= {"windows": "documents"} if "windows" in given else {}  # what is said of one text depends on no other
        if self.task.at_words:
            words, told = self._by_words(texts, answers)
            given |= {"wanted": told, "classes": self.data.classes}
            encoded = encode.encode_texts(self.tokenizer, self.tokenizer_state, words, **given)
            return Examples(words, self._as_trained(encoded), wanted=answers)
        encoded = encode.encode_texts(self.tokenizer, self.tokenizer_state, texts, **given)
        if answers is None:
            return Examples(texts, encoded)
        encoded = self.task.answer(encoded, answers, self.facts)
        return Examples(texts, encoded, None if encoded.targets is None else answers)

    def _as_trained(self, encoded: Encoded) -> Encoded:
        """Rows of texts, not asked for ends that train has none of."""
        if self.ends or encoded.documents is None:
            return encoded
        return windows.without_ends(encoded, self.data.vocab_size - 1)

    def _of_columns(self, number: int, text: Text) -> str:
        """A text of several columns as one: of a tuple, or a line with TABs between them; as it is where it is one already."""
        names = self.columns()[:-1]
        if not isinstance(text, tuple) and (len(names) == 1 or not isinstance(text, str) or BETWEEN in text):
            return text
        parts = text if isinstance(text, tuple) else tuple(text.split("\t"))
        if len(parts) != len(names) or not all(isinstance(part, str) for part in parts):
            what = f"the columns {listed(map(str, names))}, as a tuple or with TABs between them"
            raise ValueError(f"text {number} (counted from 0) wants {what}, got {quoted(text)}")
        return joined(parts)

    def _by_words(self, texts: Sequence[str], answers: Sequence[str] | None) -> tuple[Sequence[str], Sequence[str] | None]:
        """Texts with single blanks and what is wanted at each word; texts alone where their tokens follow one another."""
        if answers is None and self.task.next_token:
            return texts, None
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"text {row} (counted from 0) is no string but {quoted(text, 40)}")
        words = [" ".join(text.split()) for text in texts]
        return words, answers or [" ".join([contracts.NOTHING] * len(text.split())) for text in words]

    def columns(self) -> tuple[tables.Column, ...]:
        """What the columns of texts, and last that of answers, are called in the files of the run's source, or by default."""
        options, answers = dict(specs.parse(self.data.source).options), self.task.answers
        return *tables.columns_of(options.get("text", "text")), options.get(answers, answers)

    @property
    def separator(self) -> str:
        """What stands between several labels in a cell of the run's files."""
        return dict(specs.parse(self.data.source).options).get("separator", tables.SEPARATOR)

    def read_files(self, *files: Path, columns: Sequence[tables.Column] = ()) -> tuple[Examples, tuple[str, ...]]:
        """The texts of files, or of a folder, their answers where there are any, and notes for the user.

        They are read as the files of the run's source are, but for what the columns tell where these are given; what
        ``eval.py --out`` wrote is read by the names it gave. A language model of whole texts reads texts alone, and plain text
        whatever its source, each file a text.

        Args:
          files: where they are.
          columns: those of texts, and that of answers, which is then there; as in training where not given.
        """
        own = None if columns else written.own(files, self.columns(), self.task.answers)
        found = None if columns or own else self._without_columns(files)
        if found is None:
            *texts, answer = own or (*columns, *self.columns()[len(columns) :])
            answer = None if self.documents else answer
            written.check(files, answer)
            form = written.form(
                {} if own else dict(specs.parse(self.data.source).options), (*texts, answer), given=bool(columns)
            )
            asked = {"label": answer, "answer": tables.answer_of(self.task.answers, self.separator), "form": form}
            found = tables.read(*files, text=tuple(texts), optional=len(columns) <= len(texts), **asked)
        with written.said_of(found):
            return self.encode(found.texts, (not self.documents and found.labels) or None), found.notes

    def _without_columns(self, files: Sequence[Path]) -> tables.Table | None:
        """The texts of files that are no tables to the run; None for tables, which the run's own .txt files may be."""
        read = specs.build("source", self.data.source).read
        found = None if read is None else read(files)
        if found is not None or not self.documents:
            return found
        own = map(unpacking.plain_name, data_record.places(specs.parse(self.data.source)))
        plain = None if any(place.endswith(".txt") for place in own) else plain_files.whole("file", files)
        return (
            None if plain is None else tables.Table([*plain.texts], [], (tables.Part(files[0], "", range(len(plain.texts))),))
        )

    def outputs(self, examples: Examples, member: int | None = None, **search: float) -> dict[str, np.ndarray]:
        """The outputs of the task, ``[M n ...]`` for all members, or ``[1 n ...]`` for one; of a classifier, "logits".

        Args:
          examples: what to ask about.
          member: counted from 0; all where None.
          search: options that ``Task.search`` lists.
        """
        count = len(self.settings.seeds)
        if member is not None and not 0 <= member < count:
            raise ValueError(f"member wants 0 to {count - 1}, got {member}")
        params = self._spread if member is None else self._spread.member(member)
        return predict(self.model, params, examples.encoded, self.settings, self.data.bucket_lengths, **search)

    @property
    def _spread(self) -> Spread:
        """The weights, members on the devices that would train them."""
        return recipe.spread(self.params, self.settings)

    def score(self, examples: Examples, split: str, **search: float) -> Evaluation:
        """``evaluate`` for examples that are at hand."""
        outputs, encoded = self.outputs(examples, None, **search), examples.encoded
        members = of_members(outputs)
        scores = [self.task.scores(member, encoded) for member in members]
        said = [self.task.predictions(member, encoded) for member in members]
        correct = np.stack([by_length.shares(each) for each in said]) if "correct" in said[0] else None
        ends = self.data.bucket_lengths
        return Evaluation(
            split=split,
            members=[{"seed": seed, **score} for seed, score in zip(self.settings.seeds, scores)],
            summary={each.name: summarize([score[each.name] for score in scores]) for each in self.task.metrics},
            by_length=[] if correct is None else by_length.ranges(correct, encoded.lengths, ends),
            of_words="share" in said[0],
            predictions=self.task.read(outputs, encoded, self.facts),
            outputs=outputs,
            examples=examples,
            clean=self._clean(examples, members),
        )

    def _clean(self, examples: Examples, members: Sequence[Mapping[str, np.ndarray]]) -> Clean | None:
        if examples.seen is None:
            return None
        scores = [clean_scores(self.task, member, examples.encoded, examples.seen) for member in members]
        summary = summarized(scores, self.task)
        if summary is None:
            return None
        own = [{"seed": seed, **score} for seed, score in zip(self.settings.seeds, scores) if score is not None]
        return Clean(int((~examples.seen).sum()), own, summary)


def load(run: str | RunDirectory) -> Trained:
    """Loads a run from its directory and nothing else.

    Args:
      run: the directory, with a best checkpoint: finished, or under way since its first validation.

    Returns:
      The run; ``notes`` names damaged checkpoints that were passed over.

    Raises:
      ValueError: where there is no run, no checkpoint yet, or a file of it is missing or damaged.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    stored = run.read_config()
    with _said_of(run.config):
        settings = config.from_dict(stored)
    identities.check_config(run, settings)
    if not any(run.checkpoints.glob(f"{checkpoints.BEST}-*")):
        raise ValueError(f"run {run.path} has no best checkpoint: no member has been validated yet")
    data = run.read_data()
    sizes.check(run, settings, data)
    tokenizer: Tokenizer = specs.build("tokenizer", settings.data.tokenizer)
    state = tokenizer.load(run.tokenizer)
    task: Task = specs.build("task", settings.task)
    if not 0 <= data.vocab_size - tokenizer.size(state) <= 1:  # one more ends a target
        raise ValueError(f"{run.data} says {data.vocab_size} tokens, the tokenizer beside it has {tokenizer.size(state)}")
    with _said_of(run.config):
        model = task.sized(recipe.checked_model(settings), data.vocab_size, len(data.classes))
    like = abstract_params(model, len(settings.seeds))
    restored = checkpoints.restore_named(run.checkpoints, checkpoints.BEST, like)
    assert restored is not None  # there is one: see above
    run.check_of_this_run(restored.meta, run.checkpoints)
    params = jax.device_put(restored.tree)
    return Trained(run, settings, data, tokenizer, state, model, params, restored.meta, restored.skipped)


@contextlib.contextmanager
def _said_of(place: str | Path) -> Iterator[None]:
    """Puts the file or the source that a ValueError is about before its message."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{shown(place)}: {error}") from None
