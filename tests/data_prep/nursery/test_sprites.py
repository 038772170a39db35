"""A folder of pictures becomes categories with captions."""

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.runtime.errors import UserError
from data_prep.nursery import sprites
from data_prep.nursery.catalogue import SPLITS
from data_prep.nursery.settings import sprite_files


def _picture(path, mode="RGBA", side=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    image.paste((200, 30, 30, 255), (10, 20, 50, 40))
    image.convert(mode).save(path)


def _pictures(folder, number):
    for index in range(number):
        _picture(folder / f"thing_{index}.png")


@pytest.fixture
def folder(tmp_path):
    _pictures(tmp_path / "animals/birds", 8)
    _pictures(tmp_path / "animals/birds/cartoon", 9)  # a style: counts as birds
    _pictures(tmp_path / "animals/fish", 8)
    _pictures(tmp_path / "animals/dogs", 3)  # too few: an animal
    _pictures(tmp_path / "animals/cats", 6)  # too few: an animal
    _pictures(tmp_path / "food", 10)
    _pictures(tmp_path / "town", 7)  # too few
    _pictures(tmp_path / "symbols/letters", 20)
    _picture(tmp_path / "food/opaque.png", mode="RGB")
    _picture(tmp_path / "food/tiny.png", side=20)
    (tmp_path / "food/broken.png").write_bytes(b"not a picture")
    (tmp_path / "food/thing_0.txt").write_text("An apricot.\nuk.utf8=...", "utf-8")
    return tmp_path


def test_categories(folder, capsys):
    world = sprites.find_sprites(str(folder), 0, None)
    counts = {name: len(found) for name, found in world.pictures.items()}
    # "animal" comes last: other categories lie inside its folder.
    assert list(counts.items()) == [
        ("bird", 17),
        ("food", 10),
        ("fish", 8),
        ("animal", 9),
    ]
    said = capsys.readouterr().out
    assert "44 pictures in 4 categories" in said
    assert "left out 30 pictures" in said
    assert "20 in folders of symbols or seasons" in said
    assert "1 not readable as PNG or WebP" in said
    assert "1 smaller than 40 pixels" in said
    assert "1 without transparency" in said
    assert "7 in other or too small folders" in said


def test_too_few_categories(folder):
    with pytest.raises(UserError, match=r"make 4 categories .* 12 are needed"):
        sprites.find_sprites(str(folder), 0, 12)


def test_pictures_outside_folders_are_told(tmp_path):
    _pictures(tmp_path, 40)
    with pytest.raises(UserError, match="40 pictures lie in the top folder: put them"):
        sprites.find_sprites(str(tmp_path), 0, 4)


def test_webp_is_read_like_png(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("webp")
    for path in folder.rglob("thing_*.png"):
        place = other / path.relative_to(folder).with_suffix(".webp")
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.save(place, lossless=True)
    found = [sprites.find_sprites(str(root), 0, 4) for root in (folder, other)]
    counts = [{k: len(v) for k, v in one.pictures.items()} for one in found]
    assert counts[0] == counts[1]
    thing = found[1].sample("bird", "test", np.random.default_rng(0))
    assert found[1].picture(thing).size == (40, 20)
    assert len(sprite_files(str(other))) == len(list(other.rglob("*.webp")))


def test_splits(folder):
    world = sprites.find_sprites(str(folder), 0, 4)
    files = {s: {p.file for p in world.split_pictures("bird", s)} for s in SPLITS}
    assert {s: len(found) for s, found in files.items()} == {
        "train": 12,
        "val": 2,
        "test": 3,
    }
    assert len(set.union(*files.values())) == 17
    thing = world.sample("bird", "test", np.random.default_rng(0))
    assert thing.picture in files["test"]
    assert thing.colour is None and thing.caption == "a thing"
    assert world.picture(thing).size == (40, 20)


@pytest.mark.parametrize(
    ("note", "stem", "caption"),
    [
        ("An apricot.", "x", "an apricot"),
        ("Tux, the Linux mascot", "x", "a tux the linux mascot"),
        ("The planet Mercury", "x", "the planet mercury"),
        ("A knight\u2019s helmet", "x", "a knight's helmet"),
        (None, "Apple_Red-2", "an apple red"),
        ("", "owl_cartoon", "an owl"),
        ("a b c d e f g h", "big_dog", "a big dog"),
    ],
)
def test_captions(tmp_path, note, stem, caption):
    if note is not None:
        (tmp_path / f"{stem}.txt").write_text(note, "utf-8")
    assert sprites.caption_of(tmp_path / f"{stem}.png") == caption


@pytest.mark.parametrize(
    ("folder_name", "name"),
    [
        ("birds", "bird"),
        ("dishes", "dish"),
        ("berries", "berry"),
        ("fish", "fish"),
        ("citrus", "citrus"),
        ("clothes", "garment"),
        ("Garden_Tools", "garden tool"),
    ],
)
def test_singular(folder_name, name):
    assert sprites.singular(folder_name) == name
