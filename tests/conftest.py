"""Fixes the machine that tests see: CPU only, 8 devices, a compile cache kept on disk.

The variables must be set before anything imports jax, so they are set here, at import.
"""

import gc
import os
import pathlib
import signal

import pytest

from tests import quick

os.environ["JAX_PLATFORMS"] = "cpu"
# Tests multiply small matrices: threads would only wait for each other, at full speed.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ |= quick.CACHE
# Flags of the caller stay: `make test-portable` chooses an instruction set.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick.XLA_FLAGS}"

# Tests whose numbers must be the same on every processor: `make test-portable`.
_NUMERIC = (
    *("data/", "data_prep/devcv/", "data_prep/stages/", "data_prep/transfer/"),
    *("evals/", "models/", "test_losses.py"),
    *("training/test_optim.py", "training/test_step.py"),
    *("test_portable.py", "test_ties.py"),
)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Imports make much that stays: the garbage collector need not look at it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        # tracing makes many small objects, and few circles
        gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(_NUMERIC):
            item.add_marker("portable")


@pytest.fixture(scope="session", autouse=True)
def two_devices():
    """`jax.devices()` are the first two of eight: what a run costs grows with them."""
    import jax

    found = jax.devices
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda *backend: found(*backend)[:2])
        yield found


@pytest.fixture
def eight_devices(two_devices):
    """`jax.devices()` are all eight, for tests of what a mesh does."""
    import jax

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", two_devices)
        yield


@pytest.fixture
def own_signals():
    """`train` takes these signals for good; the test process wants them back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def steps_compile_once(monkeypatch):
    """Whatever a test does, no step function of `train` is compiled twice."""
    from babyvlm_jax import train

    made = []
    make = train.make_state_and_step

    def noted(*args):
        state, step = make(*args)
        made.append(step)
        return state, step

    monkeypatch.setattr(train, "make_state_and_step", noted)
    yield
    assert all(step._cache_size() <= 1 for step in made)
