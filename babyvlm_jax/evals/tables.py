"""An evaluation as a table: text, Markdown, LaTeX.

Imports neither numpy nor jax, so that whoever shows a table answers at once.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.evals.results import OFFICIAL, STRICT, Evaluation, TaskResult

_DASH = "\N{EN DASH}"
CONTROLS = {
    "constant": "constant",
    "prior": "prior",
    "pixels": "pixels",
    "no_image": "no image",
    "shuffled_image": "shuffled",
    "no_text": "no text",
}
_FIRST = ("task", "months", "score", "95 % interval", "p", "Holm", "chance")
_LAST = ("n", "clusters", "")
Tasks = Mapping[str, TaskResult]


def percent(share: float | None) -> str:
    """0.4567 -> "45.7"; nothing for None."""
    return "" if share is None else f"{100 * share:.1f}"


def interval(low: float, high: float) -> str:
    """An interval in percent: "43.0 to 57.0", with a dash."""
    return f"{percent(low)} {_DASH} {percent(high)}"


def p_value(p: float | None) -> str:
    """0.0312 -> ".031"; below a thousandth "<.001"; nothing for None."""
    if p is None:
        return ""
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def reading_order(tasks: Tasks) -> list[TaskResult]:
    """Entries by source, then by the age that the measure is for, then by group.

    Sources and groups stand in the order in which they appear, headline rows first.
    """
    sources = list(dict.fromkeys(task.source for task in tasks.values()))
    groups = list(dict.fromkeys(task.group for task in tasks.values()))

    def place(task):
        source, group = sources.index(task.source), groups.index(task.group)
        return source, task.ages, group, not task.headline

    return sorted(tasks.values(), key=place)


def columns(tasks: Tasks) -> list[tuple[str, str, str]]:
    """The further answerers that any task has: (control, protocol, parser).

    The official reading of what was written, the other protocols, the controls. A
    control is asked as the task's own score was, whatever that is: its protocol is "".
    """
    found = {column for task in tasks.values() for column in _values(task)}
    shown = {("", task.protocol, task.parser) for task in tasks.values()}
    order = ["", *CONTROLS]
    return sorted(found - shown, key=lambda one: (order.index(one[0]), one[1:]))


def _values(task: TaskResult) -> dict[tuple[str, str, str], float]:
    """Column -> value of the task's primary metric."""
    values = {}
    for row in task.rows:
        protocol = row.protocol
        if row.control:
            if row.parser != STRICT or protocol not in ("", task.protocol):
                continue
            protocol = ""
        values[row.control, protocol, row.parser] = row.metrics[task.primary].value
    return values


def make_rows(result: Evaluation) -> list[tuple[str, ...]]:
    """Header, a row for each task, and one for the mean of each source.

    Returns:
        Rows of as many cells; numbers are percent.
    """
    extra = columns(result.tasks)
    titles = (
        CONTROLS[control] if control else parser if parser == OFFICIAL else protocol
        for control, protocol, parser in extra
    )
    rows = [(*_FIRST, *titles, *_LAST)]
    for source, tasks in itertools.groupby(
        reading_order(result.tasks), key=lambda task: task.source
    ):
        rows += [_row(task, extra) for task in tasks]
        ours = result.overall[source]["ours"]
        name = f"mean of {ours['tasks']} tasks"
        constant = [
            percent(ours["constant"]) if one[0] == "constant" else "" for one in extra
        ]
        means = (percent(ours["score"]), "", "", "", percent(ours["chance"]))
        rows.append((_named(source, name), "", *means, *constant, "", "", ""))
    return rows


def _named(source, title):
    return f"{source}: {title}" if source else title


def _row(task: TaskResult, extra):
    notes = [] if task.headline else ["extra row"]
    notes += ["held out"] if task.held_out else []
    beyond = (task.beyond_context or {}).get("items")
    notes += [f"{beyond} beyond the context"] if beyond else []
    if not task.above_chance:
        notes.append("TOO FEW TO TELL" if task.too_few else "NOT ABOVE CHANCE")
    values = _values(task)
    return (
        task.label,
        _DASH.join(map(str, task.ages)),
        percent(task.score),
        interval(*task.interval),
        p_value(task.p_value),
        p_value(task.p_holm),
        percent(task.chance),
        *(percent(values.get(one)) for one in extra),
        str(task.n),
        str(task.clusters),
        ", ".join(notes),
    )


def verdict(tasks: Tasks) -> str:
    """One sentence: how many headline tasks are above chance, and which are not."""
    headline = [task for task in tasks.values() if task.headline]
    above = [task for task in headline if task.above_chance]
    kept = sum(task.p_holm < 0.05 for task in above)
    parts = [f"{len(above)} of {len(headline)} tasks are above chance"]
    parts[0] += f", {kept} after Holm's correction" if above else ""
    for too_few, words in ((False, "not above"), (True, "too few clusters to tell")):
        named = [
            task.label
            for task in headline
            if not task.above_chance and task.too_few == too_few
        ]
        parts += [f"{words}: {', '.join(named)}"] if named else []
    return "; ".join(parts) + "."


# ours: shares of the questions that make a habit of what is written in them
HABIT, STRAY = 0.8, 0.1


def disagreements(tasks: Tasks) -> list[str]:
    """A sentence for each task whose `generate` and `choice` differ, and what of it."""
    return [
        f"{task.label}: {_explain(task.disagreement)}"
        for task in reading_order(tasks)
        if task.disagreement
    ]


def _explain(found: Mapping[str, Any]) -> str:
    written, chosen = found["generate"], found["choice"]
    says = (
        f"{percent(written)} by generate and {percent(chosen)} by choice, further "
        "apart than their intervals: "
    )
    if written > chosen:
        return says + (
            "what the model writes is right more often than the likeliest of the "
            "allowed answers, so choice underrates it here"
        )
    habits = []
    if found["share"] >= HABIT:
        habits.append(f"'{found['answer']}' in {percent(found['share'])} %")
    if found["strayed"] >= STRAY:
        habits.append(
            f"what is not offered, most often '{found['stray']}', in "
            f"{percent(found['strayed'])} %"
        )
    if not habits:
        return says + "the model knows more than it writes"
    return says + (
        f"it writes {' and '.join(habits)} of the questions, though the likelihoods of "
        "the allowed answers tell them apart; the score of generate shows this habit, "
        "not what the model knows"
    )


def text(result: Evaluation) -> str:
    """The table for a terminal, with the verdict and what is missing below."""
    below = [verdict(result.tasks), *disagreements(result.tasks)]
    for source, means in result.overall.items():
        missing = means["ours"]["missing"]
        if missing:
            below.append(_named(source, f"not measured: {', '.join(missing)}"))
    problems = result.problems
    if problems:
        below.append(f"{len(problems)} problems with items, the first: {problems[0]}")
    return "\n".join([layout(make_rows(result)), "", *below])


def layout(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first and last to the left, the others to the right.

    Rules stand below the header and around rows that begin with "mean of".
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [
            cell.rjust(width)
            for cell, width in zip(row[1:-1], widths[1:-1], strict=True)
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    rule = "-" * max(map(len, lines))
    out = [lines[0], rule]
    for row, line in zip(rows[1:], lines[1:], strict=True):
        out += [rule, line] if "mean of" in row[0] else [line]
    return "\n".join(out)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    header, *body = (" | ".join(cell.replace("|", "\\|") for cell in r) for r in rows)
    rule = " | ".join(["---", *["---:"] * (len(rows[0]) - 2), "---"])
    return "\n".join(f"| {line} |" for line in [header, rule, *body]) + "\n"


def latex(rows: Sequence[Sequence[str]]) -> str:
    """A tabular in LaTeX, with the rules of booktabs."""
    header, *body = (" & ".join(_escape(cell) for cell in row) + r" \\" for row in rows)
    shape = "l" + "r" * (len(rows[0]) - 2) + "l"
    lines = [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", header, r"\midrule"]
    return "\n".join([*lines, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escape(cell: str) -> str:
    cell = cell.replace("\\", r"\textbackslash{}").replace(_DASH, "--")
    for sign in "%&_#$":
        cell = cell.replace(sign, f"\\{sign}")
    return cell.replace("<", "$<$")
