"""Data preparation side by side: `python benchmarks/prepare/bench.py [--rows N] [--only NAME,…]`.

Makes a seeded corpus in which every duplicate is known (corpus.py), runs us and the peers on it,
each in a process (peers/, in environments of their own; ours/), and prints a Markdown table. Ours
runs again before each peer's run, so a ratio compares two runs that stood side by side; the median
is shown. CPU seconds are those of the whole process tree (measure.py says how). Results are added
to results/.

Other modes: `--floor` what the parts of the work cost at least, `--start-up` a run on ten rows,
`--scaling` ours at 100,000 and 1,000,000 rows (or --rows A,B), `--engines` the whole chain on the
local engine and on Ray, with two processes each.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import table
import truth
from contenders import ALL, OUR_CHAIN, OURS, PEERS, Contender, environment
from measure import Cost, Failed, cost
from venvs import HERE, MADE, NotInstalled

# Rows of an unmeasured first run: caches of compiled code fill, a broken contender shows. Ours compiles once it has
# seen some megabytes.
WARM_UP, OUR_WARM_UP = 1_000, 5_000
LIMIT = 3 * 3600.0


def main() -> None:
    args = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end, too, shows what was done
    if args.floor:
        import floor

        results = floor.measure(corpus_of(args.rows[0], args.seeds[0]))
        print(floor.markdown(results))
        table.append(args.json or HERE / "results" / "floor.json", {"rows": args.rows[0], "results": results})
    elif args.start_up:
        start_up(args)
    elif args.scaling:
        scaling(args)
    elif args.engines:
        import engines

        results = engines.measure(args.rows, args.repeat, corpus_of, run)
        print(engines.markdown(results))
        table.append(
            args.json or HERE / "results" / "engines.json", {"repeat": args.repeat, "results": results}
        )
    else:
        side_by_side(args)


def side_by_side(args: argparse.Namespace) -> None:
    for rows in args.rows:
        runs: dict[str, list[dict[str, Any]]] = {}
        results: dict[str, dict[str, Any]] = {}
        try:
            for who, made in _rounds(args, rows, results):
                runs.setdefault(who.name, []).append(made)
                print(f"{who.name}: {made['cpu']:.2f} CPU s, {made['peak']:.0f} MB", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted; what was done until then:", file=sys.stderr)
        results |= {name: table.summary(rows, done) for name, done in runs.items() if name not in results}
        seeds = ", ".join(map(str, args.seeds))
        print(f"\n{rows:,} rows, seeds {seeds}, {args.repeat} runs each; {table.machine()}\n")
        print(table.markdown(results))
        entry = {"rows": rows, "seeds": args.seeds, "repeat": args.repeat, "results": results}
        table.append(args.json or HERE / "results" / f"rows-{rows}.json", entry)


def _rounds(
    args: argparse.Namespace, rows: int, results: dict[str, dict[str, Any]]
) -> Iterator[tuple[Contender, dict[str, Any]]]:
    """All runs in order. Who cannot run goes into `results` with the reason, and is not tried again."""
    wanted = [ALL[name] for name in args.only] if args.only else [OURS, OUR_CHAIN, *PEERS]
    peers = [who for who in wanted if who in PEERS]
    paired = not args.unpaired
    alone = [
        who for who in wanted if who not in PEERS and not (paired and any(who is _ours(p) for p in peers))
    ]
    tried = dict.fromkeys([*(map(_ours, peers) if paired else ()), *wanted])
    able = [who for who in tried if _works(who, results)]
    for _ in range(args.repeat):
        for seed in args.seeds:
            folder = corpus_of(rows, seed)
            for who in alone:
                if made := _attempt(who, folder, able, results):
                    yield who, made
            for peer in peers:
                beside = _attempt(_ours(peer), folder, able, results) if paired and peer in able else None
                if beside:
                    yield _ours(peer), beside
                if made := _attempt(peer, folder, able, results):
                    yield peer, made | {"ours": beside["cpu"] if beside else None}


def _attempt(
    who: Contender, folder: Path, able: list[Contender], results: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """One run, or None of a contender that cannot; who fails is not tried again."""
    if who not in able:
        return None
    try:
        return run(who, folder)
    except Failed as e:
        results[who.name] = {"error": f"failed: {e}"}
        able.remove(who)
        return None


def _ours(peer: Contender) -> Contender:
    return OUR_CHAIN if peer.chain else OURS


def _works(who: Contender, results: dict[str, dict[str, Any]]) -> bool:
    try:
        run(who, corpus_of(WARM_UP if who in PEERS else OUR_WARM_UP, 17))
    except NotInstalled as e:
        results[who.name] = {"error": f"could not be installed here: {e}"}
    except Failed as e:
        results[who.name] = {"error": f"failed: {e}"}
    else:
        return True
    print(f"{who.name}: {results[who.name]['error']}", file=sys.stderr)
    return False


def run(who: Contender, folder: Path) -> dict[str, Any]:
    """One run, measured and scored. Raises Failed, NotInstalled."""
    with tempfile.TemporaryDirectory(dir=MADE) as scratch:
        work, target = Path(scratch, "work"), Path(scratch, "kept")
        spent = _spent(who, folder / "corpus.jsonl", target, work)
        known = truth.load(folder)
        kept = truth.kept_rows(target, len(known.group))
    score = truth.score(known, kept, chain=who.chain)
    return {**spent._asdict(), "score": score._asdict()}


def _spent(who: Contender, source: Path, target: Path, work: Path) -> Cost:
    work.mkdir()
    command = who.command(source, target, work)
    spent = cost(command, env=environment(), cwd=work, log=target.with_suffix(".log"), limit=LIMIT)
    if who.collect:
        who.collect(target, work)
    return spent


def scaling(args: argparse.Namespace) -> None:
    """Ours at two sizes: CPU a row and peak memory."""
    sizes = args.rows if len(args.rows) > 1 else [100_000, 1_000_000]
    results: dict[str, Any] = {}
    print("| | rows | CPU s | µs a row | peak MB | recall | precision |\n|---|---|---|---|---|---|---|")
    for who in [ALL[name] for name in args.only] if args.only else [OURS, OUR_CHAIN]:
        run(who, corpus_of(OUR_WARM_UP, 17))
        for rows in sizes:
            runs = [run(who, corpus_of(rows, args.seeds[0])) for _ in range(args.repeat)]
            r = results[f"{who.name} {rows}"] = table.summary(rows, runs)
            cells = f"{rows:,} | {r['cpu']:.1f} | {r['us_a_row']:.1f} | {r['peak']:.0f}"
            print(f"| {who.title} | {cells} | {r['recall']:.4f} | {r['precision']:.4f} |", flush=True)
    table.append(args.json or HERE / "results" / "scaling.json", {"repeat": args.repeat, "results": results})


def start_up(args: argparse.Namespace) -> None:
    """What a run of the chain on ten rows costs, compiled code cached."""
    with open(corpus_of(WARM_UP, 17) / "corpus.jsonl", encoding="utf-8") as file:
        ten = [next(file) for _ in range(10)]
    spent = []
    for n in range(args.repeat + 1):
        with tempfile.TemporaryDirectory(dir=MADE) as scratch:
            source = Path(scratch, "corpus.jsonl")
            source.write_text("".join(ten), encoding="utf-8")
            made = _spent(OUR_CHAIN, source, Path(scratch, "kept"), Path(scratch, "work"))
        if n:  # the first fills caches
            spent.append(made)
    spent.sort(key=lambda c: c.cpu)
    middle = spent[len(spent) // 2]
    print(f"ten rows, the whole chain: {middle.cpu:.2f} CPU s, {middle.wall:.2f} s, {middle.peak:.0f} MB")
    entry = {"repeat": args.repeat, "results": {key: round(v, 3) for key, v in middle._asdict().items()}}
    table.append(args.json or HERE / "results" / "start-up.json", entry)


def corpus_of(rows: int, seed: int) -> Path:
    """The folder of a corpus, made on first use."""
    folder = MADE / "corpus" / f"{rows}-{seed}-{corpus.VERSION}"
    if not (folder / "corpus.jsonl").exists():
        corpus.write(folder, rows, seed)
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers, names = _listed(lambda s: int(s.replace("_", ""))), _listed(_known)
    parser.add_argument("--rows", type=numbers, default=[100_000], help="default: 100000")
    parser.add_argument("--seeds", type=numbers, default=[17], help="a corpus each; default: 17")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, on each seed; default: 3")
    parser.add_argument("--only", type=names, help=f"of {', '.join(ALL)}")
    parser.add_argument("--json", type=Path, metavar="OUT", help="add the results there, not to results/")
    parser.add_argument(
        "--unpaired", action="store_true", help="no run of ours before each peer's, so no ratios"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--floor", action="store_true")
    mode.add_argument("--start-up", action="store_true")
    mode.add_argument("--scaling", action="store_true")
    mode.add_argument("--engines", action="store_true")
    return parser.parse_args()


def _listed(convert: Any) -> Any:
    return lambda text: [convert(part) for part in text.split(",")]


def _known(name: str) -> str:
    if name not in ALL:
        raise argparse.ArgumentTypeError(f"not one of {', '.join(ALL)}: {name}")
    return name


if __name__ == "__main__":
    main()
