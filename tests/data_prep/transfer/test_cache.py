import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.transfer import cache as module
from data_prep.transfer.answers import Answer
from data_prep.transfer.cache import Cache, key_of


def test_answers_are_found_again_by_all_that_they_depend_on(tmp_path, monkeypatch):
    path = tmp_path / "made" / "answers.sqlite"
    ours = Cache(path)
    many = {
        key_of("m", f"caption {i}"): Answer(i % 2 == 0, f"a {i}!") for i in range(1200)
    }
    ours.put(many)
    ours.put({key_of("m", "caption 0"): Answer(False, "")})  # the first one stays
    ours.close()
    again = Cache(path)
    assert again.find([*many, "unknown"]) == many
    assert not again.find([key_of("other", "caption 0")])
    monkeypatch.setattr(module, "FINGERPRINT", "another prompt")
    assert not again.find([key_of("m", "caption 0")])


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_text("not a database, but long enough to be looked at" * 30)
    with pytest.raises(UserError, match="cannot be used"):
        Cache(path)
