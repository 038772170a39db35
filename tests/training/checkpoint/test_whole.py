"""The list of files that makes a checkpoint whole, and what any damage of it says."""

import json
import random

import pytest

from babyvlm_jax.interchange.upgrading import upgrade
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training.checkpoint import whole

STAMP = {"item_handlers": {"data": "x"}, "init_timestamp_nsecs": 3}
STAMPED = json.dumps({**STAMP, "commit_timestamp_nsecs": 5})
ITEMS = ("params", "train", "data")


@pytest.fixture
def sealed(tmp_path):
    """A folder as a save leaves it."""
    folder = tmp_path / "checkpoints" / "7"
    (folder / "params" / "d").mkdir(parents=True)
    (folder / "params" / "d" / "a").write_bytes(b"1234")
    (folder / "params" / "_METADATA").write_text("{}")
    (folder / "data").mkdir()
    (folder / "data" / "metadata").write_bytes(b"{}")
    (folder / whole.STAMP).write_text(
        json.dumps({**STAMP, "commit_timestamp_nsecs": None})
    )
    whole.seal(folder)
    (folder / whole.STAMP).write_text(STAMPED)
    (folder / whole.COMMITTED).write_text(f"successful to {folder}")
    return folder


def why(folder):
    return whole.fault(folder) or whole.damage(folder, ITEMS)


def as_first_edition(folder):
    """The list as the first edition wrote it."""
    listed = json.loads((folder / whole.LIST).read_text())
    (folder / whole.LIST).write_text(json.dumps({"sizes": listed["sizes"]}))


def test_the_list_names_files_sizes_and_hashes_but_not_what_comes_later(sealed):
    listed = json.loads((sealed / whole.LIST).read_text())
    sizes = {"data/metadata": 2, "params/_METADATA": 2, "params/d/a": 4}
    assert listed["sizes"] == sizes
    assert listed["blake2b"].keys() == sizes.keys()
    assert listed["edition"] == whole.EDITION
    assert why(sealed) is None
    assert whole.has_hashes(sealed)


def test_a_list_of_the_first_edition_is_read(sealed):
    as_first_edition(sealed)
    assert why(sealed) is None
    assert not whole.has_hashes(sealed)
    (sealed / "params" / "_METADATA").write_bytes(bytes(2))
    assert "_METADATA is no JSON" in why(sealed)
    (sealed / "params" / "_METADATA").write_bytes(b"[]")
    assert "params/_METADATA holds no object but []" in why(sealed)


def test_the_first_edition_is_brought_over_in_place(sealed):
    ours = json.loads((sealed / whole.LIST).read_text())
    as_first_edition(sealed)
    (line,) = upgrade(str(sealed.parent.parent))
    assert line == f"{sealed}: hashed"
    assert json.loads((sealed / whole.LIST).read_text()) == ours
    (line,) = upgrade(str(sealed))
    assert line == f"{sealed}: up to date"
    (sealed / "params" / "d" / "a").write_text("1235")
    (line,) = upgrade(str(sealed))
    assert "not whole (params/d/a is not as it was written), left" in line


def test_a_moved_checkpoint_is_still_whole(sealed, tmp_path):
    sealed.parent.rename(tmp_path / "x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "x").rename(tmp_path / "elsewhere" / "checkpoints")
    assert why(tmp_path / "elsewhere" / "checkpoints" / "7") is None


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("params/d/a", "123", "params/d/a has 3 bytes of 4"),
        ("params/d/a", None, "params/d/a has None bytes of 4"),
        ("params/d/a", "1235", "params/d/a is not as it was written"),
        ("params/d/b", "", "params/d/b is not listed"),
        ("params/d/.nfs01", "", None),
        ("README", "mine", None),
        ("data/metadata", None, "data/metadata has None bytes of 2"),
        (whole.LIST, None, "files.json is missing"),
        (whole.LIST, '{"sizes": {"data', "files.json is no JSON"),
        (whole.LIST, "[" * 9999, "files.json is no JSON"),
        (whole.LIST, "[]", "files.json holds no object but []"),
        (whole.LIST, "3", "files.json holds no object but 3"),
        (whole.LIST, "\0\0", "files.json is no JSON"),
        (whole.LIST, '{"sizes": [1]}', "sizes holds no object but [1]"),
        (whole.LIST, '{"sizes": {}}', "lists no parameters"),
        (whole.LIST, '{"sizes": {"params/d/a": "4"}}', "sizes that are no numbers"),
        (whole.LIST, '{"sizes": {"params/d/a": 4}}', " is not listed"),
        (whole.LIST, '{"sizes": {"params/d/a": 4}, "sha": {}}', "has the keys"),
        (whole.STAMP, None, "_CHECKPOINT_METADATA is missing"),
        (whole.STAMP, STAMPED[:-1], "_CHECKPOINT_METADATA is no JSON"),
        (whole.STAMP, "null", "_CHECKPOINT_METADATA holds no object"),
        (whole.STAMP, '{"commit_timestamp_nsecs": null}', "no time of completion"),
        (whole.STAMP, '{"commit_timestamp_nsecs": "5"}', "no time of completion"),
        (whole.STAMP, '{"commit_timestamp_nsecs": 5}', "is not as it was written"),
        (whole.COMMITTED, "successful to /a/checkpoints/", "cut short"),
        (whole.COMMITTED, None, "commit_success.txt is missing"),
    ],
)
def test_what_is_missing_cut_or_changed_is_named(sealed, name, content, told):
    if content is None:
        (sealed / name).unlink()
    else:
        (sealed / name).write_text(content)
    found = why(sealed)
    assert found is None if told is None else told in found


def test_processes_divide_the_files_and_an_item_that_is_not_read_is_left_out(sealed):
    (sealed / "params" / "d" / "a").write_text("1235")
    assert whole.damage(sealed, ("data", "train")) is None
    found = [whole.damage(sealed, ITEMS, index, 3) for index in range(3)]
    assert [one for one in found if one] == [whole.damage(sealed, ITEMS)]


def test_what_cannot_be_read_is_not_called_damaged(sealed):
    """Or a folder that is closed to us for a while would be removed."""
    (sealed / whole.LIST).unlink()
    (sealed / whole.LIST).mkdir()
    with pytest.raises(UserError, match=r"files.json: cannot be read"):
        whole.fault(sealed)


def test_a_folder_that_is_not_there_is_not_whole(tmp_path):
    assert "is missing" in whole.fault(tmp_path / "checkpoints" / "1")


def test_every_single_bit_of_the_list_counts(sealed):
    """A flip is found, or leaves the same list: there is no third."""
    path = sealed / whole.LIST
    content, rng = path.read_bytes(), random.Random(0)
    for bit in rng.sample(range(8 * len(content)), 200):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert why(sealed) is not None, f"bit {bit}"
