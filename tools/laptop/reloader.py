"""Bring saved source files into effect under ``make run``: in the HTTP server, and in the functions in the emulator.

As little as possible is done again, but the result is always what would be deployed: after each change of the code,
Chalice packages the app in the background, and if that makes another template, the stack is updated too.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from chalicelib.config import LOCAL
from tools import processes
from tools.interruption import Interruption
from tools.laptop import code_stack, function_package
from tools.laptop.function_logs import LogFollower
from tools.laptop.function_package import Code, Package
from tools.laptop.server_supervisor import Server
from tools.laptop.terminal_output import Terminal
from tools.stage import app_sources
from tools.stage.app_sources import Stamp
from tools.stage.aws_clients import ClientFactory
from tools.stage.errors import StageError
from tools.stage.stack import Report

_OPENAPI = Path("chalicelib/openapi.json")
_WEB = Path("chalicelib/web")
_QUIET_PERIOD = 0.15  # seconds without another change, because an editor may save several files
_MAX_NAMED = 3  # files in the line about a change

_OLD_PACKAGES = "HTTP still uses the old packages: stop, and run `make run` again to use the new ones."


class Effects(NamedTuple):
    """What has to be done again after a change."""

    http: bool = False
    """The HTTP server, and before it the OpenAPI document."""
    code: bool = False
    """The code of the functions."""
    stack: bool = False
    """The package with its template, which is needed at once."""

    def __or__(self, other: Effects) -> Effects:
        return Effects(self.http or other.http, self.code or other.code, self.stack or other.stack)

    def __str__(self) -> str:
        """Return what is done, for the line about a change."""
        done = ["HTTP server restarted"] * self.http
        done += ["functions and their configuration updated" if self.stack else "functions updated"]
        return ", ".join(done)


def effects(path: Path) -> Effects:
    """Return what a change of the source file ``path`` affects.

    The HTTP server reads the files of the web pages for each request.
    """
    if path.is_relative_to(_WEB):
        return Effects(code=True)
    if path.parts[0] == ".chalice":
        return Effects(http=path.name == "config.json", stack=True)
    if path.parts[0] == "infra" or path.name.startswith("requirements"):
        return Effects(stack=True)
    return Effects(http=True, code=True)


class Packager(NamedTuple):
    """Packages the app in the folders of ``make run``."""

    project_dir: Path
    build_dir: Path
    cache_dir: Path
    report: Report

    def package(self) -> Package:
        """Package the app with Chalice. Raise StageError if it does not load."""
        return function_package.package(*self)

    def package_code(self) -> Code:
        """Package the code only."""
        return function_package.package_code(*self)


class Reloader:
    """Notices saved files, and brings them into effect."""

    def __init__(
        self,
        packager: Packager,
        stamps: dict[Path, Stamp],
        client: ClientFactory,
        server: Server,
        logs: LogFollower,
        terminal: Terminal,
        interruption: Interruption,
    ) -> None:
        """Start from the source files with ``stamps``, which are in effect."""
        self._packager = packager
        self._project_dir = packager.project_dir
        self._stamps = stamps
        self._client = client
        self._server = server
        self._logs = logs
        self._terminal = terminal
        self._interruption = interruption
        self._pending: set[Path] = set()
        self._pool = ThreadPoolExecutor(1)
        self._check: Future[Package] | None = None

    def apply_changes(self) -> None:
        """Bring saved source files into effect. If they do not load, say why, and keep the previous code running."""
        changed = self._changed_files()
        if not changed:
            self._finish_check()
            return
        began = time.monotonic()
        self._check = None  # it checks older sources
        self._pending |= set(changed)
        wanted = functools.reduce(Effects.__or__, map(effects, self._pending))
        try:
            package = self._prepare(wanted)
        except StageError as error:
            self._server.discard()
            self._terminal.write(f"Saved {_names(changed)}: {_sentence(error)} The previous code keeps running.")
            return
        try:
            self._replace(wanted, package)
        except StageError as error:
            self._terminal.write(f"Saved {_names(changed)}: {_sentence(error)} Not all functions have the new code.")
            return
        self._terminal.write(f"Saved {_names(changed)}: in effect after {time.monotonic() - began:.1f} s ({wanted}).")
        if Path("requirements.txt") in self._pending:
            self._terminal.write(_OLD_PACKAGES)
        self._pending.clear()

    def stop(self) -> None:
        """Stop. May be called twice."""
        self._pool.shutdown(cancel_futures=True)

    def _prepare(self, wanted: Effects) -> Package | None:
        """Load and package what is ``wanted``, and replace nothing. Raise StageError if the app does not load."""
        if problem := app_sources.syntax_error(self._project_dir, sorted(self._pending)):
            raise StageError(problem)
        if wanted.http:
            with self._interruption.deferred():
                self._server.load()
            if update_openapi(self._project_dir, self._terminal.write):
                self._stamps |= {_OPENAPI: app_sources.stamp(self._project_dir / _OPENAPI)}
        package = self._pool.submit(self._packager.package).result() if wanted.stack else None
        if wanted.http:
            self._server.wait_until_loaded()
        return package

    def _replace(self, wanted: Effects, package: Package | None) -> None:
        """Replace the HTTP server and the functions. Raise StageError if the emulator refuses the functions."""
        if wanted.http:
            with self._interruption.deferred():
                self._server.replace()
        with self._interruption.deferred():
            if package:
                self._deploy(package)
            else:
                code = self._packager.package_code()
                if not code_stack.update_code(code, self._client, same_template=not wanted.http):
                    self._check = self._pool.submit(self._packager.package)
        if wanted.http:
            self._server.wait_until_ready()

    def _finish_check(self) -> None:
        """Deploy the package of the last change when Chalice has made it: if its template changed, update the stack."""
        if self._check is None or not self._check.done():
            return
        check, self._check = self._check, None
        began = time.monotonic()
        try:
            if self._deploy(check.result()).stack_changed:
                took = time.monotonic() - began
                self._terminal.write(
                    f"The configuration of the API or the functions changed too: updated in {took:.1f} s."
                )
        except StageError as error:
            self._terminal.write(str(error))

    def _deploy(self, package: Package) -> code_stack.Deployment:
        deployment = code_stack.deploy(package, self._client)
        self._logs.follow(deployment.functions)
        return deployment

    def _changed_files(self) -> list[Path]:
        """Return the source files saved since the last call, after the last one of a series."""
        before, after = self._stamps, app_sources.stamps(self._project_dir)
        while self._stamps != after:
            self._stamps = after
            time.sleep(_QUIET_PERIOD)
            after = app_sources.stamps(self._project_dir)
        return app_sources.changes(before, after)


def update_openapi(project_dir: Path, report: Report) -> bool:
    """Write the OpenAPI document if the sources make another one. Return whether they do.

    Raise StageError if they do not load.
    """
    env = processes.without_aws(os.environ) | {"STAGE": LOCAL, "PYTHONDONTWRITEBYTECODE": "1"}
    status, text = processes.run([sys.executable, "-m", "tools.openapi"], env=env, cwd=project_dir)
    if status != 0:
        problem = processes.error_summary(text.replace(f"{project_dir}/", ""))
        raise StageError(f"The OpenAPI document cannot be generated. {problem}")
    if text:
        report(text.strip())
    return bool(text)


def _names(paths: list[Path]) -> str:
    named = ", ".join(map(str, paths[:_MAX_NAMED]))
    more = len(paths) - _MAX_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _sentence(error: StageError) -> str:
    return f"{str(error).rstrip('.')}."
