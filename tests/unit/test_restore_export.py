"""``make restore`` restores the other pictures if an item cannot be restored."""

from __future__ import annotations

import json
import zipfile
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import restore_export
from tools.smoke.http_client import Response

if TYPE_CHECKING:
    import pytest

EXPIRED, KNOWN = "019ca7b4-e400-7abc-8def-0123456789ab", "019ca7b4-e400-7abc-8def-0123456789ac"


def test_picture_of_a_missing_item_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, archive = tmp_path / "items.ndjson", tmp_path / "pictures.zip"
    image = {"contentType": "image/png"}
    rows.write_text("".join(json.dumps({"id": id_, "image": image}) + "\n" for id_ in (EXPIRED, KNOWN)))
    with zipfile.ZipFile(archive, "w") as opened:
        for id_ in (EXPIRED, KNOWN):
            opened.writestr(f"{id_}.png", f"picture of {id_}")
    uploaded: list[bytes | None] = []

    def send(method: str, url: str, name: str, body: bytes | None = None, _: object = None) -> Response:
        """Be an API that refuses to import the first item, because it has expired."""
        answers: dict[str, tuple[int, dict[str, Any]]] = {
            "/imports?key=id": (202, {"id": "import"}),
            "/imports/import": (200, {"status": "done", "created": 1, "updated": 0, "failed": 1, "errors": []}),
            f"/items/{EXPIRED}/image": (404, {"error": "ITEM_NOT_FOUND", "message": "There is no such item."}),
            f"/items/{KNOWN}/image": (201, {"upload": {"url": "http://bucket/", "fields": {}}}),
            "/": (204, {}),
        }
        path = url.removeprefix("http://api").removeprefix("http://bucket")
        if path == "/":
            uploaded.append(body)
        status, content = answers[path]
        return Response(name, status, Message(), json.dumps(content).encode())

    monkeypatch.setattr(restore_export, "send", send)

    assert restore_export.main(["http://api", str(rows), str(archive)]) == 1

    (body,) = uploaded
    assert body is not None
    assert f"picture of {KNOWN}".encode() in body
    assert f"{EXPIRED}.png" in capsys.readouterr().err
