"""What the verbs of sharded and versioned tables take besides an item or a key, for type checkers: boto3's parameters.

The types of boto3 come separately, and have `Item` and `Key` among the rest, where these tables name them. A test holds
the names against DynamoDB's own operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypedDict

Consumed = Literal["INDEXES", "TOTAL", "NONE"]
Metrics = Literal["SIZE", "NONE"]
OnFailure = Literal["ALL_OLD", "NONE"]
Updated = Literal["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]


class _Write(TypedDict, total=False):
    ConditionExpression: Any
    ExpressionAttributeNames: Mapping[str, str]
    ExpressionAttributeValues: Mapping[str, Any]
    ReturnConsumedCapacity: Consumed
    ReturnItemCollectionMetrics: Metrics
    ReturnValuesOnConditionCheckFailure: OnFailure
    Expected: Mapping[str, Any]
    ConditionalOperator: Literal["AND", "OR"]


class PutParameters(_Write, total=False):
    """Those of `put_item`; `ttl_seconds` is this library's own."""

    ReturnValues: Literal["NONE", "ALL_OLD"]
    ttl_seconds: float | Decimal | None


class UpdateParameters(_Write, total=False):
    """Those of `update_item`."""

    UpdateExpression: str
    ReturnValues: Updated
    AttributeUpdates: Mapping[str, Any]


class DeleteParameters(_Write, total=False):
    """Those of `delete_item`."""

    ReturnValues: Literal["NONE", "ALL_OLD"]


class KeysParameters(TypedDict, total=False):
    """Those of `get_items`."""

    ConsistentRead: bool
    ProjectionExpression: str
    ExpressionAttributeNames: Mapping[str, str]


class GetParameters(KeysParameters, total=False):
    """Those of `get_item`."""

    ReturnConsumedCapacity: Consumed
    AttributesToGet: Sequence[str]
