"""``make restore``: restore the items and pictures of an export by the API of a stage."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tools.smoke.http_client import Response, StepError, check, multipart_form, send
from tools.terminal_text import printable

_DESCRIPTION = """\
Restore the items and pictures of an export by the API of a stage. Items that exist are changed to what the export
says, and keep their other fields; the others are created with their id, version and times. It can be repeated.

  make restore URL=https://… TOKEN=eyJ… FILES="items.ndjson pictures.zip"

Exit code: 0 if everything was restored, 1 if not, 2 if the arguments are not valid."""

MAX_LINES = 5_000
MAX_BYTES = 4 * 1024**2
"""The most lines and bytes of one import."""

_TRIES = 6
_TIMEOUT = 15 * 60
"""Seconds that an import or a thumbnail job may take."""

_Found = TypeVar("_Found")


class Api(NamedTuple):
    """The API of a stage, and the token of the owner."""

    url: str
    token: str

    def ask(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> Response:
        """Return the response to a request, which is sent again while the API is busy."""
        headers = {"content-type": content_type} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        for tried in range(1, _TRIES + 1):
            response = send(method, self.url.rstrip("/") + path, f"{method} {path}", body, headers)
            if response.status not in (429, 503) or tried == _TRIES:
                return response
            time.sleep(2**tried / 2)
        raise AssertionError


def restore(api: Api, rows: list[Path], archives: list[Path]) -> int:
    """Restore the items in files of NDJSON, then the pictures in archives. Return how many of both failed."""
    failed = 0
    images: dict[str, dict[str, Any]] = {}
    for file in rows:
        for lines in _batches(file):
            images |= {item["id"]: item["image"] for item in map(json.loads, lines) if "image" in item}
            failed += _import(api, b"".join(lines))
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                item_id = name.partition(".")[0]
                check(item_id in images, f"no item has the picture {printable(name)}")
                if not _restore_picture(api, item_id, images[item_id], opened.read(name)):
                    failed += 1
                    print(f"  {printable(name)}: its item does not exist", file=sys.stderr)
        print(f"{archive.name}: {len(opened.namelist())} pictures", flush=True)
    return failed


def _batches(file: Path) -> Iterator[list[bytes]]:
    """Yield the lines of a file, as many at a time as one import takes."""
    lines: list[bytes] = []
    size = 0
    with file.open("rb") as opened:
        for line in opened:
            if lines and (len(lines) == MAX_LINES or size + len(line) > MAX_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line)
    if lines:
        yield lines


def _import(api: Api, body: bytes) -> int:
    accepted = api.ask("POST", "/imports?key=id", body, "application/x-ndjson").expect(202).json()

    def done() -> dict[str, Any] | None:
        progress = api.ask("GET", f"/imports/{accepted['id']}").expect(200).json()
        return progress if progress["status"] == "done" else None

    progress = _wait(done, f"the import {accepted['id']}")
    print(
        f"{progress['created']} items created, {progress['updated']} updated, {progress['failed']} failed", flush=True
    )
    for problem in progress["errors"]:
        print(f"  entry {problem['index']}: {printable(problem['message'])}", file=sys.stderr)
    return int(progress["failed"])


def _restore_picture(api: Api, item_id: str, image: dict[str, Any], data: bytes) -> bool:
    """Upload the picture of an item, and set its focus. Return whether the item exists.

    It may have expired since the export.
    """
    wanted = json.dumps({"contentType": image["contentType"]}).encode()
    ticket = api.ask("POST", f"/items/{item_id}/image", wanted).expect(201, 404)
    if ticket.status == 404:
        return False
    upload = ticket.json()["upload"]
    body, content_type = multipart_form(upload["fields"], data, image["contentType"])
    send("POST", upload["url"], "the upload", body, {"content-type": content_type}).expect(200, 201, 204)
    if image.get("focus"):
        _wait(lambda: _is_ready(api, item_id), f"the thumbnails of {item_id}")
        api.ask("PATCH", f"/items/{item_id}/image", json.dumps({"focus": image["focus"]}).encode()).expect(200)
    return True


def _is_ready(api: Api, item_id: str) -> bool:
    item = api.ask("GET", f"/items/{item_id}").expect(200).json()
    return bool(item["image"]["status"] == "ready")


def _wait(find: Callable[[], _Found | None], name: str) -> _Found:
    """Call ``find`` until it returns a true value, and return that. Raise StepError after 15 minutes."""
    until = time.monotonic() + _TIMEOUT
    while not (found := find()):
        check(time.monotonic() < until, f"{name} is not done after {_TIMEOUT // 60} minutes")
        time.sleep(0.5)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    command = parser()
    options = command.parse_args(arguments)
    rows = [file for file in options.files if file.suffix == ".ndjson"]
    archives = [file for file in options.files if file.suffix == ".zip"]
    if len(rows) + len(archives) < len(options.files) or not rows:
        command.error("give the .ndjson files of the export, and its .zip files if it has any")
    try:
        return 1 if restore(Api(options.url, os.environ.get("TOKEN", "").strip()), rows, archives) else 0
    except (StepError, OSError, zipfile.BadZipFile) as error:
        print(f"Restoring failed: {printable(str(error))}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        prog="python -m tools.restore_export",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("url", help="the URL of the API, such as http://localhost:8000")
    command.add_argument("files", nargs="+", type=Path, help="the files of the export: NDJSON and ZIP")
    return command


if __name__ == "__main__":
    sys.exit(main())
