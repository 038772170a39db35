"""Batches of pairs: one picture and one utterance, for contrastive training.

Axes: B pairs, H and W pixels, T tokens of an utterance.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.identity import digest, plan_facts
from babyvlm_jax.data.lengths import record_stops
from babyvlm_jax.data.mixture import Mixture, Walk, share
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.sources import ExampleSource
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError

TEMPLATE = "plain"  # the utterance alone, between <sos> and <eos>


def lay_texts(
    texts: Sequence[Sequence[int]], num_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of texts, each with its specials, as rows.

    [sos, a, ball, eos] in rows of 6: [sos, a, ball, eos, 0, 0]; in rows of 3:
    [sos, a, eos].

    Returns:
        tokens i32[B, T], text_mask bool[B, T] True on tokens.
    """
    tokens = np.zeros((len(texts), num_tokens), np.int32)
    mask = np.zeros((len(texts), num_tokens), bool)
    for row, ids in enumerate(texts):
        if len(ids) > num_tokens:
            ids = [*ids[: num_tokens - 1], ids[-1]]
        tokens[row, : len(ids)] = ids
        mask[row, : len(ids)] = True
    return tokens, mask


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str], num_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Texts as `lay_texts` gives them, in the form that training sees."""
    sos, eos = tokenizer.sos_id, tokenizer.eos_id
    plain = (" ".join(text.split()) for text in texts)
    return lay_texts([[sos, *tokenizer.encode(t), eos] for t in plain], num_tokens)


class PairSource:
    """Opens the datasets of a split and makes batches of records that are named.

    Attributes:
        usable: dataset -> i64[n] its records of which a word is known.
        facts: see `identity`; `order` is left to the caller.
    """

    def __init__(self, cfg: DataConfig, split: str):
        if cfg.template != TEMPLATE or cfg.lessons:
            raise UserError(
                f"pairs are read with config.data.template {TEMPLATE!r} and without "
                f"config.data.lessons; got {cfg.template!r} and {len(cfg.lessons)} "
                "lessons"
            )
        names = sorted(cfg.mixture)
        self.sources = [RecordSource(cfg.shards, name, split) for name in names]
        tokenizer = Tokenizer.load(cfg.tokenizer)
        self.tokenizer = tokenizer.fingerprint
        self._num_tokens = cfg.seq_len
        self.usable = {
            source.name: _usable(source, tokenizer) for source in self.sources
        }
        self._examples = ExampleSource(
            self.sources,
            tokenizer,
            TEMPLATE,
            1,
            cfg.image_size,
            True,
            cfg.blank_images,
            cfg.cache_images * cfg.cache_images_mb * 2**20,
            scaled_decode=cfg.scaled_decode,
        )

    def batch(self, records: Sequence[tuple[int, int]], num_rows: int) -> Batch:
        """Records by (dataset, record number), as at least one of `num_rows` rows.

        Returns:
            images u8[B, H, W, 3]; tokens i32[B, T] with text_mask bool[B, T]; valid
            bool[B]: rows behind the last record repeat it and are not valid.
        """
        examples = self._examples(records)
        fill = num_rows - len(examples)
        texts = [_utterance(one.encoded) for one in examples]
        tokens, mask = lay_texts(texts + texts[-1:] * fill, self._num_tokens)
        pictures = [one.images[0] for one in examples]
        return {
            "images": np.stack(pictures + pictures[-1:] * fill),
            "tokens": tokens,
            "text_mask": mask,
            "valid": np.arange(num_rows) < len(examples),
        }

    def ids(self, records: Sequence[tuple[int, int]]) -> list[str]:
        """Ids of records."""
        return [one.encoded.id for one in self._examples(records)]


def _utterance(encoded) -> list[int]:
    """<sos>, words, <eos>: the last is the last target, the picture has no id."""
    words = encoded.tokens[encoded.visual_index < 0]
    return [*words.tolist(), int(encoded.targets[-1])]


def _usable(source: RecordSource, tokenizer: Tokenizer) -> np.ndarray:
    """Numbers of the records to train on.

    Raises:
        UserError: a record is no pair, or none has a word that is known.
    """
    stops = record_stops(source, tokenizer, TEMPLATE, 1, True)
    lengths = stops.whole()
    answers = np.diff(np.append(stops.starts, len(stops.sizes)))
    others = np.flatnonzero((lengths.sizes[:, 1] != 1) | (answers != 1))
    if len(others):
        raise UserError(
            f"dataset {source.name!r}: {len(others)} of {len(source)} records are no "
            "pairs of one picture and one utterance, the first "
            f"{source[int(others[0])].id!r}; use image_utterance, or one like it"
        )
    usable = np.flatnonzero(lengths.teaches)
    if not len(usable):
        raise UserError(
            f"dataset {source.name!r}: no utterance has a word that the tokenizer "
            "knows; give the tokenizer that belongs to it"
        )
    return usable


class Pairs:
    """The pairs of a run, by step; every record once an epoch.

    Attributes:
        steps_per_epoch: batches that show every pair once, rounded up.
        num_steps: batches of the run; None = endless.
        stats: records and steps_per_epoch.
        facts: what a resumed run must find again; see `identity`.
    """

    def __init__(self, cfg: DataConfig):
        self._size = cfg.batch_size
        self._source = PairSource(cfg, cfg.split)
        kept = {
            name: share(numbers, cfg.fraction, name, cfg.seed)
            for name, numbers in self._source.usable.items()
        }
        self._walk = Walk(Mixture(kept, cfg.weights, cfg.seed))
        self.steps_per_epoch = self._walk.steps_per_epoch(cfg.batch_size)
        self.num_steps = cfg.repeats and cfg.repeats * self.steps_per_epoch
        self.stats = {
            "records": self._walk.size,
            "steps_per_epoch": self.steps_per_epoch,
        }
        order = digest(*self._walk.draws(0))
        self.facts = plan_facts(self._source.sources, self._source.tokenizer, order)

    def batch_at(
        self, step: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """This process's slice of the batch of `step`; see `PairSource.batch`."""
        places = process_places(self._size, process_index, process_count)
        records = [self._walk.record(step * self._size + place) for place in places]
        return self._source.batch(records, len(records))

    def ids_at(self, step: int) -> list[str]:
        """Ids of the records in the global batch of `step`."""
        first = step * self._size
        places = range(first, first + self._size)
        return self._source.ids([self._walk.record(place) for place in places])


class HeldOutPairs:
    """All pairs of a split, once and in a fixed order that mixes neighbours.

    Attributes:
        num_batches: the last may have rows that are not valid.
        records: which ones, as `identity` names them.
    """

    def __init__(self, cfg: DataConfig, split: str, datasets: Sequence[str] = ()):
        """
        Args:
            cfg: how pairs are read, and the size of a batch.
            split: which pairs.
            datasets: other ones than those of `cfg.mixture`, if there are any.
        """
        if datasets:
            cfg = dataclasses.replace(cfg, mixture=dict.fromkeys(datasets, 1.0))
        self._size = cfg.batch_size
        self._source = PairSource(cfg, split)
        self.records = plan_facts(self._source.sources, "", "")["datasets"]
        usable = self._source.usable
        # in proportion to the sizes, each record comes exactly once
        sizes = {name: float(len(numbers)) for name, numbers in usable.items()}
        self._datasets, self._numbers = Mixture(usable, sizes, 0).draws(0)
        self.num_batches = -(-len(self._numbers) // cfg.batch_size)

    def batch_at(
        self, number: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """This process's slice of a batch; see `PairSource.batch`."""
        places = process_places(self._size, process_index, process_count)
        first = number * self._size
        there = [p for p in places if first + p < len(self._numbers)]
        chosen = there or [len(self._numbers) - 1 - first]
        records = [
            (int(self._datasets[first + p]), int(self._numbers[first + p]))
            for p in chosen
        ]
        batch = self._source.batch(records, len(places))
        return batch if there else batch | {"valid": np.zeros(len(places), bool)}
