"""How a phase is optimised and validated; imports no jax, as `--help` reads it."""

import dataclasses
import re

from babyvlm_jax.runtime.fields import SHARE, FieldError, Settings, field

OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("cosine", "wsd", "constant")


@dataclasses.dataclass(frozen=True)
class OptimConfig(Settings):
    """Optimizer of one phase.

    Attributes:
        name: `adamw`, or `muon` (orthogonalised momentum on matrices, AdamW on
            embeddings, norms and biases).
        lr_peak: learning rate after warm-up. Muon's updates are scaled to the size
            of AdamW's, so the same figure serves both.
        schedule: `cosine` to 0, `wsd` (warm-up, stable, linear decay to 0), `constant`.
        warmup_fraction, decay_fraction: shares of all steps.
        trains: patterns of the parameters that train; the others hold no optimizer
            state and get no gradient.
        decays: patterns of the parameters with weight decay.
        clip_norm: global gradient norm, 0 for none.
        z_loss: weight of the squared log normaliser in the token loss, 0 for none.
    """

    name: str = field("adamw", one_of=OPTIMIZERS)
    lr_peak: float = field(2e-4, ge=0, le=10)
    schedule: str = field("cosine", one_of=SCHEDULES)
    warmup_fraction: float = field(0.03, **SHARE)  # BabyLLaVA-V2 train script
    decay_fraction: float = field(0.4, **SHARE)
    beta1: float = field(0.9, ge=0, lt=1)
    beta2: float = field(0.999, ge=0, lt=1)
    # less than 1e-30 is 0 in float32; a huge one makes AdamW plain gradient descent
    eps: float = field(1e-8, ge=1e-30, le=1e9)
    weight_decay: float = field(0.0, ge=0, le=10)
    clip_norm: float = field(1.0, ge=0, le=1e9)
    z_loss: float = field(0.0, ge=0, le=1)
    muon_momentum: float = field(0.9, ge=0, lt=1)
    muon_steps: int = field(4, ge=1)
    trains: tuple[str, ...] = field((".*",), filled=True)
    decays: tuple[str, ...] = (".*/w", ".*/head")

    def check(self) -> None:
        for name in ("trains", "decays"):
            for pattern in getattr(self, name):
                try:
                    re.compile(pattern)
                except re.error as error:
                    told = f"has {pattern!r}, which is no regular expression: {error}"
                    raise FieldError(name, told) from None


@dataclasses.dataclass(frozen=True)
class ValidationConfig(Settings):
    """When the validation set is seen, all of it, and what follows.

    Attributes:
        every: steps between two validations; 0 for none.
        split: of the run's datasets.
        datasets: others to see instead; empty for those of the run.
        factor, patience: the learning rate is multiplied by `factor` after more than
            `patience` validations in a row without improvement.
        threshold: what counts as improvement there: a loss below the best by this share
            of it.
        stop_patience: so many validations in a row that are not below the best end the
            run; 0 for never.

    Source: CVCL's rate (Vong et al., Science 2024), with the semantics of torch's
    `ReduceLROnPlateau`; early stopping as the BabyVLM fork sets it.
    """

    every: int = field(0, ge=0)
    split: str = field("val", filled=True)
    datasets: tuple[str, ...] = ()
    factor: float = field(0.1, gt=0, lt=1)
    patience: int = field(20, ge=0)
    threshold: float = field(1e-4, gt=0, lt=1)
    stop_patience: int = field(5, ge=0)
