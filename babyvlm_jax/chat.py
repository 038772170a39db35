"""Asks a checkpoint about images, in a dialogue.

    python -m babyvlm_jax.chat --checkpoint=runs/demo/instruct --image=a.jpg
    ... --image=a.jpg --image=b.jpg --ask="Which image has more of ball? (A) <image> \\
        (B) <image>" --choices="A,B" --top=2
    ... --image=a.jpg --ask="<image> How many ball do you see?" --json

Images stand where the question says `<image>`, or before it where it does not. In
the dialogue, `/image FILE` adds an image to the next question, `/new` begins again
and `/quit` ends, as does the end of the input.
"""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import logging
from etils import epath, epy

from babyvlm_jax.data.images import preprocess
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.runtime.errors import (
    CommandParser,
    UserError,
    add_command_flags,
    printable,
    run_main,
)

with epy.lazy_imports():  # --help needs no jax
    import jax
    import jax.numpy as jnp

    from babyvlm_jax import embedding, sharding
    from babyvlm_jax.evals import engine
    from babyvlm_jax.evals import reader as reading

IMAGES = (1, 4, 16)  # ours: most dialogues show few images
TEXT = 128  # ours: tokens beside those of the images


def make_buckets(tokens_per_image: int) -> tuple[int, ...]:
    """Lengths with room for text beside some images, multiples of 128.

    197 tokens an image give (384, 1024, 3328).
    """
    lengths = [TEXT * (1 + -(-images * tokens_per_image // TEXT)) for images in IMAGES]
    return tuple(dict.fromkeys(lengths))


@functools.lru_cache(maxsize=8)
def make_stream(prefill: Callable, decode_step: Callable, max_new_tokens: int):
    """Makes the two jitted programs of a model; the same arguments share them.

    Returns:
        first(params, batch) -> (token i32[B], cache), and
        next(params, cache, token i32[B]) -> (token i32[B], cache).
    """

    def first(params, batch):
        length = batch["tokens"].shape[1]
        logits, cache = prefill(params, batch, length + max_new_tokens)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32), cache

    def step(params, cache, token):
        logits, cache = decode_step(params, cache, token)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32), cache

    return jax.jit(first), jax.jit(step, donate_argnums=1)


def stream(
    reader, records: Sequence[Record], max_new_tokens: int
) -> Iterator[np.ndarray]:
    """Answers the last human turns of a batch of records, a token at a time.

    Args:
        reader: the checkpoint; its batch size bounds the number of records.
        records: questions; each ends with a human turn, or with an
            answer that is not shown.
        max_new_tokens: where the answers are cut off.

    Yields:
        i32[len(records)], until all have ended with `<eos>`; an answer that has
        ended goes on with `<eos>`.

    Raises:
        UserError: a prompt is longer than the model's context.
    """
    model, eos = reader.model, reader.tokenizer.eos_id
    encoded = [reader.encode(record, answer=False) for record in records]
    longest = max(len(one.tokens) for one in encoded)
    room = model.config.decoder.max_len - max_new_tokens
    if longest > room:
        raise UserError(
            f"the dialogue has {longest} tokens, but the model's context holds {room} "
            f"and an answer of {max_new_tokens}; begin a new one"
        )
    first, step = make_stream(model.prefill, model.decode_step, max_new_tokens)
    features = reading.Features(reader)
    features.hold(image for one in encoded for image in one.images)
    pieces = [features.row_tokens(one) for one in encoded]
    batch = reader.put(pieces, reader.bucket(longest))
    token, cache = first(reader.params, batch | {"visual": features.table})
    done = np.zeros(len(records), bool)
    for number in range(max_new_tokens):
        row = np.full(len(records), eos)
        row[:] = reading.fetch(token)[: len(records)]
        row[done] = eos
        yield row
        done |= row == eos
        if done.all() or number == max_new_tokens - 1:
            return
        token, cache = step(reader.params, cache, token)


_DIALOGUE = Record("dialogue", "chat")


def load_reader(path: str, mesh, tokenizer: str = ""):
    """The checkpoint, which reads dialogues as it was trained to, uncut."""
    reader, _ = embedding.load_reader(path, mesh, 1, (), tokenizer)
    buckets = make_buckets(reader.tokens_per_image)
    return dataclasses.replace(reader, buckets=buckets, context=0)


def read_image(path: str, size: int) -> bytes:
    """The bytes of an image that can be decoded.

    Raises:
        UserError: no such file, or not an image.
    """
    file = epath.Path(path)
    if not file.is_file():
        raise UserError(f"no image {path}; give a JPEG, PNG or WebP file")
    data = file.read_bytes()
    try:
        preprocess(data, size)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return data


def add_question(dialogue: Record, text: str, images: Sequence[bytes]) -> Record:
    """The dialogue with one more question; images without marks stand before it.

    Raises:
        UserError: more marks than images, or fewer but some.
    """
    marks = text.count(IMAGE_MARK)
    if not marks and images:
        text = f"{IMAGE_MARK * len(images)} {text}"
    elif marks != len(images):
        raise UserError(
            f"the question has {marks} {IMAGE_MARK} marks for {len(images)} images; "
            "give one image for each mark, or no marks"
        )
    return dataclasses.replace(
        dialogue,
        turns=(*dialogue.turns, (HUMAN, text)),
        images=(*dialogue.images, *images),
    )


def answer(
    reader,
    dialogue: Record,
    max_new_tokens: int,
    show: Callable[[str], object],
) -> Record:
    """Answers the last question, and shows each piece of text when it is certain."""
    ids, shown = [], ""
    for (token,) in stream(reader, [dialogue], max_new_tokens):
        ids.append(token)
        text = engine.detokenize(reader.tokenizer, np.array(ids))
        if not text.endswith("\ufffd"):  # half a character, of a byte-level tokenizer
            show(text[len(shown) :])
            shown = text
    show(text[len(shown) :])
    said = text.replace(IMAGE_MARK, "")
    return dataclasses.replace(dialogue, turns=(*dialogue.turns, (ASSISTANT, said)))


def rank(
    reader, dialogue: Record, choices: Sequence[str], top: int
) -> list[tuple[str, float, float]]:
    """The likeliest answers to the question before the last answer.

    Returns:
        (answer, share of the likelihood of all choices, log-likelihood), best first.
    """
    scores = engine.score_last(reader, dialogue, choices)
    among = engine.shares(scores)
    order = np.argsort(-scores, kind="stable")[:top]
    return [(choices[i], float(among[i]), float(scores[i])) for i in order]


def hold_dialogue(args: argparse.Namespace, reader) -> None:
    """Asks what is asked on the command line, or what a person types."""
    size = reader.image_size
    images = [read_image(path, size) for path in args.image]
    dialogue = _DIALOGUE
    for text in iter(args.ask) if args.ask else _typed():
        try:
            if text.startswith("/"):
                dialogue, images = _obey(text, dialogue, images, size)
                continue
            asked = add_question(dialogue, text, images)
            dialogue = answer(reader, asked, args.max_new_tokens, _show)
        except UserError as error:
            if args.ask:
                raise
            print(printable(f"error: {error}"))
            continue
        print()
        images = []
        if args.choices:
            ranked = rank(reader, dialogue, args.choices, args.top)
            print(printable("\n".join(_line(*one) for one in ranked)))


def _obey(text: str, dialogue: Record, images: list[bytes], size: int):
    """A command of the dialogue -> the dialogue, images of the next question."""
    name, _, rest = text.partition(" ")
    if name == "/image":
        images = [*images, read_image(rest.strip(), size)]
        print(f"  image {len(images)} of the next question")
        return dialogue, images
    if name == "/new":
        return _DIALOGUE, []
    raise UserError(f"no command {name}; there are /image FILE, /new and /quit")


def _line(choice: str, share: float, score: float) -> str:
    return f"  {choice:20} {100 * share:5.1f} %   log-likelihood {score:.2f}"


def _show(text: str) -> None:
    print(printable(text), end="", flush=True)


def _typed():
    """Lines of the terminal, until `/quit` or its end."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line == "/quit":
            return
        if line:
            yield line


def ask_once(args: argparse.Namespace, reader) -> dict:
    """The dialogue of the command line as plain data.

    Returns:
        {"turns": [[role, text], ...], "answer": str}, and with choices {"choices":
        [{"text", "share", "log_likelihood"}, ...]} for the last question.
    """
    images = [read_image(path, reader.image_size) for path in args.image]
    dialogue = _DIALOGUE
    for text in args.ask:
        asked = add_question(dialogue, text, images)
        dialogue = answer(reader, asked, args.max_new_tokens, lambda _: None)
        images = []
    result = {"turns": dialogue.turns, "answer": dialogue.turns[-1][1]}
    if args.choices:
        ranked = rank(reader, dialogue, args.choices, args.top)
        names = ("text", "share", "log_likelihood")
        result["choices"] = [dict(zip(names, one, strict=True)) for one in ranked]
    return result


def _split(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m babyvlm_jax.chat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="work directory of a trained model")
    add("--image", action="append", default=[], help="file; may be given again")
    add("--ask", action="append", default=[], help="question; may be given again")
    add("--choices", default=(), type=_split, help='candidate answers, as "A,B,C,D"')
    add("--top", type=int, default=5, help="how many candidates to show (default 5)")
    add("--max-new-tokens", type=int, default=32, help="length of answers (default 32)")
    add("--tokenizer", default="", help="file, if it was moved")
    add("--json", action="store_true", help="print one JSON object; needs --ask")
    add_command_flags(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _parse(argv)
    logging.set_verbosity(logging.ERROR)  # Orbax tells each of its steps

    def run():
        for name in ("top", "max_new_tokens"):
            if (value := getattr(args, name)) < 1:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag}={value}: it must be at least 1")
        if args.json and not args.ask:
            raise UserError("--json answers what --ask asks; give at least one --ask")
        sizes = {"data": 1, "fsdp": 1, "tensor": 1}
        mesh = sharding.make_mesh(sizes, jax.local_devices()[:1])
        with jax.set_mesh(mesh):
            reader = load_reader(args.checkpoint, mesh, args.tokenizer)
            if args.json:
                print(json.dumps(ask_once(args, reader)))
            else:
                hold_dialogue(args, reader)

    run_main(run, args.debug)


if __name__ == "__main__":
    main()
