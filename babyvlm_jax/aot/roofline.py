"""How long a step takes at least, from what a chip must do and its published rates."""

from typing import NamedTuple

from babyvlm_jax.aot.chips import Chip


class Work(NamedTuple):
    """What one chip does in one step.

    Attributes:
        flops: all that it computes.
        model_flops: of these, what the model needs.
        hbm: bytes read from and written to HBM.
        ici, dcn: bytes received from chips of its slice, and of other slices.
    """

    flops: float
    model_flops: float
    hbm: float
    ici: float
    dcn: float


class Roofline(NamedTuple):
    """Seconds that each resource is busy in one step.

    Attributes:
        model: seconds at peak of the FLOPs that the model needs: MFU's numerator.
    """

    compute: float
    hbm: float
    ici: float
    dcn: float
    model: float

    @property
    def full_overlap(self) -> float:
        """All of it at the same time: the step cannot be faster."""
        return max(self.compute, self.hbm, self.ici, self.dcn)

    @property
    def no_overlap(self) -> float:
        """One after the other; the step can still be slower."""
        return self.compute + self.hbm + self.ici + self.dcn

    @property
    def bound(self) -> str:
        """The resource that decides."""
        return max(
            ("compute", "hbm", "ici", "dcn"), key=lambda name: getattr(self, name)
        )

    @property
    def mfu(self) -> tuple[float, float]:
        """Model FLOPs utilization without any overlap, and with full overlap."""
        return self.model / self.no_overlap, self.model / self.full_overlap


def roofline(chip: Chip, work: Work) -> Roofline:
    """Divides the work by the chip's published peaks.

    A chip without a published rate to other slices counts as having none to wait for.
    """
    return Roofline(
        work.flops / chip.flops,
        work.hbm / chip.hbm,
        work.ici / chip.ici,
        work.dcn / chip.dcn if chip.dcn else 0.0,
        work.model_flops / chip.flops,
    )
