"""The peer: a PyTorch DataLoader that takes the original's steps.

LLaVA-style JSON and picture files; Pillow decodes, pads to a square and resizes; pixels
become normalised floats; the conversation is one string, tokenised chunk by chunk; the
mask comes from the lengths of the rounds, each tokenised again; rows are padded to the
longest.
"""

import json
import pathlib

import numpy as np
import torch
from PIL import Image

from babyvlm_jax.data.tokenizer import Tokenizer

IMAGE, IGNORED = -200, -100
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PADDING = tuple(int(255 * value) for value in MEAN)


class Conversations(torch.utils.data.Dataset):
    """Records of a JSON file, with their pictures as f32[k, 3, S, S]."""

    def __init__(self, folder: pathlib.Path, image_size: int):
        self._entries = json.loads((folder / "mix.json").read_text())
        self.ids = [entry["id"] for entry in self._entries]
        self._images = folder / "images"
        self._size = image_size
        self._tokenizer = Tokenizer.load(folder / "tokenizer.model")

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        entry = self._entries[index]
        pictures = [self._picture(self._images / name) for name in entry["image"]]
        ids, labels = self._tokenise(entry["conversations"])
        return {"ids": ids, "labels": labels, "images": torch.stack(pictures)}

    def lengths(self, tokens_per_image: int) -> tuple[list[int], list[int]]:
        """Words and tokens of each record; the original's sampler counts the words."""
        words, tokens = [], []
        for entry in self._entries:
            turns = entry["conversations"]
            words.append(sum(len(turn["value"].split()) for turn in turns))
            text = len(self._tokenise(turns)[0]) - len(entry["image"])
            tokens.append(text + tokens_per_image * len(entry["image"]))
        return words, tokens

    def _picture(self, path):
        image = Image.open(path).convert("RGB")
        width, height = image.size
        if width != height:
            side = max(width, height)
            square = Image.new("RGB", (side, side), PADDING)
            square.paste(image, ((side - width) // 2, (side - height) // 2))
            image = square
        image = image.resize((self._size, self._size), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        return (pixels - mean) / std

    def _tokenise(self, turns):
        rounds = [
            (f"USER: {asked['value']} ASSISTANT:", f" {said['value']}")
            for asked, said in zip(turns[::2], turns[1::2], strict=True)
        ]
        ids = [self._tokenizer.sos_id]
        for asked, said in rounds:
            ids += [*self._chunks(asked), *self._chunks(said), self._tokenizer.eos_id]
        ids = torch.tensor(ids)
        labels, place = ids.clone(), 1
        labels[0] = IGNORED
        for asked, said in rounds:
            asked, said = len(self._chunks(asked)), len(self._chunks(said))
            labels[place : place + asked] = IGNORED
            place += asked + said + 1
        return ids, labels

    def _chunks(self, text):
        ids = []
        for number, chunk in enumerate(text.split("<image>")):
            ids += [IMAGE] * (number > 0) + self._tokenizer.encode(chunk)
        return ids


def collate(items) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest; all pictures in one stack."""

    def padded(key, value):
        return torch.nn.utils.rnn.pad_sequence(
            [item[key] for item in items], batch_first=True, padding_value=value
        )

    ids = padded("ids", 0)
    return {
        "ids": ids,
        "labels": padded("labels", IGNORED),
        "attention_mask": ids.ne(0),
        "images": torch.cat([item["images"] for item in items]),
    }


def from_rows(rows) -> dict[str, torch.Tensor]:
    """Rows of our contract that hold one record with one image each, as a batch."""
    text = rows["visual_index"] < 0
    ids, labels = [], []
    for row, last, keep, counts in zip(
        rows["tokens"], rows["targets"], text, rows["loss_mask"], strict=True
    ):
        words = [*row[keep][1:], last[counts][-1]]
        ids.append([row[0], IMAGE, *words])
        labels.append([IGNORED, IGNORED, *words])
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    images = torch.from_numpy(rows["images"][:, 0]).permute(0, 3, 1, 2).float() / 255
    ids = torch.tensor(np.array(ids)).long()
    return {
        "ids": ids,
        "labels": torch.tensor(np.array(labels)).long(),
        "attention_mask": torch.ones_like(ids, dtype=torch.bool),
        "images": (images - mean) / std,
    }


def loader(folder: pathlib.Path, image_size: int, batch_size: int):
    """Batches in shuffled order, made in this process."""
    return torch.utils.data.DataLoader(
        Conversations(folder, image_size),
        batch_size,
        shuffle=True,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(0),
    )


def content(batch, tokens_per_image: int) -> tuple[int, int, int, int]:
    """(supervised tokens, images, tokens with padding, tokens without)."""
    pictures = (batch["ids"] == IMAGE).sum(dim=1)
    text = batch["attention_mask"].sum(dim=1) - pictures
    lengths = text + pictures * tokens_per_image
    return (
        int((batch["labels"] != IGNORED).sum()),
        len(batch["images"]),
        int(lengths.max()) * len(lengths),
        int(lengths.sum()),
    )
