"""What stops a load or an export, and what refuses a single row."""

from __future__ import annotations


class BulkError(Exception):
    """Stops a load or an export. Its text is one line for the person at the terminal."""


class UsageError(BulkError):
    """The command line asks for what can't be meant."""


class CannotWriteError(BulkError):
    """Something can't be written any more. There is something to go on from when it can be."""


class RefusedRowError(ValueError):
    """A row that can't be written. Its text says why, and holds none of the row's values."""
