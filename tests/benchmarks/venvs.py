"""One virtual environment for each environment of `contenders`, made once and kept outside the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .contenders import Environment

_TIMEOUT = 540.0
_VERSIONS = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
)
_NOT_LIBRARIES = ("pip", "setuptools", "wheel")


class UnavailableError(Exception):
    """An environment could not be made; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Venv:
    """A virtual environment that is there."""

    python: Path
    versions: dict[str, str]


def cache_folder() -> Path:
    """Return the folder that keeps the environments from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "resilient_ddb-benchmarks"


def make(environments: list[Environment], *, fresh: bool) -> tuple[dict[str, Venv], dict[str, str]]:
    """Make those that are not there yet, or all of them anew. Give what there is, and why the others failed."""
    made: dict[str, Venv] = {}
    failed: dict[str, str] = {}
    for environment in environments:
        try:
            requirements = (*environment.requirements, *_pins(environment, made, failed))
            made[environment.name] = _venv(environment.name, requirements, fresh=fresh)
        except UnavailableError as error:
            failed[environment.name] = str(error)
    return made, failed


def _pins(environment: Environment, made: dict[str, Venv], failed: dict[str, str]) -> list[str]:
    pins = []
    for package, other in environment.same.items():
        if other in failed:
            raise UnavailableError(f"{other} is missing")
        pins.append(f"{package}=={made[other].versions[package]}")
    return pins


def _venv(name: str, requirements: tuple[str, ...], *, fresh: bool) -> Venv:
    """Return an environment, keyed by the Python version and what is required.

    It is marked as complete when it is: one whose making was cut short is made anew.
    """
    key = hashlib.sha256(json.dumps([sys.version, requirements]).encode()).hexdigest()[:12]
    folder = cache_folder() / "".join(each if each.isalnum() or each == "." else "-" for each in f"{name}-{key}")
    python, complete = folder / "bin" / "python", folder / "complete"
    if fresh or not complete.exists():
        print(f"making the environment of {name} ...", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _run([sys.executable, "-m", "venv", str(folder)])
            # bytecode is written, whatever the environment says: what is measured is as it is when installed
            _run([str(python), "-m", "pip", "install", "--quiet", "--no-input", "--compile", *requirements])
        except UnavailableError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        complete.touch()
    versions = json.loads(_run([str(python), "-c", _VERSIONS]))
    return Venv(python=python, versions={name: each for name, each in versions.items() if name not in _NOT_LIBRARIES})


def _run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, and one that it made
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise UnavailableError(lines[-1] if lines else f"exit status {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"took over {error.timeout:.0f} s") from error
    return done.stdout
