"""Checkpoints that are complete and unharmed, or named and skipped.

A checkpoint is a folder ``<prefix>-<number>`` of two files. ``arrays.npz`` holds the leaves of a pytree, uncompressed,
under their path names. ``manifest.json`` holds the format version, the step, the caller's ``meta``, the name, shape and
dtype of every leaf, the sha256 of ``arrays.npz`` and the sha256 of the manifest itself, so that a flipped bit in either
file is noticed. Dtypes that NumPy does not know (bfloat16) are stored as unsigned integers of their width.

A folder appears by one rename of a finished, fsynced temporary folder beside it, and disappears by one rename back into
such a name. A kill at any instant therefore leaves the checkpoint before it in place, and at most a few folders named
``.tmp-*``, which the next save clears. One process at a time may save into a folder (see ``opening.open_run``).
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention.files import TEMPORARY, parse_json, read_arrays, regular, sync_folder, write_atomic

FORMAT = 2
READABLE = (1, 2)  # those of format 1 hold the same leaves
BEST = "best"  # the name of the best weights of each member
ARRAYS, MANIFEST = "arrays.npz", "manifest.json"


class Restored(NamedTuple):
    """A checkpoint as read: leaves are NumPy arrays; ``skipped`` names each damaged newer one with the reason.

    ``sha256`` is that of the file of the arrays.
    """

    step: int
    tree: Any
    meta: dict[str, Any]
    skipped: tuple[str, ...]
    sha256: str


class Said(NamedTuple):
    """What a manifest says; ``sha256`` is that of the file of the arrays."""

    step: int
    meta: dict[str, Any]
    sha256: str


class _Damaged(Exception):
    """Why a checkpoint cannot be trusted."""


def save(folder: Path, step: int, tree: Any, meta: dict[str, Any], *, keep: int = 2) -> Path:
    """Writes ``folder/step-<step>`` and then drops all but the newest ``keep`` (the new one included).

    A step that exists already is written beside the old one (``step-00000012.1``) before that goes. Checkpoints of a
    later step belong to a course of training that was given up (they were damaged, or an earlier one was asked for),
    and go too: otherwise they would be taken for the newest.

    Args:
      folder: created where missing.
      step: 0 or more.
      tree: a pytree of arrays and numbers; typed random keys are to be given as ``jax.random.key_data``.
      meta: what JSON can hold.
      keep: how many to keep, 1 or more.

    Returns:
      The folder of the new checkpoint.

    Raises:
      ValueError: for a negative step, ``keep`` below 1, or a leaf that is no array of numbers.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"a checkpoint wants step >= 0 and keep >= 1, got step={step}, keep={keep}")
    existing = _list(folder, "step")
    again = [generation for number, generation, _ in existing if number == step]
    name = f"step-{step:08d}" + (f".{max(again) + 1}" if again else "")
    target = _write(folder, name, step, tree, meta)
    earlier = {}
    for number, _, path in existing:
        if number < step:
            earlier[number] = path  # the newest generation of each step: the list is sorted
    kept = [earlier[number] for number in sorted(earlier, reverse=True)[: keep - 1]]
    _drop(folder, [path for _, _, path in existing if path not in kept])
    return target


def restore(folder: Path, like: Any, *, step: int | None = None) -> Restored | None:
    """Reads the newest checkpoint that is unharmed, or the one of ``step``.

    Args:
      folder: what ``save`` was given; it need not exist.
      like: a pytree of arrays or ``jax.ShapeDtypeStruct`` of the structure, shapes and dtypes wanted.
      step: take this one and no other.

    Returns:
      None where there is no checkpoint at all.

    Raises:
      ValueError: where there are some but all are damaged, naming each; where the newest unharmed one has other leaves
        than ``like``, naming the first; where ``step`` is not there, naming those that are.
    """
    found = _list(folder, "step")
    if step is not None:
        known = ", ".join(str(number) for number, _, _ in found) or "none"
        found = [entry for entry in found if entry[0] == step]
        if not found:
            raise ValueError(f"{folder} has no checkpoint of step {step}; steps there: {known}")
    return _first_unharmed(found, like)


def newest(folder: Path) -> Said | None:
    """What the newest unharmed manifest says, while another process may be saving; None for none."""
    for _, _, path in reversed(_list(folder, "step")):
        with contextlib.suppress(_Damaged, OSError):
            content = _read_manifest(path)
            return Said(content["step"], content["meta"], content["sha256"])
    return None


def save_named(folder: Path, name: str, step: int, tree: Any, meta: dict[str, Any]) -> Path:
    """Writes a checkpoint that replaces the one of the same name, for example "best".

    It is written as ``folder/<name>-<count>`` with a count above those there, and these are dropped afterwards:
    whatever the instant of a kill, the newest count is a whole checkpoint. The step may go down; what counts is which
    was saved last.

    Args and Raises: as ``save``; ``name`` is letters, digits and ``_``, and not "step".
    """
    if not re.fullmatch(r"\w+", name) or name == "step":
        raise ValueError(f"a checkpoint's name is letters, digits and '_', and not 'step', got {name!r}")
    if step < 0:
        raise ValueError(f"a checkpoint wants step >= 0, got {step}")
    existing = _list(folder, name)
    count = existing[-1][0] + 1 if existing else 0
    target = _write(folder, f"{name}-{count:08d}", step, tree, meta)
    _drop(folder, [path for _, _, path in existing])
    return target


def restore_named(folder: Path, name: str, like: Any) -> Restored | None:
    """Reads what ``save_named`` wrote last; returns and raises as ``restore``."""
    return _first_unharmed(_list(folder, name), like)


def read_named(folder: Path, name: str) -> Restored | None:
    """What ``save_named`` wrote last, whatever its structure: ``tree`` is made of nested dicts. Raises as ``restore``."""
    return _first_unharmed(_list(folder, name), None)


def _list(folder: Path, prefix: str) -> list[tuple[int, int, Path]]:
    """(number, generation, path) of the checkpoints of a prefix, oldest first."""
    if not folder.is_dir():
        return []
    pattern = re.compile(rf"{prefix}-(\d{{8,}})(?:\.(\d+))?")
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), int(match[2] or 0), path) for match, path in matches if match)


def _named_leaves(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _describe(leaf: Any) -> tuple[list[int], str]:
    if not hasattr(leaf, "shape"):
        leaf = np.asarray(leaf)
    return list(leaf.shape), str(leaf.dtype)


def _storable(name: str, leaf: Any) -> np.ndarray:
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.prng_key):
        raise ValueError(f"checkpoint leaf {name} is a typed random key; store jax.random.key_data of it")
    array = np.asarray(leaf)
    if array.dtype.isbuiltin == 2:  # registered by ml_dtypes: NumPy could write it, but not read it without a pickle
        return array.view(np.dtype(f"u{array.dtype.itemsize}"))
    if array.dtype.kind not in "biufc":
        raise ValueError(f"checkpoint leaf {name} wants an array of numbers, got dtype {array.dtype}")
    return array


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(folder: Path, name: str, step: int, tree: Any, meta: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{TEMPORARY}*"):
        _remove(leftover)
    temporary, target = folder / f"{TEMPORARY}{name}", folder / name
    try:
        _fill(temporary, step, tree, meta)
    except BaseException as error:  # as of a full disk, whose room is needed
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(target), None
        raise
    os.rename(temporary, target)
    sync_folder(folder)
    return target


def _fill(folder: Path, step: int, tree: Any, meta: dict[str, Any]) -> None:
    """Makes a folder with the two files of a checkpoint."""
    leaves = _named_leaves(jax.device_get(tree))
    arrays = {path: _storable(path, leaf) for path, leaf in leaves.items()}
    folder.mkdir()
    with open(folder / ARRAYS, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path, array in arrays.items():
                with archive.open(f"{path}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    described = [{"name": path, **dict(zip(("shape", "dtype"), _describe(leaf)))} for path, leaf in leaves.items()]
    content = {"format": FORMAT, "step": int(step), "meta": meta, "sha256": sha256, "leaves": described}
    content = json.loads(json.dumps(content))  # as it will be read: keys become strings before they are sorted
    write_atomic(folder / MANIFEST, json.dumps({"content": content, "sha256": _digest(content)}, indent=1).encode())


def _drop(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        # Renamed first: a kill while the files go one by one must not leave a folder that looks like a checkpoint.
        condemned = folder / f"{TEMPORARY}old-{path.name}"
        os.rename(path, condemned)
        _remove(condemned)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _first_unharmed(found: list[tuple[int, int, Path]], like: Any) -> Restored | None:
    skipped: list[str] = []
    for _, _, path in reversed(found):
        try:
            content, arrays = _read(path)
        except _Damaged as reason:
            skipped.append(f"{path}: {reason}")
            continue
        tree = _nested(path, arrays) if like is None else _assemble(path, arrays, like)
        return Restored(content["step"], tree, content["meta"], tuple(skipped), content["sha256"])
    if skipped:
        raise ValueError(f"every checkpoint is damaged: {'; '.join(skipped)}")
    return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The manifest's content and the leaves by name. Raises _Damaged where either is not what was written."""
    content = _read_manifest(path)
    try:
        with open(regular(path / ARRAYS), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != content["sha256"]:
                raise _Damaged(f"{ARRAYS} does not have the sha256 it was written with")
            stored = read_arrays(file)
    except OSError as error:
        raise _Damaged(f"{ARRAYS} cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise _Damaged(f"{ARRAYS} cannot be read ({error})") from None
    arrays: dict[str, np.ndarray] = {}
    for leaf in content["leaves"]:
        name, dtype = leaf["name"], np.dtype(leaf["dtype"])
        if name not in stored:
            raise _Damaged(f"leaf {name} is missing")
        array = stored[name].view(dtype) if dtype.isbuiltin == 2 else stored[name]
        if _describe(array) != (leaf["shape"], leaf["dtype"]):
            raise _Damaged(f"leaf {name} is {_show(array)}, the manifest says {leaf['dtype']}{leaf['shape']}")
        arrays[name] = array
    return content, arrays


def _read_manifest(path: Path) -> dict[str, Any]:
    if path.is_dir() and not any(path.iterdir()):
        raise _Damaged("the folder is empty")
    try:
        manifest = parse_json(regular(path / MANIFEST).read_text(encoding="utf-8"))
        content, sha256 = manifest["content"], manifest["sha256"]
    except OSError as error:
        raise _Damaged(f"{MANIFEST} cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _Damaged(f"{MANIFEST} is not a manifest ({error})") from None
    if sha256 != _digest(content):
        raise _Damaged(f"{MANIFEST} does not have the sha256 it was written with")
    if content["format"] not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise ValueError(f"{path} has checkpoint format {content['format']}; this version reads formats {known}")
    return content


def _show(array: Any) -> str:
    shape, dtype = _describe(array)
    return f"{dtype}{shape}"


def _nested(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The arrays in nested dicts, as their path names say."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        keys = re.findall(r"\['([^']+)'\]", name)
        if "".join(f"['{key}']" for key in keys) != name:
            raise ValueError(f"{path}: the leaf {name} is not in a dict")
        inner = tree
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = array
    return tree


def _assemble(path: Path, arrays: dict[str, np.ndarray], like: Any) -> Any:
    """The arrays in the structure of ``like``. Raises ValueError naming the first leaf that differs."""
    wanted = _named_leaves(like)
    for name in wanted:
        if name not in arrays:
            raise ValueError(f"{path} is of another configuration: it has no leaf {name}, which is wanted")
        if _describe(wanted[name]) != _describe(arrays[name]):
            have, want = _show(arrays[name]), _show(wanted[name])
            raise ValueError(f"{path} is of another configuration: its leaf {name} is {have}, wanted is {want}")
    for name in arrays:
        if name not in wanted:
            raise ValueError(f"{path} is of another configuration: its leaf {name} is not wanted")
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(like), [arrays[name] for name in wanted])
