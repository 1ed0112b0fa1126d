"""``$(NAME)`` in commands, arguments and environment values, as kubelet expands it.

The rules are those of k8s.io/kubernetes third_party/forked/golang/expansion: ``$$`` is a literal
dollar, an unknown name stays as it is written, and nothing is expanded twice.
"""

import re
from collections.abc import Mapping

REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with every known reference replaced.

    >>> expand("--host $(POD_IP) $$(POD_IP) $(other)", {"POD_IP": "127.64.0.1"})
    '--host 127.64.0.1 $(POD_IP) $(other)'
    """

    def replacement(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "$"
        return variables.get(name, found.group(0))

    return REFERENCE.sub(replacement, text)
