"""Delayed Memory: 15 rounds, 29 pictures, the new one is right."""

import collections
from dataclasses import replace

from data_prep.devcv.items import Bank
from data_prep.devcv.tasks.memory import by_label, memory, memory_short, schedule


def test_schedule_shows_every_old_thing_as_published(rng):
    rounds = schedule(rng)
    assert rounds[:5] == [(None, 0), (0, 1), (1, 2), (2, 3), (3, 4)]
    assert [new for _, new in rounds] == list(range(15))
    assert sorted(old for old, _ in rounds[5:10]) == [0, 1, 2, 3, 4]
    assert sorted(old for old, _ in rounds[10:]) == [0, 1, 2, 3, 4]


def test_dialogues(bank, rng, style):
    made = list(memory(bank, rng, 6, style))
    assert len(made) == 6
    later = [answer for item in made for _, answer in item.turns[3::2]]
    assert collections.Counter(later) == {"A": 42, "B": 42}
    for item in made:
        assert len(item.images) == 29 and len(item.turns) == 30
        labels = item.meta["labels"]
        assert [len(names) for names in labels] == [1] + [2] * 14
        seen = collections.Counter(name for names in labels for name in names)
        # x0..x3 four times, x4 three times, each y once.
        assert sorted(seen.values()) == [1] * 10 + [3] + [4] * 4
        known = set()
        for names, (_, answer) in zip(labels, item.turns[1::2], strict=True):
            assert names["AB".index(answer)] not in known
            assert set(names) - {names["AB".index(answer)]} <= known
            known |= set(names)
        assert item.turns[0][1] == "Touch the new image. (A) <image>"


def test_a_short_schedule_tests_everything_twice(rng):
    assert schedule(rng, 1) == [(None, 0), (0, 1), (0, 2)]
    rounds = schedule(rng, 2)
    assert rounds[:2] == [(None, 0), (0, 1)]
    assert [new for _, new in rounds] == [0, 1, 2, 3, 4, 5]
    assert sorted(old for old, _ in rounds[2:4]) == [0, 1]
    assert sorted(old for old, _ in rounds[4:]) == [0, 1]


def test_short_dialogues_have_one_to_three_things_to_remember(bank, rng, style):
    made = list(memory_short(bank, rng, 6, style))
    assert sorted(len(item.turns) // 2 for item in made) == [3, 3, 6, 6, 9, 9]
    for item in made:
        known = set()
        for names, (_, answer) in zip(
            item.meta["labels"], item.turns[1::2], strict=True
        ):
            assert names["AB".index(answer)] not in known
            known |= set(names)


def test_answers_of_a_dialogue_do_not_follow_from_each_other(bank, rng, style):
    made = list(memory_short(bank, rng, 120, style))
    answers = [item.meta["answer"].split()[1:] for item in made]
    of_two = {"".join(one) for one in answers if len(one) == 2}
    assert of_two == {"AA", "AB", "BA", "BB"}
    counts = collections.Counter(letter for one in answers for letter in one)
    assert counts == {"A": 300, "B": 300}


def test_repeats_are_other_pictures_unless_asked_for(bank, rng, style):
    (item,) = memory(bank, rng, 1, style)
    assert len(set(item.images)) == 29
    (item,) = memory(
        bank, rng, 1, replace(style, published=frozenset({"identical_repeats"}))
    )
    assert len(set(item.images)) == 15


def test_labels_name_the_colour_where_it_is_known(bank):
    assert len(by_label(bank)) == 32  # 16 nouns in red and blue
    assert len(by_label(bank)["red cup"]) == 3


def _nouns(bank, *nouns):
    return Bank(f for f in bank.frames if f.things and f.things[0].category in nouns)


def test_where_labels_are_few_looks_are_labels(bank, rng, style):
    few = _nouns(bank, "cup", "hat", "key", "boat")  # 8 labels, 16 looks
    assert len(by_label(few)) == 16
    (item,) = memory(few, rng, 1, style)
    assert len({name for names in item.meta["labels"] for name in names}) == 15


def test_too_few_labels_and_looks_give_no_dialogue(bank, rng, style):
    assert list(memory(_nouns(bank, "cup", "boat"), rng, 5, style)) == []
