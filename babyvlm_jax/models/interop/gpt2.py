"""GPT-2-family decoders in transformers' naming."""

from babyvlm_jax.models.config import GPT2Config
from babyvlm_jax.models.decoder import sinusoids
from babyvlm_jax.models.interop.table import Rule, Table, norm, vocabulary


def gpt2(cfg: GPT2Config) -> Table:
    """`GPT2LMHeadModel`, whose `Conv1D` weights are [in, out] as ours are.

    Frozen sinusoidal positions are a constant of the table: checkpoints store them,
    we compute them.
    """
    root, layer = "transformer", "transformer.h.{layer}"
    sizes = cfg.vocab_size, cfg.padded_vocab_size

    def linear(theirs, ours):
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
        *linear("attn.c_proj", "attn/o"),
        *norm(f"{layer}.ln_2", "blocks/norm2"),
        *linear("mlp.c_fc", "mlp/up"),
        *linear("mlp.c_proj", "mlp/down"),
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
