"""DynamoDB's JSON, in which each value is tagged with its type (AWS, "AttributeValue").

boto3 has the same as TypeSerializer and TypeDeserializer. They would import boto3 at each cold start, and reject some
numbers that DynamoDB accepts.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chalicelib.values import dynamodb_limits

Attribute = dict[str, Any]
"""A tagged value, such as ``{"N": "1"}``."""

Attributes = dict[str, Any]
"""Tagged values by name, such as ``{"version": {"N": "1"}}``."""


def serialize(value: Any) -> Attribute:
    """Return a JSON value with its tag. Raise TypeError for any other value."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(dynamodb_limits.NUMBER_CONTEXT.create_decimal(value))}
        case str():
            return {"S": value}
        case list() | tuple():
            return {"L": [serialize(element) for element in value]}
        case dict():
            return {"M": {name: serialize(element) for name, element in value.items()}}
    raise TypeError(f"DynamoDB cannot store a value of type {type(value).__name__}.")


def deserialize(attribute: Attribute) -> Any:
    """Return the value of a tagged value. Numbers become int or Decimal."""
    [(kind, value)] = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(value) if value.removeprefix("-").isdigit() else Decimal(value)
        case "L":
            return [deserialize(element) for element in value]
        case "M":
            return deserialize_all(value)
    return value


def deserialize_all(attributes: Attributes) -> dict[str, Any]:
    """Return the values of tagged values, by name."""
    return {name: deserialize(attribute) for name, attribute in attributes.items()}
