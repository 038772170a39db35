"""A model folder of `transformers` as a predictor; needs the extra `torch`.

Questions go through the folder's own processor and chat template, one item at a time.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.engine import Choices
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.evals.predictors import (
    MAX_NEW_TOKENS,
    Likelihoods,
    Predictor,
    Replies,
)
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places


class TransformersPredictor(Predictor):
    """An image-text-to-text model in a local folder; its own code is run.

    Args:
        folder: what `from_pretrained` opens.
        max_new_tokens: where a written answer is cut off.
        normalize: likelihoods are per token.
        score_eos: the <eos> behind an answer counts.

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
