"""`GET` of an item with only AWS's SDK for Python: no framework, no logs, no metrics.

It runs in the bundle's folder, with the same SDK, and starts as app.py does.
"""

from __future__ import annotations

import json
import os
from typing import Any

from chalicelib import coldstart  # isort: skip - before the SDK, as in app.py

from botocore.session import Session

_client: Any = Session().create_client("dynamodb")
_TABLE = f"vitrine-{os.environ['STAGE']}"


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    id_ = event["pathParameters"]["item_id"]
    key = {"pk": {"S": "OWNER#local"}, "sk": {"S": f"ITEM#{id_}"}}
    item = _client.get_item(TableName=_TABLE, Key=key, ConsistentRead=True)["Item"]
    version = item["version"]["N"]
    headers = {"Content-Type": "application/json", "ETag": f'"{version}"'}
    return {"statusCode": 200, "headers": headers, "body": json.dumps({"id": id_, "version": int(version)})}


coldstart.finish()
