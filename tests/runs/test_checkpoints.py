"""Checkpoints: what was saved comes back bitwise, and what is damaged is named and passed over."""

import errno
import json
import os
import random
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from attention.runs import checkpoints


def tree(scale=1.0):
    return {
        "params": {"w": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) * scale, "none": {}, "deep": ({}, [])},
        "half": jnp.array([1.0, -0.0, jnp.nan, jnp.inf, 3.140625], jnp.bfloat16) * scale,
        "step": np.int32(7),
        "flags": (np.array([True, False]), np.zeros((0, 4), np.uint8)),
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    }


def assert_same(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
        assert x.dtype == y.dtype
        assert np.asarray(x).shape == np.asarray(y).shape
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def like():
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree())


def restore(folder, **options):
    restored = checkpoints.restore(folder, like(), **options)
    assert restored is not None
    return restored


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_is_bitwise_and_keeps_structure(tmp_path):
    meta = {"seed": 3, "best": float("-inf"), "by_step": {10: [1, 2.5], 9: None}, "pair": (1, 2)}
    path = checkpoints.save(tmp_path / "new", 12, tree(), meta)
    assert path == tmp_path / "new" / "step-00000012"
    assert names(path) == ["arrays.npz", "manifest.json"]
    restored = restore(tmp_path / "new")
    assert_same(restored.tree, tree())
    assert isinstance(restored.tree["half"], np.ndarray)
    assert restored.tree["half"].dtype == ml_dtypes.bfloat16
    assert (restored.step, restored.skipped) == (12, ())
    assert restored.meta == {"seed": 3, "best": float("-inf"), "by_step": {"10": [1, 2.5], "9": None}, "pair": [1, 2]}


def test_arrays_are_named_and_readable_without_this_module(tmp_path):
    path = checkpoints.save(tmp_path, 0, {"a": {"b": np.arange(3)}}, {})
    with np.load(path / "arrays.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["['a']['b']"], np.arange(3))


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints.restore(tmp_path / "absent", like()) is None
    (tmp_path / "unrelated-00000001").mkdir()
    assert checkpoints.restore(tmp_path, like()) is None
    assert checkpoints.restore_named(tmp_path, "best", like()) is None


def test_keeps_the_newest(tmp_path):
    for step in (5, 10, 100_000_000, 100_000_001):
        checkpoints.save(tmp_path, step, tree(), {}, keep=2)
    assert names(tmp_path) == ["step-100000000", "step-100000001"]
    assert restore(tmp_path).step == 100_000_001
    assert restore(tmp_path, step=100_000_000).step == 100_000_000
    with pytest.raises(ValueError, match=r"no checkpoint of step 5; steps there: 100000000, 100000001"):
        restore(tmp_path, step=5)
    checkpoints.save(tmp_path, 100_000_002, tree(), {}, keep=1)
    assert names(tmp_path) == ["step-100000002"]


def test_same_step_again_replaces_without_a_gap(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, 5, tree(), {"try": 0}, keep=1)
    seen = []
    rename = os.rename

    def watch(source, target):
        rename(source, target)
        seen.append(restore(tmp_path).meta["try"])  # whatever the instant, there is a whole checkpoint

    monkeypatch.setattr(os, "rename", watch)
    checkpoints.save(tmp_path, 5, tree(), {"try": 1}, keep=1)
    assert seen == [1, 1]
    checkpoints.save(tmp_path, 5, tree(), {"try": 2}, keep=1)
    monkeypatch.undo()
    assert names(tmp_path) == ["step-00000005.2"]
    assert restore(tmp_path).meta == {"try": 2}


def test_a_later_step_of_an_abandoned_course_does_not_win(tmp_path):
    checkpoints.save(tmp_path, 10, tree(1), {})
    checkpoints.save(tmp_path, 20, tree(2), {})
    checkpoints.save(tmp_path, 15, tree(3), {})
    assert names(tmp_path) == ["step-00000010", "step-00000015"]
    assert restore(tmp_path).step == 15


def damage_bit(path, place):
    file = path / ["arrays.npz", "manifest.json"][place % 2]
    content = bytearray(file.read_bytes())
    bit = random.Random(place).randrange(len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def truncate(name):
    return lambda path: os.truncate(path / name, (path / name).stat().st_size // 2)


def rewrite_manifest(change):
    """A manifest that is in itself sound, as nobody but a wrong program writes."""

    def damage(path):
        content = json.loads((path / "manifest.json").read_text())["content"]
        change(content)
        manifest = {"content": content, "sha256": checkpoints._digest(content)}
        (path / "manifest.json").write_text(json.dumps(manifest))

    return damage


def add_leaf(content):
    content["leaves"].append({"name": "['extra']", "shape": [1], "dtype": "float32"})


def change_shape(content):
    content["leaves"][0]["shape"].append(9)


def empty(path):
    for file in path.iterdir():
        file.unlink()


DAMAGE = {
    "truncated arrays": (truncate("arrays.npz"), "arrays.npz does not have the sha256"),
    "truncated manifest": (truncate("manifest.json"), "manifest.json is not a manifest"),
    "empty folder": (empty, "the folder is empty"),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "manifest.json cannot be read"),
    "no arrays": (lambda path: (path / "arrays.npz").unlink(), "arrays.npz cannot be read"),
    "binary manifest": (lambda path: (path / "manifest.json").write_bytes(b"\xff\x00"), "is not a manifest"),
    "leaf missing": (rewrite_manifest(add_leaf), r"leaf \['extra'\] is missing"),
    "leaf of wrong shape": (rewrite_manifest(change_shape), r"leaf .* is .*, the manifest says"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_the_one_before_taken(tmp_path, kind):
    damage, reason = DAMAGE[kind]
    checkpoints.save(tmp_path, 1, tree(1), {})
    damage(checkpoints.save(tmp_path, 2, tree(2), {}))
    restored = restore(tmp_path)
    assert restored.step == 1
    assert_same(restored.tree, tree(1))
    (message,) = restored.skipped
    assert "step-00000002" in message
    with pytest.raises(ValueError, match=f"damaged: .*step-00000002: .*{reason}"):
        restore(tmp_path, step=2)


def test_any_flipped_bit_is_noticed(tmp_path):
    checkpoints.save(tmp_path, 1, tree(1), {"rate": 0.1})
    for place in range(40):
        path = checkpoints.save(tmp_path, 2, tree(2), {"rate": 0.1})
        damage_bit(path, place)
        restored = restore(tmp_path)
        if restored.step == 2:  # a bit of the manifest that means nothing: a space became a tab
            assert place % 2 == 1
            assert_same(restored.tree, tree(2))
            assert restored.meta == {"rate": 0.1}
        else:
            assert_same(restored.tree, tree(1))
            assert len(restored.skipped) == 1


def test_all_damaged_is_an_error_that_names_all(tmp_path):
    for step in (1, 2):
        truncate("arrays.npz")(checkpoints.save(tmp_path, step, tree(), {}))
    with pytest.raises(ValueError, match=r"every checkpoint is damaged: .*step-00000002: .*; .*step-00000001: "):
        checkpoints.restore(tmp_path, like())


def test_after_damage_the_new_one_outlives_the_damaged(tmp_path):
    checkpoints.save(tmp_path, 10, tree(), {})
    truncate("arrays.npz")(checkpoints.save(tmp_path, 20, tree(), {}))
    checkpoints.save(tmp_path, 15, tree(), {}, keep=1)
    assert names(tmp_path) == ["step-00000015"]


def test_another_configuration_names_the_leaf(tmp_path):
    checkpoints.save(tmp_path, 1, {"a": np.zeros(2, np.float32), "b": np.zeros(1, np.float32)}, {})
    shape = jax.ShapeDtypeStruct
    one = shape((1,), np.float32)
    cases = [
        ({"a": shape((3,), np.float32), "b": one}, r"its leaf \['a'\] is float32\[2\], wanted is float32\[3\]"),
        ({"a": shape((2,), np.float16), "b": one}, r"its leaf \['a'\] is float32\[2\], wanted is float16\[2\]"),
        ({"a": shape((2,), np.float32), "b": one, "c": one}, r"no leaf \['c'\]"),
        ({"a": shape((2,), np.float32)}, r"its leaf \['b'\] is not wanted"),
    ]
    for wanted, message in cases:
        with pytest.raises(ValueError, match=message):
            checkpoints.restore(tmp_path, wanted)


def test_an_unknown_format_is_not_taken_for_damage(tmp_path):
    checkpoints.save(tmp_path, 1, tree(), {})
    path = checkpoints.save(tmp_path, 2, tree(), {})
    rewrite_manifest(lambda content: content.update(format=99))(path)
    with pytest.raises(ValueError, match="format 99; this version reads formats 1 and 2"):
        checkpoints.restore(tmp_path, like())


@pytest.mark.parametrize(
    ("leaf", "message"),
    [(np.array([object()]), r"\['x'\] wants an array of numbers"), (jax.random.key(0), r"\['x'\].*key_data")],
)
def test_what_cannot_be_stored_is_refused(tmp_path, leaf, message):
    with pytest.raises(ValueError, match=message):
        checkpoints.save(tmp_path, 1, {"x": leaf}, {})
    assert names(tmp_path) == []


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="step >= 0"):
        checkpoints.save(tmp_path, -1, tree(), {})
    with pytest.raises(ValueError, match="keep >= 1"):
        checkpoints.save(tmp_path, 1, tree(), {}, keep=0)
    with pytest.raises(ValueError, match="letters, digits"):
        checkpoints.save_named(tmp_path, "a/b", 1, tree(), {})
    with pytest.raises(ValueError, match="not 'step'"):
        checkpoints.save_named(tmp_path, "step", 1, tree(), {})


def test_named_last_saved_wins_even_with_a_lower_step(tmp_path):
    for step in (30, 50, 40):
        checkpoints.save_named(tmp_path, "best", step, tree(step), {"step": step})
    checkpoints.save(tmp_path, 60, tree(), {})
    restored = checkpoints.restore_named(tmp_path, "best", like())
    assert restored is not None
    assert (restored.step, restored.meta) == (40, {"step": 40})
    assert_same(restored.tree, tree(40))
    assert len([name for name in names(tmp_path) if name.startswith("best-")]) == 1


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from attention.runs import checkpoints

root, kind = Path(sys.argv[1]), sys.argv[2]

def save(folder, value):
    array = {"x": np.full(1000, value)}
    if kind == "step":
        checkpoints.save(folder, int(value), array, {}, keep=1)
    else:
        checkpoints.save_named(folder, "best", int(value), array, {})

def die_before(fatal):
    count = 0
    def maybe_die(function):
        def call(*arguments, **options):
            nonlocal count
            if count == fatal:
                os._exit(9)  # nothing is flushed, no handler runs: what SIGKILL leaves
            count += 1
            return function(*arguments, **options)
        return call
    for name in ("rename", "replace", "fsync", "mkdir", "unlink", "rmdir", "open"):
        setattr(os, name, maybe_die(getattr(os, name)))

for fatal in range(100):
    folder = root / f"{fatal:02d}"
    save(folder, 1.0)
    child = os.fork()
    if child == 0:
        die_before(fatal)
        save(folder, 2.0)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        break
    assert code == 9, code
"""


@pytest.mark.parametrize("kind", ["step", "best"])
def test_a_kill_at_any_call_of_the_system_leaves_a_whole_checkpoint(tmp_path, kind):
    """Dies before the n-th call that changes the disk, for every n: the old or the new checkpoint is there, whole."""
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, kind], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = {"x": jax.ShapeDtypeStruct((1000,), np.float64)}
    steps = []
    for folder in sorted(tmp_path.iterdir()):
        named = kind == "best"
        restored = checkpoints.restore_named(folder, kind, wanted) if named else checkpoints.restore(folder, wanted)
        assert restored is not None
        assert restored.skipped == ()
        np.testing.assert_array_equal(restored.tree["x"], np.full(1000, float(restored.step)))
        steps.append(restored.step)
        if named:
            checkpoints.save_named(folder, kind, 3, restored.tree, {})
        else:
            checkpoints.save(folder, 3, restored.tree, {}, keep=1)
        assert len(names(folder)) == 1  # leftovers are gone
    assert steps == sorted(steps)  # dying later never leaves an older checkpoint
    assert steps.count(1) > 4
    assert steps.count(2) > 2


def test_a_full_disk_leaves_nothing_and_is_named(tmp_path, monkeypatch):
    def full(file, array, **_):
        file.write(b"x" * 100)
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoints.save(tmp_path, 1, {"a": np.arange(3)}, {})
    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left") as error:
        checkpoints.save(tmp_path, 2, {"a": np.arange(3)}, {})
    assert error.value.filename == str(tmp_path / "step-00000002")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
