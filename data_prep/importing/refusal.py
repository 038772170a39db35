"""Why a record is left out of an import: a name to count by, and a sentence."""

from babyvlm_jax.runtime.errors import without_addresses

REASONS = {
    "bad_json": "not JSON, or lists in lists without end",
    "not_a_record": "not an object with a list of conversations",
    "not_text": "an utterance that is not a string",
    "bad_id": "the id is neither text nor a whole number, or empty",
    "duplicate_id": "an earlier record of the split has the same id",
    "non_utf8": "text that is not UTF-8",
    "no_turns": "neither a human nor an assistant says anything",
    "roles_out_of_order": "turns are not human, gpt, human, gpt, ...",
    "empty_answer": "an answer without a word",
    "image_marks": "the number of <image> marks is not that of the images",
    "bad_image_field": "the image field is not a path, bytes, or a list of them",
    "other_medium": "about a video or a sound, and no images are given",
    "outside_folder": "the path leads out of the image folder",
    "missing_image": "there is no such image file",
    "image_too_large": "more pixels or bytes than any picture should have",
    "undecodable_image": "not a whole JPEG, PNG or WebP picture",
    "no_choices": "the prompt offers no answers in a form that is known",
    "not_offered": "the answer is none of those that the prompt offers",
    "too_few_rounds": "a dialogue that ends before it tests anything",
    "identical_options": "the right picture is also a wrong one",
    "bad_row": "a row without a value in each column",
    "bad_trial": "rows that are not one item of the test",
    "same_phrases": "both phrases are the same",
}


class Refusal(Exception):
    """A record that is left out.

    Attributes:
        reason: one of `REASONS`.
        detail: what was found in this record.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        told = without_addresses(detail)[:200]
        self.detail = told.encode("utf-8", "backslashreplace").decode()
