"""The caregiver's phrases, by what they say. Slots are filled by `language`.

    {n} noun   {a} noun with article   {ns} plural   {c} colour   {s} size word
    {m} mark ("blue stripe")   {side} side of the mark   {cap} caption with article
    {o} another noun   {oa} with article   {os} plural   {place} {room}
    {k} counted noun ("two balls")   {k2} another

Words that the tests use ("touch the", "top left", "which one is the same", "how many",
"exactly") are here on purpose: the tokenizer is trained on transcripts alone.
"""

NAME = (
    "{a}", "the {n}", "{n}", "look {a}", "look at the {n}", "see the {n}", "it's {a}",
    "that's {a}", "this is {a}", "here is the {n}", "what is this {a}", "oh {a}",
    "do you see the {n}", "touch the {n}", "point at the {n}", "can you say {n}",
    "where is the {n} here is the {n}", "there's the {n}", "hello {n}", "a nice {n}",
    "the {n} is here", "that is called {a}", "do you want the {n}", "{n} {n}",
    "you found the {n}", "what a lovely {n}", "this one is {a}", "the word is {n}",
    "touch the image of the {n}", "it is an image of {a}",
)  # fmt: skip
COLOUR = (
    "a {c} {n}", "the {c} {n}", "{n} {c}", "{c} {n}", "the {n} is {c}", "it is {c}",
    "what colour is the {n} {c}", "look at the {c} {n}", "point at the {c} {n}",
    "is the {n} {c} yes it is {c}", "see this {c} {n}", "do you like the {c} {n}",
)  # fmt: skip
MARK = (
    "a {c} {n} with a {m}", "the {c} {n} has a {m}",
    "a {c} {n} with a {m} on the {side}", "the {n} has a {m} on the {side}",
    "{c} {n} {m} {side}", "the {m} is on the {side}", "see the {m} on the {n}",
    "{c} with a {m} on the {side}",
)  # fmt: skip
SIZE = (
    "a {s} {n}", "the {s} {n}", "the {n} is {s}", "what a {s} {n}", "such a {s} {n}",
    "{n} {s}", "look how {s} the {n} is",
)  # fmt: skip
SIZE_COLOUR = ("a {s} {c} {n}", "the {s} {c} {n}", "look at the {s} {c} {n}")
CAPTION = (
    "{cap}", "look {cap}", "it's {cap}", "this is {cap}", "{cap} is {a}", "{a} {cap}",
    "see {cap}", "this {n} is {cap}", "that's {cap}",
)  # fmt: skip
YES_NO = (
    "is this {a} yes", "is this {oa} no", "is it {a} yes", "is it {oa} no", "{n} yes",
    "{o} no", "is this the {n} yes it is", "is this the {o} no it is the {n}",
    "is this {a} yes it is {a}", "is this {oa} no it is {a}", "do you see {a} yes",
    "do you see {oa} no", "{a} or {oa} it is {a}", "{oa} or {a} it is {a}",
)  # fmt: skip
PLACE = (
    "{place} is the {n}", "the {n} is at the {place}", "{place} {n}", "{n} {place}",
    "the {n} is in the {place} of the image", "where is the {n} it is {place}",
    "at the {place} there is {a}", "point at the {n} it is in the {place}",
    "what is at the {place} {a}", "is the {n} in the {place} yes",
)  # fmt: skip
COUNT = (
    "{k}", "how many {ns} {k}", "i see {k}", "look {k}",
    "how many of {n} do you see {k}", "{k} here", "let's count the {ns} {k}",
    "how many {ns} do you see {k}", "yes {k}",
)  # fmt: skip
COUNT_TWO = ("{k} {k2}", "{k} and {k2}", "i see {k} and {k2}", "{k} here {k2} there")
MORE = (
    "which has more {ns} or {os} more {ns}", "there are more {ns} than {os}",
    "more {ns} than {os}", "which image has more of {n}",
)  # fmt: skip
PAIR = (
    "{a} and {oa}", "the {n} and the {o}", "i see {a} and {oa}",
    "the {n} is next to the {o}", "look {a} and {oa}",
)  # fmt: skip
PAN_START = (
    "there's the {n}", "watch the {n}", "the {n} is leaving", "look at the {n}",
    "keep your eyes on the {n}", "follow the {n}",
)  # fmt: skip
PAN_END = (
    "bye bye {n}", "the {n} went {place}", "the {n} leaves through the {place} side",
    "where did the {n} go {place}", "the {n} is gone it left the frame at the {place}",
    "the {n} left through the {place} side of the frame", "{n} gone {place}",
)  # fmt: skip
AWAY = (
    "all gone", "nothing here", "where did everything go", "only the wall", "empty",
    "there is nothing to see", "what are you looking at", "turn around sweetie",
)  # fmt: skip
WIDE = (
    "so many things", "this is the {room}", "we are in the {room}", "look around",
    "in the {room} there is {a}", "there is {a} and {oa}", "can you find the {n}",
    "what do you see {a}", "so many toys on the floor", "look what is on the shelf",
)  # fmt: skip

OFF_TOPIC = (
    "are you hungry", "do you want some milk", "time for your nap", "let's go outside",
    "grandma is coming tomorrow", "don't put that in your mouth", "i love you so much",
    "mommy will be right back", "daddy is at work", "did you sleep well",
    "good morning", "say hi to the camera", "the phone is ringing",
    "wait a minute please", "be careful", "come here baby", "give it to me",
    "thank you", "you are welcome", "good job", "that was funny",
    "shall we sing a song", "row row row your boat gently", "clap hands",
    "if you are happy and you know it", "twinkle twinkle little one", "peekaboo",
    "let me wipe your nose", "put on your jacket", "it is raining today",
    "brrr so cold", "we have to buy bread and cheese later", "i need another coffee",
    "are you tired", "your sister is at school", "the dog next door is barking",
    "shh quiet now", "open wide here comes the spoon", "drink your water",
    "yummy yummy soup", "hooray", "who is making that noise", "let's build a tower",
    "push the button", "roll it back", "jump jump jump", "kick throw and catch",
    "shake it stop", "one more time", "again", "close the door", "up we go",
    "down down down", "sit on the chair", "stand up now",
    "wash your hands before dinner", "brush your teeth", "where are your toes",
    "tickle", "does it hurt let me kiss it better", "no no not in the mouth",
    "hold it with both", "i have to answer the mail", "he said he would call on friday",
    "what time is it", "we can read a story before bed", "big stretch",
    "are you dancing", "wave bye bye", "the washing machine is done",
    "look out of the window", "can you hear the birds", "your hair is so soft",
    "let's change your diaper", "almost finished", "my goodness",
    "oh dear it fell down", "try again you can do it", "gentle gentle", "easy does it",
    "remember when we went swimming at the lake", "oops slippery", "pull harder",
    "uncle bought a present for your birthday", "squeeze", "blow bubbles", "climb over",
    "the neighbours have visitors this evening", "my keyboard is broken", "crawl under",
    "grandpa fell asleep during the movie", "monday we visit the doctor", "swing",
    "hush", "did somebody feed the rabbit", "who left this outside", "bravo",
    "careful it's hot", "first breakfast and afterwards the playground",
    "that lady has curly hair", "let me warm up your bottle",
    "where did i leave my glasses", "take off your socks", "such a clever kid",
    "once upon a time there was a princess", "five more minutes",
    "everybody is waiting", "cuddle mama", "papa drives home", "sleepy head",
    "messy hands", "smell this", "taste", "shiny new bike", "feet off", "knock knock",
    "quick quick", "slowly now", "whisper", "wrap the blanket", "zip your coat",
    "pick some berries", "wet hair", "dry towel", "eleven already", "after lunch",
    "under the tree", "behind you", "between us", "sunny day", "windy today",
    "snow outside", "stars at night", "dark in here", "bright", "soap and bubbles",
    "sticky fingers", "crunchy toast", "sweet honey", "sour lemon", "warm porridge",
    "cousin lucy called", "aunt mary knits", "doctor said so", "sneeze", "cough cough",
    "bless you", "hiccups", "giggle giggle", "run along", "march", "spin",
    "hide and seek", "found you", "guess what", "maybe later", "never mind", "always",
    "keep still", "chew well", "swallow", "empty plate", "full tummy", "bib on",
    "share",
)  # fmt: skip
GAMES = (
    "touch the new image", "let's try more touch the new image", "which one is new",
    "which of the following is the same as this", "which one is the same", "is it new",
    "which of the following contains exactly this object", "the same one exactly",
    "pay attention to details and give a letter", "answer with a number", "only one",
    "the first image the second image the third image the fourth image", "a b c d",
    "one two three four five six seven eight nine ten eleven twelve", "respond only",
    "1 2 3 4 5 6 7 8 9 10 11 12", "left right top bottom", "top left and top right",
    "bottom left or bottom right", "is it in the top left or in the bottom right",
    "which part of the frame does it leave from", "does it leave through the left side",
    "which image has more", "count with me 1 2 3", "give me the letter a",
    "letter b or c", "this one is the same and this one is different",
    "do the toys leave the frame", "how many do you see", "point at the picture",
    "turn it around the other way",
)  # fmt: skip
SHORT = ("oh", "yeah", "hm", "uh", "no", "yes", "wow", "hey", "okay", "ah")

NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve",
)  # fmt: skip
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium",),
    "large": ("big", "large", "huge"),
}
PLURALS = {
    "fish": "fish", "leaf": "leaves", "mouse": "mice", "scissors": "scissors",
    "person": "people", "glasses": "glasses", "pants": "pants", "clothes": "clothes",
    "knife": "knives", "goose": "geese", "sheep": "sheep", "deer": "deer",
}  # fmt: skip


def plural(noun: str) -> str:
    """Plural of a noun: ball -> balls, box -> boxes, berry -> berries, fish -> fish."""
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def with_article(noun: str) -> str:
    """Noun with its article: "a ball", "an apple"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun
