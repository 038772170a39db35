"""The peer: the published model and its step in PyTorch, as the original takes them.

transformers' ViT and Llama around the two-layer connector; visual tokens are spliced
into each conversation, conversations padded to the longest of the batch; attention by
SDPA, gradient checkpointing in the decoder, AdamW.
"""

from collections.abc import Mapping

import numpy as np
import torch
import transformers

from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.llava import llama
from babyvlm_jax.models.interop.table import Table, to_theirs
from tests.benchmarks.torch_loader import IGNORED, IMAGE


class Llava(torch.nn.Module):
    """Vision encoder, connector and decoder."""

    def __init__(self, cfg: VLMConfig, checkpointing: bool = True):
        super().__init__()
        eyes, words = cfg.vision, cfg.decoder
        attention = {"attn_implementation": "sdpa"}
        vision = transformers.ViTConfig(
            image_size=eyes.image_size,
            patch_size=eyes.patch_size,
            hidden_size=eyes.width,
            num_hidden_layers=eyes.num_layers,
            num_attention_heads=eyes.num_heads,
            intermediate_size=eyes.mlp_dim,
            layer_norm_eps=eyes.norm_eps,
            **attention,
        )
        decoder = transformers.LlamaConfig(
            vocab_size=words.vocab_size,
            hidden_size=words.width,
            num_hidden_layers=words.num_layers,
            num_attention_heads=words.num_heads,
            num_key_value_heads=words.num_kv_heads,
            intermediate_size=words.mlp_dim,
            max_position_embeddings=words.max_len,
            rms_norm_eps=words.norm_eps,
            rope_theta=words.rope_theta,
            tie_word_embeddings=words.tied,
            use_cache=False,
            **attention,
        )
        self.vision = transformers.ViTModel(vision, add_pooling_layer=False)
        self.connector = torch.nn.Sequential(
            torch.nn.Linear(eyes.width, cfg.connector.hidden_dim),
            torch.nn.GELU(),
            torch.nn.Linear(cfg.connector.hidden_dim, words.width),
        )
        self.decoder = transformers.LlamaForCausalLM(decoder)
        self.vision.requires_grad_(False)
        if checkpointing:
            self.decoder.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Mean loss of the supervised tokens of a batch of `torch_loader.collate`."""
        with torch.no_grad():
            seen = self.vision(batch["images"]).last_hidden_state
        inputs = splice(self.decoder.model.embed_tokens, batch, self.connector(seen))
        return self.decoder(**inputs).loss


def splice(embed, batch, visual: torch.Tensor) -> dict[str, torch.Tensor]:
    """Conversations with their visual tokens, padded to the longest.

    Args:
        embed: ids -> embeddings.
        batch: of `torch_loader.collate`, B conversations.
        visual: [k, P, D], all pictures of the batch in order.

    Returns:
        inputs_embeds [B, T, D], labels [B, T], attention_mask, position_ids.
    """
    pictures = iter(visual)
    rows, labels = [], []
    for ids, wanted, keep in zip(
        batch["ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        ids, wanted = ids[keep], wanted[keep]
        row, row_labels, start = [], [], 0
        for mark in [*torch.nonzero(ids == IMAGE).flatten().tolist(), len(ids)]:
            row.append(embed(ids[start:mark]))
            row_labels.append(wanted[start:mark])
            if mark < len(ids):
                picture = next(pictures)
                row.append(picture.to(row[0].dtype))
                row_labels.append(wanted.new_full((len(picture),), IGNORED))
            start = mark + 1
        rows.append(torch.cat(row))
        labels.append(torch.cat(row_labels))
    pad = torch.nn.utils.rnn.pad_sequence
    lengths = torch.tensor([len(row) for row in rows], device=visual.device)
    places = torch.arange(int(lengths.max()), device=visual.device)
    return {
        "inputs_embeds": pad(rows, batch_first=True),
        "labels": pad(labels, batch_first=True, padding_value=IGNORED),
        "attention_mask": places < lengths[:, None],
        "position_ids": places.expand(len(rows), -1),
    }


def load_weights(module: Llava, cfg: VLMConfig, params: Mapping[str, np.ndarray]):
    """Puts our weights, path -> array, into the peer."""
    tables: dict[str, Table] = {
        "vision": llava.vision(cfg.vision, "transformers"),
        "connector": llava.connector(cfg.connector, "0", "2"),
        "decoder": llama(cfg.decoder),
    }
    for part, table in tables.items():
        leaves = to_theirs(table, lambda path, part=part: params[f"{part}/{path}"])
        state = {name: torch.tensor(leaf) for name, leaf in leaves}
        missing, unexpected = getattr(module, part).load_state_dict(state, strict=False)
        assert not unexpected, unexpected
        assert set(missing) <= {"lm_head.weight"}, missing  # tied


class Trainer:
    """The peer's step: gradients, clipping, AdamW."""

    def __init__(self, module: Llava, optim, bfloat16: bool = False):
        """
        Args:
            optim: our `OptimConfig`.
            bfloat16: compute in it, over weights in f32.
        """
        self.module = module.train()
        self.device = next(module.parameters()).device
        self._bfloat16 = bfloat16
        self._clip_norm = optim.clip_norm
        self._trained = [p for p in module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained,
            lr=optim.lr_peak,
            betas=(optim.beta1, optim.beta2),
            eps=optim.eps,
            weight_decay=optim.weight_decay,
        )

    def step(self, batch: Mapping[str, torch.Tensor], rate: float) -> torch.Tensor:
        """One step at this learning rate; returns its loss."""
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            loss = self.module(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, self._clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()
