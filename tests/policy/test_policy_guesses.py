"""An argument that there is none of: each public function says which one is meant. Sync and async alike."""

import asyncio
import inspect
from types import SimpleNamespace

import pytest
from both_rims import SYNC_AND_ASYNC
from botocore.config import Config
from botocore.exceptions import ParamValidationError

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults

SESSION = {"region_name": "eu-west-1"}


@pytest.fixture(params=["resilient_ddb", "resilient_ddb.aio"])
def made(request):
    """Return one of everything that has verbs: of the sync or the async half."""
    module = pytest.importorskip(request.param) if "aio" not in request.param else aio()
    table = module.table("orders", **SESSION)
    return SimpleNamespace(
        module=module,
        resource=module.resource("dynamodb", **SESSION),
        table=table,
        sharded=table.sharded(4, by="order_id"),
        versioned=table.versioned(),
    )


def aio():
    pytest.importorskip("aiobotocore")
    return rddb.aio


LIMIT = "max_items, or boto3's Limit, the size of a page"
OF_VERBS = [
    ("table.query_items", (), "limit", LIMIT),
    ("table.query_items", (), "page_size", "Limit"),
    ("table.query_items", (), "rate", "read_units_per_second"),
    ("table.query_items", (), "index", "IndexName"),
    ("table.query_items", (), "key", "KeyConditionExpression"),
    ("table.query_items", (), "consistent_read", "ConsistentRead"),
    ("table.query_items", (), "scan_index_forward", "ScanIndexForward"),
    ("table.query_items", (), "filter_condition", "FilterExpression"),
    ("table.query_items", (), "last_evaluated_key", "ExclusiveStartKey"),
    ("table.query_items", (), "attributes_to_get", "ProjectionExpression"),
    ("table.query_items", (), "max_item", "max_items"),
    ("table.scan_items", (), "limit", LIMIT),
    ("table.scan_items", (), "read_capacity_to_consume_per_second", "read_units_per_second"),
    ("table.get_items", ([],), "consistent", "ConsistentRead"),
    ("table.get_items", ([],), "rcu", "read_units_per_second"),
    ("table.parallel_scan", (), "total_segments", "segments"),
    ("table.parallel_scan", (), "max_workers", "segments"),
    ("table.parallel_scan", (), "rate", "read_units_per_second"),
    ("table.parallel_scan", (), "callback", "on_page"),
    ("table.parallel_scan", (), "checkpoint", "on_page"),
    ("table.parallel_scan", (), "state", "resume"),
    ("table.query_many", ([],), "on_error", "on_shard_error"),
    ("table.query_many", (), "keys", "partition_keys"),
    ("table.query_many_items", ([],), "limit", LIMIT),
    ("table.batch_writer", (), "rate", "write_units_per_second"),
    ("table.batch_writer", (), "wcu", "write_units_per_second"),
    ("table.batch_writer", (), "workers", "max_workers"),
    ("table.batch_writer", (), "max_retries", "max_attempts"),
    ("table.batch_writer", (), "on_error", "on_unprocessed"),
    ("table.batch_writer", (), "on_leftover", "on_unprocessed"),
    ("table.batch_writer", (), "batch_size", "flush_amount"),
    ("table.batch_writer", (), "dedupe", "overwrite_by_pkeys"),
    ("table.sharded", (4,), "random", "by=resilient_ddb.sharding.RANDOM"),
    ("table.sharded", (), "count", "shards"),
    ("table.sharded", (4,), "sep", "separator"),
    ("table.sharded", (4,), "shard_by", "by"),
    ("table.sharded", (4,), "old_shards", "previous"),
    ("table.versioned", (), "field", "attribute"),
    ("table.versioned", (), "token", "write_token"),
    ("table.idempotent_update", (), "token", "ClientRequestToken"),
    ("table.idempotent_update", (), "update_expression", "UpdateExpression"),
    ("sharded.put_item", (), "item", "Item"),
    ("sharded.get_item", (), "key", "Key"),
    ("sharded.update_item", ({},), "condition", "ConditionExpression"),
    ("sharded.query", (), "consistent_read", "ConsistentRead"),
    ("sharded.query_items", (), "limit", LIMIT),
    ("sharded.batch_writer", (), "rate", "write_units_per_second"),
    ("sharded.reshard", (), "keys", "partition_keys"),
    ("sharded.reshard", (), "rate", "write_units_per_second"),
    ("sharded.reshard", (), "progress", "on_page"),
    ("versioned.put_item", ({},), "version", "expected_version"),
    ("versioned.update_item", ({},), "if_version", "expected_version"),
    ("versioned.delete_item", (), "key", "Key"),
    ("versioned.modify", ({},), "func", "change"),
    ("versioned.modify", ({}, print), "retries", "max_attempts"),
    ("versioned.put_action", (), "item", "Item"),
    ("versioned.check_action", ({},), "version", "expected_version"),
    ("versioned.query_items", (), "limit", LIMIT),
    ("module.client", ("dynamodb",), "region", "region_name"),
    ("module.client", ("dynamodb",), "timeout", "policy=resilient_ddb.Policy(...), which says how calls are made"),
    ("module.resource", ("dynamodb",), "retry", "policy=resilient_ddb.Policy(...), which says how calls are made"),
    ("module.resource", ("dynamodb",), "endpoint", "endpoint_url"),
    ("module.resource", ("dynamodb",), "profile_name", "session=boto3.Session(...)"),
    ("module.resource", ("dynamodb",), "time_to_live", "ttl"),
    ("module.table", ("orders",), "host", "endpoint_url"),
    ("module.table", ("orders",), "fallback", "policy=policy.replace(fallback=...)"),
    ("module.table", ("orders",), "ttl_skew", "ttl=TimeToLive('expires_at', skew=...)"),
    ("module.harden", (None,), "observers", "policy=resilient_ddb.Policy(...), which says how calls are made"),
    ("module.set_policy", (None,), "retry", "policy=resilient_ddb.Policy(...), which says how calls are made"),
    ("resource.Table", ("orders",), "fallback", "policy=policy.replace(fallback=...)"),
    ("resource.Table", ("orders",), "timeout", "policy=resilient_ddb.Policy(...), which says how calls are made"),
]
OF_THE_REST = [
    (rddb.RateLimiter, (), "rate", "units_per_second"),
    (rddb.RateLimiter, (5,), "capacity", "burst"),
    (rddb.SharedRateLimiter, (), "table_name", "table"),
    (rddb.SharedRateLimiter, ("t", "n", 5), "lease_seconds", "lease_duration"),
    (rddb.ShardLayout, (), "num_shards", "shards"),
    (rddb.ShardLayout, (4,), "shard_attribute", "attribute"),
    (rddb.TimeToLive, (), "name", "attribute"),
    (rddb.TimeToLive, ("expires_at",), "clock_skew", "skew"),
    (rddb.deadline, (), "timeout", "seconds"),
    (rddb.lambda_deadline, (None,), "reserve", "margin"),
    (rddb.lambda_handler, (), "safety_margin", "margin"),
    (rddb.status, (), "table", "target"),
    (rddb.circuits, (), "client", "target"),
    (rddb.fallback.stale, (), "ttl", "max_age"),
    (rddb.fallback.stale, (), "maxsize", "max_items"),
    (rddb.fallback.replica, (), "region_name", "region"),
    (rddb.fallback.function, (), "func", "called"),
    (rddb.storages.dynamodb, (), "table_name", "table"),
    (rddb.storages.dynamodb, ("t",), "interval", "sync_interval"),
    (rddb.observers.EmfObserver, (), "metric_namespace", "namespace"),
    (rddb.observers.LoggingObserver, (), "slow_call_seconds", "slow_call_duration"),
    (rddb.sharding.time_buckets, ("a",), "granularity", "by"),
    (rddb.ttl.is_expired, ({},), "ttl_attribute", "ttl"),
    (FaultProxy, (), "endpoint_url", "upstream"),
    (FaultProxy, ("http://127.0.0.1:1",), "faults", "plan"),
    (FakeClock, (), "now", "start"),
    (faults.Throttle, (), "count", "times"),
    (faults.Throttle, (), "probability", "rate"),
    (faults.Delay, (), "duration", "seconds"),
]


@pytest.mark.parametrize(("path", "args", "guess", "meant"), OF_VERBS)
def test_a_verb_says_which_argument_is_meant(made, path, args, guess, meant):
    owner, _, verb = path.partition(".")
    with pytest.raises(TypeError) as caught:
        getattr(getattr(made, owner), verb)(*args, **{guess: 1})
    assert str(caught.value) == f"{verb}() has no argument {guess!r}; did you mean {meant}?"


ELSEWHERE = [
    ("get_item", "policy", "policy is for a Table: resource.Table(name, policy=...) has its calls made by that policy"),
    ("put_item", "ttl_seconds", "ttl_seconds is for put_item, on a Table that was made with ttl=..."),
    ("update_item", "expected_version", "expected_version is for a versioned table: "),
    ("query", "max_items", "max_items is for query_items and scan_items; "),
    ("scan", "segments", "segments is for parallel_scan"),
    ("scan", "read_units_per_second", "read_units_per_second is for query_items, scan_items, get_items and "),
    (
        "get_item",
        "timeout",
        "timeout is no parameter of a call: write `with resilient_ddb.deadline(seconds):` around it",
    ),
    (
        "get_item",
        "fallback",
        "fallback is a setting of a policy, which a Table may have for itself: policy=Policy(fallback=",
    ),
    ("get_item", "max_attempts", "max_attempts is a setting of a policy, which a Table may have for itself: "),
    (
        "get_item",
        "read_timeout",
        "read_timeout is a setting of a policy, which a Table may have for itself: policy=Policy(",
    ),
]


@pytest.mark.parametrize("validates", [True, False])
@pytest.mark.parametrize("target", ["table", "client"])
@pytest.mark.parametrize(("verb", "name", "words"), ELSEWHERE)
def test_an_argument_of_ours_that_a_verb_of_boto3s_has_not_is_told_where_it_goes(
    rim, target, verb, name, words, validates
):
    made = rim.table("orders", **SESSION, config=rim.config(parameter_validation=validates))
    called = made if target == "table" else made.meta.client
    given = {} if target == "table" else {"TableName": "orders"}
    with pytest.raises((ParamValidationError, KeyError)) as caught:
        rim.call(getattr(called, verb), {**given, name: 1})
    assert any(note.startswith(words) for note in caught.value.__notes__)


@pytest.fixture(params=SYNC_AND_ASYNC)
def rim(request):
    """Return what makes a Table, and its Config; `call` makes a call, and waits for it."""
    if request.param == "sync":
        return SimpleNamespace(table=rddb.table, config=Config, call=lambda verb, given: verb(**given))
    from aiobotocore.config import AioConfig  # noqa: PLC0415 - there are runs without it

    async def awaited(verb, given):
        return await verb(**given)

    return SimpleNamespace(
        table=rddb.aio.table, config=AioConfig, call=lambda verb, given: asyncio.run(awaited(verb, given))
    )


def test_a_parameter_of_dynamodbs_that_is_misspelt_gets_no_such_words(rim):
    table = rim.table("orders", **SESSION)
    with pytest.raises(ParamValidationError) as caught:
        rim.call(table.get_item, {"key": {"id": "1"}})
    assert len(caught.value.__notes__) == 1


@pytest.mark.parametrize("path", ["sharded.get_item", "versioned.put_item"])
def test_a_verb_of_ours_says_where_an_argument_goes_that_it_has_not(made, path):
    owner, _, verb = path.partition(".")
    with pytest.raises(TypeError, match=r"has no argument 'policy'; it takes .*; policy is for a Table: "):
        getattr(getattr(made, owner), verb)({}, policy=rddb.Policy())


@pytest.mark.parametrize(("called", "args", "guess", "meant"), OF_THE_REST)
def test_what_is_made_says_which_argument_is_meant(called, args, guess, meant):
    with pytest.raises(TypeError) as caught:
        called(*args, **{guess: 1})
    assert str(caught.value) == f"{called.__name__}() has no argument {guess!r}; did you mean {meant}?"


def test_what_looks_like_nothing_is_told_what_there_is(made):
    with pytest.raises(TypeError, match=r"wibble'; it takes max_items, read_units_per_second, DynamoDB's parameters$"):
        made.table.query_items(wibble=1)
    with pytest.raises(TypeError, match=r"client\(\) has no argument 'wibble'; it takes policy, session, ttl"):
        made.module.client("dynamodb", wibble=1)
    with pytest.raises(TypeError, match=r"versioned\(\) has no argument 'wibble'; it takes attribute, write_token$"):
        made.table.versioned(wibble=1)


def test_a_random_shard_is_no_attribute_of_that_name(made):
    for by in ("random", "RANDOM"):
        with pytest.raises(ValueError, match=r"write by=resilient_ddb\.sharding\.RANDOM .* or by=\["):
            made.table.sharded(4, by=by)
    assert made.table.sharded(4, by=["random"]) is not None


def test_what_is_for_another_function_is_handed_on():
    limiter = rddb.SharedRateLimiter("leases", "load", 5, **SESSION, endpoint_url="http://127.0.0.1:1")
    assert "load" in repr(limiter)
    with pytest.raises(TypeError, match=r"table\(\) has no argument 'region'; did you mean region_name\?"):
        rddb.SharedRateLimiter("leases", "load", 5, region="eu-west-1")


def test_dynamodbs_parameters_are_passed_on(made):
    made.table.query_items(IndexName="by-status", Select="ALL_ATTRIBUTES")
    assert list(inspect.signature(made.table.batch_writer).parameters)[:2] == ["overwrite_by_pkeys", "flush_amount"]


@pytest.mark.parametrize(
    ("cls", "guess", "meant"),
    [
        (rddb.Retry, "tries", "it is Retry(max_attempts=...)"),
        (rddb.Retry, "multiplier", "it is Retry(base_delay=...)"),
        (rddb.Retry, "stop_after_attempt", "it is Retry(max_attempts=...)"),
        (rddb.Retry, "jitter", "pauses have full jitter"),
        (rddb.CircuitBreaker, "failureRateThreshold", "it is CircuitBreaker(failure_rate_threshold=...)"),
        (rddb.CircuitBreaker, "waitDurationInOpenState", "it is CircuitBreaker(open_duration=...)"),
        (rddb.CircuitBreaker, "timeout_duration", "it is CircuitBreaker(open_duration=...)"),
        (rddb.CircuitBreaker, "exclude", "what is the application's own"),
        (rddb.Policy, "base_backoff_ms", "it is Retry(base_delay=...)"),
        (rddb.Policy, "connect_timeout_seconds", "it is Timeouts(connect=...)"),
        (rddb.Policy, "max_pool_connections", "it is set in botocore's Config"),
        (rddb.Policy, "metrics", "it is Policy(observers=...)"),
    ],
)
def test_words_of_other_libraries_are_known(cls, guess, meant):
    with pytest.raises(TypeError) as caught:
        cls(**{guess: 1})
    assert meant in str(caught.value)


WITHOUT_NAMES = {"call_facts", "classify", "no_deadline", "response_info"}  # they take what they are about, by position
OF_THE_SDK = {"client", "resource", "table"}  # they are held against boto3's arguments


def public_functions():
    for name in ("", "fallback", "sharding", "spark", "storages", "ttl"):
        module = getattr(rddb, name) if name else rddb
        for one in set(module.__all__) - {"aio"}:  # a room, which can't be loaded without aiobotocore
            value = getattr(module, one)
            if inspect.isfunction(value) and one not in WITHOUT_NAMES | OF_THE_SDK:
                yield f"{module.__name__}.{one}", value


def verbs_of(table):
    """Yield the verbs that this library has written. Those that hand on to boto3, or only refuse, take any argument."""
    for cls in type(table).__mro__:
        for name, value in vars(cls).items() if cls.__module__.startswith("resilient_ddb.") else ():
            if not name.startswith("_") and inspect.isfunction(value):
                signature = inspect.signature(value)
                is_own = signature.parameters.keys() - {"self", "args", "kwargs"}
                if is_own and signature.return_annotation != "NoReturn":
                    yield f"{cls.__name__}.{name}", value


def test_every_public_function_names_what_is_meant():
    assert [name for name, value in public_functions() if not hasattr(value, "__wrapped__")] == []


def test_every_verb_names_what_is_meant(made):
    tables = (made.table, made.sharded, made.versioned)
    assert [name for one in tables for name, value in verbs_of(one) if not hasattr(value, "__wrapped__")] == []


BY_POSITION = [
    (lambda made: made.table.sharded, (3, "x"), "sharded() takes shards by position, and the others by name"),
    (lambda made: made.sharded.put_item, ({}, "x"), "put_item() takes Item by position, and the others by name"),
    (lambda made: made.table.query_items, ("x",), "query_items() takes its arguments by name, such as query_items("),
    (lambda _: rddb.RateLimiter, (5, 6), "RateLimiter() takes units_per_second by position, and the others by"),
    (lambda _: rddb.lambda_deadline, (1, 2, 3), "lambda_deadline() takes context and margin by position, and no more"),
    (lambda _: rddb.observers.EmfObserver, ("shop",), "by name, such as EmfObserver(namespace=...)"),
]


@pytest.mark.parametrize(("called", "args", "said"), BY_POSITION)
def test_an_argument_too_many_by_position_is_told_how_it_is_given(made, called, args, said):
    with pytest.raises(TypeError) as raised:
        called(made)(*args)
    assert said in str(raised.value)


def test_no_function_leaves_an_argument_too_many_to_python(made):
    tables = (made.table, made.sharded, made.versioned)
    verbs = {name: getattr(one, name.rpartition(".")[2]) for one in tables for name, _ in verbs_of(one)}
    for name, function in {**dict(public_functions()), **verbs}.items():
        if not any(each.kind is each.VAR_POSITIONAL for each in inspect.signature(function).parameters.values()):
            with pytest.raises(TypeError, match=rf"^{name.rpartition('.')[2]}\(\) takes .*(by position|by name)"):
                function(*range(20))
