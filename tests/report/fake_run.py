"""A run folder as the trainer, the evaluator and data_prep.devcv leave it, made up.

`python tests/report/fake_run.py DIR` writes one to look at.
"""

import io
import json
import math
import pathlib
import random
import sys

from PIL import Image, ImageDraw

from babyvlm_jax.data.schema import Record, write_dataset
from tests.evals import contents

NOUNS = ("ball", "cup", "teddy bear", "duck", "spoon", "book", "shoe", "car")
COLOURS = ("#c8452f", "#e0a526", "#3f7fbf", "#4c9a5b", "#8d5aa8", "#d97ba6")
LETTERS = "ABCD"
WORDS, EXEC, MATH = "Language", "Executive Function/Memory", "Math"

AGES = {
    **dict.fromkeys(("loc", "lr", "sd"), (1, 42)),
    **dict.fromkeys(("vdr", "mem"), (22, 42)),
    **dict.fromkeys(("pv", "more", "sub", "count"), (25, 42)),
    "lwl": (6, 24),
}

# name: title, group, domain, headline, held_out, primary, chance, score
TASKS = {
    "lwl": ("Looking While Listening", "lwl", WORDS, 1, 1, "accuracy", 0.5, 0.86),
    "picture_vocabulary": (
        "Picture Vocabulary",
        "pv",
        WORDS,
        1,
        0,
        "accuracy",
        0.25,
        0.78,
    ),
    "localize": ("Localization", "loc", WORDS, 1, 0, "accuracy", 0.25, 0.915),
    "leftright": ("Left/Right", "lr", EXEC, 1, 0, "accuracy", 1 / 3, 0.9),
    "spatialdetails": ("Spatial Details", "sd", EXEC, 1, 0, "accuracy", 1 / 3, 0.445),
    "vdr_binary": ("Visual Delayed Response", "vdr", EXEC, 1, 0, "exact", 0.5, 0.81),
    "memory": ("Delayed Memory", "mem", EXEC, 1, 0, "adjusted", 0.25, 0.663),
    "vdr_open": (
        "Visual Delayed Response (open)",
        "vdr",
        EXEC,
        0,
        0,
        "exact",
        0.125,
        0.52,
    ),
    "compare_real": (
        "Who Has More (naturalistic)",
        "more",
        MATH,
        0,
        0,
        "accuracy",
        0.5,
        0.69,
    ),
    "compare_synthetic": ("Who Has More", "more", MATH, 1, 0, "accuracy", 0.5, 0.535),
    "subitize": ("Subitizing", "sub", MATH, 1, 1, "accuracy", 1 / 3, 0.72),
    "count": ("Object Counting", "count", MATH, 1, 0, "accuracy", 1 / 12, 0.38),
}
LOSSES = {
    "language": (8.2, 2.4, 240),
    "vision": (7.6, 4.1, 300),
    "connector": (3.4, 2.6, 90),
    "joint": (2.6, 1.55, 1200),
    "instruct": (1.9, 0.31, 900),
}


def picture(rng, number=1, black=False) -> bytes:
    """A 96-pixel frame with `number` blobs."""
    frame = Image.new("RGB", (96, 96), "black" if black else "#d8cdb8")
    draw = ImageDraw.Draw(frame)
    if not black:
        draw.rectangle((0, 60, 96, 96), fill="#a58f74")
    size = 60 / math.sqrt(number) * rng.uniform(0.5, 1)
    for _ in range(number):
        x, y = rng.uniform(0, 96 - size), rng.uniform(0, 96 - size)
        draw.ellipse((x, y, x + size, y + size), fill=rng.choice(COLOURS))
    out = io.BytesIO()
    frame.save(out, "JPEG", quality=92)
    return out.getvalue()


def _options(rng, count):
    letters = LETTERS[:count]
    return "".join(f" ({letter}) <image>" for letter in letters), rng.choice(letters)


def _item(task, rng):
    """Prompt, answer, wrong answer, pictures and facts of a single-turn item."""
    noun = rng.choice(NOUNS)
    if task in ("count", "subitize"):
        number = rng.randint(1, 3 if task == "subitize" else 12)
        prompt = f"<image> How many of {noun} do you see?"
        return prompt, str(number), str(number + 1), [picture(rng, number, True)], {}
    if task == "localize":
        prompt = (
            f"<image> Point at the {noun}. Is it in the (A) top left or (B) top right "
            "or (C) bottom left or (D) bottom right of the image?"
        )
        return prompt, "D", "B", [picture(rng)], {"noun": noun}
    if task.startswith("vdr"):
        frames = [picture(rng) for _ in range(rng.randint(5, 10))]
        prompt = "<image>" * len(frames) + (
            f" which part of the frame does the {noun} leave from? respond ONLY with "
            "one of: 'top', 'bottom', 'left', 'right', 'top right', 'top left', "
            "'bottom right', or 'bottom left'."
        )
        return prompt, "top left", "bottom right", frames, {"noun": noun}
    count = {"lwl": 2, "picture_vocabulary": 4}.get(task, 3)
    question = f"Touch the image of '{noun}'"
    query, facts = "", {}
    if task in ("leftright", "spatialdetails"):
        question, query = " Which of the following is the same as this?", "<image>"
    elif task.startswith("compare"):
        question, count = f"Which image has more of {noun}? Answer", 2
    else:
        facts = {"word": noun, "options": rng.sample(NOUNS, count)}
    marks, answer = _options(rng, count)
    wrong = next(letter for letter in LETTERS if letter != answer)
    images = [picture(rng) for _ in range(count + bool(query))]
    return query + question + marks, answer, wrong, images, facts


def _dialogue(rng):
    """15 rounds of the memory task as (prompt, answer, labels, pictures)."""
    items = [(f"{noun} {at}", picture(rng)) for at in range(2) for noun in NOUNS][:15]
    old, fresh = items[:5], items[5:]
    pairs = [(old[at - 1], old[at]) for at in range(1, 5)]
    for start in (0, 5):
        shuffled = rng.sample(old, 5)
        pairs += list(zip(shuffled, fresh[start : start + 5], strict=True))
    rounds = [("Touch the new image. (A) <image>", "A", (old[0],))]
    for seen, new in pairs:
        options, answer = (
            ((new, seen), "A") if rng.random() < 0.5 else ((seen, new), "B")
        )
        prompt = "Let's try more. Touch the new image. (A) <image> (B) <image>"
        rounds.append((prompt, answer, options))
    return rounds


def _memory(index, rng, score):
    rounds = _dialogue(rng)
    said = []
    for _, answer, options in rounds:
        correct = len(options) == 1 or rng.random() < math.sqrt(score)
        prediction = answer if correct else "AB".replace(answer, "")
        said.append({"answer": answer, "prediction": prediction, "correct": correct})
    turns = [
        turn
        for prompt, answer, _ in rounds
        for turn in (("human", prompt), ("assistant", answer))
    ]
    images = tuple(image for _, _, options in rounds for _, image in options)
    labels = [[label for label, _ in options] for _, _, options in rounds]
    record = Record(
        f"memory_{index:03d}", "eval/memory", images, tuple(turns), {"labels": labels}
    )
    right = all(one["correct"] for one in said)
    return record, {"correct": right, "answer": "", "prediction": "", "rounds": said}


def _single(task, index, rng, score):
    prompt, answer, wrong, images, facts = _item(task, rng)
    correct = rng.random() < score
    turns = (("human", prompt), ("assistant", answer))
    record = Record(f"{task}_{index:03d}", f"eval/{task}", tuple(images), turns, facts)
    prediction = answer if correct else wrong
    return record, {"answer": answer, "prediction": prediction, "correct": correct}


def _make(task, index, rng):
    score = TASKS[task][-1]
    if task == "memory":
        return _memory(index, rng, score)
    return _single(task, index, rng, score)


def _metric(score, chance, num_items):
    half = 1.96 * math.sqrt(score * (1 - score) / num_items)
    return contents.metric(
        score, max(0, score - half), min(1, score + half), chance, num_items
    )


def result(name: str, num_items: int = 200) -> dict:
    """One task's entry of results.json."""
    title, group, domain, headline, held_out, primary, chance, score = TASKS[name]
    others = {}
    if name == "memory":
        others["learning"] = _metric(0.93, 0.6, num_items)
        others["raw"] = _metric(0.81, 0.5, num_items)
    if name.startswith("vdr"):
        others["adjacent"] = _metric(min(1, score + 0.15), 0.375, num_items)
    low, high = _metric(score, chance, num_items)["interval"]
    return contents.entry(
        title,
        score,
        low,
        high,
        chance,
        num_items,
        others=others,
        primary=primary,
        group=group,
        domain=domain,
        ages=list(AGES[group]),
        headline=bool(headline),
        held_out=bool(held_out),
        constant=chance + 0.02,
    )


def write_shards_and_predictions(shards, evaluation, num_items, tasks=tuple(TASKS)):
    """Writes devcv_TASK datasets and predictions.jsonl for them."""
    lines = []
    for task in tasks:
        rng = random.Random(task)
        made = [_make(task, index, rng) for index in range(num_items)]
        records = {"test": [record for record, _ in made]}
        drawn = "of a procedural (synthetic) world"
        write_dataset(shards, f"devcv_{task}", records, drawn)
        for record, said in made:
            entry = {"task": task, "id": record.id, "dataset": f"devcv_{task}"}
            entry |= {"source": "", "control": "", "protocol": "generate"}
            lines.append(json.dumps(entry | said))
    (evaluation / "predictions.jsonl").write_text("\n".join(sorted(lines)) + "\n")


def write_curves(workdir):
    """Writes metrics.jsonl and config.json of every phase."""
    rng = random.Random(0)
    for name, (start, end, steps) in LOSSES.items():
        (workdir / name).mkdir()
        lines = []
        for step in range(1, steps + 1):
            level = end + (start - end) * math.exp(-6 * step / steps)
            entry = {
                "step": step,
                "time_s": round(0.09 * step, 2),
                "train/loss": level * (1 + rng.gauss(0, 0.04)),
                "train/learning_rate": 1e-3,
            }
            lines.append(json.dumps(entry))
        (workdir / name / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        config = {"num_steps": steps}
        config["data"] = {"batch_size": 32, "mixture": {"devcv_count": 1.0, "text": 2}}
        config["optim"] = {"name": "muon", "lr_peak": 0.003}
        (workdir / name / "config.json").write_text(json.dumps(config))


def write_results(evaluation, tasks=tuple(TASKS), **changes):
    """Writes results.json; `changes` replace top-level fields."""
    entries = {name: result(name, 60 if name == "memory" else 200) for name in tasks}
    content = contents.content(entries)
    evaluation.mkdir(parents=True, exist_ok=True)
    (evaluation / "results.json").write_text(json.dumps(content | changes))


def write_run(workdir, num_items=30, tasks=tuple(TASKS)):
    """Writes a whole run folder with `num_items` test items for each task."""
    evaluation = workdir / "eval" / "900"
    write_results(evaluation, tasks)
    write_shards_and_predictions(workdir / "shards", evaluation, num_items, tasks)
    write_curves(workdir)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True)
    write_run(target)
