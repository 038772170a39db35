"""Writes a whole corpus with several processes; what is finished is kept."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import threading
from pathlib import Path

from tqdm import tqdm

from data_prep.nursery import rooms, write
from data_prep.nursery.catalogue import SIZES, DrawnWorld
from data_prep.nursery.settings import FPS, Settings, plan
from data_prep.nursery.shapes import DRAWINGS
from data_prep.nursery.sprites import find_sprites

_NOTE = """# SYNTHETIC

This corpus is synthetic. A program (`python -m data_prep.nursery`) drew every picture
and wrote every word; no child, home or caregiver was recorded. Figures measured on it
say nothing about real children's experience.

- `corpus.json`: the recordings with child, age, split, room; the facts of the world
- `videos/`: what the head camera sees; `transcripts/`: what the caregiver says, with
  times and confidences; `annotations/`: COCO boxes of every frame, and for each box the
  instance, its colour and size, and which share of it is `visible` in the frame
"""


def make_world(settings: Settings):
    """The things of a corpus: drawings, or pictures from a folder."""
    if settings.sprites is not None:
        return find_sprites(settings.sprites, settings.seed, settings.num_categories)
    return DrawnWorld(settings.seed, settings.num_categories or len(DRAWINGS))


def _watch_parent() -> None:
    """Ends this worker when the command that started it is gone, however it ended."""
    multiprocessing.parent_process().join()
    os._exit(1)


_worker: dict = {}


def _start_worker(out: Path, settings: Settings, world) -> None:
    threading.Thread(target=_watch_parent, daemon=True).start()
    _worker.update(out=out, settings=settings, world=world)


def _work(recording) -> None:
    write.write_recording(
        _worker["out"], _worker["settings"], _worker["world"], recording
    )


def _write_all(out: Path, settings: Settings, world, recordings, workers: int) -> None:
    """Writes recordings, with a progress bar."""
    bar = tqdm(total=len(recordings), desc="nursery", unit="recording", smoothing=0.05)
    with bar:
        if workers == 1 or len(recordings) <= 1:
            for recording in recordings:
                write.write_recording(out, settings, world, recording)
                bar.update()
            return
        with concurrent.futures.ProcessPoolExecutor(
            max_workers=workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(out, settings, world),
        ) as pool:
            jobs = [pool.submit(_work, recording) for recording in recordings]
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def write_corpus(out: Path, settings: Settings, workers: int) -> None:
    """Writes a corpus; `corpus.json` comes last and says that it is whole.

    Args:
        out: folder of the corpus; recordings that are finished in it are kept.
        settings: what to write.
        workers: number of processes; the corpus does not depend on it.
    """
    for folder in ("videos", "transcripts", "annotations"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for leftover in (out / folder).glob(f"*{write.TEMPORARY}"):
            leftover.unlink()
    world = make_world(settings)
    by_split: dict[str, list[str]] = {}
    for room in rooms.ROOMS:
        by_split.setdefault(room.split, []).append(room.name)
    recordings = plan(settings, by_split)
    todo = [r for r in recordings if not write.is_finished(out, r.recording)]
    if len(todo) < len(recordings):
        print(f"{len(recordings) - len(todo)} recordings are finished already")
    _write_all(out, settings, world, todo, workers)
    (out / "SYNTHETIC.md").write_text(_NOTE, encoding="utf-8")
    entries = [dataclasses.asdict(recording) for recording in recordings]
    for entry in entries:
        del entry["index"]
    write.write_json(
        out / "corpus.json",
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
