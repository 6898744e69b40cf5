"""Our dedup alone, by the same interface as the peers: `--in FILE --out FILE`, ids of the kept rows."""

from __future__ import annotations

import sys
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "peers"))

import msgspec
from rows import arguments, write_kept

if TYPE_CHECKING:
    import numpy as np


class Row(msgspec.Struct):
    id: int
    text: str


def kept(source: Path, scratch: Path) -> list[int]:
    """The ids of the rows that stay. All that this benchmark knows of our interface is in here.

    Rows are read as they come; those that may repeat others are read again from their places in the file.
    """
    from runner.dedup import Finder
    from runner.recipe import Near

    decode = msgspec.json.Decoder(Row).decode
    ids, places = array("q"), array("q")

    def texts() -> Iterator[str]:
        place = 0
        with open(source, "rb") as file:
            for line in file:
                row = decode(line)
                ids.append(row.id)
                places.append(place)
                place += len(line)
                yield row.text

    def again(rows: np.ndarray) -> list[str]:
        found = []
        with open(source, "rb") as file:
            for row in rows.tolist():
                file.seek(places[row])
                found.append(decode(file.readline()).text)
        return found

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        finder = Finder(Path(folder), exact=True, near=Near())
        finder.add(texts())
        gone = set(finder.find(again).row.tolist())
    return [id for row, id in enumerate(ids) if row not in gone]


def main() -> None:
    args = arguments()
    write_kept(args.target, kept(args.source, args.target.parent))


if __name__ == "__main__":
    main()
