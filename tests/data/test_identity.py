"""A run goes on with the data that it began with, or says why not."""

import hashlib

import numpy as np
import pytest

from babyvlm_jax.data.identity import Facts, check_facts, digest, plan_facts
from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.runtime.errors import UserError

FACTS = {"datasets": "pairs 12ab", "tokenizer": "34cd", "order": "56ef"}


@pytest.mark.parametrize(
    "key,reason",
    [
        ("datasets", r"other records .*\(datasets was 'old', is 'pairs 12ab'\)"),
        ("tokenizer", "the tokenizer file is another one"),
        ("order", "in other rows or another order"),
    ],
)
def test_the_reason_is_named(key, reason):
    check_facts(FACTS, dict(FACTS), "step 5")
    with pytest.raises(UserError, match=f"step 5 cannot go on .*{reason}"):
        check_facts({**FACTS, key: "old"}, FACTS, "step 5")


def test_validation_is_compared_where_it_was_kept():
    check_facts(FACTS, {**FACTS, "validation": "pairs 1"}, "step 5")
    check_facts({**FACTS, "validation": "pairs 1"}, FACTS, "step 5")
    with pytest.raises(UserError, match="measured on other records"):
        check_facts(
            {**FACTS, "validation": "a 1"}, {**FACTS, "validation": "a 2"}, "step 5"
        )


def test_facts_that_were_not_kept_are_not_guessed():
    with pytest.raises(UserError, match="datasets was None"):
        check_facts({}, FACTS, "step 5")


def first_edition(folder):
    """The fingerprint of a dataset of one shard, as it was made before hashes."""
    whole = hashlib.sha256((folder / "dataset_info.json").read_bytes())
    (shard,) = folder.glob("*.array_record*")
    whole.update(shard.read_bytes()[-(2**16) :])
    return whole.hexdigest()[:16]


def test_a_checkpoint_of_the_first_edition_is_known_by_its_data(tmp_path):
    saved, parts = [], []
    for name, text in (("a", "x"), ("b", "x"), ("b", "y")):
        shards = tmp_path / text
        folder = write_dataset(shards, name, {"train": [Record(text, "text")]}, "d")
        source = RecordSource(shards, name, "train")
        assert source.fingerprint != first_edition(folder)
        saved.append(f"{name} {first_edition(folder)}")
        parts.append(plan_facts([source], "", "order"))
    a, b, changed = parts
    for here in (a, Facts.join([a, b])):
        there = {**here, "datasets": "; ".join(saved[: 1 + (here is not a)])}
        check_facts(here, here, "step 5")
        check_facts(there, here, "step 5")
    there = {**b, "datasets": saved[1]}
    check_facts(there, b, "step 5")
    with pytest.raises(UserError, match="other records"):
        check_facts(there, changed, "step 5")


def test_digest_sees_order_and_borders():
    a, b = np.array([1, 2]), np.array([3])
    assert digest(a, b, 2, 1) == digest(a, b, 2, 1)
    assert digest(a, b, 2, 1) != digest(a, b, 1, 2)
    assert digest(a, b) != digest(b, a)


def test_verify_reads_everything(tmp_path):
    folder = write_dataset(tmp_path, "a", {"train": [Record("x", "text")]}, "d")
    facts = plan_facts([RecordSource(tmp_path, "a", "train")], "", "order")
    facts.verify()
    (shard,) = folder.glob("*.array_record*")
    data = bytearray(shard.read_bytes())
    data[150] ^= 1
    shard.write_bytes(data)
    with pytest.raises(
        UserError, match=r"1 files are damaged: .*a-train\.array_record"
    ):
        facts.verify()
