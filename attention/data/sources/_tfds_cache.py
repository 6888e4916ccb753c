"""TFDS data sets of labelled texts: written as array_record and read back in bulk, both without TensorFlow.

This file alone imports tensorflow_datasets at its top, which takes half a second; import it where it is needed.
"""

import contextlib
import hashlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import absl.logging
import tensorflow_datasets as tfds
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_pb2

from attention.data.contracts import Split
from attention.data.sources._splits import data_folder, make_split
from attention.messages import listed, quoted
from attention.specs import nearest

Rows = dict[str, tuple[list[str], list[int]]]


class TextBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS data set of texts and class labels.

    Args:
      name: folder of the data set below ``data_dir``.
      config: folder below it; it must name everything the content depends on.
      version: of the way the rows are made.
      classes: names of the labels.
      rows: makes the texts and labels of each split; called when the set is prepared, never when it is read.
      description, homepage: written into the set's information.
      data_dir: None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str,
        version: str,
        classes: tuple[str, ...],
        rows: Callable[[], Rows],
        description: str,
        homepage: str,
        data_dir: Path | None,
    ):
        self.name = name  # pyright: ignore[reportAttributeAccessIssue] (TFDS sets it per class, from the class's name)
        self.VERSION = tfds.core.Version(version)
        self._classes, self._rows = classes, rows
        self._description, self._homepage = description, homepage
        self._digests = tfds.core.MetadataDict()
        builder_config = tfds.core.BuilderConfig(name=config, version=version, description=description)
        super().__init__(data_dir=str(data_folder(data_dir)), config=builder_config, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=list(self._classes))}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            metadata=self._digests,
            # TFDS would order rows by a hash of their key; the order here is the archive's or the generator's.
            disable_shuffling=True,
            description=self._description,
            homepage=self._homepage,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        made = self._rows()
        for split, (texts, labels) in made.items():
            self._digests[f"sha256_{split}"] = digest(texts, labels)
        return {split: self._generate_examples(*columns) for split, columns in made.items()}

    def _generate_examples(self, texts: list[str], labels: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (text, label) in enumerate(zip(texts, labels)):
            yield index, {"text": text, "label": label}


def digest(texts: Iterable[str], labels: Iterable[Any]) -> str:
    """sha256 of the texts and labels in their order."""
    state = hashlib.sha256()
    for text, label in zip(texts, labels):
        data = text.encode()
        state.update(b"%d %d " % (label, len(data)) + data)
    return state.hexdigest()


def load(**arguments: Any) -> dict[str, Split]:
    """Prepares a ``TextBuilder`` if its files are not there yet, and reads it from its files in either case.

    Raises:
      ValueError: where the files cannot be written, or do not hold what was written.
    """
    with quiet():
        builder = _prepared(arguments)
        splits = {name: make_split(*read_columns(builder, name, "text", "label")) for name in builder.info.splits}
    recorded = builder.info.metadata or {}
    if not splits:
        raise _damaged(builder.data_dir, "it names no splits")
    for name, split in splits.items():
        if split.labels is None or digest(split.texts, split.labels) != recorded.get(f"sha256_{name}"):
            raise _damaged(builder.data_dir, f"the {name} split is not what was written")
    return splits


def _prepared(arguments: dict[str, Any]) -> TextBuilder:
    folder = data_folder(arguments["data_dir"])
    try:
        builder = TextBuilder(**arguments)
        if builder.is_prepared():
            return builder
        try:
            builder.download_and_prepare()
        except OSError:
            # Another process may have finished first: TFDS renames a finished folder into its place.
            builder = TextBuilder(**arguments)
            if not builder.is_prepared():
                raise
        return builder
    except OSError as error:
        raise ValueError(f"cannot write {arguments['name']} into {folder}: {error}; data_dir= gives another place") from None
    except json_format.ParseError as error:
        raise _damaged(folder / arguments["name"] / arguments["config"], f"dataset_info.json: {error}") from None


def _damaged(folder: str | Path, fault: str) -> ValueError:
    return ValueError(f"the data set in {folder} is damaged ({fault}): delete the folder to have it made again")


_quiet = threading.RLock()  # what it sets is of the process: two threads would put back what the other has set


class _Unsaid(io.TextIOBase):
    """Takes what the thread that made it prints; what others print goes on."""

    def __init__(self, stream: TextIO):
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        """Writes, or does as if."""
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def flush(self) -> None:
        """Flushes what others print."""
        self._stream.flush()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what TFDS prints, logs and draws in this thread off the terminal; errors still raise."""
    with _quiet:
        tfds.disable_progress_bar()
        verbosity = absl.logging.get_verbosity()
        absl.logging.set_verbosity(absl.logging.ERROR)
        retries = logging.getLogger("urllib3")
        level = retries.level
        retries.setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(_Unsaid(sys.stdout)):
                yield
        finally:
            absl.logging.set_verbosity(verbosity)
            retries.setLevel(level)


def read_columns(builder: Any, split: str, text: str, label: str) -> tuple[list[str], list[Any]]:
    """The texts of a split and the labels as stored, int or bytes, far faster than TFDS decodes examples one by one.

    The raw records are read at once and two features taken from each; a nested one is named ``outer/inner``.

    Raises:
      ValueError: where the files are damaged, a feature is missing, or is not one text or one class per example; for a slice
        of a set in parquet.
    """
    try:
        source = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        if len(source) != builder.info.splits[split].num_examples:  # TFDS reads parquet whole, whatever the slice
            raise ValueError(f"{quoted(split)} is a slice, and TFDS reads none of a set in parquet; prepare it as array_record")
        records = source.__getitems__(range(len(source)))
    except (RuntimeError, OSError) as error:  # RuntimeError is what array_record raises
        raise _damaged(builder.data_dir, str(error)) from None
    texts, labels = [], []
    parse = tf_example_pb2.Example.FromString  # pyright: ignore[reportAttributeAccessIssue]
    for number, record in enumerate(records):
        try:
            features = parse(bytes(record)).features.feature
        except DecodeError as error:
            raise _damaged(builder.data_dir, f"{split}, record {number}: {error}") from None
        if not features:  # what array_record returns for records behind the end of a file cut short
            raise _damaged(builder.data_dir, f"{split}, record {number} is empty")
        for name in (text, label):
            if name not in features:
                raise ValueError(f"there is no feature {quoted(name)}{nearest(name, features)}; features: {listed(features)}")
        if len(features[text].bytes_list.value) != 1:
            raise ValueError(f"the feature {quoted(text)} is not one text per example")
        try:
            texts.append(features[text].bytes_list.value[0].decode())
        except UnicodeDecodeError:
            raise ValueError(f"example {number} of {split}: the feature {text!r} is not UTF-8 text") from None
        values = [*features[label].int64_list.value, *features[label].bytes_list.value]
        if len(values) != 1:
            raise ValueError(f"the feature {quoted(label)} is not one class per example")
        labels.append(values[0])
    return texts, labels
