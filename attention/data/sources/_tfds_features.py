"""The folder of a prepared TFDS set, whose features are known to be TFDS's own before TFDS reads them.

``features.json`` names a Python class for each feature, at every depth, and TFDS imports whatever module is named. So a data
set could run code of its own. Here each name is checked first.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core.utils import error_utils

from attention.files import read_json, regular

_OWN = "tensorflow_datasets.core.features."
_NAMES = ("pythonClassName", "python_class_name", "type")  # "type" in sets of TFDS before 4.5


def prepared_folder(name: str, data_dir: Path) -> Path | None:
    """Where the files of a set lie; None where it is not prepared.

    Raises:
      ValueError: where a feature is not one of TFDS itself, ``features.json`` is not JSON, or something in the folder is no
        regular file.
    """
    with error_utils.record_error_context():  # without it, TFDS cannot say what it did not find
        found = read_only_builder._find_builder_dir(name, data_dir=str(data_dir))
    if found is None:
        return None
    folder = Path(found)
    for entry in folder.rglob("*"):
        regular(entry)
    path = folder / "features.json"
    stored = read_json(path)
    try:
        foreign = next((each for each in _classes(stored) if not each.startswith(_OWN)), None)
    except RecursionError:
        raise ValueError(f"{path} is not JSON (nested too deeply)") from None
    if foreign is not None:
        raise ValueError(f"{path} names the feature {foreign[:100]!r}, which is not TFDS's own; nothing of it is imported")
    return folder


def _classes(value: Any) -> Iterator[str]:
    """The names of classes at every depth, in JSON that is kept as a string too."""
    if isinstance(value, list):
        for item in value:
            yield from _classes(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _NAMES and isinstance(item, str):
                yield item
            else:
                yield from _classes(item)
    elif isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return
        yield from _classes(inner)
