"""English words that the rules know; those of things come from the target corpus."""


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
