"""Check that the code of ministack which ours replaces or relies on is the code that ours was written for."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

_HERE = "tools/laptop/emulator_wrapper"


class ChangedCodeError(Exception):
    """Code that ours was written for has changed; the message says which, and what to do."""


def check(known: Mapping[str, str]) -> None:
    """Raise ChangedCodeError unless each function, named as ``module:name``, has the source with the known digest."""
    changed = {name: found for name, digest in known.items() if (found := _digest(name)) != digest}
    if changed:
        listed = ", ".join(f"{name} (now {found or 'missing'})" for name, found in changed.items())
        raise ChangedCodeError(
            f"This version of ministack has other code than the one that {_HERE} was written for: {listed}. Compare it "
            f"with what {_HERE} replaces, adapt that if necessary, then update the digests there."
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
