# Owned by the template: an update rewrites this file.
"""Addresses that may hold a password or a token: which of them do, and how any text is shown without.

The hooks use this too, in Copier's interpreter: Python 3.10, and the standard library.
"""

import re

# Greedy: a password may hold an @ itself, and the host begins after the last one. git repeats addresses in what it says.
# One with a /, ? or # was not quoted: no address, and a password all the same. What begins as a port is one.
_OF_USER = re.compile(
    r"(?i)((?:https?|ftps?)://)[^/?#\s\"<>]+@|(\w[\w+.-]*://[^/?#:@\s\[]*:)(?:[^/?#\s\"<>]+|(?!\d+[/?#])[^\s\"<>]+)@"
)
_QUERY = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:token|secret|passw(?:or)?d|credentials?|signature|api[_-]?key)|key|sig|auth|pat)=)"
    r"[^&;#\s\"<>]+"
)
# A name alone may be a person's or an organisation's, as Azure and Bitbucket write it. A token has letters and digits, and
# is long, or says itself what it is.
_TOKEN = re.compile(r"(?i)(gh[a-z]|github_pat|gl[a-z]+|pat|hf|npm)[_-]\w{8,}.*|(?=.*\d)(?=.*[a-z])[\w~.+=-]{20,}")


def masked(text: str) -> str:
    """A text without the credentials in its addresses."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1***", _OF_USER.sub(lambda match: f"{match[1] or match[2]}***@", text))


def holds_secret(address: str) -> bool:
    """Whether an address holds a password or a token."""
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    user, colon, _ = authority.rpartition("@")[0].partition(":")
    unquoted = _OF_USER.match(address)
    if colon or (unquoted and unquoted[2]) or (slash and _QUERY.search(path)):
        return True
    return (
        scheme.lower().endswith(("http", "https")) and user != path.partition("/")[0] and bool(_TOKEN.fullmatch(user))
    )
