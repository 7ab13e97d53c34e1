"""Calls that AWS refuses, and in which words; made by a plain client, as a handler would make them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from .cases import (
    BUCKET,
    DYNAMODB,
    DYNAMODB_API,
    EVENTS,
    IAM,
    KINESIS_API,
    LAMBDA,
    LAMBDA_API,
    S3,
    S3_API,
    STREAM,
    STS_API,
    TABLE,
    Refusal,
)

SQS_API = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/"
SNS_API = "https://docs.aws.amazon.com/sns/latest/api/"
SSM_API = "https://docs.aws.amazon.com/systems-manager/latest/APIReference/"
CLOUDWATCH_API = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/"
VALIDATION = "ValidationException"
RULES = DYNAMODB + "HowItWorks.NamingRulesDataTypes.html"
LIMITS = DYNAMODB + "Constraints.html"
UPDATES = DYNAMODB + "Expressions.UpdateExpressions.html"
NAMES = DYNAMODB + "Expressions.ExpressionAttributeNames.html"
RESERVED = DYNAMODB + "ReservedWords.html"
LEGACY = DYNAMODB + "LegacyConditionalParameters.AttributeUpdates.html"
KEYS = DYNAMODB + "Query.KeyConditionExpressions.html"
ERRORS = DYNAMODB + "Programming.Errors.html"


def s(text: str) -> dict[str, str]:
    return {"S": text}


def n(number: object) -> dict[str, str]:
    return {"N": str(number)}


def put(item: dict[str, Any], table: str = TABLE, **more: Any) -> dict[str, Any]:
    return {"TableName": table, "Item": item, **more}


def update(expression: str, values: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"TableName": TABLE, "Key": {"pk": s("refused")}, "UpdateExpression": expression, **given, **more}


def legacy(updates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"TableName": TABLE, "Key": {"pk": s("refused")}, "AttributeUpdates": updates, **more}


def query(condition: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"TableName": EVENTS, "KeyConditionExpression": condition, "ExpressionAttributeValues": values, **more}


SCHEMA = "The provided key element does not match the schema"
INVALID = "One or more parameter values were invalid: "
PUT, GET, UPDATE, QUERY = "dynamodb.put_item", "dynamodb.get_item", "dynamodb.update_item", "dynamodb.query"

CASES = [
    # Keys
    Refusal(
        "a table that is not there",
        PUT,
        put({"pk": s("a")}, "nowhere"),
        "ResourceNotFoundException",
        "Requested resource not found",
        ERRORS,
    ),
    Refusal(
        "an item without its key",
        PUT,
        put({"id": s("a")}),
        VALIDATION,
        INVALID + "Missing the key pk in the item",
        DYNAMODB_API + "API_PutItem.html",
    ),
    Refusal(
        "a key of another type",
        PUT,
        put({"pk": n(1)}),
        VALIDATION,
        INVALID + "Type mismatch for key pk expected: S actual: N",
        DYNAMODB_API + "API_PutItem.html",
    ),
    Refusal(
        "an empty key",
        PUT,
        put({"pk": s("")}),
        VALIDATION,
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        "empty string value. Key: pk",
        RULES,
    ),
    Refusal(
        "an index key of another type",
        PUT,
        put({"pk": s("a"), "sk": n(1), "kind": n(1)}, EVENTS),
        VALIDATION,
        INVALID + "Type mismatch for Index Key kind Expected: S Actual: N IndexName: by-kind",
        DYNAMODB + "GSI.html",
    ),
    Refusal(
        "read by a key of another type",
        GET,
        {"TableName": TABLE, "Key": {"pk": n(1)}},
        VALIDATION,
        SCHEMA,
        DYNAMODB_API + "API_GetItem.html",
    ),
    Refusal(
        "read without the sort key",
        GET,
        {"TableName": EVENTS, "Key": {"pk": s("a")}},
        VALIDATION,
        SCHEMA,
        DYNAMODB_API + "API_GetItem.html",
    ),
    Refusal(
        "read by a key and something else",
        GET,
        {"TableName": TABLE, "Key": {"pk": s("a"), "b": s("c")}},
        VALIDATION,
        SCHEMA,
        DYNAMODB_API + "API_GetItem.html",
    ),
    Refusal(
        "deleted by a key of another type",
        "dynamodb.delete_item",
        {"TableName": TABLE, "Key": {"pk": n(1)}},
        VALIDATION,
        SCHEMA,
        DYNAMODB_API + "API_DeleteItem.html",
    ),
    Refusal(
        "updated by a key of another type",
        UPDATE,
        {"TableName": TABLE, "Key": {"pk": n(1)}},
        VALIDATION,
        SCHEMA,
        DYNAMODB_API + "API_UpdateItem.html",
    ),
    # Values
    Refusal(
        "a number that is none",
        PUT,
        put({"pk": s("a"), "v": n("12,5")}),
        VALIDATION,
        "The parameter cannot be converted to a numeric value: 12,5",
        RULES,
    ),
    Refusal(
        "39 digits",
        PUT,
        put({"pk": s("a"), "v": n("1" * 39)}),
        VALIDATION,
        "Attempting to store more than 38 significant digits in a Number",
        RULES,
    ),
    Refusal(
        "an empty set",
        PUT,
        put({"pk": s("a"), "v": {"SS": []}}),
        VALIDATION,
        ".*An string set  ?may not be empty",
        RULES,
    ),
    Refusal(
        "a set with a member twice",
        PUT,
        put({"pk": s("a"), "v": {"SS": ["x", "x"]}}),
        VALIDATION,
        INVALID + r"Input collection \[x, x\] contains duplicates\.?",
        RULES,
    ),
    Refusal(
        "a set with a number in two spellings",
        PUT,
        put({"pk": s("a"), "v": {"NS": ["1", "1.0"]}}),
        VALIDATION,
        INVALID + r"Input collection (\[.*\] )?contains duplicates\.?",
        RULES,
    ),
    Refusal(
        "a value of two types",
        PUT,
        put({"pk": s("a"), "v": {"S": "1", "N": "1"}}),
        VALIDATION,
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        DYNAMODB_API + "API_AttributeValue.html",
    ),
    Refusal(
        "a byte more than 400 KB",
        PUT,
        put({"pk": s("a"), "v": s("x" * (409_600 - 3))}),
        VALIDATION,
        "Item size has exceeded the maximum allowed size",
        LIMITS,
    ),
    Refusal(
        "code that is no zip",
        "lambda.create_function",
        {
            "FunctionName": "nozip",
            "Runtime": "python3.13",
            "Handler": "a.b",
            "Code": {"ZipFile": b"def handler"},
            "Role": "{role}",
        },
        "InvalidParameterValueException",
        r"Could not unzip uploaded file\. Please check your file, then try to upload again\.",
        LAMBDA_API + "API_CreateFunction.html",
    ),
    # Expressions
    Refusal(
        "two operators in a value",
        UPDATE,
        update("SET n = a + :v + :v", {":v": n(1)}),
        VALIDATION,
        re.escape('Invalid UpdateExpression: Syntax error; token: "+", near: ":v + :v"'),
        UPDATES,
    ),
    Refusal(
        "a reserved word",
        UPDATE,
        update("SET name = :v", {":v": s("x")}),
        VALIDATION,
        "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name",
        RESERVED,
    ),
    Refusal(
        "a reserved word in a filter",
        "dynamodb.scan",
        {
            "TableName": TABLE,
            "FilterExpression": "status = :v",
            "ExpressionAttributeValues": {":v": s("x")},
        },
        VALIDATION,
        "Invalid FilterExpression: Attribute name is a reserved keyword; reserved keyword: status",
        RESERVED,
    ),
    Refusal(
        "a reserved word in a projection",
        GET,
        {
            "TableName": TABLE,
            "Key": {"pk": s("a")},
            "ProjectionExpression": "pk, name",
        },
        VALIDATION,
        "Invalid ProjectionExpression: Attribute name is a reserved keyword; reserved keyword: name",
        RESERVED,
    ),
    Refusal(
        "a name that is not defined",
        UPDATE,
        update("SET #n = :v", {":v": s("x")}),
        VALIDATION,
        "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; "
        "attribute name: #n",
        NAMES,
    ),
    Refusal(
        "a value that is not defined",
        UPDATE,
        update("SET a = :v"),
        VALIDATION,
        "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
        "attribute value: :v",
        NAMES,
    ),
    Refusal(
        "a value that is not used",
        UPDATE,
        update("SET a = :v", {":v": s("x"), ":w": s("y")}),
        VALIDATION,
        r"Value provided in ExpressionAttributeValues unused in expressions: keys: \{:w\}",
        NAMES,
    ),
    Refusal(
        "part of the key",
        UPDATE,
        update("SET pk = :v", {":v": s("x")}),
        VALIDATION,
        INVALID + "Cannot update attribute pk. This attribute is part of the key",
        DYNAMODB_API + "API_UpdateItem.html",
    ),
    Refusal(
        "an attribute that is not there yet",
        UPDATE,
        update("SET visits = visits + :v", {":v": n(1)}),
        VALIDATION,
        "The provided expression refers to an attribute that does not exist in the item",
        UPDATES,
    ),
    Refusal(
        "a parent that is not there yet",
        UPDATE,
        update("SET address.city = :v", {":v": s("x")}),
        VALIDATION,
        "The document path provided in the update expression is invalid for update",
        UPDATES,
    ),
    Refusal("a word added to a word", UPDATE, update("ADD a :v", {":v": s("x")}), VALIDATION, ".*", UPDATES),
    Refusal(
        "SET twice",
        UPDATE,
        update("SET a = :v SET b = :v", {":v": s("x")}),
        VALIDATION,
        '.*The "SET" section can only be used once in an update expression;?',
        UPDATES,
    ),
    Refusal(
        "a condition that does not hold",
        PUT,
        put({"pk": s("a")}, ConditionExpression="attribute_exists(nothing)"),
        "ConditionalCheckFailedException",
        "The conditional request failed",
        ERRORS,
    ),
    # Legacy parameters
    Refusal(
        "legacy and expression",
        UPDATE,
        legacy({"a": {"Value": s("x")}}, ConditionExpression="attribute_exists(pk)"),
        VALIDATION,
        "Can not use both expression and non-expression parameters in the same request: Non-expression "
        r"parameters: \{AttributeUpdates\} Expression parameters: \{ConditionExpression\}",
        LEGACY,
    ),
    Refusal(
        "legacy: part of the key",
        UPDATE,
        legacy({"pk": {"Value": s("x")}}),
        VALIDATION,
        INVALID + "Cannot update attribute pk. This attribute is part of the key",
        LEGACY,
    ),
    Refusal(
        "legacy: PUT without a value",
        UPDATE,
        legacy({"a": {"Action": "PUT"}}),
        VALIDATION,
        INVALID + "Only DELETE action is allowed when no attribute value is specified",
        LEGACY,
    ),
    Refusal(
        "legacy: ADD of a string",
        UPDATE,
        legacy({"a": {"Action": "ADD", "Value": s("x")}}),
        VALIDATION,
        INVALID + "ADD action is not supported for the type S(TRING)?",
        LEGACY,
    ),
    # Query
    Refusal(
        "a query without the partition key",
        QUERY,
        query("sk = :v", {":v": n(1)}),
        VALIDATION,
        "Query condition missed key schema element: pk",
        KEYS,
    ),
    Refusal(
        "a query for a range of partitions",
        QUERY,
        query("pk > :v", {":v": s("a")}),
        VALIDATION,
        "Query key condition not supported",
        KEYS,
    ),
    Refusal(
        "a query with OR",
        QUERY,
        query("pk = :v OR sk = :n", {":v": s("a"), ":n": n(1)}),
        VALIDATION,
        "Invalid operator used in KeyConditionExpression: OR",
        KEYS,
    ),
    Refusal(
        "a range whose bounds are turned round",
        QUERY,
        query("pk = :v AND sk BETWEEN :b AND :a", {":v": s("a"), ":a": n(1), ":b": n(2)}),
        VALIDATION,
        "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal "
        r"to lower bound; lower bound operand: AttributeValue: \{N:2\}, upper bound operand: AttributeValue: \{N:1\}",
        KEYS,
    ),
    Refusal(
        "names without an expression",
        GET,
        {
            "TableName": TABLE,
            "Key": {"pk": s("a")},
            "ExpressionAttributeNames": {"#n": "name"},
        },
        VALIDATION,
        "ExpressionAttributeNames can only be specified when using expressions",
        NAMES,
    ),
    Refusal(
        "a query by a key of another type",
        QUERY,
        query("pk = :v", {":v": n(1)}),
        VALIDATION,
        INVALID + "Condition parameter type does not match schema type",
        KEYS,
    ),
    Refusal(
        "a filter on the key",
        QUERY,
        query("pk = :v", {":v": s("a"), ":n": n(1)}, FilterExpression="sk > :n"),
        VALIDATION,
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        DYNAMODB + "Query.FilterExpression.html",
    ),
    Refusal(
        "a strongly consistent read of an index",
        QUERY,
        query("kind = :v", {":v": s("x")}, IndexName="by-kind", ConsistentRead=True),
        VALIDATION,
        "Consistent reads are not supported on global secondary indexes",
        DYNAMODB + "GSI.html",
    ),
    Refusal(
        "a page from nowhere",
        "dynamodb.scan",
        {"TableName": TABLE, "ExclusiveStartKey": {"other": s("x")}},
        VALIDATION,
        "The provided starting key is invalid.*",
        DYNAMODB_API + "API_Scan.html",
    ),
    # Batches and transactions
    Refusal(
        "26 writes",
        "dynamodb.batch_write_item",
        {
            "RequestItems": {TABLE: [{"PutRequest": {"Item": {"pk": s(str(i))}}} for i in range(26)]},
        },
        VALIDATION,
        ".*",
        DYNAMODB_API + "API_BatchWriteItem.html",
    ),
    Refusal(
        "an item twice in a batch",
        "dynamodb.batch_write_item",
        {
            "RequestItems": {TABLE: [{"PutRequest": {"Item": {"pk": s("x"), "v": n(i)}}} for i in range(2)]},
        },
        VALIDATION,
        "Provided list of item keys contains duplicates",
        DYNAMODB_API + "API_BatchWriteItem.html",
    ),
    Refusal(
        "an item put and deleted in a batch",
        "dynamodb.batch_write_item",
        {
            "RequestItems": {
                TABLE: [{"PutRequest": {"Item": {"pk": s("x")}}}, {"DeleteRequest": {"Key": {"pk": s("x")}}}]
            },
        },
        VALIDATION,
        "Provided list of item keys contains duplicates",
        DYNAMODB_API + "API_BatchWriteItem.html",
    ),
    Refusal(
        "an item twice in a transaction",
        "dynamodb.transact_write_items",
        {
            "TransactItems": [
                {"Put": {"TableName": TABLE, "Item": {"pk": s("x")}}},
                {"Delete": {"TableName": TABLE, "Key": {"pk": s("x")}}},
            ]
        },
        VALIDATION,
        "Transaction request cannot include multiple operations on one item",
        DYNAMODB_API + "API_TransactWriteItems.html",
    ),
    Refusal(
        "a transaction whose condition does not hold",
        "dynamodb.transact_write_items",
        {
            "TransactItems": [
                {"Put": {"TableName": TABLE, "Item": {"pk": s("x")}}},
                {
                    "ConditionCheck": {
                        "TableName": TABLE,
                        "Key": {"pk": s("nobody")},
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
            ]
        },
        "TransactionCanceledException",
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        r"\[None, ConditionalCheckFailed\]",
        DYNAMODB_API + "API_TransactWriteItems.html",
    ),
    # Other services
    Refusal(
        "a stream that is not there",
        "kinesis.put_record",
        {"StreamName": "gone", "Data": b"x", "PartitionKey": "k"},
        "ResourceNotFoundException",
        "Stream gone under account 123456789012 not found.",
        KINESIS_API + "API_PutRecord.html",
    ),
    Refusal(
        "a record of more than 1 MiB",
        "kinesis.put_record",
        {
            "StreamName": STREAM,
            "Data": b"x" * (1024 * 1024 + 1),
            "PartitionKey": "k",
        },
        VALIDATION,
        ".*",
        KINESIS_API + "API_PutRecord.html",
    ),
    Refusal(
        "an object that is not there",
        "s3.get_object",
        {"Bucket": BUCKET, "Key": "none"},
        "NoSuchKey",
        "The specified key does not exist.",
        S3_API + "API_GetObject.html",
    ),
    Refusal(
        "a bucket that is not there",
        "s3.list_objects_v2",
        {"Bucket": "strangers-none"},
        "NoSuchBucket",
        "The specified bucket does not exist",
        S3_API + "API_ListObjectsV2.html",
    ),
    Refusal(
        "a bucket that is not empty",
        "s3.delete_bucket",
        {"Bucket": BUCKET},
        "BucketNotEmpty",
        "The bucket you tried to delete is not empty",
        S3_API + "API_DeleteBucket.html",
    ),
    Refusal(
        "a function that is not there",
        "lambda.invoke",
        {"FunctionName": "gone"},
        "ResourceNotFoundException",
        r"Function not found: arn:aws:lambda:us-east-1:123456789012:function:gone.*",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "a metric filter, which would count nothing here",
        "logs.put_metric_filter",
        {
            "logGroupName": "/aws/lambda/raises-handler",
            "filterName": "errors",
            "filterPattern": "ERROR",
            "metricTransformations": [{"metricName": "Errors", "metricNamespace": "Shop", "metricValue": "1"}],
        },
        "UnknownOperationException",
        "The local AWS does not have logs:PutMetricFilter.",
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html",
    ),
    Refusal(
        "an event that is no JSON",
        "lambda.invoke",
        {"FunctionName": "raises-handler", "Payload": b"{"},
        "InvalidRequestContentException",
        "Could not parse request body into json: .*",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "an event of more than 6 MB",
        "lambda.invoke",
        {"FunctionName": "raises-handler", "Payload": b'"' + b"x" * 6_291_456 + b'"'},
        "RequestEntityTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "a parameter that is not there",
        "ssm.get_parameter",
        {"Name": "/none"},
        "ParameterNotFound",
        ".*",
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html",
    ),
    Refusal(
        "a queue that is not there",
        "sqs.get_queue_url",
        {"QueueName": "none"},
        "AWS.SimpleQueueService.NonExistentQueue",
        ".*",
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html",
    ),
    Refusal(
        "a bucket with capitals",
        "s3.create_bucket",
        {"Bucket": "My-Bucket"},
        "InvalidBucketName",
        "The specified bucket is not valid.",
        S3 + "bucketnamingrules.html",
    ),
    Refusal(
        "a bucket with an underscore",
        "s3.create_bucket",
        {"Bucket": "my_bucket"},
        "InvalidBucketName",
        "The specified bucket is not valid.",
        S3 + "bucketnamingrules.html",
    ),
    Refusal(
        "a key of more than 1,024 bytes",
        "s3.put_object",
        {"Bucket": BUCKET, "Key": "ä" * 513, "Body": b""},
        "KeyTooLongError",
        "Your key is too long",
        S3 + "object-keys.html",
    ),
    Refusal(
        "a body that arrived damaged",
        "s3.put_object",
        {
            "Bucket": BUCKET,
            "Key": "damaged",
            "Body": b"x",
            "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
        "BadDigest",
        "The Content-MD5 you specified did not match what we received.",
        S3_API + "API_PutObject.html",
    ),
    Refusal(
        "more than a thousand deletes",
        "s3.delete_objects",
        {
            "Bucket": BUCKET,
            "Delete": {"Objects": [{"Key": str(i)} for i in range(1001)]},
        },
        "MalformedXML",
        "The XML you provided was not well-formed.*",
        S3_API + "API_DeleteObjects.html",
    ),
    Refusal(
        "an empty message",
        "sqs.send_message",
        {"QueueUrl": "{queue_url}", "MessageBody": ""},
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
        SQS_API + "API_SendMessage.html",
    ),
    Refusal(
        "a message that XML cannot hold",
        "sqs.send_message",
        {"QueueUrl": "{queue_url}", "MessageBody": "a\0"},
        "InvalidMessageContents",
        "Invalid binary character '#x0' was found in the message body.*",
        SQS_API + "API_SendMessage.html",
    ),
    Refusal(
        "eleven messages at once",
        "sqs.send_message_batch",
        {
            "QueueUrl": "{queue_url}",
            "Entries": [{"Id": str(i), "MessageBody": "x"} for i in range(11)],
        },
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "Maximum number of entries per request are 10.*",
        SQS_API + "API_SendMessageBatch.html",
    ),
    Refusal(
        "a published message that is empty",
        "sns.publish",
        {"TopicArn": "{topic}", "Message": ""},
        "InvalidParameter",
        "Invalid parameter: Empty message",
        SNS_API + "API_Publish.html",
    ),
    Refusal(
        "a message for each protocol, but no default",
        "sns.publish",
        {
            "TopicArn": "{topic}",
            "Message": '{"email": "x"}',
            "MessageStructure": "json",
        },
        "InvalidParameter",
        "Invalid parameter: Message Structure - No default entry in JSON message body",
        SNS_API + "API_Publish.html",
    ),
    Refusal(
        "a parameter that is there already",
        "ssm.put_parameter",
        {"Name": "/shop/name", "Value": "x", "Type": "String"},
        "ParameterAlreadyExists",
        ".*",
        SSM_API + "API_PutParameter.html",
    ),
    Refusal(
        "a parameter of more than 4 KB",
        "ssm.put_parameter",
        {"Name": "/big", "Value": "x" * 4097, "Type": "String"},
        VALIDATION,
        "Standard tier parameters support a maximum parameter value of 4096 characters.*",
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
    ),
    Refusal(
        "a metric in AWS's namespace",
        "cloudwatch.put_metric_data",
        {
            "Namespace": "AWS/Kinesis",
            "MetricData": [{"MetricName": "x", "Value": 1.0}],
        },
        "InvalidParameterValue",
        "The value AWS/ for parameter Namespace is invalid.",
        CLOUDWATCH_API + "API_PutMetricData.html",
    ),
    Refusal(
        "a metric of 2010",
        "cloudwatch.put_metric_data",
        {
            "Namespace": "Shop",
            "MetricData": [{"MetricName": "x", "Value": 1.0, "Timestamp": datetime(2010, 12, 1)}],
        },
        "InvalidParameterValue",
        ".*Timestamp.*",
        CLOUDWATCH_API + "API_PutMetricData.html",
    ),
    Refusal(
        "a trust policy with a resource",
        "iam.create_role",
        {
            "RoleName": "strange",
            "AssumeRolePolicyDocument": '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            '"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole", "Resource": "*"}]}',
        },
        "MalformedPolicyDocument",
        "Has prohibited field Resource",
        IAM + "reference_policies_elements_principal.html",
    ),
    Refusal(
        "a trust policy that trusts nobody",
        "iam.create_role",
        {
            "RoleName": "strange",
            "AssumeRolePolicyDocument": '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            '"Action": "sts:AssumeRole"}]}',
        },
        "MalformedPolicyDocument",
        "Missing required field Principal",
        IAM + "reference_policies_elements_principal.html",
    ),
    Refusal(
        "a runtime that has been retired",
        "lambda.create_function",
        {
            "FunctionName": "old",
            "Runtime": "python3.8",
            "Role": "{other_role}",
            "Handler": "a.b",
            "Code": {"ZipFile": b"x"},
        },
        "InvalidParameterValueException",
        "The runtime parameter of python3.8 is no longer supported.*",
        LAMBDA + "lambda-runtimes.html",
    ),
    Refusal(
        "a role that Lambda may not take on",
        "lambda.create_function",
        {
            "FunctionName": "old",
            "Runtime": "python3.12",
            "Role": "{other_role}",
            "Handler": "a.b",
            "Code": {"ZipFile": b"x"},
        },
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
        LAMBDA + "lambda-intro-execution-role.html",
    ),
    Refusal(
        "a role by what is no ARN",
        "sts.assume_role",
        {"RoleArn": "nothing-valid-in-here", "RoleSessionName": "session"},
        "ValidationError",
        "nothing-valid-in-here is invalid",
        STS_API + "API_AssumeRole.html",
    ),
    # As recorded in localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json and test_lambda's
    Refusal(
        "a role that is no ARN",
        "lambda.create_function",
        {"FunctionName": "new", "Runtime": "python3.12", "Role": "r1", "Handler": "a.b", "Code": {"ZipFile": b"x"}},
        VALIDATION,
        "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy .*",
        LAMBDA_API + "API_CreateFunction.html",
    ),
    Refusal(
        "a runtime that nobody knows",
        "lambda.create_function",
        {"FunctionName": "new", "Runtime": "PYTHON3.9", "Role": "r1", "Handler": "a.b", "Code": {"ZipFile": b"x"}},
        "InvalidParameterValueException",
        "Value PYTHON3.9 at .runtime. failed to satisfy constraint: Member must satisfy enum value set: .* a valid ARN",
        LAMBDA_API + "API_CreateFunction.html",
    ),
    Refusal(
        "a function that is not there is invoked",
        "lambda.invoke",
        {"FunctionName": "doesnotexist"},
        "ResourceNotFoundException",
        r"Function not found: arn:aws:lambda:us-east-1:\d{12}:function:doesnotexist:\$LATEST",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "two qualifiers for one call",
        "lambda.invoke",
        {"FunctionName": "raises-handler:1", "Qualifier": "$LATEST"},
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "another account's function",
        "lambda.invoke",
        {"FunctionName": "arn:aws:lambda:us-east-1:111111111111:function:raises-handler"},
        "AccessDeniedException",
        ".*",
        LAMBDA_API + "API_Invoke.html",
    ),
    Refusal(
        "a function that is its own destination",
        "lambda.put_function_event_invoke_config",
        {
            "FunctionName": "raises-handler",
            "DestinationConfig": {
                "OnSuccess": {"Destination": "arn:aws:lambda:us-east-1:123456789012:function:raises-handler"}
            },
        },
        "InvalidParameterValueException",
        "You can't specify the function as a destination for itself.",
        LAMBDA_API + "API_PutFunctionEventInvokeConfig.html",
    ),
]
