"""Limit processes to the share of a core that a function with some memory size has, with a control group."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FULL = 1769
"""Memory in MB at which a function has one vCPU (AWS, "Configure Lambda function memory")."""

_PERIOD = 20_000
"""Microseconds between two refills of the quota: much shorter than a cold start."""


class Quota(NamedTuple):
    """The share of a core of a function with ``memory`` MB, or a whole core if there is no control group."""

    memory: int
    procs: Path | None = None
    """The control group's list of processes."""

    def applied_to(self, command: list[str]) -> list[str]:
        """Return a command that runs ``command`` in the control group."""
        if self.procs is None:
            return command
        return ["/bin/sh", "-c", f'echo $$ > {self.procs} && exec "$@"', "sh", *command]


def share(memory: int) -> float:
    """Return the share of one core that a function of ``memory`` MB has. One thread cannot use more than one core."""
    return min(1.0, memory / FULL)


@contextlib.contextmanager
def limited(memory: int) -> Iterator[Quota | None]:
    """Create the quota of a function of ``memory`` MB. Yield None if the system does not allow it (root on Linux)."""
    group = None
    try:
        group = _create_group(int(_PERIOD * share(memory)))
        yield None if group is None else Quota(memory, group / "cgroup.procs")
    finally:
        if group is not None:
            group.rmdir()


def _create_group(limit: int) -> Path | None:
    """Create a control group (cgroups(7), version 1 or 2) with ``limit`` microseconds in each period."""
    root, name = Path("/sys/fs/cgroup"), f"vitrine-bench-{os.getpid()}"
    version_1 = (root / "cpu" / "cpu.cfs_quota_us").exists()
    group = root / "cpu" / name if version_1 else root / name
    settings = (
        {"cpu.cfs_period_us": f"{_PERIOD}", "cpu.cfs_quota_us": f"{limit}"}
        if version_1
        else {"cpu.max": f"{limit} {_PERIOD}"}
    )
    created = False
    try:
        group.mkdir()
        created = True
        for setting, value in settings.items():
            (group / setting).write_text(value, encoding="ascii")
    except OSError:
        if created:
            group.rmdir()
        return None
    return group
