"""Chat templates say what our templates say, string by string and id by id."""

import jinja2
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from babyvlm_jax.data.conversation import encode
from babyvlm_jax.data.hf_tokenizer import HfTokenizer, with_image_token
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.interchange.hf_config import CHAT_TEMPLATES, form_of
from babyvlm_jax.runtime.errors import UserError

TURNS = (
    (HUMAN, "<image> How many?"),
    (ASSISTANT, "Two"),
    (HUMAN, "(A)<image> (B) <image>\nwhich? "),
    (HUMAN, "say it"),
)


def render(form, turns, invite=True):
    roles = {HUMAN: "user", ASSISTANT: "assistant"}
    return (
        jinja2.Environment()
        .from_string(CHAT_TEMPLATES[form])
        .render(
            messages=[{"role": roles[role], "content": text} for role, text in turns],
            bos_token="<sos>",
            eos_token="<eos>",
            add_generation_prompt=invite,
        )
    )


def test_a_dialogue():
    assert render("baby_v1", TURNS) == (
        "<sos> USER: <image> How many? ASSISTANT: Two<eos>"
        "USER: (A)<image> (B) <image>\nwhich? USER: say it ASSISTANT:"
    )
    parts = [{"type": "image"}, {"type": "text", "text": " who?"}]
    assert render("baby_v1", ((HUMAN, parts),), False) == "<sos> USER: <image> who?"


def test_pictures_and_answers():
    turns = ((HUMAN, "<image>\nlook <image>"), (ASSISTANT, "a dog"))
    assert render("baby_plain", turns, False) == "<sos><image><image>a dog<eos>"


@pytest.fixture(scope="module")
def words():
    """BabyVLM-V2's kind of tokenizer, on a few words."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<unk>", "<sos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["how many balls which one (a) (b) user:"] * 4, trainer)
    return made.to_str()


def test_ids_are_those_of_the_evaluator(words):
    ours = HfTokenizer(words.encode())
    theirs = tokenizers.Tokenizer.from_str(with_image_token(words, ours.vocab_size))
    record = Record("r", "s", (b"1", b"2", b"3"), TURNS)
    made = encode(record, ours, "baby_v1_verbatim", 1, answer=False)
    ids = [
        int(token) if slot < 0 else ours.vocab_size
        for token, slot in zip(made.tokens, made.visual_index, strict=True)
    ]
    text = render("baby_v1", TURNS)
    assert theirs.encode(text, add_special_tokens=False).ids == ids


def test_names_of_the_forms():
    assert form_of("baby_v1_verbatim") == form_of("baby_v1") == "baby_v1"
    assert form_of("plain") == form_of("baby_plain") == "baby_plain"
    with pytest.raises(UserError, match="'plain_wrapped' has no chat template"):
        form_of("plain_wrapped")
