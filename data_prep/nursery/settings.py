"""What a corpus is made of, its fingerprint and the plan of its recordings.

Imports little: a finished corpus must be recognised at once.
"""

import dataclasses
import datetime
import hashlib
import json
import random
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs

FPS = 5  # every frame is annotated
MAX_ASPECT = 16 / 9 + 0.01  # the room around the grid is no larger
FORMAT = 1  # raised when the same settings give another corpus
# size -> (recordings, seconds of each, categories of the drawn world); demo: 80 min
SIZES = {
    "demo": (160, 30.0, 12),
    "small": (240, 60.0, None),
    "full": (1440, 60.0, None),
}
SPRITE_CATEGORIES = 12
_SHARES = {"train": 0.68, "val": 0.11, "test": 0.21}
_CHILDREN = "SAY"
_FIRST_MONTH, _LAST_MONTH = 6, 32  # ages of the SAYCam children


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that determines a corpus.

    Attributes:
        seed: of everything.
        num_recordings: how many.
        seconds: length of each.
        resolution: (width, height) in pixels.
        num_categories: None for all.
        sprites: folder of pictures, None for drawings.
        sprites_digest: of the names and contents of the pictures.
    """

    seed: int
    num_recordings: int
    seconds: float
    resolution: tuple[int, int]
    num_categories: int | None
    sprites: str | None = None
    sprites_digest: str | None = None

    @property
    def fingerprint(self) -> str:
        """Changes whenever the corpus would."""
        facts = dataclasses.asdict(self) | {"format": FORMAT, "fps": FPS}
        del facts["sprites"]  # the pictures count, not where they lie
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[
            :16
        ]


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording of the plan; `index` counts them over all children."""

    recording: str
    child: str
    age_days: int
    split: str
    duration_s: float
    room: str
    index: int


def parse_size(size: str, categories: int | None, with_sprites: bool) -> tuple:
    """Reads `--size`.

    Args:
        size: demo, small, full, or hours such as `0.5h`.
        categories: `--categories` or None.
        with_sprites: whether the objects are pictures.

    Returns:
        (recordings, seconds of each, categories or None for all).

    Raises:
        UserError: none of these.
    """
    if size in SIZES:
        number, seconds, own = SIZES[size]
    else:
        try:
            hours = float(size.removesuffix("h"))
        except ValueError:
            hours = 0.0
        if not 0 < hours <= 1000:
            raise UserError(
                f"--size={size}: expected demo, small, full or hours such as 0.5h"
            )
        seconds = 30.0 if hours < 2 else 60.0
        number, own = max(12, round(hours * 3600 / seconds)), None
    if with_sprites:
        own = SPRITE_CATEGORIES
    return number, seconds, categories or own


def parse_resolution(text: str) -> tuple[int, int]:
    """Reads `--resolution=WIDTHxHEIGHT`.

    Raises:
        UserError: not two numbers from 32 to 1920, or too long a frame.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if not (32 <= width <= 1920 and 32 <= height <= 1920):
        raise UserError(
            f"--resolution={text}: expected WIDTHxHEIGHT, each from 32 to 1920, "
            "such as 96x96"
        )
    if max(width, height) / min(width, height) > MAX_ASPECT:
        raise UserError(
            f"--resolution={text}: the longer side is more than 16/9 of the shorter; "
            "give a squarer frame"
        )
    return width, height


def sprite_files(folder: str) -> dict[str, Path]:
    """Name -> path of the images and captions below a folder.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(
            f"--sprites={folder}: no such folder; give one of PNG or WebP files"
        )
    return {
        str(path.relative_to(root)): path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in (".png", ".webp", ".txt")
    }


def job(out: Path, settings: Settings) -> jobs.Job:
    """The job that writes a corpus; `corpus.json` is its summary."""
    identity = dataclasses.asdict(settings) | {"fingerprint": settings.fingerprint}
    del identity["sprites"]

    def foreign() -> list[str]:
        return [path.name for path in sorted(out.iterdir()) if path.name != jobs.FOLDER]

    return jobs.Job(
        out=out,
        name="nursery",
        kind="nursery",
        summary=out / "corpus.json",
        identity=identity,
        foreign=foreign,
    )


def plan(settings: Settings, rooms: dict[str, list[str]]) -> list[Recording]:
    """Lists the recordings of a corpus, in order of age.

    Args:
        settings: of the corpus.
        rooms: names of the rooms of each split.

    Returns:
        the recordings; every split gets children of all ages.
    """
    total = settings.num_recordings
    rng = random.Random(f"plan {settings.seed}")
    recordings, done, days = [], dict.fromkeys(_SHARES, 0), {}
    for index in range(total):
        # The split that lags most behind its share is next.
        split = max(_SHARES, key=lambda s: _SHARES[s] * (index + 1) - done[s])
        done[split] += 1
        child = rng.choice(_CHILDREN)
        span = (_LAST_MONTH - _FIRST_MONTH) * 30
        age = _FIRST_MONTH * 30 + round(span * index / max(1, total - 1))
        date = datetime.date(2030, 1, 1) + datetime.timedelta(days=age)
        number = days[child, age] = days.get((child, age), 0) + 1
        name = f"{child}_{date:%Y%m%d}_{age // 30:02d}{age % 30:02d}_{number:02d}"
        recordings.append(
            Recording(
                recording=name,
                child=child,
                age_days=round(age / 30 * 30.4375),
                split=split,
                duration_s=settings.seconds,
                room=rooms[split][(done[split] - 1) % len(rooms[split])],
                index=index,
            )
        )
    return recordings
