"""Passwords of database users, kept as Redshift keeps them: never as they are, and in the forms that CREATE USER takes.

`md5` and the digest of password and user name; `sha256|digest|salt`; `sha256|password` and a plain password get a salt
of their own here: https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_MD5 = re.compile(r"md5[0-9a-f]{32}")
_SHA256 = re.compile(r"sha256\|[0-9a-fA-F]{64}\|.+", re.DOTALL)
_SAID = re.compile(r"(\bpassword\s+)'(?:[^']|'')*'", re.IGNORECASE)


def hide(sql: str) -> str:
    """A statement as the query history shows it: with three stars for each password."""
    return _SAID.sub(r"\1'***'", sql)


def is_kept_form(password: str) -> bool:
    """Whether a statement gave a digest, or asked for one, instead of a plain password."""
    return bool(_MD5.fullmatch(password)) or password.startswith("sha256|")


def keep(password: str) -> str:
    """What is stored for a password: a digest that was given as it is, else a new one."""
    if _MD5.fullmatch(password) or _SHA256.fullmatch(password):
        return password
    salt = secrets.token_hex(16)
    return f"sha256|{_digest(password.removeprefix('sha256|'), salt)}|{salt}"


def fits(kept: str | None, user: str, password: str) -> bool:
    """Whether a password is the one that was stored; a user whose password is disabled has none."""
    if kept is None:
        return False
    if kept.startswith("md5"):
        found = "md5" + hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(found, kept)
    _, digest, salt = kept.split("|", 2)
    return hmac.compare_digest(_digest(password, salt), digest.lower())


def _digest(password: str, salt: str) -> str:
    return hashlib.sha256((password + salt).encode()).hexdigest()
