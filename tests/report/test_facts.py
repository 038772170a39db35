"""Facts of a run as text."""

from babyvlm_jax.report.collect import Phase
from babyvlm_jax.report.facts import duration, phase_settings


def test_durations_read_as_a_person_says_them():
    assert duration(0.4) == "0 s"
    assert duration(59.6) == "1 min 0 s"
    assert duration(185.2) == "3 min 5 s"
    assert duration(7384) == "2 h 3 min"


def test_settings_come_from_the_config_of_the_phase():
    config = {
        "num_steps": 1200,
        "data": {"batch_size": 8, "mixture": {"devcv_vdr_open": 1, "text": 2}},
        "optim": {"name": "muon", "lr_peak": 0.003},
    }
    phases = (
        Phase("joint", (1,), (2.0,), 61.0, config),
        Phase("bare", (1,), (2.0,), 61.0, {}),
    )
    assert phase_settings(phases) == [
        ("joint", "1,200", "8", "muon", "0.003", "1 min 1 s", "text, vdr open")
    ]
