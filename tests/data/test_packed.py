"""Which records come when: epochs, shares, steps, statistics."""

import collections
import dataclasses
import itertools

import pytest

from babyvlm_jax.data import packed
from babyvlm_jax.data.packed import Rows


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


def test_epochs_of_unequal_length_have_equal_steps(config, monkeypatch):
    """Fewer rows: empty ones, then the first again; more rows: some wait."""
    rows = Rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    plan = packed.packing.plan

    def unequal(lengths, capacity, seed, epoch):
        made = plan(lengths, capacity, seed, epoch)
        kept = made.rows[:3] if epoch == 1 else made.rows * 3
        return dataclasses.replace(made, rows=kept)

    monkeypatch.setattr(packed.packing, "plan", unequal)
    first = [len(rows.row(step, place)) for step in (2, 3) for place in range(4)]
    assert first[3] == 0
    assert first[4:7] == first[:3]
    assert all(rows.row(step, place) for step in (4, 5) for place in range(4))
