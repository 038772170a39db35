"""Captions -> utterances by rules: the rewriter that needs no network and no money.

A caption begins with what it is about: "a silver 2018 ford focus vehicle parked in a
lot". The rules take that first group of words up to where it ends (a preposition, a
verb, a comma), keep the pair if the last word of the group is one that the caregiver of
the target corpus uses too, and put it, with its colours, sizes and number, into one of
the things that caregivers say. English only, and rough: a language model does better.
"""

import collections
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from data_prep.transfer.prompts import Answer


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("a an the this that these those some my your his her its our their")
# where the first group of words of a caption ends
BREAKS = _words("""
    about above across after against along amid among and around as at be because been
    before behind being below beneath beside between beyond but by can comes contains
    covered do does doing down during eats every features filled flies for from goes
    had has have hanging he holds in inside into is are was were it like lies looks made
    near next of off on onto or out outside over past plays rides runs she shows sits
    sleeps so stands surrounded than that there they through to toward towards under
    until up upon walks we wearing wears when where which while who whose will with
    within without you
    """)
# said often to children, but not names of things that can be seen
NO_THINGS = _words("""
    again ah all almost always another any anything away back bad because best better
    bit bye careful come day did didn't doesn't don't done else enough even everything
    fast find fine first fun get getting give go going gonna good got great guess hear
    hello help here hey hi him how huh i i'll i'm i've idea if it's just keep kind know
    last later least less let let's lets long look looking lot lots love make many maybe
    me mean mine minute moment more morning most much must name need never new nice
    night no not nothing now oh ok okay old one only oops other please probably put
    quite ready real really right said same saw say see seems set should show side
    something sorry stay still stop stuff such sure take tell thank thanks that's them
    then there's thing things think time today together tomorrow too top try turn two
    uh um use very view wait wanna want wants watch way we'll we're well went what
    what's where's why work would wow yeah year years yep yes yet you're you've image
    picture photo
    """)
ADJECTIVES = _words("""
    red blue green yellow orange purple pink black white brown grey gray silver gold
    golden big large small little tiny huge tall short round fat thin new old wet dry
    hot cold warm dirty clean empty full soft fluffy furry fuzzy happy sad funny pretty
    beautiful cute wooden young striped spotted colorful colourful open closed
    """)
NUMBERS = _words("two three four five six seven eight nine ten")
IRREGULAR = _words("children people men women feet teeth mice geese sheep")
MASS = _words("""
    water milk juice food bread rice cheese grass sand snow rain hair paper music
    furniture soup pasta fruit soap mud ice
    """)
# what captions say -> what is said to a child
SYNONYMS = {
    "automobile": "car", "vehicle": "car", "sedan": "car", "suv": "car",
    "bicycle": "bike", "bicycles": "bikes", "motorcycle": "bike", "aircraft": "plane",
    "airplane": "plane", "airplanes": "planes", "aeroplane": "plane", "jet": "plane",
    "vessel": "boat", "yacht": "boat", "sailboat": "boat", "canine": "dog",
    "feline": "cat", "kitten": "kitty", "hound": "dog", "pup": "puppy",
    "infant": "baby", "toddler": "baby", "newborn": "baby", "kid": "child",
    "kids": "children", "female": "lady", "woman": "lady", "women": "ladies",
    "male": "man", "gentleman": "man", "mother": "mommy", "father": "daddy",
    "grandmother": "grandma", "grandfather": "grandpa", "residence": "house",
    "cottage": "house", "sofa": "couch", "footwear": "shoes", "sneakers": "shoes",
    "sneaker": "shoe", "infants": "babies", "garment": "shirt", "t-shirt": "shirt",
    "tee": "shirt", "trousers": "pants", "jeans": "pants", "beverage": "drink",
    "mug": "cup", "rabbit": "bunny", "rabbits": "bunnies", "stomach": "tummy",
    "automobiles": "cars", "vehicles": "cars", "cushion": "pillow", "blossom": "flower",
    "blossoms": "flowers", "rock": "stone", "television": "tv",
}  # fmt: skip


VERSION = 1  # of the rules: another one makes other utterances
MIN_COUNT = 3  # V1's own limit for a word to be in the vocabulary
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
# "a photo of", "there is", "a group of": what it is about comes after
_LEAD = re.compile(
    r"^\W*(?:(?:there|this|these|that|it|here)(?: is| are|'s) "
    r"|(?:look at|see) "
    r"|(?:an? |the )?(?:\w+ )?(?:photo|photograph|picture|image|drawing|illustration|"
    r"painting|view|pair|group|bunch|couple|pile|piece|set|close[ -]?up) of )"
)
_CLAUSE = re.compile(r"[,.;:|!?()\[\]/\"]| - ")

ONE = (
    "look at the {it}!", "that's {a_it}.", "do you see the {it}?", "what a nice {it}!",
    "here is the {it}.", "oh, {a_it}!", "is that {a_it}?", "it's {a_it}.",
)  # fmt: skip
MANY = (
    "look at the {it}!", "do you see the {it}?", "here are the {it}.", "oh, {it}!",
    "those are {it}.", "are those {it}?",
)  # fmt: skip
STUFF = ("look at the {it}!", "do you see the {it}?", "here is the {it}.", "oh, {it}!")
ACTION = (
    "look, the {it} {is_are} {doing}!", "the {it} {is_are} {doing}.",
    "do you see the {it} {doing}?", "see, {doing}, the {it} {is_are} {doing}!",
)  # fmt: skip


class _Thing(NamedTuple):
    """What a caption is about: head noun, words before it, what it does."""

    head: str
    before: tuple[str, ...]
    doing: str | None


def everyday_words(utterances: Iterable[str], min_count: int = MIN_COUNT) -> set[str]:
    """Words of a corpus that may name a thing.

    Args:
        utterances: what is said in the target corpus.
        min_count: rarer words do not count.
    """
    counts = collections.Counter(
        word for text in utterances for word in _WORD.findall(text.lower())
    )
    common = {word for word, count in counts.items() if count >= min_count}
    return common - NO_THINGS - BREAKS - ARTICLES - ADJECTIVES - NUMBERS


def rewrite(caption: str, everyday: set[str]) -> Answer:
    """One caption -> whether it is kept, and what is said.

    rewrite("a silver 2018 ford focus vehicle parked in a lot", {"car"}) may give
    Answer(keep=True, utterance="look at the silver car!"); the caption alone decides
    which phrase it is.
    """
    thing = _thing(caption, everyday)
    if thing is None:
        return Answer(False, "")
    it = " ".join((*thing.before, thing.head))
    many = _is_plural(thing.head, everyday)
    words = {
        "it": it,
        "a_it": f"{'an' if it[0] in 'aeiou' else 'a'} {it}",
        "is_are": "are" if many else "is",
        "doing": thing.doing,
    }
    if thing.doing:
        phrases = ACTION
    elif many:
        phrases = MANY
    else:
        phrases = STUFF if thing.head in MASS else ONE
    draw = hashlib.sha256(caption.encode("utf-8", "surrogatepass")).digest()
    return Answer(True, phrases[draw[0] % len(phrases)].format(**words))


def _thing(caption: str, everyday: set[str]) -> _Thing | None:
    text, last = caption.lower(), None
    while text != last:
        text, last = _LEAD.sub("", text), text
    clauses = map(_WORD.findall, _CLAUSE.split(text))
    group, rest = _first_group(next(filter(None, clauses), []), everyday)
    if not group or group[-1] not in everyday:
        return None
    head = group[-1]
    before = tuple(w for w in group[:-1] if w in ADJECTIVES)[:2]
    if group[0] in NUMBERS and _is_plural(head, everyday):
        before = (group[0], *before)
    doing = rest[0] if rest and rest[0].endswith("ing") else None
    return _Thing(head, before, doing)


def _first_group(words: list[str], everyday: set[str]) -> tuple[list[str], list[str]]:
    """Cuts the words after the first object; everyday names stand for rarer ones."""
    group: list[str] = []
    for place, word in enumerate(words):
        if word in ARTICLES and not group:
            continue
        word = SYNONYMS.get(word, word)
        named = bool(group) and group[-1] in everyday
        # "dog running", "car parked"; but not "red", and not "big building"
        verb = named and len(word) > 4 and word.endswith(("ing", "ed"))
        if word in BREAKS or word in ARTICLES or verb:
            return group, words[place:]
        group.append(word)
    return group, []


def _is_plural(word: str, everyday: set[str]) -> bool:
    if word in IRREGULAR:
        return True
    stem = word[:-2] if word.endswith(("shes", "ches", "xes")) else word[:-1]
    ends = word.endswith("s") and not word.endswith(("ss", "us"))
    return ends and (stem in everyday or len(stem) > 3)
