"""A BabyLLaVA-V2 folder and its answers, made with torch alone.

Plain torch for the encoder (torchvision's names) and the connector, transformers for
the decoder, `tokenizers` for the text. Nothing of the package is used, so that what
it imports is checked against something else.
"""

import json
import re

import numpy as np
import tokenizers
import torch
from PIL import Image
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as token_trainers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from data_prep.nursery.camera import Camera
from data_prep.nursery.catalogue import DrawnWorld
from data_prep.nursery.language import Caregiver, make_transcript
from data_prep.nursery.layout import make_scene

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SOS, EOS = 2, 3
SPECIALS = ["<pad>", "<unk>", "<sos>", "<eos>"]
# A tenth of the published widths, the published depths, heads and positions.
FULL = {
    "side": 224,
    "patch": 16,
    "width": 96,
    "layers": 24,
    "heads": 16,
    "mlp": 410,
    "decoder": {
        "hidden_size": 192,
        "intermediate_size": 563,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "max_position_embeddings": 8192,
    },
}


class EncoderLayer(nn.Module):
    """Pre-norm layer with torchvision's names."""

    def __init__(self, width, heads, mlp):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        layers = (nn.Linear(width, mlp), nn.GELU(), nn.Identity())
        self.mlp = nn.Sequential(*layers, nn.Linear(mlp, width))

    def forward(self, x):
        """[B, P, D] -> [B, P, D]."""
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """ViT with torchvision's names; CLS and patches after the final norm."""

    def __init__(self, size):
        super().__init__()
        width, patch = size["width"], size["patch"]
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.encoder = nn.Module()
        tokens = 1 + (size["side"] // patch) ** 2
        self.encoder.pos_embedding = nn.Parameter(torch.randn(1, tokens, width))
        self.encoder.layers = nn.Module()
        for i in range(size["layers"]):
            layer = EncoderLayer(width, size["heads"], size["mlp"])
            self.encoder.layers.add_module(f"encoder_layer_{i}", layer)
        self.encoder.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        """[B, 3, H, W] -> [B, P, D]."""
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1)
        x = x + self.encoder.pos_embedding
        for layer in self.encoder.layers.children():
            x = layer(x)
        return self.encoder.ln(x)


def nursery_texts(count: int) -> list[str]:
    """What caregivers of the nursery say."""
    world, texts = DrawnWorld(seed=0, num_categories=12), []
    while len(texts) < count:
        rng = np.random.default_rng(len(texts))
        scene = make_scene(world, "train", rng)
        camera = Camera(scene, 60.0, 1.0, len(texts), rng)
        caregiver = Caregiver(world, "kitchen", 800, rng)
        seen = list(scene.placed)
        lines = make_transcript(camera, caregiver, lambda _, s=seen: s, 60.0, rng)
        texts += [line["text"] for line in lines]
    return texts


def make_tokenizer() -> tokenizers.Tokenizer:
    """As BabyVLM-V2's: byte-level BPE that lowers the case."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    trainer = token_trainers.BpeTrainer(
        vocab_size=700,
        min_frequency=3,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(nursery_texts(3000), trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<sos> $A", special_tokens=[("<sos>", SOS)]
    )
    return made


class Reference:
    """The model, and what it answers."""

    def __init__(self, size=FULL, seed=0):
        torch.manual_seed(seed)
        self.size, self.tokenizer = size, make_tokenizer()
        config = LlamaConfig(
            vocab_size=self.tokenizer.get_vocab_size(),
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            **size["decoder"],
        )
        width = config.hidden_size
        self.encoder = Encoder(size).eval()
        first = nn.Linear(size["width"], width)
        self.connector = nn.Sequential(first, nn.GELU(), nn.Linear(width, width))
        self.decoder = LlamaForCausalLM(config).eval()
        self._make_lively()

    def _make_lively(self):
        """Fresh weights hardly tell inputs apart: answers would all be one token."""
        with torch.no_grad():
            for name, weight in self.decoder.named_parameters():
                if weight.ndim == 2:
                    weight.mul_(20.0 if "embed" in name else 4.0)
            for weight in self.connector.parameters():
                weight.mul_(2.0)

    def write(self, folder, num_shards=2, suffix="safetensors"):
        """Writes the folder that the original code would have saved."""
        tensors = {
            f"model.vision_tower.vision_tower.{name}": tensor
            for name, tensor in self.encoder.state_dict().items()
        }
        for name, tensor in self.connector.state_dict().items():
            tensors[f"model.mm_projector.{name}"] = tensor
        tensors |= self.decoder.state_dict()
        folder.mkdir()
        names = list(tensors)
        kind = "model" if suffix == "safetensors" else "pytorch_model"
        index = {}
        for shard in range(num_shards):
            name = f"{kind}-{shard + 1:05d}-of-{num_shards:05d}.{suffix}"
            part = {k: tensors[k].clone() for k in names[shard::num_shards]}
            index |= dict.fromkeys(part, name)
            if suffix == "safetensors":
                from safetensors.torch import save_file

                save_file(part, folder / name)
            else:
                torch.save(part, folder / name)
        content = {"metadata": {}, "weight_map": index}
        (folder / f"{kind}.{suffix}.index.json").write_text(json.dumps(content))
        config = {
            **self.decoder.config.to_dict(),
            "architectures": ["LlavaLlamaForCausalLM"],
            "model_type": "llava_llama",
            "mm_projector_type": "mlp2x_gelu",
            "mm_hidden_size": self.size["width"],
            "image_aspect_ratio": "pad",
            "vision_config": {"num_attention_heads": self.size["heads"]},
        }
        (folder / "config.json").write_text(json.dumps(config, default=str))
        self.tokenizer.save(str(folder / "tokenizer.json"))

    def prompt_ids(self, turns) -> list[int | None]:
        """Ids of a dialogue that the model is to answer; None stands for a picture."""
        text = ""
        for role, words in turns:
            if "<image>" in words:  # the original strips these turns and no others
                words = words.strip()
            human = role == "human"
            text += f"USER: {words} ASSISTANT:" if human else f" {words}<eos>"
        ids = []
        for number, chunk in enumerate(re.split("<image>", f" {text}")):
            found = self.tokenizer.encode(chunk).ids
            ids += [None, *found[1:]] if number else found
        return ids

    @torch.no_grad()
    def answer(self, turns, images, num_tokens) -> list[int]:
        """Greedy ids, up to and without the first <eos>."""
        ids = self.prompt_ids(turns)
        text = torch.tensor([i or 0 for i in ids if i is not None])
        embedded = iter(self.decoder.model.embed_tokens(text))
        seen = iter(self._see(images)) if images else iter(())
        rows = [next(seen) if i is None else next(embedded)[None] for i in ids]
        found, cache, x = [], None, torch.cat(rows)[None]
        for _ in range(num_tokens):
            out = self.decoder(inputs_embeds=x, past_key_values=cache, use_cache=True)
            token = int(out.logits[0, -1].argmax())
            if token == EOS:
                break
            found.append(token)
            cache = out.past_key_values
            x = self.decoder.model.embed_tokens(torch.tensor([[token]]))
        return found

    def _see(self, images):
        pixels = torch.stack([self._pixels(image) for image in images])
        return self.connector(self.encoder(pixels))

    def _pixels(self, image: Image.Image):
        side = max(image.size)
        colour = tuple(int(255 * value) for value in MEAN)
        square = Image.new("RGB", (side, side), colour)
        corner = ((side - image.width) // 2, (side - image.height) // 2)
        square.paste(image, corner)
        square = square.resize((self.size["side"],) * 2, Image.Resampling.BILINEAR)
        x = (np.asarray(square) / 255.0 - MEAN) / STD
        return torch.tensor(x.transpose(2, 0, 1), dtype=torch.float32)
