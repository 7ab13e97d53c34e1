"""Policies in the styles in which people write them, and what each lets its holder do."""

from __future__ import annotations

from typing import Any

from .cases import BUCKET, EVENTS, IAM, STREAM, TABLE, Policy

ACCOUNT = "123456789012"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
TABLE_ARN = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{TABLE}"
STREAM_ARN = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{STREAM}"
ELEMENTS = IAM + "reference_policies_elements_"

Call = tuple[str, dict[str, Any]]
PUT_RECORD: Call = ("kinesis.put_record", {"StreamName": STREAM, "Data": b"x", "PartitionKey": "k"})
PUT_RECORDS: Call = ("kinesis.put_records", {"StreamName": STREAM, "Records": [{"Data": b"x", "PartitionKey": "k"}]})
DESCRIBE_STREAM: Call = ("kinesis.describe_stream", {"StreamName": STREAM})
OTHER_STREAM: Call = ("kinesis.put_record", {"StreamName": "other", "Data": b"x", "PartitionKey": "k"})
PUT_OBJECT: Call = ("s3.put_object", {"Bucket": BUCKET, "Key": "policies/a.txt", "Body": b"x"})
GET_OBJECT: Call = ("s3.get_object", {"Bucket": BUCKET, "Key": "policies/seed.txt"})
LIST_OBJECTS: Call = ("s3.list_objects_v2", {"Bucket": BUCKET, "Prefix": "policies/"})
LIST_ALL: Call = ("s3.list_objects_v2", {"Bucket": BUCKET})
LIST_BUCKETS: Call = ("s3.list_buckets", {})
DELETE_OBJECT: Call = ("s3.delete_object", {"Bucket": BUCKET, "Key": "policies/a.txt"})
PUT_ITEM: Call = ("dynamodb.put_item", {"TableName": TABLE, "Item": {"pk": {"S": "policies"}}})
GET_ITEM: Call = ("dynamodb.get_item", {"TableName": TABLE, "Key": {"pk": {"S": "policies"}}})
DELETE_TABLE: Call = ("dynamodb.delete_table", {"TableName": "never-made"})
QUERY_INDEX: Call = (
    "dynamodb.query",
    {
        "TableName": EVENTS,
        "IndexName": "by-kind",
        "KeyConditionExpression": "kind = :k",
        "ExpressionAttributeValues": {":k": {"S": "x"}},
    },
)
TRANSACTION: Call = (
    "dynamodb.transact_write_items",
    {"TransactItems": [{"Put": {"TableName": TABLE, "Item": {"pk": {"S": "policies"}}}}]},
)
LIST_FUNCTIONS: Call = ("lambda.list_functions", {})
LIST_ROLES: Call = ("iam.list_roles", {})
WHO: Call = ("sts.get_caller_identity", {})


def version(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


CASES = [
    Policy(
        "two actions on one stream, as the console's editor writes it",
        version(
            {
                "Sid": "VisualEditor0",
                "Effect": "Allow",
                "Action": ["kinesis:PutRecord", "kinesis:PutRecords"],
                "Resource": STREAM_ARN,
            }
        ),
        (PUT_RECORD, PUT_RECORDS, WHO),
        (DESCRIBE_STREAM, OTHER_STREAM, LIST_BUCKETS),
        ELEMENTS + "resource.html",
        words=r"is not authorized to perform: .* on resource: .* because no identity-based policy allows the .* action",
    ),
    Policy(
        "a single statement that is no list, an action that is no list",
        {"Version": "2012-10-17", "Statement": allow("kinesis:PutRecord", STREAM_ARN)},
        (PUT_RECORD,),
        (PUT_RECORDS,),
        IAM + "reference_policies_grammar.html",
    ),
    Policy(
        "a policy with an Id",
        {"Version": "2012-10-17", "Id": "made-long-ago", "Statement": [allow(["s3:GetObject"], f"{BUCKET_ARN}/*")]},
        (GET_OBJECT,),
        (PUT_OBJECT,),
        ELEMENTS + "id.html",
    ),
    Policy(
        "wildcards in actions, in any letter case",
        version(allow(["S3:get*", "kinesis:Put?ecord", "dynamodb:*Item"])),
        (GET_OBJECT, PUT_RECORD, PUT_ITEM, GET_ITEM),
        (PUT_OBJECT, PUT_RECORDS, QUERY_INDEX),
        ELEMENTS + "action.html",
    ),
    Policy(
        "a bucket is not its objects",
        version(allow(["s3:ListBucket", "s3:GetObject", "s3:PutObject"], BUCKET_ARN)),
        (LIST_OBJECTS,),
        (GET_OBJECT, PUT_OBJECT),
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/security_iam_service-with-iam.html",
    ),
    Policy(
        "a list of resources: a bucket and its objects",
        version(allow("s3:*", [BUCKET_ARN, f"{BUCKET_ARN}/*"])),
        (LIST_OBJECTS, GET_OBJECT, PUT_OBJECT, DELETE_OBJECT),
        (LIST_BUCKETS, GET_ITEM),
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-policies-s3.html",
    ),
    Policy(
        "a folder of a bucket",
        version(
            allow("s3:ListBucket", BUCKET_ARN, Condition={"StringLike": {"s3:prefix": ["policies/*"]}}),
            allow(["s3:GetObject", "s3:PutObject"], f"{BUCKET_ARN}/policies/*"),
        ),
        (LIST_OBJECTS, GET_OBJECT, PUT_OBJECT),
        (LIST_ALL, ("s3.get_object", {"Bucket": BUCKET, "Key": "elsewhere.txt"})),
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html",
    ),
    Policy(
        "everything but IAM: Allow with NotAction",
        version({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*"}),
        (PUT_RECORD, PUT_ITEM, LIST_BUCKETS),
        (LIST_ROLES,),
        ELEMENTS + "notaction.html",
    ),
    Policy(
        "all buckets but one: NotResource",
        version(
            allow("s3:*"),
            {"Effect": "Deny", "Action": "s3:*", "NotResource": [BUCKET_ARN, f"{BUCKET_ARN}/*"]},
        ),
        (GET_OBJECT, LIST_OBJECTS),
        (("s3.list_objects_v2", {"Bucket": "strangers-none"}), LIST_BUCKETS),
        ELEMENTS + "notresource.html",
        words="with an explicit deny in an identity-based policy",
    ),
    Policy(
        "an explicit deny beats an allow",
        version(allow("*"), deny(["dynamodb:DeleteTable", "s3:DeleteObject"], Sid="NoDeletes")),
        (PUT_ITEM, PUT_OBJECT, LIST_ROLES),
        (DELETE_TABLE, DELETE_OBJECT),
        IAM + "reference_policies_evaluation-logic.html",
        words="with an explicit deny in an identity-based policy",
    ),
    Policy(
        "only in this region",
        version(allow("*", Condition={"StringEquals": {"aws:RequestedRegion": ["us-east-1", "us-east-2"]}})),
        (PUT_RECORD, LIST_FUNCTIONS),
        (),
        IAM + "reference_policies_condition-keys.html#condition-keys-requestedregion",
    ),
    Policy(
        "only in another region",
        version(allow("*", Condition={"StringEquals": {"aws:RequestedRegion": "eu-central-1"}})),
        (),
        (PUT_RECORD, LIST_FUNCTIONS),
        IAM + "reference_policies_condition-keys.html#condition-keys-requestedregion",
    ),
    Policy(
        "no other regions, global services excepted: Deny with NotAction",
        version(
            allow("*"),
            {
                "Sid": "DenyAllOutsideRequestedRegions",
                "Effect": "Deny",
                "NotAction": ["iam:*", "sts:*", "s3:ListAllMyBuckets"],
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1"]}},
            },
        ),
        (LIST_ROLES, LIST_BUCKETS),
        (PUT_RECORD, GET_OBJECT),
        IAM + "reference_policies_examples_aws_deny-requested-region.html",
        words="with an explicit deny in an identity-based policy",
    ),
    Policy(
        "TLS only",
        version(allow("s3:*"), deny("s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})),
        (GET_OBJECT, PUT_OBJECT),
        (PUT_ITEM,),
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html",
    ),
    Policy(
        "only this role",
        version(
            allow("dynamodb:*", Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/policy-*"}})
        ),
        (PUT_ITEM,),
        (PUT_OBJECT,),
        IAM + "reference_policies_condition-keys.html#condition-keys-principalarn",
    ),
    Policy(
        "a table is not its indexes",
        version(allow(["dynamodb:PutItem", "dynamodb:Query"], [TABLE_ARN, TABLE_ARN.replace(TABLE, EVENTS)])),
        (PUT_ITEM, TRANSACTION),
        (QUERY_INDEX, GET_ITEM),
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/using-identity-based-policies.html",
    ),
    Policy(
        "a table and its indexes",
        version(allow(["dynamodb:Query"], [TABLE_ARN + "*", f"arn:aws:dynamodb:*:*:table/{EVENTS}/index/*"])),
        (QUERY_INDEX,),
        (PUT_ITEM,),
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/using-identity-based-policies.html",
    ),
    Policy(
        "wildcards within an ARN",
        version(
            allow("kinesis:*", f"arn:aws:kinesis:*:{ACCOUNT}:stream/stran*"),
            allow("s3:PutObject", "arn:aws:s3:::*/polic?es/*"),
        ),
        (PUT_RECORD, DESCRIBE_STREAM, PUT_OBJECT),
        (OTHER_STREAM, GET_OBJECT),
        ELEMENTS + "resource.html#reference_policies_elements_resource-wildcards",
    ),
    Policy(
        "nothing of all this",
        version(allow("sqs:ListQueues")),
        (WHO,),
        (LIST_BUCKETS, PUT_RECORD, GET_ITEM),
        IAM + "reference_policies_evaluation-logic_policy-eval-denyallow.html",
        words="because no identity-based policy allows",
    ),
]
