"""How a kind behaves beyond its schema: defaults, what each kind of write may change, and its rules.

`Strategy` is what holds for every kind; a kind with rules of its own has a subclass, found through
`apiserver.registry.table`. All methods but `allocate` are pure: they read and change the objects they are given. An
object passes `default` and admission first, then `prepare_*`, then `validate*`, then it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from apimachinery import errors, names
from apimachinery.field import FieldError
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.request import User

if TYPE_CHECKING:
    from apiserver.options import Options
    from apiserver.storage import ExtraOp

# Kinds whose spec is counted in metadata.generation.
_COUNTED = frozenset(
    {
        "pods", "replicationcontrollers", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs",
        "cronjobs", "ingresses", "networkpolicies", "poddisruptionbudgets", "priorityclasses",
        "flowschemas", "prioritylevelconfigurations", "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "customresourcedefinitions", "resourceslices",
    }
)  # fmt: skip
# Upstream counts these kinds' annotations too: controllers copy them.
_ANNOTATIONS_COUNT = frozenset({"deployments"})
_RETURNED_WHEN_DELETED = frozenset(
    {
        "pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates",
        "resourcequotas",
    }
)  # fmt: skip
_CREATED_BY_UPDATE = frozenset(
    {"endpoints", "events", "leases", "limitranges", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
)
_PATH_SEGMENT_NAMES = frozenset({"roles", "rolebindings", "clusterroles", "clusterrolebindings"})
_NOT_SPEC = frozenset({"metadata", "status", "apiVersion", "kind"})
# What a write to the status may not change of the metadata; upstream lets the rest through.
_KEPT_BY_STATUS = {"deployments": ("labels",), "pods": ("ownerReferences",)}


@dataclass(slots=True)
class Context:
    """Who writes, when, and with which options; the same for all steps of one write."""

    user: User
    now: str
    manager: str
    dry_run: bool = False
    force: bool = False
    applied: bool = False  # server-side apply: its field ownership is worked out already
    checked: bool = False  # the object was just found to be all that its schema says
    options: JSON = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    before_create: Callable[[], None] | None = None  # asked if an update or patch turns out to create; may refuse


class Strategy:
    """The generic behaviour of a kind; subclasses say what differs."""

    unconditional_update = True  # may an update leave out resourceVersion?
    allocates = False  # does `allocate` do anything?
    fixed: ClassVar[tuple[str, ...]] = ()  # fields that never change, as paths

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.allow_create_on_update = kind.plural in _CREATED_BY_UPDATE
        self.counted = kind.plural in _COUNTED
        self.returns_deleted = kind.plural in _RETURNED_WHEN_DELETED
        self.has_status = any(subresource.name == "status" for subresource in kind.subresources)

    def configure(self, options: Options) -> None:
        """Take what the flags say about this kind; called once, before anything else."""

    # -- creation

    def default(self, obj: JSON) -> None:
        """Fill in what the client may leave out. Must be idempotent."""

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        """Drop what a client may not set at creation."""
        if self.has_status:
            obj.pop("status", None)

    def validate(self, obj: JSON) -> Iterable[FieldError]:
        """Every rule that the schema does not say, for a new object."""
        return ()

    def warnings(self, obj: JSON) -> list[str]:
        """What is allowed but unwise: sent as Warning headers."""
        return []

    # -- update

    def prepare_update(self, obj: JSON, old: JSON, ctx: Context) -> None:
        """Undo what a write to the object itself may not change: the status."""
        if self.has_status:
            _keep(obj, old, "status")

    def validate_update(self, obj: JSON, old: JSON) -> Iterable[FieldError]:
        """Every rule for the new object, and for the step from the old one."""
        yield from self.validate(obj)
        yield from rulewords.unchanged(obj, old, *self.fixed)

    # -- subresources that are written like the object

    def prepare_subresource(self, subresource: str, obj: JSON, old: JSON, ctx: Context) -> None:
        """Undo what a write to this subresource may not change."""
        if subresource != "status":
            raise errors.NotFound("the server could not find the requested resource")
        self.prepare_status_update(obj, old)

    def validate_subresource(self, subresource: str, obj: JSON, old: JSON) -> Iterable[FieldError]:
        """The rules of a write to this subresource."""
        return ()

    def prepare_status_update(self, obj: JSON, old: JSON) -> None:
        """The status moves, and what upstream lets through of the metadata; the rest is as stored."""
        status = obj.get("status")
        meta = obj["metadata"]
        for key in [key for key in obj if key not in _NOT_SPEC]:
            del obj[key]
        for key, value in old.items():
            if key not in _NOT_SPEC:
                obj[key] = value
        for key in _KEPT_BY_STATUS.get(self.kind.plural, ()):
            _keep(meta, old["metadata"], key)
        if status is not None:
            obj["status"] = status

    # -- deletion

    def deletion_grace(self, obj: JSON, requested: int | None) -> int | None:
        """Seconds an object is given before it goes; None or 0: it goes at once."""
        return None

    def mark_deleting(self, obj: JSON) -> None:
        """The object has just got its deletionTimestamp: say so where the kind shows it."""

    def held(self, obj: JSON) -> bool:
        """Must a deleted object stay for now?"""
        return bool(obj["metadata"].get("finalizers"))

    # -- what is allocated with the object (addresses, ports), in the same transaction

    async def allocate(self, obj: JSON, old: JSON | None, ctx: Context) -> Sequence[ExtraOp]:
        """Further keys to write with the object."""
        return ()

    def clash(self, asked: JSON, key: str) -> FieldError | None:
        """What to answer when one of the further keys is taken: the fault in `asked`, or None to choose again."""
        return None

    def release(self, obj: JSON) -> Sequence[ExtraOp]:
        """Further keys to delete with the object."""
        return ()

    # -- the same for all

    def check_name(self, name: str) -> list[str]:
        """What is wrong with a name, if anything."""
        if self.kind.plural in _PATH_SEGMENT_NAMES:
            return names.path_segment(name)
        return names.dns1123_subdomain(name)

    def spec_changed(self, obj: JSON, old: JSON) -> bool:
        """Does this write count as a new generation?"""
        if self.kind.plural in _ANNOTATIONS_COUNT:
            left, right = (each["metadata"].get("annotations") or {} for each in (obj, old))
            if left != right:
                return True
        keys = (obj.keys() | old.keys()) - _NOT_SPEC
        return any(obj.get(key) != old.get(key) for key in keys)


def _keep(obj: JSON, old: JSON, key: str) -> None:
    if key in old:
        obj[key] = old[key]
    else:
        obj.pop(key, None)
