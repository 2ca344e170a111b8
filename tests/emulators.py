"""DynamoDB emulators in processes of their own: fetched once, started on a free port, gone with the test run.

An emulator is one entry of `EMULATORS`: a pinned npm package, the tools that it needs and the command that
starts it. Tests reach them through the fixtures in `conftest.py`; to try another one, add an entry.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

REGION = "eu-west-1"
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
"""DynamoDB Local keeps one database per access key and region: tests and `make_table` agree on both."""

DOWNLOAD_TIMEOUT = 540.0
"""Seconds for npm to bring one package: DynamoDB Local is 57 MB."""

READY_TIMEOUT = 45.0
"""Seconds until a started emulator answers. DynamoDB Local needs 1 to 2 on an idle machine."""

START_TRIES = 3
"""A free port can be taken between the moment it is found and the moment the emulator binds it."""

# Runs the emulator so that the kernel ends it when this process is killed, however hard (Linux only). It is a
# program and no `preexec_fn`: those warn as soon as any thread runs, and the moto server is one.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the test run ended before the emulator started")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class EmulatorUnavailableError(Exception):
    """This machine cannot run the emulator; the text says why."""


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """A package of the npm registry, pinned to the byte: what it brings is going to be executed."""

    name: str
    version: str
    sha256: str
    """Of the .tgz file."""

    @property
    def folder(self) -> str:
        """The name of its folder in the cache."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}"


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """How to get and start one emulator."""

    name: str
    package: NpmPackage
    needs: tuple[str, ...]
    """Programs that have to be on PATH to run it."""
    machine: tuple[str, str] | None
    """The (system, processor) that it is built for, as `platform` names them; None where any will do."""
    command: Callable[[Path, int], list[str]]
    """Returns the command line from the unpacked package and the port to listen on."""

    def check_machine(self) -> None:
        """Raise `EmulatorUnavailableError` unless this machine can run it."""
        if self.machine not in (None, (platform.system(), platform.machine())):
            raise EmulatorUnavailableError(f"{self.name} is pinned for {'/'.join(self.machine)} only")
        for program in self.needs:
            _find(program, f"to run {self.name}")


def _dynamodb_local(package: Path, port: int) -> list[str]:
    home = package / "emulator"
    return [
        "java",
        "-XX:+UseSerialGC",  # these two: ready in 1.2 s where it took 1.8
        "-XX:TieredStopAtLevel=1",
        "-XX:ActiveProcessorCount=1",  # these two: a fifth less CPU a request
        "-Xmn64m",
        f"-Djava.library.path={home / 'DynamoDBLocal_lib'}",
        "-jar",
        str(home / "DynamoDBLocal.jar"),
        "-inMemory",
        "-disableTelemetry",
        "-port",
        str(port),
    ]


def _dynoxide(package: Path, port: int) -> list[str]:
    return [str(package / "dynoxide"), "serve", "--host", "127.0.0.1", "--port", str(port)]


EMULATORS = {
    emulator.name: emulator
    for emulator in (
        Emulator(
            name="dynamodb-local",  # Amazon's own
            package=NpmPackage(
                name="amplify-dynamodb-simulator",
                version="2.9.30",
                sha256="3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9",
            ),
            needs=("java",),
            machine=None,
            command=_dynamodb_local,
        ),
        Emulator(
            name="dynoxide",
            package=NpmPackage(
                name="@dynoxide/linux-x64",
                version="1.2.1",
                sha256="80e1ed33e33ec33c7bdcb1779ea09678e5c6f87c5c225f44c2037d2b2ea71164",
            ),
            needs=(),
            machine=("Linux", "x86_64"),
            command=_dynoxide,
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder that keeps unpacked packages from one test run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "resilient_ddb-tests"


def fetch(package: NpmPackage, cache: Path) -> Path:
    """Return the unpacked package, which npm brings if `cache` does not hold it yet.

    It is unpacked beside its place and renamed: nobody sees half a package. The workers of a run fetch one after the
    other, and the first one brings it for all.
    """
    target = cache / package.folder
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, also by the end of the process
            if not target.is_dir():
                _bring(package, cache, target)
    if not target.is_dir():
        raise EmulatorUnavailableError(f"{target} cannot be written")
    return target / "package"


def _bring(package: NpmPackage, cache: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix="unpacking-") as scratch:
        unpacked = _unpack(download(package, Path(scratch)), package, Path(scratch) / "unpacked")
        with suppress(OSError):  # the caller says so
            unpacked.rename(target)


def download(package: NpmPackage, folder: Path) -> Path:
    npm = _find("npm", f"to fetch {package.name}")
    try:
        subprocess.run(  # noqa: S603  # a pinned package of the registry that npm is set up for
            [npm, "pack", "--ignore-scripts", f"{package.name}@{package.version}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise EmulatorUnavailableError(f"npm pack {package.name} failed: {error.stderr[-400:]}") from error
    except subprocess.TimeoutExpired as error:
        raise EmulatorUnavailableError(f"npm pack {package.name} took over {error.timeout:.0f} s") from error
    return next(folder.glob("*.tgz"))


def _unpack(archive: Path, package: NpmPackage, folder: Path) -> Path:
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != package.sha256:
        raise EmulatorUnavailableError(f"{package.name} {package.version} is not what was pinned: {sha256}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _find(program: str, purpose: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise EmulatorUnavailableError(f"no {program} on PATH {purpose}")
    return path


@dataclass(frozen=True, kw_only=True)
class Server:
    """Something that speaks DynamoDB on this machine."""

    name: str
    endpoint_url: str

    def client(self) -> Any:
        """Return a boto3 client of it; the caller closes it."""
        return new_client(self.endpoint_url)


@functools.cache
def shared_session() -> boto3.Session:
    """Return one session for all tests that don't change theirs: to make one costs as much as three clients."""
    return boto3.Session(region_name=REGION, **CREDENTIALS)


def session_for(endpoint_url: str | None) -> boto3.Session:
    """Return the session of all tests, or a new one without an endpoint: moto's `mock_aws` reaches only new ones."""
    return boto3.Session(region_name=REGION, **CREDENTIALS) if endpoint_url is None else shared_session()


def new_client(endpoint_url: str) -> Any:
    """Return a boto3 client of an endpoint that the caller may change, and closes."""
    # no proxies: a machine's proxy is not asked for what runs on loopback
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    return shared_session().client("dynamodb", endpoint_url=endpoint_url, config=config)


plain_client = functools.cache(new_client)
"""Return the one boto3 client of an endpoint that all tests look with, past what they test. It stays as it is."""


@functools.cache
def plain_resource(endpoint_url: str) -> Any:
    """Return the one boto3 resource of an endpoint, as `plain_client` does."""
    return shared_session().resource("dynamodb", endpoint_url=endpoint_url)


class EmulatorProcess:
    """One running emulator: a context manager over its process, its log and its working folder."""

    def __init__(self, command: list[str], port: int) -> None:
        """Start it. It works in a folder of its own: DynamoDB Local leaves a file where it runs."""
        self._port = port
        self._folder = tempfile.TemporaryDirectory(prefix="resilient_ddb-emulator-")
        self._log = Path(self._folder.name, "log")
        launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # a command of EMULATORS
                [*launcher, *command],
                cwd=self._folder.name,
                env=os.environ | {"DDB_LOCAL_TELEMETRY": "0"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops it in order
            )

    @property
    def pid(self) -> int:
        """The process: the launcher replaces itself with the emulator, so there is only this one."""
        return self._process.pid

    def wait_until_ready(self) -> bool:
        """Wait until it takes connections; False if it ended instead, as it does when its port is taken."""
        limit = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < limit and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return self._process.poll() is None
            time.sleep(0.02)
        return False

    def log(self) -> str:
        """Return the end of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it and remove its folder. There is nothing to save: it holds its tables in memory."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()


class Emulators:
    """The emulators of one test run: each is started when a test first asks for it, and all stop together."""

    def __init__(self, cache: Path | None = None) -> None:
        """Keep packages in `cache`, or in the user's cache folder."""
        self._cache = cache or cache_folder()
        self._packages: dict[str, Path | EmulatorUnavailableError] = {}
        self._running: dict[str, tuple[EmulatorProcess, Server]] = {}

    def fetch(self, name: str) -> Path:
        """Return the unpacked package. A failure is remembered: npm takes its time to give up."""
        if name not in self._packages:
            self._packages[name] = self._try_to_fetch(EMULATORS[name])
        package = self._packages[name]
        if isinstance(package, EmulatorUnavailableError):
            raise package
        return package

    def _try_to_fetch(self, emulator: Emulator) -> Path | EmulatorUnavailableError:
        try:
            emulator.check_machine()
            return fetch(emulator.package, self._cache)
        except EmulatorUnavailableError as error:
            return error

    def start(self, name: str) -> Server:
        """Return the running emulator of that name, started now unless it runs already."""
        if name not in self._running:
            self._running[name] = self._launch(EMULATORS[name], self.fetch(name))
        return self._running[name][1]

    def _launch(self, emulator: Emulator, package: Path) -> tuple[EmulatorProcess, Server]:
        log = ""
        for _ in range(START_TRIES):
            port = free_port()
            process = EmulatorProcess(emulator.command(package, port), port)
            if process.wait_until_ready():
                return process, Server(name=emulator.name, endpoint_url=f"http://127.0.0.1:{port}")
            log = process.log()
            process.stop()
        raise RuntimeError(f"{emulator.name} did not start:\n{log}")

    def stop(self) -> None:
        """End all that run."""
        while self._running:
            process, _ = self._running.popitem()[1]
            process.stop()


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
