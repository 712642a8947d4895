"""The edits that the bundle makes to the code of other projects, each checked against the exact text that it replaces.

Some imports of botocore, urllib3 and Powertools are moved into the functions that use them, because no Lambda function
calls those. The code does the same as before.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

from tools.bundle.errors import ChangedCodeError


class LateImport(NamedTuple):
    """An import statement of a module, the line that it moves to, and how often the module uses what it imports."""

    path: str
    statement: str
    use: str
    uses: int = 1


LATE_IMPORTS = (
    # HTTP/2 needs the h2 package, which is not installed. importlib.metadata loads email, csv and zipfile.
    LateImport("urllib3/http2/__init__.py", "from importlib.metadata import version", 'h2_version = version("h2")'),
    # Lambda has no ~/.aws/config.
    LateImport("botocore/configloader.py", "import configparser", "cp = configparser.RawConfigParser()", uses=2),
    # Files are cached for a sign-in with AWS SSO alone. tempfile loads shutil, which loads three compressors.
    LateImport("botocore/utils.py", "import tempfile", "temp_fd, temp_path = tempfile.mkstemp("),
    # Correlation ids are read from events only if the logger's decorator is told to.
    LateImport(
        "aws_lambda_powertools/logging/logger.py",
        "from aws_lambda_powertools.utilities import jmespath_utils",
        "self.set_correlation_id(",
    ),
    # Documentation is generated for help() alone. It loads an HTML parser and 16 modules of botocore.docs.
    LateImport(
        "botocore/docs/__init__.py",
        "from botocore.docs.service import ServiceDocumenter",
        "docs = ServiceDocumenter(",
    ),
    LateImport(
        "botocore/docs/docstring.py",
        "from botocore.docs.bcdoc.restdoc import DocumentStructure",
        "docstring_structure = DocumentStructure('docstring', target='html')",
    ),
    LateImport(
        "botocore/docs/docstring.py",
        "from botocore.docs.method import document_model_driven_method",
        "document_model_driven_method(*args, **kwargs)",
    ),
    LateImport(
        "botocore/docs/docstring.py",
        "from botocore.docs.paginator import document_paginate_method",
        "document_paginate_method(*args, **kwargs)",
    ),
    LateImport(
        "botocore/docs/docstring.py",
        "from botocore.docs.waiter import document_wait_method",
        "document_wait_method(*args, **kwargs)",
    ),
)


def with_late_imports(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return ``entries`` (files by path) with LATE_IMPORTS moved. Raise ChangedCodeError if one does not fit."""
    edited = dict(entries)
    for path, statement, use, uses in LATE_IMPORTS:
        replace_once(edited, path, f"\n{statement}\n", "\n")
        text = edited[path].decode()
        if _count_uses(text, statement.rpartition(" ")[2]) != uses:
            raise ChangedCodeError(_sentence(path, use))
        indent = next((line[: -len(line.lstrip())] for line in text.splitlines() if line.strip() == use), "")
        replace_once(edited, path, f"\n{indent}{use}\n", f"\n{indent}{statement}\n\n{indent}{use}\n")
    return edited


def replace_once(entries: dict[str, bytes], path: str, before: str, after: str) -> None:
    """Replace ``before`` in the file ``path``. Raise ChangedCodeError unless it occurs exactly once."""
    text = entries.get(path, b"").decode()
    if text.count(before) != 1:
        raise ChangedCodeError(_sentence(path, before.strip()))
    entries[path] = text.replace(before, after).encode()


def _count_uses(source: str, name: str) -> int:
    return sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(ast.parse(source)))


def _sentence(path: str, text: str) -> str:
    return (
        f"{path} has changed: it no longer has {text!r} once. Adapt the edit in tools/bundle, or package without the"
        " bundle (STOCK=1)."
    )
