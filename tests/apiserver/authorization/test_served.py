"""Who may what, asked of a real server: certificates, tokens and reviews over the wire."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from componentbase import pki
from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[pki.Pair, Path]:
    directory = tmp_path_factory.mktemp("pki")
    pair = pki.new_ca("ca")
    pki.write_pair(pair, directory / "ca.crt", directory / "ca.key")
    (directory / "sa.key").write_bytes(pki.key_pem(pki.new_key()))
    return pair, directory


@pytest.fixture(scope="module")
def server(start_api_server: Callable[..., APIServerProcess], authority: tuple[pki.Pair, Path]) -> APIServerProcess:
    directory = authority[1]
    return start_api_server(
        f"--client-ca-file={directory / 'ca.crt'}",
        f"--service-account-signing-key-file={directory / 'sa.key'}",
        f"--service-account-key-file={directory / 'sa.key'}",
        "--enable-admission-plugins=NodeRestriction",
    )


def by_certificate(
    server: APIServerProcess, authority: tuple[pki.Pair, Path], path: str, name: str, *groups: str
) -> tuple[int, Any]:
    pair, directory = authority
    files = directory / "client.crt", directory / "client.key"
    pki.write_pair(pki.issue(pair, name, organizations=groups, client=True), *files)
    context = ssl._create_unverified_context()
    context.load_cert_chain(*files)
    try:
        with urllib.request.urlopen(server.url + path, context=context, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def whoami(server: APIServerProcess, **more: Any) -> Any:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = server.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, **more)
    return answer.json()["status"]["userInfo"] if answer.code == 201 else answer.json()


def may(server: APIServerProcess, user: str, verb: str, resource: str, group: str = "") -> Any:
    spec = {"user": user, "resourceAttributes": {"verb": verb, "resource": resource, "group": group}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    assert answer.code == 201, answer.body
    return answer.json()["status"]


def account(server: APIServerProcess, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    assert server.request("POST", ACCOUNTS, body).code in (201, 409)


def token(server: APIServerProcess, name: str, **spec: Any) -> Any:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = server.request("POST", f"{ACCOUNTS}/{name}/token", body)
    return answer.json()["status"]["token"] if answer.code == 201 else answer.json()


def test_a_certificate_is_a_user(server: APIServerProcess, authority: tuple[pki.Pair, Path]) -> None:
    code, status = by_certificate(server, authority, "/api/v1/pods", "bob", "devs")
    assert code == 403
    assert status["message"] == (
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster scope'
    )
    assert by_certificate(server, authority, "/api/v1/pods", "root", "system:masters")[0] == 200
    assert by_certificate(server, authority, "/api/v1/nodes", "system:kube-scheduler")[0] == 200


def test_anonymous_sees_health_and_nothing_else(server: APIServerProcess) -> None:
    assert server.request("GET", "/readyz", token="").code == 200
    refusal = server.request("GET", "/api/v1/pods", token="")
    assert refusal.code == 403
    assert 'User "system:anonymous"' in refusal.json()["message"]


def test_a_wrong_token_is_unauthorized(server: APIServerProcess) -> None:
    answer = server.request("GET", "/readyz", token="wrong")
    assert (answer.code, answer.json()["message"], answer.json()["reason"]) == (401, "Unauthorized", "Unauthorized")


def test_a_service_account_token_lives_as_long_as_its_account(server: APIServerProcess) -> None:
    account(server, "bot")
    secret = token(server, "bot")
    user = whoami(server, token=secret)
    assert user["username"] == "system:serviceaccount:default:bot"
    assert "system:serviceaccounts:default" in user["groups"]
    assert server.request("DELETE", f"{ACCOUNTS}/bot").code == 200
    assert whoami(server, token=secret)["code"] == 401


def test_token_requests_are_checked(server: APIServerProcess) -> None:
    account(server, "bot2")
    assert "may not specify a duration less than 10 minutes" in token(server, "bot2", expirationSeconds=10)["message"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "none"}
    assert token(server, "bot2", boundObjectRef=bound)["message"] == 'pods "none" not found'
    assert token(server, "absent")["message"] == 'serviceaccounts "absent" not found'
    other = token(server, "bot2", audiences=["vault"])
    assert whoami(server, token=other)["code"] == 401
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": other, "audiences": ["vault", "x"]},
    }
    status = server.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).json()["status"]
    assert (status["authenticated"], status["audiences"]) == (True, ["vault"])


def test_a_binding_counts_at_once(server: APIServerProcess) -> None:
    assert not may(server, "carl", "list", "nodes")["allowed"]
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "nodes"},
        "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["nodes"]}],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "nodes"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "nodes"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "carl"}],
    }
    assert server.request("POST", f"/apis/{group}/v1/clusterroles", role).code == 201
    assert server.request("POST", f"/apis/{group}/v1/clusterrolebindings", binding).code == 201
    assert may(server, "carl", "list", "nodes") == {
        "allowed": True,
        "reason": 'RBAC: allowed by ClusterRoleBinding "nodes" of ClusterRole "nodes" to User "carl"',
    }
    assert server.request("DELETE", f"/apis/{group}/v1/clusterrolebindings/nodes").code == 200
    assert not may(server, "carl", "list", "nodes")["allowed"]


def test_impersonation_is_asked_for(server: APIServerProcess) -> None:
    user = whoami(server, headers={"Impersonate-User": "bob", "Impersonate-Group": "devs"})
    assert (user["username"], user["groups"]) == ("bob", ["devs", "system:authenticated"])
    refusal = whoami(server, token="jane-token", headers={"Impersonate-User": "bob"})
    assert refusal["message"] == (
        'users "bob" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope'
    )


def test_nobody_escalates(server: APIServerProcess) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "jane"}],
    }
    path = f"/apis/{group}/v1/namespaces/default/rolebindings"
    assert server.request("POST", path, binding, token="jane-token").code == 403
    assert server.request("POST", path, binding).code == 201
    binding["metadata"], binding["roleRef"]["name"] = {"name": "more"}, "cluster-admin"
    refusal = server.request("POST", path, binding, token="jane-token")
    assert refusal.code == 403
    assert (
        'user "jane" (groups=["developers" "system:authenticated"]) is attempting to grant RBAC permissions not '
        "currently held:\n" in refusal.json()["message"]
    )


def test_a_node_has_its_own_and_no_more(server: APIServerProcess, authority: tuple[pki.Pair, Path]) -> None:
    node = ("system:node:n1", "system:nodes")
    assert by_certificate(server, authority, "/api/v1/nodes", *node)[0] == 200
    code, status = by_certificate(server, authority, "/api/v1/namespaces/default/secrets/x", *node)
    assert code == 403
    assert status["message"].endswith("no relationship found between node 'n1' and this object")


def test_default_policy_is_there_and_lets_no_service_be_a_master(server: APIServerProcess) -> None:
    group = "/apis/rbac.authorization.k8s.io/v1"
    roles = {each["metadata"]["name"] for each in server.request("GET", f"{group}/clusterroles").json()["items"]}
    assert {"cluster-admin", "admin", "edit", "view", "system:node", "system:kube-scheduler"} <= roles
    for binding in server.request("GET", f"{group}/clusterrolebindings").json()["items"]:
        for subject in binding.get("subjects") or ():
            assert (subject["name"] == "system:masters") is (binding["metadata"]["name"] == "cluster-admin")


def test_pods_get_a_token_and_unknown_accounts_are_refused(server: APIServerProcess) -> None:
    account(server, "default")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    made = server.request("POST", "/api/v1/namespaces/default/pods", pod).json()
    assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
    pod["spec"]["serviceAccountName"], pod["metadata"]["name"] = "nobody", "q"
    refusal = server.request("POST", "/api/v1/namespaces/default/pods", pod)
    assert refusal.json()["message"] == (
        'pods "q" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
    )


def test_streams_say_what_is_wrong_before_they_begin(server: APIServerProcess) -> None:
    account(server, "default")
    containers = [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec": {"containers": containers}}
    assert server.request("POST", "/api/v1/namespaces/default/pods", pod).code == 201
    base = "/api/v1/namespaces/default/pods/two"
    for path, code, message in (
        ("/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("/log?container=c", 400, "container c is not valid for pod two"),
        (
            "/log?container=a&tailLines=-1",
            422,
            'PodLogOptions "" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        ("/exec?container=a&command=ls", 400, "pod two does not have a host assigned"),
    ):
        answer = server.request("GET", base + path)
        assert (answer.code, answer.json()["message"]) == (code, message)
    assert server.request("GET", f"{base}/log?container=a").code == 204


def test_kubectl_asks_and_is_answered(server: APIServerProcess) -> None:
    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", f"--kubeconfig={server.kubeconfig()}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    refused = kubectl("get", "pods", "--as=bob")
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        'Error from server (Forbidden): pods is forbidden: User "bob" cannot list resource "pods" in API group "" in '
        'the namespace "default"'
    )
    assert kubectl("get", "nodes", "--as=system:kube-scheduler").returncode == 0
    # what kubectl sends as protobuf
    assert kubectl("auth", "can-i", "list", "pods").stdout.strip() == "yes"
    assert kubectl("auth", "can-i", "list", "pods", "--as=bob").stdout.strip() == "no"
    assert "system:masters" in kubectl("auth", "whoami").stdout
    account(server, "bot3")
    secret = kubectl("create", "token", "bot3").stdout.strip()
    assert whoami(server, token=secret)["username"] == "system:serviceaccount:default:bot3"


def test_who_may_patch_may_not_create_by_it(server: APIServerProcess) -> None:
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "patcher"},
        "rules": [{"verbs": ["patch"], "apiGroups": [""], "resources": ["configmaps"]}],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "jane"}],
    }
    assert server.request("POST", f"/apis/{group}/v1/clusterroles", role).code == 201
    assert server.request("POST", f"/apis/{group}/v1/clusterrolebindings", binding).code == 201
    path = "/api/v1/namespaces/kube-public/configmaps/applied?fieldManager=x"
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "b"}}

    def apply(token: str) -> Any:
        return server.request("PATCH", path, wanted, token=token, content_type="application/apply-patch+yaml")

    refusal = apply("jane-token")
    assert refusal.code == 403
    assert refusal.json()["message"] == (
        'configmaps "applied" is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the '
        'namespace "kube-public"'
    )
    assert apply("admin-token").code == 201
    assert apply("jane-token").code == 200
