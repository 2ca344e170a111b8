"""The errors of each verb and fault through `pickle` and `copy`, and from a pool of processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from fork_support import FORKS, QUIET
from pickle_support import BATCH, FAULTS, WRITES, check, params, policy

import resilient_ddb as rddb


@pytest.fixture
def failing(proxy, dynamodb_local, make_table, hardened):
    """Return a table whose calls fail as a fault has it."""
    name = make_table(dynamodb_local.endpoint_url)

    def make(fault):
        proxy.plan = [] if FAULTS[fault] is None else [FAULTS[fault]]
        url = "http://127.0.0.1:9" if fault == "nobody listens" else proxy.endpoint_url
        return hardened(url, policy(fault)).Table(name)

    return make


def raised(table, fault, verb):
    times = 2 if fault == "circuit open" else 1
    for _ in range(times):
        with (
            pytest.raises((BotoCoreError, ClientError)) as caught,
            rddb.deadline(1e-9 if fault == "deadline" else 60.0),
        ):
            getattr(table, verb)(**params(fault, verb))
    return caught.value


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_of_the_wire_survives(fault, verb, failing):
    table = failing(fault)
    error = raised(table, fault, verb)
    check(error)


def write(table, max_workers=1, flush_amount=25):
    with table.batch_writer(["pk"], flush_amount, max_workers=max_workers) as batch:
        for request in BATCH:
            batch.put_item(**request["PutRequest"])


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", [fault for fault, made in FAULTS.items() if made is not None and fault != "deadline"])
def test_what_a_batch_writer_has_left_survives(fault, workers, failing):
    table = failing(fault)
    with pytest.raises(rddb.UnprocessedItemsError) as caught:
        write(table, max_workers=workers)
    assert caught.value.requests == BATCH
    check(caught.value)


def update(table):
    table.update_item(**WRITES["update_item"])


@FORKS
@QUIET
def test_a_pool_of_processes_hands_on_the_facts_and_what_is_left(failing):
    table = failing("reply lost")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        left, lost = pool.submit(write, table).exception(), pool.submit(update, table).exception()
        early = pool.submit(write, table, 1, 2).exception()  # within the block
    assert (type(early), early.requests) == (rddb.UnprocessedItemsError, BATCH[:2])
    assert (type(left), left.requests) == (rddb.UnprocessedItemsError, BATCH)
    assert (type(lost).__name__, lost.resilience.ambiguous) == ("ConnectionClosedError", True)
    assert any("AMBIGUOUS" in note for note in lost.__notes__)
