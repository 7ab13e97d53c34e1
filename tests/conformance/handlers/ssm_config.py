import boto3

ssm = boto3.client("ssm")
_config = None


def load_config(path):
    global _config
    if _config is None:
        _config = {}
        paginator = ssm.get_paginator("get_parameters_by_path")
        for page in paginator.paginate(
            Path=path, Recursive=True, WithDecryption=True, PaginationConfig={"PageSize": 2}
        ):
            for parameter in page["Parameters"]:
                _config[parameter["Name"][len(path) :].lstrip("/")] = parameter["Value"]
    return _config


def handler(event, context):
    return load_config(event["path"])


def by_name(event, context):
    try:
        return ssm.get_parameter(Name=event["name"], WithDecryption=True)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return "no such parameter"


def several(event, context):
    answer = ssm.get_parameters(Names=event["names"])
    return {"found": sorted(p["Name"] for p in answer["Parameters"]), "invalid": answer["InvalidParameters"]}
