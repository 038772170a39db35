"""The second step as a command, and the third: what each training set holds."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.data.packed import Rows
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.tokenizer import train
from configs.v1 import PAIRS, connector, joint
from data_prep.transfer import match as module
from data_prep.transfer.assignment import distances_of, exact
from tests.data_prep import embedder
from tests.data_prep.transfer.made import (
    NUM_GENERAL,
    NUM_TARGETS,
    match,
    rewrite,
    run,
    write_corpora,
)


@pytest.fixture(scope="module")
def transfer(tmp_path_factory):
    """(shards, folder of the transfer), all three steps done."""
    folder = tmp_path_factory.mktemp("transfer")
    shards, out = folder / "shards", folder / "transfer"
    write_corpora(shards)
    assert rewrite(shards, out) == 0
    assert match(shards, out, "--subsample=6") == 0
    assert run("write", out, f"--out={shards}") == 0
    return shards, out


def _embedded(source, numbers=None):
    pictures = [source[int(i)].images[0] for i in numbers or range(len(source))]
    return module.Batches(embedder.Colours(), 16, 8).pictures(pictures)


def _pairs(out):
    return pq.read_table(out / "matches.parquet").to_pydict()


def _kept(out):
    rows = pq.read_table(out / "rewritten.parquet").to_pylist()
    return {row["number"]: row for row in rows if row["keep"]}


def test_each_target_has_its_own_picture_at_the_least_total_distance(transfer):
    shards, out = transfer
    pairs, kept = _pairs(out), _kept(out)
    assert pairs["target_number"] == list(range(NUM_TARGETS))
    assert len(set(pairs["number"])) == NUM_TARGETS
    assert set(pairs["number"]) <= set(kept)
    assert len(kept) == NUM_GENERAL * 9 // 10
    targets = RecordSource(shards, "filtered", "train")
    general = RecordSource(shards, "general", "train")
    wanted, offered = _embedded(targets), _embedded(general, list(kept))
    best = exact(wanted, offered)
    assert sum(pairs["distance"]) == pytest.approx(best.bound, abs=1e-6)
    again = distances_of(wanted, _embedded(general, pairs["number"]))
    np.testing.assert_allclose(pairs["distance"], again, atol=1e-6)
    assert pairs["target_id"] == [targets[i].id for i in range(NUM_TARGETS)]
    assert pairs["id"] == [general[i].id for i in pairs["number"]]


def test_the_summary_compares_with_chance_and_with_the_optimum(transfer):
    _, out = transfer
    done = json.loads((out / "match.json").read_text())
    assert (done["targets"], done["candidates"]) == (12, 36)
    assert done["method"] == "exact"
    assert done["is_optimal"]
    assert done["bound"] == pytest.approx(done["distance"], abs=1e-6)
    assert done["distance"] < 0.5 * done["random"]
    some = done["subsample"]
    assert (some["targets"], some["candidates"]) == (6, 18)
    assert some["optimum"] <= some["sparse"] + 1e-6 < some["random"]


def test_sparse_finds_the_same_total(transfer, tmp_path):
    shards, out = transfer
    assert rewrite(shards, tmp_path) == 0
    sparse = ("--method=sparse", "--k=3", "--widest=36", "--passes=9", "--subsample=6")
    assert match(shards, tmp_path, *sparse) == 0
    assert sum(_pairs(tmp_path)["distance"]) == pytest.approx(
        sum(_pairs(out)["distance"]), abs=1e-4
    )
    assert json.loads((tmp_path / "match.json").read_text())["is_optimal"]


def test_pictures_are_embedded_once_even_if_it_is_killed(
    transfer, tmp_path, monkeypatch
):
    shards, _ = transfer
    assert rewrite(shards, tmp_path) == 0
    monkeypatch.setattr("data_prep.transfer.match.PART", 8)
    made = []

    class Dies(embedder.Colours):
        def image_embeddings(self, images):
            if len(self.image_batches) == 4:
                raise KeyboardInterrupt
            return super().image_embeddings(images)

    monkeypatch.setattr(embedder, "make", lambda path: Dies())
    with pytest.raises(KeyboardInterrupt):
        match(shards, tmp_path)
    monkeypatch.setattr(
        embedder, "make", lambda path: made.append(embedder.Colours()) or made[-1]
    )
    assert match(shards, tmp_path) == 0
    # two parts of targets and five of candidates; four were done
    assert len(made[-1].image_batches) == 3
    (tmp_path / "match.json").unlink()
    assert match(shards, tmp_path) == 0
    assert made[-1].image_batches == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed=-1"], "--seed=-1"),
        (["--target-name=nothing"], "no dataset 'nothing'"),
        (["--embedder=none"], "no embedder 'none'"),
    ],
)
def test_bad_input_is_one_line(transfer, capsys, flags, said):
    shards, out = transfer
    assert match(shards, out, "--subsample=6", *flags) == 78
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_too_few_candidates_and_missing_steps(tmp_path, capsys):
    write_corpora(tmp_path / "shards", num_general=NUM_TARGETS)
    out = tmp_path / "transfer"
    out.mkdir()
    assert match(tmp_path / "shards", out) == 78
    assert "run rewrite first" in capsys.readouterr().err
    assert run("write", out, f"--out={tmp_path}") == 78
    assert "run rewrite, then match" in capsys.readouterr().err
    assert rewrite(tmp_path / "shards", out) == 0
    assert match(tmp_path / "shards", out) == 78
    assert "12 targets, but only 11 kept candidates" in capsys.readouterr().err
    assert match(tmp_path / "shards", out, "--num-targets=11") == 0
    assert len(_pairs(out)["number"]) == 11


# --- what is written -----------------------------------------------------------------


def test_transferred_pairs_are_the_matched_pictures_with_their_utterances(transfer):
    shards, out = transfer
    kept, pairs = _kept(out), _pairs(out)
    general = RecordSource(shards, "general", "train")
    made = list(RecordSource(shards, "transferred", "train"))
    assert [record.id for record in made] == [f"transferred/{i}" for i in pairs["id"]]
    for place, record in enumerate(made):
        row = kept[pairs["number"][place]]
        assert record.images == general[row["number"]].images
        assert record.turns == (("human", "<image>"), ("assistant", row["utterance"]))
        assert record.source == "image_utterance"
        assert record.meta["caption"] == row["caption"]
        assert record.meta["target"] == pairs["target_id"][place]
    card = (shards / "transferred" / "dataset_card.md").read_text()
    assert "12 pairs of `general`" in card
    assert f"embedder `{embedder.SPEC}`" in card


@pytest.mark.parametrize("captions", ["rewritten", "raw"])
def test_random_pairs_are_as_many_of_the_same_corpus(transfer, tmp_path, captions):
    _, out = transfer
    flags = (f"--out={tmp_path}", f"--random-captions={captions}", "--seed=3")
    assert run("write", out, *flags) == 0
    made = list(RecordSource(tmp_path, "general_random", "train"))
    assert len({record.id for record in made}) == NUM_TARGETS
    rows = pq.read_table(out / "rewritten.parquet").to_pylist()
    of = {row["id"]: row for row in rows}
    for record in made:
        row = of[record.meta["record"]]
        said = record.turns[1][1]
        assert said == row["utterance" if captions == "rewritten" else "caption"]
    assert {r.id.partition("/")[2] for r in made} != set(_pairs(out)["id"])


def test_a_corpus_that_changed_is_not_written_from(transfer, tmp_path, capsys):
    _, out = transfer
    write_corpora(tmp_path / "shards", num_general=NUM_GENERAL + 1)
    flags = (f"--out={tmp_path}", f"--general={tmp_path / 'shards'}")
    assert run("write", out, *flags) == 78
    assert "has changed since the captions were rewritten" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tokenizer(transfer):
    shards, _ = transfer
    path = shards.parent / "tokenizer.model"
    texts = [
        record.turns[1][1]
        for name in ("filtered", "transferred", "general_random")
        for record in RecordSource(shards, name, "train")
    ]
    path.write_bytes(train(texts, 300))
    return path


def _epoch(config, shards, tokenizer) -> tuple[set[str], int]:
    """Ids that a config's data shows in its first epoch, and how many with repeats."""
    data = {
        **config.data.to_dict(),
        **{"shards": str(shards), "tokenizer": str(tokenizer), "batch_size": 4},
        **{"seq_len": 256, "max_images": 2, "tokens_per_image": 4, "image_size": 16},
    }
    rows = Rows(DataConfig(**data))
    ids = [i for step in range(rows.steps_per_epoch) for i in rows.ids_at(step)]
    return set(ids), len(ids)


@pytest.mark.parametrize(
    "pairs", ["filtered", "filtered-aug", "aug-only", "filtered-random"]
)
def test_each_training_set_shows_its_pairs_once_an_epoch(transfer, tokenizer, pairs):
    shards, _ = transfer
    config = joint.get_config(f"pairs={pairs}")
    wanted = {
        record.id
        for name in PAIRS[pairs]
        for record in RecordSource(shards, name, "train")
    }
    ids, count = _epoch(config, shards, tokenizer)
    assert ids == wanted
    assert count == len(wanted) == NUM_TARGETS * len(PAIRS[pairs])


@pytest.mark.parametrize("phase", [connector, joint])
def test_a_fraction_of_the_data_is_seen_as_often_as_the_whole(phase):
    whole = phase.get_config("pairs=filtered-aug")
    half = phase.get_config("pairs=filtered-aug,fraction=0.5")
    assert half.num_steps == whole.num_steps
    assert half.data.batch_size == whole.data.batch_size
    assert half.data.fraction == 0.5
    alone = phase.get_config("pairs=filtered")
    assert whole.num_steps == pytest.approx(2 * alone.num_steps, abs=1)


def test_smaller_fractions_are_part_of_larger_ones(transfer, tokenizer):
    shards, _ = transfer
    shown = {
        share: _epoch(
            joint.get_config(f"pairs=filtered-aug,fraction={share}"), shards, tokenizer
        )
        for share in (0.25, 0.5, 0.75, 1.0)
    }
    for share, (ids, count) in shown.items():
        assert count == len(ids) == share * 2 * NUM_TARGETS
        ours = sum(name.startswith("s") for name in ids)
        assert ours == share * NUM_TARGETS  # half of the set each
    assert shown[0.25][0] < shown[0.5][0] < shown[0.75][0] < shown[1.0][0]
