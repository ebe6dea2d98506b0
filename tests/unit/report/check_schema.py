"""Checks every golden event against the JSON Schema, and that the schema refuses what it should.

usage: check_schema.py SCHEMA FOLDER
"""

import copy
import json
import pathlib
import sys

import jsonschema


def broken(event):
    """Variants of a good event that a reader must never see, each with a name."""
    variants = {}
    for name in ("id", "type", "source", "time", "data"):
        variants["without " + name] = {k: v for k, v in event.items() if k != name}
    for name, value in (("type", "email.unheard_of"), ("id", "x"), ("time", "yesterday"), ("specversion", "2.0")):
        variants[f"{name}={value}"] = {**event, name: value}
    if event["type"].startswith("email."):
        without = copy.deepcopy(event)
        del without["data"]["recipient"]
        variants["without data.recipient"] = without
    return variants


def main(schema_path, folder):
    schema = json.loads(pathlib.Path(schema_path).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failures = 0
    goldens = sorted(pathlib.Path(folder).glob("*.json"))
    for path in goldens:
        event = json.loads(path.read_text())
        for problem in validator.iter_errors(event):
            failures += 1
            print(f"{path.name}: {problem.json_path}: {problem.message}")
        for name, variant in broken(event).items():
            if validator.is_valid(variant):
                failures += 1
                print(f"{path.name}: the schema accepts it {name}")
    print(f"{len(goldens)} golden events, {failures} failures")
    return 1 if failures or not goldens else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
