"""moto's IAM and STS: keys, roles and the policies that hold for them.

What only reads may run on any thread: it takes a copy (`list`) of what the moto thread may be changing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..auth import Principal
from ..permissions import check_identity_policy, check_policy, check_trust_policy, service_allowed
from ..protocols import Call
from ..types import ACCOUNT_ID, AwsError

_loaded: dict[str, Any] = {}
# What moto says, and what IAM does: localstack/localstack tests/aws/services/iam/test_iam_{roles,groups,users}.snapshot
_WORDS = (
    (r"Role (\S+) not found", r"The role with name \1 cannot be found."),
    (r"Group (\S+) not found", r"The group with name \1 cannot be found."),
    (r"(Group|User) (\S+) already exists", r"\1 with name \2 already exists."),
    (r"Policy Document (\S+) not attached to role \S+", r"The role policy with name \1 cannot be found."),
)


def install() -> None:
    """Makes moto's IAM, with AWS's managed policies, which takes a moment.

    The loop asks for keys and roles from the start, and an import from two threads at once breaks moto for good: until
    this is done there are none.

    Only GetPolicyVersion gives a policy's document, and the newest version comes first: localstack/localstack
    tests/aws/services/iam/test_iam.snapshot.json, recorded on AWS, and API_PolicyVersion.html
    """
    from moto.core.responses import ActionResult
    from moto.iam.exceptions import IAMException
    from moto.iam.models import iam_backends
    from moto.iam.responses import IamResponse
    from moto.sts.models import sts_backends

    assert iam_backends[ACCOUNT_ID]["aws"].managed_policies
    _loaded.update(iam=iam_backends, sts=sts_backends)
    written = IAMException.__init__

    def init(self: Any, *words: Any) -> None:
        text = str(words[0]) if len(words) == 1 else ""
        found = ((re.fullmatch(pattern, text), said) for pattern, said in _WORDS)
        said = next((match.expand(said) for match, said in found if match), None)
        written(self, *((said,) if said else words))

    made: Any = IamResponse.create_policy_version
    listed: Any = IamResponse.list_policy_versions

    def without_document(version: Any) -> dict[str, Any]:
        members = {"VersionId": version.version_id, "CreateDate": version.create_date}
        return {**members, "IsDefaultVersion": version.is_default_version}

    def create_policy_version(self: Any) -> Any:
        return ActionResult({"PolicyVersion": without_document(made(self).result["PolicyVersion"])})

    def list_policy_versions(self: Any) -> Any:
        found = listed(self).result["Versions"]
        return ActionResult({"Versions": [without_document(v) for v in reversed(found)], "IsTruncated": False})

    setattr(IamResponse, "create_policy_version", create_policy_version)  # noqa: B010
    setattr(IamResponse, "list_policy_versions", list_policy_versions)  # noqa: B010
    setattr(IAMException, "__init__", init)  # noqa: B010


def _backend(service: str) -> Any:
    return _loaded[service][ACCOUNT_ID]["aws"]


def find(access_key: str) -> Principal | None:
    """The principal of a key that IAM or STS made."""
    if not _loaded:
        return None
    role = _backend("sts").get_assumed_role_from_access_key(access_key)
    if role is not None:
        return Principal.of_role(
            role.role_arn,
            role.session_name,
            role.secret_access_key,
            token=role.session_token,
            expires=role.expiration.timestamp(),
            session_policy=role.policy or None,
        )
    for user in list(_backend("iam").users.values()):
        for key in list(user.access_keys):
            if key.access_key_id == access_key and key.status == "Active":
                return Principal(user.arn, key.secret_access_key, user=user.name)
    return None


def _role(arn: str | None) -> Any:
    return next((r for r in list(_backend("iam").roles.values()) if r.arn == arn), None) if _loaded else None


def exists(arn: str) -> bool:
    """Whether a policy may name this role or user; until they are known, every one."""
    return not _loaded or _role(arn) is not None or any(u.arn == arn for u in list(_backend("iam").users.values()))


def user_id(principal: Principal) -> str:
    """A caller's unique id: of a role with its session's name, of a user, or root's account number.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
    """
    if principal.role:
        return f"{getattr(_role(principal.role), 'id', '')}:{principal.arn.rpartition('/')[2]}"
    return str(_backend("iam").users[principal.user].id) if principal.user else ACCOUNT_ID


def arn(kind: str, name: str, path: str) -> str:
    """The ARN of a role, user, group, policy or instance profile: as it is, or as it would be made under `path`."""
    stored = getattr(
        _backend("iam"), {"instance-profile": "instance_profiles", "policy": "managed_policies"}.get(kind, f"{kind}s")
    )
    found = next((x.arn for x in list(stored.values()) if x.name == name), None) if kind != "policy" else None
    return str(found or f"arn:aws:iam::{ACCOUNT_ID}:{kind}{path}{name}")


def policies(principal: Principal) -> Iterator[dict[str, Any]]:
    """The identity policies of a role or user, its groups' included; none for one that no longer exists."""
    iam = _backend("iam")
    holders = [_role(principal.role)] if principal.role else [iam.users.get(principal.user)]
    if principal.user:
        holders += [g for g in list(iam.groups.values()) if any(u.name == principal.user for u in list(g.users))]
    for holder in filter(None, holders):
        for document in list(holder.policies.values()):
            yield json.loads(document)
        for managed in list(holder.managed_policies.values()):
            yield json.loads(_document(managed))


def _document(managed: Any) -> str:
    return str(next(v for v in managed.versions if v.version_id == managed.default_version_id).document)


def trust_policy(role_arn: str) -> dict[str, Any] | None:
    """Who may assume a role; None when there is no such role."""
    role = _role(role_arn)
    document: dict[str, Any] | None = json.loads(role.assume_role_policy_document) if role else None
    return document


def trusts(role_arn: str, service: str, source_arn: str = "") -> bool:
    """Whether a role exists and may be assumed by an AWS service on behalf of `source_arn`."""
    return service_allowed(trust_policy(role_arn), service, "sts:AssumeRole", role_arn, source_arn)


# Characters of a policy, blanks not counted: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_INLINE = {"PutRolePolicy": ("role", 10_240), "PutUserPolicy": ("user", 2048), "PutGroupPolicy": ("group", 5120)}
_MANAGED = {
    "CreatePolicy": ("PolicyDocument", "PolicySize", 6144),
    "CreatePolicyVersion": ("PolicyDocument", "PolicySize", 6144),
    "CreateRole": ("AssumeRolePolicyDocument", "ACLSizePerRole", 2048),
    "UpdateAssumeRolePolicy": ("PolicyDocument", "ACLSizePerRole", 2048),
}


def _quota(operation: str, parameters: dict[str, Any]) -> None:
    """Raises AwsError LimitExceeded for policies that are too long; inline ones count together."""
    if operation in _MANAGED:
        member, quota, most = _MANAGED[operation]
        if _length(parameters.get(member, "")) > most:
            raise AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {most}", 409)
    if operation in _INLINE:
        kind, most = _INLINE[operation]
        name = parameters.get(f"{kind.title()}Name")
        holder = next((h for h in list(getattr(_backend("iam"), f"{kind}s").values()) if h.name == name), None)
        others = {k: v for k, v in (holder.policies if holder else {}).items() if k != parameters.get("PolicyName")}
        if sum(map(_length, [*others.values(), parameters.get("PolicyDocument", "")])) > most:
            text = f"Maximum policy size of {most} bytes exceeded for {kind} {name}"
            raise AwsError("LimitExceeded", text, 409)


def _length(document: str) -> int:
    return len("".join(document.split()))


def check(call: Call, parameters: dict[str, Any]) -> None:
    """Refuses what moto would take and AWS would not, and what this AWS would not evaluate; raises AwsError.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html and API_DeleteUser
    """
    for name in ("PolicyDocument", "AssumeRolePolicyDocument", "Policy"):
        if name not in parameters:
            continue
        if call.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
            check_trust_policy(parameters[name], exists)
        else:
            check_identity_policy(parameters[name])
    _quota(call.operation, parameters)
    if call.operation == "DeletePolicy" and (managed := _backend("iam").managed_policies.get(parameters["PolicyArn"])):
        iam = _backend("iam")  # whose own count of attachments counts one that is made again
        holders = [h for kind in (iam.roles, iam.users, iam.groups) for h in list(kind.values())]
        if any(managed.arn in holder.managed_policies for holder in holders):
            raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
        if len(managed.versions) > 1:
            text = "This policy has more than one version. Before you delete a policy, you must delete the policy's"
            raise AwsError("DeleteConflict", f"{text} versions. The default version is deleted with the policy.", 409)
    if call.operation == "DeleteUser" and (user := _backend("iam").users.get(parameters.get("UserName"))):
        if user.access_keys:
            raise AwsError("DeleteConflict", "Cannot delete entity, must delete access keys first.", 409)
        if any(user in group.users for group in _backend("iam").groups.values()):
            raise AwsError("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409)
    if call.operation == "DeleteGroup" and (group := _backend("iam").groups.get(parameters.get("GroupName"))):
        held = ((group.users, "remove users from group"), (group.managed_policies, "detach all policies"),
                (group.policies, "delete policies"))  # fmt: skip
        if first := next((what for some, what in held if some), None):
            raise AwsError("DeleteConflict", f"Cannot delete entity, must {first} first.", 409)
    if seconds := parameters.get("MaxSessionDuration"):
        low, high = (int(seconds) < 3600, int(seconds) > 43_200) if seconds.isdigit() else (True, False)
        if low or high:
            text = (
                f"1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy constraint:"
            )
            bound = "greater than or equal to 3600" if low else "less than or equal to 43200"
            raise AwsError("ValidationError", f"{text} Member must have value {bound}")
    if "PermissionsBoundary" in parameters:
        raise AwsError("InvalidInput", "The local AWS does not evaluate permissions boundaries.")
    if call.operation in ("AttachRolePolicy", "AttachUserPolicy", "AttachGroupPolicy"):
        managed = _backend("iam").managed_policies.get(parameters.get("PolicyArn"))
        if managed is not None:
            check_policy(_document(managed))
    if call.operation == "AssumeRole":
        if any(name.startswith("PolicyArns.") for name in parameters):
            raise AwsError("ValidationError", "The local AWS evaluates one inline session policy, not PolicyArns.")
        if any(name.startswith(("Tags.", "TransitiveTagKeys.")) for name in parameters):
            raise AwsError("ValidationError", "The local AWS evaluates no session tags.")
        role, seconds = _role(parameters.get("RoleArn")), parameters.get("DurationSeconds", "3600")
        if not seconds.isascii() or not seconds.isdigit() or not 900 <= int(seconds[:9]) <= 43_200:
            text = f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint:"
            raise AwsError("ValidationError", f"{text} Member must have value between 900 and 43200")
        if role is not None and int(seconds) > int(role.max_session_duration or 3600):
            text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise AwsError("ValidationError", text)
