"""A check as text for a person."""

from collections.abc import Iterable, Sequence

from babyvlm_jax.aot.check import Check
from babyvlm_jax.aot.chips import GIB
from babyvlm_jax.aot.programs import has_update

HEAD = (
    "slice",
    "phase",
    "mesh",
    "remat",
    "rows",
    "HBM",
    "of",
    "ms, full-no overlap",
    "bound",
    "MFU, no-full",
)


def describe(result: Check) -> str:
    """Everything about one program, a few lines each."""
    lines = [
        f"{result.name}: {result.what} on {result.where} ({result.topology}, "
        f"{result.chips} chips), mesh {_mesh(result)}",
        f"{result.batch} rows of {result.seq_len} tokens and {result.max_images} "
        f"images in {result.accumulate} part(s); remat: {_remat(result)}",
        f"compiled in {result.seconds:.0f} s",
        "",
        "HBM of a chip, GiB",
    ]
    sizes = {"peak": result.peak, "limit": result.limit}
    if result.arguments:
        parts = {"arguments": result.arguments, "temporaries": result.temporaries}
        sizes = {**parts, **sizes}
    sizes["headroom"] = result.limit - result.peak
    lines += [f"  {name:12}{size / GIB:9.2f}" for name, size in sizes.items()]
    for number, buffer in enumerate(result.buffers, start=1):
        lines.append(f"  {number}. {buffer}")
    lines += ["", "FLOPs of a step, closed form"]
    lines.append(f"  needed by the model    {result.flops.model:.4g}")
    lines.append(f"  computed again (remat) {result.flops.again:.4g}")
    return "\n".join([*lines, *_network(result), *_times(result)])


def _network(result: Check) -> list[str]:
    if not result.collectives:
        return []
    lines = [
        "",
        "collectives of a step       runs   GiB whole    received by a chip",
    ]
    for kind, total in result.collectives.items():
        lines.append(
            f"  {kind:22}{total.times:8.0f}{total.size / GIB:12.3f}"
            f"{total.received / GIB:12.3f}"
        )
    size, source = result.largest_gather
    if size:
        lines.append(f"  largest all-gather: {size / GIB:.3f} GiB ({source})")
    if result.uncounted:
        lines.append(
            f"  {result.uncounted} loop(s) of unknown length count as one turn"
        )
    lines.append(f"custom kernels: {', '.join(result.kernels) or 'none'}")
    return lines


def _times(result: Check) -> list[str]:
    if not result.roofline:
        return []
    line, (low, high) = result.roofline, result.roofline.mfu
    busy = " ".join(
        f"{name} {1e3 * getattr(line, name):.1f}"
        for name in ("compute", "hbm", "ici", "dcn")
    )
    return [
        "",
        f"roofline, ms: {busy}",
        f"  full overlap: {1e3 * line.full_overlap:.1f} ms a step, {line.bound} "
        f"decides; MFU {high:.0%}, {result.rows_per_second:.1f} rows/s",
        f"  no overlap: {1e3 * line.no_overlap:.1f} ms a step, MFU {low:.0%}",
    ]


def chip_hours(result: Check, num_steps: int) -> str:
    """How long a whole run holds its chips, with full and with no overlap."""
    if not result.roofline:
        return ""
    line = result.roofline
    low, high = (
        seconds * num_steps * result.chips / 3600
        for seconds in (line.full_overlap, line.no_overlap)
    )
    return (
        f"estimate for {num_steps} steps: {low:.1f} (full overlap) to {high:.1f} (no "
        "overlap) chip-hours, without compiling, saving or interruptions"
    )


def table(results: Iterable[Check]) -> str:
    """One line a check, in Markdown."""
    rows = [HEAD, ["---"] * len(HEAD), *(_row(result) for result in results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(result: Check) -> Sequence[str]:
    rows = str(result.batch)
    if result.accumulate > 1:
        rows += f" in {result.accumulate}"
    phase = result.name
    if not has_update(result.what):
        phase += f", {result.what}"
    times = ("does not fit", "", "")
    if result.roofline and result.fits:
        line, (low, high) = result.roofline, result.roofline.mfu
        times = (
            f"{1e3 * line.full_overlap:.0f}-{1e3 * line.no_overlap:.0f}",
            line.bound,
            f"{100 * low:.0f}-{100 * high:.0f}%",
        )
    sizes = (f"{result.peak / GIB:.2f}", f"{result.limit / GIB:.2f}")
    where = f"{result.where} ({result.chips})"
    return (where, phase, _mesh(result), _remat(result), rows, *sizes, *times)


def _mesh(result: Check) -> str:
    return " x ".join(f"{axis} {size}" for axis, size in result.mesh.items())


def _remat(result: Check) -> str:
    return ", ".join(f"{part} {policy}" for part, policy in result.remat.items())
