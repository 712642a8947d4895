"""Read and write reproducible zip files, and compile modules to bytecode.

Lambda's code folder is read-only, so Python compiles a package without bytecode again at every cold start.
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
from tools.bundle.errors import CompileError

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the zip format requires a time, and this is the earliest

_TASK_ROOT = "/var/task"  # LAMBDA_TASK_ROOT (AWS, "Defined runtime environment variables")

# Runs in a process of its own: the bytes of compiled code depend on the strings that the process has interned before.
_COMPILE = f"""
import py_compile, sys
from pathlib import Path
modes = {{name: py_compile.PycInvalidationMode[name] for name in ("CHECKED_HASH", "UNCHECKED_HASH")}}
for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    mode, path = line.split(" ", 1)
    py_compile.compile(path, dfile=f"{_TASK_ROOT}/{{path}}", doraise=True, invalidation_mode=modes[mode])
"""


def read(path: Path) -> dict[str, bytes]:
    """Return the files of a zip by path."""
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


def comment(path: Path) -> bytes:
    """Return the comment of a zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment


def write(path: Path, entries: Mapping[str, bytes], comment: bytes = b"") -> None:
    """Write ``entries`` to the zip ``path``, atomically: readers see the old file or the new one."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.comment = comment
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, on every system
            archive.writestr(entry, entries[name])
    unfinished.replace(path)


def unpack(entries: Mapping[str, bytes], folder: Path) -> None:
    """Write ``entries`` (files by path) into ``folder``."""
    for path, content in entries.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def bytecode(sources: Mapping[str, bytes], checked: Iterable[str] = ()) -> dict[str, bytes]:
    """Return the bytecode of ``sources`` (modules by path) by the path where Python looks for it.

    The bytecode fits the Python version that runs this, on every processor. It is not validated against its source,
    except for the paths in ``checked``, which are validated by a hash (PEP 552). Raise CompileError.
    """
    checked = set(checked)
    with tempfile.TemporaryDirectory() as folder:
        unpack(sources, Path(folder))
        lines = [f"{'CHECKED_HASH' if path in checked else 'UNCHECKED_HASH'} {path}" for path in sorted(sources)]
        listing = Path(folder, "listing")
        listing.write_text("\n".join(lines), encoding="utf-8")
        status, output = processes.run(
            [sys.executable, "-S", "-s", "-c", _COMPILE, listing], env={"PYTHONHASHSEED": "0"}, cwd=Path(folder)
        )
        if status != 0:
            raise CompileError(output)
        return {name: Path(folder, name).read_bytes() for name in map(importlib.util.cache_from_source, sources)}
