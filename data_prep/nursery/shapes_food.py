"""Drawings of food. See `shapes_first` for the form of a drawing."""


def apple(pen):
    pen.line((0, -0.5), (0.12, -0.95), tone="dark", width=0.14)
    pen.oval(0.42, -0.75, 0.3, 0.14, tone="dark")
    pen.oval(-0.36, 0.1, 0.58, 0.68)
    pen.oval(0.36, 0.1, 0.58, 0.68)
    pen.oval(0, 0.3, 0.7, 0.6)
    yield
    pen.ring(0, -0.5, 0.28, 0.2, 20, 160, tone="ink", width=0.07)
    pen.oval(-0.55, -0.1, 0.12, 0.2, tone="white")


def banana(pen):
    pen.poly((-1, -0.35), (-0.8, -0.5), (-0.55, 0.0), (0, 0.2), (0.6, -0.1),
             (0.85, -0.65), (1.02, -0.6), (0.95, 0.1), (0.45, 0.65), (-0.2, 0.68),
             (-0.8, 0.3), smooth=1)  # fmt: skip
    yield
    pen.line((-0.75, 0.0), (-0.4, 0.32), (0.1, 0.45), (0.6, 0.2), width=0.06)
    pen.oval(0.93, -0.6, 0.1, tone="ink")


def carrot(pen):
    pen.line((0.5, -0.5), (0.95, -0.55), tone="dark", width=0.2)
    pen.line((0.5, -0.5), (0.85, -0.9), tone="dark", width=0.2)
    pen.line((0.5, -0.5), (0.45, -0.95), tone="dark", width=0.2)
    pen.poly((-0.98, 0.98), (0.2, -0.75), (0.6, -0.6), (0.72, -0.2), smooth=0)
    yield
    for x, y in ((0.1, -0.35), (-0.2, 0.1), (-0.45, 0.45)):
        pen.line((x, y), (x + 0.28, y + 0.12), width=0.07)


def cake(pen):
    pen.box(-0.9, -0.1, 0.9, 0.85, corner=0.08)
    pen.box(-0.08, -0.6, 0.08, 0, tone="light")
    pen.oval(0, -0.78, 0.12, 0.2, tone="light")
    yield
    pen.box(-0.9, -0.1, 0.9, 0.12, tone="white")
    for x in (-0.65, -0.22, 0.22, 0.65):
        pen.oval(x, 0.14, 0.2, 0.16, tone="white")
    pen.line((-0.88, 0.58), (0.88, 0.58), width=0.07)


def mushroom(pen):
    pen.poly((-0.3, 0.1), (0.3, 0.1), (0.4, 0.95), (-0.4, 0.95), tone="light")
    pen.poly((-1, 0.25), (-0.85, -0.45), (-0.35, -0.9), (0.35, -0.9), (0.85, -0.45),
             (1, 0.25))  # fmt: skip
    yield
    for x, y, r in ((-0.45, -0.2, 0.2), (0.1, -0.5, 0.2), (0.55, -0.05, 0.18)):
        pen.oval(x, y, r, tone="white")
    pen.line((-0.95, 0.24), (0.95, 0.24), width=0.07)


def pear(pen):
    pen.line((0, -0.7), (0.15, -1), tone="dark", width=0.13)
    pen.oval(0, -0.4, 0.36, 0.42)
    pen.poly((-0.33, -0.4), (0.33, -0.4), (0.6, 0.3), (-0.6, 0.3))
    pen.oval(0, 0.42, 0.66, 0.55)
    yield
    pen.ring(0, 0.35, 0.45, 0.5, 20, 80, tone="white", width=0.1)
    pen.oval(0, 0.9, 0.1, 0.06, tone="ink")


def ice_cream(pen):
    pen.poly((-0.5, 0), (0.5, 0), (0, 1.05), tone="dark")
    pen.oval(-0.3, -0.15, 0.36)
    pen.oval(0.3, -0.15, 0.36)
    pen.oval(0, -0.6, 0.38)
    yield
    pen.line((-0.42, 0.2), (0.3, 0.5), width=0.06)
    pen.line((0.42, 0.2), (-0.3, 0.5), width=0.06)
    pen.line((-0.6, 0.1), (0.6, 0.1), width=0.08)


def cheese(pen):
    pen.poly((-1, 0.05), (0.75, -0.65), (1, 0), (1, 0.65), (-1, 0.65))
    yield
    pen.line((-0.95, 0.05), (0.98, 0.03), width=0.08)
    for x, y, r in ((-0.5, 0.38, 0.15), (0.1, 0.3, 0.12), (0.6, 0.4, 0.17)):
        pen.oval(x, y, r, tone="ink")
    pen.oval(0.45, -0.25, 0.13, 0.09, tone="ink")


DRAWINGS = (apple, banana, carrot, cake, mushroom, pear, ice_cream, cheese)
