"""Step 1: captions -> utterances for a small child, and which pairs to keep.

The folder of a transfer gets `rewritten.parquet` (number and id of a record, caption,
keep, utterance, and the reason if there is no answer) and then `rewrite.json`, what it
was made with and the counts, which marks the step as done.
"""

import argparse
import collections
import dataclasses
import hashlib
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow
import pyarrow.parquet as pq
from tqdm import tqdm

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.runtime.errors import (
    UserError,
    add_command_flags,
    raise_system_fault,
)
from data_prep import jobs
from data_prep.importing.flags import add_command, check_out, positive
from data_prep.transfer import rules
from data_prep.transfer.chat import FORMATS, Endpoint, Model
from data_prep.transfer.prompts import Answer, Prices

_AT_ONCE = 512  # records read together


class Caption(NamedTuple):
    """What a record says of its only image."""

    number: int
    id: str
    text: str


def caption_of(record: Record) -> str | None:
    """The caption, blanks squeezed; None if the record is none of one image."""
    said = [text for role, text in record.turns if role == ASSISTANT]
    if len(record.images) != 1 or len(said) != 1:
        return None
    return " ".join(said[0].replace(IMAGE_MARK, " ").split()) or None


def read_captions(
    source: RecordSource, limit: int | None
) -> tuple[list[Caption], dict[str, int]]:
    """Reads the captions of a corpus.

    Args:
        source: the corpus; a human's words (an instruction to describe) are ignored.
        limit: records to read; None for all.

    Returns:
        The captions, in order of their records, and how many records have none.
    """
    count = len(source) if limit is None else min(limit, len(source))
    found, without = [], collections.Counter()
    with tqdm(total=count, desc="reading", unit="record") as bar:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, count))
            for number, record in zip(numbers, source.read(numbers), strict=True):
                text = caption_of(record)
                if text is None:
                    without["not_a_caption"] += 1
                else:
                    found.append(Caption(number, record.id, text))
            bar.update(len(numbers))
    return found, dict(without)


def write_table(path: Path, columns: Mapping[str, Sequence]) -> None:
    """Writes named columns of one length, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(pyarrow.table(dict(columns)), beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_table(path: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Reads some columns, in the requested order.

    Raises:
        UserError: there is no such file or column.
    """
    try:
        found = pq.read_table(path, columns=list(columns)).to_pydict()
        return {column: found[column] for column in columns}
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise_system_fault(error, path, about_file=True)
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read ({why}); make it again") from None


def open_corpus(facts: Mapping[str, str], shards: str | None) -> RecordSource:
    """The split that an earlier step read.

    Args:
        facts: its shards, name, split and fingerprint.
        shards: the folder where it is now; None if it has not moved.

    Raises:
        UserError: it is not there, or has changed.
    """
    source = RecordSource(shards or facts["shards"], facts["name"], facts["split"])
    if source.renewed(facts["fingerprint"]) != source.fingerprint:
        raise UserError(
            f"{source.name}/{source.split} in {source.shards} has changed since the "
            "captions were rewritten; rewrite them again into another folder"
        )
    return source


def corpus_facts(source: RecordSource) -> dict[str, str]:
    """What `open_corpus` needs to find a split again."""
    return {
        "shards": os.path.abspath(source.shards),
        "name": source.name,
        "split": source.split,
        "fingerprint": source.fingerprint,
    }


TABLE = "rewritten.parquet"
SUMMARY = "rewrite.json"
FAILED = 20  # captions without an answer that the summary lists


class Rewriter(Protocol):
    """What makes utterances of captions."""

    def facts(self) -> dict[str, Any]:
        """All that the utterances depend on, JSON-able."""

    def rewrite(
        self, captions: Sequence[str]
    ) -> tuple[dict[str, Answer], dict[str, str], dict[str, Any]]:
        """Caption -> answer, caption -> why none, and figures for the summary."""


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


def rewrite_corpus(
    source: RecordSource, out: Path, rewriter: Rewriter, limit: int | None = None
) -> dict[str, Any]:
    """Rewrites the captions of a corpus; does nothing if that is done.

    Args:
        source: records of one image and one caption; others are counted.
        out: folder of the transfer.
        rewriter: makes the utterances.
        limit: records to read, from the first; None for all.

    Returns:
        The summary: captions, distinct, kept, failed, without, words (a kept
        utterance's mean), and what the rewriter reports.

    Raises:
        UserError: the folder contains another rewriting; whatever the rewriter raises.
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
        found = [answers.get(caption.text, Answer(False, "")) for caption in captions]
        kept = [answer.utterance for answer in found if answer.keep]
        if not kept:
            raise UserError(
                f"no caption of {source.name}/{source.split} is kept, of "
                f"{len(captions):,}; {len(failed):,} failed, and "
                f"{sum(without.values()):,} records have none"
            )
        job.replace()
        write_table(out / TABLE, _columns(captions, found, failed))
        return job.finish(
            {
                "corpus": corpus_facts(source),
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


def _columns(captions, found: Sequence[Answer], failed) -> dict[str, list]:
    return {
        "number": [caption.number for caption in captions],
        "id": [caption.id for caption in captions],
        "caption": [caption.text for caption in captions],
        "keep": [answer.keep for answer in found],
        "utterance": [answer.utterance for answer in found],
        "reason": [failed.get(caption.text, "") for caption in captions],
    }


HELP = """\
Captions -> what a caregiver would say; step 1 of a transfer.

  # by rules, with the words of your own corpus; no network
  python -m data_prep.transfer rewrite shards --name=llava_pretrain --split=train \\
      --target=shards --target-name=filtered --out=runs/transfer

  # by a language model: first what it would cost, then in earnest
  python -m data_prep.transfer rewrite shards --name=llava_pretrain --split=train \\
      --rewriter=chat --endpoint=https://api.openai.com/v1 --model=gpt-4o \\
      --price-in=USD --price-out=USD --out=runs/transfer --dry-run
  OPENAI_API_KEY=... python -m data_prep.transfer rewrite ... --max-cost=100

  # by a server on this machine that speaks the same API
  python -m data_prep.transfer rewrite shards --name=llava_pretrain --split=train \\
      --rewriter=chat --endpoint=http://localhost:8000/v1 --model=llama-3 \\
      --out=runs/transfer

The key is read from the environment variable that --key-env names, and never shown.
Every answer is kept in the cache at once, so after a stop, or a failure of the
server, run the same command again to resume. Exit codes: 0 finished, 75 the server
fails: try again later, 78 bad input."""


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    top = add_command(commands, "rewrite", run, HELP)
    add = top.add_argument
    add("shards", metavar="SHARDS", help="folder of the general-purpose dataset")
    add("--name", required=True, help="the dataset: an image and a caption each")
    add("--split", default="train", help="default: train")
    add("--out", required=True, metavar="DIR", help="folder of the transfer")
    add("--limit", type=positive, metavar="N", help="only the first N records")
    add(
        "--rewriter",
        choices=("rules", "chat", "none"),
        default="rules",
        help="none keeps every caption as it is (default rules)",
    )
    add_command_flags(top)
    own = top.add_argument_group("rules")
    add = own.add_argument
    add("--target", metavar="SHARDS", help="corpus whose words count as everyday words")
    add("--target-name", default="filtered", help="default: filtered")
    add("--target-split", default="train", help="default: train")
    _add_chat_flags(top.add_argument_group("chat"))


def _add_chat_flags(group) -> None:
    add = group.add_argument
    add("--endpoint", metavar="URL", help="without /chat/completions")
    add("--model", help="as the server calls it")
    add("--key-env", default="OPENAI_API_KEY", metavar="VARIABLE")
    add("--cache", metavar="FILE", help="of answers (default OUT/answers.sqlite)")
    add(
        "--captions-per-request",
        type=positive,
        default=20,
        metavar="N",
        help="default 20",
    )
    add(
        "--concurrency",
        type=positive,
        default=8,
        metavar="N",
        help="requests at a time",
    )
    add(
        "--requests-per-minute",
        type=float,
        default=0,
        metavar="N",
        help="0 (default): as many as the server takes",
    )
    add("--attempts", type=positive, default=8, help="of a failing request (default 8)")
    add("--timeout-s", type=float, default=120, help="of a request (default 120)")
    add(
        "--answer-format",
        choices=FORMATS,
        default=FORMATS[0],
        help="what the server is asked to keep to; answers are checked anyway",
    )
    add("--price-in", type=float, default=0, metavar="USD", help="a million tokens")
    add("--price-out", type=float, default=0, metavar="USD", help="a million tokens")
    add("--max-cost", type=float, default=0, metavar="USD", help="0: no limit")
    add("--dry-run", action="store_true", help="print the cost, send nothing")


def run(args: argparse.Namespace) -> None:
    """Rewrites, or prints what it would cost.

    Raises:
        UserError: a bad flag or input, or a server that refuses.
        Preempted: a server that fails.
    """
    out = check_out(args.out)
    source = RecordSource(args.shards, args.name, args.split)
    rewriter = _rewriter(args, out)
    if args.dry_run:
        if not isinstance(rewriter, Model):
            raise UserError("--dry-run is for --rewriter=chat; others cost nothing")
        captions, _ = read_captions(source, args.limit)
        rewriter.tell(list(dict.fromkeys(caption.text for caption in captions)))
        return
    done = rewrite_corpus(source, out, rewriter, args.limit)
    print(
        f"{done['kept']:,} of {done['captions']:,} pairs are kept, {done['words']} "
        f"words each; {out / TABLE}"
    )
    if done["failed"]:
        print(
            f"{done['failed']:,} captions have no usable answer; {SUMMARY} lists the "
            f"first {FAILED}"
        )


def _rewriter(args, out: Path) -> Rewriter:
    if args.rewriter == "none":
        return AsTheyAre()
    if args.rewriter == "rules":
        if args.target is None:
            raise UserError("--rewriter=rules needs --target=SHARDS, whose words count")
        target = RecordSource(args.target, args.target_name, args.target_split)
        said = filter(None, map(caption_of, target))
        return Rules(frozenset(rules.everyday_words(said)))
    for flag in ("endpoint", "model"):
        if not vars(args)[flag]:
            raise UserError(f"--rewriter=chat needs --{flag}")
    try:
        parts = urllib.parse.urlsplit(args.endpoint)
    except ValueError as error:
        raise UserError(f"--endpoint={args.endpoint}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"--endpoint={args.endpoint}; expected http://... or https://..."
        )
    if parts.username or parts.query:
        raise UserError("--endpoint contains a password or a query; see --key-env")
    for flag in ("requests_per_minute", "price_in", "price_out", "max_cost"):
        if not vars(args)[flag] >= 0:
            name = flag.replace("_", "-")
            raise UserError(f"--{name}={vars(args)[flag]}; give 0 or more")
    if not args.timeout_s > 0:
        raise UserError(f"--timeout-s={args.timeout_s}; give a number above 0")
    prices = Prices(args.price_in, args.price_out)
    if args.max_cost and prices == Prices():
        raise UserError("--max-cost needs --price-in and --price-out")
    return Model(
        endpoint=Endpoint(
            url=args.endpoint.rstrip("/"),
            model=args.model,
            key_env=args.key_env,
            timeout_s=args.timeout_s,
            answer_format=args.answer_format,
            attempts=args.attempts,
        ),
        cache=Path(args.cache) if args.cache else out / "answers.sqlite",
        per_request=args.captions_per_request,
        concurrency=args.concurrency,
        per_minute=args.requests_per_minute,
        prices=prices,
        max_cost=args.max_cost,
    )
