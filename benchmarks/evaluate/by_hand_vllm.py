"""A vLLM server asked as one would by hand, with the package openai and a thread for each request under way.

python benchmarks/evaluate/by_hand_vllm.py URL AT-ONCE OUT PROBES:TOKENS…
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def main() -> None:
    url, at_once, out, *sets = sys.argv[1:]
    from openai import DefaultHttpxClient, OpenAI

    client = OpenAI(
        base_url=url, api_key="none", timeout=600, http_client=DefaultHttpxClient(trust_env=False)
    )

    def ask(probe: dict[str, Any], most: int) -> tuple[str, str, int]:
        more = {"tools": probe["tools"]} if probe.get("tools") else {}
        got = client.chat.completions.create(
            model="tuned", messages=probe["messages"], max_tokens=most, temperature=0, **more
        )
        return (
            probe["id"],
            got.choices[0].message.content or "",
            got.usage.completion_tokens if got.usage else 0,
        )

    said: dict[str, str] = {}
    tokens = 0
    with ThreadPoolExecutor(int(at_once)) as pool:
        for one in sets:
            file, most = one.rsplit(":", 1)
            probes = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
            for id, text, used in pool.map(ask, probes, [int(most)] * len(probes)):
                said[id] = text
                tokens += used
    Path(out).write_text(json.dumps({"said": said, "tokens": tokens}), encoding="utf-8")


if __name__ == "__main__":
    main()
