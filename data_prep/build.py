"""Raw corpus -> pretraining shards: text, frames and the three paired formats.

  python -m data_prep.build --config=configs/prep/nursery.py \\
      --config.raw=runs/demo/raw --config.out=runs/demo/shards

  # other settings, and more processes
  python -m data_prep.build --config=configs/prep/saycam.py \\
      --config.raw=/data/saycam --config.out=/data/saycam_shards \\
      --config.frames_per_clip=4 --config.num_processes=32

Reads videos/, transcripts/ and corpus.json of the raw corpus; writes one dataset a
folder, dataset_card.md and build_summary.json. Recordings, lines and frames that cannot
be used are left out and listed there. If killed, run the same command again to resume.
After a change of a setting or of recordings it makes the shards again; unchanged
recordings are copied, not decoded. Exit codes: 0 finished, 78 bad input.
"""

import collections
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import Record, RecordSource, dataset_dir
from babyvlm_jax.data.shards import read_shard, write_shard
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.fields import from_dict
from data_prep import jobs
from data_prep.raw import SPLITS, Corpus, Recording, read_corpus
from data_prep.stages.card import card, summarise
from data_prep.stages.config import BuildConfig
from data_prep.stages.embedding import embedder_facts, is_embedder
from data_prep.stages.pairing import DATASETS
from data_prep.stages.recording import Report, cut_recording, prepare
from data_prep.stages.splitting import assign_splits
from data_prep.stages.staging import stage_dataset
from data_prep.stages.workers import workers

SUMMARY = "build_summary.json"
PARTS = "build.parts.json"  # which recordings the datasets hold
# reasons of the summary for which a line of a transcript is left out
LINE_REASONS = ("short", "unsure", "unscored", "image_mark", "outside", "bad_line")
FORMAT = 1  # of the stages; another number makes all anew


def build(config: BuildConfig) -> None:
    """Makes the shards, or goes on making them; prints where they are.

    Raises:
        UserError: bad corpus, no usable record, or something else in the folder.
    """
    corpus, out = read_corpus(config.raw), Path(config.out)
    contents = jobs.Hashes(out).of(_files(corpus))
    weights = embedder_facts(config.scorer) if is_embedder(config.scorer) else {}
    job = jobs.Job(
        out=out,
        name="build",
        kind=f"build of the corpus {corpus.name!r}",
        summary=out / SUMMARY,
        identity={
            **config.content(),
            "corpus": contents["corpus.json"][:16],
            "inputs": {**contents, "scorer": weights.get("weights", "")},
        },
        foreign=lambda: [name for name in DATASETS if dataset_dir(out, name).exists()],
    )
    with job.begun() as done:
        if done is not None:
            print(f"shards are complete: {out}")
            return
        summary = _build(config, corpus, job)
    _print_outcome(summary, out)


def _files(corpus: Corpus) -> dict[str, Path]:
    """All that is read, by its name below the corpus."""
    paths = [corpus.root / "corpus.json"]
    for recording in corpus.recordings:
        paths.append(corpus.video(recording.recording))
        paths.append(corpus.transcript(recording.recording))
    return {str(path.relative_to(corpus.root)): path for path in paths}


def _build(config: BuildConfig, corpus: Corpus, job: jobs.Job) -> dict[str, Any]:
    splits = assign_splits(
        corpus.recordings,
        lambda recording: _has_speech(corpus, recording, config),
        config.seed,
    )
    stages = _stages(corpus, splits, config, job)
    kept = _kept(job)
    with workers(config.num_processes) as each:
        reports = _prepare_all(each, corpus, splits, config, job, stages, kept)
        summary = summarise(corpus, config, list(reports.values()))
        _expect_usable(summary)
        datasets = _write_datasets(each, corpus, reports, job, stages)
    job.replace()
    for name in DATASETS:
        if name in datasets:
            job.publish(datasets[name], Path(dataset_dir(job.out, name)))
        else:
            job.withdraw(Path(dataset_dir(job.out, name)))
    text = card(summary, job.identity["corpus"])
    jobs.write_whole(job.out / "dataset_card.md", text.encode())
    parts = {
        jobs.digest(stages[name]): dataclasses.asdict(r) for name, r in reports.items()
    }
    jobs.write_json(job.out / jobs.FOLDER / PARTS, parts)
    return job.finish(summary)


def _kept(job: jobs.Job) -> dict[str, dict[str, Any]]:
    """Digest of a stage -> report of the recordings that the datasets there hold."""
    path = job.out / jobs.FOLDER / PARTS
    return jobs.read_json(path) if job.summary.exists() and path.exists() else {}


def _expect_usable(summary: Mapping[str, Any]) -> None:
    """Raises UserError if there is nothing to learn from, or nothing said of much."""
    records = {name: sum(n.values()) for name, n in summary["datasets"].items()}
    problems = summary["problems"]
    first = f"; the first of {len(problems)} faults: {problems[0]}" if problems else ""
    if not any(records.values()):
        raise UserError(f"no recording can be used to make a record{first}")
    lost = {r: n for r, n in summary["dropped"].items() if r in LINE_REASONS}
    if not records["text"] and lost:
        told = ", ".join(f"{reason} {number}" for reason, number in lost.items())
        raise UserError(
            f"all {sum(lost.values()):,} lines of the transcripts are left out ({told})"
            f"; mend them or change --config.min_confidence, --config.min_duration_s"
            f"{first}"
        )


def _has_speech(corpus: Corpus, recording: str, config: BuildConfig) -> bool:
    """Whether a transcript has a usable line; an unreadable one has none."""
    try:
        found, _ = cut_recording(corpus, recording, float("inf"), config)
    except SystemFault:
        raise
    except UserError:
        return False
    return bool(found.clips)


def _stages(corpus, splits, config, job) -> dict[str, dict[str, Any]]:
    """Recording -> all that its records depend on."""
    inputs = job.identity["inputs"]
    return {
        one.recording: {
            "recording": dataclasses.asdict(one),
            "split": splits[one.recording],
            "config": config.content(),
            "scorer": inputs["scorer"],
            "video": inputs[f"videos/{one.recording}.mp4"],
            "transcript": inputs[f"transcripts/{one.recording}.json"],
            "format": FORMAT,
        }
        for one in corpus.recordings
    }


def _prepare_all(each, corpus, splits, config, job, stages, kept) -> dict[str, Report]:
    """Prepares what is not prepared yet; recording -> report, in the corpus's order."""
    reports = {
        name: jobs.stage_report(job.scratch, stage) or kept.get(jobs.digest(stage))
        for name, stage in stages.items()
    }
    todo = [
        (job.scratch, stages[one.recording], corpus, one, splits[one.recording], config)
        for one in corpus.recordings
        if reports[one.recording] is None
    ]
    bar = tqdm(
        each(_prepare_one, todo),
        desc="recordings",
        total=len(reports),
        initial=len(reports) - len(todo),
        unit="video",
    )
    reports.update((report["recording"], report) for report in bar)
    return {name: Report(**report) for name, report in reports.items()}


def _prepare_one(
    scratch: Path,
    stage: Mapping[str, Any],
    corpus: Corpus,
    recording: Recording,
    split: str,
    config: BuildConfig,
) -> dict[str, Any]:
    def make(folder: Path) -> dict[str, Any]:
        records, report = prepare(corpus, recording, split, config)
        for name, found in records.items():
            write_shard(_shard(folder, name), found)
        return dataclasses.asdict(report)

    return jobs.make_stage(scratch, stage, make)


def _shard(folder: Path, dataset: str) -> Path:
    return folder / f"{dataset}.array_record"


def _write_datasets(each, corpus, reports, job, stages) -> dict[str, Path]:
    """Dataset -> the folder of the stage that holds it."""
    parts = collections.defaultdict(lambda: {split: [] for split in SPLITS})
    for recording, report in reports.items():
        for name, number in report.records.items():
            if number:
                part = jobs.digest(stages[recording]), recording
                parts[name][report.split].append(part)
    kind = "synthetic " if corpus.synthetic else ""
    todo = [
        (job.out, job.scratch, name, parts[name], f"{kind}corpus {corpus.name!r}")
        for name in DATASETS
        if name in parts
    ]
    bar = tqdm(each(_write_one, todo), desc="datasets", total=len(todo), unit="dataset")
    return dict(bar)


def _write_one(
    out: Path,
    scratch: Path,
    name: str,
    parts: Mapping[str, list[tuple[str, str]]],
    corpus: str,
) -> tuple[str, Path]:
    description = f"{name} records of the {corpus}"
    stage = {"dataset": name, "parts": parts, "description": description}

    def records(split: str):
        there = None
        for digest, recording in parts[split]:
            path = _shard(scratch / digest, name)
            if path.exists():
                yield from read_shard(path)
            else:  # unchanged since the build that is there
                there = there or Recorded(out, name, split)
                yield from there.of(recording)

    def make(folder: Path) -> dict[str, Any]:
        splits = {split: records(split) for split in SPLITS}
        stage_dataset(folder, name, splits, description)
        return {}

    jobs.make_stage(scratch, stage, make)
    return name, jobs.stage_folder(scratch, stage)


class Recorded:
    """The records of a split by recording."""

    def __init__(self, out: Path, name: str, split: str):
        self._source = RecordSource(out, name, split)
        self._numbers = collections.defaultdict(list)
        for number, record in enumerate(self._source):
            self._numbers[record.meta["recording"]].append(number)

    def of(self, recording: str) -> Iterator[Record]:
        return (self._source[number] for number in self._numbers[recording])


def _print_outcome(summary: dict[str, Any], out: Path) -> None:
    lost = len(summary["problems"])
    counts = ", ".join(
        f"{name} {sum(splits.values())}" for name, splits in summary["datasets"].items()
    )
    faults = f"; {lost} faults listed in {SUMMARY}" if lost else ""
    print(f"shards written to {out}: {counts}{faults}")


def main(config) -> None:
    build(from_dict(BuildConfig, config.to_dict()))


if __name__ == "__main__":
    run_config_command(__doc__, main, BuildConfig, workdir=False)
