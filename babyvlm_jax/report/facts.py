"""What a reader needs to judge or repeat a run: settings, times, versions."""

import importlib.metadata
import platform

from babyvlm_jax.report.collect import Phase, Results

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def run_facts(results: Results, phases: tuple[Phase, ...]) -> list[tuple[str, str]]:
    """Facts of the whole run as (name, value) pairs."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return [
        ("Checkpoint", f"{results.checkpoint}, step {results.step:,}"),
        ("Evaluated split", results.split),
        ("Seed", str(results.seed)),
        ("Training", duration(sum(phase.seconds for phase in phases))),
        ("Evaluation", duration(results.seconds)),
        (
            "Report made with",
            ", ".join([f"Python {platform.python_version()}", *versions]),
        ),
    ]


def phase_settings(phases: tuple[Phase, ...]) -> list[tuple[str, ...]]:
    """One row for each phase that left its config.

    Returns:
        (phase, steps, rows a step, optimizer, peak learning rate, time, data).
    """
    return [_row(phase) for phase in phases if phase.config]


def _row(phase):
    config = phase.config
    mixture = config["data"]["mixture"]
    names = [name.removeprefix("devcv_") for name in mixture]
    return (
        phase.name,
        f"{config['num_steps']:,}",
        str(config["data"]["batch_size"]),
        config["optim"]["name"],
        f"{config['optim']['lr_peak']:g}",
        duration(phase.seconds),
        ", ".join(name.replace("_", " ") for name in sorted(names)),
    )


def duration(seconds: float) -> str:
    """185.2 -> "3 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
