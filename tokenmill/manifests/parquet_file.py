"""Parquet as this package writes it: bytes decided by the rows and their batches, nothing else."""

import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.manifests.hashing_file import HashingFile
from tokenmill.manifests.rows_hash import RowsHash

ROW_GROUP_BYTES = 32 << 20  # of Arrow memory: what a writer holds, and what a reader must hold
REPEATING = ("source", "language", "shard", "fate", "stage", "rule", "keeper_shard")  # worth a dictionary
COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1  # 360 MB/s a core against 226 at 3, for a few per cent of size


class ParquetFile:
    """Writes batches of `schema` to `file` in row groups of about ROW_GROUP_BYTES, hashing rows as they come."""

    def __init__(self, file: HashingFile, schema: pa.Schema) -> None:
        self._schema = schema.remove_metadata()
        self._file = file
        self._writer = pq.ParquetWriter(
            file,
            self._schema,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=[name for name in self._schema.names if name in REPEATING],
            write_statistics=[name for name in self._schema.names if name != "text"],
            store_schema=True,
        )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._hash = RowsHash(self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the columns of the schema from `batch`; others are left out, absent ones are null."""
        if not batch.num_rows:
            return
        batch = conform(batch, self._schema)
        self._hash.update(batch)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    @property
    def rows(self) -> int:
        return self._hash.rows

    @property
    def rows_hash(self) -> str:
        return self._hash.hexdigest()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._waiting, self._waiting_bytes = [], 0


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly the columns of `schema`: extra ones left out, absent ones null."""
    names = batch.schema.names
    columns = [batch.column(f.name) if f.name in names else pa.nulls(batch.num_rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
