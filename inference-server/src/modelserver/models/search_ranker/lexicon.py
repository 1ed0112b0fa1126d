"""The words a made-up outdoor-and-home shop uses, and the words its customers use instead.

The gap between the two is what a learned ranker is for: customers type words that no title contains ("couch" for a sofa,
"navy" for blue), and keyword matching cannot bridge it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One shelf of the shop.

    Attributes:
        name: Key of the category.
        nouns: Words that titles use for an item of it.
        spoken: Words that only customers use for it.
        features: Properties that set items of the category apart.
        kin: Category whose items are a tolerable substitute; empty for none.
    """

    name: str
    nouns: tuple[str, ...]
    spoken: tuple[str, ...]
    features: tuple[str, ...]
    kin: str = ""


CATEGORIES: tuple[Category, ...] = (
    Category("running_shoe", ("trainer", "runner"), ("sneaker", "kicks"),
             ("cushioned", "trail", "racing", "breathable"), "boot"),
    Category("boot", ("boot",), ("hiker", "footwear"), ("waterproof", "insulated", "ankle", "lace-up"), "running_shoe"),
    Category("jacket", ("jacket", "parka"), ("anorak", "coat"),
             ("waterproof", "insulated", "hooded", "packable"), "fleece"),
    Category("fleece", ("fleece", "sweater"), ("jumper", "pullover"),
             ("hooded", "zipped", "thermal", "striped"), "jacket"),
    Category("trousers", ("trousers", "chinos"), ("pants", "slacks"),
             ("stretch", "cropped", "cargo", "slim"), "shorts"),
    Category("shorts", ("shorts",), ("bermudas", "trunks"), ("stretch", "cargo", "quick-dry", "lined"), "trousers"),
    Category("backpack", ("backpack", "rucksack"), ("knapsack", "bag"),
             ("rolltop", "padded", "ultralight", "hydration"), "suitcase"),
    Category("suitcase", ("suitcase", "trolley"), ("luggage", "carry-on"),
             ("hardshell", "expandable", "spinner", "lockable"), "backpack"),
    Category("tent", ("tent", "shelter"), ("bivouac", "canopy"), ("dome", "tunnel", "ultralight", "inflatable")),
    Category("sleeping_bag", ("sleepingbag", "quilt"), ("bedroll", "mummy"),
             ("down-filled", "compact", "winter", "double"), "blanket"),
    Category("blanket", ("blanket", "throw"), ("coverlet", "plaid"),
             ("weighted", "heated", "woven", "quilted"), "sleeping_bag"),
    Category("sofa", ("sofa", "settee"), ("couch", "loveseat"),
             ("corner", "reclining", "modular", "two-seater"), "armchair"),
    Category("armchair", ("armchair", "recliner"), ("easychair", "seat"),
             ("swivel", "wingback", "rocking", "padded"), "sofa"),
    Category("desk", ("desk", "workstation"), ("bureau", "table"),
             ("standing", "folding", "corner", "adjustable"), "shelf"),
    Category("shelf", ("shelf", "bookcase"), ("rack", "shelving"), ("floating", "ladder", "modular", "corner"), "desk"),
    Category("lamp", ("lamp", "lantern"), ("light", "luminaire"),
             ("dimmable", "solar", "rechargeable", "folding"), "headtorch"),
    Category("headtorch", ("headtorch",), ("flashlight", "headlamp"),
             ("rechargeable", "waterproof", "ultralight", "zoomable"), "lamp"),
    Category("kettle", ("kettle",), ("boiler", "teapot"), ("cordless", "gooseneck", "whistling", "insulated"), "flask"),
    Category("flask", ("flask", "bottle"), ("thermos", "canteen"),
             ("insulated", "leakproof", "collapsible", "filtering"), "kettle"),
    Category("pan", ("pan", "skillet"), ("frypan", "cookware"), ("nonstick", "induction", "deep", "griddle")),
    Category("headphones", ("headphones", "earbuds"), ("headset", "cans"),
             ("wireless", "noise-cancelling", "foldable", "open-back"), "speaker"),
    Category("speaker", ("speaker", "soundbar"), ("boombox", "loudspeaker"),
             ("wireless", "waterproof", "portable", "stereo"), "headphones"),
    Category("bicycle", ("bicycle", "bike"), ("cycle", "two-wheeler"), ("folding", "gravel", "electric", "racing")),
    Category("watch", ("watch", "chronograph"), ("timepiece", "wristwatch"),
             ("solar", "waterproof", "digital", "skeleton")),
)  # fmt: skip

BRANDS: tuple[str, ...] = (
    "norvik", "altara", "quenby", "solhem", "bravero", "tindal", "ostmark", "kelvane", "riverton", "zephyra",
    "hartwell", "mirelo", "dunmore", "falkirk", "lunaris", "pemberly", "vantor", "eskdale", "corvina", "thornbury",
    "jadewick", "orinoco", "stellan", "wexmoor",
)  # fmt: skip

COLOURS: dict[str, tuple[str, ...]] = {
    "black": ("ebony", "onyx"),
    "white": ("ivory", "snow"),
    "blue": ("navy", "azure"),
    "red": ("crimson", "burgundy"),
    "green": ("olive", "emerald"),
    "grey": ("charcoal", "slate"),
    "brown": ("tan", "chestnut"),
    "yellow": ("mustard", "lemon"),
}
"""Colour in titles -> words that only customers use for it."""

MATERIALS: dict[str, tuple[str, ...]] = {
    "leather": ("hide",),
    "cotton": ("canvas",),
    "wool": ("merino",),
    "nylon": ("polyamide",),
    "steel": ("metal",),
    "oak": ("wooden",),
    "aluminium": ("alloy",),
    "ceramic": ("porcelain",),
}
"""Material in titles -> words that only customers use for it."""

AUDIENCES: dict[str, tuple[str, ...]] = {
    "men": ("male", "gents"),
    "women": ("female", "ladies"),
    "kids": ("children", "junior"),
    "adult": ("grown-up",),
}
"""Audience in titles -> words that only customers use for it."""

FILLER: tuple[str, ...] = ("best", "cheap", "new", "good", "quality", "popular", "top", "sale")
"""Words customers add that say nothing about the item."""

STOP_WORDS: frozenset[str] = frozenset(
    {"a", "an", "and", "at", "buy", "for", "from", "i", "in", "looking", "me", "my", "need", "of", "on", "or", "some",
     "that", "the", "to", "want", "with", *FILLER}
)  # fmt: skip
"""Words that query clean-up drops."""


def customer_words() -> frozenset[str]:
    """Return the words that only customers use, as a shop would know them from its search log."""
    synonyms = (words for table in (COLOURS, MATERIALS, AUDIENCES) for words in table.values())
    return frozenset(word for words in (*synonyms, *(category.spoken for category in CATEGORIES)) for word in words)
