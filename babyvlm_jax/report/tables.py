"""The results as a plain-text table for the terminal. Standard library only."""

from babyvlm_jax.report.collect import Results, Score

_DASH = "\N{EN DASH}"
_COLUMNS = ("task", "score", "95 % interval", "chance", "n", "")


def percent(share: float) -> str:
    """0.4567 -> "45.7"."""
    return f"{100 * share:.1f}"


def interval(score: Score) -> str:
    """The 95 % interval in percent: "43.0 to 57.0", with a dash."""
    return f"{percent(score.low)} {_DASH} {percent(score.high)}"


def text_table(results: Results) -> str:
    """Table of every task, the mean of the headline ones and who is not above chance.

    Args:
        results: one evaluation.

    Returns:
        Lines without a trailing newline; numbers are percent.
    """
    rows = [_COLUMNS] + [_row(task) for task in results.tasks]
    rows.append(
        (
            f"mean of {len(results.headline)} tasks",
            percent(results.mean),
            "",
            percent(results.mean_chance),
            "",
            "",
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join([*lines, "", verdict(results)])


def verdict(results: Results) -> str:
    """One sentence: how many headline tasks are above chance, and which are not."""
    total, missed = len(results.headline), results.not_above
    sentence = f"{total - len(missed)} of {total} tasks are above chance"
    if not missed:
        return sentence + "."
    return f"{sentence}; not above: {', '.join(task.title for task in missed)}."


def _row(task):
    notes = [] if task.headline else ["extra row"]
    notes += ["held out"] if task.held_out else []
    notes += [] if task.above_chance else ["NOT ABOVE CHANCE"]
    score = task.score
    return (
        task.title,
        percent(score.value),
        interval(score),
        percent(score.chance),
        str(score.n),
        ", ".join(notes),
    )


def _line(row, widths):
    cells = [row[0].ljust(widths[0])]
    cells += [
        cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)
    ]
    return "  ".join([*cells, row[5]]).rstrip()
