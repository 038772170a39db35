"""BabyVLM V1: the phases of its generative model, and the whole recipe."""

SIZES = ("v1", "v1-llama")
# ours: room for text in a row, per record: a mean of 11 tokens, long ones beside
WORDS = {"v1": 15, "v1-llama": 27}
# V1 1.4: training sets as datasets of equal size, each record once an epoch. `built` is
# what data_prep.build wrote, filtered there or not at all
PAIRS = {
    "built": ("image_utterance",),
    "filtered": ("filtered",),
    "filtered-aug": ("filtered", "transferred"),
    "aug-only": ("transferred",),
    "filtered-random": ("filtered", "general_random"),
}
