"""Which records come when: epochs, shares, steps, statistics."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest

from babyvlm_jax.data import packed
from babyvlm_jax.data.packed import Rows
from babyvlm_jax.data.tokenizer import Tokenizer


def members(rows, epoch):
    """How often each record comes in an epoch: Counter of (dataset, number)."""
    steps = range(epoch * rows.steps_per_epoch, (epoch + 1) * rows.steps_per_epoch)
    return collections.Counter(
        record
        for step, place in itertools.product(steps, range(4))
        for record in rows.row(step, place)
    )


def test_no_record_is_lost_or_doubled_in_an_epoch(config):
    rows = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    for epoch in range(4):
        assert members(rows, epoch) == {(0, i): 1 for i in range(40)}


def test_the_mixture_keeps_its_shares(config):
    rows = Rows(config)
    drawn = sum((members(rows, epoch) for epoch in range(8)), collections.Counter())
    share = sum(n for (dataset, _), n in drawn.items() if dataset == 0) / drawn.total()
    # 47 draws an epoch, 12 of them episodes; the last rows of an epoch may wait
    assert share == pytest.approx(12 / 47, abs=0.04)


def test_stats(config):
    rows = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    assert rows.stats["records"] == 40
    assert rows.stats["too_long"] == 0
    assert rows.stats["rows"] == -(-40 // 7)  # seven pictures fill a row
    assert rows.stats["fill_images"] == pytest.approx(40 / 42)
    assert rows.stats["steps_per_epoch"] == rows.steps_per_epoch == 2


def test_records_that_are_too_long_are_counted(config, caplog):
    # <sos> user: IMAGE assistant: and one to five words; the fives do not fit
    short = dataclasses.replace(config, seq_len=8, mixture={"pairs": 1.0})
    rows = Rows(short)
    assert (rows.stats["too_long"], rows.stats["records"]) == (8, 32)
    assert "8 of 40 records are longer than a row of 8 tokens" in caplog.text
    assert sum(members(rows, 0).values()) == 32


def test_an_epoch_of_fewer_rows_is_spread_over_its_steps(config, monkeypatch):
    rows = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    assert members(rows, 0).total() == 40
    plan = packed.packing.plan

    def shorter(lengths, capacity, seed, epoch, window):
        made = plan(lengths, capacity, seed, epoch, window)
        return dataclasses.replace(made, rows=made.rows[:3])

    monkeypatch.setattr(packed.packing, "plan", shorter)
    sizes = [[len(rows.row(step, place)) for place in range(4)] for step in (2, 3)]
    assert [[size > 0 for size in batch] for batch in sizes] == [
        [True, False, False, False],
        [True, True, False, False],
    ]


def test_an_epoch_of_more_rows_is_packed_more_tightly(config, monkeypatch):
    """Records that a clumsy packing puts into too many rows are all there."""
    rows = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    plan = packed.packing.plan
    windows = []

    def clumsy(lengths, capacity, seed, epoch, window):
        windows.append(window // packed.packing.WINDOW)
        made = plan(lengths, capacity, seed, epoch, window)
        if window >= 4 * packed.packing.WINDOW:
            return made
        alone = [np.array([i]) for row in made.rows for i in row]
        return dataclasses.replace(made, rows=tuple(alone[::-1]))

    monkeypatch.setattr(packed.packing, "plan", clumsy)
    monkeypatch.setattr(packed.packing, "squeeze", lambda made, *_: fit_only(made))

    def fit_only(made):
        return made if len(made.rows) <= 8 else None

    assert members(rows, 1) == {(0, i): 1 for i in range(40)}
    assert windows == [1, 4]


def test_long_records_lose_their_last_turns_and_are_counted(config, caplog):
    """An episode is three pictures; two of them fit a row."""
    short = dataclasses.replace(config, max_images=2, mixture={"episodes": 1.0})
    rows = Rows(short)
    assert (rows.stats["truncated"], rows.stats["too_long"]) == (7, 0)
    assert "7 lose their last turns" in caplog.text
    assert members(rows, 0) == {(0, i): 1 for i in range(7)}
    batch = rows.batch_at(0)
    assert batch["image_mask"].sum(axis=1).tolist() == [2, 2, 2, 2]
    eos = Tokenizer.load(config.tokenizer).eos_id
    assert (batch["targets"] == eos).sum(axis=1).tolist() == [2, 2, 2, 2]


def test_a_temperature_evens_the_shares_out(config):
    uneven = dataclasses.replace(config, mixture={"pairs": 16.0, "episodes": 1.0})
    shares = []
    for temperature in (0.5, 1.0, 4.0):
        rows = Rows(dataclasses.replace(uneven, temperature=temperature))
        drawn = members(rows, 0)
        shares.append(sum(n for (dataset, _), n in drawn.items() if dataset == 0))
    # 47 draws shared as 1:256, 1:16 and 1:2
    assert shares == [1, 3, 16]


@pytest.mark.parametrize("rows", ["single", "length_grouped"])
def test_one_record_a_row(config, rows):
    made = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}, rows=rows))
    assert made.stats["rows"] == 40
    assert members(made, 0) == members(made, 3) == {(0, i): 1 for i in range(40)}
    assert all(len(made.row(step, place)) == 1 for step in (0, 9) for place in range(4))


def test_facts_change_with_the_order_alone(config):
    facts = Rows(config).facts
    assert facts == Rows(dataclasses.replace(config, num_threads=0)).facts
    other = Rows(dataclasses.replace(config, seed=1)).facts
    assert {key for key in facts if facts[key] != other[key]} == {"order"}
