import json
import sys


def handler(event, context):
    print("Prix: 12 €, 数量: 3, ☕")
    print(json.dumps(event))
    print("first\nsecond")
    sys.stderr.write("to stderr\n")
    return {"message": "¡Olé! 你好 ☕"}
