"""A language model behind OpenAI's chat API, asked about captions.

Any server that implements `POST URL/chat/completions` will do, a local one included.
The key comes from an environment variable, goes into the header and nowhere else:
redirections are not followed, and a server's response is cut and the key removed before
a person sees it.

Several captions share a request, and several requests run at a time. Answers are
checked one by one: a good one goes into the cache at once, a bad one is requested again
by itself, a few times.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import urllib3
from tqdm import tqdm

from babyvlm_jax.runtime.errors import Preempted, UserError, printable
from data_prep.transfer import prompts
from data_prep.transfer.prompts import (
    Answer,
    Cache,
    Estimate,
    Prices,
    Purse,
    estimate,
    key_of,
    read_answers,
)


class Stopped(Exception):
    """The work that this thread belongs to has ended."""


class Pace:
    """Spreads requests evenly, and delays all of them when the server requests it.

    Attributes:
        stopped: set once no further request is to be made; who waits wakes up.
    """

    def __init__(self, per_minute: float):
        """
        Args:
            per_minute: requests; 0 for as many as there are.
        """
        self._gap_s = 60 / per_minute if per_minute else 0.0
        self._next_s = 0.0  # when the next request may go out, on the monotonic clock
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def wait(self) -> None:
        """Returns when this thread may make a request.

        Raises:
            Stopped: there is to be none.
        """
        with self._lock:
            mine_s = max(self._next_s, time.monotonic())
            self._next_s = mine_s + self._gap_s
        self.sleep(mine_s - time.monotonic())
        if self.stopped.is_set():
            raise Stopped

    def hold(self, seconds: float) -> None:
        """No request for so long, by no thread."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Waits, unless all is stopped meanwhile."""
        self.stopped.wait(max(seconds, 0.0))


LONGEST_WAIT_S = 120.0  # ours: a longer wait is requested by mistake
_AGAIN = (408, 409, 425, 429)  # and all of 500 and above
FORMATS = ("json_schema", "json_object", "text")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        url: without `/chat/completions`.
        model: name of the model.
        key_env: environment variable that contains the key; none is sent without it.
        timeout_s: of a request.
        answer_format: `json_schema`, or less for a server that knows less.
        attempts: of a request that fails for reasons that may pass.
        first_wait_s: before the second attempt; doubles from then on.
    """

    url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    answer_format: str = "json_schema"
    attempts: int = 8
    first_wait_s: float = 1.0


@dataclasses.dataclass(frozen=True)
class Reply:
    """A model's message (None if it refuses), and what it cost in tokens."""

    content: str | None
    tokens_in: int
    tokens_out: int


def request_body(endpoint: Endpoint, captions: Sequence[str]) -> dict[str, Any]:
    """The JSON of a request."""
    body: dict[str, Any] = {
        "model": endpoint.model,
        "temperature": 0,
        "messages": prompts.messages(captions),
    }
    if endpoint.answer_format != "text":
        body["response_format"] = {"type": endpoint.answer_format}
    if endpoint.answer_format == "json_schema":
        schema = {"name": "answers", "strict": True, "schema": prompts.SCHEMA}
        body["response_format"]["json_schema"] = schema
    return body


class Chat:
    """Chat an endpoint, from any number of threads."""

    def __init__(self, endpoint: Endpoint, pace: Pace, connections: int):
        """
        Args:
            endpoint: where.
            pace: how fast.
            connections: kept open; one a thread.

        Raises:
            UserError: the key is none that a header can hold.
        """
        self._endpoint = endpoint
        self._pace = pace
        self._key = os.environ.get(endpoint.key_env, "").strip()
        if not all("!" <= letter <= "~" for letter in self._key):
            # the error that a header of it would be shows the key
            raise UserError(
                f"the environment variable {endpoint.key_env} contains blanks or other "
                "characters that no key has; set it to the key alone"
            )
        self._http = urllib3.PoolManager(maxsize=connections, block=True)

    def ask(self, captions: Sequence[str]) -> Reply:
        """One request, tried until it is answered.

        Raises:
            UserError: the server refuses it, and would again.
            Preempted: it has failed too often; later it may succeed.
            pace.Stopped: all is stopped.
        """
        body = json.dumps(request_body(self._endpoint, captions)).encode()
        why = ""
        for attempt in range(self._endpoint.attempts):
            if attempt:
                wait_s = self._endpoint.first_wait_s * 2 ** (attempt - 1)
                spread = random.uniform(0.5, 1.5)  # or all would come back together
                self._pace.sleep(min(wait_s * spread, LONGEST_WAIT_S))
            self._pace.wait()
            try:
                status, headers, data = self._post(body)
            except urllib3.exceptions.HTTPError as error:
                why = self._clean(f"{type(error).__name__}: {error}")
                continue
            if status == 200:
                reply = _reply(data)
                if reply is not None:
                    return reply
                why = f"not a chat completion: {self._clean(data)}"
            elif status in _AGAIN or status >= 500:
                why = f"HTTP {status}: {self._clean(data)}"
                self._pace.hold(retry_after_s(headers))
            else:
                raise UserError(self._refused(status, data))
        raise Preempted(
            f"{self._endpoint.url} failed {self._endpoint.attempts} times, at last "
            f"with {why}; the answers so far are kept, run the same command again later"
        )

    def _post(self, body) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        response = self._http.request(
            "POST",
            f"{self._endpoint.url.rstrip('/')}/chat/completions",
            body=body,
            headers=headers,
            timeout=self._endpoint.timeout_s,
            retries=False,
            redirect=False,
        )
        return response.status, response.headers, response.data

    def _refused(self, status, data) -> str:
        endpoint = self._endpoint
        remedy = "check --endpoint and --model"
        if status in (401, 403):
            there = "is set" if self._key else "is not set"
            remedy = f"the environment variable {endpoint.key_env} {there}; check it"
        elif status in (400, 422) and endpoint.answer_format != "text":
            remedy = "check --model, or try a lesser --answer-format"
        return f"{endpoint.url} says HTTP {status}: {self._clean(data)}; {remedy}"

    def _clean(self, said: bytes | str) -> str:
        """A server's response for messages: short, one line, without the key."""
        if isinstance(said, bytes):
            said = said.decode(errors="replace")
        if self._key:
            said = said.replace(self._key, "[key]")
        return " ".join(said.split())[:300]


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait: a number or a date; 0 if it does not."""
    text = headers.get("Retry-After", "")
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            wait_s = 0.0
    return min(max(wait_s, 0.0), LONGEST_WAIT_S) if wait_s == wait_s else 0.0


def _reply(data: bytes) -> Reply | None:
    """Reads a completion; None if it is something else."""
    try:
        body = json.loads(data)
        message = body["choices"][0]["message"]
        content = message.get("content")
        usage = body.get("usage") or {}
        tokens = [
            int(usage.get(k) or 0) for k in ("prompt_tokens", "completion_tokens")
        ]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return Reply(content if isinstance(content, str) else None, *tokens)


TRIES = 3  # of a caption whose answers make no sense
Question = tuple[tuple[str, ...], int]  # captions, and which try this is


def known_answers(
    cache: Cache, model: str, captions: Iterable[str]
) -> dict[str, Answer]:
    """Caption -> answer of those that were asked about before."""
    keys = {key_of(model, caption): caption for caption in captions}
    return {keys[key]: answer for key, answer in cache.find(keys).items()}


def ask_all(
    chat: Chat,
    pace: Pace,
    cache: Cache,
    model: str,
    captions: Sequence[str],
    per_request: int,
    concurrency: int,
    purse: Purse,
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Requests answers for captions that are not in the cache yet.

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
        (tuple(captions[first : first + per_request]), 1)
        for first in range(0, len(captions), per_request)
    )
    answers: dict[str, Answer] = {}
    failed: dict[str, str] = {}
    bar = tqdm(total=len(captions), desc="captions", unit="caption")
    with bar, _threads(concurrency, pace) as pool:
        for (asked, tries), reply in _replies(pool, chat, waiting, concurrency):
            good, bad = _read(asked, reply)
            cache.put({key_of(model, text): one for text, one in good.items()})
            answers.update(good)
            purse.pay(reply.tokens_in, reply.tokens_out)
            bar.update(len(good))
            if tries < TRIES:
                waiting.extend(((text,), tries + 1) for text in bad)
            else:
                failed.update(bad)
                bar.update(len(bad))
    return answers, failed


def _read(names, reply) -> tuple[Mapping[str, Answer], Mapping[str, str]]:
    if reply.content is None:
        return {}, dict.fromkeys(names, "the model refused to answer")
    good, bad = read_answers(reply.content, len(names))
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
    chat: Chat,
    waiting: collections.deque[Question],
    concurrency: int,
) -> Iterator[tuple[Question, Reply]]:
    """Replies as they come; questions may be added meanwhile."""
    running: dict[concurrent.futures.Future, Question] = {}
    while waiting or running:
        while waiting and len(running) < concurrency:
            question = waiting.popleft()
            running[pool.submit(chat.ask, question[0])] = question
        done, _ = concurrent.futures.wait(
            running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            yield running.pop(future), future.result()


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
    prices: Prices
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
            known = known_answers(cache, self.endpoint.model, captions)
            cache.close()
        wanted = [text for text in captions if text not in known]
        self._print_estimate(len(known), wanted)
        if wanted:
            body = request_body(self.endpoint, wanted[: self.per_request])
            print(f"the first request, to {self.endpoint.url}/chat/completions:")
            for message in body["messages"]:
                print(printable(f"--- {message['role']}\n{message['content']}"))

    def _print_estimate(self, known, wanted) -> Estimate:
        expected = estimate(wanted, self.per_request)
        if known:
            print(f"{known:,} captions are answered already in {self.cache}")
        print(expected.line(self.prices), flush=True)
        return expected

    def rewrite(self, captions):
        cache = Cache(self.cache)
        answers = known_answers(cache, self.endpoint.model, captions)
        wanted = [text for text in captions if text not in answers]
        purse = Purse(self.prices, self.max_cost)
        purse.expect(self._print_estimate(len(answers), wanted))
        pace = Pace(self.per_minute)
        found, failed = ask_all(
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
