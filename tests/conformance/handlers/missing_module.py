import pandas as pd


def handler(event, context):
    return pd.DataFrame(event["rows"]).describe().to_dict()
