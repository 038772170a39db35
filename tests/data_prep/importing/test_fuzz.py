"""Mutated records, files and pictures: each goes in whole or is refused by name.

The fuzzer is seeded, so that a failure comes again. Pillow's decoder runs on mutated
pictures in this process: a crash would end the test run itself.
"""

import decimal
import io
import json
import random

import pyarrow
import pyarrow.parquet as pq
import pytest
from PIL import Image

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep.importing.engine import Import, run_import
from data_prep.importing.pictures import checked_picture
from data_prep.importing.reading import REASONS, Input, Refusal
from data_prep.importing.records import Llava, Utterances
from tests.data_prep.importing.test_records import jpeg, talk

NUM_PICTURES = 12
DEEP = {"deep": "DEEP"}  # and DIGITS: put into the text by `_text`
ODD = (None, True, 0, -1, 2**70, 1e308, float("nan"), "", " ", "\0", "\ud800", "a" * 99,
       float("inf"), 1.0, 2.5, 10**400, DEEP, "DIGITS", "a" * 100_000, "\ufeff",
       "<video>",
       "../x.jpg", "/etc/passwd", "<image>", "<image><image>", [], {}, [[]], [None],
       {"from": "gpt", "value": "a"}, {"bytes": None, "path": "0.jpg"}, "0.jpg",
       "human", "gpt", "system", "\u2028", "e\u0301", "\u202e")  # fmt: skip
KEYS = ("id", "image", "images", "conversations", "from", "value", "source", "meta",
        "video", "audio", "text")  # fmt: skip


def _record(rng: random.Random, number: int) -> dict:
    """A good record of one of the forms."""
    count = rng.randint(0, 4)
    files = [f"{rng.randrange(NUM_PICTURES)}.jpg" for _ in range(count)]
    values = ["<image>" * count + rng.choice(["", " how many?"]), "two balls"]
    values += ["and now?", "three"] * rng.randint(0, 2)
    return talk(*values, image=files, bb=[1, 2]) | {"id": number}


def _mutated(rng: random.Random, value, depth: int = 0):
    """The value with something in it replaced, removed, doubled or wrapped."""
    kind = rng.random()
    if depth > 6 or kind < 0.12:
        return rng.choice(ODD)
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        changed = dict(value)
        if kind < 0.3:
            del changed[key]
        elif kind < 0.4:
            changed[rng.choice(KEYS)] = changed.pop(key)
        else:
            changed[key] = _mutated(rng, value[key], depth + 1)
        return changed
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        changed = list(value)
        if kind < 0.3:
            del changed[place]
        elif kind < 0.4:
            changed.insert(place, value[place])
        else:
            changed[place] = _mutated(rng, value[place], depth + 1)
        return changed
    if isinstance(value, str) and kind < 0.7:
        place = rng.randint(0, len(value))
        return (
            value[:place]
            + rng.choice(["\0", "\udcff", "<image>", ".."])
            + value[place:]
        )
    return [value] if kind < 0.85 else rng.choice(ODD)


def _text(value) -> str:
    """JSON, with what Python writes none of: nesting and numbers beyond its reader."""
    text = json.dumps(value).replace('"DEEP"', "[" * 5000 + "]" * 5000)
    return text.replace('"DIGITS"', "9" * 5000)


def _spoilt(rng: random.Random, data: bytes) -> bytes:
    """Bytes cut, doubled, changed or filled in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 4, 30)))
        new = rng.choice(
            (b"", rng.randbytes(end - start), b"\xff" * 4, b"\0" * 4, b'"', b"}", b"[",
             bytes(data[start:end]) * 2)
        )  # fmt: skip
        data[start:end] = new
    return bytes(data)


def _noise(rng: random.Random) -> Image.Image:
    size = (rng.randint(1, 60), rng.randint(1, 60))
    return Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))


def _pictures(rng: random.Random, folder) -> None:
    """Good, mutated and plainly wrong files, all named as pictures."""
    folder.mkdir(exist_ok=True)
    for number in range(NUM_PICTURES):
        image = _noise(rng)
        mode = rng.choice(("L", "RGB", "RGBA", "P", "1"))
        kind = rng.choice(("PNG", "WEBP", "JPEG")) if mode in ("L", "RGB") else "PNG"
        out = io.BytesIO()
        image.convert(mode).save(out, kind)
        data = out.getvalue()
        if number % 3 == 2:
            data = _spoilt(rng, data)
        (folder / f"{number}.jpg").write_bytes(data)


def _import(path, images, out, **more):
    settings = {
        "inputs": (Input(path, "json"),),
        "converter": Llava(images and images.resolve(), 32, None, "fuzz"),
        "out": out,
        "name": "fuzz",
        "split": "train",
        "description": "fuzz",
        "batch_size": 97,
    }
    return run_import(Import(**(settings | more)))


def _check(path, images, out, count, **more) -> tuple[int, int]:
    """Imports; every record is in the dataset or in the summary, and nothing else."""
    try:
        summary = _import(path, images, out, **more)
    except UserError as error:
        assert "\n" not in str(error) and not list(out.glob("[!.]*"))
        return 0, 0
    kept = list(RecordSource(out, "fuzz", "train"))
    skipped = summary["skipped"]
    assert count is None or len(kept) + len(skipped) == count
    assert len({record.id for record in kept}) == len(kept)
    assert {one["reason"] for one in skipped} <= set(REASONS)
    for record in kept:
        for picture in record.images:
            Image.open(io.BytesIO(picture)).load()
        assert all(said.strip() for role, said in record.turns if role == "assistant")
    files = {p.name for p in out.glob("[!.]*/**/*") if p.is_file()}
    known = ("fuzz-", "dataset_info", "features", ".lock")
    assert all(name.startswith(known) for name in files)
    return len(kept), len(skipped)


def _fuzz_records(tmp_path, rng, count) -> tuple[int, int]:
    """Records mutated as values, in a list; pictures mutated as bytes."""
    _pictures(rng, tmp_path / "images")
    raws = [_record(rng, number) for number in range(count)]
    raws = [_mutated(rng, raw) if rng.random() < 0.8 else raw for raw in raws]
    path = tmp_path / "records.json"
    path.write_text(_text(raws))
    return _check(path, tmp_path / "images", tmp_path / "records", count)


def _fuzz_lines(tmp_path, rng, count) -> tuple[int, int]:
    """Records mutated as bytes, one a line."""
    _pictures(rng, tmp_path / "images")
    lines = [json.dumps(_record(rng, number)).encode() for number in range(count)]
    lines = [_spoilt(rng, line).replace(b"\n", b" ").replace(b"\r", b" ") or b"-"
             if rng.random() < 0.8 else line for line in lines]  # fmt: skip
    lines[0] = json.dumps(_record(rng, 0)).encode()  # not the start of a list
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(line if line.strip() else b"-" for line in lines))
    return _check(path, tmp_path / "images", tmp_path / "lines", count)


def _fuzz_utterances(tmp_path, rng, count) -> tuple[int, int]:
    """Lines of transcripts, mutated as values; then the same file as plain text."""
    line = {"start_s": 1.5, "end_s": 2.0, "text": "a red ball", "confidence": 0.9}
    raws = [_mutated(rng, rng.choice((line, "a ball"))) for _ in range(count)]
    path = tmp_path / "said.json"
    path.write_text(_text(raws))
    how = {"converter": Utterances()}
    kept, skipped = _check(path, None, tmp_path / "said", count, **how)
    data = _spoilt(rng, path.read_bytes()[:5000].replace(b",", b"\n"))
    (tmp_path / "said.txt").write_bytes(data)
    inputs = (Input(tmp_path / "said.txt", "lines"),)
    _check(None, None, tmp_path / "plain", None, inputs=inputs, **how)
    return kept, skipped


def _column(rng, count) -> pyarrow.Array:
    """A column of some type that no record should have there."""
    kind = rng.choice(
        (pyarrow.int64(), pyarrow.float64(), pyarrow.timestamp("ns"), pyarrow.binary(),
         pyarrow.date64(), pyarrow.duration("ns"), pyarrow.decimal128(38), "text",
         pyarrow.list_(pyarrow.binary()), pyarrow.null(), pyarrow.bool_())
    )  # fmt: skip
    if kind == "text":
        parts = [rng.choice((b"ok", b"\xff", b"<image>")) for _ in range(count)]
        return pyarrow.array(parts).cast(pyarrow.string(), safe=False)
    if kind in (pyarrow.binary(), pyarrow.list_(pyarrow.binary())):
        values = [rng.randbytes(9) for _ in range(count)]
        values = values if kind == pyarrow.binary() else [[one] for one in values]
        return pyarrow.array(values, kind)
    if kind in (pyarrow.null(), pyarrow.bool_()):
        return pyarrow.array([None] * count, kind)
    if kind == pyarrow.float64():
        values = [rng.choice((1.0, 2.5, float("nan"), None)) for _ in range(count)]
        return pyarrow.array(values, kind)
    if kind == pyarrow.decimal128(38):
        return pyarrow.array([decimal.Decimal(rng.randrange(9))] * count, kind)
    values = [rng.randrange(-(2**62), 2**62) // 86_400_000 for _ in range(count)]
    return pyarrow.array([86_400_000 * one for one in values], pyarrow.int64()).view(
        kind
    )


def _fuzz_table(tmp_path, rng, number) -> tuple[int, int]:
    """Parquet whose columns have other types; then cut short, or with other bytes."""
    count = rng.randint(1, 40)
    raws = [_record(rng, one) for one in range(count)]
    table = {
        "id": [str(raw["id"]) for raw in raws],
        "image": [raw["image"] for raw in raws],
        "conversations": [raw["conversations"] for raw in raws],
        "meta": ["{}"] * count,
    }
    for name in rng.sample(KEYS, rng.randint(0, 3)):
        table[name] = _column(rng, count)
    path = tmp_path / f"{number}.parquet"
    pq.write_table(pyarrow.table(table), path, row_group_size=rng.randint(1, 20))
    more = {"inputs": (Input(path, "parquet"),)}
    found = _check(path, tmp_path / "images", tmp_path / f"t{number}", count, **more)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])  # what a broken copy leaves
    _check(path, tmp_path / "images", tmp_path / f"u{number}", None, **more)
    return found


def _fuzz_file(tmp_path, rng) -> tuple[int, int]:
    """A short list, mutated as bytes: it may be refused as a whole."""
    raws = [_record(rng, number) for number in range(5)]
    path = tmp_path / "file.json"
    path.write_bytes(_spoilt(rng, _text(raws).encode()))
    return _check(path, tmp_path / "images", tmp_path / f"file{rng.random()}", None)


def _fuzz(tmp_path, seed, count):
    rng = random.Random(seed)
    kept, skipped = _fuzz_records(tmp_path, rng, count)
    assert kept > count / 20 and skipped > count / 20  # both ends are reached
    kept, skipped = _fuzz_lines(tmp_path, rng, count)
    assert kept > count / 20 and skipped > count / 20
    kept, skipped = _fuzz_utterances(tmp_path, rng, count)
    assert kept > count / 20 and skipped > count / 20
    tables = [_fuzz_table(tmp_path, rng, number) for number in range(count // 20)]
    assert any(kept for kept, _ in tables) and any(skipped for _, skipped in tables)
    outcomes = [_fuzz_file(tmp_path, rng) for _ in range(count // 10)]
    refused = outcomes.count((0, 0))
    assert 0 < refused < len(outcomes)


@pytest.mark.integration
def test_mutated_input_goes_in_or_is_refused(tmp_path):
    _fuzz(tmp_path, 0, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_much_mutated_input_goes_in_or_is_refused(tmp_path, seed):
    _fuzz(tmp_path, seed, 1000)  # of each of two kinds: 20,000 records in all


def _picture_outcomes(seed, count) -> tuple[int, int]:
    rng = random.Random(seed)
    kept = refused = 0
    for _ in range(count):
        image = _noise(rng)
        out = io.BytesIO()
        image.convert(rng.choice(("L", "RGB"))).save(
            out, rng.choice(("PNG", "WEBP", "JPEG"))
        )
        for max_side in (0, 32):
            try:
                data = checked_picture(_spoilt(rng, out.getvalue()), max_side, "x")
            except Refusal as refusal:
                assert refusal.reason in ("undecodable_image", "image_too_large")
                refused += 1
            else:
                Image.open(io.BytesIO(data)).load()
                kept += 1
    return kept, refused


def test_mutated_pictures_are_decoded_or_refused():
    kept, refused = _picture_outcomes(0, 150)
    assert kept > 10 and refused > 10


@pytest.mark.slow
def test_many_mutated_pictures_are_decoded_or_refused():
    kept, refused = _picture_outcomes(1, 10_000)  # each twice: 20,000
    assert kept > 1000 and refused > 1000


def test_a_good_file_is_not_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.jpg").write_bytes(jpeg(0))
    path = tmp_path / "good.json"
    path.write_text(json.dumps([talk("<image>", "a", image="0.jpg")]))
    assert _check(path, tmp_path / "images", tmp_path / "out", 1) == (1, 0)
