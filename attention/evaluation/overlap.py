"""What of the texts to be scored the run was trained or chosen on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attention import specs
from attention.data import contracts, dataset, remarks
from attention.data.characters import with_words, words_of
from attention.data.repeats import seen_before
from attention.evaluation.trained import Trained
from attention.messages import shown
from attention.runs import data_record
from attention.tasks import Examples

_PLACES = {"train": remarks.IN_TRAIN, "validation": remarks.IN_VALIDATION}


def elsewhere(trained: Trained, examples: Examples, name: str) -> tuple[Examples, np.ndarray | None, list[str]]:
    """Which examples and words the run has seen, and where in its data each text is, as ``remarks.statistics`` has it.

    Both are None where that is not known, which a note says.

    The run's texts are read and compared, none is tokenized.

    Args:
      trained: the run.
      examples: what is to be scored.
      name: of it, for the note.
    """
    try:
        corpus = specs.build("source", trained.source).load(trained.settings.data.seed)
        own = {split: corpus.splits[split] for split in _PLACES if split in corpus.splits}
        hashes = {split: dataset.content_hash(own[split]) for split in own}
        dataset.verify_hashes(hashes, {split: known for split, known in trained.data.hashes.items() if split in _PLACES})
    except (ValueError, ImportError, OSError) as error:
        return examples, None, [f"whether texts of {name} are in the run's train or validation is not known: {error}"]
    found = np.sum([_PLACES[split] * seen_before(examples.texts, own[split].texts) for split in own], axis=0).astype(np.int8)
    texts, most = [" ".join(text.split()) for text in examples.texts], trained.settings.model.characters
    encoded = with_words(examples.encoded, texts, trained.data.classes, most=most, known=words_of(own["train"]))
    return examples._replace(encoded=encoded, seen=found > 0), found, []


def own(trained: Trained, name: str, read: Sequence[Path], examples: Examples) -> list[str]:
    """A note where what was read is of the run's own data, by its content or by its place."""
    labels = examples.encoded.labels
    known = labels if (labels != -1).any() else None  # as a source has it that says something else than labels
    content = dataset.content_hash(contracts.Split(examples.texts, known, examples.targets, examples.wanted))
    if split := recorded_as(trained, content):
        return [f"{name} is the {split} split that the run recorded"]
    kept = [path for path in files(trained) if path.exists()]
    same = [file for file in read if any(path.samefile(file) for path in kept)]
    return [f"{shown(same[0])} is a file of the run's own data"] if same else []


def recorded_as(trained: Trained, content: str) -> str | None:
    """The split of the run that has a content, by its hash."""
    return next((name for name, recorded in trained.data.hashes.items() if recorded == content), None)


def files(trained: Trained) -> list[Path]:
    """The files of the data that the run was trained on."""
    known = trained.run.read_identity()
    return [Path(place) for place in (*(known[1].files if known else ()), *data_record.places(specs.parse(trained.source)))]
