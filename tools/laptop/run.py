"""``make run``: run the whole system on this machine until Ctrl-C.

The emulator replaces AWS, with its state in .local/. The resources and the event functions are deployed into it from
the same definitions as in AWS; ``chalice local`` serves HTTP. Saved source files take effect at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.config import LOCAL
from chalicelib.http import local_request_guard
from tools.interruption import Interrupted, Interruption
from tools.laptop import code_stack, function_logs, function_package
from tools.laptop.emulator import REGION, Emulator, EmulatorError, check_port, client_factory, make_private
from tools.laptop.reloader import Packager, Reloader, update_openapi
from tools.laptop.server_supervisor import Server, ServerError
from tools.laptop.terminal_output import Terminal
from tools.stage import app_sources, provision
from tools.stage.errors import StageError, describe_error

PROJECT_DIR = Path(__file__).resolve().parents[2]
AWS_CONFIG = ".local/aws-config"
"""The stage's AWS_CONFIG_FILE, with the emulator's URL and credentials."""

_PROFILE = "vitrine-local"
_CHECK_INTERVAL = 0.3  # seconds

_CONFIG = """\
# Written by `make run`: where the emulator is.
[profile {profile}]
region = {region}
endpoint_url = {aws}
aws_access_key_id = {access_key}
aws_secret_access_key = {secret_key}
"""

_READY = """
  Vitrine is running. Files that you save take effect by themselves. Ctrl-C stops it.

    Console       {http}/
    API           {http}/items, described at {http}/docs
    Try           curl {http}/items -H 'Content-Type: application/json' -d {item}
    AWS           {aws}, for other tools:
                  export AWS_CONFIG_FILE={config} AWS_PROFILE={profile}
                  aws --endpoint-url {aws} sqs list-queues
    Data          {data} (kept; `make clean` deletes it)
"""


class System:
    """The whole system: emulator, event functions and HTTP server."""

    def __init__(self, project_dir: Path, ports: Ports, terminal: Terminal, interruption: Interruption) -> None:
        self._project_dir = project_dir
        self._ports = ports
        self._terminal = terminal
        self._interruption = interruption
        self._server = Server(project_dir, ports.http, terminal)

    def run(self) -> None:
        """Start everything and keep it running. Never return.

        Raise Interrupted, or an error that says what ended or could not start.
        """
        check_port(self._ports.http, "PORT")
        with contextlib.ExitStack() as running:
            try:
                emulator = self._start(running)
                self._show(emulator)
                self._watch(emulator)
            finally:
                self._interruption.ignore()

    def _start(self, running: contextlib.ExitStack) -> Emulator:
        """Start every part. When ``running`` is left, they are stopped, the emulator last."""
        began = time.monotonic()
        update_openapi(self._project_dir, self._terminal.write)
        stamps = app_sources.stamps(self._project_dir)
        local = self._project_dir / ".local"
        make_private(local)
        shutil.rmtree(local / local_request_guard.PORTS, ignore_errors=True)  # left over by servers that were killed
        (local / local_request_guard.PORTS).mkdir()
        with self._interruption.deferred():
            emulator = Emulator.start(
                self._project_dir / ".venv-emulator" / "bin" / "python",
                local / "emulator",
                self._ports.emulator,
            )
            running.callback(emulator.stop)
            running.callback(self._print_stopping, emulator)
        if emulator.recovery_message:
            self._terminal.write(emulator.recovery_message)
        write_aws_config(self._project_dir, emulator)
        client = client_factory(emulator.url, emulator.root())
        provision.provision(LOCAL, client, self._project_dir, self._terminal.write)
        packager = Packager(self._project_dir, local / "build", local / "kept", self._terminal.write)
        deployment = code_stack.find(client, function_package.source_digest(self._project_dir))
        if deployment is None:
            self._terminal.write("Deploying the event functions into the emulator")
            deployment = code_stack.deploy(packager.package(), client)
        logs = function_logs.LogFollower(client("logs"), deployment.functions, self._terminal.write_line_of)
        running.callback(logs.stop)
        running.callback(self._server.stop)
        with self._interruption.deferred():
            self._server.load()
        self._server.wait_until_loaded()
        self._server.replace()
        self._server.wait_until_ready()
        self._reloader = Reloader(packager, stamps, client, self._server, logs, self._terminal, self._interruption)
        running.callback(self._reloader.stop)
        self._terminal.write(f"Ready after {time.monotonic() - began:.1f} s.")
        return emulator

    def _watch(self, emulator: Emulator) -> NoReturn:
        while True:
            time.sleep(_CHECK_INTERVAL)
            try:
                self._server.check()
                self._reloader.apply_changes()
            except (BotoCoreError, ClientError):
                if emulator.is_alive():
                    raise
            if not emulator.is_alive():
                raise EmulatorError(
                    f"The emulator stopped unexpectedly: {emulator.last_output()}\n"
                    "`make run` starts it again, with the data of its last save."
                )

    def _print_stopping(self, emulator: Emulator) -> None:
        if emulator.is_alive():
            self._terminal.write("Stopping, and saving the data …")

    def _show(self, emulator: Emulator) -> None:
        self._terminal.write(
            _READY.format(
                http=self._server.url,
                item=shlex.quote(_example(self._project_dir)),
                aws=emulator.url,
                config=shlex.quote(str(self._project_dir / AWS_CONFIG)),
                profile=_PROFILE,
                data=emulator.home,
            )
        )


def _example(project_dir: Path) -> str:
    """Return the first example of an item in the OpenAPI document, which has the fields that ItemFields requires."""
    document = json.loads((project_dir / "chalicelib" / "openapi.json").read_text(encoding="utf-8"))
    body = document["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]
    return json.dumps(next(iter(body["examples"].values()))["value"], ensure_ascii=False)


class Ports(NamedTuple):
    """The ports on 127.0.0.1."""

    http: int
    emulator: int


def write_aws_config(project_dir: Path, emulator: Emulator) -> None:
    """Write the emulator's URL and credentials to the stage's AWS_CONFIG_FILE."""
    path = project_dir / AWS_CONFIG
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(
        _CONFIG.format(profile=_PROFILE, region=REGION, aws=emulator.url, **emulator.root()._asdict()), encoding="utf-8"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal asks to stop, then return 0. Return 1 if something ended or could not start."""
    parser = argparse.ArgumentParser(prog="make run", description="Run all of Vitrine on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="the port of the API and the console")
    parser.add_argument("--emulator-port", type=int, default=4566, help="the port of the emulator")
    options = parser.parse_args(arguments)
    terminal = Terminal()
    try:
        with Interruption() as interruption:
            System(PROJECT_DIR, Ports(options.port, options.emulator_port), terminal, interruption).run()
    except Interrupted:
        terminal.write("Stopped. The data is kept for the next start.")
        return 0
    except (EmulatorError, ServerError, StageError, BotoCoreError, ClientError) as error:
        terminal.write(describe_error(error, LOCAL))
    return 1


if __name__ == "__main__":
    sys.exit(main())
