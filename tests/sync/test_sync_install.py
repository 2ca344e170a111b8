"""`install` hardens what exists, and never makes a second retry layer."""

import contextlib
import importlib.util
import threading

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from emulators import CREDENTIALS, REGION

import resilient_ddb as rddb
from resilient_ddb.calls.core import Core
from resilient_ddb.hooks import host
from resilient_ddb.sync.clients import ResilientClient
from resilient_ddb.testing import FakeClock, FaultProxy, faults

ACCESS = {"region_name": REGION, **CREDENTIALS}


def attempts(number):
    return rddb.Policy(retry=rddb.Retry(max_attempts=number), clock=FakeClock())


def on_session(session, policy, **arguments):
    rddb.harden(session, policy=policy)
    return session.client("dynamodb", **arguments)


def on_session_for_a_resource(session, policy, **arguments):
    rddb.harden(session, policy=policy)
    return session.resource("dynamodb", **arguments).Table("orders").meta.client


def on_botocores_session(session, policy, **arguments):
    del session
    core = rddb.harden(botocore.session.get_session(), policy=policy)
    return core.create_client("dynamodb", **{**ACCESS, **arguments})


def on_session_and_resource(session, policy, **arguments):
    rddb.harden(session, policy=attempts(2))
    return rddb.resource("dynamodb", session=session, policy=policy, **arguments).Table("orders").meta.client


def on_client(session, policy, **arguments):
    return rddb.harden(session.client("dynamodb", **arguments), policy=policy)


def on_resource(session, policy, **arguments):
    return rddb.harden(session.resource("dynamodb", **arguments), policy=policy).Table("orders").meta.client


def on_table(session, policy, **arguments):
    return rddb.harden(session.resource("dynamodb", **arguments).Table("orders"), policy=policy).meta.client


def made_anew(session, policy, **arguments):
    return rddb.client("dynamodb", session=session, policy=policy, **arguments)


WAYS = [
    on_session,
    on_session_for_a_resource,
    on_botocores_session,
    on_session_and_resource,
    on_client,
    on_resource,
    on_table,
    made_anew,
]


def requests_under_throttling(proxy, client):
    proxy.plan = [faults.Throttle()]
    proxy.clear()
    with pytest.raises(ClientError, match="ProvisionedThroughput"):
        client.list_tables()
    return proxy.count()


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_there_is_exactly_one_retry_layer(proxy, opened, way, mode):
    config = Config(retries={"mode": mode})
    client = way(boto3.Session(**ACCESS), attempts(7), endpoint_url=proxy.endpoint_url, config=config)
    opened.callback(client.close)
    assert requests_under_throttling(proxy, client) == 7


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_hardening_again_replaces_the_policy(proxy, opened, way, mode):
    config = Config(retries={"mode": mode})
    client = way(boto3.Session(**ACCESS), attempts(7), endpoint_url=proxy.endpoint_url, config=config)
    opened.callback(client.close)
    for _ in range(3):
        assert rddb.harden(client, policy=attempts(3)) is client
    assert requests_under_throttling(proxy, client) == 3


def test_hardening_a_session_again_replaces_the_policy_of_what_it_makes(proxy, opened):
    session = boto3.Session(**ACCESS)
    for number in (7, 5, 3):
        assert rddb.harden(session, policy=attempts(number)) is session
    for client in (
        session.client("dynamodb", endpoint_url=proxy.endpoint_url),
        session.resource("dynamodb", endpoint_url=proxy.endpoint_url).meta.client,
    ):
        opened.callback(client.close)
        assert requests_under_throttling(proxy, client) == 3


def test_threads_that_harden_one_client_at_once_share_its_circuits(opened, monkeypatch):
    client = boto3.Session(**ACCESS).client("dynamodb")
    opened.callback(client.close)
    meeting, made = threading.Barrier(2), []

    class NotedCore(Core):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(0.5)

    monkeypatch.setattr(host, "Core", NotedCore)
    threads = [threading.Thread(target=rddb.harden, args=(client,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert type(client).__mro__.count(ResilientClient) == 1


def test_a_hardened_session_leaves_its_other_services_alone(opened):
    session = rddb.harden(boto3.Session(**ACCESS))
    client = session.client("sqs")
    opened.callback(client.close)
    assert not hasattr(client, "_resilience")


def test_other_sessions_stay_plain(opened):
    rddb.harden(boto3.Session(**ACCESS))
    client = boto3.Session(**ACCESS).client("dynamodb")
    opened.callback(client.close)
    assert not hasattr(client, "_resilience")


def test_a_hardened_resource_gives_resilient_tables_with_options(dynamodb_local, plain, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    dynamodb = plain(dynamodb_local.endpoint_url)
    assert rddb.harden(dynamodb) is dynamodb
    assert isinstance(dynamodb, rddb.ResilientServiceResource)
    table = dynamodb.Table(name, policy=rddb.Policy(fallback=rddb.fallback.stale()))
    assert isinstance(table, rddb.ResilientTable)
    table.put_item(Item={"pk": "a", "n": 1})
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a", "n": 1}


def test_a_hardened_table_works_on_as_a_table(dynamodb_local, plain, make_table):
    table = plain(dynamodb_local.endpoint_url).Table(make_table(dynamodb_local.endpoint_url))
    before = hash(table), repr(table)
    assert rddb.harden(table) is table
    assert isinstance(table, rddb.ResilientTable)
    assert (hash(table), repr(table)) == before
    table.put_item(Item={"pk": "a", "s": {1, 2}})
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a", "s": {1, 2}}
    with table.batch_writer() as batch:
        batch.put_item(Item={"pk": "b"})
    assert table.scan(Select="COUNT")["Count"] == 2
    assert table.table_status == "ACTIVE"


def test_a_hardened_low_level_client_keeps_typed_values(dynamodb_local, plain, make_table, opened):
    name = make_table(dynamodb_local.endpoint_url)
    client = boto3.Session(**ACCESS).client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    opened.callback(client.close)
    rddb.harden(client)
    client.put_item(TableName=name, Item={"pk": {"S": "a"}})
    assert client.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"] == {"pk": {"S": "a"}}
    assert plain(dynamodb_local.endpoint_url).Table(name).get_item(Key={"pk": "a"})["Item"] == {"pk": "a"}


def test_hardening_again_leaves_an_open_circuit_open(proxy, opened):
    policy = rddb.Policy(
        retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=2), clock=FakeClock()
    )
    client = made_anew(boto3.Session(**ACCESS), policy, endpoint_url=proxy.endpoint_url)
    opened.callback(client.close)
    proxy.plan = [faults.ServerError()]
    for _ in range(2):
        with pytest.raises(ClientError, match="InternalServerError"):
            client.list_tables()
    with pytest.raises(rddb.CircuitOpenError):
        client.list_tables()
    proxy.plan = []
    rddb.harden(client, policy=policy.replace(on_ambiguous_write="retry"))
    with pytest.raises(rddb.CircuitOpenError):
        client.list_tables()
    policy.clock.advance(10)
    client.list_tables()


def test_a_client_in_adaptive_mode_is_refused(opened):
    session = boto3.Session(**ACCESS)
    adaptive = Config(retries={"mode": "adaptive"})
    client = session.client("dynamodb", config=adaptive)
    dynamodb = session.resource("dynamodb", config=adaptive)
    for made in (client, dynamodb.meta.client):
        opened.callback(made.close)
    for target in (client, dynamodb, dynamodb.Table("orders")):
        with pytest.raises(ValueError, match="retry mode 'adaptive'"):
            rddb.harden(target)
        assert not isinstance(target, rddb.ResilientTable | rddb.ResilientServiceResource)


def test_a_hardened_session_refuses_to_make_a_client_in_adaptive_mode():
    session = rddb.harden(boto3.Session(**ACCESS))
    with pytest.raises(ValueError, match="retry mode 'adaptive'"):
        session.client("dynamodb", config=Config(retries={"mode": "adaptive"}))


def test_what_is_not_dynamodbs_is_refused(opened):
    session = boto3.Session(**ACCESS)
    sqs = session.client("sqs")
    s3 = session.resource("s3")
    for made in (sqs, s3.meta.client):
        opened.callback(made.close)
    with pytest.raises(ValueError, match="must be a DynamoDB client; got one of 'sqs'"):
        rddb.harden(sqs)
    for target in (s3, s3.Bucket("b")):
        with pytest.raises(ValueError, match="must be a DynamoDB resource; got one of 's3'"):
            rddb.harden(target)


@pytest.mark.parametrize("target", [None, "orders", 5, object(), boto3, rddb.Policy()])
def test_what_cannot_be_hardened_is_refused_by_its_type(target):
    with pytest.raises(TypeError, match="target must be a boto3 Session, DynamoDB client, resource or Table; got"):
        rddb.harden(target)


def test_a_policy_of_a_wrong_type_is_refused_before_anything_changes(opened):
    client = boto3.Session(**ACCESS).client("dynamodb")
    opened.callback(client.close)
    with pytest.raises(TypeError, match="policy must be"):
        rddb.harden(client, policy={"retry": 3})
    assert not hasattr(client, "_resilience")


@pytest.mark.skipif(importlib.util.find_spec("aiobotocore") is None, reason="a sync-only install")
async def test_an_async_client_is_hardened_as_such():
    from aiobotocore.session import get_session  # noqa: PLC0415  # not in every install

    from resilient_ddb.aio.clients import ResilientAioClient  # noqa: PLC0415  # as above

    session = rddb.harden(get_session())
    async with session.create_client("dynamodb", **ACCESS) as client:
        assert isinstance(client, ResilientAioClient)
    async with get_session().create_client("dynamodb", **ACCESS) as client:
        assert rddb.harden(client) is client
        assert isinstance(client, ResilientAioClient)


def test_botocores_own_session_is_hardened_in_place(opened):
    session = botocore.session.get_session()
    assert rddb.harden(session) is session
    client = session.create_client("dynamodb", **ACCESS)
    opened.callback(client.close)
    assert hasattr(client, "_resilience")


@pytest.mark.parametrize("mode", [None, "legacy", "standard"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_ten_attempts_are_the_default_whatever_the_sdks_is(opened, way, mode):
    client = way(boto3.Session(**ACCESS), None, config=Config(retries={"mode": mode} if mode else None))
    opened.callback(client.close)
    # Where no policy is given, that of a session which was hardened before stays.
    assert rddb.status(client).policy.retry.max_attempts == (2 if way is on_session_and_resource else 10)


def test_a_table_with_a_policy_of_its_own_keeps_it_when_its_clients_is_set(proxy, plain):
    dynamodb = rddb.harden(plain(proxy.endpoint_url), policy=attempts(7))
    own, other = dynamodb.Table("orders", policy=attempts(5)), dynamodb.Table("orders", ttl="exp")
    rddb.harden(dynamodb, policy=attempts(3))
    assert requests_under_throttling(proxy, own.meta.client) == 5
    assert requests_under_throttling(proxy, other.meta.client) == 3
    rddb.set_policy(own, attempts(2))
    assert requests_under_throttling(proxy, own.meta.client) == 2
    assert requests_under_throttling(proxy, dynamodb.meta.client) == 3


def numbers(client):
    config, told = client.meta.config, rddb.status(client).timeouts
    assert (told.connect, told.read) == (config.connect_timeout, config.read_timeout)
    return config.connect_timeout, config.read_timeout, config.max_pool_connections


SHORT = rddb.Policy(timeouts=rddb.Timeouts(connect=0.4, read=0.5))


@pytest.mark.parametrize("way", [on_session, on_session_for_a_resource, on_botocores_session])
def test_a_hardened_sessions_clients_have_the_policys_timeouts(way):
    def made(**arguments):
        return way(boto3.Session(**ACCESS), arguments.pop("policy", SHORT), **arguments)

    assert numbers(made(policy=None)) == numbers(rddb.client("dynamodb", **ACCESS)) == (1.0, 5.0, 128)
    assert numbers(made()) == (0.4, 0.5, 128)
    assert numbers(made(config=Config(read_timeout=60))) == (0.4, 60, 128)
    assert numbers(made(config=Config(connect_timeout=9, max_pool_connections=10))) == (9, 0.5, 10)
    later = Config()
    later.read_timeout = 7  # as some programs do
    assert numbers(made(config=later)) == (0.4, 7, 128)


def test_what_else_a_hardened_session_makes_is_as_it_was():
    session = boto3.Session(**ACCESS)
    core = session._session  # noqa: SLF001 - boto3's Session has no public way to botocore's
    core.set_default_client_config(Config(read_timeout=8, user_agent_extra="ours"))
    rddb.harden(session, policy=SHORT)
    assert numbers(session.client("dynamodb")) == (0.4, 8, 128)
    assert session.client("sqs").meta.config.connect_timeout == 60
    assert session.client("sqs", config=Config(connect_timeout=3)).meta.config.connect_timeout == 3
    assert isinstance(core, botocore.session.Session)
    assert type(core).__name__ == "Session"
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        session.client("dynamodb", nothing=1)
    rddb.set_policy(session, SHORT.replace(timeouts=rddb.Timeouts(connect=0.4, read=2)))
    assert numbers(session.client("dynamodb", region_name="eu-north-1")) == (0.4, 8, 128)


def test_a_resources_user_agent_stays_what_boto3_makes_of_it():
    plain = boto3.Session(**ACCESS).resource("dynamodb").meta.client.meta.config
    session = rddb.harden(boto3.Session(**ACCESS))
    given = Config(read_timeout=3)
    for made in (session.resource("dynamodb"), session.resource("dynamodb", config=given)):
        assert made.meta.client.meta.config.user_agent_extra == plain.user_agent_extra
    assert given.user_agent_extra is None


@pytest.mark.parametrize("way", [on_client, on_resource, on_table])
def test_a_policy_says_the_timeouts_of_a_client_that_exists(way):
    def told(policy, **config):
        client = way(boto3.Session(**ACCESS), policy, config=Config(**config))
        assert rddb.status(client).policy == (policy or rddb.status(client).policy)
        timeouts = rddb.status(client).timeouts
        return timeouts.connect, timeouts.read

    assert told(SHORT) == told(SHORT, read_timeout=20) == (0.4, 0.5)
    assert told(None, read_timeout=20) == told(rddb.Policy(), read_timeout=20) == (60, 20)


def test_and_they_hold(dynamodb_local):
    with FaultProxy(dynamodb_local.endpoint_url, plan=[faults.Hang()]) as proxy:
        policy = SHORT.replace(retry=rddb.Retry(max_attempts=1))
        made = rddb.harden(boto3.Session(**ACCESS), policy=policy).client("dynamodb", endpoint_url=proxy.endpoint_url)
        plain = boto3.Session(**ACCESS).client("dynamodb", endpoint_url=proxy.endpoint_url)
        for client in (made, rddb.harden(plain, policy=policy)):
            with rddb.deadline(20), pytest.raises(ReadTimeoutError):
                client.get_item(TableName="orders", Key={"pk": {"S": "a"}})
