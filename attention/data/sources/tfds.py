"""Any text classification set of tensorflow-datasets, prepared in array_record or parquet, or preparable without TensorFlow."""

import re
import sys
from pathlib import Path
from typing import Any

from attention.data import paths
from attention.data.contracts import Corpus, Source, Split
from attention.data.rules import MAJORITY
from attention.data.sources import _labels, _splits
from attention.messages import quoted
from attention.specs import nearest

_NAME = r"[a-zA-Z]\w*(/[\w+.-]+)?(:[\d*]+\.[\d*]+\.[\d*]+)?"
_WITH_TENSORFLOW = "run `pip install tensorflow` to prepare it"


def build(
    name: str,
    text: str = "text",
    label: str = "label",
    train: str = "train",
    validation: str | None = None,
    test: str | None = None,
    data_dir: str | None = None,
    validation_share: float = 0.1,
) -> Source:
    """A set of TFDS, read without TensorFlow.

    A set that is not prepared yet is prepared as array_record; where TFDS itself needs TensorFlow for that, as for
    unpacking most downloads, the error says so. Classes are the names of a ClassLabel feature; of another feature they
    are the values in train, sorted. A split whose labels are all -1 counts as unlabelled.

    Example:
      >>> attention.build("source", "tfds(name='glue/sst2', text='sentence', data_dir='~/tensorflow_datasets')")

    Args:
      name: ``name``, ``name/config`` or ``name/config:version``.
      text: feature of the text; a nested one is ``outer/inner``.
      label: feature of the class.
      train: split to train on; TFDS slices such as ``'train[:90%]'`` are understood.
      validation: the same; None for ``validation`` where the set has it, else ``validation_share`` of each training
        class is drawn by the seed.
      test: the same; None for ``test`` where the set has it.
      data_dir: where TFDS keeps its data sets; None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for a share out of range; ``load`` for a set, split or feature that is not there.
    """
    _splits.check_share(validation_share)
    folder = None if data_dir is None else paths.expand(data_dir)
    wanted = {"train": train, "validation": validation, "test": test}
    features = {"text": text, "label": label}
    spec = _splits.resolved("tfds", name=name, **features, **wanted, data_dir=folder, validation_share=validation_share)

    def load(seed: int) -> Corpus:
        try:
            splits, classes, read = _load(name, wanted, text, label, _splits.data_folder(folder))
        except ValueError as error:
            raise ValueError(f"{name}: {str(error).splitlines()[0]}") from None
        corpus = _splits.corpus(splits, classes, seed=seed, validation_share=validation_share, resolved=spec)
        train_rows = splits["train"]
        assert train_rows.labels is not None  # else there was no corpus
        notes = (*_labels.contradictions(train_rows.texts, train_rows.labels.tolist()), *corpus.notes)
        return corpus._replace(notes=notes, files=tuple(path for path in sorted(read.iterdir()) if path.is_file()))

    return Source(load, (MAJORITY,), spec)


def _load(
    name: str, wanted: dict[str, str | None], text: str, label: str, data_dir: Path
) -> tuple[dict[str, Split], tuple[str, ...], Path]:
    from attention.data.sources import _tfds_cache

    with _tfds_cache.quiet():
        builder = _prepared(name, data_dir)
        there = list(builder.info.splits)
        columns = {}
        for split, given in wanted.items():
            chosen = given or (split if split in there else None)
            if chosen is None:
                continue
            plain = re.split(r"[\[+]", chosen)[0]
            if plain not in there:
                raise ValueError(f"there is no split {quoted(plain)}{nearest(plain, there)}; splits: {', '.join(there)}")
            columns[split] = _tfds_cache.read_columns(builder, chosen, text, label)
    return *_classified(columns, _class_label(builder, label)), Path(builder.data_dir)


def _prepared(name: str, data_dir: Path) -> Any:
    """The TFDS builder of a set, prepared if need be."""
    import tensorflow_datasets

    from attention.data.sources import _tfds_features

    if not re.fullmatch(_NAME, name):  # a namespace or arguments would have TFDS run code that it fetches or is told of
        raise ValueError("a set is named NAME, NAME/CONFIG or NAME/CONFIG:VERSION, without a namespace and arguments")
    try:
        folder = _tfds_features.prepared_folder(name, data_dir)
        if folder is None:
            builder = tensorflow_datasets.builder(name, data_dir=str(data_dir))
        else:
            builder = tensorflow_datasets.builder_from_directory(str(folder))
        if not builder.is_prepared():
            print(f"preparing {name} in {data_dir}", file=sys.stderr)
            builder.download_and_prepare(file_format="array_record")
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        # TFDS lists the sets it can see in its message, one to a line.
        known = [*re.findall(r"^\s*- (\w+)$", str(error), re.MULTILINE), *_folders(data_dir)]
        raise ValueError(
            f"not prepared in {data_dir}, and no set that TFDS knows without TensorFlow{nearest(name, known)};"
            f" if the name is right, {_WITH_TENSORFLOW} as array_record"
        ) from None
    except ImportError as error:
        package = "tensorflow" if "tensorflow" in str(error) else error.name
        raise ValueError(
            f"TFDS needs the package {package!r} to prepare it: run `pip install {package}`, prepare it once with"
            " file_format='array_record', and it is read without"
        ) from None
    except OSError as error:
        elsewhere = f"without a network, prepare it elsewhere and copy it to {data_dir}, or give data_dir=FOLDER"
        raise ValueError(f"TFDS could not download or write it: {error}; {elsewhere}") from None
    format_name = builder.info.file_format.value if builder.info.file_format else "an unknown format"
    if format_name not in ("array_record", "parquet"):
        raise ValueError(
            f"prepared in {builder.data_dir} as {format_name}, which cannot be read without TensorFlow;"
            f" {_WITH_TENSORFLOW} again with file_format='array_record'"
        )
    return builder


def _folders(data_dir: Path) -> list[str]:
    return [entry.name for entry in data_dir.iterdir()] if data_dir.is_dir() else []


def _class_label(builder: Any, label: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature, None for any other."""
    feature = builder.info.features
    for part in label.split("/"):
        feature = feature[part]
    return tuple(feature.names) if hasattr(feature, "names") else None


def _classified(
    columns: dict[str, tuple[list[str], list[Any]]], names: tuple[str, ...] | None
) -> tuple[dict[str, Split], tuple[str, ...]]:
    if names is not None:
        splits = {
            split: _splits.make_split(texts, None if labels and set(labels) == {-1} else labels)
            for split, (texts, labels) in columns.items()
        }
        return splits, names
    written = {
        split: [value.decode() if isinstance(value, bytes) else str(value) for value in labels]
        for split, (_, labels) in columns.items()
    }
    classes = _splits.class_names(written["train"])

    def place(split: str) -> Any:
        return lambda number: f"example {number} of {split}"

    splits = {
        split: _splits.make_split(texts, _splits.indices(written[split], classes, place(split)))
        for split, (texts, _) in columns.items()
    }
    return splits, classes
