"""Function packages, unpacked once and shared by the workers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple


class _Content(NamedTuple):
    """What identifies the content of a file in a zip."""

    checksum: int
    size: int


class PackageCache:
    """Unpacked packages in ``folder``. Unused ones are deleted when another one is unpacked.

    The workers also share the bytecode that Python writes beside the modules, so only the first one compiles. A package
    shares the files, with their bytecode, that it has in common with the one before: a change of one module in a
    package of a hundred megabytes unpacks and compiles only that module.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: Counter[Path] = Counter()
        self._contents: dict[Path, dict[str, _Content]] = {}
        self._lock = threading.Lock()

    def take(self, archive: bytes) -> Path:
        """Return the folder with the content of the zip ``archive``. Each ``take`` needs one ``release``."""
        package = self._folder / hashlib.sha256(archive).hexdigest()[:16]
        with self._lock:  # a second caller waits until it is complete
            if package not in self._users:
                self._unpack(archive, package)
                self._delete_unused()
            self._users[package] += 1
        return package

    def release(self, package: Path) -> None:
        """Release ``package`` after a ``take``."""
        with self._lock:
            self._users[package] -= 1

    def _delete_unused(self) -> None:
        for package in [package for package, users in self._users.items() if users <= 0]:
            del self._users[package], self._contents[package]
            shutil.rmtree(package, ignore_errors=True)

    def _unpack(self, archive: bytes, target: Path) -> None:
        unfinished = target.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with zipfile.ZipFile(io.BytesIO(archive)) as whole:
            content = {entry.filename: _Content(entry.CRC, entry.file_size) for entry in whole.infolist()}
            linked = set()
            if previous := next(reversed(self._contents), None):
                linked = _link_files(previous, unfinished, dict(content.items() & self._contents[previous].items()))
            whole.extractall(unfinished, content.keys() - linked)
        unfinished.rename(target)
        self._contents[target] = content


def _link_files(source: Path, target: Path, names: Container[str]) -> set[str]:
    """Link the files ``names``, and their bytecode, from one package into another. Return those that were linked."""
    linked = set()
    for folder, _, files in os.walk(source):
        below = Path(folder).relative_to(source)
        common = [file for file in files if _source_of(below, file) in names]
        if common:
            (target / below).mkdir(parents=True, exist_ok=True)
        for file in common:
            with contextlib.suppress(OSError):  # a file system without links: then it is unpacked
                os.link(Path(folder, file), target / below / file)
                linked.add(str(below / file))
    return linked


def _source_of(folder: Path, file: str) -> str:
    """Return the name of a file in its package; of bytecode, that of its module (PEP 3147)."""
    if folder.name == "__pycache__":
        return str(folder.parent / f"{file.partition('.')[0]}.py")
    return str(folder / file)
