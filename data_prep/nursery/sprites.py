"""The world of cut-out pictures: PNG or WebP files with transparency become things.

A picture's category is the deepest folder around it that has enough usable pictures;
folders that name a style ("cartoon") pass their pictures up, folders of symbols or
seasons are left out. Its caption is the first line of the .txt of the same stem, else
the file name. Pictures are divided over the splits within each category.
"""

import collections
import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
from PIL import Image

from babyvlm_jax.data.images import read_image
from babyvlm_jax.runtime.errors import SystemFault, UserError
from data_prep.nursery.catalogue import SIZES, Thing
from data_prep.nursery.vocabulary import with_article

MIN_PICTURES = 8  # of a category: five train, one val, two test
MIN_SIDE = 40  # pixels
_MIN_TRANSPARENT, _MIN_SOLID = 0.02, 0.05  # of the area
_MAX_SIDE = 512  # pixels kept of a picture
_MAX_CAPTION_WORDS = 6
_STYLES = {
    "cartoon",
    "cartoons",
    "photo",
    "photos",
    "mirror",
    "toys",
    "plastic",
    "misc",
    "other",
}
# Signs and seasons are no kinds of things: what they hold has little in common.
_NO_KINDS = {"symbols", "alphabets", "letters", "numbers", "flags", "fonts", "seasonal"}
_DETERMINERS = {"a", "an", "the", "some", "two", "three", "four", "five", "many", "my"}
_NOUNS = {
    "clothes": "garment",
    "music": "instrument",
    "mice": "mouse",
    "leaves": "leaf",
    "people": "person",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A usable picture: file relative to the folder, and what it is called."""

    file: str
    caption: str


def singular(folder: str) -> str:
    """Category name of a folder: birds -> bird, dishes -> dish, berries -> berry."""
    name = re.sub(r"[\W_]+", " ", folder.lower()).strip()
    if name in _NOUNS:
        return _NOUNS[name]
    if name.endswith("ies") and len(name) > 4:
        return name[:-3] + "y"
    if name.endswith(("ches", "shes", "sses", "xes")):
        return name[:-2]
    if name.endswith("s") and not name.endswith(("ss", "us", "is", "as")):
        return name[:-1]
    return name


def caption_of(path: Path) -> str:
    """What a picture is called, with an article: "an apricot"."""
    note = path.with_suffix(".txt")
    lines = note.read_text("utf-8", "replace").splitlines() if note.is_file() else []
    words = _words(lines[0]) if lines else []
    if not 0 < len(words) <= _MAX_CAPTION_WORDS:
        words = [word for word in _words(path.stem) if word not in _STYLES]
        words = [word for word in words if not word.isdigit()][:_MAX_CAPTION_WORDS]
        words = words or ["picture"]
    text = " ".join(words)
    return text if words[0] in _DETERMINERS else with_article(text)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower().replace("\u2019", "'"))


def _fault(path: Path) -> str | None:
    """Why a picture cannot be used, or None."""
    try:
        image = read_image(path, alpha=True)
    except SystemFault:
        raise
    except UserError:
        return "not readable as PNG or WebP"
    if min(image.size) < MIN_SIDE:
        return f"smaller than {MIN_SIDE} pixels"
    alpha = np.asarray(image.getchannel("A"))
    if (alpha < 128).mean() < _MIN_TRANSPARENT or (alpha > 127).mean() < _MIN_SOLID:
        return "without transparency"
    return None


def _own_pictures(files: list[Path]) -> dict[tuple[str, ...], list[Path]]:
    """Groups files by the deepest folder with enough pictures, going up from below."""
    groups: dict[tuple[str, ...], list[Path]] = collections.defaultdict(list)
    for file in files:
        groups[file.parent.parts].append(file)
    deepest = max((len(folder) for folder in groups), default=0)
    for depth in range(deepest, 0, -1):
        for folder in [f for f in groups if len(f) == depth]:
            if folder[-1].lower() in _STYLES or len(groups[folder]) < MIN_PICTURES:
                groups[folder[:-1]].extend(groups.pop(folder))
    groups.pop((), None)  # the top folder is no category
    return groups


def _rank(groups: dict) -> list[tuple[str, ...]]:
    """Folders in the order in which they are taken: clear kinds first, then many first.

    A folder around another category ("animals" around "birds") would give things that
    have two right names, so it comes after all that have none inside.
    """

    def key(folder):
        around = any(f != folder and f[: len(folder)] == folder for f in groups)
        return around, -len(groups[folder]), folder

    return sorted(groups, key=key)


@dataclasses.dataclass(frozen=True)
class SpriteWorld:
    """Categories of pictures.

    Attributes:
        root: the folder.
        seed: divides the pictures over the splits.
        pictures: of each category.
    """

    root: str
    seed: int
    pictures: dict[str, tuple[Picture, ...]]

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(self.pictures)

    @property
    def colours(self) -> tuple[str, ...]:
        return ()

    def split_pictures(self, category: str, split: str) -> list[Picture]:
        """The pictures of a category that a split may show."""
        pictures = self.pictures[category]
        rng = np.random.default_rng([self.seed, *category.encode()])
        order = [pictures[i] for i in rng.permutation(len(pictures))]
        val = max(1, round(0.12 * len(order)))
        test = val + max(2, round(0.2 * len(order)))
        return {"val": order[:val], "test": order[val:test], "train": order[test:]}[
            split
        ]

    def sample(self, category: str, split: str, rng: np.random.Generator) -> Thing:
        """Draws an instance of a category that `split` may show."""
        allowed = self.split_pictures(category, split)
        picture = allowed[rng.integers(len(allowed))]
        return Thing(
            category=category,
            size=str(rng.choice(tuple(SIZES))),
            caption=picture.caption,
            picture=picture.file,
        )

    def picture(self, thing: Thing) -> Image.Image:
        """The thing's RGBA picture, cropped to it."""
        return _load(Path(self.root, thing.picture))


@functools.lru_cache(maxsize=256)
def _load(path: Path) -> Image.Image:
    picture = read_image(path, alpha=True)
    solid = picture.getchannel("A").point([0] * 97 + [255] * 159)
    picture = picture.crop(solid.getbbox())
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return picture


def _remedy(usable: list[Path], faults: collections.Counter) -> str:
    """What a person should change where there are too few categories."""
    loose = sum(len(file.parts) == 1 for file in usable)
    if loose:
        return (
            f"; {loose} pictures lie in the top folder: put them into folders, one "
            "for each category"
        )
    left_out = ", ".join(f"{count} {fault}" for fault, count in sorted(faults.items()))
    return f"; add pictures or lower --categories (left out: {left_out or 'none'})"


def find_sprites(folder: str, seed: int, num_categories: int | None) -> SpriteWorld:
    """Looks through a folder of pictures and says what it found and left out.

    Args:
        folder: with PNG or WebP files below it, in a folder for each category.
        seed: of the corpus.
        num_categories: how many categories, None for all.

    Returns:
        the world of these pictures.

    Raises:
        UserError: too few categories have enough pictures.
    """
    root = Path(folder)
    usable, faults = [], collections.Counter()
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.suffix.lower() == ".txt":
            continue
        if path.suffix.lower() not in (".png", ".webp"):
            faults["neither PNG nor WebP"] += 1
            continue
        file = path.relative_to(root)
        no_kind = any(part.lower() in _NO_KINDS for part in file.parent.parts)
        fault = "in folders of symbols or seasons" if no_kind else _fault(path)
        if fault is None:
            usable.append(file)
        else:
            faults[fault] += 1
    groups = _own_pictures(usable)
    pictures: dict[str, tuple[Picture, ...]] = {}
    for where in _rank(groups)[:num_categories]:
        found = [
            Picture(file.as_posix(), caption_of(root / file)) for file in groups[where]
        ]
        name = singular(where[-1])
        pictures[name] = (*pictures.get(name, ()), *sorted(found, key=lambda p: p.file))
    if len(pictures) < max(4, num_categories or 0):
        raise UserError(
            f"--sprites={folder}: {len(usable)} usable pictures make {len(pictures)} "
            f"categories of at least {MIN_PICTURES}, but "
            f"{max(4, num_categories or 0)} are needed{_remedy(usable, faults)}"
        )
    taken = sum(map(len, pictures.values()))
    names = ", ".join(pictures)
    print(f"sprites: {taken} pictures in {len(pictures)} categories: {names}")
    faults["in other or too small folders"] = len(usable) - taken
    left_out = ", ".join(
        f"{number} {fault}" for fault, number in sorted(faults.items())
    )
    print(f"sprites: left out {faults.total()} pictures ({left_out})")
    return SpriteWorld(str(root), seed, pictures)
