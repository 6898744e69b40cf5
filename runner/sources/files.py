"""Source `files`: data files of the usual kinds, local or from addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from runner import extras
from runner.datafiles.kinds import KINDS, Kind, accounted, apart, kind_of, rows
from runner.datafiles.opened import PACKINGS, Bad, Unreadable, ending, head, opened, whole
from runner.datafiles.rows import PAIRS, Columns, record_of
from runner.errors import Problem, RecipeError, StepError
from runner.fetching import Fetcher, Got, Item, Unfetched, items_of
from runner.net import filesystems
from runner.objectstore import secret_in
from runner.record import Document, Record, Rejected
from runner.registry import Files, SourceContext, Unit, source
from runner.webtext import refuses_use

_LARGEST = 16 << 20  # bytes of one text; the longest novels have 5 million
_DOWNLOAD = 4 << 30  # of rows, which are read one by one
_PAGE = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head)\b", re.I)
_PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
USUAL = ("messages", "conversations", "text", "system", "tools", *(n for p in PAIRS for n in p if n))
TEXTS = ("txt", "md", "html")  # kinds of which a file is one text
Made = Iterator["Record | Document | Rejected"]


def fetch(net: Fetcher, *, urls: list[str] | None, kind: Kind | None = None) -> Iterator[Item]:
    """Each address is one item. Its label is settled here, over all that are asked: ids stay when another fails."""
    asked = list(dict.fromkeys(urls or []))
    _may_all(net, asked)
    caps = {url: _most(url, kind) for url in asked}
    web = {
        most: net.get_all([u for u in asked if _on_the_web(u) and caps[u] == most], most=most)
        for most in dict.fromkeys(caps.values())
    }
    metas = [{"label": label} for label in _labels(asked)]
    for url, meta in zip(asked, metas, strict=True):
        got = next(web[caps[url]])[1] if _on_the_web(url) else _stored(net, url, caps[url])
        if isinstance(got, str):
            yield Item(url, got, {"origin": url} | meta)
        elif isinstance(got, Got) and refuses_use(got.robots):
            why = f"asks not to be used: X-Robots-Tag says {got.robots!r}"
            yield Item(url, meta={"origin": url} | meta, error=why, left_out=True)
        else:
            yield from items_of([(url, got)], [meta])


def _most(url: str, kind: Kind | None) -> int:
    """The most bytes to bring: no more than can be used."""
    kind = kind or kind_of(_file_name(url))
    return _LARGEST if kind is None or kind in TEXTS else _DOWNLOAD


def _may_all(net: Fetcher, urls: list[str]) -> None:
    """Raises RecipeError where the user's settings do not allow an address."""
    others = [url for url in urls if not _on_the_web(url)]
    may = filesystems.allowed(net.setting(filesystems.SETTING)) if others else set()
    problems = [
        Problem(f"source {net.name!r}", 0, 0, "files.urls", _no_address(url))
        for url in others
        if filesystems.scheme_of(url) not in may
    ]
    if problems:
        raise RecipeError(problems)


def _no_address(url: str) -> str:
    scheme = filesystems.scheme_of(url)
    other = f", or allow it in your settings: {filesystems.SETTING} = {scheme!r}" if scheme else ""
    return f"{url[:200]!r} is no http(s) address: download it first, and name it under `files`{other}"


def _stored(net: Fetcher, url: str, most: int) -> str | Unfetched:
    try:
        return filesystems.read(net, url, most)
    except Unfetched as e:
        return e


def _file_name(url: str) -> str:
    return unquote(PurePosixPath(urlsplit(url).path).name) or "index"


def _labels(urls: list[str]) -> Iterator[str]:
    """For the ids of each address's rows: the stem of its file's name, whether or not a server unpacks that on the
    way, and numbered where another has the same."""
    taken: set[str] = set()
    for url in urls:
        name = _file_name(url)
        name = name.removesuffix(name[len(name) - len(ending(name)[1]) :])
        stem = PurePosixPath(name).stem or name
        label = next(c for n in count(1) if (c := stem if n == 1 else f"{stem}~{n}") not in taken)
        taken.add(label)
        yield label


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not options["files"] and not options["urls"]:
        yield (), "name `files` or `urls`, or both"
    for n, url in enumerate(options["urls"] or ()):
        if not _on_the_web(url) and not filesystems.scheme_of(url):  # those the user's settings may allow
            yield ("urls", n), _no_address(url)
        elif secret_in(url):
            yield ("urls", n), "holds a password, which is never part of a recipe"
    if options["columns"]:
        if problem := msgspec.convert(options["columns"], Columns).problem():
            yield ("columns",), problem
        if options["kind"] in TEXTS:
            yield ("columns",), f"a file of the kind {options['kind']} is one text and has no columns"


def _on_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _units(context: SourceContext, *, kind: Kind | None) -> Iterator[Unit]:
    taken: set[str] = set()
    if context.files.get("files"):
        for label, file in context.labelled("files"):
            taken.add(label)
            yield _unit(context, label, file.name, file.path, file.sha256, {"origin": file.name}, kind)
    for item in context.items:
        label = item.meta["label"]
        while label in taken:  # a local file's
            label += "~url"
        path = context.raw(item)
        meta = {key: value for key, value in item.meta.items() if key != "label"}
        yield _unit(context, label, _unpacked(_file_name(item.key), path), path, item.sha256, meta, kind)


def _unit(
    context: SourceContext,
    label: str,
    name: str,
    path: Path,
    sha256: str,
    meta: dict[str, str],
    kind: Kind | None,
) -> Unit:
    lines = apart(path, name, kind or kind_of(name))
    return Unit(f"{context.name}/{label}", name, path, sha256, meta["origin"], meta, lines)


def _unpacked(name: str, path: Path) -> str:
    """The name of what a server sent: many unpack a .gz on the way, and say so to the client only."""
    packing = ending(name)[1]
    with path.open("rb") as file:
        there = file.read(4)
    return (
        name.removesuffix(name[-len(packing) :])
        if packing and not there.startswith(_PACKED[packing])
        else name
    )


def _read(context: SourceContext, unit: Unit, *, kind: Kind | None, columns: Columns | None) -> Made:
    kind = kind or kind_of(unit.name)
    if kind is None:
        known = ", ".join(KINDS)
        raise Unreadable(
            f"its name says not what it is ({known}, also {' and '.join(PACKINGS)}); say it: kind"
        )
    meta = {"source": context.name, **unit.meta, "sha256": unit.sha256}
    if context.license:
        meta["license"] = context.license
    if kind in TEXTS:
        yield _text(unit, kind, meta)
        return
    named = [c for n in Columns.__struct_fields__ if columns and (c := getattr(columns, n))]
    for number, _, value in rows(unit.path, unit.name, kind, wanted=named, known=USUAL, span=unit.span):
        id, origin = f"{unit.id}/{number}", f"{unit.origin}:{number}"
        if isinstance(value, Bad):
            yield Rejected(id, value.reason, value.raw, origin=origin)
            continue
        row = record_of(value, columns, id=id, meta=meta | {"group": origin, "origin": origin})
        yield msgspec.structs.replace(row, origin=origin) if isinstance(row, Rejected) else row


@source(
    "files",
    version=4,
    fetch=fetch,
    fetches=lambda o: bool(o["urls"]),
    check=_wrong,
    libraries=("pyarrow",),
    units=_units,
    read=_read,
)
def files(
    context: SourceContext,
    *,
    files: Annotated[
        Files | None,
        Meta(
            description="Files, or globs of them, in the workspace.",
            extra={"files": "glob"},
            examples=[["notes/*.md"]],
        ),
    ] = None,
    urls: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=2000)]] | None,
        Meta(
            description="http(s) addresses of such files; others (s3://, sftp:// …) where the user's setting "
            "`filesystems` allows it.",
            examples=[["https://example.org/talks.jsonl.gz"]],
        ),
    ] = None,
    kind: Annotated[
        Kind | None, Meta(description="What all of them are, where their names do not say it.")
    ] = None,
    columns: Annotated[
        Columns | None, Meta(description="Which column holds what, where the names are not the usual ones.")
    ] = None,
) -> Made:
    """Data files: jsonl, json, csv, tsv, parquet, txt, md and html, each also .gz or .zst.

    Rows become chat records (`messages`, ShareGPT, Alpaca, prompt and answer) or plain text to be cut into passages
    (`text`); txt, md and html are one text each. What a row means is the same for every kind of file, see
    runner.datafiles.rows; how rows and files are refused, see the rest of that package. A Markdown file's front
    matter is left out, a text's Gutenberg wrapping too, of a web page only the main text is taken. A web page in the
    place of a text is refused, and so is a page from an address that asks not to be used (`noindex`, `noai`).

    Decided, where either way could be defended. Refused by row: NaN and infinities, nesting past 200, calls written
    as text, other charsets than UTF-8, NULs in tables. Kept as they stand: escaped NULs and odd characters (the
    filter `normalize` cleans), control words of chat templates (rendering keeps them text), personal data (the
    filter `pii`), repeated rows (dedup), HTML's entities, conversations of any length (rendering drops what does not
    fit). A quote left open in a table costs its line, and the lines after it where they are no rows by themselves.
    A text that begins with a Gutenberg mark and has no end, or holds two books, is kept with a `remark`; one without
    marks, or all on one line, is an ordinary text.
    """
    for unit in _units(context, kind=kind):
        yield from accounted(unit.id, unit.origin, _read(context, unit, kind=kind, columns=columns))


def _text(unit: Unit, kind: Kind, meta: dict[str, str]) -> Document | Rejected:
    with opened(unit.path, unit.name) as stream:
        head(stream)
        data = whole(stream, _LARGEST)
    if kind == "html":
        text, about = _page(unit, data)
    else:
        text, about = _plain(data, kind)
    known = {k: v for k, v in about.items() if v}
    return Document(text, {"group": unit.id, **known, **meta, "id": unit.id})


def _plain(data: bytes, kind: Kind) -> tuple[str, dict[str, str]]:
    from runner.booktext import Unusable, decode, header, read_book

    try:
        text, charset = decode(data)
        if kind == "md":
            if _PAGE.match(text):
                raise Unreadable("cannot be used: a web page, not Markdown (say it: kind: html)")
            return _without_front_matter(text), {"charset": charset}
        body, top = read_book(text), header(text)
    except Unusable as e:
        raise Unreadable(f"cannot be used: {e}") from None
    rights = "copyrighted (see its Project Gutenberg header)" if top.copyrighted else ""
    if top.gutenberg and not rights:
        rights = "public domain (USA)"
    about = {"title": top.title, "author": top.author, "license": rights}
    return body.text, about | {"charset": charset, "remark": body.remark}


def _without_front_matter(text: str) -> str:
    body = text
    if text.startswith("---\n"):
        _, parted, rest = text[4:].partition("\n---\n")
        body = rest if parted else text
    if not body.strip():
        raise Unreadable("holds no text")
    return body.strip()


def _page(unit: Unit, data: bytes) -> tuple[str, dict[str, str]]:
    from runner.webtext import NoPage, extract

    try:
        page = extract(data)
    except NoPage as e:
        raise Unreadable(f"cannot be used: {e}") from None
    except ImportError:
        raise StepError(unit.id.split("/")[0], f"HTML needs trafilatura: {extras.install('web')}") from None
    if "://" in unit.origin and refuses_use(page.robots):
        raise Unreadable(f"asks not to be used: its robots meta says {page.robots!r}")
    return page.text, {"title": page.title, "author": page.author, "license": page.license}
