"""The table of prints on disk, kept by LanceDB: one row per window and one per file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "prints"
INDEX_FROM = 20_000  # rows from which an index is quicker than reading them all
PROBES = 50  # cells of the index that a query looks into


def _lancedb() -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of each empty cell of an index that grows
    try:
        import lancedb
    except ImportError:
        raise WhosingsError(
            "A voices library needs LanceDB; install it with: pip install 'whosings[voices]'"
        ) from None
    return lancedb


def quoted(text: str) -> str:
    """Write `text` as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def schema(dim: int) -> pa.Schema:
    """Give the columns: a row is a window of a file, or the file as a whole where `song` is true."""
    import pyarrow as pa

    fields = {
        "name": pa.string(),
        "file": pa.string(),
        "sha256": pa.string(),
        "song": pa.bool_(),
        "start": pa.float64(),
        "seconds": pa.float64(),
        "enrolled": pa.string(),
        "consent": pa.string(),
        "vector": pa.list_(pa.float32(), dim),
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields.items()])


class PrintTable:
    """
    Prints (rows) of `dim` numbers each in a folder; every change is committed whole or not at all.

    Older versions of the table are deleted with each change, so that nothing removed stays on disk.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder = folder
        lancedb, self._schema = _lancedb(), schema(dim)
        with self._told():
            self._database = lancedb.connect(folder, read_consistency_interval=timedelta(0))
            self._table = self._database.create_table(TABLE, schema=self._schema, exist_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Make a sentence of what LanceDB raises."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise WhosingsError(
                f"{self._folder}: this voices library failed ({first}); check its disk, or restore a copy."
            ) from error

    @property
    def version(self) -> int:
        """The number of the table's present version; grows with each change."""
        return int(self._table.version)

    def rows(self, where: str, columns: list[str]) -> pa.Table:
        """Read the columns of the rows that meet a condition."""
        with self._told():
            return self._table.search().where(where).select(columns).to_arrow()

    def nearest(self, vector: np.ndarray, limit: int, *, exact: bool = False) -> pa.Table:
        """Find the windows with the largest cosine to `vector` (dim,); column `_distance` is 1 minus it."""
        with self._told():
            query = self._table.search(vector, vector_column_name="vector").distance_type("cosine")
            query = query.where("song = false", prefilter=True).limit(limit)
            query = query.bypass_vector_index() if exact else query.nprobes(PROBES)
            return query.select(["name", "file", "sha256", "start", "seconds", "_distance"]).to_arrow()

    def append(self, columns: dict[str, Any], vectors: np.ndarray) -> None:
        """Add rows: lists by column, and vectors (rows, dim)."""
        import pyarrow as pa

        size = self._schema.field("vector").type.list_size
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
        values = {**columns, "vector": pa.FixedSizeListArray.from_arrays(flat, size)}
        rows = pa.table([values[name] for name in self._schema.names], schema=self._schema)
        with self._told():
            self._table.add(rows)
        self.tidy()

    def set_consent(self, consent: str, where: str) -> None:
        """Write the consent text of the rows that meet a condition."""
        with self._told():
            self._table.update(where=where, values={"consent": consent})
        self.tidy()

    def keep(self, where: str) -> None:
        """
        Rewrite the table with only the rows that meet a condition.

        LanceDB's own delete only marks rows, and its compaction leaves the files in which few are marked;
        only writing anew takes the others from disk.
        """
        with self._told():
            survivors = self._table.search().where(where).to_batches()
            self._table = self._database.create_table(
                TABLE, data=survivors, schema=self._schema, mode="overwrite"
            )
        self.tidy()

    def tidy(self) -> None:
        """Merge small files, delete older versions, and index the vectors where that pays."""
        with self._told(), warnings.catch_warnings():
            # it warns of other processes that work on the table, which the library's lock keeps out
            warnings.simplefilter("ignore")
            if self._table.count_rows() >= INDEX_FROM and not self._table.list_indices():
                self._table.create_index(metric="cosine", index_type="IVF_FLAT")
            self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
