"""The emulators run, and do what the tests that rest on them believe; differences are written down here."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import boto3
import emulators
import pytest
from botocore.exceptions import ClientError

SENDS_CRC_OF_ERRORS = {"dynamodb-local": False, "dynoxide": True, "moto": True}
"""All of them send `x-amz-crc32` with an answer that is no error; the service sends it with every one."""

KNOWS_TRANSACTION_TOKENS = {"dynamodb-local": True, "dynoxide": True, "moto": False}
CHARGES_BY_SIZE = {"dynamodb-local": True, "dynoxide": True, "moto": False}

TWO_KB = "x" * 2048


@pytest.fixture
def client(server):
    client = server.client()
    yield client
    client.close()


class EachServer:
    """What all of them do. They differ in how they are reached: see the two classes below."""

    def test_puts_and_gets(self, client, table):
        item = {"pk": {"S": "a"}, "sk": {"S": "1"}, "n": {"N": "1"}, "raw": {"B": b"\x00\xff"}}
        client.put_item(TableName=table, Item=item)
        key = {"pk": {"S": "a"}, "sk": {"S": "1"}}
        assert client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"] == item
        assert "Item" not in client.get_item(TableName=table, Key=key | {"sk": {"S": "2"}})

    def test_pages_a_query_in_the_order_of_the_sort_key(self, client, table):
        for n in (3, 1, 2):
            client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": str(n)}})
        pages = client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "a"}},
            PaginationConfig={"PageSize": 2},
        )
        assert [[item["sk"]["S"] for item in page["Items"]] for page in pages][:2] == [["1", "2"], ["3"]]

    def test_refuses_a_condition_that_does_not_hold_and_shows_the_item(self, client, table):
        item = {"pk": {"S": "a"}, "sk": {"S": "1"}}
        client.put_item(TableName=table, Item=item)
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failure:
            client.put_item(
                TableName=table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert failure.value.response["Item"] == item

    def test_applies_all_of_a_transaction_or_nothing(self, client, table):
        first, second = ({"pk": {"S": "a"}, "sk": {"S": sk}} for sk in "12")
        client.put_item(TableName=table, Item=first)
        with pytest.raises(client.exceptions.TransactionCanceledException) as failure:
            client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": table, "Item": second}},
                    {
                        "Put": {
                            "TableName": table,
                            "Item": first,
                            "ConditionExpression": "attribute_not_exists(pk)",
                        }
                    },
                ]
            )
        reasons = failure.value.response["CancellationReasons"]
        assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
        assert "Item" not in client.get_item(TableName=table, Key=second)

    def test_takes_a_transaction_token_twice(self, client, server, table):
        count = {
            "TransactItems": [
                {
                    "Update": {
                        "TableName": table,
                        "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}},
                        "UpdateExpression": "ADD n :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                }
            ],
            "ClientRequestToken": "once",
        }
        client.transact_write_items(**count)
        client.transact_write_items(**count)
        item = client.get_item(TableName=table, Key={"pk": {"S": "a"}, "sk": {"S": "1"}})["Item"]
        assert item["n"]["N"] == ("1" if KNOWS_TRANSACTION_TOKENS[server.name] else "2")

    def test_charges_for_a_write(self, client, server, table):
        item = {"pk": {"S": "a"}, "sk": {"S": "1"}, "text": {"S": TWO_KB}}
        charge = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
        assert charge["CapacityUnits"] == (3.0 if CHARGES_BY_SIZE[server.name] else 1.0)

    def test_has_request_ids(self, client, table):
        assert client.describe_table(TableName=table)["ResponseMetadata"]["RequestId"]

    def test_sends_the_checksum_of_an_answer(self, client, table):
        bodies = _bodies(client)
        answer = client.get_item(TableName=table, Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
        assert _crc(answer) == str(zlib.crc32(bodies[0]))

    def test_sends_the_checksum_of_an_error(self, client, server, table):
        bodies = _bodies(client)
        with pytest.raises(ClientError) as failure:
            client.get_item(TableName=table, Key={"wrong": {"S": "a"}})
        crc = str(zlib.crc32(bodies[0]))
        assert _crc(failure.value.response) == (crc if SENDS_CRC_OF_ERRORS[server.name] else None)

    def test_a_missing_table_is_an_error_of_the_client(self, client, table_name):
        with pytest.raises(ClientError) as failure:
            client.describe_table(TableName=table_name)
        assert failure.value.response["Error"]["Code"] == "ResourceNotFoundException"

    @pytest.fixture
    def table(self, make_table, server):
        return make_table(server.endpoint_url, sort_key="sk")


def _bodies(client):
    """Collect the bodies as they came, before botocore reads them."""
    bodies = []
    client.meta.events.register(
        "before-parse.dynamodb", lambda response_dict, **_: bodies.append(response_dict["body"])
    )
    return bodies


def _crc(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-crc32")


class TestEmulators(EachServer):
    @pytest.fixture
    def server(self, emulator):
        return emulator


class TestMotoServer(EachServer):
    @pytest.fixture
    def server(self, moto_server):
        return moto_server


def test_dynamodb_local_is_amazons_own(dynamodb_local):
    assert dynamodb_local.name == "dynamodb-local"


def test_moto_in_process_starts_empty(moto_aws, aws_env):
    client = boto3.client("dynamodb")
    assert client.list_tables()["TableNames"] == []
    assert client.meta.region_name == aws_env["AWS_DEFAULT_REGION"]


def test_moto_in_process_sends_the_checksum_too(moto_aws):
    client = boto3.client("dynamodb")
    bodies = _bodies(client)
    assert _crc(client.list_tables()) == str(zlib.crc32(bodies[0]))


class TestEmulatorProcess:
    def test_is_gone_after_stop(self):
        with emulators.EmulatorProcess([sys.executable, "-c", "input()"], port=1) as process:
            pid = process.pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_tells_what_it_printed_when_it_does_not_start(self):
        command = [sys.executable, "-c", "raise SystemExit('port taken')"]
        with emulators.EmulatorProcess(command, emulators.free_port()) as process:
            assert not process.wait_until_ready()
            assert process.log() == "port taken\n"

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
    def test_dies_when_the_test_run_is_killed(self, tmp_path):
        test_run = """
import sys, time, emulators
process = emulators.EmulatorProcess([sys.executable, "-c", "import time; time.sleep(60)"], port=1)
print(process.pid, flush=True)
time.sleep(60)
"""
        with subprocess.Popen(  # noqa: S603  # the script above
            [sys.executable, "-c", test_run],
            cwd=Path(emulators.__file__).parent,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        ) as killed:
            pid = int(killed.stdout.readline())
            killed.send_signal(signal.SIGKILL)
        assert _is_gone(pid)


def _is_gone(pid):
    """Wait for an orphan's end: it may stay a zombie where no init process reaps it."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


class TestFetch:
    @pytest.fixture
    def package(self, tmp_path, monkeypatch):
        """Stand in for npm: what it brings is a small archive made here."""
        archive = tmp_path / "brought.tgz"
        (tmp_path / "file").write_text("content")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "file", "package/file")
        monkeypatch.setattr(emulators, "download", lambda *_: archive)
        digest = sha256(archive.read_bytes()).hexdigest()
        return emulators.NpmPackage(name="@scope/thing", version="1.0.0", sha256=digest)

    def test_unpacks_once(self, package, tmp_path, monkeypatch):
        cache = tmp_path / "cache"
        assert (emulators.fetch(package, cache) / "file").read_text() == "content"
        monkeypatch.delattr(emulators, "download")
        assert emulators.fetch(package, cache) == cache / "scope-thing-1.0.0" / "package"
        assert {entry.name for entry in cache.iterdir()} == {"scope-thing-1.0.0", "lock"}

    def test_brings_it_once_for_all_who_want_it_at_the_same_time(self, package, tmp_path, monkeypatch):
        cache, bring, brought, both = tmp_path / "cache", emulators.download, [], threading.Barrier(2)

        def slow(*args):
            brought.append(1)
            both.wait(60)  # the other has begun, too
            return bring(*args)

        monkeypatch.setattr(emulators, "download", slow)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(emulators.fetch, package, cache)
            while not brought:
                time.sleep(0.001)
            both.wait(60)
            second = emulators.fetch(package, cache)
            assert (second / "file").read_text() == "content"
            assert first.result() == second
        assert brought == [1]

    def test_runs_nothing_but_what_was_pinned(self, package, tmp_path):
        with pytest.raises(emulators.EmulatorUnavailableError, match="not what was pinned"):
            emulators.fetch(replace(package, sha256="0" * 64), tmp_path / "cache")

    def test_says_that_npm_is_missing(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(emulators.EmulatorUnavailableError, match="no npm on PATH"):
            emulators.fetch(emulators.EMULATORS["dynoxide"].package, tmp_path)

    def test_asks_npm_once_for_what_it_cannot_have(self, tmp_path, monkeypatch):
        asked = []

        def refuse(*_):
            asked.append(1)
            raise emulators.EmulatorUnavailableError("no network")

        monkeypatch.setattr(emulators, "download", refuse)
        monkeypatch.setattr(emulators.Emulator, "check_machine", lambda _: None)
        pool = emulators.Emulators(cache=tmp_path)
        for _ in range(2):
            with pytest.raises(emulators.EmulatorUnavailableError, match="no network"):
                pool.start("dynoxide")
        assert asked == [1]


class TestUnavailable:
    def test_skips_on_a_developers_machine(self, monkeypatch, request):
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="no java"):
            _unavailable(request)("no java")

    def test_fails_in_ci(self, monkeypatch, request):
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="no java"):
            _unavailable(request)("no java")


def _unavailable(request):
    conftest = Path(__file__).with_name("conftest.py")
    return request.config.pluginmanager.get_plugin(str(conftest)).unavailable
