"""The step's benchmark: orders, tables, and that both sides do the same."""

import itertools

import pytest

from tests.benchmarks import peer_orders, sides, train_step, world


def test_the_original_s_order_deals_words_evenly_whatever_the_pictures():
    words = [9, 8, 7, 6, 5, 4, 3, 2]
    batches = list(itertools.islice(peer_orders.as_original(words, 2, 4, 0), 4))
    assert sorted(itertools.chain(*batches)) == list(range(8))
    assert [sum(words[i] for i in batch) for batch in batches] == [11, 11, 11, 11]


def test_sorted_batches_hold_records_of_like_length():
    tokens = [10, 400, 12, 390, 11, 410, 13, 395]
    batches = list(itertools.islice(peer_orders.by_tokens(tokens, 2, 4, 0), 4))
    assert sorted(map(sorted, batches)) == [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("make", [peer_orders.as_original, peer_orders.by_tokens])
def test_each_round_shows_every_record_of_whole_groups_once(make):
    batches = make(list(range(1, 25)), 2, 4, 7)
    rounds = [list(itertools.chain(*itertools.islice(batches, 12))) for _ in range(2)]
    assert sorted(rounds[0]) == sorted(rounds[1]) == list(range(24))
    assert rounds[0] != rounds[1]


def test_the_table_compares_medians_with_the_first_way_of_the_same_input():
    def passes(*seconds):
        return [sides.Pass(s, 10, 50, 100, 80, 2**20) for s in seconds]

    lines = train_step.table(
        {
            ("held", "a"): passes(2.0, 1.0, 5.0),
            ("held", "b"): passes(1.0, 0.5, 2.0),
            ("loader", "a"): passes(4.0),
        }
    )
    assert lines[2:] == [
        "| made before | a | 5 | 25 | 20% | 1 MiB | 1.00x (0.40 to 2.00) |",
        "| made before | b | 10 | 50 | 20% | 1 MiB | 2.00x (1.00 to 4.00) |",
        "| real loader | a | 2.5 | 12.5 | 20% | 1 MiB | 1.00x (1.00 to 1.00) |",
    ]


def test_the_task_is_the_shipped_joint_phase():
    run = sides.run_settings(sides.Task("somewhere", 128, rows=4, seq_len=256))
    assert run.optim.trains == ("connector/.*", "decoder/.*")
    assert run.data.tokens_per_image == run.model.tokens_per_image == 17
    assert (run.data.batch_size, run.data.seq_len) == (4, 256)
    assert run.data.template == "baby_v1"


@pytest.mark.torch
@pytest.mark.slow
def test_both_sides_have_the_same_losses_and_learn_from_the_same(tmp_path):
    pytest.importorskip("transformers")
    # not to be resized: our fast resizer is within a level of Pillow, no closer
    world.write(tmp_path, world.records(40, side=16))
    task = sides.Task(
        str(tmp_path), 40, image_size=16, batch=2, rows=1, seq_len=160, max_images=16
    )
    lines = train_step.overlay(task, 3)
    # summation in another order, in f32
    assert float(lines[-1].rpartition(" ")[2]) < 1e-4
    lines = train_step.compare(task, repeats=1)
    assert len(lines) == 2 + 2 * 3
