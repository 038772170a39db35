"""The head camera: a programme of shots, and the pose of the camera at any time.

A pose is the centre of the view (cells), the length of the frame's shorter side (cells)
and a small roll (radians). Kinds of shot:

    approach   one thing fills most of the frame, held while it is named
    scan       2x2 cells with four kinds of things, one in each quadrant
    group      2x2 cells with several things of one kind, to be counted
    pan        from one thing steadily away, so that it leaves the frame on one side
    wide       most of the room
    away       a blank piece of wall or floor
"""

import dataclasses

import numpy as np

from data_prep.nursery import layout
from data_prep.nursery.layout import Placed, Scene

# Where a thing leaves the frame, as (x, y) with y down.
DIRECTIONS = {
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
_DECK = (
    "approach", "approach", "approach", "approach", "scan", "scan", "group", "pan",
    "pan", "rest",
)  # fmt: skip
_HOLD_S = {"approach": 4.4, "scan": 2.6, "group": 2.2, "wide": 2.0, "away": 1.2}
_MOVE_S = 0.8
_PAN_STILL_S = 0.8
_SHAKE = 0.012  # of the view
_ROLL = 0.03  # radians


@dataclasses.dataclass(frozen=True)
class Shot:
    """One shot; the camera stands (or pans) from `start_s` to `end_s`.

    Attributes:
        kind: approach, scan, group, pan, wide or away.
        targets: what it is about; four things in reading order for a scan.
        direction: where the target of a pan leaves the frame.
    """

    kind: str
    start_s: float
    end_s: float
    targets: tuple[Placed, ...] = ()
    direction: str | None = None


class Camera:
    """A programme with its key frames.

    Attributes:
        shots: in order of time.
    """

    def __init__(self, scene: Scene, duration_s: float, aspect: float, index: int, rng):
        """Plans the programme.

        Args:
            scene: what stands in the room.
            duration_s: length of the recording.
            aspect: frame width / height.
            index: number of the recording; pans take the eight directions in turn.
            rng: the recording's generator.
        """
        self.shots: list[Shot] = []
        self._scene, self._aspect, self._rng = scene, aspect, rng
        self._long_side = max(aspect, 1 / aspect)
        self._keys: list[tuple[float, float, float, float]] = []
        self._singles = [
            p for p in scene.placed if scene.count(p.thing.category) == 1
        ] or list(scene.placed)
        self._unseen: list[Placed] = []
        self._framings = {
            "approach": self._frame_approach,
            "scan": self._frame_scan,
            "group": self._frame_group,
            "wide": self._frame_wide,
            "away": self._frame_away,
        }
        pans_before = 3 * index  # coprime to 8: recordings begin on all directions
        now = 0.0
        while now < duration_s:
            for kind in rng.permutation(_DECK):
                if now >= duration_s:
                    break
                if kind == "rest":
                    kind = str(rng.choice(["wide", "away"]))
                if kind == "pan":
                    direction = list(DIRECTIONS)[pans_before % len(DIRECTIONS)]
                    pans_before += 1
                    now = self._pan(now, direction)
                else:
                    now = self._hold(str(kind), now)
        self._phases = rng.uniform(0, 2 * np.pi, 6)

    def _key(self, time_s: float, x: float, y: float, view: float) -> None:
        self._keys.append((time_s, x, y, view))

    def _next_single(self) -> Placed:
        """Takes the things of the room in turn, so that all are seen."""
        if not self._unseen:
            order = self._rng.permutation(len(self._scene.placed))
            self._unseen = [self._scene.placed[i] for i in order]
        return self._unseen.pop()

    def _hold(self, kind: str, now: float) -> float:
        """Adds a shot that stands still; returns when it ends."""
        start = now + (_MOVE_S if self._keys else 0.0)
        end = start + _HOLD_S[kind]
        targets, x, y, view = self._framings[kind]()
        self.shots.append(Shot(kind, start, end, targets))
        drift = self._rng.normal(0, 0.015, 2) * view
        self._key(start, x, y, view)
        self._key(end, x + drift[0], y + drift[1], view * self._rng.uniform(0.96, 1.04))
        return end

    def _frame_approach(self):
        target = self._next_single()
        view = target.length / self._rng.uniform(0.55, 0.8)
        x, y = self._rng.normal(0, 0.03, 2) * view
        return (target,), target.x + x, target.y + y, view

    def _squares(self):
        """All 2x2 cells: column, row and the things in them, in reading order."""
        for row in range(layout.ROWS - 1):
            for column in range(layout.COLUMNS - 1):
                cells = [(column + i, row + j) for j in (0, 1) for i in (0, 1)]
                things = (self._scene.at(*cell) for cell in cells)
                yield column, row, tuple(thing for thing in things if thing)

    def _frame_square(self, squares):
        """Frames one of some 2x2 cells."""
        column, row, things = squares[self._rng.integers(len(squares))]
        x, y = self._rng.normal(0, 0.04, 2)
        centre = (layout.MARGIN + column + 1 + x, layout.MARGIN + row + 1 + y)
        return things, *centre, self._rng.uniform(1.85, 2.1)

    def _frame_scan(self):
        full = [square for square in self._squares() if len(square[2]) == 4]
        if not full:
            return self._frame_wide()
        most = max(_num_kinds(things) for *_, things in full)
        return self._frame_square([s for s in full if _num_kinds(s[2]) == most])

    def _frame_group(self):
        groups = [s for s in self._squares() if _num_kinds(s[2]) < len(s[2])]
        _, *framing = self._frame_square(groups)
        return (), *framing

    def _frame_wide(self):
        x = layout.MARGIN + self._rng.uniform(1.5, layout.COLUMNS - 1.5)
        y = layout.MARGIN + self._rng.uniform(1.5, layout.ROWS - 1.5)
        view = min(self._rng.uniform(2.8, 4.2), 6.8 / self._long_side)
        return (), x, y, view

    def _frame_away(self):
        view = self._rng.uniform(0.9, 1.2)
        edge = 0.6 * view * max(1.0, self._aspect)
        side = self._rng.choice([edge, layout.WIDTH - edge])
        y = self._rng.uniform(1.0, layout.HEIGHT - 1.0)
        return (), float(side), y, view

    def _pan(self, now: float, direction: str) -> float:
        """Adds a pan that makes a thing leave the frame; returns when it ends."""
        rng = self._rng
        target = self._singles[rng.integers(len(self._singles))]
        start = now + (_MOVE_S if self._keys else 0.0)
        moving = start + _PAN_STILL_S
        end = moving + rng.uniform(1.3, 1.7)  # 6 to 9 frames at 5 fps
        view = min(rng.uniform(1.2, 1.45), 1.9 / self._long_side)
        view = max(view, 1.2 * target.length)
        wide, high = view * max(self._aspect, 1), view * max(1 / self._aspect, 1)
        x, y = (target.x, target.y) + rng.normal(0, 0.02, 2) * view
        dx, dy = DIRECTIONS[direction]
        # Just past the border: the thing is gone when the pan ends.
        reach = 0.5 * target.length + 0.06
        self._key(start, x, y, view)
        self._key(moving, x, y, view)
        self._key(end, x - dx * (wide / 2 + reach), y - dy * (high / 2 + reach), view)
        self.shots.append(Shot("pan", start, end, (target,), direction))
        return end

    def poses(self, times: np.ndarray) -> np.ndarray:
        """Poses of the camera.

        Args:
            times: f64[F] seconds.

        Returns:
            f64[F, 4]: centre x, centre y, view, roll.
        """
        keys = np.array(self._keys)
        after = np.clip(np.searchsorted(keys[:, 0], times, "right"), 1, len(keys) - 1)
        first, second = keys[after - 1], keys[after]
        span = np.maximum(second[:, 0] - first[:, 0], 1e-6)
        share = np.clip((times - first[:, 0]) / span, 0, 1)
        steady = np.array([self._is_pan(t) for t in first[:, 0]])
        share = np.where(steady, share, share * share * (3 - 2 * share))
        pose = first[:, 1:] + share[:, None] * (second[:, 1:] - first[:, 1:])
        wave = [
            np.sin(2 * np.pi * rate * times + phase)
            for rate, phase in zip(
                (0.31, 0.43, 0.83, 0.97, 0.23, 0.5), self._phases, strict=True
            )
        ]
        pose[:, 0] += _SHAKE * pose[:, 2] * (wave[0] + 0.5 * wave[2])
        pose[:, 1] += _SHAKE * pose[:, 2] * (wave[1] + 0.5 * wave[3])
        roll = _ROLL * (wave[4] + 0.4 * wave[5])
        return np.concatenate([pose, roll[:, None]], axis=1)

    def _is_pan(self, time_s: float) -> bool:
        return any(s.kind == "pan" and s.start_s < time_s < s.end_s for s in self.shots)


def _num_kinds(things: tuple[Placed, ...]) -> int:
    return len({placed.thing.category for placed in things})
