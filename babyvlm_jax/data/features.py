"""What a frozen encoder sees in each picture, kept on disk instead of computed.

A folder holds `features.json`, what the features were made with, and shards: file
`features-N.array_record` with one array per record, `keys-N.npy`, which picture each is
of, and the hashes of both (see `record_files`). A picture is known by its bytes, so
that datasets that share pictures share their features. A shard counts once its keys are
there.

Axes: P tokens of a picture, D width of the encoder.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from babyvlm_jax.data.record_files import RecordFiles, hashes_path, write_file
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.files import write_atomically

FACTS = "features.json"
_REASONS = {
    "encoder": "the encoder has other weights",
    "dtype": "the encoder computed in another precision",
    "image_size": "the pictures had another size",
    "scaled_decode": "the pictures were decoded in another way",
    "tokens": "the encoder gives another number of tokens",
    "width": "the encoder has another width",
}


def key_of(picture: bytes) -> int:
    """64 bits of the hash of an encoded picture."""
    return int.from_bytes(hashlib.blake2b(picture, digest_size=8).digest(), "little")


def _note(keys: np.ndarray) -> str:
    return hashlib.blake2b(keys.tobytes(), digest_size=8).hexdigest()


def _damaged(path, error) -> UserError:
    return UserError(
        f"{path} is damaged ({error!r}); bring it back from a copy, or make the "
        "features again in another folder"
    )


def check(folder: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuses features that this run would not compute itself.

    Args:
        folder: of the features, for the message.
        there: what they were made with.
        here: the facts of this run; those that it does not know are left out.

    Raises:
        UserError: they differ; says in what.
    """
    for name, reason in _REASONS.items():
        if name in here and there.get(name) != here[name]:
            raise UserError(
                f"config.data.features {folder} does not fit this run: {reason} "
                f"({name} was {there.get(name)!r}, is {here[name]!r}); make them again "
                "with python -m babyvlm_jax.features into another folder, or set "
                "config.data.features='' to compute them live"
            )


class FeatureStore:
    """Features on a disk, to be read by picture, and added to shard by shard.

    Attributes:
        facts: encoder, dtype, image_size, scaled_decode, tokens, width.
    """

    def __init__(self, folder: str | os.PathLike):
        """
        Raises:
            UserError: there are none.
        """
        self._folder = epath.Path(folder)
        if not (self._folder / FACTS).exists():
            raise UserError(
                f"config.data.features {folder} has no {FACTS}; make the features with "
                "python -m babyvlm_jax.features and the same flags"
            )
        self.facts = self._load_facts()
        self._numbers = sorted(
            int(path.stem.removeprefix("keys-"))
            for path in self._folder.glob("keys-*.npy")
        )
        shards = [self._load_keys(number) for number in self._numbers]
        keys = np.concatenate([np.zeros(0, np.uint64), *shards])
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self._files = RecordFiles(
            [self._array_record(number) for number in self._numbers],
            [len(keys) for keys in shards],
            f"config.data.features {folder}",
            notes=[_note(keys) for keys in shards],
        )

    def _load_facts(self):
        try:
            facts = json.loads((self._folder / FACTS).read_text())
            return {name: facts[name] for name in _REASONS}
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self._folder / FACTS, error) from None

    def _load_keys(self, number):
        try:
            return np.load(io.BytesIO(self._keys(number).read_bytes()))
        except (ValueError, EOFError) as error:
            raise _damaged(self._keys(number), error) from None

    @classmethod
    def begin(cls, folder: str | os.PathLike, facts: Mapping[str, Any]):
        """The store in `folder`, new or made with the same facts.

        Raises:
            UserError: it was made with others.
        """
        if (epath.Path(folder) / FACTS).exists():
            found = cls(folder)
            check(str(folder), found.facts, facts)
            return found
        text = json.dumps(dict(facts), indent=2, sort_keys=True)
        write_atomically(epath.Path(folder) / FACTS, text.encode())
        return cls(folder)

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def shape(self) -> tuple[int, int, np.dtype]:
        """P, D and the type of a picture's features."""
        dtype = np.dtype(getattr(ml_dtypes, self.facts["dtype"], self.facts["dtype"]))
        return self.facts["tokens"], self.facts["width"], dtype

    def _keys(self, number: int) -> epath.Path:
        return self._folder / f"keys-{number:05d}.npy"

    def _array_record(self, number: int) -> epath.Path:
        return self._folder / f"features-{number:05d}.array_record"

    def has(self, key: int) -> bool:
        """Whether there are features of this picture."""
        return self._place(key) is not None

    def _place(self, key):
        at = int(np.searchsorted(self._sorted, np.uint64(key)))
        if at == len(self._sorted) or int(self._sorted[at]) != key:
            return None
        return int(self._order[at])

    def read(self, record_id: str, pictures: Sequence[bytes]) -> np.ndarray:
        """Features [k, P, D] of encoded pictures.

        Raises:
            UserError: one of them is not there; names the record.
        """
        tokens, width, dtype = self.shape
        places = [self._place(key_of(picture)) for picture in pictures]
        if None in places:
            raise UserError(
                f"config.data.features {self._folder} has nothing of picture "
                f"{places.index(None) + 1} of record {record_id!r}; run python -m "
                "babyvlm_jax.features again with the same flags, it adds what is new"
            )
        if not places:
            return np.zeros((0, tokens, width), dtype)
        found = self._files.read(places)
        return np.stack([np.frombuffer(data, dtype) for data in found]).reshape(
            -1, tokens, width
        )

    def add(self, keys: Iterable[int], features: np.ndarray) -> None:
        """Writes one more shard; it is found when the folder is opened again.

        Args:
            keys: of the pictures.
            features: [k, P, D] of them.
        """
        number = self._numbers[-1] + 1 if self._numbers else 0
        keys = np.array(list(keys), np.uint64)
        path = self._array_record(number)
        # one picture a group, and noise does not compress
        options = "group_size:1,uncompressed"
        rows = (one.tobytes() for one in features)
        with tempfile.TemporaryDirectory() as scratch:
            made = path
            if "://" in str(path):  # ArrayRecord writes to no bucket
                made = epath.Path(scratch) / path.name
            write_file(made, rows, options, _note(keys))
            for one in {hashes_path(made), made} if made != path else ():
                write_atomically(path.with_name(one.name), one.read_bytes())
        out = io.BytesIO()
        np.save(out, keys)
        write_atomically(self._keys(number), out.getvalue())
        self._numbers.append(number)
