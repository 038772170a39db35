"""Clean sets of every task, and sets with one fault planted in each.

Pictures are blocks of random colours; nothing in a clean set tells an answer, not even
what is asked for.
"""

import functools
import io

import numpy as np
from PIL import Image

from babyvlm_jax.data.schema import Record
from data_prep.devcv.audit.facts import facts_of
from data_prep.devcv.tasks import TASKS as BUILT
from data_prep.devcv.tasks import vdr
from data_prep.devcv.tasks.memory import question as asked_in_memory

NUMBER = 120  # items of a set: enough for the blind readers
SIDE = 32
NOUNS = ("ball", "cup", "hat", "key", "shoe")


@functools.cache
def blocks(seed: int, side: int = SIDE) -> np.ndarray:
    """u8[S, S, 3] of 4x4 blocks."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return colours.repeat(side // 4, axis=0).repeat(side // 4, axis=1)


def encode(pixels: np.ndarray, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, form, **options)
    return out.getvalue()


@functools.cache
def picture(seed: int) -> bytes:
    return encode(blocks(seed))


def canvas(copies: int, side: int, seed: int) -> bytes:
    """Squares of one size and colour on black, none beside another."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    rng = np.random.default_rng(seed)
    cells, colour = rng.permutation(16)[:copies], rng.integers(40, 256, 3)
    for cell in cells:
        y, x = 24 * (cell // 4) + 1, 24 * (cell % 4) + 1
        pixels[y : y + side, x : x + side] = colour
    return encode(pixels)


def record(task, number, prompt, answer, images, split="test", **meta) -> Record:
    turns = (("human", prompt), ("assistant", answer))
    return Record(f"{task}_{number:04d}", f"eval/{task}", tuple(images), turns, meta)


def fresh(number: int, count: int, start: int = 0) -> list[bytes]:
    """Pictures that no other item has."""
    first = 10_000 * (start + 1) + 10 * number
    return [picture(first + k) for k in range(count)]


def noun(number: int) -> str:
    return NOUNS[np.random.default_rng(number).integers(len(NOUNS))]


def prompt_of(task: str, noun: str = "ball", wording: str = "saycam") -> str:
    return BUILT[task].example(wording).replace("ball", noun)


def picture_vocabulary(k, start=0):
    prompt = prompt_of("picture_vocabulary", noun(k), "ego4d")
    return record("picture_vocabulary", k, prompt, "ABCD"[k % 4], fresh(k, 4, start))


def lwl(k, start=0):
    prompt = prompt_of("lwl", noun(k))
    return record("lwl", k, prompt, "AB"[k % 2], fresh(k, 2, start))


def localize(k, start=0):
    prompt = prompt_of("localize", noun(k))
    return record("localize", k, prompt, "ABCD"[k % 4], fresh(k, 1, start))


def leftright(k, start=0):
    query = blocks(10_000 * (start + 1) + 10 * k)
    options = [query[:, ::-1], query[::-1]]
    options.insert(k % 3, query)
    images = [encode(pixels) for pixels in (query, *options)]
    return record("leftright", k, prompt_of("leftright"), "ABC"[k % 3], images)


def spatialdetails(k, start=0):
    prompt = prompt_of("spatialdetails")
    return record("spatialdetails", k, prompt, "ABC"[k % 3], fresh(k, 4, start))


def vdr_binary(k, start=0):
    sides = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))
    prompt = vdr.question_binary(noun(k), 5, sides[k % 4])
    answer = sides[k % 4][(k // 4) % 2]
    return record("vdr_binary", k, prompt, answer, fresh(k, 5, start))


def vdr_open(k, start=0):
    sides = ("left", "right", "top", "bottom")
    answers = (*sides, *(f"{v} {h}" for v in sides[2:] for h in sides[:2]))
    prompt = prompt_of("vdr_open", noun(k))
    return record("vdr_open", k, prompt, answers[k % 8], fresh(k, 5, start))


def memory(k, start=0):
    """Fifteen rounds; a thing that comes back looks like another picture."""
    rng = np.random.default_rng(k)
    turns, images = [], fresh(k, 1, start)
    turns += [("human", asked_in_memory(True)), ("assistant", "A")]
    for number in range(1, 15):
        images += [
            picture(2_000_000 * (start + 1) + 100 * k + 2 * number + i) for i in (0, 1)
        ]
        turns += [("human", asked_in_memory(False))]
        turns += [("assistant", "AB"[rng.integers(2)])]
    return Record(f"memory_{k:04d}", "eval/memory", tuple(images), tuple(turns))


def compare_real(k, start=0):
    prompt = prompt_of("compare_real", noun(k))
    return record("compare_real", k, prompt, "AB"[k % 2], fresh(k, 2, start))


def compare_synthetic(k, start=0):
    """More things, of any size."""
    rng = np.random.default_rng([start, k])
    low, high = sorted(rng.choice(range(1, 11), 2, replace=False))
    sizes = rng.permutation((8, 22)) if k // 2 % 2 else (22, 7 if low * 3 > high else 5)
    first = 10_000 * start + 2 * k
    order = [(low, sizes[0], first), (high, sizes[1], first + 1)]
    order = order if k % 2 else order[::-1]
    images = [canvas(int(n), int(s), seed) for n, s, seed in order]
    prompt = prompt_of("compare_synthetic", noun(k))
    return record("compare_synthetic", k, prompt, "AB"[k % 2], images)


def count(k, start=0, leaky=False, largest=12):
    rng = np.random.default_rng([start, k])
    copies = k % largest + 1
    side = round(22 / copies**0.5) + 1 if leaky else int(rng.integers(8, 22))
    task = "count" if largest == 12 else "subitize"
    image = canvas(copies, side, int(rng.integers(2**31)))
    return record(task, k, prompt_of("count", noun(k)), str(copies), [image])


def subitize(k, start=0):
    return count(k, start, largest=4)


TASKS = {
    make.__name__: make
    for make in (
        *(picture_vocabulary, lwl, localize, leftright, spatialdetails),
        *(vdr_binary, vdr_open, memory, compare_real, compare_synthetic),
        *(count, subitize),
    )
}


def clean(task: str, number: int = NUMBER, start: int = 0) -> list[Record]:
    """A set without a fault."""
    number = number // 6 if task == "memory" else number
    return [TASKS[task](k, start) for k in range(number)]


def splits(task: str, **records) -> dict[str, list]:
    """Split -> facts."""
    return {name: [facts_of(r, task) for r in some] for name, some in records.items()}
