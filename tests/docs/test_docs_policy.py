"""The tables of the policy's page say what the dataclasses say."""

import dataclasses

import pytest
from listed import literals, tables

import resilient_ddb as rddb

CLASSES = [rddb.Policy, rddb.Retry, rddb.RetryBudget, rddb.CircuitBreaker, rddb.Timeouts]
SECONDS = {"base_delay", "max_delay", "wait", "connect", "read", "call", "connection_max_idle"}
SHARES = {"failure_rate_threshold", "slow_call_rate_threshold", "open_jitter"}


def default_of(field):
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.default_factory.__name__}()"
    return repr(field.default)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_is_listed_with_its_default_and_unit(cls):
    [rows] = [rows for heading, rows in tables("policy.rst") if heading == f"``{cls.__name__}``"]
    listed = {literals(name)[0]: (literals(default)[0], unit) for name, default, unit, _ in rows}
    assert {name: default for name, (default, _) in listed.items()} == {
        field.name: default_of(field) for field in dataclasses.fields(cls)
    }
    for name, (_, unit) in listed.items():
        assert (unit == "seconds") == (name in SECONDS or name.endswith(("_seconds", "_duration", "_interval"))), name
        assert (unit == "share") == (name in SHARES), name


def test_every_field_has_a_meaning():
    rows = [row for _, rows in tables("policy.rst") for row in rows]
    assert all(len(row) == 4 and row[3].endswith(".") for row in rows)
    assert len(rows) > 25
