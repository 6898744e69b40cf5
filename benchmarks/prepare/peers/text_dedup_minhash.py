"""text-dedup by its config file, MinHash; `--verify` has it check candidates (check_false_positive).

Its defaults otherwise, so rows of fewer than five words are left out before anything else.
"""

import json
import os
import tempfile
from pathlib import Path

from rows import NGRAM, PERMUTATIONS, THRESHOLD, arguments, write_kept

CONFIG = """
[input]
input_type = "local_files"
file_type = "json"

[input.read_arguments]
path = "json"
data_files = {source}
split = "train"

[algorithm]
algorithm_name = "minhash"
text_column = "text"
seed = 42
num_proc = 2
num_perm = {permutations}
threshold = {threshold}
ngram_size = {ngram}
check_false_positive = {verify}

[output]
output_dir = {folder}

[debug]
enable_profiling = false
"""


def main() -> None:
    args = arguments("verify")
    with tempfile.TemporaryDirectory(dir=args.target.parent) as folder:
        os.environ["HF_HOME"] = folder  # a cache would make the second run another one
        os.environ["HF_HUB_OFFLINE"] = "1"
        config = Path(folder, "config.toml")
        config.write_text(
            CONFIG.format(
                source=json.dumps(str(args.source)),
                folder=json.dumps(f"{folder}/out"),
                permutations=PERMUTATIONS,
                threshold=THRESHOLD,
                ngram=NGRAM,
                verify=json.dumps(args.verify),
            ),
            encoding="utf-8",
        )
        from text_dedup.config.base import load_config_from_toml
        from text_dedup.minhash import main as run

        from datasets import load_from_disk

        run(load_config_from_toml(config))
        write_kept(args.target, load_from_disk(f"{folder}/out")["id"])


if __name__ == "__main__":
    main()
