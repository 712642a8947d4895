"""Shorten the start of a process: without garbage collection, typing_extensions and compiling regular expressions.

``app.py`` imports this module before all others and calls :func:`finish` after all imports. Almost all objects created
during a start stay in use, so the 65 collections of a start find no garbage; they took 7 % of its time.
"""

from __future__ import annotations

import contextlib
import gc
import sys

gc.disable()

with contextlib.suppress(ModuleNotFoundError):
    # Only the bundle has this module (tools/bundle/precompiled_regexes.py). It fills the cache of re.compile.
    import precompiled_regexes  # type: ignore[import-not-found]  # noqa: F401

# msgspec uses typing_extensions if it can be imported, which takes 5 ms, and otherwise typing, which has the same since
# Python 3.11. None means that it cannot be imported (Python documentation, "The module cache").
if "typing_extensions" not in sys.modules:
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]


def finish() -> None:
    """Turn garbage collection on, for new objects only.

    ``gc.freeze`` excludes all existing objects from later collections.
    """
    gc.freeze()
    gc.enable()
