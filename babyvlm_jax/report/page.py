"""Fills the HTML page: one file, no scripts, nothing loaded from elsewhere."""

import itertools
import os
import pathlib
from importlib import resources

import jinja2
from tqdm import tqdm

from babyvlm_jax.report import facts, plots, tables
from babyvlm_jax.report.collect import (
    Phase,
    Results,
    read_phases,
    read_predictions,
)
from babyvlm_jax.report.items import Item, Picture, load_items


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


def render(
    name: str, results: Results, phases: tuple[Phase, ...], items: dict[str, list[Item]]
) -> str:
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
        "duration": facts.duration,
        "by_kind": by_kind,
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
        facts=facts.run_facts(results, phases),
        settings=facts.phase_settings(phases),
    )


def by_kind(parts: tuple[str | Picture, ...]) -> list[tuple[bool, list]]:
    """("a", "b", picture) -> [(True, ["a", "b"]), (False, [picture])]."""
    grouped = itertools.groupby(parts, lambda part: isinstance(part, str))
    return [(is_text, list(run)) for is_text, run in grouped]
