"""ResNeXt-50 in torchvision's naming."""

from babyvlm_jax.models.config import ResNeXtConfig
from babyvlm_jax.models.interop.table import Rule, Table, conv

STATISTICS = {
    "weight": "scale",
    "bias": "bias",
    "running_mean": "mean",
    "running_var": "var",
}


def resnext(cfg: ResNeXtConfig) -> Table:
    """`torchvision.models.resnext50_32x4d` without its classifier."""
    rules = [*_conv_and_norm("conv1", "bn1", "conv1", "norm1", 7)]
    for stage, num_blocks in enumerate(cfg.stages, start=1):
        for block in range(num_blocks):
            theirs, ours = f"layer{stage}.{block}", f"stage{stage}_block{block}"
            for number, window in ((1, 1), (2, 3), (3, 1)):
                rules += _conv_and_norm(
                    f"{theirs}.conv{number}",
                    f"{theirs}.bn{number}",
                    f"{ours}/conv{number}",
                    f"{ours}/norm{number}",
                    window,
                )
        first = f"layer{stage}.0.downsample", f"stage{stage}_block0/shortcut"
        rules += _conv_and_norm(
            f"{first[0]}.0", f"{first[0]}.1", first[1], f"{first[1]}_norm", 1
        )
    return Table(tuple(rules), ignored=(r".*\.num_batches_tracked", r"fc\..*"))


def _conv_and_norm(conv_name, norm_name, our_conv, our_norm, window):
    yield Rule(f"{conv_name}.weight", f"{our_conv}/w", conv(window))
    for theirs, ours in STATISTICS.items():
        yield Rule(f"{norm_name}.{theirs}", f"{our_norm}/{ours}")
