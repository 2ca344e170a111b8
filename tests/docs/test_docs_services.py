"""The example services keep what their pages promise, through faults. Skipped where a framework is missing."""

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # Django looks for it there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def proxy(dynamodb_for_docs, monkeypatch):
    """Stand between the service and moto."""
    with FaultProxy(dynamodb_for_docs, seed=1) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", running.endpoint_url)
        monkeypatch.setenv("REQUEST_SECONDS", "60")  # also on a busy machine; a test of the deadline sets its own
        yield running


@pytest.fixture
def stored(dynamodb_for_docs):
    """Return a function that reads an order past the proxy."""
    client = boto3.Session().client("dynamodb", endpoint_url=dynamodb_for_docs)

    def read(order_id):
        item = client.get_item(TableName="orders", Key={"id": {"S": order_id}}, ConsistentRead=True).get("Item", {})
        return {name: int(value["N"]) for name, value in item.items() if "N" in value}

    yield read
    client.close()


class Service:
    """A service's module, and requests to it: one, or several at once."""

    def __init__(self, module, requests):
        self.module = module
        self.requests = requests

    def request(self, method, path):
        return self.requests(method, path, 1)[0]

    def open_circuit(self, proxy):
        """Fail until the circuit opens: the attempts of 60 requests are more than it takes."""
        proxy.plan = [faults.Outage(duration=float("inf"))]
        self.requests("GET", "/orders/a", 60)


@pytest.fixture
def fastapi_service(proxy):
    """Return the service, on one loop, within its lifespan."""
    pytest.importorskip("fastapi")
    pytest.importorskip("aiobotocore")
    httpx = pytest.importorskip("httpx")
    module = load("fastapi_service")
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        lifespan = module.lifespan(module.app)
        runner.run(lifespan.__aenter__())
        stack.callback(lambda: runner.run(lifespan.__aexit__(None, None, None)))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(module.app), base_url="http://service")
        stack.callback(lambda: runner.run(client.aclose()))

        async def requests(method, path, times):
            return await asyncio.gather(*(client.request(method, path) for _ in range(times)))

        yield Service(module, lambda *call: runner.run(requests(*call)))


@contextlib.contextmanager
def on_threads(name):
    """Give a service of WSGI, each request on a thread."""
    application = {"flask_service": "app", "django_service": "application"}[name]
    pytest.importorskip(name.removesuffix("_service"))
    werkzeug = pytest.importorskip("werkzeug.test")
    module = load(name)
    if name == "django_service":
        from django.urls import clear_url_caches  # noqa: PLC0415 - it may be missing

        clear_url_caches()  # which hold the module of the test before
    with ThreadPoolExecutor(16) as threads:

        def request(method, path):
            return werkzeug.Client(getattr(module, application)).open(path, method=method)

        def requests(method, path, times):
            return list(threads.map(request, [method] * times, [path] * times))

        yield Service(module, requests)
    if hasattr(module, "pool"):
        module.pool.shutdown()
    module.dynamodb.meta.client.close()


@pytest.fixture
def flask_service(proxy):
    with on_threads("flask_service") as running:
        yield running


@pytest.fixture
def django_service(proxy):
    with on_threads("django_service") as running:
        yield running


@pytest.fixture(params=["fastapi_service", "flask_service", "django_service"])
def service(request):
    return request.getfixturevalue(request.param)


def body(answer):
    return json.loads(answer.text)


def test_throttling_is_waited_out(service, proxy):
    proxy.plan = [faults.Throttle(operations={"PutItem"}, times=2)]
    assert service.request("PUT", "/orders/a").status_code == 201
    assert proxy.count("PutItem", faults.Throttle) == 2
    assert service.request("GET", "/orders/a").status_code == 200
    assert service.request("GET", "/orders/b").status_code == 404


def test_a_lost_count_says_that_it_may_have_been_applied(service, proxy, stored):
    service.request("PUT", "/orders/a")
    proxy.plan = [faults.LoseReply(operations={"UpdateItem"}, times=1)]
    answer = service.request("POST", "/orders/a/views")
    assert (answer.status_code, body(answer)["may_have_been_applied"]) == (502, True)
    assert stored("a")["views"] == 1
    assert service.request("POST", "/orders/a/views").status_code == 200
    assert stored("a")["views"] == 2


def test_a_put_whose_reply_is_lost_is_simply_made(service, proxy, stored):
    proxy.plan = [faults.LoseReply(operations={"PutItem"}, times=1)]
    assert service.request("PUT", "/orders/a").status_code == 201
    assert proxy.count("PutItem") == 2
    assert stored("a") == {"views": 0}


def test_an_open_circuit_says_when_to_come_back_and_sends_nothing(service, proxy):
    service.open_circuit(proxy)
    sent = len(proxy.seen)
    answer = service.request("GET", "/orders/a")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert body(answer) == {"error": "CircuitOpenError", "may_have_been_applied": False}
    assert len(proxy.seen) == sent


def deadline_of(monkeypatch, seconds):
    monkeypatch.setenv("REQUEST_SECONDS", str(seconds))


WSGI = pytest.mark.parametrize("name", ["flask_service", "django_service"])


@WSGI
@pytest.mark.parametrize("path", ["/orders/a", "/orders?id=a&id=b"])
def test_it_answers_at_its_deadline_also_what_threads_read(name, path, proxy, monkeypatch):
    deadline_of(monkeypatch, 0.2)
    proxy.plan = [faults.Hang()]
    with on_threads(name) as service:
        answer = service.request("GET", path)
    by_get_items = name == "django_service" and "?" in path  # whose error has the keys, and is of that class too
    error = "UnprocessedKeysError" if by_get_items else "DeadlineExceededError"
    assert (answer.status_code, body(answer)["error"]) == (504, error)


@WSGI
def test_no_count_of_many_threads_is_lost_or_doubled(name, dynamodb_local, monkeypatch):
    direct = boto3.Session().client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    direct.create_table(  # not moto's: that one loses updates if several come at once
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    plan = [
        faults.LoseReply(operations={"UpdateItem"}, every=7),
        faults.Throttle(operations={"UpdateItem"}, every=5),
    ]
    with FaultProxy(dynamodb_local.endpoint_url, plan=plan, seed=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint_url)
        monkeypatch.setenv("REQUEST_SECONDS", "60")
        with on_threads(name) as service:
            answers = service.requests("POST", "/orders/a/views", 40)
    item = direct.get_item(TableName="orders", Key={"id": {"S": "a"}}, ConsistentRead=True)["Item"]
    direct.delete_table(TableName="orders")
    direct.close()
    assert {answer.status_code for answer in answers} == {200, 502}
    assert all(body(answer)["may_have_been_applied"] for answer in answers if answer.status_code == 502)
    assert item["views"] == {"N": "40"}


def test_fastapi_answers_at_its_deadline(proxy, monkeypatch, request):
    deadline_of(monkeypatch, 0.2)
    proxy.plan = [faults.Hang()]
    service = request.getfixturevalue("fastapi_service")  # made now: it reads the environment
    answer = service.request("GET", "/orders/a")
    assert (answer.status_code, body(answer)["error"]) == (504, "DeadlineExceededError")


def test_fastapi_is_not_ready_while_the_table_hangs_although_its_deadlines_are_short(proxy, monkeypatch, request):
    deadline_of(monkeypatch, 0.8)
    proxy.plan = [faults.Hang()]
    service = request.getfixturevalue("fastapi_service")
    for _ in range(10):  # what a busy machine cuts too late does not count
        assert {answer.status_code for answer in service.requests("GET", "/orders/a", 60)} <= {503, 504}
        if service.request("GET", "/orders/a").status_code == 503:
            break
    assert service.request("GET", "/orders/a").status_code == 503
    assert service.request("GET", "/health/ready").status_code == 503


def test_fastapis_plain_endpoints_have_the_deadline_on_their_thread(proxy, monkeypatch, request):
    deadline_of(monkeypatch, 0.2)
    service = request.getfixturevalue("fastapi_service")
    table = rddb.table("orders")

    @service.module.app.get("/plain")
    def plain():
        return table.get_item(Key={"id": "a"})

    proxy.plan = [faults.Hang()]
    answer = service.request("GET", "/plain")
    assert (answer.status_code, body(answer)["error"]) == (504, "DeadlineExceededError")
    table.meta.client.close()


def test_fastapis_background_work_outlives_the_deadline_of_its_request(fastapi_service, proxy, stored):
    module = fastapi_service.module
    seen = []
    add_to_total = module.add_to_total

    async def later():
        with rddb.deadline(0.001):  # as if the request's had passed: its context is this one
            await asyncio.sleep(0.01)
            await add_to_total()
        seen.append("done")

    module.add_to_total = later
    assert fastapi_service.request("PUT", "/orders/a").status_code == 201
    assert seen == ["done"]
    assert stored("total") == {"placed": 1}
    assert proxy.count("UpdateItem") == 1


def is_not_ready_until_probes_are_due(service, proxy, clock):
    assert service.request("GET", "/health/ready").status_code == 200
    service.open_circuit(proxy)
    sent = len(proxy.seen)
    answer = service.request("GET", "/health/ready")
    assert (answer.status_code, body(answer)) == (503, {"refusing": ["orders/read"]})
    clock.advance(5)
    assert service.request("GET", "/health/ready").status_code == 200
    assert len(proxy.seen) == sent


def policy_on(clock):
    return rddb.Policy(clock=clock, circuit_breaker=rddb.CircuitBreaker(open_duration=5, open_jitter=0))


def test_fastapi_is_alive_and_not_ready_until_probes_are_due(fastapi_service, proxy):
    module, clock = fastapi_service.module, FakeClock()
    module.orders = module.aio.table("orders", policy=policy_on(clock))
    is_not_ready_until_probes_are_due(fastapi_service, proxy, clock)
    assert fastapi_service.request("GET", "/health/live").status_code == 200


def test_django_is_not_ready_until_probes_are_due(django_service, proxy):
    module, clock = django_service.module, FakeClock()
    module.orders = module.dynamodb.Table("orders", policy=policy_on(clock))
    is_not_ready_until_probes_are_due(django_service, proxy, clock)


CONFIG = """
broker_url = "filesystem://"
broker_transport_options = {{"data_folder_in": {queue!r}, "data_folder_out": {queue!r}, "control_folder": {control!r}}}
result_backend = "file://{results}"
worker_hijack_root_logger = False
"""
ENQUEUE = """
import celery_tasks
results = [celery_tasks.count_view.delay("/") for _ in range(20)]
print(*{result.get(timeout=60, interval=0.1) for result in results})
"""


@pytest.fixture
def celery_environment(tmp_path):
    pytest.importorskip("celery")
    folders = {name: tmp_path / name for name in ("queue", "control", "results")}
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "celery_settings.py").write_text(CONFIG.format(**{name: str(f) for name, f in folders.items()}))
    path = os.pathsep.join(map(str, [EXAMPLES.parent, EXAMPLES, tmp_path]))
    return {**os.environ, "PYTHONPATH": path, "CELERY_CONFIG_MODULE": "celery_settings"}


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="prefork forks")
def test_celery_counts_each_task_once_in_workers_that_were_forked(dynamodb_local, celery_environment, tmp_path):
    direct = boto3.Session().client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    direct.create_table(
        TableName="pages",
        KeySchema=[{"AttributeName": "path", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "path", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    plan = [
        faults.LoseReply(operations={"TransactWriteItems"}, every=4),
        faults.ServerError(operations={"TransactWriteItems"}, every=5),
    ]
    command = ["celery", "-A", "celery_tasks", "worker", "--pool=prefork", "-c", "2"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    with FaultProxy(dynamodb_local.endpoint_url, plan=plan, seed=1) as proxy, (tmp_path / "log").open("w") as log:
        environment = {**celery_environment, "AWS_ENDPOINT_URL_DYNAMODB": proxy.endpoint_url}
        worker = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", *command, *quiet], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-c", ENQUEUE],
                env=environment,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
        finally:
            worker.terminate()
            worker.wait(30)
        assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
        assert proxy.count("DescribeTable") == 1  # the parent had a connection before it forked
        assert proxy.count("TransactWriteItems", faults.LoseReply) >= 4
    pids = set(map(int, done.stdout.split()))
    assert pids
    assert worker.pid not in pids
    item = direct.get_item(TableName="pages", Key={"path": {"S": "/"}}, ConsistentRead=True)["Item"]
    direct.delete_table(TableName="pages")
    direct.close()
    assert item["views"] == {"N": "20"}
