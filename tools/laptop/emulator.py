"""The local emulator of AWS (ministack, in ``.venv-emulator``): started, watched and stopped.

It is bound to 127.0.0.1, checks signatures and IAM policies, and saves its state every few seconds and when it is
stopped with SIGTERM. What of ours runs in its process is in ``tools/laptop/emulator_wrapper``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple, Self

from chalicelib.http import loopback
from tools import processes
from tools.laptop import emulator_state
from tools.laptop.emulator_state import Folders

ACCOUNT = "000000000000"
REGION = "us-east-1"

_HOST = "127.0.0.1"
_ROOT_KEY = "root-key"
_PROGRAM = Path(__file__).with_name("emulator_wrapper") / "__main__.py"
_READY_WITHIN = 30.0  # seconds; it takes 0.2 to 1.5
_SAVED_WITHIN = 60.0  # seconds
SAVE_EVERY = 3.0  # seconds: with the time that a save takes, even on a busy machine, less than ten


class EmulatorError(Exception):
    """The emulator cannot run; the message is the whole sentence to show."""


class Credentials(NamedTuple):
    """What a caller signs with who is an account's root in the emulator."""

    access_key: str
    secret_key: str


def root(home: Path, account: str = ACCOUNT) -> Credentials:
    """Return the root credentials of ``account`` in the emulator whose state is in ``home``.

    Their secret is made once per installation, and is readable by its owner alone.
    """
    make_private(home)
    path = home / _ROOT_KEY
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=home, encoding="ascii") as file:  # which its owner alone may read
            file.write(secrets.token_hex(20))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # whole or not at all, and the first one stays
    return Credentials(f"ROOT{account}", path.read_text(encoding="ascii"))


class Emulator:
    """A running emulator. Make one with ``start``."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path, port: int, lock: int) -> None:
        self.home = home
        self.port = port
        self.found: str | None = None
        """What its start found and repaired, as a sentence for a person."""
        self._process = process
        self._lock = lock

    @classmethod
    def start(cls, python: Path, home: Path, port: int) -> Self:
        """Start the emulator that ``python``'s environment has, on ``port``, and wait until it answers.

        ``home`` is the folder of its state, which one emulator at a time may use. Raises EmulatorError.
        """
        if not python.exists():
            raise EmulatorError(f"The emulator is not installed ({python} is missing): start with `make run`.")
        home = home.resolve()
        root(home)
        lock = _lock(home)
        try:
            check_port(port, "EMULATOR_PORT")
        except EmulatorError:
            os.close(lock)
            raise
        _empty(home / "tmp")
        found = emulator_state.recover(Folders(home))
        with (home / "emulator.log").open("wb") as log:
            process = processes.start(
                [python, _PROGRAM],
                env=_environment(home, port),
                cwd=home,
                output=log,
                keep_open=[lock],
            )
        os.truncate(lock, 0)
        os.pwrite(lock, str(process.pid).encode(), 0)
        emulator = cls(process, home, port, lock)
        emulator.found = found
        try:
            emulator._await_health()
        except BaseException:
            emulator.stop()
            raise
        return emulator

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{_HOST}:{self.port}"

    def root(self, account: str = ACCOUNT) -> Credentials:
        """What to sign with as the root of ``account``."""
        return root(self.home, account)

    @property
    def pid(self) -> int:
        """Its process, which leads the group of everything it started."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether its process still runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The last line it wrote, for a sentence about its death."""
        lines = (self.home / "emulator.log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def stop(self) -> None:
        """Let it save its state and end, with everything it started. May be called twice."""
        processes.stop(self._process, _SAVED_WITHIN)
        _empty(self.home / "tmp")  # it never removes its workers' folders
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def _await_health(self) -> None:
        end = time.monotonic() + _READY_WITHIN
        while time.monotonic() < end:
            if not self.is_alive():
                raise EmulatorError(f"The emulator ended while it started: {self.last_words()}")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5),
            ):
                return
            time.sleep(0.05)
        raise EmulatorError(f"The emulator did not answer within {_READY_WITHIN:.0f} s: {self.last_words()}")


def check_port(port: int, name: str) -> None:
    """Raises EmulatorError where something else uses ``port``; the setting ``name`` chooses another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "there is no such port"
            raise EmulatorError(
                f"Port {port} cannot be used ({reason}): free it, or choose another with {name}=."
            ) from error


def make_private(folder: Path) -> None:
    """Make ``folder``, which other users of the machine cannot look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _environment(home: Path, port: int) -> dict[str, str]:
    """All that it sees: its workers, which stand for Lambda, inherit every variable."""
    return {
        "AUTH": "true",
        "BIND_HOST": _HOST,
        "GATEWAY_PORT": str(port),
        "HOME": str(home / "tmp"),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": REGION,
        "PATH": os.defpath,
        "PERSIST_STATE": "1",
        "PORTS_DIR": str(home.parent / loopback.PORTS),
        "S3_DATA_DIR": str(home / "s3"),
        "S3_PERSIST": "1",
        "SAVE_EVERY": str(SAVE_EVERY),
        "SECRET_FILE": str(home / _ROOT_KEY),
        "STATE_DIR": str(home / "state"),
        "TMPDIR": str(home / "tmp"),
        "TZ": "UTC",
    }


def _lock(home: Path) -> int:
    """A file descriptor that holds ``home``. The emulator inherits it: the lock lasts until both are gone."""
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(lock, 20, 0).decode() or "unknown"
        os.close(lock)
        raise EmulatorError(
            f"Another emulator (process {owner}) uses {home}: stop its `make run`, or that process."
        ) from error
    return lock


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
