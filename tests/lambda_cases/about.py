"""What a handler can learn of the place where it runs."""

import importlib
import os
import sys


def context(event, context):
    return {
        "function_name": context.function_name,
        "function_version": context.function_version,
        "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "aws_request_id": context.aws_request_id,
        "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name,
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        "remaining": context.get_remaining_time_in_millis(),
        "shown": "aws_request_id=" in repr(context),
    }


def client(event, context):
    given = context.client_context
    if given is None:
        return None
    told = {"title": given.client.app_title, "version": given.client.app_version_name, "w3c": hasattr(given, "w3c")}
    return {"custom": given.custom, "env": given.env, **told}


def environment(event, context):
    return {"variables": dict(os.environ), "path": sys.path, "folder": os.getcwd(), "arguments": sys.argv[1:]}


def importable(event, context):
    found = {}
    for name in event:
        try:
            found[name] = importlib.import_module(name).__file__
        except ImportError:
            found[name] = None
    return found


def endpoint(event, context):
    import boto3

    client = boto3.client("kinesis")
    credentials = client._request_signer._credentials
    return [client.meta.endpoint_url, client.meta.region_name, credentials.access_key, credentials.token]


def private_folder(event, context):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        return [file.name, os.path.expanduser("~")]
