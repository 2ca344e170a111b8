"""What tests run against: fake credentials, moto, and DynamoDB emulators in processes of their own.

Nothing here needs the async stack: the same suite runs where aiobotocore is not installed.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import random
import signal
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import botocore.handlers
import botocore.hooks
import botocore.loaders
import pytest
from emulators import (
    CREDENTIALS,
    EMULATORS,
    REGION,
    Emulators,
    EmulatorUnavailableError,
    Server,
    plain_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HAS_AIO = importlib.util.find_spec("aiobotocore") is not None

collect_ignore_glob = [] if HAS_AIO else ["aio/*", "testing/test_*aio*"]

LEFT_OUT = ("long", "checkers")
"""The markers of tests that run only where `-m` names them."""

POOL = pytest.StashKey[Emulators]()

DROPPED_ENVIRONMENT = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "AWS_REGION")
FAKE_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
    "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def pytest_configure(config):
    config.stash[POOL] = Emulators()
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    _read_models_once(patch)
    _look_at_events_once(patch)
    gc.set_threshold(10_000, 20, 20)  # botocore's models are a million objects, and were looked through again and again
    if importlib.util.find_spec("hypothesis") is not None:
        from properties import register  # noqa: PLC0415 - hypothesis is slow to import

        register()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background, and tests press Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Return one worker more than there are cores, as tests wait for emulators and programs; or leave it to xdist."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else (os.cpu_count() or 1) + 1


def _read_models_once(patch):
    """Share botocore's models among all sessions: each session reads its own, which took half of the tests' time."""
    loaders: dict[str | None, botocore.loaders.Loader] = {}

    def shared(data_path: str | None = None) -> botocore.loaders.Loader:
        if data_path not in loaders:
            loaders[data_path] = botocore.loaders.create_loader(data_path)
        loader = loaders[data_path]
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session of boto3 adds the same one
        return loader

    patch.setattr("botocore.session.create_loader", shared)


def _look_at_events_once(patch):
    """Share what botocore finds out of its events: nine tenths of the time in which a session was made."""
    names: dict[str, str] = {}
    begin = botocore.hooks.EventAliaser.__init__

    def begin_with_names(self, event_emitter, event_aliases=None):
        begin(self, event_emitter, event_aliases)
        if self._event_aliases == botocore.hooks.EVENT_ALIASES:
            self._alias_name_cache = names

    patch.setattr(botocore.hooks.EventAliaser, "__init__", begin_with_names)

    accepts_kwargs = botocore.hooks.accepts_kwargs
    built_in = {id(spec[1]): accepts_kwargs(spec[1]) for spec in botocore.handlers.BUILTIN_HANDLERS}
    patch.setattr(botocore.hooks, "accepts_kwargs", lambda func: built_in.get(id(func)) or accepts_kwargs(func))


@pytest.hookimpl(tryfirst=True)  # before `-m` picks
def pytest_collection_modifyitems(config, items):
    for item in items:
        if _uses_emulators(item):
            item.add_marker(pytest.mark.emulator)
    for tier in LEFT_OUT:
        if tier not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(tier)]
            items[:] = [item for item in items if not item.get_closest_marker(tier)]
            config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Download before the first test starts: a test's time limit is not for 57 MB."""
    if not session.config.option.collectonly and any(map(_uses_emulators, session.items)):
        for name in EMULATORS:
            with suppress(EmulatorUnavailableError):  # `_start` is going to say it again, where it matters
                session.config.stash[POOL].fetch(name)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Draw the same pauses in each run: a test that fails by its luck fails each time, and not once in a hundred."""
    random.seed(item.nodeid)


def _uses_emulators(item) -> bool:
    return "emulators" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def aws_env(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Keep every test away from the developer's AWS account and settings; yields what is set instead."""
    bundle = tmp_path_factory.mktemp("aws") / "ca.pem"
    bundle.write_text(_one_certificate(), encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        endpoints = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]
        for name in (*DROPPED_ENVIRONMENT, *endpoints):
            patch.delenv(name, raising=False)
        for name, value in FAKE_ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_CA_BUNDLE", str(bundle))
        for name in ("NO_PROXY", "no_proxy"):  # a machine's proxy is not asked for what runs on loopback
            patch.setenv(name, "127.0.0.1,localhost", prepend="," if os.environ.get(name) else None)
        yield dict(FAKE_ENVIRONMENT)


def _one_certificate() -> str:
    """Return one of botocore's: each async client reads all of them, which takes 20 ms, and hardly a test uses TLS."""
    found = Path(botocore.__file__).with_name("cacert.pem").read_text(encoding="utf-8")
    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return f"{start}{found.partition(start)[2].partition(end)[0]}{end}\n"


@pytest.fixture(scope="session", autouse=True)
def patience():
    """Let a put wait until the table is described, also on a busy machine, unless a test is about that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resilient_ddb.ttl.table._SOON_SECONDS", 60.0)
        yield


@pytest.fixture(scope="session")
def emulators(pytestconfig, aws_env) -> Iterator[Emulators]:  # clients come after the fake environment
    """Return the emulators of this run. Whatever depends on it is marked `emulator`."""
    pool = pytestconfig.stash[POOL]
    yield pool
    pool.stop()


@pytest.fixture(scope="session", params=list(EMULATORS))
def emulator(request, emulators) -> Server:
    """Return every emulator in turn: `.name` and `.endpoint_url`."""
    return _start(emulators, request.param)


@pytest.fixture(scope="session")
def dynamodb_local(emulators) -> Server:
    """Return Amazon's own emulator."""
    return _start(emulators, "dynamodb-local")


def _start(emulators: Emulators, name: str) -> Server:
    try:
        return emulators.start(name)
    except EmulatorUnavailableError as error:
        return unavailable(str(error))


def unavailable(reason: str) -> Any:
    """Skip the test, except in CI, where nothing that should run may go missing in silence."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI must run this test, and cannot: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def moto_aws() -> Iterator[None]:
    """Answer boto3's calls in this process, with no tables at first. It does not work with aiobotocore."""
    from moto import mock_aws  # noqa: PLC0415  # slow to import

    with mock_aws():
        yield


@pytest.fixture(scope="session")
def moto_server(aws_env) -> Iterator[Server]:  # moto reads the environment as it is imported
    """Return moto behind a socket, in a thread: for aiobotocore.

    `mock_aws` empties the same backends when it starts: do not use both in one test.
    """
    if importlib.util.find_spec("flask") is None:
        unavailable("moto's server needs flask: pip install moto[server]")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  # slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Server(name="moto", endpoint_url=f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def table_name() -> str:
    """Return a table name that nobody else uses."""
    return unique_table_name()


def unique_table_name() -> str:
    return f"table-{uuid.uuid4().hex}"


@pytest.fixture
def make_table(aws_env) -> Iterator[Callable[..., str]]:  # see above
    """Return a function that creates a table with plain boto3 and gives its name; it goes after the test.

    `make_table(server.endpoint_url, sort_key="sk")` has the keys pk and sk, both strings. Other arguments
    go to create_table; AttributeDefinitions add to those of the keys.
    """
    with ExitStack() as cleanup:

        def make(endpoint_url: str, *, sort_key: str | None = None, sort_type: str = "S", **create_table: Any) -> str:
            client = plain_client(endpoint_url)
            arguments = _table_arguments(sort_key, sort_type, create_table)
            name = arguments["TableName"]
            made = client.create_table(**arguments)
            cleanup.callback(_drop_table, client, name)
            if made["TableDescription"]["TableStatus"] != "ACTIVE":
                client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
            return name

        yield make


def _table_arguments(sort_key: str | None, sort_type: str, create_table: dict[str, Any]) -> dict[str, Any]:
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "pk", "AttributeType": "S"}]
    if sort_key is not None:
        schema.append({"AttributeName": sort_key, "KeyType": "RANGE"})
        attributes.append({"AttributeName": sort_key, "AttributeType": sort_type})
    return {
        "TableName": unique_table_name(),
        "KeySchema": schema,
        "BillingMode": "PAY_PER_REQUEST",
        **create_table,
        "AttributeDefinitions": [*attributes, *create_table.get("AttributeDefinitions", [])],
    }


def _drop_table(client: Any, table_name: str) -> None:
    with suppress(client.exceptions.ResourceNotFoundException):  # the test dropped it itself
        client.delete_table(TableName=table_name)


@pytest.fixture(scope="module")
def without_moto():
    """Take moto's handler from what botocore puts into each new session: it has plain calls go botocore's way."""
    built_in = botocore.handlers.BUILTIN_HANDLERS
    of_moto = [spec for spec in built_in if type(spec[1]).__module__.startswith("moto")]
    built_in[:] = [spec for spec in built_in if spec not in of_moto]
    yield
    built_in += of_moto
