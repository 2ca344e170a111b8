"""The `resilient-ddb` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from resilient_ddb._version import __version__

from .bulk.arguments import add_export, add_load, seed, whole

_DEMO_NEEDS = ("moto", "flask", "rich", "vega_datasets")
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code: 0 if all went well, 1 if it can't run here, 2 for a wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return _demo(options) if options.command == "demo" else _bulk(options)
    except KeyboardInterrupt:
        print("resilient-ddb: interrupted", file=sys.stderr)  # noqa: T201 - a program speaks
        return _INTERRUPTED


def _bulk(options: argparse.Namespace) -> int:
    from .bulk import commands  # noqa: PLC0415 - boto3 is loaded for those who load or export

    run: Callable[[argparse.Namespace], int] = getattr(commands, options.command)
    return run(options)


def _demo(options: argparse.Namespace) -> int:
    missing = [name for name in _DEMO_NEEDS if find_spec(name) is None]
    if missing:
        return _fail(f"the demo needs {', '.join(missing)}: pip install 'resilient_ddb[demo]'")
    from .demo.errors import DemoError  # noqa: PLC0415 - the demo's packages are for those who ask for it
    from .demo.run import Options, run_demo  # noqa: PLC0415 - as above

    chosen = Options(
        endpoint_url=options.endpoint_url,
        seed=options.seed,
        records=options.records,
        report=options.report,
        progress=options.progress,
    )
    try:
        run_demo(chosen)
    except DemoError as error:
        return _fail(str(error))
    return 0


def _fail(why: str) -> int:
    line = " ".join(why.split())
    print(f"resilient-ddb: error: {line}", file=sys.stderr)  # noqa: T201 - a program speaks
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resilient-ddb", description="boto3's DynamoDB Table, hardened.")
    parser.add_argument("--version", action="version", version=f"resilient-ddb {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="see boto3 and resilient_ddb go through the same trouble (about 45 s)",
        description=(
            "Loads 3,376 airports, reads, counts and queries, once with boto3's defaults and once with resilient_ddb, "
            "through throttling, lost replies, spoilt answers and an outage of 3 s; then reads every item back and "
            "shows what came of it. It needs no AWS account and no network."
        ),
    )
    demo.add_argument(
        "--report",
        type=Path,
        default=Path("resilient-ddb-demo.html"),
        metavar="PATH",
        help="where the HTML report goes (default: %(default)s)",
    )
    demo.add_argument(
        "--endpoint-url",
        type=_endpoint,
        metavar="URL",
        help="an emulator of DynamoDB to use instead of the embedded one; the tables are deleted afterwards",
    )
    demo.add_argument(
        "--seed", type=seed, default=1, metavar="N", help="what chance is drawn from (default: %(default)s)"
    )
    demo.add_argument("--records", type=whole, metavar="N", help="how many airports to take (default: all)")
    demo.add_argument(
        "--no-progress", dest="progress", action="store_false", help="plain lines instead of a live progress bar"
    )
    add_load(commands)
    add_export(commands)
    return parser


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise argparse.ArgumentTypeError(f"must be a URL such as http://127.0.0.1:8000; got {text!r}")
    if url.hostname.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
        raise argparse.ArgumentTypeError("must be an emulator: the demo's proxy can't sign requests for AWS itself")
    return text
