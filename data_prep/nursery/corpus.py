"""Writes a whole corpus with several processes; what is finished is kept."""

import dataclasses
import functools
import os
from pathlib import Path

from tqdm import tqdm

from data_prep import jobs
from data_prep.nursery import rooms, write
from data_prep.nursery.catalogue import SIZES, DrawnWorld
from data_prep.nursery.settings import FPS, Recording, Settings, plan
from data_prep.nursery.shapes import DRAWINGS
from data_prep.nursery.sprites import find_sprites
from data_prep.stages.workers import workers

_NOTE = """# SYNTHETIC

This corpus is synthetic. A program (`python -m data_prep.nursery`) drew every picture
and wrote every word; no child, home or caregiver was recorded. Figures measured on it
say nothing about real children's experience.

- `corpus.json`: the recordings with child, age, split, room; the facts of the world
- `videos/`: what the head camera sees; `transcripts/`: what the caregiver says, with
  times and confidences; `annotations/`: COCO boxes of every frame, and for each box the
  instance, its colour and size, and which share of it is `visible` in the frame
"""


@functools.lru_cache(maxsize=1)  # a process makes many recordings
def make_world(settings: Settings):
    """The things of a corpus: drawings, or pictures from a folder."""
    if settings.sprites is not None:
        return find_sprites(settings.sprites, settings.seed, settings.num_categories)
    return DrawnWorld(settings.seed, settings.num_categories or len(DRAWINGS))


def _stage(settings: Settings, recording: Recording) -> dict:
    return {"corpus": settings.fingerprint, **dataclasses.asdict(recording)}


def _write_one(scratch: Path, settings: Settings, recording: Recording) -> None:
    def make(folder: Path) -> dict:
        for path in write.paths(folder, recording.recording).values():
            path.parent.mkdir()
        world = make_world(settings)
        write.write_recording(folder, settings, world, recording)
        return {}

    jobs.make_stage(scratch, _stage(settings, recording), make)


def write_corpus(job: jobs.Job, settings: Settings, num_workers: int) -> None:
    """Writes a corpus; `corpus.json` comes last and says that it is whole.

    Args:
        job: of `settings.job`, begun; recordings that are finished in it are kept.
        settings: what to write.
        num_workers: processes; the corpus does not depend on it.
    """
    out = job.out
    world = make_world(settings)
    by_split: dict[str, list[str]] = {}
    for room in rooms.ROOMS:
        by_split.setdefault(room.split, []).append(room.name)
    recordings = plan(settings, by_split)
    stages = {r: _stage(settings, r) for r in recordings}
    todo = [
        (job.scratch, settings, recording)
        for recording, stage in stages.items()
        if jobs.stage_report(job.scratch, stage) is None
    ]
    if len(todo) < len(recordings):
        print(f"{len(recordings) - len(todo)} recordings are finished already")
    with workers(min(num_workers, max(len(todo), 1))) as each:
        done = each(_write_one, todo)
        for _ in tqdm(done, "nursery", len(todo), unit="recording", smoothing=0.05):
            pass
    job.replace()
    places = {kind: {} for kind in write.FOLDERS}
    for recording, stage in stages.items():
        made = write.paths(jobs.stage_folder(job.scratch, stage), recording.recording)
        for kind, path in write.paths(out, recording.recording).items():
            places[kind][path] = made[kind]
    for kind, folder in write.FOLDERS.items():
        (out / folder).mkdir(exist_ok=True)
        for path in (out / folder).iterdir():
            if path.is_file() and path not in places[kind]:
                path.unlink()  # of a corpus with other settings
        for path, made in places[kind].items():
            if made.exists():  # or it was moved before the job was killed
                os.replace(made, path)
    (out / "SYNTHETIC.md").write_text(_NOTE, encoding="utf-8")
    entries = [dataclasses.asdict(recording) for recording in recordings]
    for entry in entries:
        del entry["index"]
    job.finish(
        {
            "name": "nursery",
            "synthetic": True,
            "seed": settings.seed,
            "fps": FPS,
            "resolution": list(settings.resolution),
            "fingerprint": settings.fingerprint,
            "recordings": entries,
            "world": {
                "categories": list(world.categories),
                "colours": list(world.colours),
                "sizes": list(SIZES),
                "rooms": [room.name for room in rooms.ROOMS],
            },
        },
    )
