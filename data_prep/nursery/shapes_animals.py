"""Drawings of animals and plants. See `shapes_first` for the form of a drawing."""


def cat(pen):
    pen.poly((-0.9, -1), (-0.9, 0.1), (-0.1, -0.6))
    pen.poly((0.9, -1), (0.9, 0.1), (0.1, -0.6))
    pen.oval(0, 0.15, 0.92, 0.8)
    yield
    for side in (-1, 1):
        pen.oval(0.38 * side, 0, 0.15, 0.2, tone="white")
        pen.oval(0.38 * side, 0.02, 0.07, 0.16, tone="ink")
        for y in (0.3, 0.5):
            pen.line((0.3 * side, 0.38), (0.8 * side, y), width=0.05)
    pen.poly((-0.12, 0.25), (0.12, 0.25), (0, 0.42), tone="ink")


def rabbit(pen):
    pen.oval(-0.32, -0.5, 0.2, 0.55)
    pen.oval(0.32, -0.5, 0.2, 0.55)
    pen.oval(0, 0.35, 0.66, 0.62)
    yield
    for side in (-1, 1):
        pen.oval(0.32 * side, -0.5, 0.08, 0.36, tone="light")
        pen.oval(0.26 * side, 0.25, 0.1, tone="ink")
    pen.oval(0, 0.45, 0.1, 0.07, tone="ink")
    pen.box(-0.1, 0.62, 0.1, 0.82, tone="white")


def bear(pen):
    pen.oval(-0.62, -0.6, 0.34)
    pen.oval(0.62, -0.6, 0.34)
    pen.oval(0, 0.1, 0.88, 0.85)
    yield
    pen.oval(0, 0.42, 0.42, 0.34, tone="white")
    pen.oval(0, 0.28, 0.16, 0.11, tone="ink")
    pen.line((0, 0.3), (0, 0.55), width=0.06)
    for side in (-1, 1):
        pen.oval(0.35 * side, -0.1, 0.1, tone="ink")
        pen.oval(0.62 * side, -0.62, 0.16, tone="dark")


def butterfly(pen):
    for side in (-1, 1):
        pen.oval(0.52 * side, -0.4, 0.48, 0.5)
        pen.oval(0.42 * side, 0.45, 0.38, 0.42)
    pen.oval(0, 0, 0.13, 0.85, tone="dark")
    yield
    for side in (-1, 1):
        pen.oval(0.55 * side, -0.42, 0.2, tone="white")
        pen.oval(0.45 * side, 0.45, 0.15, tone="white")
    pen.oval(0, 0, 0.1, 0.8, tone="ink")


def snail(pen):
    pen.poly((-1, 0.55), (-0.85, -0.1), (-0.6, -0.1), (-0.5, 0.45), (1, 0.6),
             (0.9, 0.8), (-0.85, 0.8))  # fmt: skip
    pen.line((-0.85, 0), (-0.98, -0.45), tone="base", width=0.1)
    pen.line((-0.65, 0), (-0.6, -0.45), tone="base", width=0.1)
    pen.oval(0.2, -0.05, 0.65)
    yield
    pen.ring(0.2, -0.05, 0.45, tone="ink", width=0.09)
    pen.ring(0.2, -0.05, 0.2, tone="ink", width=0.09)


def turtle(pen):
    pen.oval(-0.82, 0.12, 0.24, tone="light")
    pen.box(-0.55, 0.3, -0.2, 0.75, tone="light", corner=0.1)
    pen.box(0.35, 0.3, 0.7, 0.75, tone="light", corner=0.1)
    pen.poly((-0.75, 0.45), (-0.6, -0.25), (-0.2, -0.6), (0.35, -0.6), (0.75, -0.25),
             (0.95, 0.45))  # fmt: skip
    yield
    pen.oval(-0.88, 0.08, 0.06, tone="ink")
    pen.line((-0.7, 0.4), (0.9, 0.4), width=0.08)
    for x in (-0.25, 0.1, 0.45):
        pen.line((x - 0.1, 0.35), (x, -0.15), (x + 0.1, 0.35), width=0.07)


def elephant(pen):
    pen.oval(0.25, 0, 0.72, 0.58)
    pen.oval(-0.5, -0.15, 0.45)
    pen.poly((-0.95, -0.1), (-0.6, 0), (-0.68, 0.5), (-0.78, 0.9), (-1, 0.85))
    for x in (-0.2, 0.55):
        pen.box(x, 0.3, x + 0.3, 0.9)
    yield
    pen.oval(-0.3, -0.12, 0.22, 0.32, tone="dark")
    pen.oval(-0.68, -0.25, 0.08, tone="ink")
    pen.line((0.22, 0.55), (0.22, 0.88), width=0.08)


def whale(pen):
    pen.poly((-1, 0.2), (-0.85, -0.35), (-0.2, -0.5), (0.35, -0.2), (0.6, 0),
             (0.7, -0.4), (0.5, -0.75), (0.8, -0.65), (1, -0.8), (1, -0.3),
             (0.85, 0.3), (0.3, 0.65), (-0.7, 0.6))  # fmt: skip
    yield
    pen.oval(-0.62, -0.05, 0.09, tone="ink")
    for x in (-0.7, -0.4, -0.1, 0.2):
        pen.line((x, 0.35), (x + 0.06, 0.55), tone="white", width=0.09)
    pen.line((-0.95, 0.25), (0.35, 0.25), width=0.06)


def flower(pen):
    pen.line((0, 0.2), (0, 0.95), tone="dark", width=0.14)
    pen.oval(0.3, 0.7, 0.28, 0.13, tone="dark")
    for x, y in (
        (0, -0.78),
        (0.42, -0.45),
        (0.27, 0.02),
        (-0.27, 0.02),
        (-0.42, -0.45),
    ):
        pen.oval(x, y, 0.32)
    yield
    pen.oval(0, -0.35, 0.24, tone="white")
    pen.ring(0, -0.35, 0.26, tone="ink", width=0.07)


def leaf(pen):
    pen.poly((-1, 0.9), (-0.75, -0.2), (-0.2, -0.8), (0.95, -1), (0.8, 0.1),
             (0.2, 0.7), smooth=2)  # fmt: skip
    pen.line((-0.95, 0.95), (-0.5, 0.5), tone="base", width=0.14)
    yield
    pen.line((-0.8, 0.8), (0.65, -0.7), width=0.08)
    for x, y in ((-0.3, 0.3), (0.1, -0.1), (0.4, -0.4)):
        pen.line((x, y), (x - 0.05, y - 0.4), width=0.06)
        pen.line((x, y), (x + 0.4, y + 0.05), width=0.06)


DRAWINGS = (cat, rabbit, bear, butterfly, snail, turtle, elephant, whale, flower, leaf)
