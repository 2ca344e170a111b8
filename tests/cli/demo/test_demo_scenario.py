from decimal import Decimal

import pytest

from resilient_ddb.cli.demo.airports import parse_airports, read_airports
from resilient_ddb.cli.demo.errors import DemoError
from resilient_ddb.cli.demo.scenario import FULL_RECORDS, Verb, make_scenario
from resilient_ddb.testing import faults


def test_the_airports_are_all_there_with_keys_that_differ():
    rows = read_airports()
    assert len({(row["state"], row["iata"]) for row in rows}) == len(rows) == FULL_RECORDS
    assert read_airports(3) == rows[:3]


def test_rows_have_exact_coordinates_and_no_empty_strings():
    (row,) = parse_airports([{"iata": "AAA", "city": "", "latitude": "31.95376472", "longitude": "-89.2"}])
    assert row == {"iata": "AAA", "latitude": Decimal("31.95376472"), "longitude": Decimal("-89.2")}


def test_a_missing_data_set_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.demo.airports.find_spec", lambda _name: None)
    with pytest.raises(DemoError, match=r"pip install 'resilient_ddb\[demo\]'"):
        read_airports()


def test_one_seed_gives_one_plan():
    rows = read_airports(200)
    assert make_scenario(rows, 7) == make_scenario(rows, 7)
    assert make_scenario(rows, 7) != make_scenario(rows, 8)


def test_every_row_is_written_once_and_every_count_has_a_counter_of_its_own():
    rows = read_airports(200)
    scenario = make_scenario(rows, 1)
    codes = [row["iata"] for row in (*scenario.loaded, *scenario.arriving)]
    assert sorted(codes) == sorted(row["iata"] for row in rows)
    assert len({call.counter for call in scenario.calls}) == len(scenario.calls)
    assert {call.verb for call in scenario.calls} == set(Verb)
    assert {call.iata for call in scenario.calls} <= {row["iata"] for row in scenario.loaded}


@pytest.mark.parametrize("number", [1, 2, 120, FULL_RECORDS])
def test_the_outage_begins_and_ends_while_calls_are_made(number):
    scenario = make_scenario(read_airports(number), 1)
    assert scenario.rows == number
    assert scenario.outage_start > 1
    assert scenario.outage_start + scenario.outage_seconds < scenario.calls[-1].due
    (outage,) = [fault for fault in scenario.call_faults() if isinstance(fault, faults.Outage)]
    assert (outage.start, outage.duration) == (scenario.outage_start, 3.0)
