"""Weights of other libraries <-> our checkpoints.

    python -m babyvlm_jax.convert import --from=babyllava_v2_phase2 --out=runs/v2
    python -m babyvlm_jax.convert import --from=dino_vitl16.pth --out=runs/eyes
    python -m babyvlm_jax.convert import --from=clip-vit-large-patch14 --out=runs/clip
    python -m babyvlm_jax.convert export --checkpoint=runs/demo/instruct --to=babyvlm
    python -m babyvlm_jax.convert export --checkpoint=runs/v2 --to=v2 --format=llava
    python -m babyvlm_jax.convert upgrade runs/demo

`import` takes a folder in LLaVA's naming, one of transformers' LLaVA or CLIP, one that
`export` wrote, or a file with a vision encoder or a projector alone. It writes a work
directory, for `evaluate`, `chat` and the warm start of training. `upgrade` brings over
what an earlier edition of this program wrote, in place.
"""

import argparse
from collections.abc import Sequence

from absl import logging
from etils import epy

from babyvlm_jax.runtime.errors import CommandParser, add_command_flags, run_main

with epy.lazy_imports():  # --help needs none of these, and they take seconds
    from babyvlm_jax.interchange import exporting, importing, upgrading


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m babyvlm_jax.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    take = commands.add_parser("import", help="other weights -> a work directory")
    take.add_argument("--from", dest="source", required=True, help="folder or file")
    take.add_argument("--out", required=True, help="work directory to write")
    take.add_argument("--tokenizer", default="", help="file, if not the source's own")
    take.add_argument("--template", default="", help="see docs/data.md")
    take.add_argument("--dtype", default="float32", help="of the computation")
    give = commands.add_parser("export", help="a checkpoint -> a folder for others")
    give.add_argument("--checkpoint", required=True, help="work directory of ours")
    give.add_argument("--to", required=True, help="folder to write")
    give.add_argument(
        "--format", default="hf", help="hf, llava, safetensors or lmms-eval"
    )
    give.add_argument("--tokenizer", default="", help="file, if it was moved")
    renew = commands.add_parser("upgrade", help="an earlier edition's folders -> ours")
    renew.add_argument("folders", nargs="+", help="shards, runs, or what holds them")
    for command in (take, give, renew):
        add_command_flags(command)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    args = vars(_parser().parse_args(argv))
    command, debug, _ = (args.pop(name) for name in ("command", "debug", "share"))
    logging.set_verbosity(logging.ERROR)  # Orbax tells each of its steps

    def run():
        if command == "import":
            print(importing.import_source(importing.ImportConfig(**args)))
        elif command == "upgrade":
            for folder in args["folders"]:
                for line in upgrading.upgrade(folder):
                    print(line)
        else:
            print(exporting.export(exporting.ExportConfig(**args)))

    run_main(run, debug)


if __name__ == "__main__":
    main()
