"""Function packages, unpacked once and shared by the workers."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from collections import Counter
from pathlib import Path


class PackageCache:
    """Unpacked packages in ``folder``. Unused ones are deleted when another one is unpacked.

    The workers also share the bytecode that Python writes beside the modules, so only the first one compiles.
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
                self._delete_unused()
                _unpack(archive, package)
            self._users[package] += 1
        return package

    def release(self, package: Path) -> None:
        """Release ``package`` after a ``take``."""
        with self._lock:
            self._users[package] -= 1

    def _delete_unused(self) -> None:
        for package in [package for package, users in self._users.items() if users <= 0]:
            del self._users[package]
            shutil.rmtree(package, ignore_errors=True)


def _unpack(archive: bytes, target: Path) -> None:
    unfinished = target.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        content.extractall(unfinished)
    unfinished.rename(target)
