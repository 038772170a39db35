"""Drawings of vehicles, toys and the sky. See `shapes_first` for their form."""


def boat(pen):
    pen.poly((-1, 0.35), (1, 0.35), (0.65, 0.85), (-0.65, 0.85))
    pen.box(-0.1, -0.95, 0.02, 0.4, tone="dark")
    pen.poly((0.08, -0.9), (0.85, 0.2), (0.08, 0.2), tone="light")
    pen.poly((-0.18, -0.6), (-0.18, 0.2), (-0.75, 0.2))
    yield
    for x in (-0.4, 0, 0.4):
        pen.oval(x, 0.58, 0.1, tone="white")


def bus(pen):
    pen.box(-1, -0.6, 1, 0.5, corner=0.15)
    pen.oval(-0.55, 0.5, 0.24)
    pen.oval(0.55, 0.5, 0.24)
    yield
    for x in (-0.7, -0.25, 0.2):
        pen.box(x - 0.16, -0.42, x + 0.16, -0.05, tone="white")
    pen.box(0.5, -0.42, 0.8, 0.45, tone="ink")
    for x in (-0.55, 0.55):
        pen.oval(x, 0.52, 0.24, tone="ink")
        pen.oval(x, 0.52, 0.1, tone="white")


def plane(pen):
    pen.oval(0, 0, 1, 0.24)
    pen.poly((-0.3, 0), (0.15, -0.95), (0.4, -0.95), (0.25, 0))
    pen.poly((-0.3, 0), (0.15, 0.95), (0.4, 0.95), (0.25, 0))
    pen.poly((0.6, 0), (0.8, -0.5), (0.98, -0.5), (0.92, 0))
    yield
    for x in (-0.5, -0.2, 0.1, 0.4):
        pen.oval(x, -0.02, 0.08, tone="white")
    pen.oval(-0.85, 0, 0.1, 0.12, tone="ink")


def rocket(pen):
    pen.poly((-0.35, 0.2), (-0.8, 0.85), (-0.3, 0.7), tone="dark")
    pen.poly((0.35, 0.2), (0.8, 0.85), (0.3, 0.7), tone="dark")
    pen.poly((0, -1.05), (0.32, -0.6), (0.4, 0), (0.3, 0.75), (-0.3, 0.75), (-0.4, 0),
             (-0.32, -0.6))  # fmt: skip
    pen.poly((-0.2, 0.7), (0.2, 0.7), (0, 1.05), tone="light")
    yield
    pen.oval(0, -0.2, 0.2, tone="white")
    pen.ring(0, -0.2, 0.22, tone="ink", width=0.07)
    pen.line((-0.3, 0.3), (0.3, 0.3), width=0.07)


def train(pen):
    pen.box(0.2, -0.8, 0.95, 0.5)
    pen.box(-0.95, -0.15, 0.3, 0.5)
    pen.poly((-0.8, -0.75), (-0.35, -0.75), (-0.45, -0.1), (-0.7, -0.1), tone="dark")
    for x in (-0.65, -0.05, 0.6):
        pen.oval(x, 0.55, 0.26)
    yield
    pen.box(0.38, -0.6, 0.78, -0.15, tone="white")
    for x in (-0.65, -0.05, 0.6):
        pen.oval(x, 0.55, 0.24, tone="ink")
        pen.oval(x, 0.55, 0.09, tone="white")


def balloon(pen):
    pen.oval(0, -0.35, 0.58, 0.65)
    pen.poly((0, 0.22), (-0.14, 0.42), (0.14, 0.42))
    pen.line((0, 0.4), (0.12, 0.6), (-0.1, 0.8), (0.05, 1), tone="dark", width=0.08)
    yield
    pen.ring(0, -0.35, 0.4, 0.46, 190, 260, tone="white", width=0.12)


def kite(pen):
    pen.poly((0.1, -1), (0.7, -0.35), (0.1, 0.55), (-0.5, -0.35))
    pen.line((0.1, 0.5), (-0.2, 0.7), (0.1, 0.82), (-0.3, 1), tone="dark", width=0.1)
    yield
    pen.line((0.1, -0.95), (0.1, 0.5), width=0.07)
    pen.line((-0.46, -0.35), (0.66, -0.35), width=0.07)


def drum(pen):
    pen.oval(0, 0.6, 0.9, 0.3)
    pen.box(-0.9, -0.35, 0.9, 0.6)
    pen.oval(0, -0.35, 0.9, 0.3, tone="light")
    pen.line((0.1, -0.45), (0.8, -0.95), tone="dark", width=0.14)
    pen.line((-0.1, -0.45), (-0.8, -0.95), tone="dark", width=0.14)
    yield
    pen.line((-0.85, -0.05), (-0.42, 0.7), (0, 0.05), (0.42, 0.7), (0.85, -0.05),
             tone="white", width=0.08)  # fmt: skip
    pen.oval(0, -0.35, 0.78, 0.2, tone="white")


def guitar(pen):
    pen.line((0.1, -0.1), (0.85, -0.85), tone="dark", width=0.2)
    pen.oval(0.88, -0.86, 0.17, tone="dark")
    pen.oval(-0.42, 0.42, 0.58)
    pen.oval(0.05, -0.02, 0.38)
    yield
    pen.oval(-0.25, 0.25, 0.2, tone="ink")
    pen.line((-0.72, 0.45), (-0.45, 0.72), tone="white", width=0.1)


def bell(pen):
    pen.oval(0, 0.78, 0.22, tone="dark")
    pen.oval(0, -0.8, 0.18)
    pen.poly((-0.9, 0.6), (-0.6, 0.2), (-0.5, -0.4), (-0.2, -0.75), (0.2, -0.75),
             (0.5, -0.4), (0.6, 0.2), (0.9, 0.6))  # fmt: skip
    yield
    pen.line((-0.6, 0.3), (0.6, 0.3), width=0.08)
    pen.line((-0.3, -0.3), (-0.4, 0.1), tone="white", width=0.12)


def moon(pen):
    pen.oval(-0.1, 0, 0.95)
    pen.hole(0.42, -0.15, 0.75)
    yield
    pen.oval(-0.62, -0.1, 0.08, tone="ink")
    pen.ring(-0.5, 0.25, 0.16, 0.14, 20, 150, tone="ink", width=0.07)


def heart(pen):
    pen.oval(-0.46, -0.38, 0.52)
    pen.oval(0.46, -0.38, 0.52)
    pen.poly((-0.9, -0.12), (0.9, -0.12), (0, 0.95))
    pen.box(-0.5, -0.4, 0.5, 0)
    yield
    pen.ring(-0.45, -0.38, 0.32, 0.32, 170, 260, tone="white", width=0.12)


def cloud(pen):
    pen.oval(-0.5, 0.2, 0.48, 0.4)
    pen.oval(0.55, 0.22, 0.43, 0.38)
    pen.oval(0.02, -0.15, 0.52, 0.48)
    pen.box(-0.5, 0.2, 0.55, 0.6)
    yield
    pen.ring(0.02, -0.15, 0.34, 0.3, 200, 320, tone="white", width=0.1)
    pen.ring(-0.5, 0.2, 0.3, 0.22, 150, 270, tone="white", width=0.09)


def sun(pen):
    from_middle = (
        (1, 0), (0.71, 0.71), (0, 1), (-0.71, 0.71), (-1, 0), (-0.71, -0.71), (0, -1),
        (0.71, -0.71),
    )  # fmt: skip
    for x, y in from_middle:
        pen.line((0.4 * x, 0.4 * y), (0.92 * x, 0.92 * y), tone="base", width=0.16)
    pen.oval(0, 0, 0.58)
    yield
    for x in (-0.2, 0.2):
        pen.oval(x, -0.12, 0.08, tone="ink")
    pen.ring(0, 0.05, 0.28, 0.26, 20, 160, tone="ink", width=0.08)


DRAWINGS = (
    boat, bus, plane, rocket, train, balloon, kite, drum, guitar, bell, moon, heart,
    cloud, sun,
)  # fmt: skip
