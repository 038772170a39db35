"""The verbatim form against a real byte-level tokenizer on the original's strings."""

import pytest

from babyvlm_jax.data.conversation import encode
from babyvlm_jax.data.schema import HUMAN, Record

pytestmark = pytest.mark.torch

DIALOGUES = (
    (("human", "<image> How many balls?"), ("assistant", "2")),
    (("human", "(A)<image> (B) <image>"), ("assistant", " Look, a ball")),
    (
        ("human", "<image><image>\nWhich?  "),
        ("assistant", "The RED  one"),
        ("human", "And <image> ?"),
        ("assistant", "(b)"),
    ),
)


@pytest.fixture(scope="module")
def trained():
    """BabyVLM-V2's kind of tokenizer, on a few words."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()]
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "<unk>", "<sos>", "<eos>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(["how many balls which red one (a) (b)"] * 4, trainer)
    return made


class Imported:
    """What an imported tokenizer offers to `encode`."""

    unk_id, sos_id, eos_id = 1, 2, 3

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def encode(self, text):
        return self._tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("turns", DIALOGUES)
def test_ids_are_those_of_the_whole_string(trained, turns):
    """The original tokenises everything between two pictures in one go.

    It strips a turn that shows a picture before that, and no other.
    """
    text = ""
    for role, said in turns:
        said = said.strip() if "<image>" in said else said
        if role == HUMAN:
            text += f"{'' if text.endswith('<eos>') else ' '}USER: {said}"
        else:
            text += f" ASSISTANT: {said}<eos>"
    expected = [2]
    for number, chunk in enumerate(text.split("<image>")):
        expected += [0] * (number > 0) + trained.encode(chunk).ids
    pictures = tuple(bytes([i]) for i in range(text.count("<image>")))
    record = Record("r", "s", pictures, turns)
    made = encode(record, Imported(trained), "baby_v1_verbatim", 1)
    assert [*made.tokens.tolist(), made.targets[-1]] == expected


def test_the_mask_covers_answers_and_their_eos(trained):
    record = Record("r", "s", (b"1", b"2", b"3"), DIALOGUES[2])
    made = encode(record, Imported(trained), "baby_v1_verbatim", 1)
    answers = [trained.encode(f" {said}").ids for said in ("The RED  one", "(b)")]
    supervised = made.targets[made.loss_mask].tolist()
    assert supervised == [*answers[0], 3, *answers[1], 3]
