"""The table on the terminal, letter by letter."""

import pathlib

from babyvlm_jax.report.collect import Results, Score, Task
from babyvlm_jax.report.tables import interval, percent, text_table, verdict


def make_task(title, score, above_chance=True, headline=True, held_out=False):
    return Task(
        name=title.lower(),
        title=title,
        group=title,
        domain="Math",
        mechanism="generate",
        primary="accuracy",
        headline=headline,
        held_out=held_out,
        above_chance=above_chance,
        score=score,
        constant=0.2,
        others={},
    )


def make_results(*tasks):
    path = pathlib.Path("eval/1/results.json")
    return Results(path, "instruct", 1, "test", True, 0, 3.0, tasks)


COUNT = make_task("Count", Score(0.5, 0.43, 0.57, 1 / 12, 200))
MORE = make_task("Who Has More", Score(0.52, 0.45, 0.59, 0.5, 200), above_chance=False)
REAL = make_task("Real", Score(1.0, 1.0, 1.0, 0.5, 60), headline=False)


def test_numbers_are_percent_with_one_decimal():
    assert percent(0.4567) == "45.7"
    assert interval(COUNT.score) == "43.0 \N{EN DASH} 57.0"


def test_table_names_the_rows_that_are_extra_or_not_above_chance():
    dash = "\N{EN DASH}"
    assert text_table(make_results(COUNT, MORE, REAL)).splitlines() == [
        "task             score  95 % interval  chance    n",
        "-" * 68,
        f"Count             50.0    43.0 {dash} 57.0     8.3  200",
        f"Who Has More      52.0    45.0 {dash} 59.0    50.0  200  NOT ABOVE CHANCE",
        f"Real             100.0  100.0 {dash} 100.0    50.0   60  extra row",
        "-" * 68,
        "mean of 2 tasks   51.0                   29.2",
        "",
        "1 of 2 tasks are above chance; not above: Who Has More.",
    ]


def test_verdict_counts_headline_tasks_only():
    assert verdict(make_results(COUNT, REAL)) == "1 of 1 tasks are above chance."
