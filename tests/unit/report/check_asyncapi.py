"""Checks docs/schemas/reports.asyncapi.json: that its references lead somewhere, that it has what AsyncAPI 3.0 asks for,
and that it says of the golden events what the code does with them.

usage: check_asyncapi.py ASYNCAPI FOLDER
"""
import json
import pathlib
import sys

import jsonschema

problems = []


def resolve(reference, document, folder):
    path, _, pointer = reference.partition("#")
    found = json.loads((folder / path).read_text()) if path else document
    for part in filter(None, pointer.split("/")):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def walk(value, document, folder, at=""):
    if isinstance(value, dict):
        if "$ref" in value:
            try:
                resolve(value["$ref"], document, folder)
            except (KeyError, OSError) as error:
                problems.append(f"{at}: {value['$ref']} leads nowhere ({error})")
        for name, inner in value.items():
            walk(inner, document, folder, f"{at}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            walk(inner, document, folder, f"{at}/{index}")


def require(value, names, at):
    problems.extend(f"{at} has no {name}" for name in names if name not in value)


def check_form(document):
    """What AsyncAPI 3.0 requires of the objects that stand here."""
    require(document, ("asyncapi", "info", "channels", "operations"), "the document")
    if not document["asyncapi"].startswith("3.0."):
        problems.append("it is not AsyncAPI 3.0")
    require(document["info"], ("title", "version"), "info")
    for name, server in document["servers"].items():
        require(server, ("host", "protocol"), f"servers.{name}")
    for name, channel in document["channels"].items():
        require(channel, ("address", "messages"), f"channels.{name}")
        placeholders = {part.split("}")[0] for part in channel["address"].split("{")[1:]}
        if placeholders != set(channel.get("parameters", {})):
            problems.append(f"channels.{name}: its parameters are not those of its address")
    for name, operation in document["operations"].items():
        require(operation, ("action", "channel"), f"operations.{name}")
        if operation["action"] not in ("send", "receive"):
            problems.append(f"operations.{name}: {operation['action']} is no action")


def main(path, goldens):
    path = pathlib.Path(path)
    document = json.loads(path.read_text())
    walk(document, document, path.parent)
    check_form(document)
    checked = 0
    for name, message in document["components"]["messages"].items():
        schema = resolve(message["payload"]["schema"]["$ref"], document, path.parent)
        for golden in sorted(pathlib.Path(goldens).glob("*.json")):
            checked += 1
            for problem in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(golden.read_text())):
                problems.append(f"{golden.name} is no payload of {name}: {problem.message}")
        jsonschema.Draft202012Validator.check_schema(message["headers"])
    print("\n".join(problems) or f"{checked} payloads checked")
    return 1 if problems or not checked else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
