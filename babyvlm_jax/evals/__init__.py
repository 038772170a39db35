"""Benchmark tasks: how they are asked, scored and written down."""
