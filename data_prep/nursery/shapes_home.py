"""Drawings of furniture, dishes and clothes. See `shapes_first` for their form."""


def chair(pen):
    pen.box(-0.6, -1, -0.32, 1)
    pen.box(-0.6, 0, 0.6, 0.28)
    pen.box(0.36, 0, 0.6, 1)
    yield
    pen.line((-0.3, 0.02), (0.58, 0.02), width=0.06)
    for y in (-0.75, -0.4):
        pen.line((-0.58, y), (-0.34, y), width=0.09)


def table(pen):
    pen.box(-1, -0.4, 1, -0.12)
    pen.box(-0.85, -0.2, -0.62, 0.75)
    pen.box(0.62, -0.2, 0.85, 0.75)
    pen.box(-0.6, -0.15, 0.6, 0.08, tone="dark")
    yield
    pen.oval(0, -0.02, 0.08, tone="white")
    pen.line((-0.98, -0.12), (0.98, -0.12), width=0.06)


def bed(pen):
    pen.box(-1, -0.7, -0.78, 0.7, tone="dark")
    pen.box(0.8, -0.25, 1, 0.7, tone="dark")
    pen.box(-0.9, 0, 0.9, 0.48)
    pen.oval(-0.5, -0.1, 0.32, 0.2, tone="light")
    yield
    pen.oval(-0.5, -0.1, 0.28, 0.16, tone="white")
    for x in (-0.1, 0.2, 0.5):
        pen.line((x, 0.04), (x, 0.44), width=0.06)


def lamp(pen):
    pen.poly((-0.4, -0.95), (0.4, -0.95), (0.75, 0), (-0.75, 0))
    pen.box(-0.1, 0, 0.1, 0.8, tone="dark")
    pen.oval(0, 0.82, 0.5, 0.17, tone="dark")
    yield
    pen.line((-0.16, -0.9), (-0.28, -0.05), tone="white", width=0.08)
    pen.line((0.16, -0.9), (0.28, -0.05), tone="white", width=0.08)


def clock(pen):
    pen.oval(-0.6, -0.75, 0.3, tone="dark")
    pen.oval(0.6, -0.75, 0.3, tone="dark")
    pen.line((-0.4, 0.6), (-0.65, 0.95), tone="dark", width=0.2)
    pen.line((0.4, 0.6), (0.65, 0.95), tone="dark", width=0.2)
    pen.oval(0, 0, 0.85)
    yield
    pen.oval(0, 0, 0.55, tone="white")
    pen.line((0, 0), (0, -0.4), width=0.09)
    pen.line((0, 0), (0.3, 0.15), width=0.09)


def bottle(pen):
    pen.box(-0.14, -1, 0.14, -0.5, tone="dark")
    pen.poly((-0.14, -0.7), (0.14, -0.7), (0.42, -0.2), (0.42, 0.2), (-0.42, 0.2),
             (-0.42, -0.2))  # fmt: skip
    pen.box(-0.42, 0.1, 0.42, 0.98)
    yield
    pen.box(-0.42, 0.1, 0.42, 0.6, tone="white")
    pen.line((-0.4, 0.1), (0.4, 0.1), width=0.06)
    pen.line((-0.4, 0.6), (0.4, 0.6), width=0.06)


def spoon(pen):
    pen.oval(-0.62, -0.62, 0.4)
    pen.line((-0.4, -0.4), (0.9, 0.9), tone="base", width=0.22)
    yield
    pen.oval(-0.66, -0.66, 0.18, tone="dark")


def teapot(pen):
    pen.ring(0.62, 0.1, 0.36, 0.36, width=0.16)
    pen.poly((-0.5, 0.45), (-0.95, -0.35), (-0.75, -0.4), (-0.4, 0.05))
    pen.oval(0.05, 0.2, 0.62, 0.58)
    pen.oval(0.05, -0.45, 0.14)
    yield
    pen.line((-0.35, -0.2), (0.45, -0.2), width=0.08)
    pen.ring(0.05, 0.2, 0.4, 0.38, 120, 200, tone="white", width=0.1)


def umbrella(pen):
    pen.poly(
        (-1, 0.1), (-0.8, -0.5), (-0.3, -0.85), (0.3, -0.85), (0.8, -0.5), (1, 0.1)
    )
    pen.box(-0.07, 0, 0.07, 0.8, tone="dark")
    pen.ring(0.16, 0.75, 0.23, 0.24, 0, 180, tone="dark", width=0.14)
    yield
    for x in (-0.5, 0.5):
        pen.line((0, -0.8), (x * 0.75, -0.3), (x, 0.08), width=0.06)
    for x in (-0.75, -0.25, 0.25, 0.75):
        pen.oval(x, 0.12, 0.22, 0.08, tone="ink")


def sock(pen):
    pen.box(-0.1, -1, 0.55, 0.4)
    pen.poly((-0.1, 0.2), (0.55, 0.2), (0.55, 0.5), (0.2, 0.95), (-0.6, 0.98),
             (-0.9, 0.7), (-0.75, 0.4))  # fmt: skip
    yield
    pen.box(-0.1, -1, 0.55, -0.72, tone="white")
    pen.line((-0.08, -0.72), (0.53, -0.72), width=0.07)
    pen.line((0.5, 0.1), (0.2, 0.45), width=0.07)


def shirt(pen):
    pen.poly((-0.4, -0.8), (0.4, -0.8), (1, -0.4), (0.8, 0.1), (0.5, -0.08),
             (-0.5, -0.08), (-0.8, 0.1), (-1, -0.4))  # fmt: skip
    pen.box(-0.5, -0.3, 0.5, 0.9)
    yield
    pen.oval(0, -0.78, 0.26, 0.16, tone="ink")
    for y in (-0.3, 0.1, 0.5):
        pen.oval(0, y, 0.08, tone="white")


def crown(pen):
    pen.poly((-0.9, 0.7), (-1, -0.5), (-0.45, 0.1), (0, -0.75), (0.45, 0.1), (1, -0.5),
             (0.9, 0.7))  # fmt: skip
    for x, y in ((-0.98, -0.55), (0, -0.8), (0.98, -0.55)):
        pen.oval(x * 0.95, y, 0.14)
    yield
    pen.line((-0.88, 0.42), (0.88, 0.42), width=0.08)
    for x in (-0.45, 0, 0.45):
        pen.oval(x, 0.2, 0.1, 0.12, tone="white")


DRAWINGS = (
    chair, table, bed, lamp, clock, bottle, spoon, teapot, umbrella, sock, shirt, crown,
)  # fmt: skip
