import pytest
from botocore.exceptions import ClientError

from resilient_ddb.testing import faults


def refused(call, *args, **kwargs):
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    return caught.value.response


def test_without_a_plan_everything_passes(world):
    world.put(n={"N": "1"})
    assert world.get()["Item"] == {"pk": {"S": "a"}, "n": {"N": "1"}}
    first, second = world.proxy.seen
    assert (first.operation, first.table, first.fault) == ("PutItem", "orders", None)
    assert (first.forwarded, first.status) == (True, 200)
    assert first.params["Item"]["n"] == {"N": "1"}
    assert first.headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert second.operation == "GetItem"


def test_an_error_of_the_upstream_passes(world):
    response = refused(world.put, n={"N": "not a number"})
    assert response["Error"]["Code"] in {"ValidationException", "SerializationException"}
    assert world.proxy.seen[0].status == 400


def test_throttle(world):
    world.proxy.plan = [faults.Throttle(retry_after_ms=250)]
    response = refused(world.put)
    assert response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert response["ThrottlingReasons"] == [
        {
            "reason": "TableWriteProvisionedThroughputExceeded",
            "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/orders",
        }
    ]
    meta = response["ResponseMetadata"]
    assert meta["HTTPStatusCode"] == 400
    assert meta["HTTPHeaders"]["x-amz-retry-after"] == "250"
    assert len(meta["RequestId"]) == 52
    assert world.stored() == set()
    (seen,) = world.proxy.seen
    assert (seen.fault, seen.forwarded, seen.status) == ("Throttle", False, 400)


@pytest.mark.parametrize(
    ("code", "name", "reason"),
    [
        ("ThrottlingException", "throttlingReasons", "TableReadMaxOnDemandThroughputExceeded"),
        ("RequestLimitExceeded", "ThrottlingReasons", "TableReadAccountLimitExceeded"),
    ],
)
def test_throttle_with_another_code(world, code, name, reason):
    world.proxy.plan = [faults.Throttle(code=code)]
    response = refused(world.get)
    assert response["Error"]["Code"] == code
    assert response[name][0]["reason"] == reason


def test_throttle_with_given_reasons(world):
    reasons = ("TableReadKeyRangeThroughputExceeded", ("IndexReadAccountLimitExceeded", "arn:x"))
    world.proxy.plan = [faults.Throttle(reasons=reasons)]
    listed = refused(world.get)["ThrottlingReasons"]
    assert [entry["reason"] for entry in listed] == [reasons[0], "IndexReadAccountLimitExceeded"]
    assert listed[1]["resource"] == "arn:x"
    world.proxy.plan = [faults.Throttle(reasons=())]
    assert "ThrottlingReasons" not in refused(world.get)


def test_server_error_before_and_after(world):
    world.proxy.plan = [
        faults.ServerError(times=1),
        faults.ServerError(status=503, code="ServiceUnavailable", applied=True),
    ]
    response = refused(world.put, "before")
    assert response["Error"]["Code"] == "InternalServerError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    response = refused(world.put, "after")
    assert response["Error"]["Code"] == "ServiceUnavailable"
    assert world.stored() == {"after"}
    assert [seen.forwarded for seen in world.proxy.seen] == [False, True]


def test_error_response(world):
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    world.proxy.plan = [
        faults.ErrorResponse(
            code="ConditionalCheckFailedException",
            message="no",
            extra={"Item": {"pk": {"S": "b"}}},
            date=date,
        )
    ]
    response = refused(world.put)
    assert response["Error"] == {"Code": "ConditionalCheckFailedException", "Message": "no"}
    assert response["Item"] == {"pk": {"S": "b"}}
    assert response["ResponseMetadata"]["HTTPHeaders"]["date"] == date
    world.proxy.plan = [faults.ErrorResponse(status=429, code="TooManyRequests")]
    assert refused(world.put)["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert world.stored() == set()


@pytest.mark.parametrize("empty", [False, True])
def test_html_error(world, empty):
    world.proxy.plan = [faults.HtmlError(empty=empty)]
    response = refused(world.put)
    assert response["Error"]["Code"] == "503"
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "text/html"
    assert "x-amzn-requestid" not in response["ResponseMetadata"]["HTTPHeaders"]


def test_cancel_transaction(world):
    world.proxy.plan = [faults.CancelTransaction(reasons=("TransactionConflict", ("Custom", "why")))]
    items = [{"Put": {"TableName": "orders", "Item": {"pk": {"S": pk}}}} for pk in "abc"]
    response = refused(world.client.transact_write_items, TransactItems=items)
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert response["Error"]["Message"] == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[TransactionConflict, Custom, None]"
    )
    assert response["CancellationReasons"] == [
        {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
        {"Code": "Custom", "Message": "why"},
        {"Code": "None"},
    ]
    assert world.stored() == set()
    gets = [{"Get": {"TableName": "orders", "Key": {"pk": {"S": "a"}}}}]
    assert len(refused(world.client.transact_get_items, TransactItems=gets)["CancellationReasons"]) == 1
    statements = [{"Statement": "SELECT * FROM orders WHERE pk='a'"}]
    cancelled = refused(world.client.execute_transaction, TransactStatements=statements)
    assert cancelled["CancellationReasons"][0]["Code"] == "TransactionConflict"
    world.put()  # other operations are not its business


def writes(*pks, table="orders"):
    return {table: [{"PutRequest": {"Item": {"pk": {"S": pk}}}} for pk in pks]}


def unprocessed_pks(response):
    items = response["UnprocessedItems"].get("orders", [])
    return {entry["PutRequest"]["Item"]["pk"]["S"] for entry in items}


def test_unprocessed_writes_add_up_to_the_batch(world):
    world.proxy.plan = [faults.Unprocessed(share=0.4)]
    response = world.client.batch_write_item(RequestItems=writes(*"abcde") | writes("z", table="other"))
    assert len(unprocessed_pks(response)) + len(response["UnprocessedItems"].get("other", [])) == 2
    assert unprocessed_pks(response).isdisjoint(world.stored())
    assert unprocessed_pks(response) | world.stored() == set("abcde")
    assert world.proxy.seen[0].forwarded


def test_unprocessed_writes_resent_get_done(world):
    world.proxy.plan = [faults.Unprocessed()]
    left = writes(*"abcdefgh")
    passes = 0
    while left:
        left = world.client.batch_write_item(RequestItems=left)["UnprocessedItems"]
        passes += 1
    assert passes == 4  # 8, 4, 2, 1
    assert world.stored() == set("abcdefgh")
    assert world.proxy.count(fault=faults.Unprocessed) == 3


def test_all_unprocessed(world):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    response = world.client.batch_write_item(RequestItems=writes("a", "b"))
    assert response["UnprocessedItems"] == writes("a", "b")
    assert world.stored() == set()
    wanted = {"orders": {"Keys": [{"pk": {"S": "a"}}], "ConsistentRead": True}}
    response = world.client.batch_get_item(RequestItems=wanted)
    assert response["Responses"] == {"orders": []}
    assert response["UnprocessedKeys"] == wanted
    assert not any(seen.forwarded for seen in world.proxy.seen)


def test_unprocessed_keys_keep_the_other_fields(world):
    for pk in "abcd":
        world.put(pk, n={"N": "1"})
    world.proxy.plan = [faults.Unprocessed()]
    names = {"#p": "pk"}
    wanted = {
        "orders": {
            "Keys": [{"pk": {"S": pk}} for pk in "abcd"],
            "ProjectionExpression": "#p",
            "ExpressionAttributeNames": names,
        }
    }
    response = world.client.batch_get_item(RequestItems=wanted)
    left = response["UnprocessedKeys"]["orders"]
    assert left["ProjectionExpression"] == "#p"
    assert left["ExpressionAttributeNames"] == names
    assert len(left["Keys"]) == len(response["Responses"]["orders"]) == 2
    assert all(item.keys() == {"pk"} for item in response["Responses"]["orders"])
    assert [key for key in left["Keys"] if key in response["Responses"]["orders"]] == []
