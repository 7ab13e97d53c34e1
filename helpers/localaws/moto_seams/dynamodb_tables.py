"""moto's DynamoDB: tables, their indexes, capacity and settings, as AWS takes and describes them.

Below https://docs.aws.amazon.com/amazondynamodb/latest/ : developerguide/GSI.html; APIReference/API_CreateTable.html,
API_UpdateTable.html.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from ..types import AwsError
from .dynamodb_values import INVALID, invalid
from .replace import replace

ONE_FAULT = "1 validation error detected: "
_TABLE_NAME = re.compile("[a-zA-Z0-9_.-]+")
_TABLE_ARN = re.compile(r"arn:aws[\w-]*:dynamodb:[\w-]+:\d{12}:table/[\w.-]+", re.ASCII)


def problem_of_name(name: str) -> str:
    """What AWS says of a table's name that no table can have; nothing of an ARN.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    """
    if name.startswith("arn:"):
        return ""
    if len(name) < 3:
        return "Member must have length greater than or equal to 3"
    if not _TABLE_NAME.fullmatch(name):
        return f"Member must satisfy regular expression pattern: {_TABLE_NAME.pattern}"
    return "" if len(name) <= 255 else "Member must have length less than or equal to 255"


def check_name(name: str) -> None:
    """Raises AwsError ValidationException for a name that no table can have."""
    if wrong := problem_of_name(name):
        raise invalid(f"{ONE_FAULT}Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}")


def check_table(operation: str, body: dict[str, Any], find: Callable[[str], Any]) -> None:
    """What a call on a table, its time to live or its tags is refused for; `find` gives the table of a name, or None.

    Raises AwsError ValidationException, LimitExceededException, ResourceNotFoundException.
    """
    if operation == "CreateTable":
        _check_settings(body, None)
    elif operation == "UpdateTable" and (found := find(body["TableName"])):
        _check_settings(body, found)
    elif operation in ("UpdateTimeToLive", "DescribeTimeToLive"):
        if (found := find(body["TableName"])) is None:
            raise AwsError(
                "ResourceNotFoundException", f"Requested resource not found: Table: {body['TableName']} not found"
            )
        if operation == "UpdateTimeToLive":
            _check_time_to_live(found.ttl, body["TimeToLiveSpecification"])
    elif operation in ("TagResource", "UntagResource", "ListTagsOfResource"):
        if not _TABLE_ARN.fullmatch(arn := body["ResourceArn"]):
            raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    elif operation == "DeleteTable" and (found := find(body["TableName"])) and found.deletion_protection_enabled:
        text = "Resource cannot be deleted as it is currently protected against deletion. "
        raise invalid(text + "Disable deletion protection first.")


def _check_settings(body: dict[str, Any], table: Any) -> None:
    """CreateTable and, of a table that is there, UpdateTable: keys, indexes and capacity that AWS would not take.

    Below https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/: API_CreateTable.html, API_UpdateTable.html.
    """
    if table is None:
        check_name(body["TableName"])
    if body.get("ReplicaUpdates"):
        raise invalid("The local AWS has one region only: a table has no replicas here.")
    stream = body.get("StreamSpecification") or {}
    if not stream.get("StreamEnabled") and stream.get("StreamViewType"):
        raise invalid(f"{INVALID}StreamViewType is for a stream that is enabled")
    if table and body.keys() == {"TableName"}:
        raise invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    updates = body.get("GlobalSecondaryIndexUpdates") or ()
    if sum(not update.keys() <= {"Update"} for update in updates) > 1:
        text = "Only 1 online index can be created or deleted simultaneously per table"
        raise AwsError("LimitExceededException", f"Subscriber limit exceeded: {text}")
    there = {index.name for index in table.global_indexes} if table else set()
    if not there.issuperset(update["Delete"]["IndexName"] for update in updates if "Delete" in update):
        raise AwsError("ResourceNotFoundException", "Requested resource not found")
    local = body.get("LocalSecondaryIndexes") or ()
    made = [*(body.get("GlobalSecondaryIndexes") or ()), *(u["Create"] for u in updates if "Create" in u)]
    keys = body["KeySchema"] if table is None else table.schema
    if table is None and len(body["AttributeDefinitions"]) < len(keys):
        raise invalid("Invalid KeySchema: Some index key attribute have no definition")
    for schema in (keys, *(index["KeySchema"] for index in local)):
        _check_schema(schema)
    for index in made:
        _check_schema(index["KeySchema"], many=True)
    types = {a["AttributeName"] for a in (*(body.get("AttributeDefinitions") or ()), *(table.attr if table else ()))}
    names: set[str] = set()
    for index in (*local, *made):
        name, projection = index["IndexName"], index["Projection"]
        kind = projection.get("ProjectionType")
        indexed = [key["AttributeName"] for key in index["KeySchema"]]
        if not types.issuperset(indexed):
            text = "Some index key attributes are not defined in AttributeDefinitions. "
            raise invalid(f"{INVALID}{text}Keys: [{', '.join(indexed)}], AttributeDefinitions: [{', '.join(types)}]")
        if kind is None:
            raise invalid(f"{INVALID}Unknown ProjectionType: null")
        if kind != "INCLUDE" and "NonKeyAttributes" in projection:
            raise invalid(f"{INVALID}ProjectionType is {kind}, but NonKeyAttributes is specified")
        if kind == "INCLUDE" and "NonKeyAttributes" not in projection:
            raise invalid(f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        if name in names:
            raise invalid(f"{INVALID}Duplicate index name: {name}")
        names.add(name)
    for index in local:
        _check_local(index, keys)
    if len(local) > 5:
        raise invalid(f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5")
    if len(made) > 20:
        raise invalid(f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20")
    _check_throughput(body, table, made)


def _check_schema(schema: list[dict[str, str]], many: bool = False) -> None:
    """A table's keys or an index's; a global one may have `many`, those of its partitions first.

    https://docs.aws.amazon.com/cdk/api/v2/python/aws_cdk.aws_dynamodb/GlobalSecondaryIndexPropsV2.html (partition_keys)
    """
    kinds, names = [key["KeyType"] for key in schema], [key["AttributeName"] for key in schema]
    if kinds[0] != "HASH":
        raise invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(kinds) == 2 and kinds[1] != "RANGE" and not many:
        raise invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    if len(set(names)) < len(names):
        raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")


def _check_local(index: dict[str, Any], keys: list[dict[str, str]]) -> None:
    name = index["IndexName"]
    if len(keys) < 2:
        text = "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        raise invalid(INVALID + text)
    if len(index["KeySchema"]) < 2:
        raise invalid(f"{INVALID}Index KeySchema does not have a range key for index: {name}")
    mine, tables = index["KeySchema"][0]["AttributeName"], keys[0]["AttributeName"]
    if mine != tables:
        text = "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
        raise invalid(f"{INVALID}{text}{name}. index hash key: {mine}, table hash key: {tables}")


def _check_throughput(body: dict[str, Any], table: Any, made: list[dict[str, Any]]) -> None:
    """Capacity goes with PROVISIONED, and with nothing else; and is asked for only to be changed."""
    before = table.billing_mode if table else "PROVISIONED"
    mode, asked = body.get("BillingMode") or before, body.get("ProvisionedThroughput")
    if mode == "PAY_PER_REQUEST":
        if asked:
            text = (
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
            raise invalid(INVALID + text)
        for index in made:
            if "ProvisionedThroughput" in index:
                text = f"ProvisionedThroughput should not be specified for index: {index['IndexName']} when "
                raise invalid(f"{INVALID}{text}BillingMode is {mode}")
        return
    bare = [index["IndexName"] for index in made if "ProvisionedThroughput" not in index]
    if table and before == "PAY_PER_REQUEST":
        if not asked:
            raise invalid(f"{INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
        updated = {u["Update"]["IndexName"] for u in body.get("GlobalSecondaryIndexUpdates") or () if "Update" in u}
        bare += [index.name for index in table.global_indexes if index.name not in updated]
    if bare and (table or asked):
        raise invalid(f"{INVALID}ProvisionedThroughput must be specified for index: {','.join(bare)}")
    units = ("ReadCapacityUnits", "WriteCapacityUnits")
    if table and asked and before == mode and all(table.throughput[unit] == asked[unit] for unit in units):
        text = (
            "The provisioned throughput for the table will not change. The requested value equals the current value. "
        )
        for unit in units:
            text += f"Current {unit} provisioned for the table: {asked[unit]}. Requested {unit}: {asked[unit]}. "
        guide = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        raise invalid(text + guide)


def _check_time_to_live(now: dict[str, Any], wanted: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html

    AWS's words as https://github.com/go-to-k/cdkd/pull/932 quotes them.
    """
    on = now["TimeToLiveStatus"] == "ENABLED"
    if on and wanted["Enabled"] and now["AttributeName"] != wanted["AttributeName"]:
        text = f"TimeToLive is active on a different AttributeName: current AttributeName is {now['AttributeName']}"
        raise invalid(text)
    if on == wanted["Enabled"]:
        raise invalid(f"TimeToLive is already {'enabled' if on else 'disabled'}")


def install() -> None:
    """Completes what moto says of a table, and sets its tags as AWS does."""
    import moto.dynamodb.models as models
    import moto.dynamodb.responses as responses
    from moto.dynamodb.models.table import Table

    handler: Any = responses.DynamoHandler
    describe = Table.describe

    def list_tables(self: Any, limit: int, exclusive_start_table_name: str | None) -> tuple[list[str], str | None]:
        """By name, as AWS does it: moto lists them as they were made."""
        names = sorted(name for name in self.tables if name > (exclusive_start_table_name or ""))
        return names[:limit], names[limit - 1] if len(names) > limit else None

    def tag_resource(self: Any, arn: str, tags: dict[str, str]) -> None:
        """A tag whose key is there has a new value; moto would have it twice."""
        table = self.get_table(arn)
        kept = {tag["Key"]: tag["Value"] for tag in table.tags} | tags
        table.tags = [{"Key": key, "Value": value} for key, value in kept.items()]

    def untag_resource(self: Any, arn: str, tag_keys: list[str]) -> None:
        """moto would say nothing of a table that is not there."""
        table = self.get_table(arn)
        table.tags = [tag for tag in table.tags if tag["Key"] not in tag_keys]

    def with_settings(name: str) -> Any:
        """CreateTable and UpdateTable, with what moto leaves out of a table's description."""
        original = getattr(handler, name)

        def answer(self: Any) -> Any:
            original(self)
            table, body = self.dynamodb_backend.get_table(self.body["TableName"]), self.body
            settings = table.__dict__.setdefault("settings", {"TableId": str(uuid.uuid4())})
            if "TableClass" in body:
                settings["TableClassSummary"] = {"TableClass": body["TableClass"]}
            if "OnDemandThroughput" in body:
                settings["OnDemandThroughput"] = settings.get("OnDemandThroughput", {}) | body["OnDemandThroughput"]
            if body.get("BillingMode") == "PAY_PER_REQUEST":  # API_ProvisionedThroughput.html: then they are 0
                table.throughput = dict.fromkeys(
                    ("ReadCapacityUnits", "WriteCapacityUnits", "NumberOfDecreasesToday"), 0
                )
            return responses.DynamoResult(table.describe())

        return answer

    def described(self: Any, base_key: str = "TableDescription") -> Any:
        description = describe(self, base_key)
        description[base_key] |= self.__dict__.get("settings", {})
        return description

    replace(
        (handler, {name: with_settings(name) for name in ("create_table", "update_table")}),
        (
            models.DynamoDBBackend,
            {"list_tables": list_tables, "tag_resource": tag_resource, "untag_resource": untag_resource},
        ),
        (Table, {"describe": described}),
    )
