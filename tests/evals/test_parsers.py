import pytest

from babyvlm_jax.evals.scoring import OFFICIAL_READERS

# text -> what the official parser reads, with its faults
LETTERS = {
    "B": "B",
    "b": "B",
    "(C)": "C",
    "the answer is d.": "D",
    "it is a dog, so B": "A",  # the article
    "A dog": "A",
    "a": "A",
    "option a.": "A",
    "E": None,
    "bad cab": None,
    "B2": None,
    "": None,
}
NUMBERS = {
    "7": "7",
    "07": "7",
    "There are Three balls": "3",
    "ten": "10",
    "12 of 3": "12",
    "eleven": None,  # the list ends at ten
    "eleven or 4": "4",
    "twenty-one": "1",
    "twenty1": "1",
    "3.5": "3",  # the first run of digits
    "-2": "2",
    "\uff13 cups": "3",
    "someone": None,
    "": None,
}
DIRECTIONS = {
    "left": "left",
    "Top Left": "top left",
    "left.": None,  # nothing is stripped or searched
    " left": None,
    "upper left": None,
    "": None,
}
CASES = [
    (kind, text, read)
    for kind, table in (
        ("letter", LETTERS),
        ("number", NUMBERS),
        ("direction", DIRECTIONS),
    )
    for text, read in table.items()
]


@pytest.mark.parametrize(("kind", "text", "read"), CASES)
def test_what_is_read(kind, text, read):
    assert OFFICIAL_READERS[kind](text) == read
