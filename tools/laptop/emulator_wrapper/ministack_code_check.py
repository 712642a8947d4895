"""Check that the functions of ministack that this package replaces or uses have not changed."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

_HERE = "tools/laptop/emulator_wrapper"


class ChangedCodeError(Exception):
    """A function has changed. The message says which, and what to do."""


def check_known_functions(known: Mapping[str, str]) -> None:
    """Raise ChangedCodeError unless the source of each function, named ``module:name``, has the given digest."""
    changed = {name: found for name, digest in known.items() if (found := _digest(name)) != digest}
    if changed:
        listed = ", ".join(f"{name} (now {found or 'missing'})" for name, found in changed.items())
        raise ChangedCodeError(
            f"This version of ministack has changed functions: {listed}. Compare them with what "
            f"{_HERE} replaces, adapt that if necessary, then update the digests there."
        )


def _digest(name: str) -> str | None:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16]
