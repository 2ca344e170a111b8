"""What answers in DynamoDB's place, and when it is not asked."""

from decimal import Decimal

import boto3
import pybreaker
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.client import ClientCreator
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError, WaiterError
from emulators import CREDENTIALS
from unit_support import ComparedClock, ComparedListener

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import FaultProxy, faults

ITEM = {"pk": "a", "n": Decimal(1), "s": {"x"}}
ONCE = rddb.Retry(max_attempts=1)
OUTAGE = [faults.ServerError()]


def get(table, **more):
    return table.get_item(Key={"pk": "a"}, **more)


class Asked:
    """A fallback that notes what it is asked."""

    def __init__(self, answer=None):
        self.calls = []
        self.answer = answer

    def __call__(self, call, error):
        self.calls.append((call.operation, error))
        return self.answer


@pytest.fixture
def filled(world):
    world.direct.put_item(Item=ITEM)
    return world


def test_the_last_good_answer_is_given_with_its_age(filled):
    table = filled.table(retry=ONCE, fallback=rddb.fallback.stale(max_age=60))
    good = get(table)
    filled.clock.advance(42)
    filled.proxy.plan = OUTAGE
    stale = get(table)
    assert stale["Item"] == good["Item"] == ITEM
    assert stale["ResponseMetadata"]["Resilience"] == {"stale": True, "age": 42.0}
    assert "Resilience" not in good["ResponseMetadata"]
    filled.clock.advance(19)
    with pytest.raises(ClientError, match="InternalServerError"):
        get(table)


def test_a_stale_answer_is_only_given_to_the_very_same_read(filled):
    table = filled.table(retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.stale())
    get(table)
    table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("n").gt(0))
    filled.proxy.plan = OUTAGE
    assert get(table)["Item"] == ITEM
    same = table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("n").gt(0))
    assert same["Items"] == [ITEM]
    for other in (
        lambda: get(table, ConsistentRead=True),
        lambda: table.get_item(Key={"pk": "b"}),
        lambda: table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("n").gt(1)),
        lambda: table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("n").gte(0)),
        lambda: table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("m").gt(0)),
    ):
        with pytest.raises(ClientError, match="InternalServerError"):
            other()


def test_a_stale_answer_cannot_be_changed_by_who_got_it(filled):
    table = filled.table(retry=ONCE, fallback=rddb.fallback.stale())
    get(table)["Item"]["s"].add("mine")
    filled.proxy.plan = OUTAGE
    get(table)["Item"]["s"].add("mine")
    assert get(table)["Item"] == ITEM


def test_a_stale_answer_says_too_that_there_was_no_item(world):
    table = world.table(retry=ONCE, fallback=rddb.fallback.stale())
    get(table)
    world.proxy.plan = OUTAGE
    assert "Item" not in get(table)


def test_a_stale_answer_is_never_given_for_a_write(world):
    table = world.table(retry=ONCE, fallback=rddb.fallback.stale())
    table.put_item(Item=ITEM)
    world.proxy.plan = OUTAGE
    with pytest.raises(ClientError, match="InternalServerError"):
        table.put_item(Item=ITEM)


def test_an_open_circuit_is_answered_without_a_request(filled):
    table = filled.table(
        retry=ONCE, circuit_breaker=rddb.CircuitBreaker(minimum_calls=2), fallback=rddb.fallback.stale()
    )
    get(table)
    filled.proxy.plan = OUTAGE
    filled.proxy.clear()
    for _ in range(10):
        assert get(table)["Item"] == ITEM
    assert filled.proxy.count() == 1  # with the good one before it, half of two attempts failed


def test_exhausted_retries_throttling_and_deadlines_are_answered(filled):
    table = filled.table(circuit_breaker=None, fallback=rddb.fallback.stale())
    get(table)
    filled.proxy.plan = [faults.Throttle()]
    assert get(table)["ResponseMetadata"]["Resilience"]["stale"] is True
    with rddb.deadline(0, clock=filled.clock):
        assert get(table)["ResponseMetadata"]["Resilience"]["stale"] is True


def test_a_replica_in_another_region_answers(filled, dynamodb_local, opened):
    far = boto3.Session(region_name="us-west-2", **CREDENTIALS).resource(
        "dynamodb", endpoint_url=dynamodb_local.endpoint_url
    )
    opened.callback(far.meta.client.close)
    copy = far.create_table(
        TableName=filled.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    opened.callback(copy.delete)
    copy.put_item(Item={**ITEM, "n": 2})
    table = filled.table(
        fallback=rddb.fallback.replica("us-west-2", endpoint_url=dynamodb_local.endpoint_url),
    )
    assert get(table)["Item"]["n"] == 1
    filled.proxy.plan = OUTAGE
    for answer in (
        get(table),
        {"Item": table.query(KeyConditionExpression=Key("pk").eq("a"))["Items"][0], "ResponseMetadata": None},
    ):
        assert answer["Item"] == {**ITEM, "n": 2}
    assert get(table)["ResponseMetadata"]["Resilience"] == {"replica": "us-west-2"}
    with pytest.raises(ClientError, match="InternalServerError"):
        table.put_item(Item={"pk": "never sent there"})
    assert copy.scan(Select="COUNT")["Count"] == 1


def test_a_replica_keeps_the_callers_config_and_credentials(filled, hardened, monkeypatch):
    made, create = [], ClientCreator.create_client

    def noted(*args, credentials, **options):
        made.append((create(*args, credentials=credentials, **options), credentials))
        return made[-1][0]

    monkeypatch.setattr(ClientCreator, "create_client", noted)
    policy = filled.policy(retry=ONCE, fallback=rddb.fallback.replica("us-west-2", endpoint_url="http://127.0.0.1:1"))

    table = hardened(filled.proxy.endpoint_url, policy, config=Config(read_timeout=33)).Table(filled.name)
    filled.proxy.plan = OUTAGE
    with pytest.raises(table.meta.client.exceptions.InternalServerError) as raised:
        get(table)
    assert raised.value.__notes__[-1] == "fallback replica failed: EndpointConnectionError"
    [(_, credentials), (sibling, siblings_credentials)] = made
    assert sibling.meta.region_name == sibling.meta.config.region_name == "us-west-2"
    assert sibling.meta.config.read_timeout == 33
    assert siblings_credentials is credentials


def test_past_the_deadline_no_client_is_made_for_a_replica(filled, monkeypatch):
    table = filled.table(fallback=rddb.fallback.replica("us-west-2", endpoint_url="http://127.0.0.1:1"))
    monkeypatch.setattr(ClientCreator, "create_client", lambda *args, **options: pytest.fail("it takes some 0.1 s"))
    with rddb.deadline(0, clock=filled.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        get(table)
    assert raised.value.__notes__[-1] == "fallback replica failed: DeadlineExceededError"


def asked_at(far, table):
    far.clear()
    with pytest.raises(ClientError):
        get(table)
    return far.count("GetItem")


@pytest.fixture
def far(filled):
    """The endpoint of the other region: it throttles everything."""
    with FaultProxy(filled.proxy.endpoint_url, plan=[faults.Throttle()]) as proxy:
        yield proxy


def attempts(count):
    return rddb.Retry(max_attempts=count, base_delay=0.001)


def test_a_replica_goes_by_the_policy_of_whoever_asks(filled, far, hardened):
    filled.proxy.plan = OUTAGE
    policy = filled.policy(
        retry=attempts(2),
        circuit_breaker=None,
        fallback=rddb.fallback.replica("us-west-2", endpoint_url=far.endpoint_url),
    )
    dynamodb = hardened(filled.proxy.endpoint_url, policy)
    table = dynamodb.Table(filled.name)
    own = dynamodb.Table(filled.name, policy=policy.replace(retry=attempts(4)))
    assert (asked_at(far, table), asked_at(far, own), asked_at(far, table)) == (2, 4, 2)
    rddb.set_policy(dynamodb, policy.replace(retry=attempts(3)))
    assert (asked_at(far, table), asked_at(far, own)) == (3, 4)


def test_a_replica_is_asked_by_a_policy_that_can_not_be_hashed(filled, far, hardened):
    breaker = rddb.CircuitBreaker(listeners=[ComparedListener()])
    fallback = rddb.fallback.replica("us-west-2", endpoint_url=far.endpoint_url)
    policy = filled.policy(retry=ONCE, circuit_breaker=breaker, clock=ComparedClock(), fallback=fallback)
    dynamodb = hardened(filled.proxy.endpoint_url, policy)
    filled.proxy.plan = OUTAGE
    assert asked_at(far, dynamodb.Table(filled.name)) == 1
    assert asked_at(far, dynamodb.Table(filled.name, policy=policy)) == 1


def test_a_replicas_circuit_is_not_the_one_that_a_storage_shares(filled, far, hardened):
    made = []

    def storage(name):
        made.append(name)
        return pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)

    breaker = rddb.CircuitBreaker(storage=storage)
    fallback = rddb.fallback.replica("us-west-2", endpoint_url=far.endpoint_url)
    policy = filled.policy(retry=ONCE, circuit_breaker=breaker, fallback=fallback)
    table = hardened(filled.proxy.endpoint_url, policy).Table(filled.name)
    filled.proxy.plan = OUTAGE
    assert asked_at(far, table) == 1
    assert made == [f"{filled.name}/read"]  # of this region
    rddb.circuits(table)["read"].force_open("an outage of this region")
    assert asked_at(far, table) == 1


def in_a_batch(table):
    with table.batch_writer() as batch:
        batch.put_item(Item={"pk": "a"})


def in_a_transaction(table):
    put = {"Put": {"TableName": table.name, "Item": {"pk": "a"}}}
    table.meta.client.transact_write_items(TransactItems=[put])


def by_partiql(table):
    table.meta.client.execute_statement(Statement=f"DELETE FROM \"{table.name}\" WHERE pk = 'a'")  # noqa: S608


OWN_WRITES = {
    "put": lambda table: table.put_item(Item={"pk": "a"}),
    "update": lambda table: table.update_item(Key={"pk": "a"}),
    "delete": lambda table: table.delete_item(Key={"pk": "a"}),
    "batch": in_a_batch,
    "transaction": in_a_transaction,
    "partiql": by_partiql,
    "versioned": lambda table: table.versioned().modify({"pk": "a"}, lambda item: {**item, "n": 5}),
    "sharded": lambda table: table.sharded(2, separator="/", by=RANDOM).put_item(Item={"pk": "a"}),
}


@pytest.mark.parametrize("by", ["the table", "another Table of the resource"])
@pytest.mark.parametrize("verb", OWN_WRITES)
def test_no_answer_is_given_that_an_own_write_has_changed(filled, hardened, verb, by):
    filled.direct.put_item(Item={"pk": "b"})
    dynamodb = hardened(filled.proxy.endpoint_url, filled.policy(retry=ONCE, circuit_breaker=None))
    table = dynamodb.Table(filled.name, policy=filled.policy(fallback=rddb.fallback.stale()))
    client = table.meta.client
    reads = [
        lambda: get(table),
        lambda: table.query(KeyConditionExpression=Key("pk").eq("a")),
        table.scan,
        lambda: client.batch_get_item(RequestItems={filled.name: {"Keys": [{"pk": "b"}, {"pk": "a"}]}}),
    ]
    if verb == "sharded":
        shards = table.sharded(2, separator="/", by=RANDOM)
        reads = [lambda: shards.query(KeyConditionExpression=Key("pk").eq("a"))]
    others = [lambda: table.get_item(Key={"pk": "b"}), lambda: table.query(KeyConditionExpression=Key("pk").eq("b"))]
    for read in (*reads, *others):
        read()
    OWN_WRITES[verb](table if by == "the table" else dynamodb.Table(filled.name))
    filled.proxy.plan = OUTAGE
    for read in reads:
        with pytest.raises(ClientError, match="InternalServerError"):
            read()
    if verb != "partiql":  # which does not say which items it changes
        for read in others:
            assert read()["ResponseMetadata"]["Resilience"]["stale"]


def test_no_answer_is_given_that_a_write_may_have_changed_whose_reply_was_lost(filled):
    table = filled.table(retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.stale())
    get(table)
    filled.proxy.plan = [faults.LoseReply()]
    with pytest.raises(ConnectionClosedError):
        table.update_item(Key={"pk": "a"}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": 1})
    filled.proxy.plan = OUTAGE
    with pytest.raises(ClientError, match="InternalServerError"):
        get(table)


def test_a_fixed_value_answers_and_is_a_copy(filled):
    table = filled.table(
        retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.response({"Item": {"pk": "?", "list": []}})
    )
    filled.proxy.plan = OUTAGE
    answer = get(table)
    answer["Item"]["list"].append(1)
    assert answer["ResponseMetadata"]["Resilience"] == {"fallback": "response"}
    assert get(table)["Item"] == {"pk": "?", "list": []}


def test_a_function_is_told_of_the_call_and_its_error(filled):
    asked = Asked({"Item": {"pk": "from the function"}})
    table = filled.table(retry=ONCE, fallback=asked)
    filled.proxy.plan = OUTAGE
    answer = get(table)
    assert answer["Item"] == {"pk": "from the function"}
    assert answer["ResponseMetadata"]["Resilience"] == {"fallback": "Asked"}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    [(operation, error)] = asked.calls
    assert operation == "GetItem"
    assert error.resilience.kind == "transient"


def test_an_answer_of_none_leaves_the_error_as_it_was(filled):
    table = filled.table(retry=ONCE, fallback=Asked())
    filled.proxy.plan = OUTAGE
    with pytest.raises(table.meta.client.exceptions.InternalServerError) as raised:
        get(table)
    assert raised.value.resilience.attempts == 1


def test_fallbacks_of_a_chain_are_asked_in_turn(filled):
    def broken(_call, _error):
        raise LookupError("out of order")

    first, last = Asked(), Asked({"Item": {"pk": "never"}})
    chain = first | rddb.fallback.stale() | broken | rddb.fallback.response({"Item": {"pk": "value"}}) | last
    table = filled.table(retry=ONCE, circuit_breaker=None, fallback=chain)
    filled.proxy.plan = OUTAGE
    assert get(table)["Item"] == {"pk": "value"}
    filled.proxy.plan = []
    get(table)
    filled.proxy.plan = OUTAGE
    assert get(table)["Item"] == ITEM  # now there is an answer to remember
    assert len(first.calls) == 2
    assert last.calls == []


def test_what_the_last_fallback_raises_reaches_the_caller(filled):
    def broken(_call, _error):
        raise LookupError("out of order")

    table = filled.table(retry=ONCE, fallback=rddb.fallback.stale() | broken)
    filled.proxy.plan = OUTAGE
    with pytest.raises(LookupError, match="out of order") as raised:
        get(table)
    assert isinstance(raised.value.__cause__, ClientError)


def test_a_tables_fallback_comes_in_place_of_the_policys(filled, hardened):
    policy = filled.policy(
        retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.response({"Item": {"pk": "policy"}})
    )
    dynamodb = hardened(filled.proxy.endpoint_url, policy)
    own = dynamodb.Table(filled.name, policy=filled.policy(fallback=rddb.fallback.response({"Item": {"pk": "table"}})))
    filled.proxy.plan = OUTAGE
    assert get(own)["Item"] == {"pk": "table"}
    assert get(dynamodb.Table(filled.name))["Item"] == {"pk": "policy"}
    answered = dynamodb.meta.client.get_item(TableName=filled.name, Key={"pk": "a"})
    assert answered["Item"] == {"pk": "policy"}


def test_a_table_with_a_policy_of_its_own_has_circuits_of_its_own(filled, hardened):
    policy = filled.policy(retry=ONCE, circuit_breaker=rddb.CircuitBreaker(minimum_calls=2))
    dynamodb = hardened(filled.proxy.endpoint_url, policy)
    own = policy.replace(fallback=rddb.fallback.response({}))
    filled.proxy.plan = OUTAGE
    for _ in range(2):
        get(dynamodb.Table(filled.name, policy=own))
    filled.proxy.clear()
    get(dynamodb.Table(filled.name, policy=own))  # made anew, and its circuit is open
    assert filled.proxy.count() == 0
    with pytest.raises(dynamodb.meta.client.exceptions.InternalServerError):
        get(dynamodb.Table(filled.name))


def test_no_fallback_is_asked_after_what_is_the_callers_own_affair(filled):
    asked = Asked({})
    table = filled.table(retry=ONCE, fallback=rddb.fallback.function(asked, writes=True))
    exceptions = table.meta.client.exceptions
    with pytest.raises(exceptions.ConditionalCheckFailedException):
        table.put_item(Item=ITEM, ConditionExpression=Attr("pk").not_exists())
    with pytest.raises(ClientError, match="ValidationException"):
        table.get_item(Key={"pk": 1})
    with pytest.raises(exceptions.ResourceNotFoundException):
        table.meta.client.get_item(TableName="absent-table", Key={"pk": "a"})
    with pytest.raises(ParamValidationError):
        table.get_item()
    with pytest.raises(TypeError, match="Float types"):
        table.put_item(Item={"pk": "a", "f": 0.5})
    filled.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException")]
    with pytest.raises(ClientError, match="AccessDenied"):
        get(table)
    assert asked.calls == []


def test_a_function_is_asked_about_no_write_and_nothing_about_the_table(filled):
    """A cache's answer to a write would pass for a write that was made, and to DescribeTable for a table's state."""
    asked = Asked({"Item": {"pk": "cached"}})
    table = filled.table(retry=ONCE, circuit_breaker=None, fallback=asked)
    client = table.meta.client
    filled.proxy.plan = OUTAGE
    assert get(table)["Item"] == {"pk": "cached"}
    for call in (
        lambda: table.put_item(Item={"pk": "new"}),
        lambda: table.delete_item(Key={"pk": "a"}),
        lambda: table.update_item(Key={"pk": "a"}),
        lambda: client.transact_write_items(TransactItems=[{"Put": {"TableName": filled.name, "Item": {"pk": "b"}}}]),
        lambda: client.execute_statement(Statement="DELETE FROM orders WHERE pk = 'a'"),
        lambda: table.table_status,
        table.reload,
        client.list_tables,
        lambda: client.get_waiter("table_exists").wait(TableName=filled.name, WaiterConfig={"MaxAttempts": 1}),
    ):
        with pytest.raises((ClientError, WaiterError), match="InternalServerError"):
            call()
    assert [operation for operation, _ in asked.calls] == ["GetItem"]


def test_a_function_that_was_made_for_writes_answers_them_if_they_were_surely_not_made(filled):
    asked = Asked({"queued": True})
    table = filled.table(retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.function(asked, writes=True))
    filled.proxy.plan = [faults.Throttle()]
    answer = table.put_item(Item={"pk": "new"})
    assert answer["queued"]
    assert answer["ResponseMetadata"]["Resilience"] == {"fallback": "Asked"}
    with pytest.raises(ClientError, match="Throughput"):
        table.reload()
    assert [operation for operation, _ in asked.calls] == ["PutItem"]


def test_no_fallback_is_asked_about_a_write_that_may_have_been_applied(filled):
    asked = Asked({})
    filled.proxy.plan = [faults.LoseReply()]
    with pytest.raises(ConnectionClosedError):
        filled.table(fallback=rddb.fallback.function(asked, writes=True)).update_item(
            Key={"pk": "a"}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": 1}
        )
    assert asked.calls == []


def test_an_async_fallback_is_refused_by_the_sync_table(hardened):
    async def later(_call, _error):
        return {}

    with pytest.raises(TypeError, match=r"resilient_ddb\.aio"):
        hardened("http://127.0.0.1:1").Table("orders", policy=rddb.Policy(fallback=later))
    with pytest.raises(TypeError, match=r"resilient_ddb\.aio"):
        rddb.harden(boto3.Session(), policy=rddb.Policy(fallback=later))
    with pytest.raises(TypeError, match=r"resilient_ddb\.aio"):
        hardened("http://127.0.0.1:1", rddb.Policy(fallback=rddb.fallback.function(later)))


def test_an_open_circuit_says_which_it_is_and_why_and_when_to_come_back(world):
    table = world.table(
        retry=ONCE,
        circuit_breaker=rddb.CircuitBreaker(minimum_calls=4, open_duration=2.0, open_jitter=0.5, window_seconds=10.0),
    )
    world.proxy.plan = OUTAGE
    for _ in range(4):
        with pytest.raises(table.meta.client.exceptions.InternalServerError):
            get(table)
    with pytest.raises(ClientError) as raised:
        get(table)
    error = raised.value
    assert isinstance(error, rddb.CircuitOpenError)
    assert isinstance(error, rddb.ResilienceError)
    assert error.circuit == f"{world.name}/read"
    assert error.state == "open"
    assert error.reason == "4 of 4 attempts failed within 10 s, the last with InternalServerError"
    assert 2.0 <= error.retry_after <= 3.0
    assert error.response["Error"]["Code"] == "CircuitOpen"
    assert error.operation_name == "GetItem"
    assert error.circuit in str(error)
    assert error.reason in str(error)
    assert error.resilience.attempts == 0
    assert error.resilience.stopped_by == "circuit"
    assert error.resilience.ambiguous is False
    world.clock.advance(error.retry_after + 0.001)
    world.proxy.plan = []
    get(table)
