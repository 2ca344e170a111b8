"""Builds a Lambda layer with this package, what it needs, and bytecode: `python examples/lambda_layer/build.py`.

Run it with the Python of the function's runtime: bytecode of another version is of no use to it. It prints what the
layer holds and how large it is. Upload it:
aws lambda publish-layer-version --layer-name resilient-ddb --zip-file fileb://layer.zip
"""

from __future__ import annotations

import argparse
import compileall
import importlib.metadata
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LIMIT = 250 * 1024 * 1024
"""Bytes that Lambda allows for a function and its layers, unpacked."""
MACHINES = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
SERVICES = {"dynamodb", "sso", "sso-oidc", "signin", "sts"}
"""The services whose models stay: DynamoDB's, and those that bring credentials."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the layer: the same files make the same zip."""


def install(folder: Path, package: str, machine: str) -> None:
    """Install a package, with what it needs, as wheels for Lambda's machine."""
    with tempfile.TemporaryDirectory() as wheels:
        requirement = package
        if Path(package.partition("[")[0]).is_dir():  # a checkout: pip takes no source for another machine
            path, bracket, extras = package.partition("[")
            pip("wheel", "--no-deps", "--wheel-dir", wheels, path)
            [wheel] = Path(wheels).glob("*.whl")
            requirement = f"{wheel}{bracket}{extras}"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        pip(
            *("install", "--target", str(folder), "--no-compile", "--only-binary=:all:"),
            *("--platform", MACHINES[machine], "--python-version", version, requirement),
        )


def pip(*arguments: str) -> None:
    """Run pip."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)  # noqa: S603 - our own interpreter


def drop_other_services(folder: Path) -> None:
    """Delete the models of services that nobody here calls: nine tenths of botocore."""
    for data in (folder / "botocore" / "data", folder / "boto3" / "data"):
        for service in data.iterdir() if data.is_dir() else ():
            if service.is_dir() and service.name not in SERVICES:
                shutil.rmtree(service)


def compile_all(folder: Path) -> None:
    """Write bytecode beside each source.

    Python trusts it without a look at the source's time. Unpacking a zip changes that, and other bytecode is dropped.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(folder, quiet=1, invalidation_mode=mode, stripdir=str(folder), workers=1):
        raise SystemExit("a file could not be compiled")


def pack(folder: Path, layer: Path) -> None:
    """Zip a folder to `python/`, where Lambda looks for packages of a layer."""
    with zipfile.ZipFile(layer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = zipfile.ZipInfo(f"python/{path.relative_to(folder).as_posix()}", EPOCH)
                info.external_attr = 0o755 << 16 if path.suffix == ".so" else 0o644 << 16
                archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)


def size(folder: Path, suffix: str = "") -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob(f"*{suffix}") if path.is_file())


def tell(folder: Path, layer: Path) -> str:
    """Return what a layer holds, and its sizes."""
    versions = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions(path=[str(folder)])}
    held = ", ".join(
        f"{name} {version}" for name, version in sorted(versions.items(), key=lambda pair: pair[0].lower())
    )
    return (
        f"{held}\n{size(folder) / 1e6:.1f} MB unpacked, of that {size(folder, '.pyc') / 1e6:.1f} MB bytecode; "
        f"{layer.stat().st_size / 1e6:.1f} MB zipped; Python {platform.python_version()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default=str(CHECKOUT), help="a checkout, wheel or requirement, such as '.[aio]'")
    parser.add_argument("--output", type=Path, default=Path("layer.zip"))
    parser.add_argument("--machine", choices=MACHINES, default="x86_64")
    parser.add_argument("--all-services", action="store_true", help="keep botocore's models of all other services")
    parser.add_argument("--no-bytecode", action="store_true", help="for a runtime of another Python version")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "python")
        install(folder, args.package, args.machine)
        if not args.all_services:
            drop_other_services(folder)
        shutil.rmtree(folder / "bin", ignore_errors=True)
        if not args.no_bytecode:
            compile_all(folder)
        pack(folder, args.output)
        print(tell(folder, args.output))
        if size(folder) > LIMIT:
            raise SystemExit(f"Lambda takes {LIMIT / 1e6:.0f} MB at the most")


if __name__ == "__main__":
    main()
