"""The forms that the originals used, id by id, and truncation at a turn's end."""

import re

import numpy as np
import pytest

from babyvlm_jax.data.conversation import DoesNotFit, encode
from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import UserError

SOS, EOS = 2, 3
# what a byte-level tokenizer with a prefix space makes of our texts; _ is a blank
PIECES = ("_", "_user", ":", "_assistant", "_look", "_a", "_ball", "?", "_(", "b", ")")
BLANK, USER, COLON, ASSISTANT, LOOK, A, BALL, ASK, OPEN, B, CLOSE = range(4, 15)


class ByteLevelTokenizer:
    """Splits as byte-level BPE does: a word keeps the blank before it."""

    unk_id, sos_id, eos_id = 1, SOS, EOS

    def encode(self, text):
        if text and not text.startswith(" "):
            text = f" {text}"
        found = re.findall(r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s+", text.lower())
        known = {piece: i for i, piece in enumerate(PIECES, start=4)}
        return [known.get(piece.replace(" ", "_"), self.unk_id) for piece in found]


def made(turns, template, images=(b"1",), **kwargs):
    record = Record("r", "s", images, turns)
    out = encode(record, ByteLevelTokenizer(), template, 2, **kwargs)
    tokens, mask = out.tokens.tolist(), out.loss_mask.astype(int).tolist()
    return tokens, out.visual_index.tolist(), out.targets.tolist(), mask


ONE = (("human", "<image> Look?"), ("assistant", "a ball"))
OPTIONS = (
    ("human", "look (b) <image>(b)<image>"),
    ("assistant", "a"),
    ("human", "look"),
    ("assistant", "ball"),
)


def test_verbatim_keeps_the_blank_before_a_picture():
    tokens, visual, targets, mask = made(ONE, "baby_v1_verbatim")
    asked = [LOOK, ASK, ASSISTANT, COLON]
    assert tokens == [SOS, USER, COLON, BLANK, 0, 0, *asked, A, BALL]
    assert visual == [-1, -1, -1, -1, 0, 1, *[-1] * 6]
    assert targets == [USER, COLON, BLANK, 0, 0, *asked, A, BALL, EOS]
    assert mask == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_ours_has_no_token_for_that_blank():
    tokens, _, _, mask = made(ONE, "baby_v1")
    assert tokens == [SOS, USER, COLON, 0, 0, LOOK, ASK, ASSISTANT, COLON, A, BALL]
    assert mask == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_verbatim_with_two_turns_and_pictures_between_words():
    tokens, visual, _, mask = made(OPTIONS, "baby_v1_verbatim", (b"1", b"2"))
    assert tokens == [
        *[SOS, USER, COLON, LOOK, OPEN, B, CLOSE, BLANK, 0, 0, OPEN, B, CLOSE, 0, 0],
        *[ASSISTANT, COLON, A, EOS, USER, COLON, LOOK, ASSISTANT, COLON, BALL],
    ]
    assert visual[8:15] == [0, 1, -1, -1, -1, 2, 3]
    assert mask == [*[0] * 16, 1, 1, 0, 0, 0, 0, 0, 1, 1]


def test_verbatim_prompt_and_text():
    assert made(ONE, "baby_v1_verbatim", answer=False)[0] == [
        *[SOS, USER, COLON, BLANK, 0, 0, LOOK, ASK, ASSISTANT, COLON]
    ]
    said = (("assistant", "a ball"),)
    tokens, _, targets, mask = made(said, "baby_v1_verbatim", ())
    assert tokens == [SOS, ASSISTANT, COLON, A, BALL]
    assert targets == [ASSISTANT, COLON, A, BALL, EOS]
    assert mask == [0, 0, 1, 1, 1]


def test_verbatim_strips_the_turns_that_show_a_picture_and_no_others():
    turns = (
        ("human", "\n <image> Look?  "),
        ("assistant", "a ball"),
        ("human", "look "),
        ("assistant", "a"),
    )
    plain = (("human", "<image> Look?"), *turns[1:])
    assert made(turns, "baby_v1_verbatim") == made(plain, "baby_v1_verbatim")
    tokens = made(turns, "baby_v1_verbatim")[0]
    assert tokens[-5:] == [LOOK, BLANK, ASSISTANT, COLON, A]  # the blank stays


def test_baby_plain_verbatim_is_the_picture_and_the_answer_as_it_stands():
    said = (("human", "What is it? <image>"), ("assistant", "look  a ball"))
    tokens, visual, targets, mask = made(said, "baby_plain_verbatim")
    assert tokens == [SOS, 0, 0, LOOK, BLANK, A, BALL]
    assert visual == [-1, 0, 1, -1, -1, -1, -1]
    assert targets == [0, 0, LOOK, BLANK, A, BALL, EOS]
    assert mask == [0, 0, 1, 1, 1, 1, 1]
    assert made(said, "baby_plain")[0] == [SOS, 0, 0, LOOK, A, BALL]


def test_v1_plain_and_the_two_readings_of_the_original():
    """BabyVLM V1: which chunks its tokenizer gives special ids."""
    said = (("human", "<image>"), ("assistant", "look a ball"))
    words = [LOOK, A, BALL]
    tokens, visual, targets, mask = made(said, "plain")
    assert tokens == [SOS, 0, 0, *words]
    assert visual == [-1, 0, 1, -1, -1, -1]
    assert targets == [0, 0, *words, EOS]
    assert mask == [0, 0, 1, 1, 1, 1]

    tokens, visual, targets, mask = made(said, "plain_bare")
    assert tokens == [0, 0, LOOK, A]
    assert visual == [0, 1, -1, -1]
    assert targets == [0, *words]
    assert mask == [0, 1, 1, 1]

    tokens, visual, targets, mask = made(said, "plain_wrapped")
    assert tokens == [SOS, EOS, 0, 0, *words]
    assert targets == [EOS, 0, 0, *words, EOS]
    assert mask == [0, 0, 0, 0, 1, 1, 1]  # the first word is hidden


def test_v1_prompts():
    prompts = {
        template: made(ONE, template, answer=False)[0]
        for template in ("plain", "plain_bare", "plain_wrapped")
    }
    assert prompts == {
        "plain": [SOS, 0, 0],
        "plain_bare": [0, 0],
        "plain_wrapped": [SOS, EOS, 0, 0, EOS],
    }


def test_what_precedes_an_answer_is_not_closed():
    found = {
        template: made(ONE, template, answer=False, closed=False)[0]
        for template in ("plain", "plain_wrapped")
    }
    assert found == {"plain": [SOS, 0, 0], "plain_wrapped": [SOS, EOS, 0, 0]}


def test_the_wrapped_form_is_for_pairs():
    with pytest.raises(UserError, match=r"2 pictures and 4 turns; .* use 'plain'"):
        made(OPTIONS, "plain_wrapped", (b"1", b"2"))


# <sos>, two visual tokens, a, <eos>; then two, ball, <eos>; the last <eos> is no input
TWO = (
    ("human", "<image>"),
    ("assistant", "a"),
    ("human", "<image>"),
    ("assistant", "ball"),
)


@pytest.mark.parametrize("room", [(7, 2), (4, 2), (7, 1)])
def test_truncation_leaves_whole_turns(room):
    record = Record("r", "s", (b"1", b"2"), TWO)
    out = encode(record, ByteLevelTokenizer(), "baby_plain", 2, room=room)
    assert out.truncated
    assert out.tokens.tolist() == [SOS, 0, 0, A]
    assert out.targets.tolist() == [0, 0, A, EOS]
    assert out.loss_mask.tolist() == [False, False, True, True]
    assert out.visual_index.tolist() == [-1, 0, 1, -1]
    assert out.images == (b"1",)


def test_room_enough_changes_nothing():
    record = Record("r", "s", (b"1", b"2"), TWO)
    whole = encode(record, ByteLevelTokenizer(), "baby_plain", 2)
    given = encode(record, ByteLevelTokenizer(), "baby_plain", 2, room=(8, 2))
    assert not given.truncated
    assert len(whole.tokens) == 8
    np.testing.assert_array_equal(given.tokens, whole.tokens)


def test_a_first_answer_that_does_not_fit_is_named():
    with pytest.raises(DoesNotFit, match=r"'r': its first answer .* holds \(3, 2\)"):
        made(TWO, "baby_plain", (b"1", b"2"), room=(3, 2))
