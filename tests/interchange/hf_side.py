"""An exported folder as its users have it: transformers, and nothing of ours inside.

    python -m tests.interchange.hf_side --folder=babyvlm --shards=runs/demo/shards \\
        --predictions=runs/demo/eval/STEP/predictions.jsonl --items=10

asks the folder the items of a finished evaluation and compares the answers, dialogues
with their own replies in the history. Needs the `torch` extra.
"""

import argparse
import collections
import dataclasses
import io
import json
import sys

import torch
import transformers
from PIL import Image

from babyvlm_jax.data.schema import HUMAN, RecordSource
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.evals.predictors import MAX_NEW_TOKENS
from babyvlm_jax.evals.tasks import TASKS


class Folder:
    """Model and processor of an exported folder."""

    def __init__(self, path):
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=True)
        stock = config.model_type == "llava"
        name = (
            "LlavaForConditionalGeneration" if stock else "AutoModelForImageTextToText"
        )
        self.model, report = getattr(transformers, name).from_pretrained(
            path, trust_remote_code=True, output_loading_info=True
        )
        assert not any(report.values()), report
        self.processor = transformers.AutoProcessor.from_pretrained(
            path, trust_remote_code=True
        )

    def inputs(self, record):
        """Ids, mask and pixels of a record's turns; its last is to be answered."""
        text = self.processor.apply_chat_template(
            list(messages(record.turns)), add_generation_prompt=True
        )
        inputs = self.processor(
            text=text,
            images=[Image.open(io.BytesIO(image)) for image in record.images] or None,
            add_special_tokens=False,
            return_tensors="pt",
        )
        inputs.pop("token_type_ids", None)
        return inputs

    def answer(self, record, max_new_tokens: int) -> str:
        """The greedy answer, stripped of surrounding space."""
        inputs = self.inputs(record)
        out = self.model.generate(**inputs, max_new_tokens=max_new_tokens)
        ids = out[0, inputs["input_ids"].shape[1] :]
        return self.processor.decode(ids, skip_special_tokens=True).strip()


def messages(turns):
    """Turns in the words of transformers' chat templates."""
    for role, text in turns:
        parts = []
        for number, chunk in enumerate(text.split("<image>")):
            parts += [{"type": "image"}] if number else []
            parts += [{"type": "text", "text": chunk}] if chunk else []
        yield {"role": "user" if role == HUMAN else "assistant", "content": parts}


def compare(folder: Folder, shards: str, lines, num_items: int):
    """Asks the first items of every task again.

    Args:
        lines: of `predictions.jsonl`, with what our evaluator's model said.
        num_items: of each task.

    Yields:
        task, number of items, number of answers asked, ids of those that differ.
    """
    said = collections.defaultdict(dict)
    for line in lines:
        if (line["control"], line["protocol"]) == ("", "generate"):
            said[line["task"]][line["id"]] = line["output"]
    for name, outputs in said.items():
        source = RecordSource(shards, TASKS[name].dataset, "test")
        records = [source[index] for index in range(min(num_items, len(source)))]
        replies = [hold_dialogue(folder, record) for record in records]
        differing = [
            record.id
            for record, texts in zip(records, replies, strict=True)
            if " ".join(texts) != outputs[record.id]
        ]
        yield name, len(records), sum(map(len, replies)), differing


def hold_dialogue(folder: Folder, record) -> list[str]:
    """Its replies, each with the earlier ones in the history."""
    said: list[str] = []
    for _ in range(num_rounds(record)):
        asked = round_record(record, said)
        asked = dataclasses.replace(asked, turns=asked.turns[:-1])
        said.append(folder.answer(asked, MAX_NEW_TOKENS))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("folder", "shards", "predictions"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--items", type=int, default=10, help="of each task")
    args = parser.parse_args()
    with open(args.predictions) as file:
        lines = [json.loads(line) for line in file]
    totals = collections.Counter()
    with torch.inference_mode():
        for name, items, answers, differing in compare(
            Folder(args.folder), args.shards, lines, args.items
        ):
            same = items - len(differing)
            print(f"{name:20} {same} of {items} items, {answers} answers", flush=True)
            print(*(f"  differs: {one}\n" for one in differing), sep="", end="")
            totals.update(same=same, items=items, answers=answers)
    print(
        f"all: {totals['same']} of {totals['items']} items, {totals['answers']} answers"
    )
    sys.exit(totals["same"] != totals["items"])


if __name__ == "__main__":
    main()
