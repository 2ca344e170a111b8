"""A batch writer drops nothing in silence: what a block that is simply left holds is written, and all else is told."""

import logging
import warnings
from contextlib import contextmanager

import pytest
from cycle_support import collected_afterwards
from foreign_answers import sent_keys, takes_all
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock

DENIED = (400, {"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException", "message": "no"})


@pytest.fixture(params=["plain", "sharded"])
def kind(request):
    return request.param


@pytest.fixture(params=[1, 3])
def workers(request):
    return request.param


def writer_on(stub, kind="plain", **options):
    table = rddb.table(TABLE, endpoint_url=stub.endpoint_url, policy=rddb.Policy(clock=FakeClock()))
    return (table.sharded(1, by="n") if kind == "sharded" else table).batch_writer(**options)


def put(batch, *keys):
    for key in keys:
        batch.put_item(Item={"pk": key, "n": 1})


def accepting():
    return WireStub(lambda _, params: takes_all(params))


@contextmanager
def dropped(caplog):
    """Return what is told of a writer that is dropped within."""
    told = []
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING, "resilient_ddb"):
        warnings.simplefilter("always")
        with collected_afterwards():
            yield told
    told += [str(warning.message) for warning in caught if warning.category is ResourceWarning]
    assert told == [line for line in caplog.messages if "was dropped" in line]
    caplog.clear()


def test_a_generator_that_is_left_early_writes(kind, workers):
    with accepting() as stub:

        def ingest():
            with writer_on(stub, kind, max_workers=workers) as batch:
                for number in range(10):
                    put(batch, str(number))
                    yield number

        with collected_afterwards():
            for number in ingest():
                if number == 4:
                    break
        assert sent_keys(stub) == ["0", "1", "2", "3", "4"]


def test_the_programs_end_writes(kind, workers):
    with accepting() as stub:
        with pytest.raises(SystemExit), writer_on(stub, kind, max_workers=workers) as batch:  # noqa: PT012 - the block raises
            put(batch, "a")
            raise SystemExit(0)
        assert sent_keys(stub) == ["a"]


def test_what_can_not_be_written_then_is_raised(kind):
    with WireStub(lambda *_: DENIED) as stub:

        def ingest():
            with writer_on(stub, kind) as batch:
                put(batch, "a")
                yield

        reading = ingest()
        next(reading)
        with pytest.raises(rddb.UnprocessedItemsError, match="AccessDenied") as raised:
            reading.close()
        assert raised.value.requests == [{"PutRequest": {"Item": {"pk": "a", "n": 1}}}]
        with pytest.raises(rddb.UnprocessedItemsError, match="AccessDenied"), writer_on(stub, kind) as batch:  # noqa: PT012
            put(batch, "a")
            raise SystemExit(0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_every_other_exception_hands_back_and_that_is_telling_enough(error, kind, workers, caplog):
    with accepting() as stub, dropped(caplog) as told:
        batch = writer_on(stub, kind, max_workers=workers)
        with pytest.raises(error), batch:  # noqa: PT012 - the block raises
            put(batch, "a", "b")
            raise error
        assert len(batch.unprocessed) == 2
        del batch
    assert told == []
    assert sent_keys(stub) == []


def test_a_writer_that_is_never_closed_warns_with_its_table_and_number(kind, workers, caplog):
    with accepting() as stub, dropped(caplog) as told:
        batch = writer_on(stub, kind, max_workers=workers)
        put(batch, *map(str, range(27)))
        del batch
    [text] = told
    assert f"table '{TABLE}'" in text
    assert "2 requests" in text or workers > 1


def test_what_is_put_after_the_block_and_never_sent_is_warned_of(caplog):
    with accepting() as stub, dropped(caplog) as told:
        with writer_on(stub) as batch:
            put(batch, "a")
        put(batch, "b")
        del batch
    assert len(told) == 1
    assert "1 request " in told[0]


def test_a_writer_that_was_flushed_says_nothing(kind, caplog):
    with accepting() as stub, dropped(caplog) as told:
        batch = writer_on(stub, kind)
        put(batch, "a")
        batch.flush()
        del batch
    assert told == []


def test_of_what_an_error_has_told_a_dropped_writer_does_not_warn_again(caplog):
    with WireStub(lambda *_: (400, {"__type": "x#ValidationException", "message": "no"})) as stub:
        with dropped(caplog) as told:
            batch = writer_on(stub, flush_amount=1)
            with pytest.raises(rddb.UnprocessedItemsError):
                put(batch, "a")
            del batch
        assert told == []
        with dropped(caplog) as told:
            batch = writer_on(stub, flush_amount=2)
            put(batch, "a")
            with pytest.raises(rddb.UnprocessedItemsError):
                put(batch, "b")
            put(batch, "c")
            del batch
        assert "1 request " in told[0]


def test_a_writer_that_could_not_be_made_says_nothing(caplog):
    with accepting() as stub, dropped(caplog) as told:

        async def take(requests):
            """Be async."""

        with pytest.raises(TypeError, match="async"):
            writer_on(stub, on_unprocessed=take)
    assert told == []
