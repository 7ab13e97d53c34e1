"""Who may do what: IAM policies evaluated with resource ARNs and conditions.

The rules are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from .auth import ROOT, Principal
from .protocols import SERVICES
from .types import ACCOUNT_ID, AwsError

# Condition keys that are evaluated; a policy with another one is refused when it is stored (see `check_policy`).
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
CONDITION_KEYS = {
    "aws:calledviafirst", "aws:calledvialast", "aws:principalaccount", "aws:principalarn", "aws:requestedregion",
    "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "iam:awsservicename", "iam:passedtoservice",
    "s3:prefix", "sts:externalid", "redshift-data:session-owner-iam-userid", "redshift-data:statement-owner-iam-userid",
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
        # Whose a statement is, is the only thing that a variable says here (see `actions`).
        owned = [
            c for c in statement.conditions if not (c[1].startswith("redshift-data:") and c[2] == ("${aws:userid}",))
        ]
        if "${" in repr((statement.resources, owned)):
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
        session, role, account = {principal.arn}, {principal.role, "*"}, {ROOT, ACCOUNT_ID}
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
    if service == "firehose.amazonaws.com":  # https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
        context["sts:externalid"] = ACCOUNT_ID
    statements = compile_policy(document) if document else ()
    hits = [s for s in statements if s.matches(action, resource, context, (service, "*"))]
    return bool(hits) and all(s.allow for s in hits)


def anyone_allowed(document: dict[str, Any] | None, action: str, resource: str) -> bool:
    """Whether a resource policy lets in who does not sign.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteAccessPermissionsReqd.html
    """
    statements = compile_policy(document) if document else ()
    hits = [s for s in statements if s.matches(action, resource, {"aws:securetransport": "false"}, ("*",))]
    return bool(hits) and all(s.allow for s in hits)


# A condition on one of these, with fixed values, keeps a policy for everyone from being public.
_NARROWING = {"aws:principalaccount", "aws:principalarn", "aws:sourceaccount", "aws:sourcearn"}


def is_public(document: dict[str, Any]) -> bool:
    """What S3 takes for a public policy.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
    """
    return any(
        s.allow
        and "*" in (s.principals or ())
        and not any(
            key in _NARROWING
            and not operator.startswith(("Null", "StringNot", "ArnNot"))
            and "*" not in "".join(wanted)
            for operator, key, wanted in s.conditions
        )
        for s in compile_policy(document)
    )
