"""What the caregiver says in a recording: a timed transcript as an ASR would give it.

Most lines name what is in view at that time, in many forms, because that is what words
can be learned from. Some are off-topic, some have a low confidence or are too short.
The older the child, the longer the phrases.
"""

import numpy as np

from data_prep.nursery import vocabulary as words
from data_prep.nursery.camera import Camera, Shot
from data_prep.nursery.layout import Placed

_OFF_TOPIC = 0.10  # of the lines
_GAME = 0.04
_LOW_CONFIDENCE = 0.04
_TOO_SHORT = 0.03
_SECONDS_PER_WORD = 0.2
_LATEST_OVERHANG_S = 0.4  # a line may end this much after its shot
_TRIES = 6
_QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
_SPEAKERS = ("mother", "father", "grandmother")

# Stage of the child (0: first year, 1: second, 2: later) -> (phrases, weight) by shot.
_APPROACH = (
    ((words.NAME, 6), (words.COLOUR, 2), (words.YES_NO, 5), (words.CAPTION, 3)),
    ((words.NAME, 4), (words.COLOUR, 2), (words.YES_NO, 5), (words.MARK, 1.5),
     (words.SIZE, 0.5), (words.CAPTION, 3)),
    ((words.NAME, 3), (words.COLOUR, 2), (words.YES_NO, 5), (words.MARK, 2.5),
     (words.SIZE, 0.5), (words.SIZE_COLOUR, 0.7), (words.CAPTION, 3)),
)  # fmt: skip


class Caregiver:
    """Fills phrases with the facts of the scene."""

    def __init__(self, world, room: str, age_days: int, rng: np.random.Generator):
        """Sets the scene.

        Args:
            world: whose categories the caregiver knows.
            room: name of the room.
            age_days: age of the child.
            rng: the recording's generator.
        """
        self._world, self._room, self._rng = world, room, rng
        self._stage = 0 if age_days < 365 else 1 if age_days < 730 else 2

    def _pick(self, options):
        return options[self._rng.integers(len(options))]

    def _weighted(self, table, placed: Placed) -> str:
        """Picks a phrase of a table whose slots the thing can fill."""
        thing = placed.thing
        if thing.mark is None:
            lacking = (words.COLOUR, words.MARK, words.SIZE_COLOUR)
        else:
            lacking = (words.CAPTION,)
        usable = [row for row in table if row[0] not in lacking]
        weights = np.array([row[1] for row in usable], float)
        return self._pick(
            usable[self._rng.choice(len(usable), p=weights / weights.sum())][0]
        )

    def _other(self, noun: str) -> str:
        others = [name for name in self._world.categories if name != noun]
        return self._pick(others)

    def _number(self, number: int) -> str:
        return str(number) if self._rng.random() < 0.3 else words.NUMBERS[number]

    def _fill(
        self, phrase: str, placed: Placed, other: str | None = None, **more
    ) -> str:
        thing = placed.thing
        other = other or self._other(thing.category)
        slots = {
            "n": thing.category,
            "a": words.with_article(thing.category),
            "ns": words.plural(thing.category),
            "o": other,
            "oa": words.with_article(other),
            "os": words.plural(other),
            "s": self._pick(words.SIZE_WORDS[thing.size]),
            "c": thing.colour,
            "cap": thing.caption,
            "room": self._room,
            **more,
        }
        if thing.mark is not None:
            colour, kind, side = thing.mark
            slots.update(m=f"{colour} {kind}", side=side)
        return phrase.format(**slots)

    def _counts(self, seen: list[Placed]) -> list[tuple[Placed, int]]:
        """One thing of each category in view, with how many there are."""
        first = {}
        for placed in seen:
            first.setdefault(placed.thing.category, placed)
        names = [placed.thing.category for placed in seen]
        return [(placed, names.count(name)) for name, placed in first.items()]

    def count(self, seen: list[Placed]) -> str:
        """Says how many there are of one or two kinds."""
        counts = self._counts(seen)
        index = self._rng.permutation(len(counts))
        placed, number = counts[index[0]]
        many = max(counts, key=lambda pair: pair[1])
        if many[1] > 1 and self._rng.random() < 0.6:
            placed, number = many
        others = [pair for pair in counts if pair[0] is not placed]
        noun = placed.thing.category
        forms = {"k": f"{self._number(number)} {_inflect(noun, number)}"}
        if not others or self._rng.random() < 0.5:
            return self._fill(self._pick(words.COUNT), placed, **forms)
        second, number2 = self._pick(others)
        other = second.thing.category
        if number > number2 and self._rng.random() < 0.4:
            return self._fill(self._pick(words.MORE), placed, other)
        forms["k2"] = f"{self._number(number2)} {_inflect(other, number2)}"
        return self._fill(self._pick(words.COUNT_TWO), placed, other, **forms)

    def about(self, shot: Shot, moment: float, seen: list[Placed]) -> str | None:
        """Says something true of a shot, or None if there is nothing to say.

        Args:
            shot: what the camera does.
            moment: 0 at its start, 1 at its end.
            seen: what is in view.
        """
        if shot.kind == "approach":
            return self._fill(self._weighted(_APPROACH[self._stage], shot.targets[0]),
                              shot.targets[0])  # fmt: skip
        if shot.kind == "pan":
            phrase = self._pick(words.PAN_START if moment < 0.6 else words.PAN_END)
            return self._fill(phrase, shot.targets[0], place=shot.direction)
        if shot.kind == "away":
            return self._pick(words.AWAY)
        if not seen:
            return None
        if self._rng.random() < (0.8 if shot.kind == "group" else 0.2):
            return self.count(seen)
        if shot.kind == "scan" and shot.targets:
            return self._scan(shot.targets)
        first, second = self._rng.permutation(len(seen))[[0, -1]]
        other = seen[second].thing.category
        wide = shot.kind == "wide" and self._rng.random() < 0.6
        phrase = self._pick(words.WIDE if wide else words.PAIR)
        if other == seen[first].thing.category:
            phrase = self._pick(words.NAME)
        return self._fill(phrase, seen[first], other)

    def _scan(self, four: tuple[Placed, ...]) -> str:
        """Says where things are in a group of four."""
        rng = self._rng
        names = [placed.thing.category for placed in four]
        if rng.random() < 0.15 * self._stage:
            places = [f"{q} {n}" for q, n in zip(_QUADRANTS, names, strict=True)]
            return " ".join(places if rng.random() < 0.7 else places[:2])
        index = int(rng.integers(4))
        other = names[(index + int(rng.integers(1, 4))) % 4]
        table = words.PLACE if rng.random() < 0.75 else words.PAIR
        if names.count(names[index]) > 1:
            return self._fill(self._pick(words.NAME), four[index])
        return self._fill(
            self._pick(table), four[index], other, place=_QUADRANTS[index]
        )

    def noise(self) -> str | None:
        """A line that has nothing to do with what is in view, or None."""
        draw = self._rng.random()
        if draw < _OFF_TOPIC:
            return self._pick(words.OFF_TOPIC)
        return self._pick(words.GAMES) if draw < _OFF_TOPIC + _GAME else None


def _inflect(noun: str, number: int) -> str:
    return noun if number == 1 else words.plural(noun)


def _line(text: str, start: float, duration: float, confidence: float, speaker) -> dict:
    return {
        "start_s": round(start, 2),
        "end_s": round(start + duration, 2),
        "text": text,
        "confidence": round(confidence, 2),
        "speaker": speaker,
    }


def make_transcript(camera: Camera, caregiver: Caregiver, in_view, duration_s, rng):
    """Speaks through all shots of a recording.

    Args:
        camera: the programme.
        caregiver: who speaks.
        in_view: function of a time giving the `Placed` things fully in view.
        duration_s: length of the recording; nothing is said after it.
        rng: the recording's generator.

    Returns:
        list of transcript lines in order of time.
    """
    lines = []
    main = _SPEAKERS[rng.choice(3, p=(0.6, 0.3, 0.1))]
    now = 0.0
    for shot in camera.shots:
        now = max(now, shot.start_s + rng.uniform(0.0, 0.2))
        while now < shot.end_s:
            speaker = main if rng.random() < 0.9 else _SPEAKERS[rng.integers(3)]
            last = min(shot.end_s + _LATEST_OVERHANG_S, duration_s)
            line = _speak(shot, caregiver, in_view, now, last, speaker, rng)
            if line is None:
                break
            lines.append(line)
            now = line["end_s"] + rng.uniform(0.1, 0.35)
    return lines


def _speak(shot, caregiver, in_view, now, last, speaker, rng) -> dict | None:
    """One line that starts at `now` and ends before `last`, or None."""
    if rng.random() < _TOO_SHORT and now + 0.5 < last:
        text = words.SHORT[rng.integers(len(words.SHORT))]
        return _line(text, now, rng.uniform(0.2, 0.45), rng.uniform(0.4, 0.9), speaker)
    moment = (now - shot.start_s) / (shot.end_s - shot.start_s)
    for attempt in range(_TRIES):
        text = caregiver.noise() if attempt == 0 else None
        text = text or caregiver.about(shot, moment, in_view(now + 0.5))
        if text is None:
            return None
        spoken = text.split()
        duration = 0.35 + _SECONDS_PER_WORD * len(spoken) * rng.uniform(0.85, 1.15)
        if now + duration > last:
            continue
        confidence = rng.uniform(0.55, 0.98)
        if rng.random() < _LOW_CONFIDENCE:  # misheard: some words are lost
            text = " ".join(word for word in spoken if rng.random() < 0.6) or spoken[0]
            confidence = rng.uniform(0.05, 0.29)
        return _line(text, now, duration, confidence, speaker)
    return None
