"""What the first edition wrote is brought over in place, and once."""

import pytest

from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.errors import UserError
from babyvlm_jax.interchange.upgrading import upgrade


def test_shards_get_their_hashes(tmp_path):
    records = {"train": [Record("a", "text")], "val": [Record("b", "text")]}
    folder = write_dataset(tmp_path / "run" / "shards", "demo", records, "d")
    before = RecordSource(tmp_path / "run" / "shards", "demo", "train").fingerprint
    stored = sorted(folder.glob("*.hashes*"))
    for path in stored:
        path.unlink()
    for done in ("hashed", "up to date"):
        lines = list(upgrade(str(tmp_path)))
        assert [line.rpartition(", ")[2] for line in lines] == [done, done]
        assert sorted(folder.glob("*.hashes*")) == stored
    source = RecordSource(tmp_path / "run" / "shards", "demo", "train")
    assert source.fingerprint == before


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_of_nothing_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        list(upgrade(str(tmp_path / name)))
