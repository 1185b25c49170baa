"""Checks an OpenAPI document, and that answers are what it says of them.

Standard input: {"document": …, "answers": [[method, path, status, body], …], "bodies": [[method, path, body], …]}, paths as the document has them.
Standard output: a line for each thing that is wrong, and at last how many were looked at. What an answer holds has to be in the document, field by
field: so that a field which is sent and not described is found, too.
"""

import copy
import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource


def closed(schema):
    """The same, where no field may be that it does not name."""
    if isinstance(schema, dict):
        for value in schema.values():
            closed(value)
        if "properties" in schema and "additionalProperties" not in schema:
            schema["unevaluatedProperties"] = False
    elif isinstance(schema, list):
        for value in schema:
            closed(value)
    return schema


def main():
    said = json.load(sys.stdin)
    document = said["document"]
    wrong = [f"the document: {error.message} at {list(error.path)}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    strict = closed(copy.deepcopy(document))
    registry = Registry().with_resource("urn:document", Resource.from_contents(strict, default_specification=__import__("referencing.jsonschema", fromlist=["DRAFT202012"]).DRAFT202012))

    def check(what, schema, value):
        schema = json.loads(json.dumps(schema).replace('"#/components/', '"urn:document#/components/'))
        for error in Draft202012Validator(schema, registry=registry).iter_errors(value):
            wrong.append(f"{what}: {error.message[:300]} at {list(error.absolute_path)}")

    for method, path, status, body in said["answers"]:
        what = f"{method} {path} {status}"
        response = strict["paths"].get(path, {}).get(method.lower(), {}).get("responses", {}).get(str(status))
        if response is None:
            wrong.append(f"{what}: the document does not say that this may be answered")
            continue
        (media,) = response["content"].values()
        check(what, media["schema"], body)
    for method, path, body in said["bodies"]:
        (media,) = strict["paths"][path][method.lower()]["requestBody"]["content"].values()
        check(f"the body of {method} {path}", media["schema"], body)
    for line in wrong:
        print(line)
    print(f"{len(said['answers'])} answers and {len(said['bodies'])} bodies")


main()
