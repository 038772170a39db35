"""Inline SVG by hand: a score on its track, a training curve, a score that grows.

Colours and fonts come from the page's style sheet through class names, so the
drawings follow the reader's light or dark preference. Text stays text.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import TaskResult
from babyvlm_jax.evals.tables import percent
from babyvlm_jax.report.collect import Growth, Number, Phase

MAX_POINTS = 400  # raw points drawn of one curve
WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 20, 10, 38


def score_track(task: TaskResult, published: Sequence[Number] = ()) -> Markup:
    """Draws one row: interval as a whisker, score as a dot, chance as a tick.

    Positions are percentages of the row's width, so the row fits any column. The dot
    is hollow when the score is not above chance.

    Args:
        task: one row of results.
        published: numbers that were not measured here, drawn as diamonds.

    Returns:
        An <svg> element with a text alternative.
    """
    low, high = task.interval
    says = (
        f"{task.title}: {percent(task.score)} %, 95 % interval "
        f"{tables.interval(low, high)}, chance {percent(task.chance)} %"
    )
    for one in published:
        says += f"; published, not measured here: {one.who} {percent(one.value)} %"
    dot = "dot" if task.above_chance else "dot hollow"
    grid = Markup("").join(_vertical("grid", share / 4, 0, 28) for share in range(5))
    return Markup(
        '<svg class="track" width="100%" height="28" role="img" aria-label="{says}">'
        '{grid}{chance}<line class="whisker" x1="{low}%" x2="{high}%" y1="14" y2="14"/>'
        '<circle class="{dot}" cx="{value}%" cy="14" r="5"/>{published}</svg>'
    ).format(
        says=says,
        grid=grid,
        chance=_vertical("chance", task.chance, 5, 23),
        low=percent(low),
        high=percent(high),
        dot=dot,
        value=percent(task.score),
        published=Markup("").join(map(_diamond, published)),
    )


def _diamond(number: Number) -> Markup:
    """A hollow diamond with a title; an svg of its own, since paths take no percent."""
    return Markup(
        '<svg class="published" x="{}%" y="14" overflow="visible">'
        "<title>{}: {} %, published, not measured here</title>"
        '<path d="M0 -6 L6 0 L0 6 L-6 0 Z"/></svg>'
    ).format(percent(number.value), number.who, percent(number.value))


def score_axis() -> Markup:
    """Draws the percent labels under the tracks."""
    label = Markup('<text x="{0}%" y="13" text-anchor="middle">{0}{1}</text>')
    labels = [label.format(at, " %" if at == 100 else "") for at in range(0, 101, 25)]
    return Markup(
        '<svg class="track" width="100%" height="18" aria-hidden="true">{}</svg>'
    ).format(Markup("").join(labels))


def curve(phase: Phase) -> Markup:
    """Draws one phase: the logged losses pale, their running mean on top.

    The losses of validations are a dashed line.

    Args:
        phase: at least one logged step.

    Returns:
        An <svg> element with axes and a text alternative.
    """
    smooth = smoothed(phase.losses)
    stride = math.ceil(len(phase.steps) / MAX_POINTS)
    keep = sorted({*range(0, len(phase.steps), stride), len(phase.steps) - 1})
    seen = [*phase.losses, *(loss for _, loss in phase.held_out)]
    y_ticks = nice_ticks(min(seen), max(seen), 4)
    places = max(0, -math.floor(math.log10(y_ticks[1] - y_ticks[0]) + 1e-9))
    last = phase.steps[-1]
    x_ticks = [tick for tick in nice_ticks(0, last, 5) if tick <= last]
    x_scale = _scale(0, last, LEFT, WIDTH - RIGHT)
    y_scale = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)

    def line(kind, pairs, style=""):
        points = " ".join(f"{x_scale(s):.1f},{y_scale(loss):.1f}" for s, loss in pairs)
        shape = f'<polyline class="{{}}"{style} points="{{}}"/>'
        return Markup(shape).format(kind, points)

    def kept(values):
        return [(phase.steps[at], values[at]) for at in keep]

    says = (
        f"{phase.name}: loss from {smooth[0]:.2f} to {smooth[-1]:.2f} "
        f"over {phase.steps[-1]} steps"
    )
    lines = [line("raw", kept(phase.losses)), line("smooth", kept(smooth))]
    if phase.held_out:
        says += f"; held-out loss {phase.held_out[-1][1]:.2f} at the end"
        dashed = ' style="stroke: var(--soft); stroke-dasharray: 4 3"'
        lines.append(line("held-out", phase.held_out, dashed))
    return Markup(
        '<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '{}{}{}<text class="unit" x="{}" y="{}" text-anchor="end">step</text></svg>'
    ).format(
        WIDTH,
        HEIGHT,
        says,
        Markup("").join(_y_tick(y_scale(at), f"{at:.{places}f}") for at in y_ticks),
        Markup("").join(_x_tick(x_scale(at), at) for at in x_ticks),
        Markup("").join(lines),
        WIDTH - RIGHT,
        HEIGHT - 5,
    )


def growth_curve(growth: Growth) -> Markup:
    """Draws a task's score over the checkpoints of a run, in percent, with intervals.

    Args:
        growth: two steps or more.

    Returns:
        An <svg> element with axes and a text alternative.
    """
    steps, tasks = list(growth), list(growth.values())
    last = steps[-1]
    x_scale = _scale(0, last, LEFT, WIDTH - RIGHT)
    y_scale = _scale(0, 1, HEIGHT - BOTTOM, TOP)
    y_ticks = [0, 0.25, 0.5, 0.75, 1]
    chance = y_scale(tasks[-1].chance)

    def points(values):
        pairs = zip(steps, values, strict=True)
        return " ".join(f"{x_scale(s):.1f},{y_scale(v):.1f}" for s, v in pairs)

    lows, highs = zip(*(task.interval for task in tasks), strict=True)
    band = points(lows).split()[::-1] + points(highs).split()
    first, final = tasks[0], tasks[-1]
    says = (
        f"{final.label}: from {percent(first.score)} % at step {steps[0]} to "
        f"{percent(final.score)} % at step {last}, chance {percent(final.chance)} %"
    )
    return Markup(
        '<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}'
        '<line class="chance" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        '<polygon class="band" points="{}"/><polyline class="smooth" points="{}"/>'
        '<text class="unit" x="{}" y="{}" text-anchor="end">step</text></svg>'
    ).format(
        WIDTH,
        HEIGHT,
        says,
        Markup("").join(_y_tick(y_scale(at), f"{100 * at:.0f}") for at in y_ticks),
        Markup("").join(
            _x_tick(x_scale(at), at) for at in nice_ticks(0, last, 4) if at <= last
        ),
        LEFT,
        WIDTH - RIGHT,
        chance,
        chance,
        " ".join(band),
        points([task.score for task in tasks]),
        WIDTH - RIGHT,
        HEIGHT - 5,
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """Mean over a centred window of a twentieth of the curve, cut off at the ends.

    The window has at least one neighbour on either side, so
    smoothed([3.0, 0.0, 3.0, 0.0]) == [1.5, 2.0, 1.0, 1.5].
    """
    reach = max(1, len(values) // 40)
    windows = [values[max(0, at - reach) : at + reach + 1] for at in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Ticks at 1, 2 or 5 times a power of ten that enclose [low, high].

    nice_ticks(0, 870, 5) == [0, 200, 400, 600, 800, 1000]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= span / count * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _vertical(kind, share, top, bottom):
    return Markup('<line class="{0}" x1="{1}%" x2="{1}%" y1="{2}" y2="{3}"/>').format(
        kind, percent(share), top, bottom
    )


def _scale(low, high, start, end):
    def place(value):
        return start + (value - low) / (high - low) * (end - start)

    return place


def _y_tick(place, label):
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, place, place, LEFT - 6, place + 4, label)


def _x_tick(place, value):
    return Markup(
        '<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
        '<text x="{0:.1f}" y="{3}" text-anchor="middle">{4:,.0f}</text>'
    ).format(place, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 4, HEIGHT - BOTTOM + 17, value)
