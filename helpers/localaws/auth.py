"""Who is calling, and may they: SigV4 signatures verified, IAM policies evaluated with resource ARNs.

The rules are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
Errors are raised under the names of the query protocol; `protocols.error_response` spells them for each other one.
"""

from __future__ import annotations

import contextlib
import email.utils
import fnmatch
import hashlib
import hmac
import re
import secrets
import string
import time
import urllib.parse
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import botocore.session
import orjson

from .protocols import SERVICES
from .types import ACCOUNT_ID, AwsError, Request

SKEW = 300  # seconds that a request's date may be off; S3 allows 15 minutes
_S3_SKEW = 900
_INVALID_TOKEN = "The security token included in the request is invalid."
_ROOT = f"arn:aws:iam::{ACCOUNT_ID}:root"
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
        self._given[access_key] = Principal(_ROOT, secret)

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
    return frozenset(botocore.session.Session().get_available_regions("kinesis"))


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


# Policies

# Condition keys that are evaluated; a policy with another one is refused when it is stored (see `check_policy`).
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
CONDITION_KEYS = {
    "aws:calledviafirst", "aws:calledvialast", "aws:principalaccount", "aws:principalarn", "aws:requestedregion",
    "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "iam:awsservicename", "iam:passedtoservice",
    "s3:prefix", "sts:externalid",
}  # fmt: skip
# Whose actions are ever asked about: a condition on others', as AWS's managed policies have many, is never reached.
_PREFIXES = {*SERVICES, "cloudwatch", "execute-api", "tag"}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=4096)
def _wildcard(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """IAM's wildcards are * and ? only, so fnmatch's brackets are taken literally; its patterns do not backtrack."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE if ignore_case else 0)


def _arn_like(value: str, wanted: str) -> bool:
    """Each of an ARN's six parts is compared by itself."""
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    return len(parts) == len(patterns) and all(_wildcard(p).match(v) for v, p in zip(parts, patterns, strict=True))


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
_POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": lambda value, wanted: bool(_wildcard(wanted).match(value)),
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda value, wanted: value == wanted.lower(),
}
_OPERATORS = {name: (test, False) for name, test in _POSITIVE.items()} | {
    re.sub("^(String|Arn)", r"\1Not", name): (test, True) for name, test in _POSITIVE.items() if name != "Bool"
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy, compiled. A part that the policy does not have matches everything."""

    allow: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    principals: tuple[str, ...] | None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def matches(self, action: str, resource: str, context: dict[str, str], caller: Container[str | None] = ()) -> bool:
        return (
            any(_wildcard(p, True).match(action) for p in self.actions) != self.not_actions
            and (not self.resources or any(_wildcard(p).match(resource) for p in self.resources) != self.not_resources)
            and (self.principals is None or any(p in caller for p in self.principals))
            and all(self._holds(*condition, context) for condition in self.conditions)
        )

    @staticmethod
    def _holds(operator: str, key: str, wanted: tuple[str, ...], context: dict[str, str]) -> bool:
        value = context.get(key)
        if operator == "Null":
            return (value is None) == (wanted[0].lower() == "true")
        test, negated = _OPERATORS[operator.removesuffix("IfExists")]
        if value is None:
            return negated or operator.endswith("IfExists")
        return any(test(value, w) for w in wanted) != negated


def check_policy(text: str | bytes, code: str = "MalformedPolicyDocument") -> None:
    """Refuses a policy that would be evaluated otherwise than on AWS; raises AwsError `code`.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
    """
    try:
        statements = compile_policy(orjson.loads(text))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise AwsError(code, "Syntax errors in policy.") from None
    for statement in statements:
        if not statement.actions:
            raise AwsError(code, "Policy statement must contain actions.")
        if not statement.not_actions and not {p.partition(":")[0].lower() for p in statement.actions} & {
            *_PREFIXES,
            "*",
        }:
            continue
        if "${" in repr((statement.resources, statement.conditions)):
            raise AwsError(code, "The local AWS does not evaluate policy variables.")
        for operator, key, _ in statement.conditions:
            if key not in CONDITION_KEYS or operator.removesuffix("IfExists") not in {*_OPERATORS, "Null"}:
                raise AwsError(code, f"The local AWS does not evaluate the condition {operator} on {key}.")


def _texts(value: Any) -> tuple[str, ...]:
    """The strings of an element that holds one or several."""
    if not all(isinstance(v, str | int) for v in _list(value)):
        raise TypeError(value)
    return tuple(v if isinstance(v, str) else str(v).lower() for v in _list(value))


def compile_policy(document: dict[str, Any]) -> tuple[Statement, ...]:
    """The statements of a policy document (parsed JSON); raises what `check_policy` makes a syntax error of."""
    compiled = []
    for s in _list(document["Statement"]):
        if s["Effect"] not in ("Allow", "Deny"):
            raise TypeError(s["Effect"])
        principal = s.get("Principal")
        if "NotPrincipal" in s:
            raise TypeError("NotPrincipal")
        values = principal.values() if isinstance(principal, dict) else [] if principal is None else [principal]
        compiled.append(
            Statement(
                s["Effect"] == "Allow",
                _texts(s.get("Action", s.get("NotAction", []))),
                "NotAction" in s,
                _texts(s.get("Resource", s.get("NotResource", []))),
                "NotResource" in s,
                None if principal is None else tuple(p for value in values for p in _texts(value)),
                tuple(
                    (operator, key.lower(), _texts(wanted))
                    for operator, tests in s.get("Condition", {}).items()
                    for key, wanted in tests.items()
                ),
            )
        )
    return tuple(compiled)


@dataclass
class Policies:
    """Decides whether a principal may do an action on a resource; decisions are kept until `forget` is called.

    `identity(principal)` and `resource(service, arn)` give policy documents as they stand now; a role's trust policy
    is the resource policy of ("sts", role's ARN).
    """

    identity: Callable[[Principal], Iterable[dict[str, Any]]]
    resource: Callable[[str, str], dict[str, Any] | None]
    _decisions: dict[tuple[str, str | None, str, str], str | None] = field(default_factory=dict)

    def forget(self) -> None:
        self._decisions = {}  # another thread may be about to keep a decision in the old one

    def require(self, principal: Principal, action: str, resource: str, context: dict[str, str] | None = None) -> None:
        """Returns when allowed; raises AwsError AccessDenied with AWS's sentence otherwise.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        """
        if principal.is_root and action != "sts:AssumeRole":
            return
        decisions, key = self._decisions, (principal.arn, principal.session_policy, action, resource)
        why = decisions.get(key, "")
        if why == "":
            why, cacheable = self._decide(principal, action, resource, context or {})
            if cacheable and len(decisions) < 10_000:
                decisions[key] = why
        if why is not None:
            on = f'"{resource}"' if action.startswith("s3:") else resource  # S3 alone quotes it
            text = f"User: {principal.arn} is not authorized to perform: {action} on resource: {on} {why}"
            raise AwsError("AccessDenied", text.rstrip(), 403)

    def _decide(
        self, principal: Principal, action: str, resource: str, context: dict[str, str]
    ) -> tuple[str | None, bool]:
        """Why not (None: allowed), and whether that holds for every request.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
        """
        documents = {
            "an identity-based policy": list(self.identity(principal)),
            "a session policy": [orjson.loads(principal.session_policy)] if principal.session_policy else [],
            "a resource-based policy": [d for d in [self.resource(action.partition(":")[0], resource)] if d],
        }
        compiled = {kind: [s for d in found for s in compile_policy(d)] for kind, found in documents.items()}
        context = {
            "aws:principalarn": principal.role or principal.arn,
            "aws:principalaccount": ACCOUNT_ID,
            "aws:securetransport": "true",  # AWS's own endpoints, for which this one stands, are reached by TLS
            **context,
        }
        session, role, account = {principal.arn}, {principal.role, "*"}, {_ROOT, ACCOUNT_ID}
        caller = session | role | account
        hits = {
            kind: [s for s in statements if s.matches(action, resource, context, caller)]
            for kind, statements in compiled.items()
        }
        cacheable = not any(s.conditions for statements in compiled.values() for s in statements)
        for kind, found in hits.items():
            if any(not s.allow for s in found):
                return f"with an explicit deny in {kind}", cacheable
        by_identity, by_session, by_resource = hits.values()
        granted = {p for s in by_resource for p in s.principals or ()} & caller
        assume = action == "sts:AssumeRole"
        if granted & session and not principal.is_root:
            return None, cacheable  # named itself: neither its own policies nor its session's are asked
        if not (by_identity or granted & role or (principal.is_root and granted)) or (assume and not granted):
            return "" if assume else f"because no identity-based policy allows the {action} action", cacheable
        if principal.session_policy and not by_session:
            return f"because no session policy allows the {action} action", cacheable
        return None, cacheable


def service_allowed(document: dict[str, Any] | None, service: str, action: str, resource: str, source_arn: str) -> bool:
    """Whether a resource policy lets an AWS service (say apigateway.amazonaws.com) in, for this source."""
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": ACCOUNT_ID}
    statements = compile_policy(document) if document else ()
    hits = [s for s in statements if s.matches(action, resource, context, (service, "*"))]
    return bool(hits) and all(s.allow for s in hits)
