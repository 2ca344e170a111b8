"""The sizes of Lambda layers that `examples/lambda_layer/build.py` builds, and the CPU time of a first call from each.

`python -m tests.benchmarks.layer --write-docs` builds them, which takes pip and its index. It records what it found in
`docs/recordings/layer.json`, and fills the table of `docs/lambda.rst` from that.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import processes

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "examples" / "lambda_layer" / "build.py"
RECORDING = ROOT / "docs" / "recordings" / "layer.json"
PAGE = ROOT / "docs" / "lambda.rst"
BEGIN, END = ".. layers: begin", ".. layers: end"
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()),
    ("", ("--no-bytecode",)),
    ("", ("--all-services",)),
    ("[aio]", ()),
    ("[aio]", ("--no-bytecode",)),
)
"""Each layer's extras, and what the script is told besides. The first one holds the base line as well: its boto3."""
ROUNDS = 11
NAMED = ("boto3", "aiobotocore")
"""What the page gives versions of."""
_WARM = 300
_MACHINES = {"aarch64": "arm64", "arm64": "arm64"}

_PROGRAMS = {
    "boto3": """
import boto3
table = boto3.resource("dynamodb").Table("orders")
table.get_item(Key={"id": "o-1"})
first = process_time() - began
began = process_time()
for _ in range(WARM):
    table.get_item(Key={"id": "o-1"})
told = {"first": first, "warm": (process_time() - began) / WARM}
""",
    "sync": """
import resilient_ddb as rddb
rddb.table("orders").get_item(Key={"id": "o-1"})
told = {"first": process_time() - began}
""",
    "async": """
import asyncio
from resilient_ddb import aio
asyncio.run(aio.table("orders").get_item(Key={"id": "o-1"}))
told = {"first": process_time() - began}
""",
}


def build(folder: Path, extras: str, options: tuple[str, ...]) -> dict[str, Any]:
    """Build a layer, unpack it to a folder as Lambda does, and return its sizes in bytes and its versions."""
    archive = folder.with_suffix(".zip")
    machine = _MACHINES.get(platform.machine(), "x86_64")
    command = [sys.executable, str(BUILD), "--package", f"{ROOT}{extras}", "--output", str(archive)]
    subprocess.run([*command, "--machine", machine, *options], stdout=sys.stderr, check=True)  # noqa: S603 - our own program
    with zipfile.ZipFile(archive) as layer:
        layer.extractall(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {
        each.metadata["Name"]: each.version for each in importlib.metadata.distributions(path=[f"{folder}/python"])
    }
    return {
        "extras": extras,
        "options": list(options),
        "unpacked": sum(path.stat().st_size for path in files),
        "bytecode": sum(path.stat().st_size for path in files if path.suffix == ".pyc"),
        "zipped": archive.stat().st_size,
        "versions": {name: found[name] for name in NAMED if name in found},
    }


def first_call(path: str, kind: str, url: str) -> dict[str, float]:
    """Return the CPU seconds that a new process takes to import from a path, and to make the first call.

    It takes nothing from elsewhere, and writes no bytecode.
    """
    program = f"from time import process_time\nWARM = {_WARM}\nbegan = process_time()\n{_PROGRAMS[kind]}"
    environment = {
        **processes.environment(ours=False),
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ACCESS_KEY_ID": "stub",
        "AWS_SECRET_ACCESS_KEY": "stub",
    }
    command = [sys.executable, "-S", "-P", "-c", f"{program}\nimport json\nprint(json.dumps(told))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - as above
    told: dict[str, float] = json.loads(done.stdout)
    return told


def record() -> dict[str, Any]:
    """Build all layers, and return what was found."""
    with tempfile.TemporaryDirectory() as scratch, processes.stub() as url:
        folders = [Path(scratch, f"layer-{number}") for number in range(len(LAYERS))]
        layers = [build(folder, *layer) for folder, layer in zip(folders, LAYERS, strict=True)]
        seen: list[list[float]] = [[] for _ in LAYERS]
        plain = []
        for _ in range(ROUNDS):  # the base line and the layers in turn: what else the machine does meets all of them
            plain.append(first_call(f"{folders[0]}/python", "boto3", url))
            for (extras, _), folder, times in zip(LAYERS, folders, seen, strict=True):
                times.append(first_call(f"{folder}/python", "async" if extras else "sync", url)["first"])
        base = statistics.median(each["first"] for each in plain)
        for layer, times in zip(layers, seen, strict=True):
            layer["ratio"] = round(statistics.median(times) / base, 3)
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "boto3_first_ms": round(base * 1000),
        "boto3_get_item_us": round(statistics.median(each["warm"] for each in plain) * 1e6),
        "layers": layers,
    }


def fill(text: str, recorded: dict[str, Any]) -> str:
    """Return the page with the table of what was recorded."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN!r} with an {END!r} after it")
    return f"{before}{begin}\n" + "\n".join(_table(recorded)) + f"\n\n{end}{after}"


def _table(recorded: dict[str, Any]) -> Iterator[str]:
    yield from (".. list-table::", "    :header-rows: 1", "")
    heads = ("Layer", "Unpacked", "Of that, bytecode", "Zipped", "CPU time to import and make the first call")
    yield from _row(*heads)
    for layer in recorded["layers"]:
        name = f"``.{layer['extras']}``"
        options = ", ".join(f"``{option}``" for option in layer["options"])
        yield from _row(
            f"{name}, with {options}" if options else name,
            _megabytes(layer["unpacked"]),
            _megabytes(layer["bytecode"]) if layer["bytecode"] else "none",
            _megabytes(layer["zipped"]),
            f"{layer['ratio']:.2f} of boto3's",
        )
    first, *_, last = recorded["layers"]
    versions = " and ".join(
        " with ".join(f"{name} {layer['versions'][name]}" for name in reversed(NAMED) if name in layer["versions"])
        for layer in (first, last)
    )
    yield ""
    yield textwrap.fill(
        f"Recorded on {recorded['date']} with Python {recorded['python']}, {recorded['machine']}: {versions}. "
        f"Times are ratios to those of plain boto3's Table from the first layer. They are medians of {ROUNDS} new "
        f"processes. boto3 took {recorded['boto3_first_ms']} ms, on a machine on which its ``get_item`` takes "
        f"{recorded['boto3_get_item_us']} µs. As in Lambda, Python wrote no bytecode.",
        width=120,
    )


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f"    {'*' if number == 0 else ' '} - {cell}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.layer", description=__doc__)
    parser.add_argument("--write-docs", action="store_true", help="keep what was found, and fill the page")
    args = parser.parse_args(arguments)
    recorded = record()
    print(json.dumps(recorded, indent=1))
    if args.write_docs:
        RECORDING.write_text(json.dumps(recorded, indent=1) + "\n", "utf-8")
        PAGE.write_text(fill(PAGE.read_text("utf-8"), recorded), "utf-8")


if __name__ == "__main__":
    main()
