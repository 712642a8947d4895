"""Start and stop the local emulator of AWS (ministack, in ``.venv-emulator``), and create clients for it.

It listens on 127.0.0.1, checks signatures and IAM policies, and saves its state every few seconds and at SIGTERM. Its
program is ``tools/laptop/emulator_wrapper``.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
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

import boto3
from botocore.config import Config

from chalicelib.http import local_request_guard
from tools import processes
from tools.laptop import emulator_state
from tools.laptop.emulator_state import Folders
from tools.stage.aws_clients import ClientFactory

ACCOUNT = "000000000000"
REGION = "us-east-1"

_HOST = "127.0.0.1"
_ROOT_KEY = "root-key"
_PROGRAM = Path(__file__).with_name("emulator_wrapper") / "__main__.py"
_START_TIMEOUT = 30.0  # seconds; it takes 0.2 to 1.5
_STOP_TIMEOUT = 60.0  # seconds
LOCK_SECONDS = 10
"""How long a start waits for the save of an emulator that was killed."""

SAVE_EVERY = 3.0  # seconds: with the time that a save takes, even on a busy machine, less than ten


class EmulatorError(Exception):
    """The emulator cannot run. The message is the sentence to show to the user."""


class Credentials(NamedTuple):
    """The access key of an account's root in the emulator."""

    access_key: str
    secret_key: str


def root_credentials(home: Path, account: str = ACCOUNT) -> Credentials:
    """Return the root credentials of ``account`` in the emulator whose state is in ``home``.

    The secret key is created once per installation, in a file that only its owner can read.
    """
    make_private(home)
    path = home / _ROOT_KEY
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=home, encoding="ascii") as file:  # with mode 0600
            file.write(secrets.token_hex(20))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # atomic; if two processes do this, the first one's file stays
    return Credentials(f"ROOT{account}", path.read_text(encoding="ascii"))


class Emulator:
    """A running emulator, started with ``start``."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path, port: int, lock: int) -> None:
        self.home = home
        self.port = port
        self.recovery_message: str | None = None
        """What was lost in a crash before this start, as a sentence."""
        self._process = process
        self._lock = lock

    @classmethod
    def start(cls, python: Path, home: Path, port: int) -> Self:
        """Start the emulator with the interpreter ``python`` on ``port``, and wait until it is ready.

        ``home`` is the folder of its state, for one emulator at a time. Raise EmulatorError if it cannot run.
        """
        if not python.exists():
            raise EmulatorError(f"The emulator is not installed ({python} is missing): start with `make run`.")
        home = home.resolve()
        root_credentials(home)
        lock = _lock(home)
        try:
            check_port(port, "EMULATOR_PORT")
        except EmulatorError:
            os.close(lock)
            raise
        _empty(home / "tmp")
        recovery_message = emulator_state.recover(Folders(home))
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
        emulator.recovery_message = recovery_message
        try:
            emulator._wait_until_healthy()
        except BaseException:
            emulator.stop()
            raise
        return emulator

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"http://{_HOST}:{self.port}"

    def root(self, account: str = ACCOUNT) -> Credentials:
        """Return the root credentials of ``account``."""
        return root_credentials(self.home, account)

    @property
    def pid(self) -> int:
        """Return its process id, which is also that of its process group."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether its process is running."""
        return self._process.poll() is None

    def last_output(self) -> str:
        """Return the last line of its log, for an error message."""
        lines = (self.home / "emulator.log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")

    def stop(self) -> None:
        """Stop it and its child processes, after it has saved its state. May be called twice."""
        processes.stop(self._process, _STOP_TIMEOUT)
        _empty(self.home / "tmp")  # ministack does not delete its workers' folders
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def _wait_until_healthy(self) -> None:
        end = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < end:
            if not self.is_alive():
                raise EmulatorError(f"The emulator failed to start: {self.last_output()}")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5),
            ):
                return
            time.sleep(0.05)
        raise EmulatorError(
            f"Timeout: the emulator did not respond within {_START_TIMEOUT:.0f} s: {self.last_output()}"
        )


def client_factory(url: str, credentials: Credentials) -> ClientFactory:
    """Return a function that creates clients of the emulator at ``url``."""
    session = boto3.Session(credentials.access_key, credentials.secret_key, region_name=REGION)
    config = Config(retries={"mode": "standard", "total_max_attempts": 2})
    return functools.partial(session.client, endpoint_url=url, config=config)


def check_port(port: int, name: str) -> None:
    """Raise EmulatorError if ``port`` cannot be used. ``name`` is the setting that chooses another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "not a valid port"
            raise EmulatorError(
                f"Port {port} cannot be used ({reason}): free it, or choose another with {name}=."
            ) from error


def make_private(folder: Path) -> None:
    """Create ``folder``, readable only by its owner."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _environment(home: Path, port: int) -> dict[str, str]:
    """Return the emulator's whole environment: its workers, the Lambda functions, inherit every variable."""
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
        "PYTHONBREAKPOINT": "0",  # a worker has no terminal, and its input is the emulator's
        "PORTS_DIR": str(home.parent / local_request_guard.PORTS),
        "S3_DATA_DIR": str(home / "s3"),
        "S3_PERSIST": "1",
        "SAVE_EVERY": str(SAVE_EVERY),
        "SECRET_FILE": str(home / _ROOT_KEY),
        "STATE_DIR": str(home / "state"),
        "TMPDIR": str(home / "tmp"),
        "TZ": "UTC",
    }


def _lock(home: Path) -> int:
    """Lock ``home`` until this process and the emulator end. Return the descriptor, which the emulator inherits.

    If an emulator was killed while it saved, wait until the save has ended, but at most LOCK_SECONDS.
    """
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode() or "unknown"
            if _is_running(holder) or time.monotonic() > deadline:
                os.close(lock)
                raise EmulatorError(
                    f"Another emulator (process {holder}) uses {home}: stop its `make run`, or that process."
                ) from error
            time.sleep(0.1)
        else:
            return lock


def _is_running(process: str) -> bool:
    """Return whether there is a process with that id. If the id is unknown, assume so."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
