"""datatrove's four MinHash stages, as its example has them, on one machine.

Left out of the example: the token counter, which wants a tokenizer from a hub, and gzip on what is
written. One worker: its readers share out whole files, and there is one file. `--split` puts
`str.split` in the place of its word splitter (spaCy).
"""

import tempfile
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from rows import arguments, ids_of, write_kept


class Split:
    """A word splitter in datatrove's sense."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


def main() -> None:
    args = arguments("split")
    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8)
    with tempfile.TemporaryDirectory(dir=args.target.parent) as folder:
        reader = JsonlReader(str(args.source.parent), glob_pattern=args.source.name)
        signature = MinhashDedupSignature(f"{folder}/signatures", config=config)
        if args.split:
            signature.word_tokenizer = Split()
        stages = [
            ("signatures", 1, [reader, signature]),
            (
                "buckets",
                config.num_buckets,
                [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
            ),
            ("clusters", 1, [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)]),
            (
                "filter",
                1,
                [
                    reader,
                    MinhashDedupFilter(f"{folder}/remove"),
                    JsonlWriter(f"{folder}/kept", compression=None),
                ],
            ),
        ]
        for name, tasks, pipeline in stages:
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/logs/{name}").run()
        write_kept(args.target, ids_of(sorted(Path(folder, "kept").glob("*.jsonl"))))


if __name__ == "__main__":
    main()
