"""Find the AWS operations that the code calls, by reading the code.

Only one form of call is allowed: ``aws.s3().put_object(…)``, with a literal name for ``get_paginator("name")`` and
``generate_presigned_url("name", …)``. Any other use of a client is an error, so that no call can be missed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tools.bundle.errors import UnclearCallError

SERVICES = ("dynamodb", "events", "s3", "sqs", "ssm")
"""The services of the clients in ``chalicelib/aws/__init__.py``, as botocore names them."""

CLIENTS = "chalicelib/aws/__init__.py"

BY_BOTOCORE = {
    # endpoint discovery, if AWS_ENABLE_ENDPOINT_DISCOVERY is set (botocore.discovery)
    "dynamodb": {"DescribeEndpoints"},
    "events": set[str](),
    # CreateBucket is the model of a presigned POST (botocore.signers); the others find a bucket's region and open a
    # directory bucket's session (botocore.utils)
    "s3": {"CreateBucket", "CreateSession", "HeadBucket"},
    "sqs": set[str](),
    "ssm": set[str](),
}
"""Operations that botocore calls by itself."""

_NAMING = {"get_paginator", "generate_presigned_url", "get_waiter"}
_NAMELESS = {"generate_presigned_post"}


class Call(NamedTuple):
    """An operation, by the name of its method in botocore (``put_object``), and whether a paginator calls it."""

    service: str
    method: str
    paged: bool = False


def find(sources: Mapping[str, str]) -> set[Call]:
    """Return every call in ``sources`` (Python text by path). Raise UnclearCallError if an operation is not named."""
    return {call for path, text in sources.items() for call in _calls(path, ast.parse(text))}


def _calls(path: str, tree: ast.Module) -> Iterator[Call]:
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        service = _client(node, inside=path == CLIENTS)
        if service is None:
            continue
        method = parents[id(node)]
        call = parents.get(id(method))
        if not (isinstance(method, ast.Attribute) and isinstance(call, ast.Call) and call.func is method):
            raise UnclearCallError(f"{path}, line {node.lineno}: call aws.{service}().method(…) in one expression.")  # type: ignore[attr-defined]
        if method.attr not in _NAMELESS:
            yield _named(path, service, method.attr, call)


def _client(node: ast.AST, *, inside: bool) -> str | None:
    """Return the service if ``node`` is a call that returns its client."""
    if not isinstance(node, ast.Call):
        return None
    if inside:
        return node.func.id if isinstance(node.func, ast.Name) and node.func.id in SERVICES else None
    function = node.func
    if not (isinstance(function, ast.Attribute) and function.attr in SERVICES):
        return None
    return function.attr if isinstance(function.value, ast.Name) and function.value.id == "aws" else None


def _named(path: str, service: str, method: str, call: ast.Call) -> Call:
    if method not in _NAMING:
        return Call(service, method)
    match call.args[:1]:
        case [ast.Constant(value=str(name))] if method != "get_waiter":
            return Call(service, name, method == "get_paginator")
    raise UnclearCallError(f"{path}, line {call.lineno}: {method} takes the operation's name as a literal here.")
