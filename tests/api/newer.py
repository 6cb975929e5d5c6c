"""Holds resources beside the types of a newer Kubernetes than the tests' cluster is: those of its Python client.

    V/bin/python tests/api/newer.py <RESOURCES        V as in haupt.py, which brings the client

RESOURCES are JSON, one a line. What has no place in the types, is of another type, or is missing is an error, for each
resource by its path. Prints how many there were, and the client's version.
"""
import json, re, sys

import kubernetes
from kubernetes.client import models

PLAIN = {"str": str, "int": int, "bool": bool, "datetime": str, "float": (int, float)}


def faults(kind, value, path):
    """What is wrong with a value of that type."""
    if kind == "object":  # such as a number or a text
        return
    if inner := re.fullmatch(r"list[\[(](.*)[\])]", kind):
        if not isinstance(value, list):
            yield f"{path}: wanted a list"
            return
        for number, item in enumerate(value):
            yield from faults(inner[1], item, f"{path}[{number}]")
    elif inner := re.fullmatch(r"dict[\[(]str, (.*)[\])]", kind):
        if not isinstance(value, dict):
            yield f"{path}: wanted an object"
            return
        for key, item in value.items():
            yield from faults(inner[1], item, f"{path}.{key}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{path}: wanted {kind}"
    elif not isinstance(value, dict):
        yield f"{path}: wanted an object"
    else:
        yield from of_model(getattr(models, kind), value, path)


def of_model(model, value, path):
    fields = {name: field for field, name in model.attribute_map.items()}
    for key, item in value.items():
        if key in fields:
            yield from faults(model.openapi_types[fields[key]], item, f"{path}.{key}")
        else:
            yield f"{path}: {model.__name__} has no field {key}"
    try:
        model(**{fields[key]: item for key, item in value.items() if key in fields})
    except ValueError as error:  # a field that must be there
        yield f"{path}: {error}"


count, wrong = 0, []
for line in sys.stdin:
    resource, count = json.loads(line), count + 1
    name = f"{resource['kind']} {resource['metadata']['name']}"
    wrong += faults({"Pod": "V1Pod", "Job": "V1Job"}[resource["kind"]], resource, name)
if wrong:
    sys.exit("\n".join(wrong))
print(count, kubernetes.__version__)
