"""The emulator's data on disk: saves, and the changes of S3 objects since the last one, to recover after a crash.

In the emulator's folder, ``saves/N`` is a save, ``saves/current`` has the number of the last complete one, and
``undo/N`` lists the changes in ``s3``, the folder of the objects, since save N began. A start after a crash undoes
these: then tables, queues and buckets are as they were at the same moment. ``saves/open`` exists while an emulator
runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_EVENTS = "events"
"""The file of a save with the names of the events that were waiting."""


class Folders(NamedTuple):
    """The paths in the emulator's folder."""

    home: Path

    @property
    def state(self) -> Path:
        """Return the folder from which ministack reads its state when it starts."""
        return self.home / "state"

    @property
    def objects(self) -> Path:
        """Return the folder of the S3 objects."""
        return self.home / "s3"

    @property
    def events(self) -> Path:
        """Return the folder of the events that wait for a function."""
        return self.state / "events"

    @property
    def saves(self) -> Path:
        """Return the folder of the saves."""
        return self.home / "saves"

    @property
    def open_marker(self) -> Path:
        """Return the file that exists while an emulator runs."""
        return self.saves / "open"

    def save_folder(self, number: int) -> Path:
        """Return the folder of a save."""
        return self.saves / str(number)

    def undo_folder(self, number: int) -> Path:
        """Return the folder with the changes since a save began."""
        return self.home / "undo" / str(number)


class Journal:
    """Records files before they change, so that the change can be undone. Thread-safe."""

    def __init__(self, folders: Folders, number: int) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._open(number)

    def start(self, number: int) -> set[Path]:
        """Record the changes since save ``number`` from now on. Return the paths that were recorded before."""
        with self._lock:
            recorded = self._recorded
            os.close(self._file)
            self._open(number)
            return recorded

    def before_change(self, path: Path) -> None:
        """Record the file at ``path``, or that there is none, before it is written or deleted."""
        with self._lock:
            if path in self._recorded:
                return
            kept = f"kept-{len(self._recorded)}"
            try:
                _link(path, self._folder / kept)
            except FileNotFoundError:
                kept = ""
            line = json.dumps({"path": str(path.relative_to(self._folders.objects)), "kept": kept}) + "\n"
            os.write(self._file, line.encode())  # written before the change
            self._recorded.add(path)

    def _open(self, number: int) -> None:
        self._recorded: set[Path] = set()
        self._folder = self._folders.undo_folder(number)
        self._folder.mkdir(parents=True)
        self._file = os.open(self._folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def current(folders: Folders) -> int:
    """Return the number of the last complete save, 0 if there is none."""
    try:
        return int((folders.saves / "current").read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def begin(folders: Folders, number: int) -> Path:
    """Return a new folder for save ``number`` with links to the files of the last one, to be replaced one by one."""
    folder = folders.save_folder(number)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in _files(folders.save_folder(current(folders))):
        _link(file, folder / file.name)
    return folder


def write(path: Path, content: bytes) -> None:
    """Write a file atomically, and flush it to the disk."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def unsaved_events(folders: Folders) -> list[str]:
    """Return the names of the events that are waiting, or were processed since the last save."""
    return [file.name for file in folders.events.glob("*.json")]


def write_event_names(folder: Path, names: list[str]) -> None:
    """Write into a save which events were waiting when it began."""
    write(folder / _EVENTS, json.dumps(names).encode())


def commit(folders: Folders, number: int) -> None:
    """Make save ``number`` the last complete one, and delete older ones with their undo folders."""
    _sync(folders.save_folder(number))
    write(folders.saves / "current", str(number).encode())
    _sync(folders.saves)
    _remove_older(folders, number)


def recover(folders: Folders) -> str | None:
    """Restore the last save before a start. After a crash, return a sentence that says what is lost.

    It may be interrupted and repeated.
    """
    message = None if folders.saves.exists() else _import_state(folders)
    crashed = folders.open_marker.exists()
    number = current(folders)
    _remove_older(folders, number)  # those that an interrupted commit left
    undone = sum(_undo(folders, undo) for undo in reversed(_numbered(folders.undo_folder(0).parent)))
    _restore(folders, number)
    if crashed:
        _delete_events_after(folders, number)
        message = _crash_message(folders, number, undone)
    folders.open_marker.touch()
    return message


def mark_clean_stop(folders: Folders) -> None:
    """Record that the last save is up to date, so that the next start is not a recovery."""
    folders.open_marker.unlink(missing_ok=True)


def _remove_older(folders: Folders, number: int) -> None:
    """Delete the saves before ``number``, and their undo folders."""
    for folder in [*_numbered(folders.undo_folder(0).parent), *_numbered(folders.saves)]:
        if int(folder.name) < number:
            shutil.rmtree(folder)


def _import_state(folders: Folders) -> str | None:
    """Make the first save of the state of an emulator without saves. Return a sentence if that state is lost."""
    states = _files(folders.state, "*.json")
    message = None
    if not states and folders.objects.exists() and any(folders.objects.rglob("*")):
        aside = folders.home / f"s3-unsaved-{int(time.time())}"
        folders.objects.rename(aside)
        message = f"The emulator ended before its first save: it starts empty. Its objects are kept in {aside}."
    first = begin(folders, 1)
    for file in states:
        shutil.copyfile(file, first / file.name)
    write_event_names(first, unsaved_events(folders))
    commit(folders, 1)
    return message


def _undo(folders: Folders, undo: Path) -> int:
    """Undo the changes that ``undo`` lists. Return their number."""
    entries = list(_entries(undo / "journal"))
    for entry in entries:
        path = folders.objects / entry["path"]
        if not entry["kept"]:
            path.unlink(missing_ok=True)
        elif (undo / entry["kept"]).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            (undo / entry["kept"]).replace(path)
    shutil.rmtree(undo)
    return len(entries)


def _entries(journal: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError):
        for line in journal.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the last line may be incomplete: then its change was not made
                yield json.loads(line)


def _restore(folders: Folders, number: int) -> None:
    """Copy the save to where ministack reads it, and delete the other saves, which are incomplete."""
    folders.state.mkdir(exist_ok=True)
    for file in _files(folders.state, "*.json"):
        file.unlink()
    for file in _files(folders.save_folder(number), "*.json"):
        shutil.copyfile(file, folders.state / file.name)
    for folder in _numbered(folders.saves):
        if folder.name != str(number):
            shutil.rmtree(folder)


def _delete_events_after(folders: Folders, number: int) -> None:
    """Delete the events after the save: the changes that they report were undone."""
    listed = folders.save_folder(number) / _EVENTS
    known = set(json.loads(listed.read_bytes())) if listed.exists() else set()
    for file in _files(folders.events):
        if file.name not in known:
            file.unlink()


def _crash_message(folders: Folders, number: int, undone: int) -> str:
    if not _files(folders.save_folder(number), "*.json"):
        return "The emulator ended before its first save: it starts empty."
    saved_at = time.localtime((folders.saves / "current").stat().st_mtime)
    saved = time.strftime("%H:%M:%S on %Y-%m-%d", saved_at)
    objects = f", including {undone} changes of objects," if undone else ""
    return f"The emulator ended without saving: its data is as of {saved}. Later changes{objects} are lost."


def _numbered(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_file()]


def _link(file: Path, name: Path) -> None:
    """Link ``file`` to ``name``, which keeps its content when ``file`` is replaced."""
    try:
        os.link(file, name)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(file, name)


def _sync(folder: Path) -> None:
    """Flush the folder to the disk, with the names in it (fsync(2), "Description")."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
