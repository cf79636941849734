"""Roles, their bindings, and certificate signing requests: who may do what, and how a key becomes a certificate."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

from cryptography import x509

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.registry.strategy import Context, Strategy

_RBAC = "rbac.authorization.k8s.io"
_SUBJECT_KINDS = {"ServiceAccount": "", "User": _RBAC, "Group": _RBAC}
_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip


class RoleStrategy(Strategy):
    """Role and ClusterRole."""

    def default(self, obj: JSON) -> None:
        obj.setdefault("rules", None)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        for i, rule in enumerate(obj.get("rules") or ()):
            path = f"rules[{i}]"
            if not rule.get("verbs"):
                yield field.required(f"{path}.verbs", "verbs must contain at least one value")
            if rule.get("nonResourceURLs"):
                if self.kind.namespaced:
                    text = "namespaced rules cannot apply to non-resource URLs"
                    yield field.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text)
                if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                    text = "rules cannot apply to both regular resources and non-resource URLs"
                    yield field.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text)
                continue
            if not rule.get("apiGroups"):
                text = "resource rules must supply at least one api group"
                yield field.required(f"{path}.apiGroups", text)
            if not rule.get("resources"):
                text = "resource rules must supply at least one resource"
                yield field.required(f"{path}.resources", text)


class RoleBindingStrategy(Strategy):
    """RoleBinding and ClusterRoleBinding: the role it names never changes."""

    def default(self, obj: JSON) -> None:
        reference = obj.setdefault("roleRef", {})
        if not reference.get("apiGroup"):
            reference["apiGroup"] = _RBAC
        for subject in obj.get("subjects") or ():
            if not subject.get("apiGroup") and _SUBJECT_KINDS.get(subject.get("kind") or ""):
                subject["apiGroup"] = _RBAC

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        reference = obj.get("roleRef") or {}
        allowed = ("Role", "ClusterRole") if self.kind.namespaced else ("ClusterRole",)
        yield from rulewords.one_of("roleRef.apiGroup", reference.get("apiGroup"), (_RBAC,))
        yield from rulewords.one_of("roleRef.kind", reference.get("kind") or "", allowed)
        if not reference.get("name"):
            yield field.required("roleRef.name")
        for i, subject in enumerate(obj.get("subjects") or ()):
            yield from self._subject_faults(subject, f"subjects[{i}]")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        if obj.get("roleRef") != old.get("roleRef"):
            yield field.invalid("roleRef", obj.get("roleRef"), "cannot change roleRef")

    def _subject_faults(self, subject: JSON, path: str) -> Iterator[FieldError]:
        kind = subject.get("kind") or ""
        if not subject.get("name"):
            yield field.required(f"{path}.name")
        if kind not in _SUBJECT_KINDS:
            yield field.not_supported(f"{path}.kind", kind, tuple(_SUBJECT_KINDS))
        elif (subject.get("apiGroup") or "") != _SUBJECT_KINDS[kind]:
            yield field.not_supported(f"{path}.apiGroup", subject.get("apiGroup"), (_SUBJECT_KINDS[kind],))
        if kind == "ServiceAccount" and not subject.get("namespace") and not self.kind.namespaced:
            yield field.required(f"{path}.namespace")


class SigningRequestStrategy(Strategy):
    """certificates.k8s.io/v1 CertificateSigningRequest: the server says who asks; the request itself never changes."""

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        super().prepare_create(obj, ctx)
        spec = obj.setdefault("spec", {})
        spec["username"], spec["groups"] = ctx.user.name, list(ctx.user.groups)
        for name, value in (("uid", ctx.user.uid), ("extra", {k: list(v) for k, v in ctx.user.extra.items()})):
            spec.pop(name, None)
            if value:
                spec[name] = value

    def prepare_update(self, obj: JSON, old: JSON, ctx: Context) -> None:
        super().prepare_update(obj, old, ctx)
        obj["spec"] = old["spec"]

    def prepare_subresource(self, subresource: str, obj: JSON, old: JSON, ctx: Context) -> None:
        wanted, before = obj.get("status") or {}, old.get("status") or {}
        if subresource == "approval":
            status = {**before, "conditions": _stamped(wanted.get("conditions") or [], ctx.now)}
        else:
            status = dict(wanted)
            decided = [c for c in before.get("conditions") or () if c["type"] in ("Approved", "Denied")]
            others = [c for c in wanted.get("conditions") or () if c["type"] not in ("Approved", "Denied")]
            status["conditions"] = _stamped(decided + others, ctx.now)
        obj["spec"], obj["status"] = old["spec"], {key: value for key, value in status.items() if value}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        try:
            x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or ""))
        except (ValueError, binascii.Error):
            text = "PEM block type must be CERTIFICATE REQUEST"
            yield field.invalid("spec.request", spec.get("request") or "", text)
        if not spec.get("usages"):
            yield field.required("spec.usages", "usages must be provided")
        for i, usage in enumerate(spec.get("usages") or ()):
            yield from rulewords.one_of(f"spec.usages[{i}]", usage, _USAGES)
        if not spec.get("signerName"):
            yield field.required("spec.signerName", "signerName must be provided")
        elif "/" not in spec["signerName"]:
            text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
            yield field.invalid("spec.signerName", spec["signerName"], text)
        if spec.get("expirationSeconds") is not None and spec["expirationSeconds"] < 600:
            text = "may not specify a duration less than 600 seconds (10 minutes)"
            yield field.invalid("spec.expirationSeconds", spec["expirationSeconds"], text)

    def validate_update(self, obj: JSON, old: JSON) -> Iterable[FieldError]:
        return ()  # nothing of it changes

    def validate_subresource(self, subresource: str, obj: JSON, old: JSON) -> Iterator[FieldError]:
        def decided(csr: JSON) -> set[str]:
            return {c["type"] for c in (csr.get("status") or {}).get("conditions") or ()} & {"Approved", "Denied"}

        if len(decided(obj)) > 1:
            text = "Approved and Denied conditions are mutually exclusive"
            yield field.invalid("status.conditions", "Approved", text)
        for gone in decided(old) - decided(obj):
            yield field.forbidden("status.conditions", f"updates may not remove a condition of type {gone!r}")
        before = (old.get("status") or {}).get("certificate")
        if before and (obj.get("status") or {}).get("certificate") != before:
            text = "updates may not set certificate content"
            yield field.forbidden("status.certificate", text)


def _stamped(conditions: list[JSON], now: str) -> list[JSON]:
    """Conditions with the times that the server fills in."""
    return [
        {"status": "True", **entry, "lastUpdateTime": entry.get("lastUpdateTime") or now,
         "lastTransitionTime": entry.get("lastTransitionTime") or now}
        for entry in conditions
    ]  # fmt: skip
