"""Parquet → its rows, in bounded memory whatever its cells hold.

A few MB on disk can mean any number in memory: cells are compressed, and one that stands in a column's dictionary may
be meant a million times. So what a row group says of its size is read before anything in it is decoded; it decides
how many rows are decoded at once, or that none are. A row that is too large after all is refused by its number.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from runner.datafiles.footer import survived
from runner.datafiles.opened import LONGEST, Bad, Unreadable

AT_ONCE = 64 << 20
"""Bytes of rows, or of one page, that are decoded at once."""
WIDEST = 10_000
"""Columns of a file: each takes kilobytes before anything in it is read."""
_ROWS = 256
_NAMED = 10_000  # rows of one group that are refused one by one
_DICTIONARY = 2


def parquet_rows(file: BinaryIO, check: Callable[[list[str]], object]) -> Iterator[dict[str, Any] | Bad]:
    """Each row, or why it is none. `check` sees the columns' names first.

    Raises Unreadable for a file that cannot be read, or not further.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not survived(file):
        raise Unreadable("is no Parquet that can be read: its footer is damaged")
    file.seek(0)
    number = 0
    try:
        table = pq.ParquetFile(file, buffer_size=1 << 20)
        if (wide := table.metadata.num_columns) > WIDEST:
            raise Unreadable(f"has {wide:,} columns; the most is {WIDEST:,}")
        check(table.schema_arrow.names)
        for n in range(table.num_row_groups):
            group = table.metadata.row_group(n)
            count, (at_once, why) = group.num_rows, _weighed(file, group)
            if at_once:
                for batch in table.iter_batches(at_once, row_groups=[n]):
                    yield from _values(batch)
            elif count > _NAMED:
                raise Unreadable(f"cannot be read past row {number}: its rows are too large")
            else:
                yield from (Bad(why) for _ in range(count))
            number += count
    except (pa.ArrowException, UnicodeDecodeError) as e:  # the latter where a column's name is no text
        raise Unreadable(f"is no Parquet that can be read: {str(e).splitlines()[0][:200]}") from None
    if not number:
        raise Unreadable("has no rows")


def _weighed(file: BinaryIO, group: Any) -> tuple[int, str]:
    """How many rows of a group to decode at once; 0 where they are too large to decode, and why."""
    count = max(group.num_rows, 1)
    columns = [group.column(n) for n in range(group.num_columns)]
    size = sum(c.total_uncompressed_size for c in columns)
    row = size / count
    for column in columns:
        kind, first = _first_page(file, column)
        if first > AT_ONCE:
            return 0, f"one of {count} rows with a page of {first:,} bytes; the most is {AT_ONCE:,}"
        if kind == _DICTIONARY:  # no cell is larger than its dictionary, and each may be the largest
            row += first * max(column.num_values / count, 1)
    if size > AT_ONCE and size > LONGEST * count:
        return 0, f"one of {count} rows that take {size:,} bytes; the most for one is {LONGEST:,}"
    return max(1, min(_ROWS, int(AT_ONCE / max(row, 1)))), ""


def _first_page(file: BinaryIO, column: Any) -> tuple[int, int]:
    """Kind and unpacked size of a column's first page, as the page itself says it: its dictionary, if it has one.

    A page begins with the Thrift fields 1 and 2, each a byte 0x15 and a number.
    """
    offset = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    file.seek(max(offset or 0, 0))
    start = io.BytesIO(file.read(24))
    found = []
    for _ in range(2):
        if start.read(1) != b"\x15":  # encrypted, or nothing that Arrow reads either
            return _DICTIONARY, max(column.total_uncompressed_size, 0)
        value, shift, byte = 0, 0, 0x80
        while byte & 0x80 and shift < 64:
            byte = (start.read(1) or b"\0")[0]
            value |= (byte & 0x7F) << shift
            shift += 7
        found.append(value >> 1 ^ -(value & 1))
    return found[0], max(found[1], 0)


def _values(batch: Any) -> Iterator[Any]:
    """A batch's rows; one that is too large, or not UTF-8, is Bad and alone is."""
    if batch.nbytes <= LONGEST:
        try:
            yield from batch.to_pylist()
            return
        except ValueError:  # a row that is not UTF-8: to_pylist makes all of them or none
            pass
    for n in range(batch.num_rows):
        row = batch.slice(n, 1)
        if (size := _size(row)) > LONGEST:
            yield Bad(f"a row of {size:,} bytes; the most is {LONGEST:,}")
            continue
        try:
            yield row.to_pylist()[0]
        except ValueError as e:
            yield Bad(f"cannot be read: {e}"[:200])


def _size(row: Any) -> int:
    import pyarrow as pa

    cells = (c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in row.columns)
    return sum(cell.nbytes for cell in cells)
