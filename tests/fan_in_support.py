"""A table that answers Query in this process: the plain model that a fan-in is held against."""

from __future__ import annotations

import json
from decimal import Decimal

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import run
from resilient_ddb.dynamodb.description import Index, KeySchema, TableDescription
from resilient_ddb.sharding.fan_in_reading import Reading, answer
from resilient_ddb.sharding.fan_in_requests import request_for, with_key


def rank(value):
    """Sort as DynamoDB does."""
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    return value.encode() if isinstance(value, str) else bytes(value)


class Shelf:
    """Partition keys with items, each sorted by `sk` and then `id`; `n` is what a filter goes by."""

    def __init__(self, sources, keep=lambda item: True, *, in_index=False, most=1_000_000):
        self.sources = {name: list(items) for name, items in sources.items()}
        self.keep = keep
        self.in_index = in_index
        self.most = most
        self.failing = set()
        self.calls = []
        self.scanned = 0

    def order(self, item):
        return (rank(item["sk"]) if "sk" in item else 0, item["id"] if self.in_index else "")

    def query(self, **params):
        name = params["ExpressionAttributeValues"][":rddb_shard"]
        self.calls.append(params)
        if name in self.failing:
            code = {"Code": "ThrottlingException", "Message": "slow down"}
            raise ClientError({"Error": code, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Query")
        forward = params.get("ScanIndexForward", True)
        items = sorted(self.sources.get(name, ()), key=self.order, reverse=not forward)
        start = params.get("ExclusiveStartKey")
        if start is not None:
            assert start["pk"] == name
            after = self.order(start)
            items = [i for i in items if (self.order(i) > after if forward else self.order(i) < after)]
        page = items[: min(self.most, params.get("Limit", self.most))]
        found = [{**item, "pk": name} for item in page if self.keep(item)]
        self.scanned += len(page)
        made = {"Count": len(found), "ScannedCount": len(page), "ResponseMetadata": {"RequestId": name}}
        if params.get("Select") != "COUNT":
            made["Items"] = found
        if page and len(page) == min(self.most, params.get("Limit", self.most)):
            made["LastEvaluatedKey"] = self.key_of(page[-1], name)
        return made

    def key_of(self, item, name):
        key = {"pk": name, **({"sk": item["sk"]} if "sk" in item else {})}
        return {**key, "id": item["id"]} if self.in_index else key


def index_with(key):
    """Return an index that has all attributes."""
    return Index(is_global=True, keys=frozenset(key.names), key=key, projected=None)


def description_of(shelf, sort):
    """Return a table with the index that the shelf stands for, or one without."""
    key = KeySchema("id") if shelf.in_index else KeySchema("pk", sort)
    return TableDescription(key=key, indexes={"index": index_with(KeySchema("pk", sort))})


def requested(shelf, names, *, sort="sk", **params):
    if shelf.in_index:
        params["IndexName"] = "index"
    made = request_for(params, with_key(params, "pk"), names, description_of(shelf, sort), table="t", sharded="pk")
    assert all(name not in made.condition.params for name in ("Limit", "ExclusiveStartKey"))
    return made


def together(calls):
    outcomes = []
    for call in calls:
        try:
            outcomes.append(call())
        except ClientError as error:
            outcomes.append(error)
    return outcomes


def making(shelf, request, on_shard_error="raise"):
    def make(**options):
        return Reading(
            shelf.query,
            together,
            request,
            name_of=lambda index: request.stored[index],
            told_as=lambda index: request.stored[index],
            as_seen=lambda item: None,
            on_shard_error=on_shard_error,
            **options,
        )

    return make


def page(shelf, names, start=None, *, on_shard_error="raise", sort="sk", **params):
    """Return one response of a fan-in; the place goes through JSON."""
    if start is not None:
        params["ExclusiveStartKey"] = json.loads(json.dumps(start))
    request = requested(shelf, names, sort=sort, **params)
    return run(answer(making(shelf, request, on_shard_error), request))
