"""The one error that reaches the user: a sentence that says what is wrong and what to do next."""


class LocalClusterError(Exception):
    """Something the user can act on; its text names the thing, what was found and what to do."""
