"""Who may do what: IAM policies evaluated with resource ARNs and conditions.

The rules are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import contextlib
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
_ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
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
        document = orjson.loads(text)
        statements = compile_policy(document)
        if any(s.keys() - _ELEMENTS or {"Action", "NotAction"} <= s.keys() for s in _list(document["Statement"])):
            raise TypeError("an element that no statement has would be overlooked")
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


def _statements(text: str | bytes) -> list[dict[str, Any]]:
    """A document's statements, once they are checked; IAM takes fewer names of statements than others do."""
    check_policy(text)
    statements: list[dict[str, Any]] = _list(orjson.loads(text)["Statement"])
    if not all(re.fullmatch("[0-9A-Za-z]*", str(statement.get("Sid", ""))) for statement in statements):
        why = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression"
        raise AwsError("MalformedPolicyDocument", f"{why} [0-9A-Za-z]*")
    return statements


def check_identity_policy(text: str | bytes) -> None:
    """The same for a policy of a role, user or session: it is about resources, and its principal is who has it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    for statement in _statements(text):
        if "Principal" in statement:
            raise AwsError("MalformedPolicyDocument", "Policy document should not specify a principal.")
        if not statement.keys() & {"Resource", "NotResource"}:
            raise AwsError("MalformedPolicyDocument", "Policy statement must contain resources.")


def check_trust_policy(text: str | bytes, exists: Callable[[str], bool]) -> None:
    """The same for who may assume a role; `exists` says whether this account has a role or user of an ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    https://github.com/hashicorp/terraform-provider-aws/issues/8905
    """
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json") from None
    for statement in _statements(text):
        if "Resource" in statement:
            raise AwsError("MalformedPolicyDocument", "Has prohibited field Resource")
        if "Principal" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Principal")
        if invalid := _invalid_principal(statement["Principal"], exists):
            kind, value = invalid
            kind = kind.upper() if kind == "Service" else kind
            raise AwsError("MalformedPolicyDocument", f'Invalid principal in policy: "{kind}":"{value}"')
        actions = _texts(statement.get("Action", statement.get("NotAction", [])))
        if any(":" in action and not action.lower().startswith("sts:") for action in actions):
            text_ = "AssumeRole policy may only specify STS AssumeRole actions."
            raise AwsError("MalformedPolicyDocument", text_)


def check_bucket_policy(text: str | bytes, bucket: str, exists: Callable[[str], bool]) -> None:
    """The same for a bucket's policy.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
    https://repost.aws/knowledge-center/s3-invalid-principal-in-policy-error
    """
    document: Any = None
    with contextlib.suppress(orjson.JSONDecodeError):
        document = orjson.loads(text)
    if not isinstance(document, dict):
        raise AwsError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
    check_policy(text, "MalformedPolicy")
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise AwsError("MalformedPolicy", "The policy must contain a valid version string")
    for statement in _list(document["Statement"]):
        resources = _texts(statement.get("Resource", statement.get("NotResource", [])))
        for name, missing in (("Principal", "Principal" not in statement), ("Resource", not resources)):
            if missing:
                raise AwsError("MalformedPolicy", f"Missing required field {name}")
        if _invalid_principal(statement["Principal"], exists):
            raise AwsError("MalformedPolicy", "Invalid principal in policy")
        actions = [action.lower() for action in _texts(statement.get("Action", []))]
        if any(action != "*" and not action.startswith("s3:") for action in actions):
            raise AwsError("MalformedPolicy", "Policy has invalid action")
        names = [r.removeprefix("arn:aws:s3:::") for r in resources if r.startswith("arn:aws:s3:::") or r == "*"]
        if len(names) < len(resources) or not all(_wildcard(n.partition("/")[0]).match(bucket) for n in names):
            raise AwsError("MalformedPolicy", "Policy has invalid resource")
        whole, inside = any("/" not in n for n in names), any("/" in n or n.endswith("*") for n in names)
        if any((a in _OF_BUCKETS and not whole) or (a in _OF_OBJECTS and not inside) for a in actions):
            raise AwsError("MalformedPolicy", "Action does not apply to any resource(s) in statement")


# The actions of buckets and of objects that policies are usually about; with others nothing is asked of the resource.
_OF_BUCKETS = {"s3:listbucket", "s3:listbucketversions", "s3:getbucketlocation", "s3:listbucketmultipartuploads"}
_OF_OBJECTS = {"s3:getobject", "s3:putobject", "s3:deleteobject", "s3:getobjectversion", "s3:deleteobjectversion"}
_ACCOUNT = re.compile(r"arn:aws:(?:iam|sts)::(\d{12}):(?:root|(?:user|role|assumed-role|federated-user)/.+)")


def _invalid_principal(principal: Any, exists: Callable[[str], bool]) -> tuple[str, str] | None:
    """The first of a principal's values that AWS would not take, and its kind."""
    if principal == "*":
        return None
    named = principal if isinstance(principal, dict) else {"AWS": principal}
    bare = named is not principal  # an ARN or account that no {"AWS": …} stands around
    each = ((kind, str(value)) for kind, values in named.items() for value in _list(values))
    return next(((kind, value) for kind, value in each if bare or not may_be_named(kind, value, exists)), None)


def may_be_named(kind: str, value: str, exists: Callable[[str], bool]) -> bool:
    """Whether a policy may have this principal of the kind AWS, Service, Federated or CanonicalUser."""
    if kind == "AWS" and (arn := _ACCOUNT.fullmatch(value)):
        here = arn[1] == ACCOUNT_ID and re.search(":(?:user|role)/", value)
        return not here or exists(value)
    if kind == "AWS":
        return value == "*" or bool(re.fullmatch(r"\d{12}", value))
    return kind in ("Federated", "CanonicalUser") or (kind == "Service" and value.endswith(".amazonaws.com"))


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
