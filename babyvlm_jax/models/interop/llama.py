"""Llama-family decoders in transformers' naming."""

import re

from babyvlm_jax.models.config import DecoderConfig
from babyvlm_jax.models.interop.table import Rule, Table, linear, vocabulary


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
