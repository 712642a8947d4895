"""The packages of functions, unpacked once each, however many workers run them."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from collections import Counter
from pathlib import Path


class Packages:
    """Unpacked packages in ``folder``, of which those without a user are deleted when another one is unpacked.

    The workers share the bytecode that Python writes beside the modules, too: only the first one compiles.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: Counter[Path] = Counter()
        self._lock = threading.Lock()

    def take(self, archive: bytes) -> Path:
        """Return the folder with the content of the zip ``archive``. Each ``take`` needs one ``release``."""
        package = self._folder / hashlib.sha256(archive).hexdigest()[:16]
        with self._lock:  # who comes second waits until all of it is there
            if package not in self._users:
                self._delete_unused()
                _unpack(archive, package)
            self._users[package] += 1
        return package

    def release(self, package: Path) -> None:
        """Give up ``package``, which somebody has taken."""
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
