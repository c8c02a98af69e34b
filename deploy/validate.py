"""Holds manifests to schemas: those of Kubernetes itself, and of the resources that others define, which are given as files. Unknown fields are errors.

    validate.py KUBERNETES_VERSION MANIFEST.yaml... --crds CRD.yaml..."""

import copy
import sys

import jsonschema
import kubernetes_validate
import yaml


def strict(schema):
    """The schema of a custom resource as JSON Schema that refuses what it does not name."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: strict(v) for k, v in schema.items() if k not in ("description", "default", "example")}
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(schema.get("properties"), dict):
        out["properties"] = {k: strict(v) for k, v in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            out["additionalProperties"] = False
    if schema.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out


def custom(files):
    """Schemas by apiVersion and kind."""
    known = {}
    for file in files:
        for crd in yaml.safe_load_all(open(file)):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
                for name in ("apiVersion", "kind", "metadata"):
                    schema["properties"][name] = {"x-kubernetes-preserve-unknown-fields": True}
                known[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = strict(schema)
    return known


def main():
    version, rest = sys.argv[1], sys.argv[2:]
    cut = rest.index("--crds") if "--crds" in rest else len(rest)
    known, failed = custom(rest[cut + 1:]), 0
    for file in rest[:cut]:
        checked = []
        for m in yaml.safe_load_all(open(file)):
            if not m:
                continue
            name = f"{m['kind']}/{m['metadata']['name']}"
            try:
                if (m["apiVersion"], m["kind"]) in known:
                    jsonschema.validate(m, known[m["apiVersion"], m["kind"]])
                else:
                    kubernetes_validate.validate(m, version, strict=True)
                checked.append(name)
            except Exception as e:  # a schema that is missing counts as one that does not hold
                failed += 1
                where = ".".join(str(p) for p in getattr(e, "absolute_path", []))
                print(f"{file}: {name}: {where}: {getattr(e, 'message', e)}"[:2000])
        print(f"{file}: {len(checked)} right: {', '.join(checked)}")
    sys.exit(failed > 0)


main()
