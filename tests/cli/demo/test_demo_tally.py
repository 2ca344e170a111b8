from dataclasses import replace

import pytest

from resilient_ddb.cli.demo.figures import duration, figures
from resilient_ddb.cli.demo.records import Outcome
from resilient_ddb.cli.demo.tally import percentile, slots, tally


def test_every_number_is_counted_from_what_was_written_down_and_read_back(made_up_run):
    counted = tally(made_up_run)
    assert (counted.rows, counted.written, counted.lost_rows, counted.failed_rows) == (4, 2, 1, 1)
    assert (counted.counted_twice, counted.lost_counts) == (1, 1)
    assert (counted.unsure_said, counted.counted_unsaid) == (1, 1)
    assert (counted.phantoms, counted.failed_calls, counted.cached) == (1, 3, 1)
    assert (counted.calls, counted.skipped) == (9, 1)
    assert (counted.requests, counted.outage_requests) == (4, 1)


def test_time_leaves_out_the_reading_back(made_up_run):
    assert tally(made_up_run).seconds == pytest.approx(0.5 + 3.5)


def test_waits_count_from_when_calls_were_due_and_leave_out_calls_never_made(made_up_run):
    counted = tally(made_up_run)
    assert (counted.p50, counted.p99) == (0.25, 2.0)


def test_a_row_that_nobody_handed_over_is_not_counted(made_up_run):
    counted = tally(replace(made_up_run, found=made_up_run.found | {"XXX"}))
    assert counted.written == 2


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 99, 0.0), ([7.0], 99, 7.0), ([3.0, 1.0, 2.0, 4.0], 50, 2.0), (list(range(1, 101)), 99, 99), ([1, 2], 0, 1)],
)
def test_percentile_is_the_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


def test_slots_hold_every_call_made_and_every_request(made_up_run):
    cut = slots(made_up_run, width=0.5)
    assert len(cut) == 9
    assert sum(slot.ok for slot in cut) == 4
    assert sum(slot.cached for slot in cut) == 1
    assert sum(slot.failed for slot in cut) == 4
    assert sum(slot.requests for slot in cut) == 4
    assert [slot.longest for slot in cut][:3] == [None, None, 0.25]


def test_slots_of_a_run_in_which_nothing_happened(made_up_run):
    cut = slots(replace(made_up_run, calls=[], requests=[], ended_at=0.0))
    assert len(cut) == 1
    assert cut[0].longest is None


def test_the_table_says_what_is_good_and_what_is_not(made_up_run):
    clean = replace(tally(made_up_run), written=4, counted_twice=0)
    lines = {line.label: line for line in figures([tally(made_up_run), clean])}
    assert lines["rows written"].values == ["2 of 4", "4 of 4"]
    assert lines["rows written"].good == [False, True]
    assert lines["counted twice"].good == [False, True]
    assert lines["requests sent"].good == [None, None]
    assert lines["calls never made"].values == ["1", "1"]


def test_calls_never_made_have_a_line_only_where_there_are_any(made_up_run):
    made = [call for call in made_up_run.calls if call.outcome is not Outcome.SKIPPED]
    labels = [line.label for line in figures([tally(replace(made_up_run, calls=made))])]
    assert "calls never made" not in labels


@pytest.mark.parametrize(("seconds", "text"), [(0.0034, "3 ms"), (0.9, "900 ms"), (1.0, "1.00 s"), (12.346, "12.35 s")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
