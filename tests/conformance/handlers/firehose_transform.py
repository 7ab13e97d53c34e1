import base64
import json

print("Loading function")


def lambda_handler(event, context):
    output = []

    for record in event["records"]:
        print(record["recordId"])
        payload = base64.b64decode(record["data"]).decode("utf-8")
        try:
            row = json.loads(payload)
        except ValueError:
            output.append({"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]})
            continue
        if row["Quantity"] < 0:
            output.append({"recordId": record["recordId"], "result": "Dropped", "data": record["data"]})
            continue
        line = json.dumps({**row, "Country": row["Country"].upper()}) + "\n"
        output_record = {
            "recordId": record["recordId"],
            "result": "Ok",
            "data": base64.b64encode(line.encode("utf-8")).decode("utf-8"),
        }
        output.append(output_record)

    print("Successfully processed {} records.".format(len(event["records"])))

    return {"records": output}
