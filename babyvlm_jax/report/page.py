"""Fills the HTML page: one file, no scripts, nothing loaded from elsewhere."""

import itertools
import os
import pathlib
from importlib import resources

import jinja2
from tqdm import tqdm

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.items import parse_sources
from babyvlm_jax.report import facts, plots
from babyvlm_jax.report.collect import (
    Growth,
    Phase,
    Results,
    read_growth,
    read_phases,
    read_predictions,
)
from babyvlm_jax.report.items import Item, Picture, load_items
from babyvlm_jax.report.published import Published, read_published


def write_page(
    workdir: pathlib.Path,
    results: Results,
    shards: pathlib.Path,
    out: pathlib.Path,
    published: bool = False,
    with_images: bool = False,
) -> None:
    """Writes the report of one run; `out` appears whole or not at all.

    Args:
        workdir: the run folder.
        results: an evaluation of it.
        shards: folder of the datasets that were evaluated, if they are of one source.
        out: the HTML file.
        published: draw published numbers beside ours.
        with_images: show pictures of recordings too.

    Raises:
        UserError: predictions, curves or test items cannot be read.
    """
    predictions = read_predictions(results)
    folders = parse_sources(results.shards) | {"": shards}
    items = {
        task.name: load_items(
            folders[task.source], results.split, predictions[task.name], with_images
        )
        for task in tqdm(results.tasks, desc="test items", unit="task")
    }
    html = render(
        workdir.resolve().name,
        results,
        read_phases(workdir),
        items,
        read_growth(workdir, results.suffix),
        read_published(task.plain_name for task in results.tasks)
        if published
        else None,
    )
    part = out.with_name(out.name + ".part")
    part.write_text(html, encoding="utf-8")
    os.replace(part, out)


def render(
    name: str,
    results: Results,
    phases: tuple[Phase, ...],
    items: dict[str, list[Item]],
    growth: tuple[Growth, ...] = (),
    published: Published | None = None,
) -> str:
    """Returns the page as one string.

    Args:
        name: what the run is called, the name of its folder.
        results: scores of every task.
        phases: training curves, in training order.
        items: task name -> test items to show.
        growth: scores over the checkpoints of the run.
        published: numbers to draw beside ours.
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
        "interval": plots.interval,
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
        growth=growth,
        published=published,
        rows=tables.make_rows(results.content),
        disagreements=tables.disagreements(results.content["tasks"]),
        plots=plots,
        facts=facts.run_facts(results, phases),
        settings=facts.phase_settings(phases),
    )


def by_kind(parts: tuple[str | Picture, ...]) -> list[tuple[bool, list]]:
    """("a", "b", picture) -> [(True, ["a", "b"]), (False, [picture])]."""
    grouped = itertools.groupby(parts, lambda part: isinstance(part, str))
    return [(is_text, list(run)) for is_text, run in grouped]
