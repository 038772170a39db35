"""From records on disk to packed batches."""
