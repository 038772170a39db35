"""Predictors: checkpoints of ours, image-text models, `transformers`, files of answers.

All of them serve one protocol of two methods, `generate` and `score`.
"""

import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from etils import epath

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places

MAX_NEW_TOKENS = 16  # ours: no allowed answer is longer; a babbler is cut off early
Choices = Sequence[Sequence[str]]  # per round the offered answers
Replies = list[list[str]]  # per item and round
Likelihoods = list[list[np.ndarray]]  # per item and round, f64[offered answers]


class Predictor(Protocol):
    """A model that answers benchmark items.

    An item is a record of questions and right answers in turn; the answers are never
    shown. Where there are several rounds, the model's own replies are the history.
    """

    def generate(self, items: Sequence[Record]) -> Replies:
        """What the model writes, greedily, in each round of each item."""

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        """Log-likelihoods of the offered answers in each round of each item.

        The likeliest answer of a round is the reply in the history of the next.
        """

    def answer(
        self, items: Sequence[Record], choices: Sequence[Choices]
    ) -> tuple[Replies, Likelihoods]:
        """Both; a model that can share work between them has its own way."""
        return self.generate(items), self.score(items, choices)

    def beyond_context(self, items: Sequence[Record]) -> list[int]:
        """Tokens of each item that does not fit the model's context, as far as known.

        An item counts with its right answers as the history.
        """
        return []

    def counting_eos(self) -> "Predictor":
        """The same model, whose likelihoods count the end of an answer if they can."""
        return self

    def problem(self, item: Record, needs_likelihoods: bool) -> str | None:
        """Why it cannot answer an item, in words; None if it can."""
        return None

    def unknown(self, items: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """(task, id) of its answers to items that do not exist.

        Args:
            items: task -> ids of its items; answers of other tasks are not judged.
        """
        return []


EMBEDDED = 256  # ours: images or texts that two towers are given together


class SimilarityPredictor(Predictor):
    """An image-text model as a predictor: a text's score is its cosine with the image.

    It writes nothing, so the protocols are `match` alone.

    Args:
        model: two towers that map images and texts to one sphere; see
            `embedding.PairEmbedder`.
        image_size: S, the side of the images that the model takes.
        name: of the model, for messages.
    """

    def __init__(self, model: Any, image_size: int, name: str = "the model"):
        self._model, self._size, self._name = model, image_size, name

    def generate(self, items: Sequence[Record]) -> Replies:
        raise UserError(
            f"{self._name} compares images with texts and writes nothing; set "
            "--config.protocols=\"('match',)\" and leave out the task 'caption'"
        )

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        """Cosines of each item's image with the texts that are offered.

        Raises:
            UserError: an item has several images or rounds, or one image cannot
                be decoded.
        """
        for item in items:
            if (num_rounds(item), len(item.images)) != (1, 1):
                raise UserError(
                    f"item {item.id!r} has {len(item.images)} images and "
                    f"{num_rounds(item)} questions; {self._name} compares one image "
                    "with one text, use the protocol 'match'"
                )
        owners = {item.images[0]: item.id for item in items}

        def embed_images(images):
            shown = [decode(owners[one], (one,), self._size)[0] for one in images]
            return self._model.image_embeddings(np.stack(shown))

        seen = _embed(owners, embed_images)
        texts = (text for (offered,) in choices for text in offered)
        read = _embed(texts, self._model.text_embeddings)
        return [
            [
                (
                    np.stack([read[text] for text in offered]) @ seen[item.images[0]]
                ).astype(np.float64)
            ]
            for item, (offered,) in zip(items, choices, strict=True)
        ]


def _embed(every, embed) -> dict:
    """Each distinct image or text -> its embedding, `EMBEDDED` at a time."""
    every = list(dict.fromkeys(every))
    parts = [every[at : at + EMBEDDED] for at in range(0, len(every), EMBEDDED)]
    rows = itertools.chain.from_iterable(map(embed, parts))
    return dict(zip(every, rows, strict=True))


class PredictionsFile(Predictor):
    """Answers that somebody else's model gave, from a file.

    A line is a JSON object with `id`, and `output`, the raw text, or `outputs`, one per
    round of a dialogue. `task` (and `source`, where several are evaluated) say where
    the id belongs, if ids repeat between tasks. `likelihoods` (or a list of them, one
    per round) give {answer: log-likelihood}.

        {"task": "count", "id": "count_test_000000", "output": "Three."}

    Raises:
        UserError: there is no such file, a line is not an object with an id and an
            output, or two lines answer the same item.
    """

    def __init__(self, path: str):
        self._path = path
        self._said: dict[tuple[str, str], Mapping[str, Any]] = {}
        for number, line in enumerate(_read_answers(path), 1):
            key = line.get("task", ""), line["id"]
            if key in self._said:
                raise UserError(f"{path}, line {number}: a second answer to {key[1]!r}")
            self._said[key] = line

    def problem(self, item: Record, needs_likelihoods: bool) -> str | None:
        line = self._find(item)
        if line is None:
            return f"{self._path} has no answer to it"
        rounds = num_rounds(item)
        if len(_outputs(line)) != rounds:
            return f"{self._path} has {len(_outputs(line))} answers for {rounds} rounds"
        if needs_likelihoods and len(_likelihoods(line)) != rounds:
            return (
                f"{self._path} has no likelihoods for it; use the protocol 'generate'"
            )
        return None

    def unknown(self, items: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        every = {name for names in items.values() for name in names}
        return [
            (task, name)
            for task, name in self._said
            if (name not in every if not task else name not in items.get(task, [name]))
        ]

    def _find(self, item: Record) -> Mapping[str, Any] | None:
        task = item.source.rpartition("/")[2]
        return self._said.get((task, item.id)) or self._said.get(("", item.id))

    def generate(self, items: Sequence[Record]) -> Replies:
        return [_outputs(self._find(item)) for item in items]

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        return [
            [
                np.array([values.get(answer, -np.inf) for answer in offered])
                for values, offered in zip(
                    _likelihoods(self._find(item)), rounds, strict=True
                )
            ]
            for item, rounds in zip(items, choices, strict=True)
        ]


def _outputs(line) -> list[str]:
    return list(line["outputs"]) if "outputs" in line else [line["output"]]


def _likelihoods(line) -> list[Mapping[str, float]]:
    found = line.get("likelihoods", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _read_answers(path):
    file = epath.Path(path)
    if not file.exists():
        raise UserError(f"config.predictions={path!r} does not exist")
    for number, text in enumerate(file.read_text().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            outputs = _outputs(line)
            assert isinstance(line["id"], str)
            assert all(isinstance(one, str) for one in outputs)
        except (ValueError, KeyError, TypeError, AssertionError):
            raise UserError(
                f"{path}, line {number} is {text[:60]!r}; expected a JSON object with "
                "a text 'id' and a text 'output', or 'outputs', one text a round"
            ) from None
        yield line


class TransformersPredictor(Predictor):
    """A `transformers` image-text-to-text model in a local folder; its code is run.

    Questions go through the folder's own processor and chat template, one item at a
    time. Requires the extra `torch`.

    Args:
        folder: what `from_pretrained` opens.
        max_new_tokens: where a written answer is cut off.
        normalize: likelihoods are per token.
        score_eos: the <eos> after an answer counts.

    Raises:
        UserError: the extra is not installed, or the folder holds no such model.
    """

    def __init__(
        self,
        folder: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
        normalize: bool = False,
        score_eos: bool = True,
    ):
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UserError(
                f"config.transformers needs the extra 'torch' ({error}); "
                "pip install 'babyvlm_jax[torch]'"
            ) from None
        try:
            self._processor = transformers.AutoProcessor.from_pretrained(
                folder, trust_remote_code=True
            )
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                folder, trust_remote_code=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"config.transformers={folder!r}: {' '.join(str(error).split())[:200]}"
            ) from None
        self._torch = torch
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(device).eval()
        self._max_new_tokens, self._normalize = max_new_tokens, normalize
        self._score_eos = score_eos

    def generate(self, items: Sequence[Record]) -> Replies:
        replies: Replies = []
        for item in items:
            said: list[str] = []
            for _ in range(num_rounds(item)):
                said.append(self._write(round_record(item, said)))
            replies.append(said)
        return replies

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        found: Likelihoods = []
        for item, rounds in zip(items, choices, strict=True):
            said: list[str] = []
            values = []
            for offered in rounds:
                inputs = self._inputs(round_record(item, said))
                values.append(
                    np.array([self._likelihood(inputs, text) for text in offered])
                )
                said.append(offered[best_places(values[-1])[0]])
            found.append(values)
        return found

    def counting_eos(self) -> "TransformersPredictor":
        found = copy.copy(self)
        found._score_eos = True
        return found

    def _write(self, asked: Record) -> str:
        inputs = self._inputs(asked)
        with self._torch.inference_mode():
            out = self._model.generate(
                **inputs, max_new_tokens=self._max_new_tokens, do_sample=False
            )
        new = out[0, inputs["input_ids"].shape[1] :]
        return self._processor.decode(new, skip_special_tokens=True).strip()

    def _likelihood(self, inputs, text: str) -> float:
        torch, tokenizer = self._torch, self._processor.tokenizer
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += [tokenizer.eos_token_id] if self._score_eos else []
        ids = torch.tensor([ids]).to(self._model.device)
        whole = dict(inputs)
        whole["input_ids"] = torch.cat([inputs["input_ids"], ids], 1)
        whole["attention_mask"] = torch.ones_like(whole["input_ids"])
        with torch.inference_mode():
            logits = self._model(**whole).logits[0, -ids.shape[1] - 1 : -1].float()
        said = logits.log_softmax(-1).gather(1, ids[0, :, None]).sum().item()
        return said / ids.shape[1] if self._normalize else said

    def _inputs(self, asked: Record) -> dict[str, Any]:
        """The processor's tensors of a dialogue up to its last question."""
        images = iter(asked.images)
        messages = [
            {
                "role": "user" if role == HUMAN else "assistant",
                "content": list(_parts(text, images)),
            }
            for role, text in asked.turns[:-1]
        ]
        inputs = self._processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        inputs.pop("token_type_ids", None)
        return dict(inputs.to(self._model.device))


def _parts(text: str, images) -> Iterator[dict[str, Any]]:
    for number, chunk in enumerate(text.split(IMAGE_MARK)):
        if number:
            yield {"type": "image", "image": read_image(next(images))}
        if chunk:
            yield {"type": "text", "text": chunk}
