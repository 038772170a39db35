"""BabyVLM models of the babyvlm_jax project in torch, for `transformers`.

    AutoModelForImageTextToText.from_pretrained(FOLDER, trust_remote_code=True)

Needs torch and transformers alone. Parameters have the names and layouts of the
project's checkpoints: matrices are [in, out], layers are stacked along the first axis.

Axes: B rows, T tokens, S keys, M images, P visual tokens an image, D width, N heads,
H head width, V rows of the vocabulary.
"""

import dataclasses
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

NEVER = -1e9  # score of a vocabulary row that no token has
# `generate` gives the cache by the name that outputs have: `past_key_values`, in later
# releases of transformers 5 `cache`.
_OUTPUTS = {field.name for field in dataclasses.fields(CausalLMOutputWithPast)}
CACHE = "cache" if "cache" in _OUTPUTS else "past_key_values"


class BabyVLMConfig(PretrainedConfig):
    """The architecture, in the words of the project's `models/config.py`.

    Attributes:
        babyvlm: {"model": {"vision": ..., "connector": ..., "decoder": ...}, ...}.
        parameter_shapes: name -> shape of every parameter.
        image_token_id: id that stands for one visual token.
    """

    model_type = "babyvlm"

    def __init__(self, babyvlm=None, parameter_shapes=None, image_token_id=0, **kwargs):
        self.babyvlm = babyvlm or {}
        self.parameter_shapes = parameter_shapes or {}
        self.image_token_id = image_token_id
        decoder = self.babyvlm.get("model", {}).get("decoder", {})
        self.vocab_size = image_token_id + 1  # `<image>` is the last id
        self.hidden_size = decoder.get("width", 0)
        self.num_hidden_layers = decoder.get("num_layers", 0)
        self.num_attention_heads = decoder.get("num_heads", 0)
        self.max_position_embeddings = decoder.get("max_len", 0)
        super().__init__(**kwargs)


class Tree(nn.Module):
    """Parameters in nested rooms, made from {name: shape}."""

    def __init__(self, shapes):
        super().__init__()
        rooms = {}
        for name, shape in shapes.items():
            first, _, rest = name.partition(".")
            if rest:
                rooms.setdefault(first, {})[rest] = shape
            else:
                self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        for name, inner in rooms.items():
            self.add_module(name, Tree(inner))


def pick(tree, layer):
    """One layer's parameters of a tree whose leaves are stacked over layers."""
    leaves = {name: leaf[layer] for name, leaf in tree.named_parameters(recurse=False)}
    rooms = {name: pick(room, layer) for name, room in tree.named_children()}
    return SimpleNamespace(**leaves, **rooms)


def linear(x, p):
    """x W, plus b where there is one."""
    return x @ p.w + p.b if hasattr(p, "b") else x @ p.w


def layer_norm(x, p, eps):
    """LayerNorm with f32 statistics."""
    return F.layer_norm(x.float(), x.shape[-1:], p.scale, p.bias, eps).to(x.dtype)


def rms_norm(x, p, eps):
    """RMSNorm with f32 statistics."""
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (wide * scale * p.scale).to(x.dtype)


def heads(x, count):
    """[B, T, N*H] -> [B, N, T, H]."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attend(q, k, v, mask=None):
    """[B, N, T, H] and keys of K heads -> [B, T, N*H]; K divides N."""
    k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], 1) for y in (k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(2)


def convolve(x, p, window, stride, padding=None, groups=1):
    """Convolution of [B, C, H, W]; padding None is as much as keeps H / stride."""
    kernel = p.w.unflatten(0, (window, window, -1)).permute(3, 2, 0, 1)
    if padding is None:
        total = max(0, (-(-x.shape[-1] // stride) - 1) * stride + window - x.shape[-1])
        x = F.pad(x, (total // 2, total - total // 2) * 2)
    return F.conv2d(
        x, kernel, getattr(p, "b", None), stride, padding or 0, groups=groups
    )


def vit(pixels, p, cfg):
    """[B, 3, H, W] -> [B, P, D]: CLS and patches after the final norm."""
    patch, eps = cfg["patch_size"], cfg["norm_eps"]
    if cfg["stem"] == "conv":
        x = convolve(pixels, p.stem.conv, patch, patch // 2)
        x = convolve(F.gelu(x), p.stem.patch, 3, 2)
    else:
        x = convolve(pixels, p.stem.patch, patch, patch, 0)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([p.cls.expand(len(x), 1, -1), x], 1) + p.positions
    registers = cfg["num_registers"]
    if registers:
        table = p.registers.expand(len(x), -1, -1)
        x = torch.cat([x[:, :1], table, x[:, 1:]], 1)
    for index in range(cfg["num_layers"]):
        block = pick(p.blocks, index)
        y = layer_norm(x, block.norm1, eps)
        q, k, v = (
            heads(linear(y, getattr(block.attn, n)), cfg["num_heads"]) for n in "qkv"
        )
        y = linear(attend(q, k, v), block.attn.o)
        x = x + (y * block.scale1 if cfg["layer_scale"] else y)
        y = F.gelu(linear(layer_norm(x, block.norm2, eps), block.mlp.up))
        y = linear(y, block.mlp.down)
        x = x + (y * block.scale2 if cfg["layer_scale"] else y)
    x = layer_norm(x, p.norm, eps)
    return torch.cat([x[:, :1], x[:, 1 + registers :]], 1) if registers else x


def resnext(pixels, p, cfg):
    """[B, 3, H, W] -> [B, P, C], the places of the last stage row by row."""

    def conv_norm(x, room, name, window, stride=1, groups=1, norm=None):
        x = convolve(x, getattr(room, name), window, stride, window // 2, groups)
        n = getattr(room, norm or name.replace("conv", "norm"))
        return F.batch_norm(x, n.mean, n.var, n.scale, n.bias, eps=cfg["norm_eps"])

    x = F.max_pool2d(F.relu(conv_norm(pixels, p, "conv1", 7, 2)), 3, 2, 1)
    for stage, num_blocks in enumerate(cfg["stages"]):
        for index in range(num_blocks):
            block = getattr(p, f"stage{stage + 1}_block{index}")
            stride = 2 if stage and not index else 1
            y = F.relu(conv_norm(x, block, "conv1", 1))
            y = F.relu(conv_norm(y, block, "conv2", 3, stride, cfg["groups"]))
            y = conv_norm(y, block, "conv3", 1)
            if not index:
                x = conv_norm(x, block, "shortcut", 1, stride, norm="shortcut_norm")
            x = F.relu(x + y)
    return x.flatten(2).transpose(1, 2)


def rotate(x, positions, theta, rotary_dim):
    """Rotates the first dims of each head of [B, N, T, H] by positions [B, T]."""
    half = rotary_dim // 2
    rates = theta ** (-torch.arange(half, device=x.device).float() / half)
    angles = positions[:, None, :, None].float() * rates
    cos, sin = angles.cos(), angles.sin()
    a, b, rest = x.split([half, half, x.shape[-1] - rotary_dim], -1)
    a, b = a.float(), b.float()
    turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    return torch.cat([turned.to(x.dtype), rest], -1)


def llama(x, p, cfg, positions, mask, cache):
    """[B, T, D] -> [B, T, D] after the final norm."""
    eps, width = cfg["norm_eps"], cfg["head_dim"] or cfg["width"] // cfg["num_heads"]
    rotary = int(width * cfg["rope_fraction"])
    for index in range(cfg["num_layers"]):
        block = pick(p.blocks, index)
        y = rms_norm(x, block.norm1, eps)
        q = heads(linear(y, block.attn.q), cfg["num_heads"])
        k, v = (
            heads(linear(y, room), cfg["num_kv_heads"])
            for room in (block.attn.k, block.attn.v)
        )
        if cfg["qk_norm"]:
            q = rms_norm(q, block.attn.q_norm, eps)
            k = rms_norm(k, block.attn.k_norm, eps)
        q, k = (rotate(y, positions, cfg["rope_theta"], rotary) for y in (q, k))
        k, v = cache.update(k, v, index)
        x = x + linear(attend(q, k, v, mask), block.attn.o)
        y = rms_norm(x, block.norm2, eps)
        y = F.silu(linear(y, block.mlp.gate)) * linear(y, block.mlp.up)
        x = x + linear(y, block.mlp.down)
    return rms_norm(x, p.norm, eps)


def sinusoids(positions, width):
    """[B, T] -> [B, T, D]: sine in even, cosine in odd columns."""
    rates = torch.arange(0, width, 2, device=positions.device).double() / width
    angles = positions[..., None] * 10000.0 ** (-rates)
    table = torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
    return table[..., :width].float()


def gpt2(x, p, cfg, positions, mask, cache):
    """[B, T, D] -> [B, T, D] after the final norm."""
    eps = cfg["norm_eps"]
    learned = cfg["positions"] == "learned"
    x = x + (p.positions[positions] if learned else sinusoids(positions, x.shape[-1]))
    for index in range(cfg["num_layers"]):
        block = pick(p.blocks, index)
        y = layer_norm(x, block.norm1, eps)
        q, k, v = (
            heads(linear(y, getattr(block.attn, n)), cfg["num_heads"]) for n in "qkv"
        )
        k, v = cache.update(k, v, index)
        x = x + linear(attend(q, k, v, mask), block.attn.o)
        y = linear(layer_norm(x, block.norm2, eps), block.mlp.up)
        x = x + linear(F.gelu(y, approximate="tanh"), block.mlp.down)
    return layer_norm(x, p.norm, eps)


ENCODERS = {"vit": vit, "resnext": resnext}
DECODERS = {"llama": llama, "gpt2": gpt2}


class BabyVLMForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Encoder, connector and decoder; visual tokens stand where `<image>` ids do."""

    config_class = BabyVLMConfig
    main_input_name = "input_ids"
    base_model_prefix = ""
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        shapes = config.parameter_shapes
        for part in ("vision", "connector", "decoder"):
            inner = {k: v for k, v in shapes.items() if k.startswith(f"{part}.")}
            inner = {k.removeprefix(f"{part}."): v for k, v in inner.items()}
            self.add_module(part, Tree(inner))
        self.post_init()

    def _init_weights(self, module):
        for name, leaf in module.named_parameters(recurse=False):
            is_norm = name in ("scale", "var")
            nn.init.constant_(leaf, 1.0) if is_norm else nn.init.normal_(leaf, std=0.02)

    def get_input_embeddings(self):
        """None: the table has fewer rows than there are ids."""
        return None

    def see(self, pixel_values):
        """[M, 3, H, W] -> [M, P, D]."""
        model = self.config.babyvlm["model"]
        x = ENCODERS[model["vision"]["family"]](
            pixel_values, self.vision, model["vision"]
        )
        if model["connector"]["tokens_per_image"]:
            x = x.flatten(1)[:, None]
        x = linear(F.gelu(linear(x, self.connector.up)), self.connector.down)
        per_image = model["connector"]["tokens_per_image"] or x.shape[1]
        return x.reshape(len(x), per_image, -1)

    def embed(self, input_ids, pixel_values):
        """[B, T] and [M, 3, H, W] or None -> [B, T, D]."""
        visual = input_ids == self.config.image_token_id
        x = self.decoder.embed[input_ids.masked_fill(visual, 0)]
        if pixel_values is None:
            return x
        seen = self.see(pixel_values.to(x.dtype))
        if visual.sum() != seen.shape[0] * seen.shape[1]:
            raise ValueError(
                f"{int(visual.sum())} <image> ids for {len(seen)} pictures of "
                f"{seen.shape[1]} tokens each"
            )
        x = x.masked_scatter(visual[..., None], seen.flatten(0, 1).to(x.dtype))
        count = self.config.babyvlm["model"]["connector"]["num_ordinals"]
        if not count:
            return x
        ordinals = (visual.long().cumsum(-1) - visual.long()) // seen.shape[1]
        table = self.connector.ordinals[ordinals.clamp(max=count - 1)]
        return x + table * visual[..., None]

    def forward(
        self,
        input_ids,
        pixel_values=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        cache=None,
        labels=None,
        **kwargs,
    ):
        """Scores [B, T, V] of the next token, and the loss where labels are given.

        Args:
            input_ids: [B, T]; left or right padded.
            pixel_values: [M, 3, H, W], the pictures of all rows in order.
            attention_mask: [B, S], 1 where there is a token; S = T without a cache.
            past_key_values, cache: keys and values of the tokens before, by either of
                the names that transformers has for them.
            labels: [B, T], -100 where nothing is to be predicted.
        """
        cfg = self.config.babyvlm["model"]["decoder"]
        cache = past_key_values if cache is None else cache
        cache = DynamicCache() if cache is None else cache
        past, (rows, length) = cache.get_seq_length(), input_ids.shape
        size = past + length
        if attention_mask is None:
            attention_mask = input_ids.new_ones((rows, size))
        positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -length:]
        slots = torch.arange(size, device=input_ids.device)
        queries = slots[past:, None]
        keep = attention_mask[:, None, None, :].bool() | (slots == queries)
        mask = keep & (slots <= queries)
        x = self.embed(input_ids, pixel_values)
        x = DECODERS[cfg["family"]](x, self.decoder, cfg, positions, mask, cache)
        table = self.decoder.embed.T if cfg["tied"] else self.decoder.head
        logits = (x @ table).float()
        padding = torch.arange(logits.shape[-1], device=x.device) >= cfg["vocab_size"]
        logits = logits.masked_fill(padding, NEVER)
        loss = None
        if labels is not None:
            flat = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            loss = F.cross_entropy(*flat, ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache})

    def prepare_inputs_for_generation(
        self, input_ids, attention_mask=None, pixel_values=None, **kwargs
    ):
        """Pictures go in once; later steps show the newest token alone."""
        cache = kwargs.get(CACHE)
        past = 0 if cache is None else cache.get_seq_length()
        return {
            "input_ids": input_ids[:, past:],
            "pixel_values": None if past else pixel_values,
            "attention_mask": attention_mask,
            CACHE: cache,
        }
