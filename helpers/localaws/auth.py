"""Who is calling: SigV4 signatures verified, and the keys that sign them.

The rules are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Errors are raised under the names of the query protocol; `protocols.error_response` spells them for each other one.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import hmac
import re
import secrets
import string
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import botocore.loaders

from .types import ACCOUNT_ID, AwsError, Request

SKEW = 300  # seconds that a request's date may be off; S3 allows 15 minutes
_S3_SKEW = 900
_INVALID_TOKEN = "The security token included in the request is invalid."
ROOT = f"arn:aws:iam::{ACCOUNT_ID}:root"
_ALPHABET = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signs: `arn` as AWS prints it in a denial; `role` is the ARN of the role whose policies hold, `user` a name.

    A principal without either is root: the account's owner, who may everything.
    """

    arn: str
    secret: str
    token: str | None = None
    expires: float | None = None
    role: str | None = None
    user: str | None = None
    session_policy: str | None = None

    @property
    def is_root(self) -> bool:
        return self.role is None and self.user is None

    @staticmethod
    def of_role(role_arn: str, session: str, secret: str = "", **fields: Any) -> Principal:
        """A session of a role; a role's path is no part of its sessions' ARNs."""
        name = role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{session}"
        return Principal(arn, secret, role=role_arn, **fields)


class Keys:
    """Access keys that the lab itself gave out: the learner's, and those of Lambda's execution environments."""

    def __init__(self, find: Callable[[str], Principal | None]) -> None:
        self._given: dict[str, Principal] = {}
        self._find = find  # keys made through IAM and STS

    def issue_root(self, access_key: str, secret: str) -> None:
        self._given[access_key] = Principal(ROOT, secret)

    def issue_for_role(self, role_arn: str, session: str, seconds: int = 12 * 3600) -> dict[str, str]:
        """Credentials as Lambda puts them into a function's environment; `Expiration` is in epoch seconds."""
        now = time.time()
        for old in [k for k, p in self._given.items() if p.expires and p.expires < now]:
            del self._given[old]
        key = "ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16))
        secret, token, expires = secrets.token_urlsafe(30), secrets.token_urlsafe(96), now + seconds
        self._given[key] = Principal.of_role(role_arn, session, secret, token=token, expires=expires)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "Expiration")
        return dict(zip(names, (key, secret, token, str(expires)), strict=True))

    def principal(self, access_key: str) -> Principal | None:
        return self._given.get(access_key) or self._find(access_key)


# Signatures


@lru_cache(maxsize=4096)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_path(path: str, service: str) -> str:
    if service == "s3" or path == "/":
        return path or "/"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    normal = "/" + "/".join(parts) + ("/" if path.endswith("/") and parts else "")
    return urllib.parse.quote(normal, safe="/~")  # every service but S3 signs the path encoded twice


def _canonical_query(query: str) -> str:
    pairs = []
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        if name != "X-Amz-Signature":
            # bytes, because text would make one of all that is not UTF-8
            pairs.append([urllib.parse.quote(urllib.parse.unquote_to_bytes(x), safe="-_.~") for x in (name, value)])
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@lru_cache(maxsize=256)
def _date(text: str) -> tuple[str, float] | None:
    """A request's date as it is signed, and in epoch seconds."""
    with contextlib.suppress(ValueError):
        return text, datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):  # a Date header: RFC 9110's form
        epoch = email.utils.parsedate_to_datetime(text).timestamp()
        return _stamp(epoch), epoch
    return None


def _stamp(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache
def _regions() -> frozenset[str]:
    return frozenset(botocore.loaders.Loader().load_data("endpoints")["partitions"][0]["regions"])


@dataclass(frozen=True, slots=True)
class Signed:
    """What a valid signature says: who, for which region and service."""

    principal: Principal
    access_key: str
    region: str
    service: str


def _wrong(message: str) -> AwsError:
    return AwsError("SignatureDoesNotMatch", message, 403)


def verify(request: Request, keys: Keys, clock: Callable[[], float] = time.time) -> Signed:
    """Checks the signature in the Authorization header or, presigned, in the query.

    Raises AwsError MissingAuthenticationToken, IncompleteSignature, InvalidClientTokenId (unknown key or token),
    ExpiredToken, SignatureDoesNotMatch; for S3 also RequestTimeTooSkewed, AccessDenied (an expired or incompletely
    signed request), XAmzContentSHA256Mismatch. Their words, and the 5 and 15 minutes:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    https://repost.aws/knowledge-center/lambda-sdk-signature
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    headers = request.headers
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    if algorithm == "AWS" or (
        not algorithm and "AWSAccessKeyId=" in request.query
    ):  # boto3's presigned URLs, by default
        text = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        raise AwsError("InvalidRequest", text)
    presigned = not algorithm and "X-Amz-Signature=" in request.query
    if presigned:
        query = dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
        fields = {k.removeprefix("X-Amz-"): v for k, v in query.items() if k.startswith("X-Amz-")}
        algorithm, dated, token = fields.get("Algorithm", ""), fields.get("Date", ""), fields.get("Security-Token", "")
    elif algorithm:
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        dated, token = headers.get("x-amz-date") or headers.get("date", ""), headers.get("x-amz-security-token", "")
    else:
        raise AwsError("MissingAuthenticationToken", "Missing Authentication Token", 403)
    names, signature = fields.get("SignedHeaders", "").split(";"), fields.get("Signature", "")
    scope, date = fields.get("Credential", "").split("/"), _date(dated)
    if algorithm != "AWS4-HMAC-SHA256" or len(scope) != 5 or not signature or not date:
        lacks = [f"'{k}'" for k in ("Credential", "SignedHeaders", "Signature") if not fields.get(k)]
        text = f"Authorization needs AWS4-HMAC-SHA256, not {algorithm!r}, a Credential of five parts and a date, not"
        text = f"Authorization header requires {', '.join(lacks)} parameter." if lacks else f"{text} {dated!r}."
        raise AwsError("IncompleteSignature", text)
    access_key, day, region, service, terminator = scope
    principal, now, s3 = keys.principal(access_key), clock(), service == "s3"
    if principal is None:
        text = "The AWS Access Key Id you provided does not exist in our records." if s3 else _INVALID_TOKEN
        raise AwsError("InvalidClientTokenId", text, 403)
    if not hmac.compare_digest(token.encode(), (principal.token or "").encode()):
        raise AwsError("InvalidToken" if s3 else "InvalidClientTokenId", _INVALID_TOKEN, 400 if s3 else 403)
    if principal.expires is not None and principal.expires < now:
        text = "The provided token has expired." if s3 else "The security token included in the request is expired"
        raise AwsError("ExpiredToken", text, 403)
    if terminator != "aws4_request":
        raise _wrong(f"Credential should be scoped with a valid terminator: 'aws4_request', not '{terminator}'.")
    if region not in _regions():
        raise _wrong(f"Credential should be scoped to a valid region, not '{region}'.")
    if not date[0].startswith(day):
        raise _wrong(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {day} {date[0]}")
    _check_time(date, now, s3, fields.get("Expires", "") if presigned else None)
    for name in ("host", *(h for h in headers if h.startswith("x-amz-"))):
        if name not in names and s3 and name != "host":
            text = "There were headers present in the request which were not signed"
            raise AwsError("AccessDenied", text, 403, HeadersNotSigned=name)
        if name not in names:
            raise _wrong(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path, service),
            _canonical_query(request.query),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names),
            "",
            fields["SignedHeaders"],
            _payload(request, presigned, s3),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{date[0]}\n{day}/{region}/{service}/aws4_request\n{digest}"
    key = _signing_key(principal.secret, day, region, service)
    if not hmac.compare_digest(hmac.new(key, to_sign.encode(), "sha256").hexdigest().encode(), signature.encode()):
        raise _wrong(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
    return Signed(principal, access_key, region, service)


def _check_time(date: tuple[str, float], now: float, s3: bool, expires: str | None) -> None:
    """`expires` is a presigned request's life in seconds, None for one that is signed by header."""
    skew = life = _S3_SKEW if s3 else SKEW
    if expires is not None:
        if not re.fullmatch("[0-9]{1,6}", expires) or int(expires) > 604_800:
            text = "X-Amz-Expires must be less than a week (in seconds); that is, less than 604800 seconds"
            raise AwsError("AuthorizationQueryParametersError", text)
        life = int(expires)
    if date[1] - skew <= now <= date[1] + life:
        return
    late = now > date[1]
    if s3 and expires is not None:
        raise AwsError("AccessDenied", "Request has expired" if late else "Request is not valid yet", 403)
    if s3:
        text = "The difference between the request time and the current time is too large."
        raise AwsError("RequestTimeTooSkewed", text, 403)
    if late:
        edge = f"expired: {date[0]} is now earlier than {_stamp(now - life)} ({_stamp(now)} - {life // 60} min.)"
    else:
        edge = (
            f"not yet current: {date[0]} is still later than {_stamp(now + skew)} ({_stamp(now)} + {skew // 60} min.)"
        )
    raise _wrong(f"Signature {edge}")


def _payload(request: Request, presigned: bool, s3: bool) -> str:
    """The body's hash, or the words that S3 accepts in its place; chunks with signatures of their own are refused.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    """
    given = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD" if presigned else "")
    if s3 and given in ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
        return given
    if s3 and given.startswith("STREAMING-"):
        raise AwsError("NotImplemented", "A header you provided implies functionality that is not implemented", 501)
    digest = hashlib.sha256(request.body).hexdigest()
    if s3 and given != digest:
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise AwsError("XAmzContentSHA256Mismatch", text, 400, S3ComputedContentSHA256=digest)
    return digest
