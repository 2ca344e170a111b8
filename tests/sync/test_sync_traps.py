"""The traps that real libraries fell into."""

import ast
import copy
import logging
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import botocore.session
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from cycle_support import collected_afterwards
from emulators import CREDENTIALS, REGION
from sdk_support import handlers_at
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb.observers import LoggingObserver
from resilient_ddb.testing import faults

SOURCES = sorted(Path(rddb.__file__).parent.rglob("*.py"))
PROGRAMS = {"demo", "bulk"}
LIBRARY = [source for source in SOURCES if not PROGRAMS & set(source.parts)]
SECRET = "secret-marker-4711"
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}


def handlers_of(client):
    """Return every handler of DynamoDB's events on a client, with the event that it is for."""
    events = [
        f"{event}.dynamodb.GetItem"
        for event in (
            "needs-retry",
            "request-created",
            "provide-client-params",
            "before-parameter-build",
            "before-call",
            "before-send",
            "response-received",
            "after-call",
        )
    ]
    return [(event, handler) for event in events for handler in handlers_at(client, event)]


# One retry layer.


def test_the_sdks_retries_are_out_of_the_way(hardened):
    for mode in ("legacy", "standard", None):
        config = Config(retries={"mode": mode}) if mode else None
        client = hardened("http://127.0.0.1:1", config=config).meta.client
        modules = {handler.__module__ for event, handler in handlers_of(client) if event.startswith("needs-retry")}
        assert modules == {"resilient_ddb.hooks.handlers"}
        # The SDK's quota is told of answers still, but nobody asks it any more.
        elsewhere = {handler.__module__ for event, handler in handlers_of(client) if not event.startswith("after-call")}
        assert not {module for module in elsewhere if module.startswith("botocore.retr")}


def test_a_request_is_not_said_to_have_a_number_of_attempts_that_is_not_ours(world):
    world.proxy.plan = [faults.Throttle(times=2)]
    world.table().get_item(Key={"pk": "a"})
    stated = [seen.headers["amz-sdk-request"] for seen in world.proxy.seen]
    assert ["attempt=1" in stated[0], "attempt=2" in stated[1], "attempt=3" in stated[2]] == [True] * 3
    assert not [text for text in stated if "max=" in text]


def test_the_response_counts_the_retries(world):
    world.proxy.plan = [faults.Throttle(times=3)]
    assert world.table().get_item(Key={"pk": "a"})["ResponseMetadata"]["RetryAttempts"] == 3


def test_no_private_switch_of_the_sdk_is_imported():
    imported = {}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    imported.setdefault(f"{node.module}.{alias.name}", source.name)
    names = [name for name in imported if name.startswith(("botocore", "aiobotocore"))]
    assert names
    assert not [name for name in names if "RETRIES" in name or ".retries" in name or ".retryhandler" in name]
    assert not [name for name in names if name.rpartition(".")[2].startswith("_")]


def test_the_same_number_of_requests_is_made_whatever_the_sdks_default_is(world):
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(ClientError):
        world.table(retry_budget=None).get_item(Key={"pk": "a"})
    assert world.proxy.count() == 10


# The emitter.


def test_fifty_tables_leave_the_number_of_handlers_as_it_was(hardened):
    dynamodb = hardened("http://127.0.0.1:1")
    dynamodb.Table("orders")
    before = handlers_of(dynamodb.meta.client)
    with collected_afterwards():
        tables = [dynamodb.Table(f"table{number}") for number in range(50)]
        assert handlers_of(dynamodb.meta.client) == before
        del tables
    assert handlers_of(dynamodb.meta.client) == before


def test_values_are_converted_once_however_often_the_resource_and_its_tables_are_made(
    proxy, dynamodb_local, make_table
):
    name = make_table(dynamodb_local.endpoint_url)
    session = rddb.harden(boto3.Session(region_name=REGION, **CREDENTIALS))
    for _ in range(5):
        table = session.resource("dynamodb", endpoint_url=proxy.endpoint_url).Table(name)
        rddb.harden(table)
        table.put_item(Item={"pk": "a", "m": {"S": "not a type"}})
        assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a", "m": {"S": "not a type"}}
        codecs = ("boto3.dynamodb.transform", "resilient_ddb.hooks.values")
        events = [event for event, handler in handlers_of(table.meta.client) if handler.__module__ in codecs]
        assert len(events) == len(set(events)) == 3
        table.meta.client.close()


def test_a_low_level_client_of_the_same_session_stays_low_level(hardened, dynamodb_local, make_table, opened):
    session = boto3.Session(region_name=REGION, **CREDENTIALS)
    name = make_table(dynamodb_local.endpoint_url)
    hardened(dynamodb_local.endpoint_url, session=session).Table(name).put_item(Item={"pk": "a"})
    for make in (rddb.client, lambda *args, session, **options: session.client(*args, **options)):
        client = make("dynamodb", session=session, endpoint_url=dynamodb_local.endpoint_url)
        opened.callback(client.close)
        assert client.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"] == {"pk": {"S": "a"}}


def test_a_plain_resource_made_around_a_hardened_client_takes_native_values(
    hardened, dynamodb_local, make_table, opened
):
    """boto3 registers its codec anew with each resource object, under ids that it counts on."""
    session = rddb.harden(boto3.Session(region_name=REGION, **CREDENTIALS))
    name = make_table(dynamodb_local.endpoint_url)
    first = session.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    opened.callback(first.meta.client.close)
    second = hardened(dynamodb_local.endpoint_url, session=session)
    for table in (first.Table(name), second.Table(name), first.Table(name)):
        table.put_item(Item={"pk": "a", "s": {1}})
        assert table.query(KeyConditionExpression=Key("pk").eq("a"))["Items"] == [{"pk": "a", "s": {1}}]


# Timeouts and deadlines.


def test_a_hanging_attempt_does_not_outlive_a_lambda(hardened):
    config = hardened("http://127.0.0.1:1").meta.client.meta.config
    assert config.read_timeout == 5.0
    assert config.connect_timeout == 1.0


def test_no_back_off_begins_that_would_end_after_the_deadline(world):
    world.proxy.plan = [faults.Throttle(retry_after_ms=900)]
    start = world.clock.monotonic()
    with rddb.deadline(2.5, clock=world.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        world.table().get_item(Key={"pk": "a"})
    assert world.proxy.count() == 3  # at 0.0, 0.9 and 1.8 seconds
    assert world.clock.monotonic() - start == pytest.approx(1.8, abs=0.1)
    assert raised.value.resilience.stopped_by == "deadline"
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert isinstance(raised.value.__cause__, ClientError)


def test_nothing_is_sent_once_the_deadline_has_passed(world):
    table = world.table()
    with rddb.deadline(1.0, clock=world.clock):
        table.get_item(Key={"pk": "a"})
        world.clock.advance(1.0)
        with pytest.raises(rddb.DeadlineExceededError):
            table.get_item(Key={"pk": "a"})
    assert world.proxy.count() == 1
    table.get_item(Key={"pk": "a"})


# Conditions.


@pytest.fixture
def hectic_threads():
    """Threads take turns as often as the interpreter allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hectic_threads")
def test_threads_that_share_a_table_get_the_answers_to_their_own_questions(dynamodb_local, hardened, make_table):
    """boto3's builder of conditions is one object a resource, which two threads race for."""
    table = hardened(dynamodb_local.endpoint_url).Table(make_table(dynamodb_local.endpoint_url, sort_key="sk"))
    with table.batch_writer() as batch:
        for thread in range(8):
            for number in range(5):
                batch.put_item(Item={"pk": f"p{thread}", "sk": str(number), "owner": thread, "n": number})
    barrier = threading.Barrier(8)

    def ask(thread):
        barrier.wait()
        wrong = 0
        for number in range(60):
            items = table.query(
                KeyConditionExpression=Key("pk").eq(f"p{thread}") & Key("sk").gte("1"),
                FilterExpression=Attr("owner").eq(thread) & Attr("n").ne(number % 5),
            )["Items"]
            expected = [n for n in range(1, 5) if n != number % 5]
            wrong += [(item["owner"], item["n"]) for item in items] != [(thread, n) for n in expected]
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [0] * 8


def test_attributes_can_be_read_while_other_threads_write(dynamodb_local, hardened, make_table):
    """boto3 reads `meta.data` twice; a write on another thread clears it in between."""
    table = hardened(dynamodb_local.endpoint_url).Table(make_table(dynamodb_local.endpoint_url))
    done = threading.Event()

    def write(thread):
        for number in range(40):
            table.put_item(Item={"pk": f"{thread}-{number}"})

    def read():
        seen = set()
        while not done.is_set():
            seen.add((table.table_status, table.table_name, len(table.key_schema)))
        return seen

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for writer in [pool.submit(write, thread) for thread in range(4)]:
            writer.result()
        done.set()
        assert {state for reader in readers for state in reader.result()} == {("ACTIVE", table.name, 1)}


class Cleared:
    """A Table's meta whose data another thread clears as soon as it has been looked at."""

    def __init__(self, meta):
        self.__dict__["meta"] = meta

    def __getattr__(self, name):
        found = getattr(self.meta, name)
        if name == "data":
            self.meta.data = None
        return found

    def __setattr__(self, name, value):
        setattr(self.meta, name, value)


def test_an_attribute_is_read_in_one_look(dynamodb_local, hardened, plain, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    theirs, ours = (make(dynamodb_local.endpoint_url).Table(name) for make in (plain, hardened))
    for table in (theirs, ours):
        table.load()
        table.meta = Cleared(table.meta)
    with pytest.raises(AttributeError):
        theirs.table_status  # noqa: B018 - this is what goes wrong with boto3's own
    assert ours.table_status == "ACTIVE"


def test_a_condition_never_overwrites_the_callers_own_placeholders(world):
    """A filter that meant "ACTIVE" was sent as "tenantA"."""
    for pk, status in (("1", "ACTIVE"), ("2", "tenantA")):
        world.direct.put_item(Item={"pk": pk, "status": status, "tenant": "tenantA"})
    found = world.table().scan(
        FilterExpression=Attr("tenant").eq("tenantA"),
        ProjectionExpression="#n0",
        ExpressionAttributeNames={"#n0": "pk"},
    )
    assert sorted(item["pk"] for item in found["Items"]) == ["1", "2"]
    updated = world.table().update_item(
        Key={"pk": "1"},
        UpdateExpression="SET #n0 = :v0",
        ConditionExpression=Attr("tenant").eq("tenantA"),
        ExpressionAttributeNames={"#n0": "status"},
        ExpressionAttributeValues={":v0": "DONE"},
        ReturnValues="ALL_NEW",
    )
    assert updated["Attributes"] == {"pk": "1", "status": "DONE", "tenant": "tenantA"}


def test_a_collision_with_the_reserved_prefix_too_is_refused(world):
    with pytest.raises(ValueError, match="rddb_"):
        world.table().update_item(
            Key={"pk": "1"},
            UpdateExpression="SET #n0 = :rddb_v0",
            ConditionExpression=Attr("tenant").eq("a"),
            ExpressionAttributeNames={"#n0": "status"},
            ExpressionAttributeValues={":rddb_v0": "DONE"},
        )
    assert world.proxy.count() == 0


def test_the_callers_parameters_are_left_as_they_are(world):
    names, values = {"#t": "t"}, {":t": 1}
    condition = Attr("pk").not_exists()
    item = {"pk": "a", "deep": {"list": [1, {"s": {1}}]}}
    table = world.table()
    table.put_item(Item=item, ConditionExpression=condition)
    table.update_item(
        Key={"pk": "a"},
        UpdateExpression="SET #t = :t",
        ConditionExpression=Attr("pk").exists(),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )
    assert (names, values) == ({"#t": "t"}, {":t": 1})
    assert item == {"pk": "a", "deep": {"list": [1, {"s": {1}}]}}


# The breaker.


def outcomes(world, table, plan, calls=60):
    world.proxy.plan = plan
    raised = []
    for _ in range(calls):
        try:
            table.get_item(Key={"pk": "a"})
        except (ClientError, BotoCoreError) as error:
            raised.append(type(error).__name__)
    return raised


def test_eighty_percent_of_failures_open_the_circuit_though_they_never_come_five_in_a_row(world):
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=10))
    raised = outcomes(world, table, [faults.Delay(seconds=0, every=5), faults.ServerError()], 20)
    assert raised[:9] == ["InternalServerError"] * 9  # eight of the first ten, and one of the next
    assert raised[9:] == ["CircuitOpenError"] * 9


@pytest.mark.parametrize(
    "fault",
    [
        faults.Throttle(),
        faults.ErrorResponse(code="ConditionalCheckFailedException"),
        faults.ErrorResponse(code="ValidationException"),
        faults.ErrorResponse(code="ResourceNotFoundException"),
        faults.ErrorResponse(code="AccessDeniedException"),
    ],
    ids=lambda fault: fault.code,
)
def test_what_is_no_sign_of_an_outage_never_opens_a_circuit(world, fault):
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=2))
    assert "CircuitOpenError" not in outcomes(world, table, [fault])


@pytest.mark.parametrize("fault", [faults.ServerError(), faults.ResetBefore(), faults.HtmlError(), faults.BadCrc()])
def test_what_is_a_sign_of_an_outage_opens_the_circuit(world, fault):
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=5))
    raised = outcomes(world, table, [fault], 10)
    assert raised.count("CircuitOpenError") == 5


def test_a_circuit_is_of_one_table_and_of_reads_or_writes(world, dynamodb_local, make_table):
    other = make_table(dynamodb_local.endpoint_url)
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=2))
    outcomes(world, table, [faults.ServerError(operations={"GetItem"}, table=world.name)], 5)
    with pytest.raises(rddb.CircuitOpenError) as raised:
        table.query(KeyConditionExpression=Key("pk").eq("a"))
    assert raised.value.circuit == f"{world.name}/read"
    table.put_item(Item={"pk": "a"})
    table.load()
    table.meta.client.get_item(TableName=other, Key={"pk": "a"})


def test_an_open_circuit_closes_again_after_good_probes(world):
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=2))
    outcomes(world, table, [faults.ServerError()], 3)
    assert outcomes(world, table, [], 3) == ["CircuitOpenError"] * 3
    world.clock.advance(3.1)
    assert outcomes(world, table, [], 10) == []
    assert rddb.circuits(table)["read"].state == "closed"


# What is told to whom.


def everything_told(caplog, error):
    texts = [record.getMessage() + str(record.__dict__) for record in caplog.records if "resilient" in record.name]
    texts += getattr(error, "__notes__", [])
    texts.append(str(getattr(error, "resilience", "")))
    return "\n".join(texts)


FAILURES = [
    faults.Throttle(),
    faults.ServerError(),
    faults.LoseReply(),
    faults.BadJson(),
    faults.ErrorResponse(code="ValidationException"),
    faults.ErrorResponse(code="ConditionalCheckFailedException", extra={"Item": {"pk": {"S": SECRET}}}),
]


@pytest.mark.parametrize("fault", FAILURES, ids=lambda fault: type(fault).__name__)
def test_no_value_of_an_item_is_told_by_logs_events_notes_or_facts(world, caplog, fault):
    caplog.set_level(logging.DEBUG, logger="resilient_ddb")
    events = []
    table = world.table(
        observers=[LoggingObserver(), events.append],
        circuit_breaker=rddb.CircuitBreaker(minimum_calls=8),
        fallback=rddb.fallback.stale() | (lambda _call, _error: None),
    )
    world.proxy.plan = [fault]
    calls = [
        lambda: table.put_item(Item={"pk": SECRET, "v": SECRET}, ConditionExpression=Attr("v").ne(SECRET)),
        lambda: table.get_item(Key={"pk": SECRET}),
        lambda: table.update_item(Key={"pk": SECRET}, **ADD),
    ]
    for call in calls:
        with pytest.raises((ClientError, BotoCoreError)) as raised:
            call()
        told = everything_told(caplog, raised.value) + str(events)
        assert world.name in told
        assert SECRET not in told
        for credential in CREDENTIALS.values():
            assert f"'{credential}'" not in told
    assert events
    assert caplog.records


def test_an_observer_that_fails_is_logged_without_values_and_fails_no_call(world, caplog):
    def failing(event):
        raise RuntimeError(f"cannot count {event.operation}")

    table = world.table(observers=[failing])
    for _ in range(3):
        table.put_item(Item={"pk": SECRET})
    mine = [record for record in caplog.records if record.name == "resilient_ddb"]
    assert len(mine) == 1
    assert SECRET not in mine[0].getMessage()


def test_the_levels_of_the_sdks_loggers_are_left_alone(world):
    before = {name: logging.getLogger(name).level for name in ("", "botocore", "boto3", "urllib3", "resilient_ddb")}
    world.proxy.plan = [faults.LoseReply(times=1)]
    world.table(observers=[LoggingObserver()]).put_item(Item={"pk": "a"})
    assert {name: logging.getLogger(name).level for name in before} == before
    assert not any("setLevel" in source.read_text() or "set_stream_logger" in source.read_text() for source in LIBRARY)


# Tenants.


def get(table, key="a"):
    return table.get_item(Key={"pk": key})


def test_a_stale_answer_is_never_given_to_other_credentials_or_another_region(dynamodb_local, proxy, opened, clock):
    shared = rddb.fallback.stale()
    tables = {}
    for who, region in (("tenantA", "eu-west-1"), ("tenantB", "eu-west-1"), ("tenantA", "us-east-1")):
        session = boto3.Session(region_name=region, aws_access_key_id=who, aws_secret_access_key="x")
        policy = rddb.Policy(clock=clock, fallback=shared, retry=rddb.Retry(max_attempts=1))
        dynamodb = rddb.resource("dynamodb", session=session, policy=policy, endpoint_url=proxy.endpoint_url)
        opened.callback(dynamodb.meta.client.close)
        made = dynamodb.create_table(
            TableName="tenants",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        opened.callback(made.delete)
        made.put_item(Item={"pk": "a", "of": who, "in": region})
        tables[who, region] = made
    get(tables["tenantA", "eu-west-1"])
    proxy.plan = [faults.ServerError(operations={"GetItem"})]
    assert get(tables["tenantA", "eu-west-1"])["Item"] == {"pk": "a", "of": "tenantA", "in": "eu-west-1"}
    for other in (("tenantB", "eu-west-1"), ("tenantA", "us-east-1")):
        with pytest.raises(ClientError, match="InternalServerError"):
            get(tables[other])
    assert dynamodb_local  # two regions and two access keys are four databases there


# Pickles and error objects.


def test_a_table_pickles_as_a_recipe_without_credentials(dynamodb_local, make_table, opened, monkeypatch):
    name = make_table(dynamodb_local.endpoint_url)
    session = boto3.Session(
        region_name=REGION,
        aws_access_key_id="AKIAPICKLED",
        aws_secret_access_key="very-secret-key",
        aws_session_token="session-token",
    )
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=3), fallback=rddb.fallback.stale(max_age=7))
    dynamodb = rddb.resource("dynamodb", session=session, endpoint_url=dynamodb_local.endpoint_url, policy=policy)
    opened.callback(dynamodb.meta.client.close)
    own = policy.replace(fallback=rddb.fallback.response({"Item": {}}))
    pickled = pickle.dumps(dynamodb.Table(name, policy=own))
    for secret in (b"AKIAPICKLED", b"very-secret-key", b"session-token"):
        assert secret not in pickled
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    table = pickle.loads(pickled)  # noqa: S301 - made above
    opened.callback(table.meta.client.close)
    assert isinstance(table, rddb.ResilientTable)
    assert table.name == name
    table.put_item(Item={"pk": "a", "n": 1})
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a", "n": 1}
    found = rddb.status(table).policy
    assert found.retry.max_attempts == 3
    assert type(found.fallback) is type(own.fallback)
    assert type(core_of(table).client_policy.fallback) is type(policy.fallback)


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_a_copied_table_keeps_its_client_and_so_its_credentials(hardened, make_copy):
    session = boto3.Session(region_name=REGION, aws_access_key_id="AKIAOTHER", aws_secret_access_key="x")
    table = hardened("http://127.0.0.1:1", session=session).Table(
        "orders", policy=rddb.Policy(fallback=rddb.fallback.response({}))
    )
    made = make_copy(table)
    assert made == table
    assert made is not table
    assert made.meta.client is table.meta.client


def test_the_error_that_is_raised_is_of_the_clients_own_class(world):
    table = world.table()
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(table.meta.client.exceptions.ProvisionedThroughputExceededException) as raised:
        table.get_item(Key={"pk": "a"})
    error = raised.value
    assert type(error) is table.meta.client.exceptions.ProvisionedThroughputExceededException
    assert isinstance(error, ClientError)
    assert error.operation_name == "GetItem"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "(reached max retries: 9)" in str(error)


def test_the_original_error_after_a_lost_reply_is_of_the_clients_own_class(world):
    """The 500 is raised in place of a failed condition that could be the call's own doing."""
    world.direct.put_item(Item={"pk": "a", "n": 1})
    table = world.table()
    world.proxy.plan = [faults.ServerError(applied=True, times=1)]
    with pytest.raises(table.meta.client.exceptions.InternalServerError) as raised:
        table.update_item(
            Key={"pk": "a"},
            UpdateExpression="SET n = :new",
            ConditionExpression="n = :old",
            ExpressionAttributeValues={":new": 2, ":old": 1},
        )
    assert raised.value.resilience.ambiguous is True
    assert raised.value.resilience.attempts == 2


def test_our_own_errors_can_be_pickled(world):
    table = world.table(retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=1))
    outcomes(world, table, [faults.ServerError()], 1)
    with pytest.raises(rddb.CircuitOpenError) as raised:
        get(table)
    restored = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - made here
    assert type(restored) is rddb.CircuitOpenError
    assert (restored.circuit, restored.state, restored.retry_after) == (
        raised.value.circuit,
        raised.value.state,
        raised.value.retry_after,
    )
    assert restored.resilience == raised.value.resilience


# Imports.


def test_redis_pybreaker_and_aiohttp_are_not_imported_by_the_happy_path(dynamodb_local, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    program = f"""
import sys
import resilient_ddb as rddb
table = rddb.table({name!r}, endpoint_url={dynamodb_local.endpoint_url!r})
table.put_item(Item={{"pk": "a"}})
assert table.get_item(Key={{"pk": "a"}})["Item"] == {{"pk": "a"}}
loaded = {{"redis", "pybreaker", "tenacity", "aiohttp", "aiobotocore", "asyncio"}} & set(sys.modules)
print(*sorted(loaded))
"""
    done = subprocess.run(  # noqa: S603 - this interpreter, and the program above
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not {"redis", "pybreaker", "tenacity", "aiohttp", "aiobotocore"} & set(done.stdout.split())


# Interrupted.


def test_a_call_that_is_interrupted_gives_its_permit_back(world):
    table = world.table(
        retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=1, half_open_permits=1)
    )
    outcomes(world, table, [faults.ServerError()], 1)
    world.clock.advance(3.1)
    world.proxy.plan = []

    def interrupt(**_):
        raise KeyboardInterrupt

    events = table.meta.client.meta.events
    events.register("before-send.dynamodb", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(table)
    events.unregister("before-send.dynamodb", interrupt)
    assert get(table)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_an_error_before_anything_is_sent_takes_no_permit(world):
    table = world.table(
        retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=1, half_open_permits=1)
    )
    outcomes(world, table, [faults.ServerError()], 1)
    world.clock.advance(3.1)
    world.proxy.plan = []
    for _ in range(3):
        with pytest.raises(TypeError, match="Float types are not supported"):
            table.query(KeyConditionExpression=Key("pk").eq(0.5))
    assert get(table)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_lost_reply_is_never_a_success_of_the_add(world):
    world.proxy.plan = [faults.LoseReply(times=1)]
    with pytest.raises(ConnectionClosedError):
        world.table().update_item(Key={"pk": "a"}, **ADD)
    assert world.stored() == {"pk": "a", "n": 1}


def test_botocores_own_session_is_left_alone_by_a_replicas_client(world):
    assert botocore.session.get_session() is not botocore.session.get_session()
    table = world.table(fallback=rddb.fallback.replica("us-east-1", endpoint_url=world.proxy.endpoint_url))
    world.proxy.plan = [faults.ServerError(times=10)]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        get(table)
    assert len([seen for seen in world.proxy.seen if "/us-east-1/" in seen.headers["authorization"]]) == 1
