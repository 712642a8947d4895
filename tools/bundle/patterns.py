"""Regular expressions compiled beforehand: to compile them takes a tenth of a cold start.

Python keeps what ``re.compile`` made in ``re._cache``, by pattern and flags. What the app's modules and all that they
import put there is found out by importing them; a module in the bundle puts it there again, before any other is
imported. A pattern that it does not know, or all of them where Python's engine is another, are compiled as ever.
"""

from __future__ import annotations

import _sre  # type: ignore[import-not-found]
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools import processes
from tools.bundle import archive

MODULE = "compiled_patterns"

FIRST = "chalice/__init__.py"
"""Of what is in the bundle, the first that app.py imports. Where Chalice puts its own back, this is left out."""

# Run in a process of its own, where nothing is in the cache. Its answer is a module's last line.
_RECORD = """
import _sre, importlib, re, sys

made = {}

class Engine:
    def __getattr__(self, name):
        return getattr(_sre, name)

    def compile(self, pattern, flags, code, groups, names, indices):
        compiled = _sre.compile(pattern, flags, code, groups, names, indices)
        # bytes for the sake of size: the engine's code is a list of unsigned numbers of four bytes
        packed = b"".join(int(part).to_bytes(4, "little") for part in code)
        made[id(compiled)] = compiled, (int(flags), packed, groups, dict(names), indices)
        return compiled

re.purge()
re._compiler._sre = Engine()
for name in sys.argv[2:]:
    importlib.import_module(name)
found = [(pattern, int(flags), *made[id(it)][1]) for (_, pattern, flags), it in re._cache.items() if id(it) in made]
with open(sys.argv[1], "w", encoding="utf-8") as file:
    for line in sorted(map(repr, found)):
        print(f"        {line},", file=file)
"""

_SEED = '''"""The regular expressions that this bundle's modules compile when they are imported, compiled.

Made by tools/bundle/patterns.py, which says why.
"""

import _sre
import re

if (_sre.MAGIC, _sre.CODESIZE) == {engine}:
    for _pattern, _flags, _all_flags, _code, _groups, _names, _indices in [
{compiled}    ]:
        re._cache[type(_pattern), _pattern, _flags] = _sre.compile(
            _pattern, _all_flags, list(memoryview(_code).cast("I")), _groups, _names, _indices
        )
'''


class RecordError(Exception):
    """The app cannot be imported; the message is Python's."""


def seeded(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The module that puts the patterns in place, and the one that imports it, by path, for a bundle of ``entries``.

    The app is of ``entries``, and what it imports is what is installed here: the same versions, for this processor.
    Raises RecordError.
    """
    own = {path: content for path, content in entries.items() if path == "app.py" or path.startswith("chalicelib/")}
    return {
        f"{MODULE}.py": _SEED.format(engine=(_sre.MAGIC, _sre.CODESIZE), compiled=_recorded(own)).encode(),
        FIRST: f"import {MODULE}\n".encode() + entries[FIRST],
    }


def _recorded(own: Mapping[str, bytes]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        archive.unpack(own, Path(folder))
        recorded = Path(folder, "recorded")
        status, said = processes.run(
            [sys.executable, "-B", "-c", _RECORD, recorded, *_of_functions(own)],
            env={"STAGE": "local", "AUTH_MODE": "local", "PYTHONHASHSEED": "0"},
            cwd=Path(folder),
        )
        if status != 0:
            raise RecordError(said)
        return recorded.read_text(encoding="utf-8")


def _of_functions(own: Mapping[str, bytes]) -> list[str]:
    """The app's modules that a function can import, the app before all others."""
    modules = (path.removesuffix(".py").replace("/", ".") for path in own if path.endswith(".py"))
    return ["app", *sorted(set(modules) - {"app", "chalicelib.http.chalice_local", "chalicelib.__init__"})]
