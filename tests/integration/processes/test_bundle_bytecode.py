"""The bytecode of the bundle."""

from __future__ import annotations

import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import bundle_files
from tools.bundle import archive
from tools.bundle.errors import CompileError


def test_bytecode_is_unchecked_and_where_python_looks() -> None:
    [(path, content)] = archive.bytecode({"one/two.py": b"answer = 42"}).items()

    assert path == importlib.util.cache_from_source("one/two.py")
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(content[4:8], "little") == 0b01  # PEP 552: by hash, unchecked


def test_bytecode_names_source_and_line() -> None:
    [content] = archive.bytecode({"one/two.py": b"\n\nraise ValueError"}).values()

    code = marshal.loads(content[16:])
    assert code.co_filename == "/var/task/one/two.py"
    assert 3 in {line for _, _, line in code.co_lines()}


def test_bytecode_is_reproducible() -> None:
    sources = {path: text.encode() for path, text in bundle_files.own_sources().items()}

    assert archive.bytecode(sources) == archive.bytecode(dict(reversed(sources.items())))


def test_bytecode_of_replaced_app_is_ignored(tmp_path: Path) -> None:
    # Chalice's inject_latest_app replaces app.py in a package that it keeps.
    made = archive.bytecode({"app.py": b"print('old')", "other.py": b"print('old')"}, checked=["app.py"])
    for path, content in made.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for name in ("app.py", "other.py"):
        (tmp_path / name).write_text("print('new')")

    done = subprocess.run(
        [sys.executable, "-B", "-c", "import app, other"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["new", "old"]


def test_syntax_error_names_the_module() -> None:
    with pytest.raises(CompileError, match=r"one\.py"):
        archive.bytecode({"one.py": b"def"})
