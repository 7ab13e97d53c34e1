import os

STAGE = os.environ.get("STAGE", "dev")
TABLE = os.environ["TABLE_NAME"]


def handler(event, context):
    return {
        "stage": STAGE,
        "table": TABLE,
        "region": os.environ["AWS_REGION"],
        "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "memory": int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
        "root": os.environ["LAMBDA_TASK_ROOT"] == os.path.dirname(os.path.abspath(__file__)),
        "key": os.environ["AWS_ACCESS_KEY_ID"][:4],
        "token": bool(os.environ["AWS_SESSION_TOKEN"]),
    }
