"""The graph of owners and dependents, by UID: what the garbage collector knows, without I/O.

Informers of different kinds run apart, so a dependent may be seen before its owner: then the owner is in the graph as
*virtual*, known only by reference, until it is seen or looked up. Each method says which nodes are to be looked at now.

Invariants: `a in b.dependents` exactly when an owner reference of `a` has b's UID; a node is in the graph while it
exists as far as we were told, or something refers to it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apimachinery import meta
from apimachinery.kinds import Kind

JSON = dict[str, Any]
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_ABSENT_REMEMBERED = 5000


@dataclass(frozen=True, slots=True)
class Reference:
    """An owner reference, as far as it matters here."""

    api_version: str
    kind: str
    name: str
    uid: str
    blocking: bool

    @classmethod
    def all_of(cls, obj: JSON) -> tuple["Reference", ...]:
        """The owner references of an object."""
        return tuple(
            cls(each["apiVersion"], each["kind"], each["name"], each["uid"], bool(each.get("blockOwnerDeletion")))
            for each in obj["metadata"].get("ownerReferences") or ()
        )


@dataclass(slots=True, eq=False)
class Node:
    """One object. A virtual one has no `kind`, only a reference and a dependent's namespace to look it up by."""

    uid: str
    name: str
    namespace: str
    kind: Kind | None
    reference: Reference | None = None
    owners: tuple[Reference, ...] = ()
    dependents: set["Node"] = field(default_factory=set)
    deleting: bool = False
    foreground: bool = False  # being deleted, once its blocking dependents are gone
    orphaning: bool = False

    @property
    def virtual(self) -> bool:
        """Whether nobody has seen it yet."""
        return self.kind is None


@dataclass(slots=True)
class Work:
    """UIDs to look at: to be deleted perhaps, to have their dependents orphaned."""

    examine: list[str] = field(default_factory=list)
    orphan: list[str] = field(default_factory=list)


class Graph:
    """All nodes. Every method is called on the event loop, none waits."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._absent: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, uid: str) -> Node | None:
        """The node with that UID."""
        return self._nodes.get(uid)

    def is_absent(self, uid: str) -> bool:
        """Whether the object with that UID is known not to exist; a UID never comes back."""
        return uid in self._absent

    def observe(self, kind: Kind, obj: JSON) -> Work:
        """An object was added or changed."""
        uid = meta.uid(obj)
        node = self._nodes.get(uid)
        todo = Work()
        owners = Reference.all_of(obj)
        if node is None:
            node = self._nodes[uid] = Node(uid, meta.name(obj), meta.namespace(obj), kind)
        elif node.virtual:
            self._realize(node, kind, obj, todo)
        if owners != node.owners:
            self._relink(node, owners, todo)
        self._transition(node, obj, todo)
        return todo

    def forget(self, uid: str) -> Work:
        """The object is gone, or never was: who refers to it has one owner less."""
        todo = Work()
        self._absent[uid] = None
        if len(self._absent) > _ABSENT_REMEMBERED:
            self._absent.popitem(last=False)
        node = self._nodes.pop(uid, None)
        if node is None:
            return todo
        self._unlink(node, node.owners, todo)
        todo.examine += [dependent.uid for dependent in node.dependents]
        return todo

    def blocking(self, node: Node) -> list[Node]:
        """The dependents that a foreground deletion waits for."""
        return [each for each in node.dependents if any(own.uid == node.uid and own.blocking for own in each.owners)]

    def _realize(self, node: Node, kind: Kind, obj: JSON, todo: Work) -> None:
        """A virtual node was seen; dependents that named it by anything but its true place are to be looked at."""
        node.kind, node.name, node.namespace = kind, meta.name(obj), meta.namespace(obj)
        node.reference = None
        todo.examine += [each.uid for each in node.dependents if not self.fits(each, node)]

    def fits(self, dependent: Node, owner: Node) -> bool:
        """Whether a dependent's reference is true of the owner: its kind and name, and a namespace it can refer to."""
        if owner.kind is None:
            return True
        reachable = not owner.kind.namespaced or owner.namespace == dependent.namespace
        return reachable and all(
            own.kind == owner.kind.kind and own.name == owner.name for own in dependent.owners if own.uid == owner.uid
        )

    def _relink(self, node: Node, owners: tuple[Reference, ...], todo: Work) -> None:
        old, node.owners = node.owners, owners
        kept = {each.uid for each in owners}
        self._unlink(node, [each for each in old if each.uid not in kept], todo)
        known = {each.uid for each in old}
        for each in owners:
            if each.uid not in known:
                self._link(node, each, todo)
            elif not each.blocking:  # it may have been unblocked
                owner = self._nodes.get(each.uid)
                if owner and owner.foreground:
                    todo.examine.append(owner.uid)

    def _link(self, node: Node, reference: Reference, todo: Work) -> None:
        owner = self._nodes.get(reference.uid)
        if owner is None:
            owner = Node(reference.uid, reference.name, node.namespace, None, reference)
            self._nodes[reference.uid] = owner
            todo.examine.append(owner.uid)
        elif owner.foreground or not self.fits(node, owner):
            todo.examine.append(node.uid)
        owner.dependents.add(node)

    def _unlink(self, node: Node, references: Iterable[Reference], todo: Work) -> None:
        for each in references:
            owner = self._nodes.get(each.uid)
            if owner is None:
                continue
            owner.dependents.discard(node)
            if owner.foreground:
                todo.examine.append(owner.uid)
            if owner.virtual and not owner.dependents:
                del self._nodes[owner.uid]

    def _transition(self, node: Node, obj: JSON, todo: Work) -> None:
        """Note that a deletion has begun, in which of the three ways."""
        finalizers: Sequence[str] = obj["metadata"].get("finalizers") or ()
        node.deleting = meta.is_deleting(obj)
        orphaning = node.deleting and ORPHAN in finalizers
        if orphaning and not node.orphaning:
            todo.orphan.append(node.uid)
        node.orphaning = orphaning
        foreground = node.deleting and FOREGROUND in finalizers
        if foreground and not node.foreground:
            todo.examine += [node.uid, *(each.uid for each in node.dependents)]
        node.foreground = foreground
