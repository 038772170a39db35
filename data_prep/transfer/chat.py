"""A chat endpoint as OpenAI's API has it, asked patiently.

Any server that knows `POST URL/chat/completions` will do, one on this machine included.
The key comes from an environment variable, goes into the header and nowhere else:
redirections are not followed, and what a server answers is cut and cleaned of it
before a person sees it.
"""

import dataclasses
import email.utils
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import urllib3

from babyvlm_jax.runtime.errors import Preempted, UserError
from data_prep.transfer import prompts
from data_prep.transfer.pace import Pace

LONGEST_WAIT_S = 120.0  # ours: more than that is asked for by mistake
_AGAIN = (408, 409, 425, 429)  # and all of 500 and above
FORMATS = ("json_schema", "json_object", "text")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        url: without `/chat/completions`.
        model: name of the model.
        key_env: environment variable that holds the key; none is sent without it.
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
    """Asks an endpoint, from any number of threads."""

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
                f"the environment variable {endpoint.key_env} holds blanks or other "
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
        """A server's words for a person: short, one line, without the key."""
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
