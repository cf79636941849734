"""The OpenAPI documents' content, from the table of resources and the official definitions.

A resource gives its paths, a verb an operation with `x-kubernetes-action` and the group-version-kind, by which clients
find what a kind can do (kubectl looks at a PATCH's parameters and content types). The definitions as packaged say
`["string", "null"]` and fix kind and apiVersion: published, they are plain again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from apimachinery import definitions
from apimachinery.kinds import GVK
from apimachinery.meta import JSON
from apiserver.endpoints.discovery import own_version
from apiserver.registry.patching import CONTENT_TYPES
from apiserver.resources import Resource
from componentbase import defaults

FORMAT: Final = 1  # counted up when the documents change without the rows changing
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_V3: Final = "#/components/schemas/"
_V2: Final = "#/definitions/"
_INFO: Final = {"title": "Kubernetes", "version": defaults.GIT_VERSION}

_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_LIST: Final = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE: Final = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_TYPES: Final = {
    "allowWatchBookmarks": "boolean", "sendInitialEvents": "boolean", "watch": "boolean", "force": "boolean",
    "orphanDependents": "boolean", "limit": "integer", "timeoutSeconds": "integer", "gracePeriodSeconds": "integer",
}  # fmt: skip
# verb -> (HTTP method, action, query parameters)
_ON_ONE: Final = {
    "get": ("get", "get", ()),
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, "force")),
    "delete": ("delete", "delete", _DELETE),
    "create": ("post", "post", _WRITE),
}
_ON_ALL: Final = {
    "list": ("get", "list", _LIST),
    "create": ("post", "post", _WRITE),
    "deletecollection": ("delete", "deletecollection", (*_LIST, *_DELETE)),
}
_OPTIONS_IN_BODY: Final = frozenset({"delete", "deletecollection"})


class _Builder:
    """One document under construction: its paths, and the definitions that they need."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix  # of references: differs between the versions
        self.paths: JSON = {}
        self.names: set[str] = {_META + "Status"}
        self.extra: JSON = {}  # definitions that are not official

    def reference(self, gvk: GVK) -> JSON:
        """A schema that refers to a kind's definition."""
        try:
            name = definitions.definition_name(gvk)
        except KeyError:
            return {"type": "object"}
        self.names.add(name)
        return {"$ref": self.prefix + name}

    def named(self, name: str) -> JSON:
        self.names.add(name)
        return {"$ref": self.prefix + name}

    def definitions(self) -> JSON:
        """All definitions referred to, published."""
        return {name: _published(each, self.prefix) for name, each in sorted(definitions.closure(self.names).items())}

    def add(self, row: Resource) -> None:
        """The paths of one resource."""
        kind = row.kind
        root = f"/apis/{row.gvk.group}/{row.gvk.version}" if row.gvk.group else f"/api/{row.gvk.version}"
        scope: tuple[str, ...] = ("namespace",) if kind.namespaced else ()
        base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
        listed = GVK(row.gvk.group, row.gvk.version, kind.list_kind)
        self._path(base, kind.verbs, _ON_ALL, row.gvk, scope, answers={"list": listed})
        if kind.namespaced:
            self._path(f"{root}/{kind.plural}", kind.verbs, {"list": _ON_ALL["list"]}, row.gvk, (), {"list": listed})
        if row.store is not None:
            on_one = {verb: each for verb, each in _ON_ONE.items() if verb != "create"}
            self._path(f"{base}/{{name}}", kind.verbs, on_one, row.gvk, (*scope, "name"))
        for each in kind.subresources:
            gvk = own_version(each.gvk, row)
            self._path(f"{base}/{{name}}/{each.name}", each.verbs, _ON_ONE, gvk, (*scope, "name"))

    def _path(
        self,
        path: str,
        verbs: Iterable[str],
        table: dict[str, Any],
        gvk: GVK,
        variables: Sequence[str],
        answers: dict[str, GVK] | None = None,
    ) -> None:
        item: JSON = {}
        for verb in verbs:
            if verb in table:
                method, action, query = table[verb]
                answer = (answers or {}).get(verb, gvk)
                item[method] = self.operation(verb, action, query, gvk, answer)
        if item:
            item["parameters"] = [self.parameter(name, "path") for name in variables]
            self.paths[path] = item

    def parameter(self, name: str, place: str) -> JSON:
        """A path or query parameter."""
        found: JSON = {
            "name": name,
            "in": place,
            **self.typed({"type": _TYPES.get(name, "string"), "uniqueItems": True}),
        }
        return found | {"required": True} if place == "path" else found

    def typed(self, schema: JSON) -> JSON:
        raise NotImplementedError

    def operation(self, verb: str, action: str, query: Sequence[str], gvk: GVK, answer: GVK) -> JSON:
        raise NotImplementedError

    def _common(self, action: str, query: Sequence[str], gvk: GVK) -> JSON:
        return {
            "operationId": f"{action}{gvk.group.title().replace('.', '')}{gvk.version.title()}{gvk.kind}",
            "parameters": [self.parameter(name, "query") for name in query],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": gvk.group, "kind": gvk.kind, "version": gvk.version},
        }

    def _body(self, verb: str, gvk: GVK) -> JSON | None:
        if verb in _OPTIONS_IN_BODY:
            return self.named(_META + "DeleteOptions")
        if verb == "patch":
            return self.named(_META + "Patch")
        return self.reference(gvk) if verb in ("create", "update") else None

    def _answer(self, verb: str, gvk: GVK) -> JSON:
        return self.named(_META + "Status") if verb in _OPTIONS_IN_BODY else self.reference(gvk)


class _Builder3(_Builder):
    def typed(self, schema: JSON) -> JSON:
        return {"schema": schema}

    def operation(self, verb: str, action: str, query: Sequence[str], gvk: GVK, answer: GVK) -> JSON:
        found = self._common(action, query, gvk)
        body = self._body(verb, gvk)
        if body is not None:
            types = CONTENT_TYPES if verb == "patch" else ("*/*",)
            found["requestBody"] = {"content": {each: {"schema": body} for each in types}}
        content = {"application/json": {"schema": self._answer(verb, answer)}}
        found["responses"] = {"200": {"description": "OK", "content": content}}
        return found


class _Builder2(_Builder):
    def typed(self, schema: JSON) -> JSON:
        return schema

    def operation(self, verb: str, action: str, query: Sequence[str], gvk: GVK, answer: GVK) -> JSON:
        found = self._common(action, query, gvk)
        body = self._body(verb, gvk)
        found["consumes"] = list(CONTENT_TYPES) if verb == "patch" else ["*/*"]
        found["produces"] = ["application/json"]
        if body is not None:
            found["parameters"].append({"name": "body", "in": "body", "required": verb == "create", "schema": body})
        found["responses"] = {"200": {"description": "OK", "schema": self._answer(verb, answer)}}
        return found


def version_3(rows: Iterable[Resource]) -> JSON:
    """The document of one group-version."""
    builder = _Builder3(_V3)
    for row in rows:
        builder.add(row)
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": builder.paths,
        "components": {
            "schemas": builder.definitions(),
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "name": "authorization",
                    "in": "header",
                    "description": "Bearer Token",
                }
            },
        },
    }


def version_2(rows: Iterable[Resource]) -> JSON:
    """The one document of everything."""
    builder = _Builder2(_V2)
    for row in rows:
        builder.add(row)
    return {"swagger": "2.0", "info": _INFO, "paths": builder.paths, "definitions": builder.definitions()}


def _published(schema: JSON, prefix: str) -> JSON:
    """A definition as clients expect it: no null types, references where this document keeps them."""
    found: JSON = {}
    for key, value in schema.items():
        if key == "$ref":
            found[key] = prefix + value.rpartition("/")[2]
        elif key == "type" and isinstance(value, list):
            found[key] = next(each for each in value if each != "null")
        elif key == "properties":
            found[key] = {name: _property(name, each, prefix) for name, each in value.items()}
        elif isinstance(value, dict):
            found[key] = _published(value, prefix)
        elif key == "oneOf":
            found |= _scalar(value, prefix)
        else:
            found[key] = value
    if prefix == _V3 and "$ref" in found and len(found) > 1:
        # beside a reference nothing else counts in version 3.0, so it is wrapped
        reference = found.pop("$ref")
        found["allOf"] = [{"$ref": reference}]
    return found


def _property(name: str, schema: JSON, prefix: str) -> JSON:
    plain = {key: value for key, value in schema.items() if key != "enum"} if name in ("apiVersion", "kind") else schema
    return _published(plain, prefix)


def _scalar(alternatives: list[JSON], prefix: str) -> JSON:
    """Quantity and IntOrString: in version 3 either type; in version 2 a text, whose format allows the number."""
    numbers = [each for each in alternatives if "integer" in (each.get("type") or ())]
    named: JSON = {"format": "int-or-string"} if numbers else {}
    if prefix != _V3:
        return {"type": "string", **named}
    first, second = ("integer", "string") if numbers else ("string", "number")
    return {**named, "oneOf": [{"type": first}, {"type": second}]}
