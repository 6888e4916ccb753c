"""Files that are whole or absent, and nothing beside them that stays."""

import errno
import os
import time

import pytest

from attention import files


def test_what_cannot_be_written_leaves_nothing_and_is_named(tmp_path, monkeypatch):
    path = tmp_path / "o.tsv"
    files.write_atomic(path, b"before")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        files.write_atomic(path, b"after")
    assert error.value.filename == str(path)
    assert files.passing(error.value)
    assert [each.name for each in tmp_path.iterdir()] == ["o.tsv"]
    assert path.read_bytes() == b"before"


def test_what_killed_processes_left_is_removed(tmp_path):
    path, old, new, other, somebodys = (
        tmp_path / name for name in ("o.tsv", ".tmp-o.tsv.1-2", ".tmp-o.tsv.3-4", ".tmp-p.tsv.5-6", ".tmp-notes.txt")
    )
    for leftover in (old, new, other, somebodys):
        leftover.write_bytes(b"half")
    for leftover in (old, other, somebodys):
        os.utime(leftover, (time.time() - 7200, time.time() - 7200))
    files.write_atomic(path, b"whole")
    assert {each.name for each in tmp_path.iterdir()} == {path.name, new.name, somebodys.name}


@pytest.mark.parametrize(("number", "kind"), [(errno.ESTALE, files.TryAgainError), (errno.EACCES, ValueError)])
def test_what_a_file_server_fails_to_read_is_worth_trying_again(tmp_path, monkeypatch, number, kind):
    path = tmp_path / "o.json"
    files.write_json(path, {})

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(type(path), "read_text", fail)
    with pytest.raises(ValueError, match=f"o.json cannot be read [(]{os.strerror(number)}") as error:
        files.read_json(path)
    assert type(error.value) is kind


def test_folders_that_cannot_be_flushed_are_written_all_the_same(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    files.sync_folder(tmp_path)


@pytest.mark.parametrize("read", [files.read_json, files.read_sealed])
def test_what_is_no_regular_file_is_not_opened(tmp_path, read):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo", tmp_path / "zero"):
        with pytest.raises(ValueError, match=f"^{path} is no regular file$"):
            read(path)
