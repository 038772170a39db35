"""Says what a build made: `build_summary.json` for machines, a card for people."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.raw import SPLITS, Corpus
from data_prep.stages.config import BuildConfig
from data_prep.stages.pairing import DATASETS
from data_prep.stages.recording import Report

REASONS = {
    "short": "utterance shorter than min_duration_s",
    "unsure": "utterance recognised with less than min_confidence",
    "unscored": "utterance without a confidence, with keep_unscored off",
    "image_mark": "utterance with `<image>`, which stands for an image",
    "outside": "utterance begins after the video's end",
    "repeated": "second line with the same times",
    "bad_line": "transcript line without words or with unusable times",
    "undecodable_frame": "frame that cannot be decoded",
    "damaged_clip": "clip with an undecodable frame",
    "unlike_clip": "clip scored at or below video_threshold",
    "unlike_frame": "frame scored at or below image_threshold",
}
WHAT = {
    "text": "one utterance, no picture",
    "frames": "one picture, no words",
    "image_utterance": "a frame and the utterance spoken around it",
    "video_utterance": "frames spread over a clip, and its utterance",
    "interleaved": "consecutive clips, each one frame and its utterance",
}
CARD_PROBLEMS = 20  # the summary lists them all


def summarise(
    corpus: Corpus,
    config: BuildConfig,
    reports: Sequence[Report],
) -> dict[str, Any]:
    """Adds up the reports of all recordings; hours are of usable recordings."""
    usable = [report for report in reports if report.usable]
    dropped = collections.Counter()
    for report in reports:
        dropped.update(report.dropped)

    def per_split(value) -> dict[str, Any]:
        return {s: sum(value(r) for r in usable if r.split == s) for s in SPLITS}

    def hours(value) -> dict[str, float]:
        return {s: round(v / 3600, 4) for s, v in per_split(value).items()}

    return {
        "corpus": corpus.name,
        "synthetic": corpus.synthetic,
        "corpus_seed": corpus.seed,
        "config": config.content(),
        "recordings": per_split(lambda report: 1),
        "video_hours": hours(lambda report: report.video_s),
        "clip_hours": hours(lambda report: report.clip_s),
        "datasets": {
            name: per_split(lambda report, name=name: report.records[name])
            for name in DATASETS
        },
        "dropped": dict(dropped),
        "overlapping": sum(report.overlapping for report in usable),
        "unscored": sum(report.unscored for report in usable),
        "unusable": [report.recording for report in reports if not report.usable],
        "problems": [problem for report in reports for problem in report.problems],
    }


def card(summary: Mapping[str, Any], corpus_hash: str) -> str:
    """The dataset card, in Markdown."""
    kind = (
        "**Synthetic**: drawn and narrated by a program (`data_prep.nursery`, seed "
        f"{summary['corpus_seed']}); no child and no home was filmed."
        if summary["synthetic"]
        else "Made from recordings as the corpus provides them; its terms of use apply."
    )
    counts = [(name, summary["datasets"][name], WHAT[name]) for name in DATASETS]
    hours = [
        ("recordings", summary["recordings"], "usable videos"),
        ("hours of video", summary["video_hours"], ""),
        ("hours in clips", summary["clip_hours"], "padded utterances, overlaps twice"),
    ]
    lines = [
        f"# Pretraining shards from the corpus `{summary['corpus']}`",
        "",
        kind,
        "",
        "Made by `python -m data_prep.build`. Splits go by recording: no recording is",
        "in two splits.",
        "",
        *_table("dataset", counts),
        "",
        *_table("footage", hours),
        "",
        "## Left out",
        "",
        *(
            f"- {number} x {reason}: {REASONS[reason]}"
            for reason, number in sorted(summary["dropped"].items())
        ),
        f"- {len(summary['unusable'])} x recording: video or transcript unusable",
        "",
        f"{summary['overlapping']} overlapping utterances were kept, and "
        f"{summary['unscored']} without a confidence.",
        "",
        *_problems(summary["problems"]),
        "## Settings",
        "",
        *(f"- `{name}` = {value}" for name, value in sorted(summary["config"].items())),
        f"- corpus fingerprint {corpus_hash}",
        "",
    ]
    return "\n".join(lines)


def _table(title: str, rows) -> list[str]:
    return [
        f"| {title} | {' | '.join(SPLITS)} | |",
        f"|---|{'---:|' * len(SPLITS)}---|",
        *(
            f"| {name} | {' | '.join(str(values[s]) for s in SPLITS)} | {note} |"
            for name, values, note in rows
        ),
    ]


def _problems(problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    more = len(problems) - CARD_PROBLEMS
    return [
        "## Faults found",
        "",
        *(f"- {problem}" for problem in problems[:CARD_PROBLEMS]),
        *([f"- and {more} more in build_summary.json"] if more > 0 else []),
        "",
    ]
