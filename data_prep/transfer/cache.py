"""Answers of language models, kept on disk: a caption is paid for once.

An answer is found by the hash of all that it depends on: the model, the prompt with its
schema, and the caption. One SQLite file; what was put in is there after a kill.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError
from data_prep.transfer.answers import Answer
from data_prep.transfer.prompts import FINGERPRINT

_AT_ONCE = 500  # SQLite takes a limited number of values in a query


def key_of(model: str, caption: str) -> str:
    """Hash of a question to a model."""
    text = json.dumps([model, FINGERPRINT, caption])
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """Answers by key; to be used from one thread.

    Raises:
        UserError: the file is no cache, or cannot be written.
    """

    def __init__(self, path: Path):
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=60)
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                "(key TEXT PRIMARY KEY, keep INTEGER NOT NULL, utterance TEXT NOT NULL)"
                " WITHOUT ROWID"
            )

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"the cache {self._path} cannot be used ({error}); give another file "
                "with --cache, or delete it"
            ) from None

    def find(self, keys: Iterable[str]) -> dict[str, Answer]:
        """Key -> answer of those that are known."""
        keys, found = list(keys), {}
        with self._told():
            for first in range(0, len(keys), _AT_ONCE):
                part = keys[first : first + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT * FROM answers WHERE key IN ({marks})"
                for key, keep, utterance in self._base.execute(query, part):
                    found[key] = Answer(bool(keep), utterance)
        return found

    def put(self, answers: Mapping[str, Answer]) -> None:
        """Adds answers, all of them or none; the first answer of a key stays."""
        rows = [(key, one.keep, one.utterance) for key, one in answers.items()]
        with self._told(), self._base:
            self._base.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows
            )

    def close(self) -> None:
        self._base.close()
