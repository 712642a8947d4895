"""Function packages, unpacked once and shared by the workers."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

_PARTS = "parts"
_APP = {"app.py", "chalicelib"}
"""The files and folders at the top of a package that are not from a dependency."""


class PackageCache:
    """Unpacked packages in ``folder``. Unused ones are deleted when another one is unpacked.

    The workers also share the bytecode that Python writes beside the modules, so only the first one compiles. A package
    is a folder of links into its two parts, the app and the dependencies. Packages with a part of the same content
    share it: after a change of the app, none of the dependencies is unpacked and compiled again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: Counter[Path] = Counter()
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

    def _unpack(self, archive: bytes, target: Path) -> None:
        unfinished = target.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with zipfile.ZipFile(io.BytesIO(archive)) as whole:
            for entries in _parts(whole.infolist()):
                part = self._folder / _PARTS / _digest(entries)
                if not part.exists():
                    _extract(whole, entries, part)
                for name in {_top(entry) for entry in entries}:
                    (unfinished / name).symlink_to(part / name)
        unfinished.rename(target)
        self._users[target] = 0

    def _delete_unused(self) -> None:
        newest = next(reversed(self._users))
        for package in [package for package, users in self._users.items() if users <= 0 and package != newest]:
            del self._users[package]
            shutil.rmtree(package, ignore_errors=True)
        used = {link.readlink().parent for package in self._users for link in package.iterdir() if link.is_symlink()}
        for part in (self._folder / _PARTS).iterdir():
            if part not in used:
                shutil.rmtree(part, ignore_errors=True)


def _parts(entries: Iterable[zipfile.ZipInfo]) -> Iterator[list[zipfile.ZipInfo]]:
    """Yield the entries of the app, and those of the dependencies.

    The dependencies stay together, because a compiled module finds its libraries by a path relative to its real folder,
    such as ``$ORIGIN/../pillow.libs`` (ld.so(8)).
    """
    by_part = defaultdict(list)
    for entry in entries:
        by_part[_top(entry) in _APP].append(entry)
    yield from by_part.values()


def _top(entry: zipfile.ZipInfo) -> str:
    return entry.filename.partition("/")[0]


def _digest(entries: Iterable[zipfile.ZipInfo]) -> str:
    """Return a digest of the names and the content of entries. A zip has a checksum of each one's content."""
    described = sorted((entry.filename, entry.CRC, entry.file_size) for entry in entries)
    return hashlib.sha256(repr(described).encode()).hexdigest()[:16]


def _extract(whole: zipfile.ZipFile, entries: Iterable[zipfile.ZipInfo], target: Path) -> None:
    unfinished = target.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    whole.extractall(unfinished, [entry.filename for entry in entries])
    unfinished.rename(target)
