"""The one error the demo shows to people: what is wrong and what to do next."""


class DemoError(Exception):
    """Something the user can act on; the message names it and the next step."""
