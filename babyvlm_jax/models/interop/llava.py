"""Decoders in the naming of transformers, and whole models in that of its LLaVA."""

import re

from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.decoder import sinusoids
from babyvlm_jax.models.interop.encoders import resnext, vit
from babyvlm_jax.models.interop.table import (
    Rule,
    Table,
    linear,
    norm,
    prefixed,
    vocabulary,
)
from babyvlm_jax.runtime.errors import UserError


def llama(cfg: DecoderConfig, root: str = "model") -> Table:
    """`LlamaForCausalLM`; with `qk_norm` the two norms are named as in Qwen3.

    Args:
        root: name of the body, beside which `lm_head` stands.
    """
    layer = f"{root}.layers.{{layer}}"
    attn = f"{layer}.self_attn"
    sizes = cfg.vocab_size, cfg.padded_vocab_size
    rules = [
        Rule(f"{root}.embed_tokens.weight", "embed", vocabulary(*sizes)),
        Rule(f"{layer}.input_layernorm.weight", "blocks/norm1/scale"),
        *(
            rule
            for name in "qkvo"
            for rule in linear(f"{attn}.{name}_proj", f"blocks/attn/{name}", bias=False)
        ),
        Rule(f"{layer}.post_attention_layernorm.weight", "blocks/norm2/scale"),
        *(
            rule
            for name in ("gate", "up", "down")
            for rule in linear(
                f"{layer}.mlp.{name}_proj", f"blocks/mlp/{name}", bias=False
            )
        ),
        Rule(f"{root}.norm.weight", "norm/scale"),
    ]
    if cfg.qk_norm:
        rules += [
            Rule(f"{attn}.{name}_norm.weight", f"blocks/attn/{name}_norm/scale")
            for name in "qk"
        ]
    ignored = [re.escape(root) + r"\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"]
    if cfg.tied:
        ignored.append(r"lm_head\.weight")
    else:
        rules.append(Rule("lm_head.weight", "head", vocabulary(*sizes, transpose=True)))
    return Table(tuple(rules), cfg.num_layers, tuple(ignored))


def gpt2(cfg: GPT2Config) -> Table:
    """`GPT2LMHeadModel`, whose `Conv1D` weights are [in, out] as ours are.

    Frozen sinusoidal positions are a constant of the table: checkpoints store them,
    we compute them.
    """
    root, layer = "transformer", "transformer.h.{layer}"
    sizes = cfg.vocab_size, cfg.padded_vocab_size

    def map_of(theirs, ours):
        yield Rule(f"{layer}.{theirs}.weight", f"blocks/{ours}/w")
        yield Rule(f"{layer}.{theirs}.bias", f"blocks/{ours}/b")

    rules = [
        Rule(f"{root}.wte.weight", "embed", vocabulary(*sizes)),
        *norm(f"{layer}.ln_1", "blocks/norm1"),
        *(
            Rule(
                f"{layer}.attn.c_attn.{theirs}",
                f"blocks/attn/{name}/{ours}",
                part=(part, 3),
                axis=axis,
            )
            for theirs, ours, axis in (("weight", "w", 1), ("bias", "b", 0))
            for part, name in enumerate("qkv")
        ),
        *map_of("attn.c_proj", "attn/o"),
        *norm(f"{layer}.ln_2", "blocks/norm2"),
        *map_of("mlp.c_fc", "mlp/up"),
        *map_of("mlp.c_proj", "mlp/down"),
        *norm(f"{root}.ln_f", "norm"),
    ]
    ignored = [r"transformer\.h\.\d+\.attn\.(masked_)?bias"]
    constants = {}
    if cfg.positions == "learned":
        rules.append(Rule(f"{root}.wpe.weight", "positions"))
    else:
        constants[f"{root}.wpe.weight"] = sinusoids(cfg.max_len, cfg.width)
    if cfg.tied:
        ignored.append(r"lm_head\.weight")
    else:
        rules.append(Rule("lm_head.weight", "head", vocabulary(*sizes, transpose=True)))
    return Table(tuple(rules), cfg.num_layers, tuple(ignored), constants)


def connector(cfg: ConnectorConfig, first: str, second: str) -> Table:
    """The two maps under their torch names, such as `mm_projector.0` and `.2`.

    Raises:
        UserError: the connector is not the official form.
    """
    if cfg.tokens_per_image or cfg.num_ordinals:
        raise UserError(
            f"connector.tokens_per_image {cfg.tokens_per_image} and num_ordinals "
            f"{cfg.num_ordinals} have no counterpart in LLaVA; both must be 0"
        )
    return Table((*linear(first, "up"), *linear(second, "down")))


def decoder(cfg: DecoderConfig | GPT2Config) -> Table:
    """The decoder in transformers' naming."""
    return gpt2(cfg) if isinstance(cfg, GPT2Config) else llama(cfg)


def vision(cfg: ViTConfig | ResNeXtConfig, library: str) -> Table:
    """The encoder in the naming of `library`; a ResNeXt has torchvision's only."""
    return resnext(cfg) if isinstance(cfg, ResNeXtConfig) else vit(cfg, library)


def llava(cfg: VLMConfig, library: str = "transformers") -> tuple[Table, ...]:
    """`LlavaForConditionalGeneration` (transformers 5) around a Llama and a ViT.

    Its vision config needs `tie_last_hidden_states=True`, `vision_feature_layer=-1`
    and `vision_feature_select_strategy="full"`: CLS and patches after the final norm.

    Args:
        library: naming of the tower, one of `encoders.NAMES`.

    Returns:
        the tables of vision, connector and decoder.

    Raises:
        UserError: a part that LLaVA does not have.
    """
    if isinstance(cfg.decoder, GPT2Config) or isinstance(cfg.vision, ResNeXtConfig):
        raise UserError(
            "transformers' LLaVA is written here around a ViT and a Llama decoder; "
            f"got {cfg.vision.family} and {cfg.decoder.family}"
        )
    projector = "model.multi_modal_projector.linear_"
    link = connector(cfg.connector, f"{projector}1", f"{projector}2")
    return (
        prefixed(vit(cfg.vision, library), "model.vision_tower.", "vision/"),
        prefixed(link, ours="connector/"),
        prefixed(llama(cfg.decoder, "model.language_model"), ours="decoder/"),
    )
