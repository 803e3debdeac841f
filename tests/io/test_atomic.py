"""Files and folders written whole or not at all; folders that one process writes to."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from triaffect.errors import DiskError, StoreError
from triaffect.io import atomic
from triaffect.io.atomic import (
    check_output,
    lock_folder,
    replace_file,
    replace_folder,
    write_json,
    write_text,
)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("unlocked", [False, True])
def test_replace_file_keeps_the_old_file_and_no_other_if_writing_fails(tmp_path, unlocked):
    write_text(tmp_path / "a.txt", "old")

    def write_half():
        with replace_file(tmp_path / "a.txt", unlocked=unlocked) as temporary:
            assert temporary.parent == tmp_path
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert content(tmp_path) == {"a.txt": "old"}
    with replace_file(tmp_path / "a.txt", unlocked=unlocked) as temporary:
        temporary.write_text("new")
        assert content(tmp_path)["a.txt"] == "old"
    assert content(tmp_path) == {"a.txt": "new"}


def test_replace_file_names_the_file_that_has_no_room(tmp_path):
    path = tmp_path / "a.txt"
    with (
        pytest.raises(DiskError, match=rf"{path}: .*No space left on device; make room"),
        replace_file(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_unlocked_writers_of_one_file_do_not_share_a_temporary(tmp_path, monkeypatch):
    with replace_file(tmp_path / "a", unlocked=True) as first:
        first.write_text("first")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with replace_file(tmp_path / "a", unlocked=True) as second:
            second.write_text("second")
        assert content(tmp_path)["a"] == "second"
    assert content(tmp_path) == {"a": "first"}


def test_write_json_makes_the_folder(tmp_path):
    write_json(tmp_path / "new" / "deep" / "a.json", {"a": [1]})
    assert (tmp_path / "new" / "deep" / "a.json").read_text() == '{\n "a": [\n  1\n ]\n}\n'


def test_check_output_makes_the_folder_and_no_file(tmp_path):
    path = tmp_path / "new" / "deep" / "a.csv"
    assert check_output(path) == path
    assert path.parent.is_dir()
    assert not path.exists()


def test_check_output_refuses_a_folder_and_one_below_a_file(tmp_path):
    with pytest.raises(DiskError, match="expected a file to write, got a folder; add a file name"):
        check_output(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="file: expected a folder, got a file"):
        check_output(tmp_path / "file" / "deep" / "a.csv")


def test_check_output_refuses_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(DiskError, match="one that cannot be written to; choose another"):
        check_output(tmp_path / "a.csv")


def test_replace_folder_replaces_the_whole_content(tmp_path):
    for name in ("a", "b"):
        with replace_folder(tmp_path / "folder") as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / name).write_text(name)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "inner", "b"]


def test_replace_folder_leaves_the_same_content_as_it_is(tmp_path):
    for _ in range(2):
        with replace_folder(tmp_path / "folder") as temporary:
            (temporary / "a").write_text("a")
        inode = (tmp_path / "folder").stat().st_ino
    with replace_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("a")
    assert (tmp_path / "folder").stat().st_ino == inode


@pytest.mark.parametrize("step", ["fill", "rename"])
def test_replace_folder_keeps_the_old_content_if_it_fails(tmp_path, monkeypatch, step):
    folder = tmp_path / "folder"
    with replace_folder(folder) as temporary:
        (temporary / "a").write_text("old")
    replace = type(folder).replace

    def failing(path, target):
        if path.name == ".folder.part":
            raise OSError(errno.EIO, "no")
        return replace(path, target)

    if step == "rename":
        monkeypatch.setattr(type(folder), "replace", failing)

    def write_folder():
        with replace_folder(folder) as temporary:
            (temporary / "b").write_text("new")
            if step == "fill":
                raise OSError(errno.ENOSPC, "no")

    with pytest.raises(DiskError):
        write_folder()
    assert content(folder) == {"a": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_replace_folder_puts_back_what_a_kill_between_its_renames_moved_away(tmp_path):
    (tmp_path / ".folder.old").mkdir()
    (tmp_path / ".folder.old" / "a").write_text("old")
    with pytest.raises(ValueError, match="stop"), replace_folder(tmp_path / "folder"):
        raise ValueError("stop")
    assert content(tmp_path / "folder") == {"a": "old"}


IN_USE = StoreError("a free folder", "one in use")


def test_lock_folder_refuses_a_second_lock_until_the_first_is_closed(tmp_path):
    lock = lock_folder(tmp_path, IN_USE)
    with pytest.raises(StoreError, match="one in use"):
        lock_folder(tmp_path, IN_USE)
    lock.close()
    with lock_folder(tmp_path, IN_USE):
        assert [path.name for path in tmp_path.iterdir()] == [atomic.LOCK]


def test_lock_folder_refuses_another_process_and_outlives_no_killed_one(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from triaffect.errors import StoreError; from triaffect.io.atomic import lock_folder\n"
        "lock = lock_folder(Path(sys.argv[1]), StoreError('', ''))\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match="one in use"):
            lock_folder(tmp_path, IN_USE)
        process.kill()
    lock_folder(tmp_path, IN_USE).close()


def test_lock_folder_refuses_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(DiskError, match="Function not implemented"):
        lock_folder(tmp_path, IN_USE)
