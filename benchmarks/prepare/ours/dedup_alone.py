"""Our dedup alone, by the same interface as the peers: `--in FILE --out FILE`, ids of the kept rows."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "peers"))

from rows import arguments, write_kept


def kept(source: Path) -> list[int]:
    """The ids of the rows that stay. All that this benchmark knows of our interface is in here."""
    import msgspec

    from runner.dedup import find_duplicates
    from runner.recipe import Near

    class Row(msgspec.Struct):
        id: int
        text: str

    decoder = msgspec.json.Decoder(Row)
    with open(source, "rb") as file:
        rows = [decoder.decode(line) for line in file]
    gone = {d.index for d in find_duplicates([row.text for row in rows], exact=True, near=Near())}
    return [row.id for n, row in enumerate(rows) if n not in gone]


def main() -> None:
    args = arguments()
    write_kept(args.target, kept(args.source))


if __name__ == "__main__":
    main()
