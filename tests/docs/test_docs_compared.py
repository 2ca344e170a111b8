"""The page that compares says what the last run found, and the program counts what happened."""

import asyncio
import json

import boto3
import pytest
from benchmarks.compared import callers, page, scenarios, worker
from benchmarks.compared.contenders import CONTENDERS, environments
from listed import DOCS

from resilient_ddb.testing import FaultProxy

RESULTS = json.loads(page.RESULTS.read_text("utf-8"))


def test_the_page_has_the_results_of_the_last_run():
    text = (DOCS / "compared.rst").read_text("utf-8")
    assert page.fill(text, RESULTS) == text


def test_every_contender_has_a_result_of_each_scenario_and_versions():
    assert set(RESULTS["contenders"]) == {each.name for each in CONTENDERS}
    for each in CONTENDERS:
        found = RESULTS["contenders"][each.name]
        assert set(found["results"]) == set(each.only or scenarios.SCENARIOS)
        assert len(found["versions"]) == len(each.packages)


def test_every_contender_can_be_made():
    names = {each.name for each in environments()}
    for each in CONTENDERS:
        assert each.environment in names
        assert callable(callers.maker(each.maker))


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="has no"):
        page.fill("text\n", RESULTS)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "none failed"), (0.0001, "under 1 ms"), (0.0994, "99 ms"), (60.1, "60.1 s")],
)
def test_times_are_said_in_few_digits(value, said):
    assert page.seconds(value) == said


@pytest.fixture
def stage(dynamodb_for_docs, monkeypatch):
    """Return a function that sets the stage for a contender, in this process and small."""
    monkeypatch.setattr(scenarios, "UPDATES", 20)
    monkeypatch.setattr(scenarios, "READS", 20)
    monkeypatch.setattr(scenarios, "LOST", 0.3)
    monkeypatch.setattr(scenarios, "ITEMS", 50)
    monkeypatch.setattr(callers, "REGION", "eu-north-1")
    monkeypatch.setitem(callers.ARGUMENTS, "region_name", "eu-north-1")
    dynamodb = boto3.Session().resource("dynamodb", endpoint_url=dynamodb_for_docs)
    items = lambda: {item["id"]: item for item in dynamodb.Table("orders").scan()["Items"]}  # noqa: E731

    with FaultProxy(dynamodb_for_docs, seed=1) as proxy:

        def staged(maker):
            made = worker.worker_for(maker, proxy.endpoint_url, "orders")
            return scenarios.Stage(lambda **request: worker.respond(made, request), proxy, items, "orders")

        yield staged
    dynamodb.meta.client.close()


@pytest.mark.parametrize(("maker", "is_ours"), [("boto3_default", False), ("ours", True)])
def test_what_is_applied_twice_is_counted(stage, maker, is_ours):
    set_up = stage(maker)
    scenarios.warm_up(set_up)
    found = scenarios.lost_updates(set_up)
    assert found["lost_replies"] > 3
    assert found["lost"] == 0
    assert (found["doubled"] == 0) == is_ours
    assert found["unsure"] == (found["lost_replies"] if is_ours else 0)


def test_items_that_are_missing_are_counted(stage):
    set_up = stage("ours")
    found = scenarios.unprocessed(set_up)
    assert (found["missing"], found["told"]) == (0, False)
    real = set_up.items()
    set_up.items = lambda: {key: item for key, item in real.items() if key != "load-7"}
    assert scenarios.unprocessed(set_up)["missing"] == 1


def test_an_error_and_an_answer_are_told_apart():
    class Caller:
        async def read(self, key):
            if key == "gone":
                raise LookupError("The conditional request failed")
            return key

        is_unsure = staticmethod(lambda error: "conditional" in str(error))

    with asyncio.Runner() as runner:
        right, wrong = worker.Tasks(Caller(), runner).each("read", ["there", "gone"], 2)
    assert (right["ok"], right["value"]) == (True, "there")
    assert (wrong["ok"], wrong["error"], wrong["condition"], wrong["unsure"]) == (False, "LookupError", True, True)


def test_reads_go_on_until_each_was_served_after_the_outage():
    turns = worker.Turns(["a", "b"], 2, 1000)
    right, wrong = {"ok": True, "seconds": 0.5}, {"ok": False, "seconds": 0.5}
    turns.note("a", 1.0, right)
    turns.note("a", 2.0, right)
    turns.note("b", 2.0, wrong)
    assert turns.go_on()
    assert turns.note("b", 2.0, right) == {"ok": True, "seconds": 0.5, "at": 2.0, "key": "b"}
    assert not turns.go_on()
    assert not worker.Turns(["a"], 2, -2).go_on()
