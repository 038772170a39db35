"""The DevCV section of the dataset card."""

from collections.abc import Mapping
from typing import Any

from data_prep.devcv import prompts

TITLES = {
    "lwl": "Looking While Listening (held out)",
    "picture_vocabulary": "Picture Vocabulary",
    "picture_vocabulary_three": "Picture Vocabulary, three pictures (training only)",
    "localize": "Localization",
    "leftright": "Left/Right",
    "leftright_things": "Left/Right, three things (training only)",
    "spatialdetails": "Spatial Details",
    "vdr_binary": "Visual Delayed Response, two sides",
    "vdr_open": "Visual Delayed Response, eight directions",
    "memory": "Delayed Memory",
    "memory_short": "Delayed Memory, short dialogues (training only)",
    "compare_synthetic": "Who Has More, synthetic",
    "compare_real": "Who Has More, naturalistic",
    "subitize": "Subitizing (held out)",
    "count": "Object Counting",
}


def description(task: str, synthetic: bool) -> str:
    """One sentence for the dataset's own metadata."""
    origin = "a procedural (synthetic) world" if synthetic else "real frames"
    return (
        f"DevCV {TITLES[task]}: items built by data_prep.devcv from annotated frames "
        f"of {origin}, after BabyVLM-V2."
    )


def card(summary: Mapping[str, Any]) -> str:
    """Markdown: where the items come from, how they look, how many there are."""
    settings = summary["settings"]
    style = settings["style"]
    origin = (
        "**synthetic**: the pictures are drawn by a procedural world"
        if settings["synthetic"]
        else "real"
    )
    as_published = [
        name
        for name in (
            "leaky_size",
            "original_leftright",
            "identical_repeats",
            "original_spatialdetails",
        )
        if style[name]
    ]
    lines = [
        "## DevCV",
        "",
        f"Benchmark and instruction items after BabyVLM-V2's DevCV Toolbox; {origin}.",
        f"Built from {settings['source']}, seed {settings['seed']}, wording "
        f"`{style['prompts']}`, longest picture side "
        f"{style['image_side'] or 'as the frames'}.",
        f"Published constructions kept: {', '.join(as_published) or 'none'}; the others"
        " are corrected, so that object size, odd-one-out, equal pixels, amount of",
        "ink, clutter, occupied quadrants or colour alone do not tell the answer.",
        *_words(style.get("vocabulary")),
        *_mirrored(style),
        *_known(summary["tasks"]),
        "Items of val and test show recordings and object instances that no item of"
        " train shows.",
        "",
        "| task | train | val | test |",
        "|---|---|---|---|",
    ]
    for task, title in TITLES.items():
        if task in summary["tasks"]:
            made, wanted = summary["tasks"][task], settings["wanted"][task]
            cells = [_cell(made[s], wanted[s]) for s in ("train", "val", "test")]
            lines.append(f"| {title} (`devcv_{task}`) | {' | '.join(cells)} |")
    lines += ["", "Prompts, with `ball` for the noun:", ""]
    for task in TITLES:
        if task in summary["tasks"]:
            for asked in prompts.examples(task, style["prompts"]):
                lines.append(f"- {task}: `{asked}`".replace("\n", "\\n"))
    lines += [
        "",
        f"Left out while reading: {summary['num_skipped']} boxes, frames or recordings "
        "(listed in `devcv_summary.json`).",
        "",
    ]
    return "\n".join(lines)


def _words(vocabulary: Mapping[str, Any] | None) -> list[str]:
    if vocabulary is None:
        return []
    return [
        f"Picture Vocabulary asks for nouns of a list of {vocabulary['words']:,} words;"
        " those beside them are drawn by similarity of meaning and sound.",
    ]


def _mirrored(style) -> list[str]:
    if not style["mirror"]:
        return []
    return [
        "Half of the train clips of Visual Delayed Response are mirror images: a scene"
        " known by heart does not tell the side."
    ]


def _known(tasks) -> list[str]:
    """What the audit notes of tasks that are defined so (docs/devcv.md)."""
    found = {
        "leftright": "in Left/Right the right option is the query",
        "memory": "in Delayed Memory what is not new was shown before",
    }
    told = [found[task] for task in found if task in tasks]
    if not told:
        return []
    return [
        "Known, as the tasks are so defined, and enough for a matcher of pixels: "
        f"{'; '.join(told)}."
    ]


def _cell(made: int, wanted: int) -> str:
    return f"{made:,}" if made == wanted else f"{made:,} of {wanted:,} wanted"
