"""`GET` of an item with AWS's SDK for Python and nothing besides: a Python function that uses it is never quicker.

It lies in the bundle's folder, so that all that was done for the SDK there is done for it too.
"""

from __future__ import annotations

import json
import os
from typing import Any

import precompiled_regexes  # type: ignore[import-not-found]  # noqa: F401 - first, as in the bundle
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
