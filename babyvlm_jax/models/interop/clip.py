"""CLIP in transformers' naming: both towers, projections and the learned scale."""

from babyvlm_jax.models.config import GPT2Config, ViTConfig
from babyvlm_jax.models.interop.table import (
    TRANSPOSE,
    Rule,
    Table,
    Transform,
    conv,
    linear,
    norm,
    vocabulary,
)

BATCH = Transform(lambda a: a[None], lambda a: a[0])  # [D] <-> [1, D]


def clip(vision: ViTConfig, text: GPT2Config) -> tuple[Table, ...]:
    """`CLIPModel`.

    Args:
        vision: with `pre_norm`, and without `patch_bias`.
        text: with learned positions.

    Returns:
        the tables of vision, text and head.
    """
    seen, read = "vision_model", "text_model"
    eyes = [
        Rule(f"{seen}.embeddings.class_embedding", "vision/cls", BATCH),
        Rule(f"{seen}.embeddings.position_embedding.weight", "vision/positions"),
        Rule(
            f"{seen}.embeddings.patch_embedding.weight",
            "vision/stem/patch/w",
            conv(vision.patch_size),
        ),
        *norm(f"{seen}.pre_layrnorm", "vision/pre_norm"),  # their spelling
        *_layers(seen, "vision"),
        *norm(f"{seen}.post_layernorm", "vision/norm"),
    ]
    words = [
        Rule(
            f"{read}.embeddings.token_embedding.weight",
            "text/embed",
            vocabulary(text.vocab_size, text.padded_vocab_size),
        ),
        Rule(f"{read}.embeddings.position_embedding.weight", "text/positions"),
        *_layers(read, "text"),
        *norm(f"{read}.final_layer_norm", "text/norm"),
    ]
    head = (
        Rule("visual_projection.weight", "head/image/w", TRANSPOSE),
        Rule("text_projection.weight", "head/text/w", TRANSPOSE),
        Rule("logit_scale", "head/log_scale"),
    )
    # counters that older files hold
    ignored = (r"(vision|text)_model\.embeddings\.position_ids",)
    return (
        Table(tuple(eyes), vision.num_layers, ignored),
        Table(tuple(words), text.num_layers),
        Table(head),
    )


def _layers(theirs: str, ours: str):
    layer = f"{theirs}.encoder.layers.{{layer}}"
    yield from norm(f"{layer}.layer_norm1", f"{ours}/blocks/norm1")
    yield from norm(f"{layer}.layer_norm2", f"{ours}/blocks/norm2")
    for name, part in (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o")):
        yield from linear(
            f"{layer}.self_attn.{name}_proj", f"{ours}/blocks/attn/{part}"
        )
    yield from linear(f"{layer}.mlp.fc1", f"{ours}/blocks/mlp/up")
    yield from linear(f"{layer}.mlp.fc2", f"{ours}/blocks/mlp/down")
