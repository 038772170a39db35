"""What is read of collectives, against counts by hand."""

import pytest

from babyvlm_jax.aot import collectives, hlo
from babyvlm_jax.aot.collectives import Collective, Total, by_kind, read_groups
from tests.aot.hlo_text import TEXT


def found(chips_each):
    return collectives.find_collectives(hlo.parse(TEXT), chips_each)


def test_sizes_are_of_the_whole_and_loops_count():
    gather, reduce = sorted(found(4))
    assert gather == Collective(
        "all-gather", 128, 4, 3.0, False, "jit(step)/blocks/mlp/up"
    )
    assert reduce == Collective("all-reduce", 96, 2, 1.0, False, "jit(step)/grads")


def test_a_chip_receives_what_it_lacks():
    gather, reduce = sorted(found(4))
    assert gather.received == 3 * 128 * 3 / 4  # three turns, three of four shards
    assert reduce.received == 2 * 96 * 1 / 2  # half of the sum, then the other half


def test_what_leaves_the_slice_is_told_apart():
    # slices of two: chips 0 and 2 are in different ones, and so are the four gathered
    assert by_kind(found(2)) == {
        "all-gather (between slices)": Total(3, 3 * 128, 288),
        "all-reduce (between slices)": Total(1, 96, 96),
    }
    assert by_kind(found(4)).keys() == {"all-gather", "all-reduce"}
    assert collectives.received(found(2), crosses=True) == 288 + 96
    assert collectives.received(found(2), crosses=False) == 0


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("replica_groups=[2,3]<=[6], x=1", [[0, 1, 2], [3, 4, 5]]),
        ("replica_groups=[2,3]<=[3,2]T(1,0)", [[0, 2, 4], [1, 3, 5]]),
        ("replica_groups={{0,1},{2,3}}, dimensions={0}", [[0, 1], [2, 3]]),
        ("source_target_pairs={{0,1},{1,0}}", [[0, 1], [1, 0]]),
        ("replica_groups=mesh['a'=3,'b'=2] {'a'}, x=1", [[0, 2, 4], [1, 3, 5]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'a','b'}", [[0, 1, 2, 3]]),
        (
            "replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}",
            [[0, 2], [1, 3]],
        ),
        ("replica_groups=mesh['a'=4] {'a':(2)2}", [[0, 1], [2, 3]]),
        ("replica_groups=mesh['a'=4,'b'=1] {'a':(1)2,'b'}", [[0, 2], [1, 3]]),
        (
            "replica_groups=mesh['a'=4,'b'=2] {'b','a':(2)2}",
            [[0, 2, 1, 3], [4, 6, 5, 7]],
        ),
    ],
)
def test_groups_in_each_notation(text, groups):
    assert read_groups(text).tolist() == groups


def test_an_unknown_notation_of_groups_is_not_guessed_at():
    with pytest.raises(ValueError, match="unknown notation of groups: channel_id=1"):
        read_groups("channel_id=1")


def test_a_collective_spread_over_fusions_counts_once():
    part = (
        "  %g{0} = f32[4]{{0}} all-gather(%p), channel_id=7, "
        'replica_groups=[1,2]<=[2], frontend_attributes={{chain_id="1"}}\n'
    )
    text = "ENTRY %m (p: f32[2]) -> f32[4] {\n  %p = f32[2]{0} parameter(0)\n"
    text += part.format(1) + part.format(2) + "}\n"
    assert len(collectives.find_collectives(hlo.parse(text), 2)) == 1
