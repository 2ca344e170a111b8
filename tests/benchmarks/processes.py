"""The processes of a run: stubs, workers, and those that live for one measurement."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import certificates, cores
from .contenders import REPOSITORY, Contender
from .venvs import Venv

_PACKAGE = "benchmarks"
_TIMEOUT = 120.0


class WorkerError(Exception):
    """A worker failed; the text says how."""


@lru_cache(maxsize=1)
def _snapshot() -> Path:
    """Return a folder with copies of this package and of ours, which is gone when the run is.

    What is edited during a run does not change it, and bytecode caches are written here.
    """
    folder = Path(tempfile.mkdtemp(prefix="resilient_ddb-benchmarks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).parent, folder / "theirs" / _PACKAGE, ignore=ignore)
    shutil.copytree(REPOSITORY / "resilient_ddb", folder / "ours" / "resilient_ddb", ignore=ignore)
    return folder


@lru_cache(maxsize=1)
def certificate() -> Path:
    """Return the file of the certificate with which stubs speak TLS."""
    path = _snapshot() / "certificate.pem"
    certificates.write(path)
    return path


def environment(*, ours: bool) -> dict[str, str]:
    """Return the environment of a process: no proxies, no AWS settings, bytecode caches, and ours only where it is."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    paths = [_snapshot() / "theirs", *([_snapshot() / "ours"] if ours else [])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths),
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def last_line(errors: str) -> str:
    """Return the last line that says something: of a traceback, the error."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else ""


class Lines:
    """A process that is written lines and answers in lines. It ends when it is closed."""

    def __init__(self, command: list[str], *, ours: bool = False, timeout: float = _TIMEOUT, **settings: str) -> None:
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - our own modules, by interpreters of ours
            command,
            env={**environment(ours=ours), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, line: str | None = None) -> str:
        """Write a line, if there is one, and give the next that comes back. It is killed if none does."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        watchdog = threading.Timer(self._timeout, self._process.kill)
        watchdog.start()
        try:
            if line is not None:
                print(line, file=stdin, flush=True)
            answer = stdout.readline()
        except OSError as error:
            raise WorkerError(str(error)) from error
        finally:
            watchdog.cancel()
        if not answer:
            status = self._process.wait()
            self._errors.seek(0)
            raise WorkerError(last_line(self._errors.read().decode(errors="replace")) or f"ended with status {status}")
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


@contextlib.contextmanager
def stub(delay: float = 0.0, *, tls: bool = False) -> Iterator[str]:
    """Run a stub that answers after `delay` seconds, and give its address."""
    process = Lines([sys.executable, "-m", f"{_PACKAGE}.stub", str(delay), *([str(certificate())] if tls else [])])
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{int(process.ask())}"
    finally:
        process.close()


class Worker:
    """A contender in a process of its own."""

    def __init__(self, contender: Contender, venv: Venv, url: str) -> None:
        self.contender = contender
        self._lines = Lines(
            _command("workers", contender, venv, url), ours=contender.is_ours, AWS_CA_BUNDLE=str(certificate())
        )
        self._lines.ask()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Have it do something.

        Raises:
            WorkerError: it could not.
        """
        answer: dict[str, Any] = json.loads(self._lines.ask(json.dumps(request)))
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End it."""
        self._lines.close()


def once(
    module: str, what: str, contender: Contender, venv: Venv, url: str, *, has_bytecode: bool = True
) -> dict[str, float]:
    """Measure in a process that lives for this only. Without bytecode it compiles all that it imports.

    Raises:
        WorkerError: it failed.
    """
    bare = {} if has_bytecode else {"PYTHONPYCACHEPREFIX": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
    cores.share_one()  # what is started takes that over
    try:
        done = subprocess.run(  # noqa: S603 - our own module, by an interpreter of ours
            _command(module, contender, venv, url, what),
            env={**environment(ours=contender.is_ours), **bare},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise WorkerError(last_line(error.stderr) or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise WorkerError(f"took over {error.timeout:.0f} s") from error
    finally:
        cores.use_all()
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _command(module: str, contender: Contender, venv: Venv, url: str, *what: str) -> list[str]:
    kind = "async" if contender.is_async else "sync"
    return [str(venv.python), "-m", f"{_PACKAGE}.{module}", *what, contender.worker, url, kind]
