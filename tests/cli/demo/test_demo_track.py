"""What is drawn of a run: on one axis for all runs, with every call and every request in one slot."""

from dataclasses import replace

import pytest

from resilient_ddb.cli.demo.records import RequestRecord
from resilient_ddb.cli.demo.tally import tally
from resilient_ddb.cli.demo.track import spans, track


def test_slots_hold_every_call_made_and_every_request(made_up_run):
    cut = track(made_up_run, width=0.5)
    assert (cut.first, len(cut.slots)) == (-1, 8)
    assert [sum(getattr(slot, kind) for slot in cut.slots) for kind in ("ok", "cached", "failed")] == [2, 1, 2]
    assert sum(slot.calls for slot in cut.slots) == tally(made_up_run).calls
    assert [slot.requests for slot in cut.slots] == [1, 1, 0, 0, 1, 0, 0, 1]
    assert [slot.longest for slot in cut.slots][:3] == [None, 0.25, None]


def test_what_no_error_says_is_neither_answered_nor_failed(made_up_run):
    cut = track(made_up_run, width=0.5)
    assert sum(slot.wrong for slot in cut.slots) == tally(made_up_run).wrong - tally(made_up_run).lost_rows


def test_work_begins_with_the_first_call_and_leaves_out_the_reading_back(made_up_run):
    between = [RequestRecord(at=at, fault=None) for at in (0.2, 0.7)]  # in the load, and while the table is read back
    cut = track(replace(made_up_run, requests=between), width=0.25)
    assert (cut.begin, cut.end, cut.outage) == (-0.5, 3.5, (1.0, 3.0))
    assert [(number, slot.requests) for number, slot in enumerate(cut.slots, cut.first) if slot.requests] == [
        (-2, 1),
        (0, 1),
    ]
    assert cut.end - cut.begin == pytest.approx(tally(made_up_run).seconds)


def test_a_run_in_which_nothing_happened_has_a_slot(made_up_run):
    cut = track(replace(made_up_run, calls=[], requests=[], loaded_at=0.0, calls_from=0.0, ended_at=0.0), width=0.1)
    assert len(cut.slots) == 1
    assert cut.slots[0].longest is None


def test_circuits_have_their_states_on_the_same_axis(made_up_run):
    [(name, found)] = track(made_up_run, width=0.1).circuits.items()
    assert name == "airports/read"
    assert [state for state, _, _ in found] == ["closed", "open", "half-open", "closed"]
    assert [since for _, since, _ in found] == pytest.approx([-0.5, 1.2, 2.2, 2.3])


def test_spans_begin_closed_and_reach_to_the_end(made_up_run):
    assert spans(made_up_run.circuits, 4.5) == [
        ("closed", 0.0, 2.2),
        ("open", 2.2, 3.2),
        ("half-open", 3.2, 3.3),
        ("closed", 3.3, 4.5),
    ]
    assert spans([], 2.0) == [("closed", 0.0, 2.0)]
