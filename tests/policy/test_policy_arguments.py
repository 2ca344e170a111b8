"""The options of the command: what is wrong with one is told in words, whichever option it is."""

import argparse
import re
from pathlib import Path

import pytest

from resilient_ddb import cli

ODD = [
    "",
    " ",
    "x",
    "-",
    "-1",
    "0",
    "1.5",
    "1e400",
    "nan",
    "9" * 5000,
    "\u0661",
    "1_0",
    "http://[::1",
    "\x1b[2J",
    ":",
    ",",
]
PARSER = cli._parser()  # noqa: SLF001 - the program's, without what it does
COMMANDS = next(
    action
    for action in PARSER._actions  # noqa: SLF001 - argparse has no public way
    if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - as above
).choices
OPTIONS = [
    (command, action.option_strings[0], action)
    for command, parser in COMMANDS.items()
    for action in parser._actions  # noqa: SLF001 - as above
    if action.option_strings and action.nargs is None and action.type is not Path
]


@pytest.mark.parametrize(
    ("command", "option", "action"), OPTIONS, ids=lambda value: value if type(value) is str else ""
)
def test_what_is_wrong_with_an_option_is_told_in_words(command, option, action, capsys):
    refused = []
    for text in ODD:
        try:
            COMMANDS[command]._get_values(action, [text])  # noqa: SLF001 - as above
        except argparse.ArgumentError as error:
            refused.append(str(error))
    for said in refused:
        assert said.startswith(f"argument {option}: ")
        assert "must be " in said or "choose from" in said
        assert not re.search(r"invalid \w+ value", said)
    assert refused or action.type is None


def test_an_option_is_refused_by_the_command_itself(capsys):
    for arguments in (
        ["demo", "--records", "many"],
        ["demo", "--seed", "x"],
        ["load", "t", "a", "--shards", "0"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        assert "must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seed"), [("-7", -7), ("0", 0), ("12", 12)])
def test_a_seed_may_be_any_whole_number(text, seed):
    assert PARSER.parse_args(["demo", f"--seed={text}"]).seed == seed
