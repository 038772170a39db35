"""The tables, letter by letter."""

from babyvlm_jax.evals import tables
from tests.evals.contents import entry, evaluation, row

DASH = "\N{EN DASH}"
COUNT = entry("Count", 0.5, 0.43, 0.57, 1 / 12)
MORE = entry("Who Has More", 0.52, 0.45, 0.59, 0.5)
REAL = entry(
    "Real",
    1.0,
    1.0,
    1.0,
    0.5,
    5,
    headline=False,
    group="Who Has More",
    above_chance=False,
)
TASKS = {"count": COUNT, "real": REAL, "more": MORE}


def test_numbers():
    assert [tables.percent(share) for share in (0.4567, None)] == ["45.7", ""]
    assert tables.interval(0.43, 0.57) == f"43.0 {DASH} 57.0"
    found = [tables.p_value(p) for p in (0.0312, 0.0001, 1.0, None)]
    assert found == [".031", "<.001", "1.000", ""]


def test_text_names_the_rows_that_are_extra_or_not_above_chance():
    expected = """\
task             months  score  95 % interval      p   Holm  chance  official  constant    n  clusters
RULE
Count             25-42   50.0    43.0 - 57.0  <.001  <.001     8.3      50.0      20.0  200       200
Who Has More      25-42   52.0    45.0 - 59.0   .250   .250    50.0      52.0      20.0  200       200@
Real              25-42  100.0  100.0 - 100.0  <.001           50.0     100.0      20.0    5         5#
RULE
mean of 2 tasks           51.0                                 29.2                20.0

1 of 2 tasks are above chance, 1 after Holm's correction; not above: Who Has More."""  # noqa: E501
    expected = expected.replace("-", DASH).replace("RULE", "-" * 130)
    expected = expected.replace("@", "  NOT ABOVE CHANCE")
    expected = expected.replace("#", "  extra row, TOO FEW TO TELL")
    assert tables.text(evaluation(TASKS)) == expected


def test_tasks_stand_by_age_then_group_with_extra_rows_last():
    tasks = {
        "vdr_open": entry("o", 0, 0, 0, 0, ages=[22, 42], group="v", headline=False),
        "vdr_binary": entry("b", 0, 0, 0, 0, ages=[22, 42], group="v"),
        "memory": entry("m", 0, 0, 0, 0, ages=[22, 42]),
        "lwl": entry("l", 0, 0, 0, 0, ages=[6, 24]),
        "leftright": entry("r", 0, 0, 0, 0, ages=[1, 42]),
    }
    found = tables.reading_order(evaluation(tasks).tasks)
    assert [task.key for task in found] == [
        "leftright",
        "lwl",
        "vdr_binary",
        "vdr_open",
        "memory",
    ]


def test_sources_stand_one_after_the_other():
    tasks = {"ego4d/count": COUNT, "nih/count": MORE, "ego4d/more": MORE}
    read = evaluation(tasks, sources=("ego4d", "nih"))
    order = [task.key for task in tables.reading_order(read.tasks)]
    assert order == ["ego4d/count", "ego4d/more", "nih/count"]
    rows = tables.make_rows(read)
    assert [one[0] for one in rows] == [
        "task",
        "ego4d: Count",
        "ego4d: Who Has More",
        "ego4d: mean of 2 tasks",
        "nih: Who Has More",
        "nih: mean of 1 tasks",
    ]


def test_controls_and_protocols_have_columns_of_their_own():
    rows = [
        row("accuracy", 0.61, "", "choice"),
        row("accuracy", 0.1, "no_text"),
        row("accuracy", 0.1, "no_text", parser="official"),
        row("accuracy", 0.1, "no_text", "choice"),
        row("accuracy", 0.9, "pixels", ""),
    ]
    one = entry("Count", 0.5, 0.43, 0.57, 0.1, rows=rows)
    header, count, more, _ = tables.make_rows(evaluation({"count": one, "more": MORE}))
    assert header[7:-3] == ("choice", "official", "constant", "pixels", "no text")
    assert count[7:-3] == ("61.0", "50.0", "20.0", "90.0", "10.0")
    assert more[7:-3] == ("", "52.0", "20.0", "", "")


def test_a_control_has_one_column_for_tasks_that_are_asked_in_different_ways():
    rows = {
        protocol: [
            row("accuracy", 0.2, "no_image", protocol),
            row("accuracy", 0.9, "no_image", "choice"),
        ]
        for protocol in ("generate", "match")
    }
    tasks = {
        name: {**entry(name, 0.5, 0.43, 0.57, 0.1, rows=more), "protocol": name}
        for name, more in rows.items()
    }
    header, *body, _ = tables.make_rows(evaluation(tasks))
    assert header.count("no image") == 1
    place = header.index("no image")
    assert [one[place] for one in body] == ["20.0", "20.0"]


def test_text_says_what_is_missing_and_what_was_left_out():
    whole = evaluation({"count": COUNT}, problems=["count, item 'x': no picture"])
    whole.overall[""]["ours"]["missing"] = ["lwl", "subitize"]
    assert tables.text(whole).splitlines()[-2:] == [
        "not measured: lwl, subitize",
        "1 problems with items, the first: count, item 'x': no picture",
    ]


ROWS = [
    ("task", "score", ""),
    ("A & B_c", "50 %", "<x | y"),
    ("mean of 1 tasks", "", ""),
]


def test_markdown():
    assert tables.markdown(ROWS) == (
        "| task | score |  |\n| --- | ---: | --- |\n"
        "| A & B_c | 50 % | <x \\| y |\n| mean of 1 tasks |  |  |\n"
    )


def test_latex():
    assert tables.latex(ROWS).splitlines() == [
        r"\begin{tabular}{lrl}",
        r"\toprule",
        r"task & score &  \\",
        r"\midrule",
        r"A \& B\_c & 50 \% & $<$x | y \\",
        r"mean of 1 tasks &  &  \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_verdict_counts_headline_tasks_only():
    assert tables.verdict(evaluation({"count": COUNT, "real": REAL}).tasks) == (
        "1 of 1 tasks are above chance, 1 after Holm's correction."
    )


def test_verdict_keeps_apart_what_cannot_be_told():
    few = {**MORE, "too_few": True}
    assert tables.verdict(evaluation({"a": few, "b": MORE}).tasks) == (
        "0 of 2 tasks are above chance; not above: Who Has More; "
        "too few clusters to tell: Who Has More."
    )


def test_what_a_disagreement_means():
    """Looking While Listening, as the demo had it: a habit of letters."""
    found = {"generate": 0.5, "choice": 0.995, "answer": "A", "share": 0.97}
    found |= {"stray": "C", "strayed": 0.05}
    cases = (
        (found, "writes 'A' in 97.0 % of the questions"),
        ({**found, "share": 0.5}, "knows more than it writes"),
        ({**found, "share": 0.5, "strayed": 0.43}, "most often 'C', in 43.0 % of the"),
        ({**found, "generate": 1.0}, "choice underrates it"),
    )
    for disagreement, says in cases:
        tasks = {"lwl": {**MORE, "disagreement": disagreement}}
        (sentence,) = tables.disagreements(evaluation(tasks).tasks)
        assert "and 99.5 by choice, further apart than their intervals" in sentence
        assert says in sentence
        assert sentence in tables.text(evaluation(tasks))
    assert tables.disagreements(evaluation(TASKS).tasks) == []


def test_items_beyond_the_context_are_in_the_row():
    cut = {**MORE, "beyond_context": {"items": 3, "longest": 562}}
    assert "3 beyond the context, NOT ABOVE CHANCE" in tables.text(
        evaluation({"a": cut})
    )
