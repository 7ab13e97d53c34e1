"""What AWS refuses and moto takes, and what moto would only store: which rules a call has to pass.

Those of S3 are in `object_rules`, of SQS and SNS in `message_rules`, of CloudWatch, Logs and Systems Manager in
`watch_rules`; those of IAM, API Gateway and DynamoDB in `identities`, `api_rules` and `dynamodb_rules`.
"""

from __future__ import annotations

import contextlib
from typing import Any

from .. import constraints
from ..protocols import Call
from ..types import AwsError, Request
from . import message_rules, object_rules, watch_rules

# Services that are held to AWS's own model of their calls (lengths, patterns, values), with their code for it.
_MODELLED = {
    "dynamodb": "ValidationException", "logs": "InvalidParameterException", "monitoring": "ValidationError",
}  # fmt: skip
_UNCHECKED = {  # calls that are made often, or that write what may be long
    "Query", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem",
    "TransactGetItems", "TransactWriteItems", "PutLogEvents",
}  # fmt: skip
_MEMBERS_CHECKED = {
    "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems",
}  # fmt: skip
_RULES = {**object_rules.RULES, **message_rules.RULES, **watch_rules.RULES}


def check(call: Call, parameters: dict[str, Any], request: Request) -> None:
    """Raises AwsError for what must not reach moto; members of wrong types are moto's to find."""
    if call.protocol == "json" and (code := _MODELLED.get(call.service)) and call.operation not in _UNCHECKED:
        try:
            constraints.check(call.service, call.operation, parameters)
        except AwsError as error:
            if error.code == "ValidationException":
                raise AwsError(code, error.message) from None
    elif call.service == "dynamodb" and call.operation in _MEMBERS_CHECKED:
        constraints.check_members("dynamodb", call.operation, parameters, skip="Select")  # which moto checks
    if rule := _RULES.get((call.service, call.operation)):
        with contextlib.suppress(AttributeError, TypeError, ValueError, KeyError):
            rule(parameters, call, request)
    if call.service == "s3":
        object_rules.check(call, request)
