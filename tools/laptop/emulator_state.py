"""The emulator's data on disk: whole saves, what changed in buckets since, and the way back to the last save.

In the emulator's folder, ``saves/N`` is a save, ``saves/current`` names the last complete one, and ``undo/N`` lists
what has changed in ``s3``, where objects lie, since save N began. A start after a crash takes that back: then tables,
queues and buckets are all as they were at one moment. ``saves/open`` exists while an emulator runs.
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
"""The file of a save with the names of the events that waited then."""


class Folders(NamedTuple):
    """Where what is, in the emulator's folder."""

    home: Path

    @property
    def state(self) -> Path:
        """Where ministack reads its state at its start."""
        return self.home / "state"

    @property
    def objects(self) -> Path:
        """Where ministack keeps the objects of buckets."""
        return self.home / "s3"

    @property
    def events(self) -> Path:
        """The events that wait for a function."""
        return self.state / "events"

    @property
    def saves(self) -> Path:
        """The saves."""
        return self.home / "saves"

    @property
    def is_open(self) -> Path:
        """The file that is there while an emulator runs."""
        return self.saves / "open"

    def save(self, number: int) -> Path:
        """A save."""
        return self.saves / str(number)

    def undo(self, number: int) -> Path:
        """What changed since a save began."""
        return self.home / "undo" / str(number)


class Journal:
    """Keeps what is about to change in a folder, so that it can be brought back. For several threads."""

    def __init__(self, folders: Folders, number: int) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._open(number)

    def start(self, number: int) -> set[Path]:
        """List from now on what changes since save ``number``. Return the paths that were listed before."""
        with self._lock:
            listed = self._listed
            os.close(self._file)
            self._open(number)
            return listed

    def before_change(self, path: Path) -> None:
        """Keep the file at ``path``, which is about to be written or deleted, or that there is none."""
        with self._lock:
            if path in self._listed:
                return
            kept = f"kept-{len(self._listed)}"
            try:
                _keep(path, self._folder / kept)
            except FileNotFoundError:
                kept = ""
            line = json.dumps({"path": str(path.relative_to(self._folders.objects)), "kept": kept}) + "\n"
            os.write(self._file, line.encode())  # it is on its way to the disk before the change is
            self._listed.add(path)

    def _open(self, number: int) -> None:
        self._listed: set[Path] = set()
        self._folder = self._folders.undo(number)
        self._folder.mkdir(parents=True)
        self._file = os.open(self._folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def current(folders: Folders) -> int:
    """Return the number of the last complete save, 0 if there is none."""
    try:
        return int((folders.saves / "current").read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def begin(folders: Folders, number: int) -> Path:
    """Return a new folder for save ``number``, with all files of the last one, each of which may be replaced."""
    folder = folders.save(number)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in _files(folders.save(current(folders))):
        _keep(file, folder / file.name)
    return folder


def write(path: Path, content: bytes) -> None:
    """Write a file: whole or not at all, and on the disk when this returns."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def waiting_events(folders: Folders) -> list[str]:
    """Return the names of the events that wait, or were done since the last save."""
    return [file.name for file in folders.events.glob("*.json")]


def note_events(folder: Path, names: list[str]) -> None:
    """Note in a save which events waited when it began."""
    write(folder / _EVENTS, json.dumps(names).encode())


def commit(folders: Folders, number: int) -> None:
    """Make save ``number`` the last complete one, and remove what was for those before it."""
    _sync(folders.save(number))
    write(folders.saves / "current", str(number).encode())
    _sync(folders.saves)
    _remove_older(folders, number)


def recover(folders: Folders) -> str | None:
    """Prepare a start: bring everything back to the last save. Return a sentence on what was found, if not all is well.

    It may be interrupted, and done again.
    """
    found = None if folders.saves.exists() else _adopt(folders)
    crashed = folders.is_open.exists()
    number = current(folders)
    _remove_older(folders, number)  # which a commit may have left
    taken_back = sum(_take_back(folders, undo) for undo in reversed(_numbered(folders.undo(0).parent)))
    _restore(folders, number)
    if crashed:
        _forget_events(folders, number)
        found = _crash(folders, number, taken_back)
    folders.is_open.touch()
    return found


def close(folders: Folders) -> None:
    """Note that the last save has everything."""
    folders.is_open.unlink(missing_ok=True)


def _remove_older(folders: Folders, number: int) -> None:
    """Remove what was for the saves before ``number``."""
    for folder in [*_numbered(folders.undo(0).parent), *_numbered(folders.saves)]:
        if int(folder.name) < number:
            shutil.rmtree(folder)


def _adopt(folders: Folders) -> str | None:
    """Take over what an emulator left that made no saves of this kind: it saved at its end alone."""
    states = _files(folders.state, "*.json")
    found = None
    if not states and folders.objects.exists() and any(folders.objects.rglob("*")):
        aside = folders.home / f"s3-unsaved-{int(time.time())}"
        folders.objects.rename(aside)
        found = f"The emulator ended before its first save: it starts empty. The objects that it had are in {aside}."
    first = begin(folders, 1)
    for file in states:
        shutil.copyfile(file, first / file.name)
    note_events(first, waiting_events(folders))
    commit(folders, 1)
    return found


def _take_back(folders: Folders, undo: Path) -> int:
    """Undo the changes that ``undo`` lists. Return how many files that were."""
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
            with contextlib.suppress(ValueError):  # the last line may be half there: then its change was not made
                yield json.loads(line)


def _restore(folders: Folders, number: int) -> None:
    """Have ministack read the save, and remove the other ones, which are not complete."""
    folders.state.mkdir(exist_ok=True)
    for file in _files(folders.state, "*.json"):
        file.unlink()
    for file in _files(folders.save(number), "*.json"):
        shutil.copyfile(file, folders.state / file.name)
    for folder in _numbered(folders.saves):
        if folder.name != str(number):
            shutil.rmtree(folder)


def _forget_events(folders: Folders, number: int) -> None:
    """Remove events that came after the save: what they tell of has been taken back."""
    listed = folders.save(number) / _EVENTS
    known = set(json.loads(listed.read_bytes())) if listed.exists() else set()
    for file in _files(folders.events):
        if file.name not in known:
            file.unlink()


def _crash(folders: Folders, number: int, taken_back: int) -> str:
    if not _files(folders.save(number), "*.json"):
        return "The emulator ended before its first save: it starts empty."
    saved_at = time.localtime((folders.saves / "current").stat().st_mtime)
    saved = time.strftime("%H:%M:%S on %Y-%m-%d", saved_at)
    objects = f", with {taken_back} changes of objects," if taken_back else ""
    return (
        f"The emulator ended without saving: its data is as it was at {saved}. What came after that{objects} is gone."
    )


def _numbered(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_file()]


def _keep(file: Path, name: Path) -> None:
    """Give a file a second name, under which it stays as it is when another is written in its place."""
    try:
        os.link(file, name)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(file, name)


def _sync(folder: Path) -> None:
    """Have the folder itself on the disk, and so the names in it (fsync(2), "Description")."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
