"""Start ministack with the changes of this package. Run as a file by the Python of ``.venv-emulator``.

Its settings are environment variables; ``tools/laptop/emulator.py`` sets them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))  # last, so that it hides no module that ministack imports

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack

from tools.laptop.emulator_state import Folders
from tools.laptop.emulator_wrapper import expression_cache, lambda_functions, saved_streams
from tools.laptop.emulator_wrapper.callers import Callers
from tools.laptop.emulator_wrapper.request_guard import App, RequestGuard
from tools.laptop.emulator_wrapper.state_saver import StateSaver

_KEEP_ALIVE = 75.0  # seconds, as ministack's own main() has it


def main() -> None:
    """Serve until SIGTERM, then save the state."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as ministack's own main() does: for many connections
    expression_cache.install()
    saved_streams.install()
    functions = lambda_functions.install(Path(os.environ["TMPDIR"]), Path(os.environ["STATE_DIR"]))
    folders = Folders(Path(os.environ["STATE_DIR"]).parent)
    saver = StateSaver(folders, float(os.environ["SAVE_EVERY"]), functions.delete_saved_events)
    port = int(os.environ["GATEWAY_PORT"])
    secret = Path(os.environ["SECRET_FILE"]).read_text(encoding="ascii")
    # The secret of root keys whose signature ministack does not check, except in forms and presigned URLs.
    os.environ["AWS_SECRET_ACCESS_KEY"] = secret
    config = Config()
    config.bind = [f"{os.environ['BIND_HOST']}:{port}"]
    config.keep_alive_timeout = _KEEP_ALIVE
    config.loglevel = os.environ["LOG_LEVEL"]
    application = RequestGuard(saver.watch(ministack.app), Callers(secret), port, Path(os.environ["PORTS_DIR"]))
    asyncio.run(_serve(application, config, saver, functions))


async def _serve(application: App, config: Config, saver: StateSaver, functions: lambda_functions.Functions) -> None:
    saving = asyncio.create_task(saver.run())
    await serve(application, config, shutdown_trigger=lambda: _stop_requested(functions.stop))
    saving.cancel()


async def _stop_requested(stop_functions: Callable[[], None]) -> None:
    """Wait for SIGTERM, then stop the functions: they would delay the end, and what they do is not saved any more."""
    requested = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, requested.set)
    await requested.wait()
    await asyncio.to_thread(stop_functions)


if __name__ == "__main__":
    main()
