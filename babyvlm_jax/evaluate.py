"""Benchmarks checkpoints, and other people's models, on the tasks of DevCV and V1.

    python -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=runs/demo \\
        --config.checkpoint=runs/demo/instruct --config.shards=runs/demo/shards
    ... --config=configs/eval/v1.py        the four tests of BabyVLM V1
    ... --config.tasks="('count','memory')" --config.limit=50
    ... --config.shards=ego4d=/data/ego4d,saycam=/data/saycam    side by side
    ... --config.controls="('no_image','shuffled_image','no_text')"
    ... --config.trajectory=true           all checkpoints of the run, in order
    ... --config.transformers=FOLDER       a model of the transformers library
    ... --config.predictions=FILE.jsonl    answers from anywhere
    python -m babyvlm_jax.evaluate compare runs/a runs/b     paired tests

Writes WORKDIR/eval/STEP/results.json, predictions.jsonl, leaderboard.json and the table
in Markdown and LaTeX, and prints it. Runs that differ from the norm go to a folder that
says so, as eval/STEP-generate-first50. Answers are kept in .partial, some hundred items
at a time, until the whole is written: run the command again to resume a stopped
evaluation. A finished one is not repeated.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence

import tqdm
from etils import epy

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.compare import compare
from babyvlm_jax.evals.config import EvalConfig, Target, find_targets, run_of
from babyvlm_jax.evals.items import ItemSet, find_sets
from babyvlm_jax.evals.results import PARSERS, Evaluation, read_evaluation
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import (
    CommandParser,
    UserError,
    add_command_flags,
    printable,
    run_main,
)
from babyvlm_jax.runtime.fields import from_dict

with epy.lazy_imports():  # --help and compare need no jax
    import jax

    from babyvlm_jax import embedding, sharding
    from babyvlm_jax.evals import engine, identity, predictors, run
    from babyvlm_jax.runtime import processes
    from babyvlm_jax.training import checkpoint, preflight

_BAR = "{desc}{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"


def evaluate(cfg: EvalConfig, workdir: str) -> list[Evaluation]:
    """Evaluates every model that the settings name, or finds that it has been.

    Args:
        cfg: settings.
        workdir: folder that gets `eval/STEP/`.

    Returns:
        What the results.json of each holds.

    Raises:
        UserError: an impossible setting, or something named in it is missing.
    """
    item_sets, missing = find_sets(
        cfg.sources, cfg.tasks, cfg.selected_tasks, cfg.split
    )
    if missing:
        print(f"not there: {', '.join(missing)}")
    mesh = sharding.make_mesh(cfg.mesh)
    sharding.check_batch(cfg.batch_size, mesh, "config.batch_size")
    found = find_targets(cfg)
    if cfg.kind == "checkpoint":
        for run_dir in dict.fromkeys(run_of(one.path) for one in found):
            preflight.check_checkpoint(run_dir, mesh)
    with jax.set_mesh(mesh):
        return [evaluate_one(cfg, one, item_sets, mesh, workdir) for one in found]


def evaluate_one(cfg, target, item_sets, mesh, workdir) -> Evaluation:
    """Evaluates one model."""
    marks = {one.key: identity.fingerprint(cfg, target.path, one) for one in item_sets}
    processes.check_same("items or models", marks)
    done = identity.find_whole(workdir, marks)
    if done:
        print(f"evaluation is whole: {done}")
        return read_evaluation(done.parent)
    predictor, step, seed = load_predictor(cfg, target, mesh)
    folder = run.Folder(workdir, target.folder(step, cfg.suffix))
    began = time.monotonic()
    total = sum(_size(one, cfg.limit) for one in item_sets)
    with tqdm.tqdm(total=total, bar_format=_BAR, mininterval=1) as bar:

        def progress(key, number):
            bar.set_description(key)
            bar.update(number)

        entries, lines, problems = run.run_sets(
            cfg, folder, item_sets, marks, predictor, progress
        )
    header = {
        "checkpoint": target.path,
        "kind": target.kind,
        "step": step or 0,
        "split": cfg.split,
        "synthetic": all(map(identity.is_synthetic, cfg.sources.values())),
        "seed": seed,
        "shards": cfg.shards,
        "seconds": round(time.monotonic() - began, 1),
    }
    said = [str(problem) for problem in problems]
    return run.finish(folder, header, entries, lines, said, marks)


def _size(item_set: ItemSet, limit: int) -> int:
    try:
        size = len(item_set.open())
    except UserError:  # named when its turn comes
        return 0
    return min(limit, size) if limit else size


def load_predictor(
    cfg: EvalConfig, target: Target, mesh
) -> "tuple[predictors.Predictor, int | None, int]":
    """Loads who answers.

    Returns:
        The predictor; the step and the seed of a checkpoint of ours, else None and 0.
    """
    if target.kind == "predictions":
        return predictors.PredictionsFile(target.path), None, 0
    if target.kind == "transformers":
        model = predictors.TransformersPredictor(
            target.path, cfg.max_new_tokens, cfg.normalize, cfg.score_eos
        )
        return model, None, 0
    if checkpoint.is_contrastive(target.path):
        model = embedding.load_pair_model(
            target.path, mesh, cfg.batch_size, cfg.tokenizer
        )
        info = model.info
        found = predictors.SimilarityPredictor(model, model.image_size, target.path)
    else:
        reader, info = embedding.load_reader(
            target.path, mesh, cfg.batch_size, cfg.buckets, cfg.tokenizer
        )
        found = engine.CheckpointPredictor(
            reader, cfg.max_new_tokens, cfg.normalize, cfg.score_eos, cfg.score_unknown
        )
    return found, info["step"], info["config"]["seed"]


def main(config, workdir: str) -> None:
    """Evaluates and prints the tables."""
    processes.start()
    cfg = processes.together(lambda: from_dict(EvalConfig, config.to_dict()))
    own = {"--workdir": str(workdir), **processes.versions()}
    processes.check_same("settings", {**dataclasses.asdict(cfg), **own})
    for result in evaluate(cfg, workdir):
        print(f"\n{result.checkpoint}\n\n{printable(tables.text(result))}")


def compare_command(argv: Sequence[str]) -> None:
    """Prints runs side by side."""
    parser = CommandParser(
        prog="python -m babyvlm_jax.evaluate compare",
        description="Runs side by side, with paired tests against the first.",
    )
    add = parser.add_argument
    add("runs", nargs="+", help="folders of evaluations, or work directories")
    add("--parser", choices=PARSERS, default=PARSERS[0], help="whose reading counts")
    add("--format", choices=sorted(_FORMATS), default="text")
    add_command_flags(parser)
    args = parser.parse_args(argv)
    make = _FORMATS[args.format]
    run_main(lambda: print(make(compare(args.runs, args.parser))), args.debug)


_FORMATS = {
    "text": tables.layout,
    "markdown": tables.markdown,
    "latex": tables.latex,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare_command(sys.argv[2:])
    run_config_command(__doc__, main, EvalConfig)
