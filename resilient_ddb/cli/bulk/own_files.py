"""Files that a load or an export keeps: never opened through a link, so that no other file is ever written to.

Where they lie, others may write as well, such as in /tmp. A name that is taken by a link is not followed: the link is
replaced, or refused.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
FULL = frozenset((errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)))
"""What says that there is no room: the same command goes on when there is."""
_ALL_MAY = 0o666
OWNER_ONLY = 0o600
"""The mode of a file that only its owner reads."""


def create(path: Path, mode: int = _ALL_MAY) -> IO[bytes]:
    """Return a new file to write to.

    Raises:
        FileExistsError: there is something at `path`, if only a link.
        OSError: it can't be created.
    """
    return path.open("xb") if mode == _ALL_MAY else open(path, "xb", opener=_opener(mode))


def create_anew(path: Path) -> IO[bytes]:
    """Return a new file in the place of the file or the link that is at `path`. Raises as `create`."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    return create(path)


def reopen(path: Path) -> IO[bytes]:
    """Return a file of ours to read and to write on.

    Raises:
        OSError: it is not there, or it is a link, or none of its own: a device, a pipe, or another file's second name.
    """
    file = open(path, "r+b", opener=_opener())  # noqa: SIM115 - the caller closes it
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        file.close()
        raise OSError(errno.EPERM, "it is no file of its own", str(path))
    return file


def read(path: Path) -> bytes:
    """Return what a file of ours holds. Raises OSError: it can't be read, or is a link."""
    with open(path, "rb", opener=_opener()) as file:
        return file.read()


def open_to_lock(path: Path) -> IO[bytes]:
    """Return a file to lock, which may be there already. Raises OSError: it can't be opened, or is a link."""
    return open(path, "ab", opener=_opener())


def _opener(mode: int = _ALL_MAY) -> Callable[[str, int], int]:
    return lambda path, flags: os.open(path, flags | _NO_FOLLOW, mode)


def sync_folder(folder: Path) -> None:
    """Ensure that a file's new name outlives a power cut."""
    if os.name == "nt":  # there a folder can't be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why(error: OSError) -> str:
    """Return why a file can't be read or written, in words."""
    if error.errno == errno.ELOOP:
        return "it is a link"
    return error.strerror or str(error)
