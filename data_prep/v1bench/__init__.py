"""The benchmarks of BabyVLM V1 as data: imported, or built from annotated frames."""
