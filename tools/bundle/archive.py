"""Zip files with the same bytes whenever they hold the same, and bytecode in them.

Lambda's code folder cannot be written to, so that a package without bytecode is compiled again at every cold start.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools import processes

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the zip format knows no earlier time, and needs one

_AT_RUN_TIME = "/var/task"  # AWS, "Configuring Lambda functions": LAMBDA_TASK_ROOT

# Run in a process of its own: what is compiled depends, in its bytes and not in what it does, on the strings that the
# process knows already.
_COMPILE = f"""
import py_compile, sys
from pathlib import Path
modes = {{name: py_compile.PycInvalidationMode[name] for name in ("CHECKED_HASH", "UNCHECKED_HASH")}}
for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    mode, path = line.split(" ", 1)
    py_compile.compile(path, dfile=f"{_AT_RUN_TIME}/{{path}}", doraise=True, invalidation_mode=modes[mode])
"""


class CompileError(Exception):
    """A module that the bundle has to hold is no Python; the message is the compiler's."""


def read(path: Path) -> dict[str, bytes]:
    """The files in a zip, by path."""
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


def comment(path: Path) -> bytes:
    """A zip's comment."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment


def write(path: Path, entries: Mapping[str, bytes], comment: bytes = b"") -> None:
    """Make ``path`` a zip of ``entries``; whoever reads it meanwhile has the old one whole, or the new one."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.comment = comment
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, entries[name])
    unfinished.replace(path)


def unpack(entries: Mapping[str, bytes], folder: Path) -> None:
    """Write ``entries`` into ``folder``, each at its path."""
    for path, content in entries.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def bytecode(sources: Mapping[str, bytes], checked: Iterable[str] = ()) -> dict[str, bytes]:
    """The bytecode of ``sources`` (modules by path), by the path where Python looks for it.

    It is for this very version of Python, and for every processor. Python takes it as it is, without a look at the
    source; for those in ``checked`` it compares a hash of the source first (PEP 552). Raises CompileError.
    """
    checked = set(checked)
    with tempfile.TemporaryDirectory() as folder:
        unpack(sources, Path(folder))
        lines = [f"{'CHECKED_HASH' if path in checked else 'UNCHECKED_HASH'} {path}" for path in sorted(sources)]
        listed = Path(folder, "listed")
        listed.write_text("\n".join(lines), encoding="utf-8")
        status, said = processes.run(
            [sys.executable, "-S", "-s", "-c", _COMPILE, listed], env={"PYTHONHASHSEED": "0"}, cwd=Path(folder)
        )
        if status != 0:
            raise CompileError(said)
        return {name: Path(folder, name).read_bytes() for name in map(importlib.util.cache_from_source, sources)}
