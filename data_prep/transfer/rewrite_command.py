"""Captions -> what a caregiver would say; step 1 of a transfer.

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
Every answer is kept in the cache at once, so a run that is stopped, or that the server
fails, goes on when the same command is run again. Exit codes: 0 finished, 75 the server
fails: try again later, 78 bad input.
"""

import argparse
import urllib.parse
from pathlib import Path

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep.importing.flags import add_command, check_out, positive
from data_prep.transfer import cost, rules
from data_prep.transfer.captions import caption_of, read_captions
from data_prep.transfer.chat import FORMATS, Endpoint
from data_prep.transfer.rewrite import (
    FAILED,
    SUMMARY,
    TABLE,
    AsTheyAre,
    Model,
    Rewriter,
    Rules,
    rewrite_corpus,
)


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    head, _, examples = __doc__.partition("\n\n")
    top = add_command(commands, "rewrite", run, head, head, examples)
    add = top.add_argument
    add("shards", metavar="SHARDS", help="folder of the general-purpose dataset")
    add("--name", required=True, help="the dataset: a picture and a caption each")
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
    add("--dry-run", action="store_true", help="tell what it would cost, send nothing")


def run(args: argparse.Namespace) -> None:
    """Rewrites, or tells what it would take.

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
        raise UserError("--endpoint holds a password or a query; see --key-env")
    for flag in ("requests_per_minute", "price_in", "price_out", "max_cost"):
        if not vars(args)[flag] >= 0:
            name = flag.replace("_", "-")
            raise UserError(f"--{name}={vars(args)[flag]}; give 0 or more")
    if not args.timeout_s > 0:
        raise UserError(f"--timeout-s={args.timeout_s}; give a number above 0")
    prices = cost.Prices(args.price_in, args.price_out)
    if args.max_cost and prices == cost.Prices():
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
