"""METEOR by hand, the figure of the paper, and the library's where it is."""

import itertools

import pytest

from babyvlm_jax.evals import captions
from babyvlm_jax.evals.scoring import Answer, make_line
from babyvlm_jax.evals.tasks import TASKS
from tests.evals import v1_samples


def exact(reference, hypothesis):
    return captions.meteor_exact(reference.split(), hypothesis.split())


@pytest.mark.parametrize(
    ("reference", "hypothesis", "score"),
    [
        ("a b c", "a b c", 1 - 0.5 / 27),
        ("a b c", "a b d", 2 / 3 * (1 - 0.5 / 8)),
        ("a b", "b a", 0.5),  # two chunks of two
        ("a b c", "d e", 0.0),
        ("a a b", "a", 1 / 3 / (0.9 + 0.1 / 3) * 0.5),
        # the last "a" is the one that is matched: one chunk, "a b"
        ("a a b", "a b", 2 / 3 / (0.9 + 0.1 * 2 / 3) * (1 - 0.5 / 8)),
    ],
)
def test_meteor_by_hand(reference, hypothesis, score):
    assert exact(reference, hypothesis) == pytest.approx(score)


def test_the_example_of_the_paper_s_figure():
    said = captions.metrics(
        "we have all these books .", "You want to read about books ?"
    )
    assert said["meteor_exact"] == pytest.approx(0.0820, abs=5e-5)


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("There 's a kite .", "there 's a kite ."),
        ("what?! Oh-oh.", "what ? ! oh-oh ."),
        ("Don't! I can't, it's mama's.", "do n't ! i ca n't , it 's mama 's ."),
        (
            "do n't you'll they're i'm i've he'd",
            "do n't you 'll they 're i 'm i 've he 'd",
        ),
        ("gonna wanna gotta gimme lemme", "gon na wan na got ta gim me lem me"),
        ("cannot cannoli gonnah", "can not cannoli gonnah"),
        ("the dogs' o'clock 'cause", "the dogs ' o'clock ' cause"),
        ("wait...what he--no", "wait ... what he -- no"),
        ("at 3:30, 1,000 a,b (x) $5", "at 3:30 , 1,000 a , b ( x ) $ 5"),
        ("a ball. look. Mr. Fox", "a ball . look . mr . fox"),
        ("", ""),
    ],
)
def test_tokens_are_those_of_the_treebank(text, split):
    assert captions.tokens(text) == split.split()


def test_tokens_are_the_library_s():
    """On all words and signs of transcripts side by side, one sentence at a time."""
    tokenize = pytest.importorskip(
        "nltk.tokenize", reason="the extra `captions` is not installed"
    )
    words = ["it's", "don't", "can't", "dogs'", "o'clock", "oh-oh", "3:30", "1,000"]
    words += ["gonna", "cannot", "'s", "n't"]
    signs = [" ", " , ", ", ", "... ", "? ", "! ", " (", ") ", "; ", " -- ", "--"]
    for first, sign, second in itertools.product(words, signs, words):
        text = f"look {first}{sign}{second} now."
        split = tokenize.word_tokenize(text, preserve_line=True)
        assert captions.tokens(text) == split, text


def test_nothing_said_scores_nothing():
    assert set(captions.metrics("a ball", " ").values()) == {0.0}


def test_chance_is_what_captions_of_other_pictures_score():
    items = [v1_samples.caption(k, f"the ball {k}") for k in range(5)]
    found = captions.chances(TASKS["caption"], items)
    expected = captions.metrics("the ball 0", "the ball 1")
    for item in items:
        assert found[item.id] == pytest.approx(expected)
    assert (
        captions.chances(TASKS["caption"], items[:1])["caption0"]["meteor_exact"] == 0
    )


def test_a_line_of_a_caption():
    item = v1_samples.caption(0, "look at the red ball")
    chance = captions.chances(TASKS["caption"], [item])[item.id]
    line = make_line(
        TASKS["caption"], "", item, Answer("generate", "", ["Ball"]), chance
    )
    assert line["metrics"] == captions.metrics("look at the red ball", "ball")
    assert line["official"]["metrics"] == line["metrics"]
    assert (line["prediction"], line["correct"]) == ("ball", False)
    assert line["chance"] == chance


def test_the_library_agrees_and_knows_stems():
    pytest.importorskip("nltk", reason="the extra `captions` is not installed")
    same = captions.metrics("a b c a", "c a b")
    assert same["meteor"] == pytest.approx(same["meteor_exact"])
    stems = captions.metrics("the dogs bark", "the dog barks")
    assert stems["meteor"] > 0.9 > 0.5 > stems["meteor_exact"]
    assert captions.metrics("a b c d", "a b c d")["bleu"] == pytest.approx(1)
    figure = captions.metrics(
        "we have all these books .", "You want to read about books ?"
    )
    assert figure["meteor"] == pytest.approx(0.0820, abs=5e-5)
