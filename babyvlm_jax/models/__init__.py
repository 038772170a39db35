"""The models; the only place that knows Flax."""
