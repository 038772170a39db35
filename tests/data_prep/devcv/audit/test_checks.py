"""Every fault that is planted is found, and a clean set has none."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from data_prep.devcv.audit import CHECKS, blind, checks
from data_prep.devcv.audit.checks import FAULT, NOTE
from tests.chosen import some
from tests.data_prep.devcv.audit import planted
from tests.data_prep.devcv.audit.planted import (
    blocks,
    clean,
    encode,
    fresh,
    picture,
    prompt_of,
    record,
    splits,
)


def _verdicts(task, **records):
    """Check -> (verdict, what it says)."""
    facts = splits(task, **records)
    found = [check(task, facts) for check in CHECKS]
    json.dumps([finding.values for finding in found])  # as the report needs them
    return {finding.check: (finding.verdict, finding.says) for finding in found}


def _faults(task, **records):
    found = _verdicts(task, **records)
    return {check for check, (verdict, _) in found.items() if verdict == FAULT}


@functools.cache
def _clean_verdicts(task):
    trains = (
        {"train": clean(task, 30, start=1)} if task not in ("lwl", "subitize") else {}
    )
    return _verdicts(task, test=clean(task), **trains)


@pytest.mark.parametrize("task", some(planted.TASKS, ("leftright",)))
def test_a_clean_set_has_no_fault(task):
    found = _clean_verdicts(task)
    assert not {c: told for c, (verdict, told) in found.items() if verdict == FAULT}


def _with(make, number=planted.NUMBER):
    return [make(k) for k in range(number)]


def _gold_is_query(k):
    """The release of Ego4D: the path of the query is that of the right option."""
    images = fresh(k, 4)
    images[1 + k % 3] = images[0]
    item = planted.spatialdetails(k)
    return dataclasses.replace(item, images=tuple(images))


def _all_four_equal(k):
    """The release of Ego4D: four equal paths."""
    item = planted.leftright(k)
    return dataclasses.replace(item, images=(item.images[0],) * 4)


def _two_mirrors(k):
    """As published: the right one is the odd one out."""
    query = blocks(10_000 + 10 * k)
    options = [query[:, ::-1], query[:, ::-1]]
    options.insert(k % 3, query)
    images = [encode(pixels) for pixels in (query, *options)]
    return record(
        "leftright", k, prompt_of("leftright", wording="ego4d"), "ABC"[k % 3], images
    )


def _nearly_the_query(k):
    """Another file, the same look: what a matcher of pixels finds."""
    images = fresh(k, 4)
    lighter = blocks(10_000 + 10 * k).astype(int) + 12
    images[1 + k % 3] = encode(lighter.clip(0, 255).astype(np.uint8))
    return dataclasses.replace(planted.spatialdetails(k), images=tuple(images))


def _skewed(k):
    """Three fifths of the answers are B."""
    answer = "B" if k % 5 < 3 else "ACD"[k % 3]
    return record("localize", k, prompt_of("localize", "cup"), answer, fresh(k, 1))


def _told_by_noun(k):
    answer = "ABCD"[k % 4]
    return record(
        "localize", k, prompt_of("localize", planted.NOUNS[k % 4]), answer, fresh(k, 1)
    )


def _bright(k):
    """The right picture is the brightest."""
    images = fresh(k, 4)
    images[k % 4] = encode(blocks(10_000 + 10 * k) // 2 + 128)
    return dataclasses.replace(planted.picture_vocabulary(k), images=tuple(images))


def _busy(k):
    """The right one of two frames is the busier one."""
    images = fresh(k, 2)
    plain = np.zeros_like(blocks(0)) + blocks(10_000 + 10 * k).mean((0, 1))
    images[1 - k % 2] = encode(plain.astype(np.uint8))
    return dataclasses.replace(planted.compare_real(k), images=tuple(images))


def _behind_an_article(k):
    """The official scorer takes the article for the letter A."""
    (asked, (told, answer)) = planted.lwl(k).turns
    return dataclasses.replace(
        planted.lwl(k), turns=(asked, (told, f"It is a cup, so {answer}"))
    )


def _not_lower(k):
    item = planted.vdr_binary(k)
    (_, prompt), (_, answer) = item.turns
    turns = (("human", prompt), ("assistant", f"{answer.capitalize()}."))
    return dataclasses.replace(item, turns=turns)


def _in_words(k):
    words = ("eleven", "twelve", "one")
    return dataclasses.replace(
        planted.count(k),
        turns=(("human", prompt_of("count", "cup")), ("assistant", words[k % 3])),
    )


def _same_file_again(k):
    """A picture that comes back is the same file, as published."""
    item = planted.memory(k)
    images = list(item.images)
    golds = [text for role, text in item.turns if role == "assistant"]
    for number in range(1, 15):
        old = 2 * number - 1 + (golds[number] == "A")
        images[old] = images[0]
    return dataclasses.replace(item, images=tuple(images))


def _one_size(k):
    """Both canvases have things of one size: more ink is more things."""
    low, high = k % 5 + 1, k % 5 + 5
    order = (low, high) if k % 2 else (high, low)
    images = [planted.canvas(n, 12, k + n) for n in order]
    answer = "B" if k % 2 else "A"
    return record(
        "compare_synthetic", k, prompt_of("compare_synthetic", "cup"), answer, images
    )


PLANTED = {
    "gold is the query": ("spatialdetails", _gold_is_query, checks.query),
    "four equal pictures": ("leftright", _all_four_equal, checks.options),
    "answer positions": ("localize", _skewed, checks.positions),
    "best constant": ("localize", _skewed, checks.constant),
    "odd one out": ("leftright", _two_mirrors, checks.options),
    "pixel matcher": ("spatialdetails", _nearly_the_query, checks.matcher),
    "size of the copies": (
        "count",
        lambda k: planted.count(k, leaky=True),
        checks.sizes,
    ),
    "ink of the copies": ("compare_synthetic", _one_size, checks.sizes),
    "direction that never matches": ("vdr_binary", _not_lower, checks.form),
    "number in words": ("count", _in_words, checks.form),
    "same file again": ("memory", _same_file_again, checks.query),
    "words tell": ("localize", _told_by_noun, blind.text_only),
    "letter that never matches": ("lwl", _behind_an_article, checks.form),
    "busier frame": ("compare_real", _busy, blind.image_only),
    "pictures tell": ("picture_vocabulary", _bright, blind.image_only),
}


# Checks that say nothing, or not enough, of 40 items.
NEED_MANY = (
    *(checks.positions, checks.constant, blind.text_only, blind.image_only),
    checks.matcher,
)


@functools.cache
def _planted(task, make, number):
    return splits(task, test=_with(make, number))


@pytest.mark.parametrize(
    "name",
    some(
        PLANTED,
        (
            *("gold is the query", "answer positions", "odd one out"),
            *("size of the copies", "number in words", "words tell"),
        ),
    ),
)
def test_a_planted_fault_is_found(name):
    task, make, check = PLANTED[name]
    number = 20 if task == "memory" else 40
    if check in NEED_MANY:
        number = planted.NUMBER
    assert check(task, _planted(task, make, number)).verdict == FAULT


def test_left_right_is_noted_as_what_it_is():
    found = _clean_verdicts("leftright")
    assert found["query"][0] == found["matcher"][0] == NOTE
    assert "scores 1.000 of 150" in found["matcher"][1]


def test_held_out_tasks_have_nothing_to_train_on():
    items = clean("subitize", 20)
    train = clean("subitize", 20, start=1)
    assert _faults("subitize", train=train, test=items) == {"held out"}


def test_a_picture_of_train_leaks_into_test():
    test = clean("compare_real", 40)
    same = [clean("compare_real", 41, start=1)[40], *test[:5]]
    assert _faults("compare_real", train=same, test=test) == {"leaks"}
    again = [
        dataclasses.replace(
            one,
            images=tuple(
                encode(blocks(10_000 + 10 * k + i, 64), "JPEG", quality=80)
                for i in (0, 1)
            ),
        )
        for k, one in enumerate(test[:5])
    ]
    found = _verdicts("compare_real", train=again, test=test)
    assert found["leaks"][0] == FAULT
    assert "0 show the files of an earlier split, 5 what" in found["leaks"][1]


@pytest.mark.integration
def test_black_margins_are_not_looked_at():
    """Things with the same light and shade are other things in other colours."""

    def made(k, start, colours, **options):
        grey = 110 + 50 * blocks(k, 64)[..., :1].astype(float) / 255
        pixels = np.zeros((192, 192, 3), np.uint8)
        tint = np.array(colours) @ [0.299, 0.587, 0.114]
        pixels[64:128, 64:128] = grey + (np.array(colours) - tint)
        images = [encode(np.rot90(pixels, turn), **options) for turn in range(4)]
        item = planted.leftright(k, start)
        return dataclasses.replace(item, images=(images[k % 3], *images[:3]))

    train = [made(k, 1, (20, 0, 0)) for k in range(20)]
    other = [made(k, 0, (0, 0, 20)) for k in range(20)]
    saved = [made(k, 0, (20, 0, 0), form="JPEG", quality=60) for k in range(20)]
    assert _verdicts("leftright", train=train, test=other)["leaks"][1].startswith(
        "of 20 items 0 show the files of an earlier split, 0 what"
    )
    found = _verdicts("leftright", train=train, test=saved)["leaks"]
    assert found[0] == FAULT
    assert "20 what looks like them" in found[1]


def test_recordings_and_instances_belong_to_one_split():
    def made(start, recording):
        return [
            dataclasses.replace(one, meta={"recordings": [recording]})
            for one in clean("compare_real", 10, start)
        ]

    assert _faults("compare_real", train=made(0, "r"), test=made(1, "s")) == set()
    assert _faults("compare_real", train=made(0, "r"), test=made(1, "r")) == {"leaks"}


def test_items_twice_and_against_each_other():
    items = clean("compare_real", 20)
    again = dataclasses.replace(items[3], id="again")
    turned = dataclasses.replace(
        items[4],
        id="turned",
        images=items[4].images[::-1],
        turns=(items[4].turns[0], ("assistant", "B")),
    )
    assert _faults("compare_real", test=[*items, again, turned]) == {"duplicates"}
    against = dataclasses.replace(again, turns=(items[3].turns[0], ("assistant", "A")))
    found = _verdicts("compare_real", test=[*items, against])
    assert found["duplicates"] == (
        FAULT,
        "1 of 21 items are there twice; 1 of them with another answer (the first: "
        "again)",
    )


def test_nearly_equal_options_are_told():
    def make(k):
        images = fresh(k, 2)
        images[1] = encode(blocks(10_000 + 10 * k), "JPEG", quality=90, subsampling=0)
        return dataclasses.replace(planted.compare_real(k), images=tuple(images))

    found = _verdicts("compare_real", test=_with(make, 20))
    assert found["options"][0] == FAULT and "look the same" in found["options"][1]


def test_too_few_items_for_a_verdict():
    found = _verdicts("count", test=clean("count", 20))
    assert found["size"] == ("n/a", "20 items on black canvases: too few")
    assert found["text only"] == ("n/a", "fewer than 100 questions")
    assert picture(1) != picture(2)
