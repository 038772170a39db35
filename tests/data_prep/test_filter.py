"""Pairs above a similarity, with a real (small) embedder."""

import json
import math

import numpy as np
import pytest

from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.data.shards import splits_of
from data_prep import filter as command
from data_prep.stages import embedding
from tests.data_prep import embedder
from tests.data_prep.coloured import pair

RED = {"red": 1.0}
HALF = {"red": 0.5, "blue": 0.5}
# record -> (colours, words, cosine): JPEG keeps stripes of whole blocks apart
PAIRS = {
    "same": (RED, "red", 1.0),
    "other": (RED, "blue", 0.0),
    "half": (HALF, "red", 1 / math.sqrt(2)),
    "named": (RED, "the red ball", 1 / math.sqrt(2)),
    "both": (HALF, "a red blue ball", 2 / math.sqrt(2) / math.sqrt(3)),
}


def _write(folder, copies=1):
    made = [
        pair(f"{name}_{copy}", colours, said)
        for copy in range(copies)
        for name, (colours, said, _) in PAIRS.items()
    ]
    splits = {"train": made, "val": made[:1]}
    write_dataset(folder, "image_utterance", splits, "test")
    return folder


def _run(*argv) -> int:
    with pytest.raises(SystemExit) as stop:
        command.main([str(one) for one in argv])
    return stop.value.code


def _flags(shards, out, **more):
    flags = {"scorer": embedder.SPEC, "image-size": 16, "batch-size": 4, **more}
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    return [shards, f"--out={out}", *given]


def test_pairs_above_the_threshold_stay_with_their_similarity(tmp_path, capsys):
    shards = _write(tmp_path / "shards")
    assert _run(*_flags(shards, shards, threshold=0.75)) == 0
    kept = {record.id: record for record in RecordSource(shards, "filtered", "train")}
    assert set(kept) == {"same_0", "both_0"}
    for record in kept.values():
        wanted = PAIRS[record.id.partition("_")[0]][2]
        assert record.meta["similarity"] == pytest.approx(wanted, abs=0.01)
        assert record.meta["age_days"] == 300
    before = {r.id: r for r in RecordSource(shards, "image_utterance", "train")}
    for name, record in kept.items():
        assert (record.images, record.turns) == (
            before[name].images,
            before[name].turns,
        )
    assert len(RecordSource(shards, "filtered", "val")) == 1
    assert (
        "filtered/train: 2 of 5 pairs (40.0%) are above 0.75" in capsys.readouterr().out
    )


def test_the_card_says_scorer_checkpoint_counts_and_other_thresholds(tmp_path):
    shards = _write(tmp_path / "shards")
    weights = tmp_path / "weights" / "model.bin"
    weights.parent.mkdir()
    weights.write_bytes(b"1")
    spec = f"{embedder.SPEC}@{weights.parent}"
    assert _run(*_flags(shards, tmp_path / "out", scorer=spec, threshold=0.2)) == 0
    card = (tmp_path / "out" / "filtered" / "dataset_card.md").read_text()
    facts = embedding.embedder_facts(spec)
    assert f"scorer `{embedder.SPEC}`" in card
    assert f"`{weights.parent}`, files sha256 {facts['weights']}" in card
    assert "| train | 5 | 4 | 80.0% |" in card
    # at the bin of 1/sqrt(2): two pairs in it, four from there on, of five
    assert "| 0.70 to 0.71 | 2 | 4 |" in card
    weights.write_bytes(b"2")
    assert embedding.embedder_facts(spec)["weights"] != facts["weights"]


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    shards = _write(tmp_path / "shards", copies=8)
    monkeypatch.setattr(command, "CHUNK", 8)
    flags = {"threshold": 0.5, "split": "train"}
    assert _run(*_flags(shards, tmp_path / "whole", **flags)) == 0

    made = []

    class Dies(embedder.Colours):
        def image_embeddings(self, images):
            if len(self.image_batches) == 5:  # in the third part of five
                raise KeyboardInterrupt
            return super().image_embeddings(images)

    monkeypatch.setattr(embedder, "make", lambda path: made.append(Dies()) or made[-1])
    with pytest.raises(KeyboardInterrupt):
        command.main(list(map(str, _flags(shards, tmp_path / "cut", **flags))))
    assert not (tmp_path / "cut" / "filtered" / "1.0.0").exists()
    monkeypatch.setattr(
        embedder, "make", lambda path: made.append(embedder.Colours()) or made[-1]
    )
    assert _run(*_flags(shards, tmp_path / "cut", **flags)) == 0
    assert len(made[-1].image_batches) == 3 * 2  # the two parts before were kept
    whole, cut = (
        list(RecordSource(tmp_path / name, "filtered", "train"))
        for name in ("whole", "cut")
    )
    assert whole == cut
    assert len(whole) == 32
    assert not (tmp_path / "cut" / ".jobs" / "filtered-train").exists()
    # finished: nothing is computed again
    assert _run(*_flags(shards, tmp_path / "cut", **flags)) == 0
    assert made[-1].image_batches == []


def test_every_batch_has_the_same_size_whatever_the_rest(tmp_path, monkeypatch):
    shards = _write(tmp_path / "shards")
    made = embedder.Colours()
    monkeypatch.setattr(embedder, "make", lambda path: made)
    assert _run(*_flags(shards, tmp_path / "four")) == 0
    assert set(made.image_batches) == set(made.text_batches) == {4}
    assert _run(*_flags(shards, tmp_path / "three", **{"batch-size": 3})) == 0
    four, three = (
        [r.meta["similarity"] for r in RecordSource(tmp_path / n, "filtered", "train")]
        for n in ("four", "three")
    )
    np.testing.assert_allclose(four, three, atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"threshold": 2}, "cosines are -1 to 1"),
        ({"threshold": "nan"}, "cosines are -1 to 1"),
        ({"threshold": 0.999999}, "keeps none of 1 pairs"),
        ({"scorer": "nothing"}, "no embedder 'nothing'"),
        ({"scorer": "tests.data_prep.embedder:nothing"}, "check module:attribute"),
        ({"name": "text"}, "no dataset 'text'"),
        ({"name": "videos"}, "has 2 pictures"),
        ({"as": "No"}, "--as=No"),
        ({"as": "image_utterance"}, "is the dataset itself"),
        ({"split": "test"}, "has no split 'test'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, flags, said):
    shards = tmp_path / "shards"
    one = pair("a", HALF, "red")
    write_dataset(shards, "image_utterance", {"train": [one]}, "test")
    two = Record("b", "video_utterance", one.images * 2, (("human", "<image>" * 2),))
    write_dataset(shards, "videos", {"train": [two]}, "test")
    assert _run(*_flags(shards, shards, **flags)) == 78
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert not (shards / "filtered" / "1.0.0").exists()


def test_a_split_of_which_nothing_is_left_is_left_out(tmp_path, capsys):
    shards = tmp_path / "shards"
    splits = {"train": [pair("a", RED, "red")], "val": [pair("b", RED, "blue")]}
    write_dataset(shards, "image_utterance", splits, "test")
    assert _run(*_flags(shards, shards)) == 0
    assert "filtered/val is left out: --threshold=0.2 keeps none of 1" in (
        capsys.readouterr().out
    )
    assert list(splits_of(shards, "filtered")) == ["train"]
    assert not list((shards / ".jobs").glob("filtered-*/"))
    assert _run(*_flags(shards, shards, split="val")) == 78


def test_another_threshold_does_not_join_the_dataset(tmp_path, capsys):
    shards = _write(tmp_path / "shards")
    assert _run(*_flags(shards, shards, threshold=0.2, split="val")) == 0
    assert _run(*_flags(shards, shards, threshold=0.3, split="train")) == 78
    assert "filtered/val filtered with another threshold" in capsys.readouterr().err
    assert list(splits_of(shards, "filtered")) == ["val"]
    assert _run(*_flags(shards, shards, threshold=0.2)) == 0
    summary = json.loads((shards / "filtered" / "train_summary.json").read_text())
    assert summary["identity"]["threshold"] == 0.2
    assert len(RecordSource(shards, "filtered", "train")) == 4
    capsys.readouterr()
    assert _run(*_flags(shards, shards, threshold=0.75)) == 0  # all its splits again
    assert "made again, changed: threshold" in capsys.readouterr().out
    assert len(RecordSource(shards, "filtered", "train")) == 2


def test_an_embedder_without_unit_norm_is_refused(tmp_path, capsys, monkeypatch):
    class Long(embedder.Colours):
        def image_embeddings(self, images):
            return 2 * super().image_embeddings(images)

    monkeypatch.setattr(embedder, "make", lambda path: Long())
    shards = _write(tmp_path / "shards")
    assert _run(*_flags(shards, shards)) == 78
    assert "norm 2 to 2; expected unit norm" in capsys.readouterr().err


def test_what_the_first_edition_filtered_is_done(tmp_path, monkeypatch):
    source = _write(tmp_path / "in")
    argv = [*_flags(source, tmp_path / "out"), "--split=val"]
    assert _run(*argv) == 0
    (path,) = (tmp_path / "out").glob("filtered/*_summary.json")
    summary = json.loads(path.read_text())
    records = RecordSource(source, "image_utterance", "val")
    summary["identity"]["source"]["fingerprint"] = records._first_fingerprint
    del summary["job"]
    path.write_text(json.dumps(summary))
    monkeypatch.setattr(command, "write_whole", lambda *_: None)
    monkeypatch.setattr(RecordSource, "read", None)  # nothing is filtered again
    assert _run(*argv) == 0
