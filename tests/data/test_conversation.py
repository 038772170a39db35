"""Templates, targets and loss masks, position by position."""

import numpy as np
import pytest

from babyvlm_jax.data.conversation import encode
from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import UserError

SOS, EOS, USER, ASSISTANT = 2, 3, 4, 5
WORDS = ("user:", "assistant:", "look", "a", "ball", "which", "(a)", "(b)", "new")
LOOK, A, BALL, WHICH, OPT_A, OPT_B, NEW = range(6, 13)


class WordTokenizer:
    """One id a word; words it does not know are <unk>."""

    unk_id, sos_id, eos_id = 1, SOS, EOS

    def encode(self, text):
        known = {word: i for i, word in enumerate(WORDS, start=4)}
        return [known.get(word, self.unk_id) for word in text.lower().split()]

    def decode(self, ids):
        return " ".join(WORDS[i - 4] for i in ids)


def rows(record, template, tokens_per_image=2, **kwargs):
    made = encode(record, WordTokenizer(), template, tokens_per_image, **kwargs)
    arrays = (made.tokens, made.visual_index, made.targets, made.loss_mask)
    assert [a.dtype for a in arrays] == [np.int32, np.int32, np.int32, bool]
    return [a.astype(int).tolist() for a in arrays]


PAIR = Record(
    "p", "pairs", (b"1",), (("human", "<image> Look"), ("assistant", "a ball"))
)


def test_plain_pair():
    tokens, visual, targets, mask = rows(PAIR, "baby_plain")
    assert tokens == [SOS, 0, 0, A, BALL]
    assert visual == [-1, 0, 1, -1, -1]
    assert targets == [0, 0, A, BALL, EOS]
    assert mask == [0, 0, 1, 1, 1]


def test_plain_text():
    record = Record("t", "text", turns=(("assistant", "look a ball"),))
    tokens, visual, targets, mask = rows(record, "baby_plain")
    assert tokens == [SOS, LOOK, A, BALL]
    assert visual == [-1] * 4
    assert targets == [LOOK, A, BALL, EOS]
    assert mask == [1, 1, 1, 1]


def test_v1_pair():
    tokens, visual, targets, mask = rows(PAIR, "baby_v1")
    assert tokens == [SOS, USER, 0, 0, LOOK, ASSISTANT, A, BALL]
    assert visual == [-1, -1, 0, 1, -1, -1, -1, -1]
    assert targets == [USER, 0, 0, LOOK, ASSISTANT, A, BALL, EOS]
    assert mask == [0, 0, 0, 0, 0, 1, 1, 1]


DIALOGUE = Record(
    "d",
    "memory",
    (b"x0", b"x0", b"x1"),
    (
        ("human", "(A) <image>"),
        ("assistant", "A"),
        ("human", "(A) <image> (B)<image>"),
        ("assistant", "(b)"),
    ),
)


def test_v1_dialogue_with_a_repeated_picture():
    tokens, visual, targets, mask = rows(DIALOGUE, "baby_v1", tokens_per_image=1)
    assert tokens == [
        *[SOS, USER, OPT_A, 0, ASSISTANT, A, EOS],
        *[USER, OPT_A, 0, OPT_B, 0, ASSISTANT, OPT_B],
    ]
    assert visual == [-1, -1, -1, 0, -1, -1, -1, -1, -1, 0, -1, 1, -1, -1]
    assert targets == [
        *[USER, OPT_A, 0, ASSISTANT, A, EOS, USER],
        *[OPT_A, 0, OPT_B, 0, ASSISTANT, OPT_B, EOS],
    ]
    assert mask == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]


def test_repeated_pictures_share_a_slot_only_if_asked():
    made = encode(DIALOGUE, WordTokenizer(), "baby_v1", 1)
    assert made.images == (b"x0", b"x1")
    made = encode(DIALOGUE, WordTokenizer(), "baby_v1", 1, dedupe_images=False)
    assert made.images == (b"x0", b"x0", b"x1")
    assert made.visual_index.tolist()[9:12] == [1, -1, 2]


def test_prompt_stops_before_the_last_answer():
    tokens, visual, targets, mask = rows(DIALOGUE, "baby_v1", 1, answer=False)
    assert tokens == [
        *[SOS, USER, OPT_A, 0, ASSISTANT, A, EOS],
        *[USER, OPT_A, 0, OPT_B, 0, ASSISTANT],
    ]
    assert visual == [-1, -1, -1, 0, -1, -1, -1, -1, -1, 0, -1, 1, -1]
    assert targets[-3:] == [0, ASSISTANT, 0]
    assert mask == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_prompt_of_an_open_question_and_of_the_plain_template():
    question = Record("q", "chat", (b"1",), (("human", "which <image>"),))
    assert rows(question, "baby_v1", 1, answer=False)[0] == [
        *[SOS, USER, WHICH, 0, ASSISTANT]
    ]
    assert rows(PAIR, "baby_plain", answer=False)[0] == [SOS, 0, 0]


def test_plain_dialogue_keeps_pictures_and_answers_only():
    tokens, visual, targets, mask = rows(DIALOGUE, "baby_plain", 1)
    assert tokens == [SOS, 0, A, EOS, 0, 0, OPT_B]
    assert visual == [-1, 0, -1, -1, 0, 1, -1]
    assert targets == [0, A, EOS, 0, 0, OPT_B, EOS]
    assert mask == [0, 1, 1, 0, 0, 1, 1]


def test_unknown_words_are_not_learnt():
    record = Record("u", "text", turns=(("assistant", "a zebra ball"),))
    tokens, _, targets, mask = rows(record, "baby_plain")
    assert tokens == [SOS, A, 1, BALL]
    assert targets == [A, 1, BALL, EOS]
    assert mask == [1, 0, 1, 1]


def test_bad_input():
    with pytest.raises(UserError, match="no template 'baby_v3'"):
        rows(PAIR, "baby_v3")
    with pytest.raises(UserError, match=r"'f' .* has no turns"):
        rows(Record("f", "frames", (b"1",)), "baby_v1")
