"""Start ministack with our changes around it. Run as a file by the emulator's Python; takes its settings as variables.

Settings that ministack itself reads are listed in ``tools/laptop/emulator.py``.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))  # last: nothing of ours hides what ministack imports

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack

from tools.laptop.emulator_state import Folders
from tools.laptop.emulator_wrapper import lambdas
from tools.laptop.emulator_wrapper.callers import Callers
from tools.laptop.emulator_wrapper.guard import App, Guard
from tools.laptop.emulator_wrapper.saving import Saver

_KEEP_ALIVE = 75.0  # seconds, as ministack's own main() has it


def main() -> None:
    """Serve until SIGTERM, at which ministack saves its state."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as ministack's own main() does: for many connections
    functions = lambdas.install(Path(os.environ["TMPDIR"]), Path(os.environ["STATE_DIR"]))
    folders = Folders(Path(os.environ["STATE_DIR"]).parent)
    saver = Saver(folders, float(os.environ["SAVE_EVERY"]), functions.forget_done)
    port = int(os.environ["GATEWAY_PORT"])
    secret = Path(os.environ["SECRET_FILE"]).read_text(encoding="ascii")
    # What ministack takes for the secret of unchecked root keys: it verifies their signatures in forms and URLs alone.
    os.environ["AWS_SECRET_ACCESS_KEY"] = secret
    config = Config()
    config.bind = [f"{os.environ['BIND_HOST']}:{port}"]
    config.keep_alive_timeout = _KEEP_ALIVE
    config.loglevel = os.environ["LOG_LEVEL"]
    application = Guard(saver.noticing(ministack.app), Callers(secret), port, Path(os.environ["PORTS_DIR"]))
    asyncio.run(_serve(application, config, saver, functions))


async def _serve(application: App, config: Config, saver: Saver, functions: lambdas.Functions) -> None:
    saving = asyncio.create_task(saver.run())
    await serve(application, config, shutdown_trigger=lambda: _asked_to_stop(functions.stop))
    saving.cancel()


async def _asked_to_stop(stop_functions: Callable[[], None]) -> None:
    """Return at SIGTERM, when no function runs any more: they would hold up the end, and what they do is not saved."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()
    await asyncio.to_thread(stop_functions)


if __name__ == "__main__":
    main()
