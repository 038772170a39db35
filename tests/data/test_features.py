"""Features on disk: found by picture, added to, refused when made otherwise."""

import numpy as np
import pytest

from babyvlm_jax.data.features import FeatureStore, check, key_of
from babyvlm_jax.runtime.errors import UserError

FACTS = {
    "encoder": "abc",
    "dtype": "bfloat16",
    "image_size": 8,
    "scaled_decode": False,
    "tokens": 2,
    "width": 3,
}


def arrays(store, *numbers):
    _, _, dtype = store.shape
    return np.stack([np.full((2, 3), n, dtype) for n in numbers])


def test_features_come_back_by_picture_and_later_ones_are_added(tmp_path):
    store = FeatureStore.begin(tmp_path, FACTS)
    store.add([key_of(b"a"), key_of(b"b")], arrays(store, 1, 2))
    store.add([key_of(b"c")], arrays(store, 3))
    found = FeatureStore.begin(tmp_path, FACTS)
    assert len(found) == 3
    assert found.has(key_of(b"c"))
    assert not found.has(key_of(b"d"))
    read = found.read("r", [b"c", b"a", b"c"])
    assert read.shape == (3, 2, 3)
    assert read.dtype == found.shape[2] != np.float32
    assert read[:, 0, 0].astype(float).tolist() == [3.0, 1.0, 3.0]
    assert found.read("r", []).shape == (0, 2, 3)
    with pytest.raises(UserError, match=r"nothing of picture 2 of record 'r9'; run"):
        found.read("r9", [b"a", b"d"])


def test_a_shard_that_was_cut_is_not_counted(tmp_path):
    store = FeatureStore.begin(tmp_path, FACTS)
    store.add([key_of(b"a")], arrays(store, 1))
    (tmp_path / "features-00001.array_record").write_bytes(b"half")
    found = FeatureStore(tmp_path)
    assert len(found) == 1
    found.add([key_of(b"b")], arrays(found, 2))
    read = FeatureStore(tmp_path).read("r", [b"a", b"b"])
    assert read[:, 0, 0].astype(float).tolist() == [1.0, 2.0]


def test_a_folder_without_features(tmp_path):
    with pytest.raises(UserError, match=r"has no features.json; make the features"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("encoder", "xyz", "other weights (encoder was 'abc', is 'xyz')"),
        ("dtype", "float32", "another precision"),
        ("image_size", 16, "another size (image_size was 8, is 16)"),
        ("scaled_decode", True, "decoded in another way"),
        ("tokens", 5, "another number of tokens"),
        ("width", 4, "another width"),
    ],
)
def test_features_made_otherwise_are_refused_with_the_reason(
    tmp_path, name, value, reason
):
    FeatureStore.begin(tmp_path, FACTS)
    with pytest.raises(UserError) as refused:
        FeatureStore.begin(tmp_path, {**FACTS, name: value})
    assert reason in str(refused.value)
    assert str(refused.value).count("\n") == 0
    check("there", FACTS, FACTS)


@pytest.mark.parametrize("name", ["features.json", "keys-00000.npy"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe"])
def test_damaged_files_are_named(tmp_path, name, content):
    store = FeatureStore.begin(tmp_path, FACTS)
    store.add([key_of(b"a")], arrays(store, 1))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is damaged"):
        FeatureStore(tmp_path)
