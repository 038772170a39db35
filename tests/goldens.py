"""Runs every public command on a small nursery, and lists what each one wrote.

    python -m tests.goldens --out=/tmp/before
    python -m tests.goldens --out=/tmp/after --against=/tmp/before

For refactorings: run it at both commits on the same machine. `goldens.json` maps each
file to a hash of its content without clock times, and each command to its exit code.
With `--against` the differences are printed, and the exit code is 1 if there are any.
Weights are compared through `convert export`, losses through metrics.jsonl.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import tqdm

from tests import quick

ROOT = pathlib.Path(__file__).parents[1]
SMALL = "--train=24 --val=6 --test=8 --workers=1"
QUICK = {
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": "1",
    "XLA_FLAGS": quick.XLA_FLAGS,
    **quick.CACHE,
}
CONFIGS = ROOT / "configs"
COMMANDS = {
    "nursery": "data_prep.nursery --out=run/raw --size=0.1h --categories=12",
    "build": f"data_prep.build --config={CONFIGS}/prep/nursery.py "
    "--config.raw=run/raw --config.out=run/shards",
    "text": "data_prep.text_corpus --file=books.txt --name=stories --out=run/shards "
    "--split=train",
    "tokenizer": "babyvlm_jax.data.tokenizer --shards=run/shards --vocab-size=400 "
    "--out=run/tokenizer.model --symbols=user:,assistant:,(a),(b),(c),(d)",
    "words": "babyvlm_jax.data.tokenizer --kind=words --shards=run/shards "
    "--out=run/words.txt",
    "devcv": "data_prep.devcv build --raw=run/raw --out=run/shards --prompts=ego4d "
    f"--mirror {SMALL}",
    "audit": "data_prep.devcv audit run/shards",
    "v1bench": "data_prep.v1bench build --raw=run/raw --out=run/shards",
    "inspect": "data_prep.inspect run/shards --name=image_utterance --split=train "
    "--tokenizer=run/tokenizer.model --html=look.html --sheet=look.png",
    "verify": "data_prep.inspect run/shards --verify",
    "parquet": "data_prep.parquet run/shards --name=image_utterance --out=export",
    "llava": "data_prep.llava_json --parquet=export/train-*.parquet --max-side=0 "
    "--name=again --out=other --split=train",
    "recipe": f"babyvlm_jax.recipe --config={CONFIGS}/nursery.py:smoke --workdir=run",
    "v1 recipe": f"babyvlm_jax.recipe --config={CONFIGS}/v1/recipe.py:nursery,"
    "data=run,smoke --workdir=v1",
    "evaluate": f"babyvlm_jax.evaluate --config={CONFIGS}/eval/devcv.py --workdir=run "
    "--config.checkpoint=run/instruct --config.shards=run/shards "
    "--config.tokenizer=run/tokenizer.model --config.limit=4",
    "match": f"babyvlm_jax.evaluate --config={CONFIGS}/eval/v1.py --workdir=v1 "
    "--config.checkpoint=v1/joint --config.shards=run/shards "
    "--config.tokenizer=run/words.txt --config.limit=4",
    "pairs": f"babyvlm_jax.evaluate --config={CONFIGS}/eval/v1.py --workdir=pairs "
    "--config.checkpoint=v1/contrastive --config.shards=run/shards "
    "--config.tokenizer=run/words.txt --config.limit=4 "
    "--config.tasks=('labeled_s','winoground') --config.protocols=('match',)",
    "compare": "babyvlm_jax.evaluate compare v1/eval/4-first4 v1/eval/4-first4",
    "report": "babyvlm_jax.report --workdir=run --eval=4-first4",
    "hf": "babyvlm_jax.convert export --checkpoint=run/instruct --to=hf",
    "import": "babyvlm_jax.convert import --from=hf --out=imported",
    "filter": "data_prep.filter run/shards --scorer=clip@v1/contrastive "
    "--threshold=0.0 --out=run/shards",
    "chat": "babyvlm_jax.chat --checkpoint=run/instruct --image=look.png "
    "--ask=what --json",
}
TIMES = re.compile(
    r'"[^"]*(?:_s|seconds|goodput|wait|time|elapsed|mfu|date|created)[^"]*": '
    r'(?:[\d.e+-]+|"[^"]*")|\d{4}-\d\d-\d\d[T ]?[\d:.]*'
    # hashes of a checkpoint's files, which have clock times inside
    r'|"fingerprints": \{[^}]*\}|"weights": "\w+"|files sha256 \w+'
)
# metadata of checkpoints, locks and logs have clock times inside
LEFT_OUT = re.compile(
    r"checkpoints/|events\.out|[/.]lock$|\.log$|/trace/|\.cache|hashes\.json$"
)
TEXTS = {".json", ".jsonl", ".md", ".tex", ".csv", ".html", ".txt"}


def content(path: pathlib.Path) -> str:
    """Hash of what a file says, without clock times."""
    data = path.read_bytes()
    if path.suffix in TEXTS:
        text = TIMES.sub("", data.decode(errors="replace"))
        data = text.replace(str(ROOT), "").encode()
    return hashlib.sha256(data).hexdigest()[:16]


def run_all(out: pathlib.Path, only: str) -> dict[str, str]:
    """Runs the commands in order; returns what they gave."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "run").mkdir(exist_ok=True)
    (out / "books.txt").write_text("look at the red ball\nwhere is the dog\n" * 20)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **QUICK}
    seen = {}
    names = [name for name in COMMANDS if not only or name in only.split(",")]
    for name in tqdm.tqdm(names, unit="command"):
        command = COMMANDS[name].split()
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=out,
            env=environment,
            capture_output=True,
            text=True,
        )
        seen[f"exit code of {name}"] = str(done.returncode)
        (out / f"{name.replace(' ', '-')}.log").write_text(done.stdout + done.stderr)
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name != "goldens.json" and not LEFT_OUT.search(name):
            seen[name] = content(path)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--against", type=pathlib.Path, help="an earlier --out")
    parser.add_argument("--only", default="", help="commands, comma-separated")
    args = parser.parse_args()
    seen = run_all(args.out.absolute(), args.only)
    (args.out / "goldens.json").write_text(json.dumps(seen, indent=1))
    print({k: v for k, v in seen.items() if k.startswith("exit code")})
    if args.against:
        before = json.loads((args.against / "goldens.json").read_text())
        differing = {
            k for k in before.keys() | seen.keys() if before.get(k) != seen.get(k)
        }
        for name in sorted(differing):
            print(f"differs: {name}: {before.get(name)} -> {seen.get(name)}")
        print(f"{len(differing)} of {len(before)} differ")
        sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
