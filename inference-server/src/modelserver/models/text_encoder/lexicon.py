"""What customers write to a shop about, and the words they have for it."""

ABOUT_ONE: dict[str, tuple[str, ...]] = {
    "return": (
        "i want to return the {item}", "how do i send back my {item}", "please take the {item} back",
        "the {item} is not for me, where do i bring it",
    ),
    "refund": (
        "when do i get my money back for the {item}", "the refund for the {item} has not arrived",
        "i am still waiting to be reimbursed for the {item}",
    ),
    "late": (
        "my {item} has not arrived", "the {item} is late", "no sign yet of the {item} i ordered",
        "delivery of my {item} is overdue",
    ),
    "track": (
        "where is my {item} right now", "can i follow the parcel with the {item}", "track the shipment of the {item}",
    ),
    "cancel": (
        "cancel my order of the {item}", "i changed my mind, do not ship the {item}", "please stop the order for the {item}",
    ),
    "damaged": (
        "the {item} came broken", "there is a crack in my new {item}", "my {item} was damaged on arrival",
    ),
    "part": (
        "a screw is missing from the {item}", "the {item} came without all its pieces",
        "not everything for my {item} was in the box",
    ),
    "warranty": (
        "how long is the guarantee on the {item}", "is the {item} still under warranty",
        "am i covered if the {item} breaks",
    ),
    "stock": (
        "when will the {item} be available again", "is the {item} back in stock soon",
        "the {item} is sold out, do you get more",
    ),
    "price": (
        "i saw the {item} cheaper elsewhere", "do you match the price of the {item}",
        "another shop sells the {item} for less",
    ),
    "care": (
        "how do i clean the {item}", "what is the best way to wash the {item}", "care instructions for the {item}",
    ),
    "assembly": (
        "how do i put the {item} together", "i need the manual to assemble the {item}",
        "building instructions for my {item}",
    ),
    "invoice": (
        "i need a receipt for the {item}", "please send the invoice of the {item}", "where is the bill for my {item}",
    ),
    "gift": (
        "can you gift wrap the {item}", "the {item} is a present, please pack it nicely",
        "i would like a bow and a card with the {item}",
    ),
    "address": (
        "send the {item} to another address", "i moved house, will the {item} find me",
        "change where the {item} is delivered",
    ),
    "size": (
        "what are the dimensions of the {item}", "how big is the {item}", "measurements of the {item}",
    ),
}  # fmt: skip
"""Intent -> ways to put it, about one item."""

ABOUT_TWO: dict[str, tuple[str, ...]] = {
    "swap": (
        "exchange the {item} for the {other}", "i would rather have the {other} than the {item}",
        "can i get the {other} instead of my {item}", "send me the {other}, you can have the {item} back",
    ),
    "mix-up": (
        "i ordered the {item} but got the {other}", "you sent the {other}, not the {item} that i paid for",
        "the box held the {other} although i bought the {item}",
    ),
    "incomplete": (
        "the {item} came but the {other} did not", "the {other} is missing, only the {item} was delivered",
        "i got the {item}, where is the {other}",
    ),
}  # fmt: skip
"""Intent -> ways to put it, about two items; which is which matters, so a bag of words cannot tell."""

PRODUCTS: tuple[tuple[str, ...], ...] = (
    ("sofa", "couch", "settee"), ("lamp", "light", "luminaire"), ("desk", "bureau", "writing table"),
    ("rug", "carpet", "floor mat"), ("jacket", "coat", "anorak"), ("trousers", "pants", "slacks"),
    ("trainers", "sneakers", "running shoes"), ("backpack", "rucksack", "knapsack"), ("suitcase", "luggage", "trolley"),
    ("kettle", "water boiler", "teapot"), ("pan", "skillet", "frypan"), ("mug", "cup", "beaker"),
    ("headphones", "headset", "earphones"), ("phone", "mobile", "handset"), ("bicycle", "bike", "two-wheeler"),
    ("tent", "shelter", "bivouac"), ("blanket", "throw", "coverlet"), ("mirror", "looking glass", "glass"),
    ("curtain", "drape", "blind"), ("fridge", "refrigerator", "cooler"),
)  # fmt: skip
"""Words for the same product, a row each."""

COLOURS: tuple[tuple[str, ...], ...] = (
    ("black", "ebony", "jet"), ("white", "ivory", "snow"), ("blue", "navy", "azure"), ("red", "crimson", "scarlet"),
    ("green", "olive", "emerald"), ("grey", "gray", "charcoal"), ("brown", "tan", "chestnut"), ("yellow", "mustard", "lemon"),
)  # fmt: skip
"""Words for about the same colour."""

TIMES: tuple[tuple[str, ...], ...] = (
    ("since yesterday", "a day ago"), ("last week", "seven days ago"), ("this morning", "today"),
    ("before christmas", "by the holidays"), ("a month ago", "four weeks ago"), ("next weekend", "by saturday"),
)  # fmt: skip
"""Ways to say the same time."""

GREETINGS: tuple[str, ...] = ("hello", "hi there", "good day", "dear team", "quick question", "excuse me")
CLOSINGS: tuple[str, ...] = ("thanks", "thank you", "please help", "best regards", "cheers", "any idea")
"""Words around a message that say nothing about it."""
