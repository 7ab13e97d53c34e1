import os

import boto3


def lambda_handler(event, context):
    identity = boto3.client("sts").get_caller_identity()
    identity.pop("ResponseMetadata")
    return identity


def assume(event, context):
    """Takes on another role for one call, as for another account."""
    credentials = boto3.client("sts").assume_role(
        RoleArn=event["role"], RoleSessionName=event.get("session", "cross-account"), DurationSeconds=900
    )["Credentials"]
    session = boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    s3 = session.client("s3")
    answer = {"arn": session.client("sts").get_caller_identity()["Arn"]}
    try:
        s3.put_object(Bucket=os.environ["BUCKET"], Key="assumed.txt", Body=b"x")
        answer["put"] = "allowed"
    except s3.exceptions.ClientError as e:
        answer["put"] = e.response["Error"]["Code"]
        answer["message"] = e.response["Error"]["Message"]
    answer["buckets"] = os.environ["BUCKET"] in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    return answer
