"""The arguments of `resilient-ddb load` and `export`: parsed without loading what they run."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, NoReturn

from .conversions import type_option
from .options import FORMATS, OUTPUT_FORMATS, PRICE_PER_MILLION, Access, ExportOptions, LoadOptions, Rate

_MOST_DIGITS = 18


def add_load(commands: Any) -> None:
    """Add `load` to the program's commands."""
    load = commands.add_parser(
        "load",
        help="write files of items into a table, at a stated rate, resumable",
        description=(
            "Writes JSON Lines, CSV, Parquet or DynamoDB JSON into a table that exists. Stopped at any moment, the "
            "same command goes on where it was. Refused rows go to FILE.TABLE.refused.jsonl. Ends with 0 if all "
            "was written, 3 if rows were refused, 4 if it was stopped and can be resumed, 1 if it can't "
            "run, 2 for a wrong usage."
        ),
    )
    load.add_argument("table", metavar="TABLE", help="the table, by its name or its ARN")
    load.add_argument("files", nargs="+", metavar="FILE", help="what to load, gzipped or not; - for standard input")
    load.add_argument(
        "--write-units-per-second",
        type=_rate,
        metavar="N",
        help="write capacity units a second, or auto: what the table allows",
    )
    _refuse(load, "--table", "the table is named first, as in load TABLE FILE")
    _refuse(load, "--write-units", "its name is --write-units-per-second")
    load.add_argument("--format", choices=FORMATS, help="the files' format (default: told by their names and contents)")
    load.add_argument("--delimiter", type=_character, metavar="C", help="what separates the cells of CSV")
    load.add_argument(
        "--type",
        dest="types",
        type=_type,
        action="append",
        default=[],
        metavar="NAME:TYPE",
        help="the type of an attribute, such as price:N; may be given several times",
    )
    load.add_argument(
        "--key", type=_names, default=(), metavar="NAME[,NAME]", help="the table's key, where it can't be described"
    )
    load.add_argument("--ttl", metavar="NAME", help="the TTL attribute: times become seconds, milliseconds are refused")
    _add_shards(load)
    load.add_argument(
        "--max-workers",
        type=whole,
        default=8,
        metavar="N",
        help="batches of 25 items under way at once (default: %(default)s)",
    )
    load.add_argument("--dry-run", action="store_true", help="write nothing; say what it would take")
    load.add_argument(
        "--price",
        type=_price,
        default=PRICE_PER_MILLION,
        metavar="USD",
        help="dollars for a million write units (default: %(default)s, on demand in us-east-1)",
    )
    load.add_argument(
        "--work-dir", type=Path, metavar="DIR", help="where checkpoints and refused rows go (default: beside each file)"
    )
    _add_common(load)


def _add_shards(load: argparse.ArgumentParser) -> None:
    load.add_argument("--shards", type=whole, metavar="N", help="write to so many shards of each partition key")
    load.add_argument(
        "--shard-by", metavar="NAME", help="the attribute that chooses the shard (default: the table's sort key)"
    )
    load.add_argument(
        "--shard-separator",
        default="#",
        metavar="TEXT",
        help="what stands between a key and its shard's number (default: %(default)s)",
    )
    load.add_argument(
        "--shard-pad", type=whole, default=0, metavar="N", help="digits that the number is filled up to with zeros"
    )


def add_export(commands: Any) -> None:
    """Add `export` to the program's commands."""
    export = commands.add_parser(
        "export",
        help="write a table's items into a file",
        description=(
            "Reads a table in parallel and writes its items to standard output or to a file. With --output it can be "
            "stopped at any moment, and the same command goes on where it was. A scan is no snapshot: items that are "
            "written meanwhile may be in it, or not. Ends with 0 if all was read, 4 if it was stopped and can be "
            "resumed, 1 if it can't run, 2 for a wrong usage."
        ),
    )
    export.add_argument("table", metavar="TABLE", help="the table, by its name or its ARN")
    export.add_argument(
        "--format", choices=OUTPUT_FORMATS, default="jsonl", help="the output's format (default: %(default)s)"
    )
    export.add_argument(
        "--output", type=Path, metavar="PATH", help="a file, or for Parquet a folder (default: standard output)"
    )
    export.add_argument("--read-units-per-second", type=_units, metavar="N", help="read capacity units a second")
    _refuse(export, "--table", "the table is named first, as in export TABLE")
    _refuse(export, "--read-units", "its name is --read-units-per-second")
    export.add_argument("--segments", type=whole, metavar="N", help="how many parts of the table are read at once")
    export.add_argument("--ttl", metavar="NAME", help="the TTL attribute: expired items are left out")
    export.add_argument(
        "--consistent-read", action="store_true", help="strongly consistent reads, at twice the read units"
    )
    _add_common(export)


class _Refused(argparse.Action):
    """An option that somebody may take for another: it says which."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """End the program, as for any wrong usage."""
        parser.error(f"there is no {self.option_strings[0]}: {self.const}")


def _refuse(parser: argparse.ArgumentParser, option: str, instead: str) -> None:
    parser.add_argument(
        option, action=_Refused, const=instead, nargs="?", dest=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--restart", action="store_true", help="begin anew where an earlier run was stopped")
    parser.add_argument("--endpoint-url", type=_endpoint, metavar="URL", help="another endpoint than AWS's own")
    parser.add_argument("--region", metavar="NAME", help="the AWS region")
    parser.add_argument("--profile", metavar="NAME", help="a profile of the AWS configuration")
    parser.add_argument(
        "--no-progress", dest="progress", action="store_false", help="plain lines instead of a progress bar"
    )
    parser.add_argument("--verbose", action="store_true", help="say more, and where an error comes from")


def load_options(parsed: argparse.Namespace) -> LoadOptions:
    """Return the options of `load`."""
    return LoadOptions(
        files=parsed.files,
        access=_access(parsed),
        form=parsed.format,
        delimiter=parsed.delimiter,
        types=dict(parsed.types),
        key=parsed.key,
        ttl=parsed.ttl,
        shards=parsed.shards,
        shard_by=parsed.shard_by,
        shard_separator=parsed.shard_separator,
        shard_pad=parsed.shard_pad,
        write_units_per_second=parsed.write_units_per_second,
        workers=parsed.max_workers,
        folder=parsed.work_dir,
        restart=parsed.restart,
        price=parsed.price,
        live=parsed.progress,
    )


def export_options(parsed: argparse.Namespace) -> ExportOptions:
    """Return the options of `export`."""
    return ExportOptions(
        access=_access(parsed),
        form=parsed.format,
        output=parsed.output,
        ttl=parsed.ttl,
        read_units_per_second=parsed.read_units_per_second,
        segments=parsed.segments or "auto",
        consistent_read=parsed.consistent_read,
        restart=parsed.restart,
        live=parsed.progress,
    )


def _access(parsed: argparse.Namespace) -> Access:
    return Access(table=parsed.table, endpoint_url=parsed.endpoint_url, region=parsed.region, profile=parsed.profile)


def _rate(text: str) -> Rate:
    return "auto" if text == "auto" else _positive(text, "a number above 0, or auto")


def _units(text: str) -> float:
    return _positive(text, "a number above 0")


def _price(text: str) -> float:
    return 0.0 if text == "0" else _positive(text, "a number of dollars")


def _positive(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be {what}; got {text!r}")
    return number


def whole(text: str) -> int:
    """Return the whole number, 1 or more, that an option was given. Raise ArgumentTypeError: it is none."""
    number = _digits(text)
    if not number:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more; got {text!r}")
    return number


def seed(text: str) -> int:
    """Return the whole number that an option was given. Raise ArgumentTypeError: it is none."""
    number = _digits(text.removeprefix("-"))
    if number is None:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}")
    return -number if text.startswith("-") else number


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _character(text: str) -> str:
    character = "\t" if text == "\\t" else text
    if len(character) != 1 or character in '"\r\n':
        raise argparse.ArgumentTypeError(f"must be one character, such as ; or \\t; got {text!r}")
    return character


def _type(text: str) -> tuple[str, str]:
    try:
        return type_option(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not all(names) or len(names) > 2:  # noqa: PLR2004 - a partition key and a sort key
        raise argparse.ArgumentTypeError(f"must be one name, or two with a comma between them; got {text!r}")
    return names


def _endpoint(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"must be a URL such as http://127.0.0.1:8000; got {text!r}")
    return text
