"""Benchmarks a checkpoint on the DevCV tasks.

    python -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=runs/demo \\
        --config.checkpoint=runs/demo/instruct --config.shards=runs/demo/shards
    ... --config.tasks="('count','memory')" --config.limit=50
    ... --config.mechanism=choice          likelihood of each allowed answer
    ... --config.blank_images=True         control: no pictures

Writes WORKDIR/eval/STEP/results.json, predictions.jsonl and leaderboard.json, and
prints the table. Runs that differ from the official protocol go to a folder that says
so, as eval/STEP-choice-blank. A finished task is kept in .partial until the whole is
written, so a stopped evaluation goes on where it was; a finished one is not repeated.
"""

import time

import jax
import tqdm

from babyvlm_jax import checkpoint, settings
from babyvlm_jax.command import run_config_command
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals import mechanisms, results, store
from babyvlm_jax.evals.dialogue import num_rounds
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.sharding import check_batch, make_mesh

_BAR = "{desc}{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"


def evaluate(cfg: store.EvalConfig, workdir: str) -> dict:
    """Evaluates a checkpoint, or finds that it has been.

    Args:
        cfg: settings.
        workdir: folder that gets `eval/STEP/`.

    Returns:
        The content of results.json.

    Raises:
        UserError: an impossible setting, or something named in it is missing.
    """
    tasks = cfg.selected_tasks
    fingerprints = {t.name: store.fingerprint(cfg, t) for t in tasks}
    done = store.find_whole(workdir, fingerprints)
    if done:
        print(f"evaluation is whole: {done}")
        return store.read_json(done)
    sources = {t.name: RecordSource(cfg.shards, t.dataset, cfg.split) for t in tasks}
    mesh = make_mesh(cfg.mesh)
    check_batch(cfg.batch_size, mesh)
    with jax.set_mesh(mesh):
        predictor, info = load_predictor(cfg, mesh)
        folder = store.Folder(workdir, f"{info['step']}{cfg.suffix}")
        whole = run_tasks(cfg, folder, sources, fingerprints, predictor)
    header = {
        "checkpoint": cfg.checkpoint,
        "step": info["step"],
        "split": cfg.split,
        "synthetic": store.is_synthetic(cfg.shards),
        "seed": info["config"]["seed"],
        "shards": cfg.shards,
    }
    return store.finish(folder, header, whole, fingerprints)


def load_predictor(cfg: store.EvalConfig, mesh) -> tuple[Predictor, dict]:
    """Loads the checkpoint and its tokenizer; it reads records as it was trained."""
    model, params, info = checkpoint.load_model(cfg.checkpoint, mesh)
    data = info["config"]["data"]
    named = cfg.tokenizer or data["tokenizer"]
    predictor = Predictor(
        model=model,
        params=params,
        tokenizer=Tokenizer.load(settings.find_beside(info["workdir"], named)),
        template=data["template"],
        tokens_per_image=data["tokens_per_image"],
        image_size=data["image_size"],
        batch_size=cfg.batch_size,
        buckets=cfg.buckets,
        mesh=mesh,
        blank_images=cfg.blank_images,
    )
    return predictor, info


def run_tasks(cfg, folder, sources, fingerprints, predictor) -> dict[str, dict]:
    """Runs the tasks that are not in the folder yet; returns all of them by name."""
    finished = {
        name: part
        for name, mark in fingerprints.items()
        if (part := folder.read_part(name, mark))
    }
    todo = [task for task in cfg.selected_tasks if task.name not in finished]
    if finished:
        print(f"kept from before: {', '.join(finished)}")
    records = {t.name: read_records(sources[t.name], cfg.limit) for t in todo}
    total = sum(num_rounds(r) for items in records.values() for r in items)
    with tqdm.tqdm(total=total, bar_format=_BAR, mininterval=1) as bar:
        for task in todo:
            bar.set_description(task.name)
            part = run_one(cfg, task, records[task.name], predictor, bar.update)
            finished[task.name] = part
            folder.write_part(task.name, fingerprints[task.name], part)
    return {task.name: finished[task.name] for task in cfg.selected_tasks}


def run_one(cfg, task, records, predictor, progress) -> dict:
    """One task's entry of results.json, its predictions and its time."""
    began = time.monotonic()
    mechanisms.check_records(task, records)
    predictions = mechanisms.run_task(
        task, cfg.mechanism, records, predictor, cfg.normalize, progress
    )
    entry = results.summarize(
        task,
        cfg.mechanism or task.mechanism,
        predictions,
        mechanisms.best_constant(task, records),
        cfg.seed,
    )
    seconds = time.monotonic() - began
    return {"entry": entry, "predictions": predictions, "seconds": seconds}


def read_records(source: RecordSource, limit: int) -> list:
    """The first `limit` records (0: all) of a split, whose order is a shuffle."""
    size = min(limit, len(source)) if limit else len(source)
    if not size:
        raise UserError(f"{source} has no items to evaluate; build it again")
    return [source[index] for index in range(size)]


def main(config, workdir: str) -> None:
    """Evaluates and prints the table."""
    cfg = store.EvalConfig(**config.to_dict())
    print(results.table(evaluate(cfg, workdir)["tasks"]))


if __name__ == "__main__":
    run_config_command(__doc__, main)
