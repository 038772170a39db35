"""Asks a model about captions: several a request, several requests at a time.

Whatever comes back is checked answer by answer; what is good goes into the cache at
once, what is not is asked again by itself, a few times.
"""

import collections
import concurrent.futures
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from tqdm import tqdm

from data_prep.transfer.answers import Answer, read_answers
from data_prep.transfer.cache import Cache, key_of
from data_prep.transfer.chat import Reply
from data_prep.transfer.cost import Purse
from data_prep.transfer.pace import Pace

TRIES = 3  # of a caption whose answers make no sense


class Asks(Protocol):
    """What asks; `chat.Chat` does."""

    def ask(self, captions: Sequence[str]) -> Reply: ...


class _Question(NamedTuple):
    captions: tuple[str, ...]
    tries: int


def known_answers(
    cache: Cache, model: str, captions: Iterable[str]
) -> dict[str, Answer]:
    """Caption -> answer of those that were asked about before."""
    keys = {key_of(model, caption): caption for caption in captions}
    return {keys[key]: answer for key, answer in cache.find(keys).items()}


def ask_all(
    chat: Asks,
    pace: Pace,
    cache: Cache,
    model: str,
    captions: Sequence[str],
    per_request: int,
    concurrency: int,
    purse: Purse,
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Asks about captions that are not in the cache yet.

    Args:
        chat: asks.
        pace: of `chat`; is stopped when something ends the asking.
        cache: receives each good answer as it comes.
        model: what the cache knows it by.
        captions: each once.
        per_request: captions of a request.
        concurrency: requests at a time.
        purse: pays.

    Returns:
        Caption -> answer, and caption -> why it has none.

    Raises:
        UserError, Preempted: see `Chat.ask` and `Purse.pay`.
    """
    waiting = collections.deque(
        _Question(tuple(captions[first : first + per_request]), 0)
        for first in range(0, len(captions), per_request)
    )
    answers: dict[str, Answer] = {}
    failed: dict[str, str] = {}
    bar = tqdm(total=len(captions), desc="captions", unit="caption")
    with bar, _threads(concurrency, pace) as pool:
        for question, reply in _replies(pool, chat, waiting, concurrency):
            good, bad = _read(question, reply)
            cache.put({key_of(model, text): one for text, one in good.items()})
            answers.update(good)
            purse.pay(reply.tokens_in, reply.tokens_out)
            tries = question.tries + 1
            for text, why in bad.items():
                if tries < TRIES:
                    waiting.append(_Question((text,), tries))
                else:
                    failed[text] = why
            bar.update(len(good) + (len(bad) if tries >= TRIES else 0))
    return answers, failed


def _read(question, reply) -> tuple[Mapping[str, Answer], Mapping[str, str]]:
    if reply.content is None:
        return {}, dict.fromkeys(question.captions, "the model refused to answer")
    good, bad = read_answers(reply.content, len(question.captions))
    names = question.captions
    return (
        {names[number]: one for number, one in good.items()},
        {names[number]: why for number, why in bad.items()},
    )


@contextlib.contextmanager
def _threads(concurrency: int, pace: Pace):
    """A pool whose threads stop waiting as soon as the block fails."""
    pool = concurrent.futures.ThreadPoolExecutor(concurrency)
    try:
        yield pool
    finally:
        pace.stopped.set()
        pool.shutdown(cancel_futures=True)


def _replies(
    pool: concurrent.futures.Executor,
    chat: Asks,
    waiting: collections.deque[_Question],
    concurrency: int,
) -> Iterator[tuple[_Question, Reply]]:
    """Replies as they come; questions may be added meanwhile."""
    running: dict[concurrent.futures.Future, _Question] = {}
    while waiting or running:
        while waiting and len(running) < concurrency:
            question = waiting.popleft()
            running[pool.submit(chat.ask, question.captions)] = question
        done, _ = concurrent.futures.wait(
            running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            yield running.pop(future), future.result()
