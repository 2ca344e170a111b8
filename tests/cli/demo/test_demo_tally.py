from dataclasses import replace
from itertools import groupby

import pytest

from resilient_ddb.cli.demo.figures import Group, Tone, duration, figures, headline, summary
from resilient_ddb.cli.demo.records import Outcome
from resilient_ddb.cli.demo.tally import percentile, tally


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


def test_each_colour_has_one_meaning(made_up_run):
    clean = replace(tally(made_up_run), written=4, counted_twice=0)
    lines = {line.label: line for line in figures([tally(made_up_run), clean])}
    assert lines["rows written"].values == ["2 of 4", "4 of 4"]
    assert lines["counted twice"].tones == [Tone.WRONG, Tone.PLAIN]
    assert lines["calls failed with an error"].tones == [Tone.FAILED, Tone.FAILED]
    assert lines["reads answered from cache"].tones == [Tone.CACHED, Tone.CACHED]
    assert lines["requests sent"].tones == [Tone.PLAIN, Tone.PLAIN]
    assert lines["calls never made"].values == ["1", "1"]


def test_only_what_no_error_says_is_shown_as_wrong(made_up_run):
    lines = figures([tally(made_up_run)])
    assert {line.group for line in lines if Tone.WRONG in line.tones} == {Group.WRONG}
    assert sum(int(line.values[0]) for line in lines if line.group is Group.WRONG) == tally(made_up_run).wrong == 5


def test_lines_of_a_group_stand_together(made_up_run):
    groups = [group for group, _ in groupby(figures([tally(made_up_run)]), key=lambda line: line.group)]
    assert groups == list(Group)


def test_the_headline_is_made_of_the_runs_own_numbers(made_up_run):
    ours = tally(
        replace(
            made_up_run,
            client="resilient_ddb 0.1.0",
            calls=[],
            found=made_up_run.rows,
        )
    )
    assert headline([tally(made_up_run), ours]) == (
        "boto3 was wrong 5 times, and no error said so. resilient_ddb was wrong 0 times."
    )
    assert summary(tally(made_up_run)) == (
        "boto3: 1 row lost, 1 call counted twice, 1 call answered and not counted, 1 call counted and reported as "
        "failed, 1 time 'not found' of a row that is there. 3 calls failed with an error, 1 read came from cache, "
        "marked so. Half of the calls waited 250 ms or less."
    )
    assert summary(ours) == (
        "resilient_ddb: nothing went wrong without a word. No call failed. Half of the calls waited 0 ms or less."
    )


def test_calls_never_made_have_a_line_only_where_there_are_any(made_up_run):
    made = [call for call in made_up_run.calls if call.outcome is not Outcome.SKIPPED]
    labels = [line.label for line in figures([tally(replace(made_up_run, calls=made))])]
    assert "calls never made" not in labels


@pytest.mark.parametrize(("seconds", "text"), [(0.0034, "3 ms"), (0.9, "900 ms"), (1.0, "1.00 s"), (12.346, "12.35 s")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
