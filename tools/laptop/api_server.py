"""The program of the HTTP server's process: ``chalice local``, which loads the app before it takes the port.

So a server with changed code can load while the old server still runs. If the app does not load, the old server stays.
"""

from __future__ import annotations

import os
import sys
from typing import Any

LOADED_FD = "LOADED_FD"
"""The environment variable with the file descriptor to which the server writes when the app is loaded."""


def serve() -> None:
    """Load the app, wait for a line on standard input, then serve as ``chalice local`` does. Without a line, exit."""
    from chalice import cli  # noqa: PLC0415 - `make run` imports this module only for the name of the variable
    from chalice.cli.factory import CLIFactory  # noqa: PLC0415

    create_local_server = CLIFactory.create_local_server

    def create_when_told(self: CLIFactory, *arguments: Any) -> Any:
        # At this point, `chalice local` has loaded the app, and would take the port.
        descriptor = int(os.environ.pop(LOADED_FD))
        os.write(descriptor, b"loaded\n")
        os.close(descriptor)
        if not sys.stdin.readline():
            sys.exit()
        return create_local_server(self, *arguments)

    CLIFactory.create_local_server = create_when_told  # type: ignore[assignment,method-assign]
    sys.exit(cli.main())


if __name__ == "__main__":
    serve()
