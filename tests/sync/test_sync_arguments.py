"""Arguments mean what they mean to boto3, and the environment does."""

from unittest import mock

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.endpoint import EndpointCreator
from botocore.exceptions import ClientError, ParamValidationError
from emulators import CREDENTIALS
from sdk_support import handlers_at
from shortcut_clients import Wired
from shortcut_support import headers_of, secret_of

import resilient_ddb as rddb
from resilient_ddb.sync.clients import ResilientClient
from resilient_ddb.testing import FakeClock, faults

MAKERS = {
    "client": rddb.client,
    "resource": lambda *args, **options: rddb.resource(*args, **options).meta.client,
    "table": lambda _service="dynamodb", region=None, **options: (
        rddb.table("orders", **({"region_name": region} if region else {}), **options).meta.client
    ),
}


@pytest.fixture(params=list(MAKERS))
def make(request, opened):
    def make(*args, **options):
        options.setdefault("session", boto3.Session())
        made = MAKERS[request.param](*args, **options)
        opened.callback(made.close)
        return made

    return make


@pytest.fixture
def default_session(monkeypatch):
    """A default session that no other test has seen."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def requests_of_a_throttled_read(proxy, client):
    proxy.plan = [faults.Throttle()]
    proxy.clear()
    with pytest.raises(ClientError):
        client.describe_limits()
    return proxy.count()


def test_the_region_may_be_given_by_position(make):
    assert make("dynamodb", "us-east-2").meta.region_name == "us-east-2"


def test_the_service_may_be_left_out(opened):
    client = rddb.client(session=boto3.Session())
    opened.callback(client.close)
    assert client.meta.service_model.service_name == "dynamodb"


def test_another_service_is_refused():
    for make in (rddb.client, rddb.resource):
        with pytest.raises(ValueError, match="service_name must be 'dynamodb'"):
            make("s3")


def test_endpoint_and_verify_are_boto3s(make, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert make(endpoint_url="http://127.0.0.1:1").meta.endpoint_url == "http://127.0.0.1:1"
    for verify in (False, str(bundle)):
        with mock.patch.object(EndpointCreator, "create_endpoint", autospec=True) as create:
            make(verify=verify)
        assert create.call_args.kwargs["verify"] == verify


def test_credentials_may_be_given(make):
    client = make(
        aws_access_key_id="AKIAOTHER", aws_secret_access_key=secret_of("AKIAOTHER"), aws_session_token="token"
    )
    wired = Wired(client)
    wired.call("ListTables")  # it looks at the signature
    headers = headers_of(wired.sent[0])
    assert "Credential=AKIAOTHER/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "token"


def test_an_unknown_argument_is_refused(make):
    with pytest.raises(TypeError, match="nonsense"):
        make("dynamodb", nonsense=1)


def test_our_timeouts_and_pool_hold_by_default(make):
    config = make().meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.0, 5.0, 128)


def test_the_policys_timeouts_hold(make):
    config = make(policy=rddb.Policy(timeouts=rddb.Timeouts(connect=0.3, read=0.7))).meta.config
    assert (config.connect_timeout, config.read_timeout) == (0.3, 0.7)


def test_the_callers_config_wins(make):
    config = make(
        config=Config(read_timeout=33, connect_timeout=44, max_pool_connections=5, user_agent_extra="mine"),
        policy=rddb.Policy(timeouts=rddb.Timeouts(read=2)),
    ).meta.config
    assert (config.read_timeout, config.connect_timeout, config.max_pool_connections) == (33, 44, 5)
    assert "mine" in config.user_agent_extra


def test_the_sessions_default_config_wins_over_ours_and_loses_to_the_callers(make):
    core = botocore.session.get_session()
    core.set_default_client_config(Config(read_timeout=9, max_pool_connections=7))
    session = boto3.Session(botocore_session=core)
    config = make(session=session, config=Config(max_pool_connections=3)).meta.config
    assert (config.read_timeout, config.max_pool_connections) == (9, 3)


def test_parameter_validation_can_be_switched_off(proxy, make):
    with pytest.raises(ParamValidationError):
        make(endpoint_url=proxy.endpoint_url).get_item(TableName="absent-table", Key={}, Nonsense=1)
    client = make(endpoint_url=proxy.endpoint_url, config=Config(parameter_validation=False))
    with pytest.raises(ClientError):
        client.get_item(TableName="absent-table", Key={}, ReturnConsumedCapacity=5)
    assert proxy.count("GetItem") == 1


def test_a_config_that_is_none_is_refused_clearly(make):
    with pytest.raises(TypeError, match=r"config must be a botocore\.config\.Config; got"):
        make(config={"read_timeout": 1})


def test_a_policy_that_is_none_is_refused_clearly(make):
    with pytest.raises(TypeError, match=r"policy must be a resilient_ddb\.Policy"):
        make(policy="aggressive")


def test_a_session_that_is_none_is_refused_clearly():
    with pytest.raises(TypeError, match=r"session must be a boto3\.session\.Session; got"):
        rddb.resource("dynamodb", session="default")


@pytest.mark.parametrize(
    ("retries", "requests"),
    [
        ({"max_attempts": 0}, 1),
        ({"max_attempts": 2}, 3),
        ({"total_max_attempts": 2}, 2),
        ({"total_max_attempts": 2, "mode": "standard"}, 2),
        ({"max_attempts": 1, "mode": "legacy"}, 2),
    ],
)
def test_retries_of_the_config_set_our_attempts(proxy, make, retries, requests):
    client = make(endpoint_url=proxy.endpoint_url, config=Config(retries=retries))
    assert requests_of_a_throttled_read(proxy, client) == requests


def test_a_policy_wins_over_the_configs_retries(proxy, make):
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=4), clock=FakeClock())
    client = make(endpoint_url=proxy.endpoint_url, config=Config(retries={"max_attempts": 0}), policy=policy)
    assert requests_of_a_throttled_read(proxy, client) == 4


def test_the_environments_attempts_hold_where_no_policy_is_given(proxy, make, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    assert requests_of_a_throttled_read(proxy, make(endpoint_url=proxy.endpoint_url)) == 2
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=3), clock=FakeClock())
    assert requests_of_a_throttled_read(proxy, make(endpoint_url=proxy.endpoint_url, policy=policy)) == 3


def test_the_environments_endpoint_holds(proxy, make, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint_url)
    client = make()
    assert client.meta.endpoint_url == proxy.endpoint_url
    client.list_tables()
    assert proxy.count("ListTables") == 1


def test_adaptive_mode_is_refused_in_a_config(make):
    with pytest.raises(ValueError, match="adaptive"):
        make(config=Config(retries={"mode": "adaptive"}))


def test_adaptive_mode_of_the_environment_leaves_no_limiter_behind(proxy, make, monkeypatch):
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=3), clock=FakeClock())
    client = make(endpoint_url=proxy.endpoint_url, policy=policy)
    handlers = handlers_at(client, "before-send.dynamodb.GetItem")
    assert not [handler for handler in handlers if "adaptive" in str(getattr(handler, "__module__", ""))]
    assert requests_of_a_throttled_read(proxy, client) == 3


def test_the_given_session_is_used_and_stays_as_it_is(opened):
    session = boto3.Session(region_name="ap-south-1", **CREDENTIALS)
    ours = rddb.resource("dynamodb", session=session)
    theirs = session.resource("dynamodb")
    for made in (ours, theirs):
        opened.callback(made.meta.client.close)
    assert ours.meta.client.meta.region_name == "ap-south-1"
    assert not isinstance(theirs.meta.client, ResilientClient)
    assert not isinstance(theirs, rddb.ResilientServiceResource)
    assert not isinstance(theirs.Table("orders"), rddb.ResilientTable)
    assert isinstance(ours.Table("orders"), rddb.ResilientTable)


@pytest.mark.usefixtures("default_session")
def test_the_default_session_is_used_and_not_hardened(opened):
    ours = rddb.resource("dynamodb")
    theirs = boto3.client("dynamodb")
    resource = boto3.resource("dynamodb")
    for made in (ours.meta.client, theirs, resource.meta.client):
        opened.callback(made.close)
    assert boto3.DEFAULT_SESSION is not None
    assert not isinstance(theirs, ResilientClient)
    assert not isinstance(resource.meta.client, ResilientClient)
    assert not isinstance(resource.Table("orders"), rddb.ResilientTable)
    assert theirs.meta.config.read_timeout == 60


@pytest.mark.usefixtures("default_session")
def test_a_second_resource_makes_no_new_session_and_no_new_class(opened):
    first, second = rddb.resource("dynamodb"), rddb.resource("dynamodb")
    for made in (first, second):
        opened.callback(made.meta.client.close)
    assert type(first) is type(second)
    assert type(first.Table("a")) is type(second.Table("b"))


def test_an_unknown_option_of_table_is_refused(hardened):
    dynamodb = hardened("http://127.0.0.1:1")
    with pytest.raises(TypeError, match=r"Table\(\) has no argument 'fall_back'; it takes name, policy, ttl"):
        dynamodb.Table("orders", fall_back=None)
    with pytest.raises(TypeError, match="fallback must be callable"):
        dynamodb.Table("orders", policy=rddb.Policy(fallback=300))
    with pytest.raises(TypeError, match=r"did you mean policy=policy.replace\(fallback=...\)\?"):
        dynamodb.Table("orders", fallback=None)
    with pytest.raises(TypeError, match=r"policy must be a resilient_ddb\.Policy"):
        dynamodb.Table("orders", policy=300)
    assert dynamodb.Table(name="orders").name == "orders"


def test_async_habits_are_answered_by_python(hardened):
    dynamodb = hardened("http://127.0.0.1:1")

    async def enter():
        async with dynamodb:
            pass

    async def wait():
        await dynamodb.Table("orders")

    for habit, words in ((enter, "asynchronous context manager"), (wait, "await")):
        with pytest.raises(TypeError, match=words):
            habit().send(None)
