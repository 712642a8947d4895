"""Cut botocore's data to the operations in use.

A service's model keeps the operations that are called and the shapes that they refer to, without documentation. Data
that decide where a request goes stay whole: the endpoint rules of each service, the partitions, and every partition and
region in ``endpoints.json``, with the services in use.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from botocore import xform_name
from botocore.loaders import ExtrasProcessor

from tools.bundle.aws_operations import BY_BOTOCORE, Call

ROOT = "botocore/data/"

_WHOLE = ("_retry.json", "partitions.json", "sdk-default-configuration.json")
_DOCUMENTATION = ("documentation", "documentationUrl")


def cut(entries: Mapping[str, bytes], calls: Iterable[Call]) -> dict[str, bytes]:
    """Return the files under ``botocore/data/`` that ``calls`` need, by path.

    Raise KeyError if a service does not have an operation.
    """
    calls = set(calls)
    services = sorted({call.service for call in calls})
    kept = {ROOT + name: _json(json.loads(entries[ROOT + name])) for name in _WHOLE}
    kept[f"{ROOT}endpoints.json"] = _json(_endpoints(json.loads(entries[f"{ROOT}endpoints.json"]), services))
    for service in services:
        kept |= _service(entries, service, {call for call in calls if call.service == service})
    return kept


def _service(entries: Mapping[str, bytes], service: str, calls: set[Call]) -> dict[str, bytes]:
    folder = max(path.rpartition("/")[0] for path in entries if path.startswith(f"{ROOT}{service}/"))
    full = _load(entries, folder, "service-2")
    names = {xform_name(name): name for name in full["operations"]}
    wanted = {names[call.method] for call in calls} | BY_BOTOCORE[service]
    kept = {
        "service-2": model(full, wanted),
        "endpoint-rule-set-1": undocumented(_load(entries, folder, "endpoint-rule-set-1")),
    }
    paged = {names[call.method] for call in calls if call.paged}
    if paged:
        pagination = _load(entries, folder, "paginators-1")["pagination"]
        kept["paginators-1"] = {"pagination": {name: pagination[name] for name in sorted(paged)}}
    return {f"{folder}/{name}.json": _json(content) for name, content in kept.items()}


def model(full: Mapping[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """Return a service's model with only ``operations`` and the shapes that these refer to, directly or not."""
    kept = {name: full["operations"][name] for name in sorted(operations)}
    return {
        "version": full["version"],
        "metadata": full["metadata"],
        "operations": undocumented(kept),
        "shapes": {name: undocumented(full["shapes"][name]) for name in sorted(_reached(full["shapes"], kept))},
    } | {name: full[name] for name in ("clientContextParams",) if name in full}  # botocore reads their documentation


def _reached(shapes: Mapping[str, Any], operations: Any) -> set[str]:
    reached: set[str] = set()
    waiting = shape_names(operations)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= shape_names(shapes[name])
    return reached


def shape_names(node: Any) -> set[str]:
    """Return the names of the shapes that a part of a model refers to."""
    if isinstance(node, dict):
        own = {node["shape"]} if isinstance(node.get("shape"), str) else set()
        return own.union(*(shape_names(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(shape_names(value) for value in node))
    return set()


def undocumented(node: Any) -> Any:
    """Return a part of a model without its documentation."""
    if isinstance(node, dict):
        return {
            name: undocumented(value)
            for name, value in node.items()
            # A member of a shape can be named documentation too, but then the value is not text.
            if not (name in _DOCUMENTATION and isinstance(value, str))
        }
    return [undocumented(value) for value in node] if isinstance(node, list) else node


def _endpoints(full: dict[str, Any], services: list[str]) -> dict[str, Any]:
    for partition in full["partitions"]:
        partition["services"] = {
            name: partition["services"][name] for name in services if name in partition["services"]
        }
    return full


def _load(entries: Mapping[str, bytes], folder: str, name: str) -> dict[str, Any]:
    """Return a data file of a service, merged with its extras as botocore's loader does."""
    path = f"{folder}/{name}.json"
    content = json.loads(entries[path] if path in entries else gzip.decompress(entries[f"{path}.gz"]))
    extras = entries.get(f"{folder}/{name}.sdk-extras.json")
    if extras:
        ExtrasProcessor().process(content, [json.loads(extras)])
    model: dict[str, Any] = content
    return model


def _json(content: Any) -> bytes:
    # The order of names stays, because rules are evaluated in their order.
    return json.dumps(content, separators=(",", ":")).encode()
