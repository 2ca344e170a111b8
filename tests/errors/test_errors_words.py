"""Numbers in sentences."""

import pytest

from resilient_ddb.errors.words import counted


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "item"), "1 item"),
        ((0, "item"), "0 items"),
        ((2000, "item"), "2,000 items"),
        ((1, "pass", "passes"), "1 pass"),
        ((3, "pass", "passes"), "3 passes"),
    ],
)
def test_one_is_one(arguments, text):
    assert counted(*arguments) == text
