"""Settings of JAX for tests, which mostly compile; imports nothing of JAX."""

import os
import pathlib

# An optimised program would not earn back what making it takes.
XLA_FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
_HOME = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(pathlib.Path(_HOME) / "babyvlm_jax" / "jax"),
    # all programs of tests are small: jax's default keeps those of a second and more
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
