"""`api-resources`, `api-versions`, `version`, `cluster-info`: what the server is and has, as its discovery says."""

from typing import Any, Final

import click

from apimachinery import kinds, meta
from componentbase import defaults
from kubeclient.errors import Unreachable
from kubeclient.rest import resource_path
from minikubectl.cli import cli
from minikubectl.output import to_json, to_yaml
from minikubectl.session import Failed, Session, command
from minikubectl.tables import Printer, as_table

JSON = dict[str, Any]

_HEADERS: Final = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES")


@command(cli, "api-resources")
@click.option("--api-group", "group", default=None, help="Only of this group.")
@click.option("--namespaced", type=bool, default=None, help="Only those in namespaces, or only the others.")
@click.option("--verbs", default="", help="Only those with all these verbs.")
@click.option("--no-headers", is_flag=True, help="Leave out the headers.")
@click.option("-o", "--output", type=click.Choice(["", "wide", "name"]), default="")
async def api_resources(
    session: Session, group: str | None, namespaced: bool | None, verbs: str, no_headers: bool, output: str
) -> int:
    """Show the types of objects that the server has.

    \b
    minikubectl api-resources --namespaced=false --verbs=list
    """
    wanted = set(filter(None, verbs.split(",")))
    rows = []
    for row in sorted(await session.catalog.everything(), key=lambda each: (each.group, each.plural)):
        if group not in (None, row.group) or namespaced not in (None, row.namespaced) or not wanted <= set(row.verbs):
            continue
        if output == "name":
            click.echo(row.resource)
            continue
        short, more = ",".join(row.short_names), (",".join(row.verbs), ",".join(row.categories))
        named = (row.plural, short, row.api_version, str(row.namespaced).lower(), row.kind)
        rows.append([*named, *(more if output == "wide" else ())])
    if rows:
        Printer(headers=not no_headers).show(as_table(_HEADERS[: len(rows[0])], rows))
    return 0


@command(cli, "api-versions")
async def api_versions(session: Session) -> int:
    """Show the API versions that the server has."""
    groups = await session.client.request("GET", "/apis")
    found = [each["groupVersion"] for group in groups["groups"] for each in group["versions"]]
    core = await session.client.request("GET", "/api")
    for each in sorted([*found, *core["versions"]]):
        click.echo(each)
    return 0


@command(cli, "version")
@click.option("--client", is_flag=True, help="Without asking the server.")
@click.option("-o", "--output", type=click.Choice(["", "json", "yaml"]), default="")
async def version(session: Session, client: bool, output: str) -> int:
    """Show the versions of this program and of the server."""
    known: JSON = {"clientVersion": {"gitVersion": defaults.GIT_VERSION}}
    failure: Unreachable | None = None
    if not client:
        try:
            known["serverVersion"] = await session.client.request("GET", "/version")
        except Unreachable as error:
            failure = error
    if output:
        click.echo((to_json if output == "json" else to_yaml)(known), nl=False)
    else:
        for title, key in (("Client", "clientVersion"), ("Server", "serverVersion")):
            if key in known:
                click.echo(f"{title} Version: {known[key]['gitVersion']}")
    if failure:
        raise failure
    return 0


@command(cli, "cluster-info")
async def cluster_info(session: Session) -> int:
    """Show where the control plane and the services of the cluster are."""
    lines = [("Kubernetes control plane", session.config.server)]
    listed = await session.client.list(
        kinds.SERVICE, namespace="kube-system", label_selector="kubernetes.io/cluster-service=true"
    )
    for service in listed["items"]:
        ports = service["spec"].get("ports") or [{}]
        where = meta.name(service) + (f":{ports[0]['name']}" if ports[0].get("name") else "")
        path = resource_path(kinds.SERVICE, namespace="kube-system", name=where, subresource="proxy")
        title = meta.labels(service).get("kubernetes.io/name") or meta.name(service)
        lines.append((title, session.config.server + path.replace("%3A", ":")))
    for title, where in lines:
        click.echo(f"{click.style(title, fg='green')} is running at {click.style(where, fg='yellow')}")
    click.echo("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")
    return 0


@cli.group()
def auth() -> None:
    """Who am I, and what may I do?"""


@command(auth, "whoami")
async def whoami(session: Session) -> int:
    """Show the user that the server takes us for."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await session.client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    user = answer["status"]["userInfo"]
    rows = [[name, str(user[key])] for name, key in (("Username", "username"), ("UID", "uid")) if user.get(key)]
    rows.append(["Groups", f"[{' '.join(user.get('groups') or ())}]"])
    rows += [[f"Extra: {key}", f"[{' '.join(each)}]"] for key, each in sorted((user.get("extra") or {}).items())]
    Printer().show(as_table(("ATTRIBUTE", "VALUE"), rows))
    return 0


@command(auth, "can-i")
@click.argument("words", nargs=-1)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace.")
@click.option("-q", "--quiet", is_flag=True, help="Only the exit code.")
@click.option("--list", "list_", is_flag=True, help="All that is allowed.")
@click.option("--subresource", default="", help="log, scale, ...")
async def can_i(
    session: Session, words: tuple[str, ...], everywhere: bool, quiet: bool, list_: bool, subresource: str
) -> int:
    """Say whether something is allowed: VERB TYPE[/NAME] | VERB /PATH. Exit code 1: no.

    \b
    minikubectl auth can-i create deployments -n shop
    minikubectl auth can-i get pods --as=jane
    minikubectl auth can-i --list
    """
    space = "" if everywhere else session.namespace
    if list_:
        return await _list_rules(session, space)
    if len(words) not in (2, 3):
        raise Failed("you must specify two arguments: verb resource or verb resource/resourceName.")
    verb, what, *names = words
    if what.startswith("/"):
        spec: JSON = {"nonResourceAttributes": {"verb": verb, "path": what}}
    else:
        word, _, name = what.partition("/")
        plural, _, group = word.partition(".")
        try:
            kind = await session.catalog.find(word) if word != "*" else None
        except ValueError as error:
            kind = None
            click.echo(f"Warning: {str(error).replace(chr(34), chr(39))}\n", err=True)
        if kind:
            plural, group, space = kind.plural, kind.group, space if kind.namespaced else ""
            if not kind.namespaced:
                click.echo(f"Warning: resource '{plural}' is not namespace scoped{' in group' if group else ''}"
                           f"{f' {group!r}' if group else ''}\n", err=True)  # fmt: skip
        attributes = {"verb": verb, "resource": plural, "group": group, "namespace": space}
        attributes |= {"name": names[0] if names else name, "subresource": subresource}
        spec = {"resourceAttributes": {key: each for key, each in attributes.items() if each}}
    status = (await _review(session, "SelfSubjectAccessReview", spec))["status"]
    if not quiet:
        reason = f" - {status['reason']}" if status.get("reason") and not status["allowed"] else ""
        click.echo(("yes" if status["allowed"] else "no") + reason)
    return int(not status["allowed"])


async def _review(session: Session, kind: str, spec: JSON) -> JSON:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    return await session.client.request("POST", f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body=body)


async def _list_rules(session: Session, space: str) -> int:
    status = (await _review(session, "SelfSubjectRulesReview", {"namespace": space or "*"}))["status"]
    rows = [
        [f"{resource}.{group}".rstrip("."), [], rule.get("resourceNames") or [], rule["verbs"]]
        for rule in status.get("resourceRules") or ()
        for group in rule.get("apiGroups") or ("",)
        for resource in rule.get("resources") or ()
    ]
    rows.sort(key=lambda row: (row[0].partition(".")[2], row[0]))
    urls = [(url, rule["verbs"]) for rule in status.get("nonResourceRules") or () for url in rule["nonResourceURLs"]]
    rows += [["", [url], [], verbs] for url, verbs in sorted(urls, key=lambda each: f"{each[0]}]")]
    texts = [[row[0], *(f"[{' '.join(each)}]" for each in row[1:])] for row in rows]
    Printer().show(as_table(("Resources", "Non-Resource URLs", "Resource Names", "Verbs"), texts))
    return 0
