"""Launching on slices, clusters and this machine; see docs/launch.md."""
