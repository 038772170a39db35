"""A BabyVLM model for lmms-eval; needs torch and transformers besides it.

Greedy answers as the BabyVLM leaderboard asks for them: the template `baby_v1` without
a system text, pictures before a question that has no `<image>` marks, and the model's
own replies in the history of a dialogue.
"""

import json

import torch
import torch.nn.functional as F
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaForConditionalGeneration,
)

try:
    from lmms_eval.api.model import lmms
    from lmms_eval.api.registry import register_model
except ImportError:  # the class works without it, for a test of the bundle
    lmms = object

    def register_model(*names):
        """Does nothing."""
        return lambda cls: cls


IMAGE = "<image>"
TEMPLATES = ("baby_v1", "baby_plain")
MAX_NEW_TOKENS, MAX_NEW_TOKENS_DIALOGUE = 1024, 128  # the leaderboard's own


@register_model("babyvlm")
class BabyVLM(lmms):
    """lmms-eval's interface around a folder that babyvlm_jax exported.

    Args:
        pretrained: the folder.
        conv_template: `baby_v1` or `baby_plain`.
        batch_size: questions that are answered together.
        device: such as `cuda` or `cpu`; "" takes a GPU where there is one.
        dtype: of the computation.
    """

    is_simple = True

    def __init__(
        self,
        pretrained,
        conv_template="baby_v1",
        batch_size=1,
        device="",
        dtype="float32",
        **kwargs,
    ):
        super().__init__()
        if conv_template not in TEMPLATES or kwargs:
            raise ValueError(f"expected one of {TEMPLATES} and no more; got {kwargs}")
        self.conv_template, self.batch_size = conv_template, int(batch_size)
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device or found)
        stock = AutoConfig.from_pretrained(pretrained, trust_remote_code=True)
        stock = stock.model_type == "llava"
        maker = LlavaForConditionalGeneration if stock else AutoModelForImageTextToText
        self.model = maker.from_pretrained(pretrained, trust_remote_code=True)
        self.model = self.model.to(self.device, getattr(torch, dtype)).eval()
        self.processor = AutoProcessor.from_pretrained(
            pretrained, trust_remote_code=True
        )
        self.tokenizer = self.processor.tokenizer
        # Ids from `<image>` on stand for no word.
        self.num_words = self.tokenizer.convert_tokens_to_ids(IMAGE)

    def prompt(self, turns):
        """Text of [(question, answer), ...]; an answer of None is asked for."""
        text = self.tokenizer.bos_token
        for number, (question, answer) in enumerate(turns):
            if self.conv_template == "baby_v1":
                blank = "" if number else " "  # none behind an <eos>
                text += f"{blank}USER: {question} ASSISTANT:"
            else:
                text += IMAGE * question.count(IMAGE)
            if answer is not None:
                text += f" {answer}{self.tokenizer.eos_token}"
        return text

    def encode(self, texts, images):
        """Texts and all their pictures in order -> padded inputs on the device."""
        inputs = self.processor(
            text=texts,
            images=[image.convert("RGB") for image in images] or None,
            padding=True,
            add_special_tokens=False,
            return_tensors="pt",
        )
        inputs.pop("token_type_ids", None)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        return inputs.to(self.device)

    @torch.inference_mode()
    def answer(self, texts, images, max_new_tokens):
        """Greedy answers, stripped of surrounding space."""
        inputs = self.encode(texts, images)
        out = self.model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False
        )
        new = out[:, inputs["input_ids"].shape[1] :]
        found = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in found]

    def document(self, task, split, doc_id):
        """The item of a request."""
        return self.task_dict[task][split][doc_id]

    def generate_until(self, requests):
        """Answers single questions, a batch at a time.

        Args:
            requests: their `args` are (context, gen_kwargs, doc_to_visual, doc_id,
                task, split).
        """
        answers = []
        for start in range(0, len(requests), self.batch_size):
            chunk = [r.args for r in requests[start : start + self.batch_size]]
            texts, images, limit = [], [], 0
            for context, options, doc_to_visual, *place in chunk:
                shown = _flat(doc_to_visual(self._document_of(place)))
                texts.append(self.prompt([(_with_marks(context, shown), None)]))
                images += shown
                limit = max(limit, options.get("max_new_tokens", MAX_NEW_TOKENS))
            found = self.answer(texts, images, self._room(limit, texts))
            for text, (_, options, *_) in zip(found, chunk, strict=True):
                answers.append(_cut(text, options.get("until", [])))
        return answers

    def _document_of(self, place):
        doc_id, task, split = place
        return self.document(task, split, doc_id)

    def _room(self, limit, texts):
        """No more new tokens than the context has room for."""
        marks = max(text.count(IMAGE) for text in texts)
        words = max(len(self.tokenizer(text)["input_ids"]) for text in texts)
        config = self.model.config.get_text_config()
        per_image = (
            self.processor.num_additional_image_tokens
            + (
                self.processor.image_processor.size["height"]
                // self.processor.patch_size
            )
            ** 2
        )
        taken = words + marks * per_image
        return max(1, min(limit, config.max_position_embeddings - taken))

    def generate_until_multi_round(self, requests):
        """Holds dialogues, a batch at a time; the replies of each are a JSON list.

        Args:
            requests: their `args` are (context, gen_kwargs, doc_to_visual,
                doc_to_text, doc_id, task, split); the item has `image`, files or
                pictures in order, and `conversations`.
        """
        replies = []
        for start in range(0, len(requests), self.batch_size):
            chunk = [r.args for r in requests[start : start + self.batch_size]]
            replies += self._dialogues(chunk)
        return [json.dumps(said) for said in replies]

    def _dialogues(self, chunk):
        """Replies of dialogues that are held together, a round at a time."""
        documents = [self._document_of(place) for _, _, _, _, *place in chunk]
        pictures = [[_open(image) for image in one["image"]] for one in documents]
        asked = [_questions(one["conversations"]) for one in documents]
        limit = max(
            options.get("max_new_tokens", MAX_NEW_TOKENS_DIALOGUE)
            for _, options, *_ in chunk
        )
        turns, replies = [[] for _ in chunk], [[] for _ in chunk]
        for number in range(max(map(len, asked))):
            live = [i for i, questions in enumerate(asked) if number < len(questions)]
            texts = [self.prompt([*turns[i], (asked[i][number], None)]) for i in live]
            shown = [
                picture
                for i, text in zip(live, texts, strict=True)
                for picture in pictures[i][: text.count(IMAGE)]
            ]
            found = self.answer(texts, shown, self._room(limit, texts))
            for i, reply in zip(live, found, strict=True):
                replies[i].append(reply)
                turns[i].append((asked[i][number], reply.replace(IMAGE, "")))
        return replies

    @torch.inference_mode()
    def loglikelihood(self, requests):
        """Mean cross-entropy of each phrase and its <eos>, and whether it is greedy.

        The leaderboard compares these: lower is likelier.

        Args:
            requests: their `args` are (context, target or doc_to_target,
                doc_to_visual, doc_id, task, split).
        """
        results = []
        for context, target, doc_to_visual, *place in (r.args for r in requests):
            document = self._document_of(place)
            phrase = target if isinstance(target, str) else target(document)
            images = _flat(doc_to_visual(document))
            context = context[0] if isinstance(context, list) else context
            question = _with_marks(context, images)
            whole = self.encode([self.prompt([(question, phrase)])], images)
            before = self.encode([self.prompt([(question, None)])], images)
            start = before["input_ids"].shape[1]
            logits = self.model(**whole).logits[0, start - 1 : -1, : self.num_words]
            words = whole["input_ids"][0, start:]
            loss = F.cross_entropy(logits.float(), words)
            results.append((loss.item(), bool((logits.argmax(-1) == words).all())))
        return results


def _questions(said):
    """What is asked in each round; lines of a person after each other are one."""
    questions, waiting = [], []
    for number, turn in enumerate(said):
        if turn["from"] != "human":
            continue
        waiting.append(turn["value"])
        after = said[number + 1 : number + 2]
        if not after or after[0]["from"] != "human":
            questions.append(" USER: ".join(waiting))
            waiting = []
    return questions


def _flat(images):
    """A picture, a list of them or nothing -> a list."""
    if images is None:
        return []
    return list(images) if isinstance(images, (list, tuple)) else [images]


def _open(image):
    return image if isinstance(image, Image.Image) else Image.open(image)


def _with_marks(text, images):
    if not images or IMAGE in text:
        return text
    return " ".join([IMAGE] * len(images)) + "\n" + text


def _cut(text, until):
    for stop in [until] if isinstance(until, str) else until:
        text = text.split(stop)[0] if stop else text
    return text
