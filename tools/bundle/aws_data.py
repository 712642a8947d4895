"""botocore's data and handlers, cut to the operations in use.

Of a service's model stay the operations called and the shapes that they reach, without documentation. What decides
where a call goes stays whole: the service's endpoint rules, the partitions, and of ``endpoints.json`` every partition
and region, with the services in use. botocore registers 127 handlers with a session, one by one: those that are there
for other services, or for documentation, are not in its list any more.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from botocore import xform_name
from botocore.loaders import ExtrasProcessor

from tools.bundle.calls import BY_BOTOCORE, Call

ROOT = "botocore/data/"

HANDLERS = "botocore/handlers.py"

_ONLY_THOSE_IN_USE = """
def _in_use(event):
    kind, _, rest = event.partition(".")
    return kind != "docs" and rest.partition(".")[0] in {services}


BUILTIN_HANDLERS[:] = [handler for handler in BUILTIN_HANDLERS if _in_use(handler[0])]
"""

_WHOLE = ("_retry.json", "partitions.json", "sdk-default-configuration.json")
_DOCUMENTATION = ("documentation", "documentationUrl")


def cut(entries: Mapping[str, bytes], calls: Iterable[Call]) -> dict[str, bytes]:
    """What stays of the files under ``botocore/data/``, by path.

    Raises KeyError for a call that AWS does not have.
    """
    calls = set(calls)
    services = sorted({call.service for call in calls})
    kept = {ROOT + name: _json(json.loads(entries[ROOT + name])) for name in _WHOLE}
    kept[f"{ROOT}endpoints.json"] = _json(_endpoints(json.loads(entries[f"{ROOT}endpoints.json"]), services))
    for service in services:
        kept |= _service(entries, service, {call for call in calls if call.service == service})
    return kept


def handlers(source: bytes, calls: Iterable[Call]) -> bytes:
    """The text of ``HANDLERS`` whose list holds those of the services called, and those of all services."""
    services = ("", "*", *sorted({call.service for call in calls}))
    return source + _ONLY_THOSE_IN_USE.format(services=services).encode()


def _service(entries: Mapping[str, bytes], service: str, calls: set[Call]) -> dict[str, bytes]:
    folder = max(path.rpartition("/")[0] for path in entries if path.startswith(f"{ROOT}{service}/"))
    full = _loaded(entries, folder, "service-2")
    names = {xform_name(name): name for name in full["operations"]}
    wanted = {names[call.method] for call in calls} | BY_BOTOCORE[service]
    kept = {
        "service-2": model(full, wanted),
        "endpoint-rule-set-1": undocumented(_loaded(entries, folder, "endpoint-rule-set-1")),
    }
    paged = {names[call.method] for call in calls if call.paged}
    if paged:
        pagination = _loaded(entries, folder, "paginators-1")["pagination"]
        kept["paginators-1"] = {"pagination": {name: pagination[name] for name in sorted(paged)}}
    return {f"{folder}/{name}.json": _json(content) for name, content in kept.items()}


def model(full: Mapping[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """A service's model with only ``operations``, and only the shapes that these name, directly or not."""
    kept = {name: full["operations"][name] for name in sorted(operations)}
    return {
        "version": full["version"],
        "metadata": full["metadata"],
        "operations": undocumented(kept),
        "shapes": {name: undocumented(full["shapes"][name]) for name in sorted(_reached(full["shapes"], kept))},
    } | {name: full[name] for name in ("clientContextParams",) if name in full}  # botocore wants the text of these


def _reached(shapes: Mapping[str, Any], operations: Any) -> set[str]:
    reached: set[str] = set()
    waiting = named(operations)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= named(shapes[name])
    return reached


def named(node: Any) -> set[str]:
    """The shapes that a part of a model refers to."""
    if isinstance(node, dict):
        own = {node["shape"]} if isinstance(node.get("shape"), str) else set()
        return own.union(*(named(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(named(value) for value in node))
    return set()


def undocumented(node: Any) -> Any:
    """A part of a model without the text in it that is for people."""
    if isinstance(node, dict):
        return {
            name: undocumented(value)
            for name, value in node.items()
            # A member may be called documentation, too: then it is no text.
            if not (name in _DOCUMENTATION and isinstance(value, str))
        }
    return [undocumented(value) for value in node] if isinstance(node, list) else node


def _endpoints(full: dict[str, Any], services: list[str]) -> dict[str, Any]:
    for partition in full["partitions"]:
        partition["services"] = {
            name: partition["services"][name] for name in services if name in partition["services"]
        }
    return full


def _loaded(entries: Mapping[str, bytes], folder: str, name: str) -> dict[str, Any]:
    """A file of a service, with what botocore itself would merge into it."""
    path = f"{folder}/{name}.json"
    content = json.loads(entries[path] if path in entries else gzip.decompress(entries[f"{path}.gz"]))
    extras = entries.get(f"{folder}/{name}.sdk-extras.json")
    if extras:
        ExtrasProcessor().process(content, [json.loads(extras)])
    loaded: dict[str, Any] = content
    return loaded


def _json(content: Any) -> bytes:
    # The order of names stays: the rules are read in theirs.
    return json.dumps(content, separators=(",", ":")).encode()
