"""What a read's request has to ask for, so that expired items can be told, and left out, in its answer.

The TTL attribute is asked for where a projection leaves it out, and taken away again. A filter that DynamoDB applies
is added where only DynamoDB can leave items out (`Select="COUNT"`), or where the Table says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resilient_ddb.dynamodb import expressions
from resilient_ddb.dynamodb.description import Index, TableDescription
from resilient_ddb.dynamodb.expressions import asking_for
from resilient_ddb.dynamodb.operations import list_in, same_table
from resilient_ddb.dynamodb.reserved import NAMES, NOW, NUMBER, TTL, VALUES

if TYPE_CHECKING:
    from resilient_ddb.policy.clock import Clock

    from .rule import TimeToLive

OPERATIONS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"})
_PROJECTION, _FILTER, _KEY_CONDITION = "ProjectionExpression", "FilterExpression", "KeyConditionExpression"
_LEGACY_PROJECTION = "AttributesToGet"
_LEGACY = (_LEGACY_PROJECTION, "QueryFilter", "ScanFilter", "KeyConditions", "ConditionalOperator")
"""Parameters that DynamoDB does not take beside expressions."""
_LIVE = f"(attribute_not_exists({TTL}) OR NOT attribute_type({TTL}, {NUMBER}) OR {TTL} > {NOW})"
"""DynamoDB compares values of one type only: without the part on types, items with a TTL of text would be dropped."""
_WORD = r"(?<![\w:#])#?[A-Za-z_]\w*"
Params = Mapping[str, Any]


class Request:
    """A read's request, as it is sent for a Table with a TTL."""

    __slots__ = ("is_as_given", "is_hidden", "originals", "params", "positions")

    def __init__(
        self,
        params: Params,
        *,
        is_hidden: bool = False,
        originals: Mapping[str, Params] | None = None,
        positions: Mapping[int, bool] | None = None,
        is_as_given: bool = False,
    ) -> None:
        """Make the request of these parameters. What of them was changed is not the caller's.

        Args:
            params: the parameters.
            is_hidden: whether the TTL attribute was asked for on top of what the caller asked for.
            originals: BatchGetItem: what the caller asked of the table, under the name given.
            positions: TransactGetItems: the positions of the items of the table, and whether the attribute was asked
                for there.
            is_as_given: whether it is the caller's, and its answer has what the caller asked for.
        """
        self.params = params
        self.is_hidden = is_hidden
        self.originals = originals
        self.positions = positions
        self.is_as_given = is_as_given


class Want:
    """Of which table, and by which rule, expired items are left out."""

    __slots__ = ("attribute", "clock", "index", "native", "settings", "table")

    def __init__(
        self,
        *,
        table: str,
        attribute: str,
        settings: TimeToLive,
        clock: Clock,
        index: Index | None = None,
        native: bool = True,
    ) -> None:
        """Describe which items are left out.

        Args:
            table: the table's name.
            attribute: its TTL attribute.
            settings: its TTL.
            clock: where "now" comes from.
            index: what is known of the index that is read.
            native: whether values are native, or typed.
        """
        self.table = table
        self.attribute = attribute
        self.settings = settings
        self.clock = clock
        self.index = index
        self.native = native


def rewrite(operation: str, params: Params, want: Want) -> Request:
    """Return the request to send. What is no request as DynamoDB takes it is left as it is: botocore refuses it.

    Raises:
        ValueError: expired items can't be told, or left out, in the answer.
    """
    return _REWRITES[operation](params, want)


def of_whole_item(operation: str, params: Params, table: str, attribute: str) -> Request | None:
    """Return the request for one item with all its attributes: most reads are that. None for any other.

    Raises:
        ValueError: as `rewrite`.
    """
    if operation != "GetItem" or _PROJECTION in params or _LEGACY_PROJECTION in params:
        return None
    check_key("Key", params.get("Key"), table, attribute)
    return Request(params, is_as_given=True)


def _get(params: Params, want: Want) -> Request:
    _check_key("Key", params.get("Key"), want)
    made, is_hidden = _asking(params, want)
    return Request(made, is_hidden=is_hidden)


def _batch(params: Params, want: Want) -> Request:
    made, originals, is_hidden = dict(params["RequestItems"]), {}, False
    for name, entry in made.items():
        if same_table(name, want.table) and isinstance(entry, Mapping):
            for key in list_in(entry.get("Keys")):
                _check_key("Keys", key, want)
            made[name], was_hidden = _asking(entry, want)
            if was_hidden:
                originals[name], is_hidden = entry, True
    return Request({**params, "RequestItems": made}, is_hidden=is_hidden, originals=originals)


def _transaction(params: Params, want: Want) -> Request:
    made, positions = list(params["TransactItems"]), {}
    for position, entry in enumerate(made):
        get = entry.get("Get") if isinstance(entry, Mapping) else None
        if isinstance(get, Mapping) and same_table(get.get("TableName"), want.table):
            _check_key("Key", get.get("Key"), want)
            asking, positions[position] = _asking(get, want)
            made[position] = {**entry, "Get": asking}
    return Request({**params, "TransactItems": made}, positions=positions)


def _pages(params: Params, want: Want) -> Request:
    """Rewrite a Query or Scan."""
    index_name = params.get("IndexName")
    if index_name is None:
        _check_key("ExclusiveStartKey", params.get("ExclusiveStartKey"), want)
        if _names_in_key_condition(params, want.attribute):
            raise _is_key(want.table, want.attribute, _KEY_CONDITION)
    index = want.index if index_name is not None else None
    if index is not None and not index.has(want.attribute):
        _check_projection(params, index, want)
    if params.get("Select") == "COUNT":
        _check_count(params, index, want)
        return Request(_filtering(params, want))
    can_filter = index is None or (index.has(want.attribute) and want.attribute not in index.keys)
    names_key = index_name is not None and _names_in_key_condition(params, want.attribute)
    on_server = want.settings.filter == "server"
    if on_server and can_filter and not names_key and not any(name in params for name in _LEGACY):
        params = _filtering(params, want)
    made, is_hidden = _asking(params, want)
    return Request(made, is_hidden=is_hidden)


_REWRITES = {"GetItem": _get, "BatchGetItem": _batch, "TransactGetItems": _transaction, "Query": _pages, "Scan": _pages}


# What can't be.


def check_key(argument: str, key: Any, table: str, attribute: str) -> None:
    """Refuse a TTL attribute that a request shows to be part of the table's key.

    Raises:
        ValueError: it is.
    """
    if isinstance(key, Mapping) and attribute in key:
        raise _is_key(table, attribute, argument)


def _check_key(argument: str, key: Any, want: Want) -> None:
    check_key(argument, key, want.table, want.attribute)


def check_keys(described: TableDescription | None, table: str, attribute: str) -> None:
    """Refuse a TTL attribute that is part of the table's key.

    Raises:
        ValueError: it is.
    """
    if described is not None and attribute in described.key.names:
        raise ValueError(_IS_KEY.format(attribute=attribute, table=table, where="its key schema"))


_IS_KEY = (
    "ttl must not be an attribute of the table's key: a filter can't name it, and it can't be changed; got "
    "{attribute!r}, which is in {where} of table {table!r}"
)


def _is_key(table: str, attribute: str, where: str) -> ValueError:
    return ValueError(_IS_KEY.format(attribute=attribute, table=table, where=f"the {where} of a request"))


def _check_projection(params: Params, index: Index, want: Want) -> None:
    """Refuse to read an index that has not the TTL attribute, unless DynamoDB gets that from the table."""
    name = params["IndexName"]
    what = f"IndexName must be that of an index that has the TTL attribute {want.attribute!r}; {name!r} has not"
    if index.is_global:
        raise ValueError(
            f"{what}, and expired items can't be told there: project the attribute, or read the index through a Table "
            "without ttl, and then the items by their keys"
        )
    is_asked = _PROJECTION in params or _LEGACY_PROJECTION in params or params.get("Select") == "ALL_ATTRIBUTES"
    if not is_asked or params.get("Select") == "COUNT":
        raise ValueError(
            f"{what}: project it, or have DynamoDB get it from the table, with Select='ALL_ATTRIBUTES' or a "
            "ProjectionExpression"
        )


def _check_count(params: Params, index: Index | None, want: Want) -> None:
    for name in _LEGACY:
        if name in params:
            raise ValueError(
                f"{name} must not be given with Select='COUNT' to a Table with ttl: expired items are left out by a "
                f"FilterExpression, beside which DynamoDB does not take {name}; use {_KEY_CONDITION} and {_FILTER}"
            )
    is_index_key = index is not None and want.attribute in index.keys
    if is_index_key or _names_in_key_condition(params, want.attribute):
        raise ValueError(
            f"Select must not be 'COUNT' where the TTL attribute {want.attribute!r} is a key of the index "
            f"{params.get('IndexName')!r}: a filter can't name it; count what query_items() gives, or bound it in the "
            f"{_KEY_CONDITION}"
        )


def _names_in_key_condition(params: Params, attribute: str) -> bool:
    condition = params.get(_KEY_CONDITION)
    if condition is None:
        return isinstance(params.get("KeyConditions"), Mapping) and attribute in params["KeyConditions"]
    if not isinstance(condition, str):
        return attribute in expressions.attributes_of(condition)
    names = params.get(NAMES) if isinstance(params.get(NAMES), Mapping) else {}
    return any((names or {}).get(word, word) == attribute for word in re.findall(_WORD, condition))


# What is added.


def _asking(params: Params, want: Want) -> tuple[Params, bool]:
    """Return parameters that ask for the TTL attribute, and whether the caller's did not."""
    return asking_for(params, want.attribute, TTL, "the TTL attribute")


def _filtering(params: Params, want: Want) -> Params:
    """Return parameters with which DynamoDB leaves out expired items."""
    made = dict(params)
    expressions.inject(made)
    own, names, values = made.get(_FILTER), made.get(NAMES) or {}, made.get(VALUES) or {}
    if not isinstance(names, Mapping) or not isinstance(values, Mapping):
        return params
    if own is None:
        made[_FILTER] = _LIVE
    else:
        joined = expressions.both(own, _LIVE) if isinstance(own, str) else None
        if joined is None:
            return params
        made[_FILTER] = joined
    made[NAMES] = _with(names, NAMES, {TTL: want.attribute})
    now = want.settings.now(want.clock)
    ours = {NOW: now, NUMBER: "N"} if want.native else {NOW: {"N": str(now)}, NUMBER: {"S": "N"}}
    made[VALUES] = _with(values, VALUES, ours)
    return made


def _with(own: Params, argument: str, ours: Params) -> dict[str, Any]:
    for name, value in ours.items():
        if own.get(name, value) != value:
            raise ValueError(f"{argument} must leave the name {name!r} free, which is that of the Table's ttl")
    return {**own, **ours}
