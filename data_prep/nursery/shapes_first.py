"""The twelve drawings with the most different silhouettes, which the demo uses.

Each function draws the body, then yields; the caller lays the mark; the details follow.
"""

from math import cos, pi, sin


def ball(pen):
    pen.oval(0, 0, 0.98)
    yield
    pen.ring(-1.0, 0, 0.9, 1.1, -60, 60, tone="ink", width=0.08)
    pen.ring(1.0, 0, 0.9, 1.1, 120, 240, tone="ink", width=0.08)


def cup(pen):
    pen.ring(0.5, 0.05, 0.45, 0.5, width=0.2)
    pen.poly((-0.95, -0.75), (0.55, -0.75), (0.35, 0.85), (-0.75, 0.85))
    yield
    pen.oval(-0.2, -0.72, 0.7, 0.14, tone="ink")
    pen.line((-0.7, 0.55), (0.3, 0.55))


def car(pen):
    pen.poly((-1, 0.4), (-1, 0.0), (-0.6, -0.1), (-0.3, -0.6), (0.45, -0.6),
             (0.75, -0.1), (1, 0.0), (1, 0.4))  # fmt: skip
    pen.oval(-0.55, 0.42, 0.3)
    pen.oval(0.55, 0.42, 0.3)
    yield
    pen.poly((-0.42, -0.1), (-0.2, -0.46), (0.03, -0.46), (0.03, -0.1), tone="white")
    pen.poly((0.15, -0.1), (0.15, -0.46), (0.38, -0.46), (0.55, -0.1), tone="white")
    for x in (-0.55, 0.55):
        pen.oval(x, 0.42, 0.3, tone="ink")
        pen.oval(x, 0.42, 0.12, tone="white")


def star(pen):
    spikes = []
    for corner in range(10):
        radius = 1.05 if corner % 2 == 0 else 0.45
        angle = corner * pi / 5
        spikes.append((radius * sin(angle), 0.08 - radius * cos(angle)))
    pen.poly(*spikes)
    yield
    for x in (-0.18, 0.18):
        pen.oval(x, -0.05, 0.08, 0.12, tone="ink")
    pen.ring(0, 0.12, 0.2, 0.18, 20, 160, tone="ink", width=0.07)


def fish(pen):
    pen.oval(-0.2, 0, 0.78, 0.55)
    pen.poly((0.35, 0), (1, -0.6), (0.82, 0), (1, 0.6))
    pen.poly((-0.3, -0.5), (0.1, -0.85), (0.25, -0.4))
    yield
    pen.oval(-0.6, -0.12, 0.14, tone="white")
    pen.oval(-0.63, -0.12, 0.07, tone="ink")
    pen.ring(-0.55, 0, 0.4, 0.5, -55, 55, tone="ink")
    pen.ring(-0.2, 0, 0.4, 0.45, -50, 50, tone="ink", width=0.06)


def tree(pen):
    pen.box(-0.16, 0.3, 0.16, 1, tone="dark")
    pen.poly((0, -1.05), (0.55, -0.35), (-0.55, -0.35))
    pen.poly((0, -0.65), (0.72, 0.1), (-0.72, 0.1))
    pen.poly((0, -0.25), (0.9, 0.6), (-0.9, 0.6))
    yield
    pen.line((-0.4, -0.33), (0.4, -0.33), width=0.06)
    pen.line((-0.55, 0.1), (0.55, 0.1), width=0.06)


def house(pen):
    pen.box(0.42, -0.95, 0.68, -0.3, tone="dark")
    pen.box(-0.78, -0.2, 0.78, 0.95)
    pen.poly((0, -1), (1, -0.1), (-1, -0.1), tone="dark")
    yield
    pen.box(-0.2, 0.35, 0.2, 0.95, tone="ink")
    for x in (-0.5, 0.5):
        pen.box(x - 0.17, 0.05, x + 0.17, 0.37, tone="white")
        pen.line((x, 0.05), (x, 0.37), width=0.05)


def duck(pen):
    pen.oval(0.15, 0.4, 0.8, 0.5)
    pen.poly((0.6, 0.2), (1.05, -0.15), (0.9, 0.5))
    pen.oval(-0.42, -0.4, 0.42)
    pen.poly((-0.7, -0.5), (-1.08, -0.3), (-0.7, -0.15), tone="dark")
    yield
    pen.oval(-0.5, -0.5, 0.09, tone="ink")
    pen.ring(0.25, 0.3, 0.4, 0.3, 20, 200, tone="ink")
    pen.line((-1.0, -0.3), (-0.72, -0.32), width=0.05)


def shoe(pen):
    pen.poly((0.95, -0.65), (0.25, -0.65), (0.1, -0.15), (-0.6, 0.05), (-1, 0.3),
             (-1, 0.65), (1, 0.65))  # fmt: skip
    yield
    pen.box(-1, 0.48, 1, 0.66, tone="white")
    pen.line((-1, 0.47), (1, 0.47), width=0.06)
    for step in range(3):
        x, y = 0.12 - 0.24 * step, -0.2 + 0.12 * step
        pen.line((x, y), (x + 0.22, y + 0.26), tone="white", width=0.09)


def key(pen):
    pen.oval(-0.55, 0, 0.45)
    pen.box(-0.2, -0.14, 1, 0.14)
    pen.box(0.5, 0.1, 0.66, 0.5)
    pen.box(0.8, 0.1, 0.98, 0.6)
    pen.hole(-0.6, 0, 0.2)
    yield
    pen.line((-0.05, 0), (0.85, 0), width=0.05)


def book(pen):
    pen.poly((0, -0.5), (-0.45, -0.72), (-1, -0.6), (-1, 0.6), (-0.45, 0.5), (0, 0.72))
    pen.poly((0, -0.5), (0.45, -0.72), (1, -0.6), (1, 0.6), (0.45, 0.5), (0, 0.72))
    yield
    pen.line((0, -0.5), (0, 0.72), width=0.1)
    for y in (-0.3, -0.02, 0.26):
        pen.line((-0.8, y - 0.06), (-0.2, y), tone="white", width=0.09)
        pen.line((0.8, y - 0.06), (0.2, y), tone="white", width=0.09)


def hat(pen):
    pen.oval(0, 0.5, 1, 0.24)
    pen.poly((-0.52, 0.5), (-0.6, -0.8), (0.6, -0.8), (0.52, 0.5))
    yield
    pen.poly((-0.53, 0.35), (-0.55, 0.02), (0.55, 0.02), (0.53, 0.35), tone="ink")


DRAWINGS = (ball, cup, car, star, fish, tree, house, duck, shoe, key, book, hat)
