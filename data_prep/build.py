"""Raw corpus -> pretraining shards: text, frames and the three paired formats.

  python -m data_prep.build --config=configs/prep/nursery.py \\
      --config.raw=runs/demo/raw --config.out=runs/demo/shards

  # other settings, and more processes
  python -m data_prep.build --config=configs/prep/saycam.py \\
      --config.raw=/data/saycam --config.out=/data/saycam_shards \\
      --config.frames_per_clip=4 --config.num_processes=32

Reads videos/, transcripts/ and corpus.json of the raw corpus; writes one dataset a
folder, dataset_card.md and build_summary.json. Recordings, lines and frames that cannot
be used are left out and listed there. A killed build goes on where it was when the same
command is run again. Exit codes: 0 finished, 78 bad configuration or input.
"""

from typing import Any

from tqdm import tqdm

from babyvlm_jax.command import run_config_command
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.errors import UserError
from data_prep.raw import SPLITS, Corpus, Recording, read_corpus
from data_prep.stages.card import card, summarise
from data_prep.stages.config import BuildConfig, identity
from data_prep.stages.pairing import DATASETS
from data_prep.stages.recording import Report, cut_recording, prepare
from data_prep.stages.splitting import assign_splits
from data_prep.stages.store import SUMMARY, Store, write_json, write_whole
from data_prep.stages.workers import workers


def build(config: BuildConfig) -> None:
    """Makes the shards, or goes on making them; prints where they are.

    Raises:
        UserError: bad corpus, no usable recording, or another build in the folder.
    """
    corpus = read_corpus(config.raw)
    wanted = identity(config, corpus.root / "corpus.json")
    store = Store(config.out)
    if store.open(wanted):
        print(f"shards are complete: {store.out}")
        return
    splits = assign_splits(
        corpus.recordings,
        lambda recording: _has_speech(corpus, recording, config),
        config.seed,
    )
    with workers(config.num_processes) as each:
        reports = _prepare_all(each, corpus, splits, config, store)
        usable = _usable(corpus, splits, reports)
        _write_datasets(each, corpus, usable, reports, store)
    summary = summarise(corpus, config, wanted, list(reports.values()))
    write_whole(store.out / "dataset_card.md", card(summary).encode())
    write_json(store.out / SUMMARY, summary)
    store.close()
    _print_outcome(summary, store)


def _usable(corpus, splits, reports) -> dict[str, str]:
    """Recording -> split of those that gave records."""
    usable = {name: split for name, split in splits.items() if reports[name].usable}
    if not usable:
        first = next(iter(reports.values())).problems if reports else "it lists none"
        raise UserError(
            f"no recording of {corpus.root} can be used, the first because: {first}"
        )
    return usable


def _has_speech(corpus: Corpus, recording: str, config: BuildConfig) -> bool:
    """Whether a transcript has a usable line; an unreadable one has none."""
    try:
        found, _ = cut_recording(corpus, recording, float("inf"), config)
    except UserError:
        return False
    return bool(found.clips)


def _prepare_all(each, corpus, splits, config, store) -> dict[str, Report]:
    """Prepares what is not prepared yet; recording -> report, in the corpus's order."""
    reports = {r.recording: store.report(r.recording) for r in corpus.recordings}
    jobs = [
        (corpus, recording, splits[recording.recording], config, store)
        for recording in corpus.recordings
        if reports[recording.recording] is None
    ]
    bar = tqdm(
        each(_prepare_one, jobs),
        desc="recordings",
        total=len(reports),
        initial=len(reports) - len(jobs),
        unit="video",
    )
    for report in bar:
        reports[report.recording] = report
    return reports


def _prepare_one(
    corpus: Corpus, recording: Recording, split: str, config: BuildConfig, store: Store
) -> Report:
    records, report = prepare(corpus, recording, split, config)
    if report.usable:  # an unusable one is tried again when the build goes on
        store.save(records, report)
    return report


def _write_datasets(each, corpus, usable, reports, store) -> None:
    names = [name for name in DATASETS if any(reports[r].records[name] for r in usable)]
    kind = "synthetic " if corpus.synthetic else ""
    jobs = [
        (store, name, usable, f"{name} records of the {kind}corpus {corpus.name!r}")
        for name in names
    ]
    bar = tqdm(each(_write_one, jobs), desc="datasets", total=len(jobs))
    for name in bar:
        bar.set_postfix_str(name)


def _write_one(store: Store, name: str, usable: dict[str, str], description: str):
    recordings = {s: [r for r, split in usable.items() if split == s] for s in SPLITS}
    splits = {split: store.records(found, name) for split, found in recordings.items()}
    write_dataset(store.out, name, splits, description)
    return name


def _print_outcome(summary: dict[str, Any], store: Store) -> None:
    lost = len(summary["problems"])
    counts = ", ".join(
        f"{name} {sum(splits.values())}" for name, splits in summary["datasets"].items()
    )
    faults = f"; {lost} faults listed in {SUMMARY}" if lost else ""
    print(f"shards written to {store.out}: {counts}{faults}")


def main(config) -> None:
    build(BuildConfig.from_mapping(config.to_dict()))


if __name__ == "__main__":
    run_config_command(__doc__, main, workdir=False)
