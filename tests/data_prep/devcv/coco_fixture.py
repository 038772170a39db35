"""The little world as files: PNG frames and one COCO file, in all three splits."""

import json
from pathlib import Path

from PIL import Image

from data_prep.devcv.source import split_of
from tests.data_prep.devcv.world import NOUNS, SIDE, draw, scenes

SEED = 0


def recording_in(split: str, name: str) -> str:
    """`name` with the first suffix that the hash sends to `split`."""
    tries = (f"{name}x{k}" for k in range(1000))
    return next(tried for tried in tries if split_of(tried, SEED) == split)


def write_world(root: Path, splits=("train", "val", "test")) -> tuple[Path, Path]:
    """Writes the frames of some splits; returns the COCO file and the folder."""
    folder = root / "frames"
    folder.mkdir(parents=True)
    images, annotations = [], []
    for split in splits:
        for name, index, things in scenes(split):
            file_name = f"{recording_in(split, name)}_{index:06d}.png"
            Image.fromarray(draw(things)).save(folder / file_name, compress_level=1)
            images.append(
                {
                    "id": len(images),
                    "file_name": file_name,
                    "width": SIDE,
                    "height": SIDE,
                }
            )
            annotations += [
                {
                    "id": len(annotations) + k,
                    "image_id": len(images) - 1,
                    "category_id": NOUNS.index(thing.category),
                    "bbox": list(thing.bbox),
                    "instance_id": thing.instance,
                    "colour": thing.colour,
                    "visible": thing.area / 256 if "_pan" in name else 1.0,
                }
                for k, thing in enumerate(things)
            ]
    categories = [{"id": k, "name": noun} for k, noun in enumerate(NOUNS)]
    path = root / "coco.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return path, folder
