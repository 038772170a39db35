"""Numbers of items."""

from data_prep.devcv import sizes

NONE = {"train": None, "val": None, "test": None}


def test_every_task_has_its_numbers_and_held_out_ones_are_never_trained():
    for size in sizes.SIZES:
        wanted = sizes.numbers(size, NONE)
        assert set(wanted) == set(sizes.TASKS)
        untrained = {task for task in wanted if wanted[task]["train"] == 0}
        extra = sizes.TRAIN_ONLY if size == "full" else ()  # not published
        assert untrained == {*sizes.HELD_OUT, *extra}


def test_the_demo_tests_on_enough():
    demo = sizes.numbers("demo", NONE)
    assert demo["memory"]["test"] == 60
    tested = set(demo) - {"memory", *sizes.TRAIN_ONLY}
    assert {demo[task]["test"] for task in tested} == {200}
    assert {demo[task]["test"] for task in sizes.TRAIN_ONLY} == {0}


def test_the_full_size_is_the_published_one():
    full = sizes.numbers("full", NONE)
    assert sum(numbers["train"] for numbers in full.values()) == 113211


def test_overrides_leave_held_out_tasks_untrained():
    wanted = sizes.numbers("demo", {"train": 101, "val": None, "test": 8})
    assert wanted["count"] == {"train": 101, "val": 40, "test": 8}
    assert wanted["memory"] == {"train": 26, "val": 20, "test": 2}
    assert wanted["lwl"] == {"train": 0, "val": 40, "test": 8}
