"""Fills the HTML page: one file, no scripts, nothing loaded from elsewhere."""

import importlib.metadata
import itertools
import pathlib
import platform
import string
from collections.abc import Sequence
from importlib import resources

import jinja2
from etils import epath
from tqdm import tqdm

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.items import parse_sources
from babyvlm_jax.evals.results import Evaluation, read_evaluation, read_shown
from babyvlm_jax.report import plots
from babyvlm_jax.report.collect import (
    Growth,
    Phase,
    Picture,
    Published,
    ShownItem,
    load_items,
    read_growth,
    read_phases,
    read_published,
)
from babyvlm_jax.runtime.files import write_atomically

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def write_page(
    workdir: pathlib.Path,
    folder: epath.Path,
    shards: pathlib.Path,
    out: pathlib.Path,
    published: bool = False,
    with_images: bool = False,
) -> None:
    """Writes the report of one run; `out` appears whole or not at all.

    Args:
        workdir: the run folder.
        folder: of an evaluation of it.
        shards: folder of the datasets that were evaluated, if they are of one source.
        out: the HTML file.
        published: draw published numbers beside ours.
        with_images: show images of recordings too.

    Raises:
        UserError: predictions, curves or test items cannot be read.
    """
    results = read_evaluation(folder)
    lines = read_shown(folder, results.tasks)
    folders = parse_sources(results.shards) | {"": shards}
    items = {
        task.key: load_items(
            folders[task.source],
            results.split,
            list(lines[task.key].values()),
            with_images,
        )
        for task in tqdm(results.tasks.values(), desc="test items", unit="task")
    }
    html = render(
        workdir.resolve().name,
        results,
        read_phases(workdir),
        items,
        read_growth(workdir, folder.name.lstrip(string.digits)),
        read_published(task.name for task in results.tasks.values())
        if published
        else None,
    )
    write_atomically(out, html.encode())


def render(
    name: str,
    results: Evaluation,
    phases: tuple[Phase, ...],
    items: dict[str, list[ShownItem]],
    growth: Sequence[Growth] = (),
    published: Published | None = None,
) -> str:
    """Returns the page as one string.

    Args:
        name: what the run is called, the name of its folder.
        results: scores of every task.
        phases: training curves, in training order.
        items: key of a task -> test items to show.
        growth: scores over the checkpoints of the run.
        published: numbers to draw beside ours.
    """
    folder = resources.files(__package__)
    tasks = tables.reading_order(results.tasks)
    headline = [task for task in tasks if task.headline]
    means = {
        name: sum(getattr(task, name) for task in headline) / len(headline)
        for name in ("score", "chance")
    }
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": tables.percent,
        "duration": duration,
        "by_kind": by_kind,
    }
    template = environment.from_string(
        (folder / "template.html").read_text(encoding="utf-8")
    )
    return template.render(
        name=name,
        style=(folder / "style.css").read_text(encoding="utf-8"),
        results=results,
        tasks=tasks,
        headline=headline,
        means=means,
        phases=[phase for phase in phases if phase.steps],
        items=items,
        growth=growth,
        published=published,
        rows=tables.make_rows(results),
        disagreements=tables.disagreements(results.tasks),
        plots=plots,
        facts=run_facts(results, phases),
        settings=phase_settings(phases),
    )


def by_kind(parts: tuple[str | Picture, ...]) -> list[tuple[bool, list]]:
    """("a", "b", image) -> [(True, ["a", "b"]), (False, [image])]."""
    grouped = itertools.groupby(parts, lambda part: isinstance(part, str))
    return [(is_text, list(run)) for is_text, run in grouped]


def run_facts(results: Evaluation, phases: tuple[Phase, ...]) -> list[tuple[str, str]]:
    """Facts of the whole run as (name, value) pairs."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return [
        ("Checkpoint", f"{results.checkpoint}, step {results.step:,}"),
        ("Evaluated split", results.split),
        ("Seed", str(results.seed)),
        ("Training", duration(sum(phase.seconds for phase in phases))),
        ("Evaluation", duration(results.seconds)),
        (
            "Report made with",
            ", ".join([f"Python {platform.python_version()}", *versions]),
        ),
    ]


def phase_settings(phases: tuple[Phase, ...]) -> list[tuple[str, ...]]:
    """One row for each phase that left its config.

    Returns:
        (phase, steps, rows a step, optimizer, peak learning rate, time, data).
    """
    return [_row(phase) for phase in phases if phase.config]


def _row(phase):
    config = phase.config
    mixture = config["data"]["mixture"]
    names = [name.removeprefix("devcv_") for name in mixture]
    return (
        phase.name,
        f"{config['num_steps']:,}",
        str(config["data"]["batch_size"]),
        config["optim"]["name"],
        f"{config['optim']['lr_peak']:g}",
        duration(phase.seconds),
        ", ".join(name.replace("_", " ") for name in sorted(names)),
    )


def duration(seconds: float) -> str:
    """185.2 -> "3 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
