"""The AWS operations that the code calls, found in the code itself.

One form of call is understood, and any other use of a client is an error: ``aws.s3().put_object(…)``, with
``get_paginator("name")`` and ``generate_presigned_url("name", …)`` naming the operation by a literal. So a call that
the bundle would not know of cannot be written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SERVICES = ("dynamodb", "s3", "sqs")
"""The clients that ``chalicelib/aws/__init__.py`` makes, by the names that botocore has for them."""

CLIENTS = "chalicelib/aws/__init__.py"

BY_BOTOCORE = {
    # endpoint discovery, where AWS_ENABLE_ENDPOINT_DISCOVERY asks for it (botocore.discovery)
    "dynamodb": {"DescribeEndpoints"},
    # a presigned POST is shaped after CreateBucket (botocore.signers); a bucket's region and a directory bucket's
    # session are asked for on the way (botocore.utils)
    "s3": {"CreateBucket", "CreateSession", "HeadBucket"},
    "sqs": set[str](),
}
"""Operations that botocore uses of its own accord."""

_NAMING = {"get_paginator", "generate_presigned_url", "get_waiter"}
_NAMELESS = {"generate_presigned_post"}


class UnclearCallError(Exception):
    """A client is used in a way that does not say which operation it calls; the message says where."""


class Call(NamedTuple):
    """An operation, by its method's name in botocore (``put_object``), and whether it is called page by page."""

    service: str
    method: str
    paged: bool = False


def found(sources: Mapping[str, str]) -> set[Call]:
    """Every call in ``sources`` (Python text by path). Raises UnclearCallError where one cannot be told."""
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
    """The service whose client ``node`` gets, if it does."""
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
