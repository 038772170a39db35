import collections
import io

import numpy as np
from PIL import Image

from babyvlm_jax.data.schema import Record
from data_prep.nursery.shapes import COLOURS
from data_prep.v1bench import generate
from data_prep.v1bench.generate import Form
from tests.data_prep.v1bench.world import NOUNS, jpeg

FORM = Form(side=48)


def middle(image):
    with Image.open(io.BytesIO(image)) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    assert max(pixels.shape) <= 48
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)


def colour_of(image):
    apart = {n: np.abs(middle(image) - rgb).sum() for n, rgb in COLOURS.items()}
    return min(apart, key=apart.get)


def test_labeled_s(bank, rng):
    made = list(generate.labeled_s(bank, rng, 20, FORM))
    words = collections.Counter(item.meta["word"] for item in made)
    assert words == dict.fromkeys(NOUNS, 5)
    for item in made:
        assert sorted(item.meta["options"]) == sorted(NOUNS)
        right = "ABCD".index(item.turns[1][1])
        assert item.meta["options"][right] == item.meta["word"]
        assert item.meta["recordings"]


def test_two_word(bank, rng):
    made = list(generate.two_word(bank, rng, 70, FORM))
    assert len(made) == 70
    lines = collections.Counter(item.meta["difference"] for item in made)
    assert lines == {
        "first (adjective)": 10,
        "second (noun)": 20,
        "both (adjective, noun)": 10,
        "first (number)": 10,
        "first (noun)": 10,
        "second (place)": 10,
    }
    for item in made:
        if item.meta["kind"] == "colour":
            assert colour_of(item.images[0]) == item.meta["positive"].split()[0]


def test_winoground_changes_what_the_phrase_says(bank, rng):
    made = list(generate.winoground(bank, rng, 40, FORM))
    assert len(made) == 40
    for item in made:
        before, after = item.images[:2]
        assert before != after
        if item.meta["kind"] == "colour":
            assert colour_of(before) == item.meta["positive"].split()[0]
            assert colour_of(after) == item.meta["negative"].split()[0]
    kinds = {item.meta["difference"] for item in made}
    assert kinds == {
        "first (adjective)",
        "second (noun)",
        "both (adjective, noun)",
        "second (place)",
    }


def test_the_dice_alone_decide(bank):
    def ids(seed):
        rng = np.random.default_rng(seed)
        return [(i.id, i.images) for i in generate.winoground(bank, rng, 8, FORM)]

    assert ids(1) == ids(1) != ids(2)


def test_captions_are_distinct_and_of_some_length(rng):
    said = ["look", "a ball", "a ball", "the cup is red", "w " * 26]
    source = [
        Record(
            id=f"p{k}",
            source="image_utterance",
            images=(jpeg(k),),
            turns=(("human", "<image>"), ("assistant", text)),
            meta={"recording": f"r{k}"},
        )
        for k, text in enumerate(said)
    ]
    made = list(generate.captions(source, rng, 10))
    assert sorted(item.turns[1][1] for item in made) == ["a ball", "the cup is red"]
    assert [item.id for item in made] == ["caption_000000", "caption_000001"]
    for item in made:
        assert item.meta["recordings"] == [f"r{item.meta['from'][1:]}"]
    assert len(list(generate.captions(source, rng, 1))) == 1
