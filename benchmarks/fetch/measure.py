"""How fast addresses of many hosts are fetched: by one process, and by workers of a Ray cluster that is started for it.

    python benchmarks/fetch/measure.py [--hosts 64] [--each 20] [--pace 10] [--at-once 1] [--ray 2] [--mixed]

The hosts are 127.1.0.1 and on, served by one process that takes 50 ms for an answer of 20 kB. The addresses go host by
host, or (`--mixed`) one of each host in turn. It prints one line of JSON: seconds from the first request to the last
answer (the start of a cluster counted apart, and its workers' within), the least seconds that the hosts' pace allows,
and the CPU seconds of the process that asks, which with a cluster gives the turns and reads every robots.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from runner.fetching import Got
from runner.net.client import Client
from runner.settings import SETTINGS, Settings

LATENCY, SIZE = 0.05, 20_000


def serve(hosts: int, line: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /robots.txt " in head.split(b"\r\n")[0]:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            await asyncio.sleep(LATENCY)
            body = head.split(b" ")[1].ljust(SIZE, b".")
            kind = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
            writer.write(kind + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def all_of_them() -> None:
        places = []
        for n in range(1, hosts + 1):
            server = await asyncio.start_server(answer, f"127.1.{n // 250}.{n % 250 or 250}", 0)
            places.append("{}:{}".format(*server.sockets[0].getsockname()))
        line.send(places)
        await asyncio.Event().wait()

    asyncio.run(all_of_them())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--pace", type=float, default=10)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--ray", type=int, default=0, help="workers; 0: one process")
    parser.add_argument("--mixed", action="store_true")
    said = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(said.hosts, theirs), daemon=True
    )
    server.start()
    places = ours.recv()
    urls = [f"http://{place}/{n}" for place in places for n in range(said.each)]
    if said.mixed:
        urls = [f"http://{place}/{n}" for n in range(said.each) for place in places]
    mine = {"allow": ",".join(places), "pace": str(said.pace), "at_once": str(said.at_once)}
    settings = Settings({name: s.default for name, s in SETTINGS.items()} | mine, {})
    with tempfile.TemporaryDirectory(prefix="f-") as folder, ExitStack() as stack:
        root = Path(folder)
        (root / ".mirepoix").mkdir()
        away = None
        if said.ray:
            from runner.engines.ray import Ray

            engine = stack.enter_context(Ray("", said.ray, root, root / "engine.log"))
            engine.replicas(False)
            away = engine.fetching
        client = stack.enter_context(Client(settings, root / ".mirepoix", away=away))
        if away is not None:  # the workers' processes start with the first request
            list(client.get_all([f"http://{places[0]}/first"]))
        began, cpu = time.monotonic(), time.process_time()
        got = list(client.get_all(urls))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        assert all(isinstance(one, Got) for _, one in got)
    line = vars(said) | {"addresses": len(urls), "seconds": round(seconds, 1)}
    line |= {"least": round((said.each + 1) / said.pace, 1), "a_second": round(len(urls) / seconds, 1)}
    print(json.dumps(line | {"cpu_ms_each": round(1000 * cpu / len(urls), 2)}))
    server.kill()


if __name__ == "__main__":
    main()
