"""Step 1: captions -> utterances for a small child, and which pairs to keep.

The folder of a transfer gets `rewritten.parquet` (number and id of a record, caption,
keep, utterance, and the reason if there is no answer) and then `rewrite.json`, what it
was made with and the counts, which marks the step as done.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError, printable
from data_prep import jobs
from data_prep.transfer import asking, cost, prompts, rules, table
from data_prep.transfer.answers import Answer
from data_prep.transfer.cache import Cache
from data_prep.transfer.captions import Caption, read_captions
from data_prep.transfer.chat import Chat, Endpoint, request_body
from data_prep.transfer.pace import Pace

TABLE = "rewritten.parquet"
SUMMARY = "rewrite.json"
FAILED = 20  # captions without an answer that the summary lists


class Rewriter(Protocol):
    """What makes utterances of captions."""

    def facts(self) -> dict[str, Any]:
        """All that the utterances depend on, JSON-able."""
        ...

    def rewrite(
        self, captions: Sequence[str]
    ) -> tuple[dict[str, Answer], dict[str, str], dict[str, Any]]:
        """Caption -> answer, caption -> why none, and what to tell of it."""
        ...


class AsTheyAre:
    """Keeps every caption as it is: of a corpus that speaks to a child already."""

    def facts(self) -> dict[str, Any]:
        return {"kind": "none"}

    def rewrite(self, captions):
        return {text: Answer(True, text) for text in captions}, {}, {}


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rewriter of this machine; see `rules`.

    Attributes:
        everyday: words that name things in the target corpus.
    """

    everyday: frozenset[str]

    def facts(self) -> dict[str, Any]:
        words = hashlib.sha256("\n".join(sorted(self.everyday)).encode()).hexdigest()
        return {
            "kind": "rules",
            "version": rules.VERSION,
            "everyday_words": len(self.everyday),
            "words": words[:16],
        }

    def rewrite(self, captions):
        everyday = set(self.everyday)
        return {text: rules.rewrite(text, everyday) for text in captions}, {}, {}


@dataclasses.dataclass(frozen=True)
class Model:
    """A language model behind an endpoint.

    Attributes:
        endpoint: where.
        cache: file of the answers so far.
        per_request: captions of a request.
        concurrency: requests at a time.
        per_minute: requests a minute; 0 for as many as there are.
        prices: of tokens.
        max_cost: dollars; 0 for no limit.
    """

    endpoint: Endpoint
    cache: Path
    per_request: int
    concurrency: int
    per_minute: float
    prices: cost.Prices
    max_cost: float

    def facts(self) -> dict[str, Any]:
        return {
            "kind": "chat",
            "endpoint": self.endpoint.url,
            "model": self.endpoint.model,
            "prompt": prompts.FINGERPRINT,
        }

    def tell(self, captions: Sequence[str]) -> None:
        """Prints what it would cost, and the first request; sends nothing."""
        known = {}
        if self.cache.exists():
            cache = Cache(self.cache)
            known = asking.known_answers(cache, self.endpoint.model, captions)
            cache.close()
        wanted = [text for text in captions if text not in known]
        self._print_estimate(len(known), wanted)
        if wanted:
            body = request_body(self.endpoint, wanted[: self.per_request])
            print(f"the first request, to {self.endpoint.url}/chat/completions:")
            for message in body["messages"]:
                print(printable(f"--- {message['role']}\n{message['content']}"))

    def _print_estimate(self, known, wanted) -> cost.Estimate:
        expected = cost.estimate(wanted, self.per_request)
        if known:
            print(f"{known:,} captions are answered already in {self.cache}")
        print(expected.line(self.prices), flush=True)
        return expected

    def rewrite(self, captions):
        cache = Cache(self.cache)
        answers = asking.known_answers(cache, self.endpoint.model, captions)
        wanted = [text for text in captions if text not in answers]
        purse = cost.Purse(self.prices, self.max_cost)
        purse.expect(self._print_estimate(len(answers), wanted))
        pace = Pace(self.per_minute)
        found, failed = asking.ask_all(
            Chat(self.endpoint, pace, self.concurrency),
            pace,
            cache,
            self.endpoint.model,
            wanted,
            self.per_request,
            self.concurrency,
            purse,
        )
        cache.close()
        spent = {
            "asked": len(wanted),
            "tokens_in": purse.tokens_in,
            "tokens_out": purse.tokens_out,
            "dollars": round(self.prices.dollars(purse.tokens_in, purse.tokens_out), 4),
        }
        return {**answers, **found}, failed, spent


def rewrite_corpus(
    source: RecordSource, out: Path, rewriter: Rewriter, limit: int | None = None
) -> dict[str, Any]:
    """Rewrites the captions of a corpus; does nothing if that is done.

    Args:
        source: records of one picture and one caption; others are counted.
        out: folder of the transfer.
        rewriter: makes the utterances.
        limit: records to read, from the first; None for all.

    Returns:
        The summary: captions, distinct, kept, failed, without, words (a kept
        utterance's mean), and what the rewriter tells.

    Raises:
        UserError: the folder holds another rewriting; whatever the rewriter raises.
    """
    identity = {
        "fingerprint": source.fingerprint,
        "name": source.name,
        "split": source.split,
        "limit": limit,
        "rewriter": rewriter.facts(),
    }
    job = jobs.Job(
        out=out,
        name="rewrite",
        kind=f"rewriting of the captions of {source.name}",
        summary=out / SUMMARY,
        identity=identity,
        renewed=source.renewed,
    )
    with job.begun() as done:
        if done is not None:
            return done
        captions, without = read_captions(source, limit)
        distinct = list(dict.fromkeys(caption.text for caption in captions))
        answers, failed, told = rewriter.rewrite(distinct)
        kept = [answers[c.text].utterance for c in captions if _is_kept(c, answers)]
        if not kept:
            raise UserError(
                f"no caption of {source.name}/{source.split} is kept, of "
                f"{len(captions):,}; {len(failed):,} failed, and "
                f"{sum(without.values()):,} records have none"
            )
        job.replace()
        table.write_table(out / TABLE, _columns(captions, answers, failed))
        return job.finish(
            {
                "corpus": table.corpus_facts(source),
                "captions": len(captions),
                "distinct": len(distinct),
                "kept": len(kept),
                "words": round(sum(len(x.split()) for x in kept) / len(kept), 2),
                "without": without,
                "failed": len(failed),
                "first_failed": dict(list(failed.items())[:FAILED]),
                **told,
            }
        )


def _is_kept(caption: Caption, answers) -> bool:
    return caption.text in answers and answers[caption.text].keep


def _columns(captions: Sequence[Caption], answers, failed) -> dict[str, list]:
    none = Answer(False, "")
    found = [answers.get(caption.text, none) for caption in captions]
    return {
        "number": [caption.number for caption in captions],
        "id": [caption.id for caption in captions],
        "caption": [caption.text for caption in captions],
        "keep": [answer.keep for answer in found],
        "utterance": [answer.utterance for answer in found],
        "reason": [failed.get(caption.text, "") for caption in captions],
    }
