"""Fuzzing for as long as it is told: `python tests/fuzz/long.py --seconds 600 [TARGET…]`; `make fuzz`.

Each kind of input gets its share of the time, in a process of its own: Atheris, which is led by what code an input
reaches, where it is installed and asked for (`pip install 'mirepoix[fuzz]'`), else mutations drawn by a seed.
What is found is written to tests/fuzz/corpus/TARGET/, where the tests find it again; Atheris' own corpus, which grows
from run to run, stands in build/fuzz/TARGET/. Exit code 1 where something was found.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import logging
import os
import random
import subprocess
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

HANGS = 60
"""Seconds after which a process tells where it stands, and ends."""


def place(error: BaseException) -> str:
    """Where in our code it came up, and what: the same twice is one find."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/runner/" in f.filename]
    frames = frames or list(traceback.extract_tb(error.__traceback__))
    last = frames[-1]
    said = str(error)[:30] if type(error).__name__ == "Found" else ""
    return f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-2:])}:{last.lineno} {said}"


def keep(target: str, raw: bytes) -> Path:
    from fuzz_targets import CORPUS

    path = CORPUS / target / hashlib.sha256(raw).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def drawn(target: str, seconds: float, most: int, seed: int) -> int:
    """Inputs drawn by a seed; how many different things were found."""
    from fuzz_mutations import mutated
    from fuzz_targets import TARGETS, seeds

    pool, found, n = seeds(target), set[str](), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until and n < most:
        raw = mutated(random.Random(f"{seed}/{n}"), target, pool)
        n += 1
        faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)
        try:
            TARGETS[target](raw)
        except Exception as e:
            if (where := place(e)) not in found:
                found.add(where)
                said = "".join(traceback.format_exception(e)[-6:])
                sys.stdout.write(f"{target}: {where}\n{said}  kept: {keep(target, raw)}\n")
        if n % 5000 == 0:
            sys.stdout.write(f"{target}: {n:,} inputs\n")
            sys.stdout.flush()
    faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{target}: {n:,} inputs by seed {seed}, {len(found)} finds\n")
    return len(found)


def guided(target: str, seconds: float) -> None:
    """Atheris; does not return."""
    import atheris

    with atheris.instrument_imports(include=["runner"]):
        from fuzz_targets import TARGETS
    from fuzz_mutations import changed

    def mutate(raw: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.randrange(4) == 0:
            return bytes(atheris.Mutate(raw, most))
        for _ in range(draw.choice((1, 1, 2, 4))):
            raw = changed(draw, target, raw)
        return raw[:most]

    from fuzz_targets import CORPUS, ROOT, seeds

    grown, given = ROOT / "build" / "fuzz" / target, ROOT / "build" / "fuzz" / f"{target}.seeds"
    for folder in (grown, given, CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    for raw in seeds(target):
        (given / hashlib.sha256(raw).hexdigest()[:16]).write_bytes(raw)
    argv = [sys.argv[0], str(grown), str(given), f"-max_total_time={max(1, int(seconds))}", "-max_len=20000",
            "-timeout=30", "-rss_limit_mb=3000", f"-artifact_prefix={CORPUS / target}/", "-print_final_stats=1",
            "-verbosity=0"]  # fmt: skip
    atheris.Setup(argv, TARGETS[target], custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("targets", nargs="*")
    asked.add_argument("--seconds", type=float, default=600)
    asked.add_argument("--most", type=int, default=10**9, help="Inputs of each kind.")
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--engine", choices=["auto", "atheris", "drawn"], default="auto")
    asked.add_argument("--here", action="store_true", help="In this process; for one target.")
    said = asked.parse_args()
    logging.disable(logging.CRITICAL)
    engine = said.engine if said.engine != "auto" else "atheris" if find_spec("atheris") else "drawn"
    if said.here:
        if engine == "atheris":
            guided(said.targets[0], said.seconds)
        return int(drawn(said.targets[0], said.seconds, said.most, said.seed) > 0)
    from fuzz_targets import TARGETS

    names = said.targets or list(TARGETS)
    share = {n: 4 if n == "recipe" else 1 for n in names}
    worst = 0
    for name in names:
        seconds = said.seconds * share[name] / sum(share.values())
        own = [
            "--seconds",
            str(seconds),
            "--most",
            str(said.most),
            "--seed",
            str(said.seed),
            "--engine",
            engine,
        ]
        environ = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run([sys.executable, __file__, name, "--here", *own], env=environ, check=False)
        worst = max(worst, int(done.returncode != 0))
    return worst


if __name__ == "__main__":
    sys.exit(main())
