"""The reader of users' JSON, under the name that data_prep knows it by."""

from babyvlm_jax.json_fields import *  # noqa: F403
