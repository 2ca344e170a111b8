"""What the command line says, once it is parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import UsageError
from .sources import STDIN

FORMATS = ("jsonl", "dynamodb-json", "csv", "parquet")
OUTPUT_FORMATS = ("jsonl", "dynamodb-json", "parquet")
PRICE_PER_MILLION = 0.625
"""US dollars for a million write request units: on demand, Standard table class, us-east-1, from November 2024 on."""
Rate = float | Literal["auto"] | None


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the table is reached: as with the AWS CLI's options of the same names."""

    table: str
    """The table's name, or its ARN."""
    endpoint_url: str | None = None
    """Another endpoint than the region's."""
    region: str | None = None
    """The AWS region; the environment's or the profile's where None."""
    profile: str | None = None
    """A profile of the AWS configuration."""

    @property
    def short_name(self) -> str:
        """The table's name without the rest of an ARN: part of files' names."""
        return self.table.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The options of `load`."""

    files: Sequence[str]
    """Paths, or `-` for standard input."""
    access: Access
    form: str | None = None
    """The files' format; told from each file where None."""
    delimiter: str | None = None
    """What separates cells of CSV."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Types of attributes."""
    key: Sequence[str] = ()
    """The names of the table's key attributes; the table is described if there are none."""
    ttl: str | None = None
    """The TTL attribute."""
    shards: int | None = None
    """The number of shards of a write-sharded table."""
    shard_by: str | None = None
    """The attribute whose digest chooses the shard; the table's sort key where None."""
    shard_separator: str = "#"
    """What stands between a key and its shard's number."""
    shard_pad: int = 0
    """Digits that the number is filled up to."""
    write_units_per_second: Rate = None
    """Write capacity units a second."""
    workers: int = 8
    """Batches under way at once."""
    folder: Path | None = None
    """Where checkpoints and refused rows go; beside each file where None."""
    restart: bool = False
    """Whether to begin anew if an earlier run was stopped."""
    price: float = PRICE_PER_MILLION
    """US dollars for a million write units, for an estimate."""
    live: bool = True
    """Whether a bar may be shown."""

    def beside(self, name: str, ending: str) -> Path:
        """Return the path of what is kept beside a file, for the load into this table."""
        path = Path("stdin" if name == STDIN else name)
        folder = self.folder or (Path() if name == STDIN else path.parent)
        return folder / f"{path.name}.{self.access.short_name}.{ending}"

    def as_work(self) -> dict[str, Any]:
        """Return what makes another load of this one, as JSON."""
        return {
            "types": dict(self.types),
            "ttl": self.ttl,
            "shards": self.shards,
            "shard_by": self.shard_by,
            "shard_separator": self.shard_separator,
            "shard_pad": self.shard_pad,
            "delimiter": self.delimiter,
        }

    def check(self) -> None:
        """Refuse what can't be meant.

        Raises:
            UsageError: two files would share a checkpoint, or an option is of no use.
        """
        if self.shards is None and self.shard_by is not None:
            raise UsageError("--shard-by needs --shards, the number of shards")
        paths = [self.beside(name, "checkpoint") for name in self.files]
        twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
        if twice is not None:
            raise UsageError(f"two of the files would share the checkpoint {twice}: load them one after the other")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `export`."""

    access: Access
    form: str = "jsonl"
    """The output's format."""
    output: Path | None = None
    """A file, or a folder for Parquet; standard output where None."""
    ttl: str | None = None
    """The TTL attribute: expired items are left out."""
    read_units_per_second: float | None = None
    """Read capacity units a second."""
    segments: int | Literal["auto"] = "auto"
    """How many parts of the table are read at once."""
    consistent_read: bool = False
    """Whether to read with strong consistency, which costs twice as much."""
    restart: bool = False
    """Whether to begin anew if an earlier run was stopped."""
    live: bool = True
    """Whether a bar may be shown."""
