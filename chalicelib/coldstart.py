"""Shorten cold starts: garbage collection is off meanwhile, and regular expressions are precompiled.

``app.py`` imports this module before all others and calls :func:`finish` after all imports. Almost all objects created
during a start stay in use, so the 65 collections of a start find no garbage; they took 7 % of its time.
"""

from __future__ import annotations

import contextlib
import gc

gc.disable()

with contextlib.suppress(ModuleNotFoundError):
    # Only the bundle has this module (tools/bundle/precompiled_regexes.py). It fills the cache of re.compile.
    import precompiled_regexes  # type: ignore[import-not-found]  # noqa: F401


def finish() -> None:
    """Turn garbage collection on, for new objects only.

    ``gc.freeze`` excludes all existing objects from later collections.
    """
    gc.freeze()
    gc.enable()
