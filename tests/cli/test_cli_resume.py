"""A load that is stopped goes on where it was: nothing is missing, and what was acknowledged is not read again."""

import io
import json
import os
import random
import signal
import time
from types import SimpleNamespace

import pytest
from bulk_support import wait_until

from resilient_ddb.cli.bulk import load as load_module
from resilient_ddb.testing import FaultProxy, faults


@pytest.fixture
def short_stretches(monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)


def write_rows(path, count, keys=None):
    keys = keys or count
    path.write_text("".join(json.dumps({"pk": f"{n % keys:06}", "n": n}) + "\n" for n in range(count)))


def expected(count, keys=None):
    keys = keys or count
    return {f"{n % keys:06}": n for n in range(count)}


def stored(table):
    return {key: item["n"] for key, item in table.stored().items()}


def through(proxy, table):
    return (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1", "--no-progress")


def state_of(tmp_path, table, name="items.jsonl"):
    return json.loads((tmp_path / f"{name}.{table.name}.checkpoint").read_text())["state"]


def is_begun(tmp_path, table):
    """Return whether there is a checkpoint to go on from: that there can be one is tried with an empty one before."""
    try:
        return "position" in state_of(tmp_path, table)
    except FileNotFoundError:
        return False


@pytest.fixture
def stopping(table):
    """Stand before the table, and refuse access from the seventh batch on."""
    with FaultProxy(table.url) as proxy:
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=7)]
        yield proxy


pytestmark = pytest.mark.usefixtures("short_stretches")


def test_a_load_that_is_stopped_goes_on_behind_its_checkpoint(command, table, stopping, tmp_path):
    write_rows(tmp_path / "items.jsonl", 300)
    done = command("load", *through(stopping, table), "items.jsonl")
    assert done.code == 4
    assert "goes on from the last checkpoint" in done.err
    state = state_of(tmp_path, table)
    rows = state["position"][1]
    assert 0 < rows < 300
    assert stored(table).items() >= {key: n for key, n in expected(300).items() if n < rows}.items()
    stopping.plan = []
    stopping.clear()
    done = command("load", *through(stopping, table), "items.jsonl")
    assert done.code == 0
    assert f"{rows} rows were done before" in done.err
    assert stored(table) == expected(300)
    sent = [entry for seen in stopping.seen if seen.operation == "BatchWriteItem" for entry in batch(seen)]
    assert min(int(entry["PutRequest"]["Item"]["n"]["N"]) for entry in sent) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


def batch(seen):
    [entries] = seen.params["RequestItems"].values()
    return entries


def test_what_began_anew_goes_on_without_restart(command, table, stopping, tmp_path):
    write_rows(tmp_path / "items.jsonl", 300)
    done = command("load", *through(stopping, table), "items.jsonl", "--restart")
    assert (done.code, "the same command without --restart goes on" in done.err) == (4, True)


def test_a_finished_file_is_not_loaded_again_and_later_files_win(command, table, stopping, tmp_path):
    write_rows(tmp_path / "1.jsonl", 60)
    (tmp_path / "2.csv").write_text("pk,n\n" + "".join(f"{n:06},{n + 1000}\n" for n in range(0, 300, 2)))
    assert command("load", *through(stopping, table), "1.jsonl", "2.csv").code == 4
    assert state_of(tmp_path, table, "1.jsonl")["done"]
    stopping.plan = []
    assert command("load", *through(stopping, table), "1.jsonl", "2.csv").code == 0
    wanted = expected(60) | {f"{n:06}": n + 1000 for n in range(0, 300, 2)}
    assert stored(table) == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jsonl", "2.csv"]


def test_where_a_file_is_loaded_again_those_after_it_are_too(command, table, stopping, tmp_path):
    write_rows(tmp_path / "1.jsonl", 60)
    (tmp_path / "2.csv").write_text("pk,n\n" + "".join(f"{n:06},{n + 1000}\n" for n in range(300)))
    assert command("load", *through(stopping, table), "1.jsonl", "2.csv").code == 4
    stopping.plan = []
    assert command("load", *through(stopping, table), "1.jsonl").code == 0  # it is done, and its checkpoint goes
    assert command("load", *through(stopping, table), "1.jsonl", "2.csv").code == 0
    assert stored(table) == {f"{n:06}": n + 1000 for n in range(300)}


def test_what_comes_after_standard_input_is_loaded_again_with_it(command, table, stopping, tmp_path, monkeypatch):
    write_rows(tmp_path / "1.jsonl", 300)
    rows = b"".join(b'{"pk": "%06d", "n": -1}\n' % n for n in range(300))
    stopping.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=17)]
    for code in (4, 0):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(rows)))
        assert command("load", *through(stopping, table), "-", "1.jsonl", "--format", "jsonl").code == code
        if code:
            assert state_of(tmp_path, table, "1.jsonl")["position"][1] > 0
        stopping.plan = []
    assert stored(table) == expected(300)


def test_two_loads_of_one_file_do_not_mix(start, command, table, tmp_path):
    write_rows(tmp_path / "items.jsonl", 300)
    process = start("load", *table.to, "items.jsonl", "--write-units-per-second", "20")
    wait_until(table.stored)  # the file of its lock is there a moment before it is locked
    for more in ((), ("--restart",)):
        done = command("load", *table.to, "items.jsonl", *more)
        assert (done.code, done.err) == (
            1,
            f"resilient-ddb: error: another program is at the same work: it holds items.jsonl.{table.name}.lock\n",
        )
    process.kill()
    process.communicate()
    assert command("load", *table.to, "items.jsonl").code == 0
    assert stored(table) == expected(300)
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_names_of_files_may_be_any_bytes(command, table, tmp_path):
    name = os.fsdecode(b"odd \xff.jsonl")
    for path in (name, "2.jsonl"):
        write_rows(tmp_path / path, 3)
    assert command("load", *table.to, name, "2.jsonl").code == 0


def test_refused_rows_are_kept_once_over_a_resume(command, table, stopping, tmp_path):
    rows = [json.dumps({"pk": f"{n:03}"}) if n % 10 else f"bad {n}" for n in range(300)]
    (tmp_path / "items.jsonl").write_text("\n".join(rows))
    assert command("load", *through(stopping, table), "items.jsonl").code == 4
    stopping.plan = []
    done = command("load", *through(stopping, table), "items.jsonl")
    assert done.code == 3
    assert "30 rows refused" in done.err
    lines = (tmp_path / f"items.jsonl.{table.name}.refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [f"bad {n}" for n in range(0, 300, 10)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.write_text(path.read_text() + '{"pk": "new", "n": 0}\n'), "differs in input"),
        (lambda path: os.utime(path, (1, 1)), "differs in input"),
    ],
)
def test_a_file_that_changed_is_not_gone_on_with(change, says, command, table, stopping, tmp_path):
    write_rows(tmp_path / "items.jsonl", 300)
    assert command("load", *through(stopping, table), "items.jsonl").code == 4
    stopping.plan = []
    change(tmp_path / "items.jsonl")
    done = command("load", *through(stopping, table), "items.jsonl")
    assert done.code == 1
    assert says in done.err
    assert "--restart" in done.err
    assert command("load", *through(stopping, table), "items.jsonl", "--restart").code == 0
    assert len(stored(table)) >= 300


def test_other_options_or_another_table_are_not_gone_on_with(command, table, make, stopping, tmp_path):
    write_rows(tmp_path / "items.jsonl", 300)
    assert command("load", *through(stopping, table), "items.jsonl").code == 4
    stopping.plan = []
    done = command("load", *through(stopping, table), "items.jsonl", "--type", "n:S")
    assert (done.code, "differs in types" in done.err) == (1, True)
    table.plain.delete()
    table.plain.meta.client.create_table(
        TableName=table.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    done = command("load", *through(stopping, table), "items.jsonl")
    assert (done.code, "differs in table_id" in done.err) == (1, True)


def test_columns_that_are_told_otherwise_are_not_gone_on_with(command, table, stopping, tmp_path):
    (tmp_path / "items.csv").write_text("pk,n\n" + "".join(f"{n:03},{n}\n" for n in range(300)))
    assert command("load", *through(stopping, table), "items.csv").code == 4
    path = tmp_path / f"items.csv.{table.name}.checkpoint"
    path.write_text(path.read_text().replace('"n": "N"', '"n": "S"'))
    done = command("load", *through(stopping, table), "items.csv")
    assert (done.code, "have other types than before" in done.err) == (1, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 2, "work": {}, "state": {}}'])
def test_a_damaged_checkpoint_is_said_in_one_line(text, command, table, tmp_path):
    write_rows(tmp_path / "items.jsonl", 3)
    (tmp_path / f"items.jsonl.{table.name}.checkpoint").write_text(text)
    done = command("load", *table.to, "items.jsonl")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--restart begins anew" in done.err
    assert command("load", *table.to, "items.jsonl", "--restart").code == 0


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_checkpoint_and_no_traceback(kind, start, table, tmp_path):
    write_rows(tmp_path / "items.jsonl", 200_000)
    process = start("load", *table.to, "items.jsonl")
    wait_until(lambda: is_begun(tmp_path, table))
    process.send_signal(kind)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert said.decode().splitlines()[-1].startswith("resilient-ddb: interrupted; the same command goes on")
    assert b"Traceback" not in said
    assert state_of(tmp_path, table)["position"][1] > 0


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.long)])
def test_a_killed_load_goes_on_and_misses_nothing(start, table, tmp_path, kills):
    write_rows(tmp_path / "items.jsonl", 6000, keys=4000)
    random_ = random.Random(7)
    for _ in range(kills):
        process = start("load", *table.to, "items.jsonl")
        time.sleep(random_.uniform(0.4, 1.5))
        process.kill()
        process.communicate()
    process = start("load", *table.to, "items.jsonl")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert stored(table) == expected(6000, 4000)
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]
