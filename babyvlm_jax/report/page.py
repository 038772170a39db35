"""Fills the HTML page: one file, no scripts, nothing loaded from elsewhere."""

import importlib.metadata
import os
import pathlib
import platform
from importlib import resources

import jinja2
from tqdm import tqdm

from babyvlm_jax.report import plots, tables
from babyvlm_jax.report.collect import (
    Phase,
    Results,
    read_phases,
    read_predictions,
)
from babyvlm_jax.report.items import load_items

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def write_page(
    workdir: pathlib.Path,
    results: Results,
    shards: pathlib.Path,
    out: pathlib.Path,
) -> None:
    """Writes the report of one run; `out` appears whole or not at all.

    Args:
        workdir: the run folder.
        results: its newest evaluation.
        shards: folder of the datasets that were evaluated.
        out: the HTML file.

    Raises:
        UserError: predictions, curves or test items cannot be read.
    """
    predictions = read_predictions(results)
    items = {
        task.name: load_items(shards, results.split, predictions[task.name])
        for task in tqdm(results.tasks, desc="test items", unit="task")
    }
    html = render(workdir.resolve().name, results, read_phases(workdir), items)
    part = out.with_name(out.name + ".part")
    part.write_text(html, encoding="utf-8")
    os.replace(part, out)


def render(name: str, results: Results, phases: tuple[Phase, ...], items) -> str:
    """Returns the page as one string.

    Args:
        name: what the run is called, the name of its folder.
        results: scores of every task.
        phases: training curves, in training order.
        items: task name -> test items to show.
    """
    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": tables.percent,
        "interval": tables.interval,
        "duration": duration,
    }
    template = environment.from_string(
        (folder / "template.html").read_text(encoding="utf-8")
    )
    return template.render(
        name=name,
        style=(folder / "style.css").read_text(encoding="utf-8"),
        results=results,
        phases=[phase for phase in phases if phase.steps],
        items=items,
        plots=plots,
        facts=run_facts(results, phases),
    )


def run_facts(results: Results, phases: tuple[Phase, ...]) -> list[tuple[str, str]]:
    """What a reader needs to judge or repeat the run, as (name, value) pairs."""
    training = sum(phase.seconds for phase in phases)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in PACKAGES
    )
    return [
        ("Checkpoint", f"{results.checkpoint}, step {results.step}"),
        ("Split", results.split),
        ("Seed of the evaluation", str(results.seed)),
        ("Training time", duration(training)),
        ("Evaluation time", duration(results.seconds)),
        ("Report made with", f"Python {platform.python_version()}, {versions}"),
    ]


def duration(seconds: float) -> str:
    """185.2 -> "3 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
