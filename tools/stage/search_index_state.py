"""Whether a stage's search index was built with the fields that the deployed code declares.

Two tags of the stage's table say so: ``vitrine-index-deployed`` is the digest of the declaration in the code that was
deployed last, ``vitrine-index-built`` that of the last ``python -m tools.ops reindex`` that finished. They are tags,
because deployers may not read the data. ``.ci/deploy`` does the same as :func:`record_deployment` with the AWS CLI.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.catalogue import search_index_keys
from tools.stage.aws_clients import ClientFactory
from tools.stage.names import code_stack_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TagTypeDef

DEPLOYED = "vitrine-index-deployed"
BUILT = "vitrine-index-built"

_NOT_BUILT = "no"
"""The value of BUILT after the declaration has changed: going back to the old one does not make the index complete."""


class State(NamedTuple):
    """The digests of the declarations, or None if the table lacks the tag."""

    deployed: str | None
    built: str | None


def declared() -> str:
    """Return the digest of the declaration in this folder's ItemFields: 16 hexadecimal digits."""
    return hashlib.sha256(search_index_keys.current().text.encode()).hexdigest()[:16]


def state(stage: str, client: ClientFactory) -> State:
    """Return the state of a stage's index."""
    dynamodb: DynamoDBClient = client("dynamodb")
    tags = dynamodb.list_tags_of_resource(ResourceArn=_table_arn(stage, dynamodb)).get("Tags", [])
    values = {tag["Key"]: tag["Value"] for tag in tags}
    return State(values.get(DEPLOYED), values.get(BUILT))


def record_deployment(stage: str, client: ClientFactory, *, created: bool) -> str | None:
    """Record that this folder's code is deployed. Return a sentence if its index has to be built, or None.

    ``created`` says that the table is new: then the index of all its items will be complete.
    """
    current, known = declared(), state(stage, client)
    if created:
        _tag(stage, client, {DEPLOYED: current, BUILT: current})
        return None
    if known.deployed != current:
        known = State(current, _NOT_BUILT)
        _tag(stage, client, {DEPLOYED: current, BUILT: _NOT_BUILT})
    return None if known.built == current else describe_missing(stage)


def record_built(stage: str, client: ClientFactory) -> None:
    """Record that the index was built with the declaration in this folder."""
    _tag(stage, client, {BUILT: declared()})


def describe_missing(stage: str) -> str:
    """Return a sentence that says what to do after the declaration has changed."""
    return (
        "The findable or searchable fields have changed since the search index of this stage was built, so searches may"
        f" miss older items: after the deployment, run .venv/bin/python -m tools.ops --stage {stage} reindex"
    )


def _tag(stage: str, client: ClientFactory, values: dict[str, str]) -> None:
    dynamodb: DynamoDBClient = client("dynamodb")
    tags: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in values.items()]
    dynamodb.tag_resource(ResourceArn=_table_arn(stage, dynamodb), Tags=tags)


def _table_arn(stage: str, dynamodb: DynamoDBClient) -> str:
    return dynamodb.describe_table(TableName=code_stack_name(stage))["Table"]["TableArn"]


if __name__ == "__main__":
    print(declared())
