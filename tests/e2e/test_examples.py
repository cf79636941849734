"""Each example of manifests/, applied as a user does and used: written to, its pods killed, read again."""

import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import ROOT, Cluster, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MANIFESTS = ROOT / "manifests"


@contextmanager
def applied(cluster: Cluster, example: str) -> Iterator[str]:
    """An example in the cluster; its namespace, which has its name."""
    cluster.kubectl("apply", "--validate=strict", "-f", str(MANIFESTS / example))
    try:
        yield example
    finally:
        cluster.kubectl("delete", "namespace", example, "--wait=false")


def rolled_out(cluster: Cluster, namespace: str, *workloads: str) -> None:
    for workload in workloads:
        cluster.kubectl("rollout", "status", "-n", namespace, workload, "--timeout=120s", timeout=130)


def page(cluster: Cluster, port: int, **form: str) -> str:
    """What a NodePort shows; a form is posted first, and the answer leads back to the page."""
    url = f"http://{cluster.node_ip(cluster.control_plane)}:{port}/"
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def shown(cluster: Cluster, port: int, text: str) -> bool:
    """Whether a page shows a text; one that does not answer just now does not."""
    try:
        return text in page(cluster, port)
    except OSError:
        return False


def replace_pods(cluster: Cluster, namespace: str, selector: str) -> None:
    cluster.kubectl("delete", "pod", "-n", namespace, "-l", selector, "--timeout=60s", timeout=70)


def test_notes_are_kept_when_every_pod_is_killed(cluster: Cluster) -> None:
    with applied(cluster, "notes") as namespace:
        rolled_out(cluster, namespace, "deployment/database", "deployment/web")
        page(cluster, 30081, note="milk & <eggs>")
        assert "<li>milk &amp; &lt;eggs></li>" in page(cluster, 30081).replace("\n", "</li>")
        replace_pods(cluster, namespace, "app in (web,database)")
        rolled_out(cluster, namespace, "deployment/database", "deployment/web")
        wait_until(lambda: shown(cluster, 30081, "milk &amp; &lt;eggs>"), "the note is there again")


def test_the_guestbook_shows_from_its_followers_what_the_leader_took(cluster: Cluster) -> None:
    with applied(cluster, "guestbook") as namespace:
        rolled_out(cluster, namespace, "deployment/redis-leader", "deployment/redis-follower", "deployment/frontend")
        page(cluster, 30082, entry="Ada was here")
        wait_until(lambda: shown(cluster, 30082, "Ada was here"), "the entry is shown")
        replace_pods(cluster, namespace, "role=follower")
        rolled_out(cluster, namespace, "deployment/redis-follower")
        wait_until(lambda: shown(cluster, 30082, "Ada was here"), "new followers have it, too")


def test_configuration_is_in_variables_and_files_and_files_follow_changes(cluster: Cluster) -> None:
    with applied(cluster, "config") as namespace:
        rolled_out(cluster, namespace, "deployment/app")
        target = ("exec", "-n", namespace, "deployment/app", "--")
        variables = cluster.kubectl(*target, "env")
        for line in ("GREETING=hello", "USERNAME=app", "APP_LOG_LEVEL=info", "POD_NAME=app-"):
            assert line in variables
        assert cluster.kubectl(*target, "cat", "/run/secrets/app/token") == "s3cr3t"
        assert "The first title" in cluster.kubectl(*target, "cat", "/etc/app/app.ini")
        body = '{"data":{"app.ini":"[page]\\ntitle = The second title\\n"}}'
        cluster.kubectl("patch", "configmap", "settings", "-n", namespace, "-p", body)

        def changed() -> bool:
            return "The second title" in cluster.kubectl(*target, "cat", "/etc/app/app.ini")

        wait_until(changed, "the file changes in the running container", seconds=90)


def test_pods_of_a_statefulset_keep_name_and_data(cluster: Cluster) -> None:
    with applied(cluster, "statefulset") as namespace:
        rolled_out(cluster, namespace, "statefulset/counter")

        def starts(of: int) -> str:
            url = f"http://counter-{of}.counter:8080/starts"
            return cluster.tried(
                "exec", "-n", namespace, "counter-0", "--", "wget", "-q", "-O", "-", url
            ).stdout.strip()

        wait_until(lambda: [starts(0), starts(1), starts(2)] == ["1", "1", "1"], "each has its own volume")
        cluster.kubectl("delete", "pod", "-n", namespace, "counter-1", "--timeout=60s", timeout=70)
        rolled_out(cluster, namespace, "statefulset/counter")
        wait_until(lambda: [starts(1), starts(2)] == ["2", "1"], "counter-1 has its old volume and name")


def test_a_job_does_its_pieces_once_each(cluster: Cluster) -> None:
    with applied(cluster, "job") as namespace:
        cluster.kubectl(
            "wait", "-n", namespace, "job/primes", "--for=condition=Complete", "--timeout=120s", timeout=130
        )
        printed = cluster.kubectl("logs", "-n", namespace, "-l", "job-name=primes", "--tail=-1")
        assert len(printed.split()) == 25, "the primes below 100"
        cluster.kubectl("create", "job", "-n", namespace, "--from=cronjob/clock", "now")
        cluster.kubectl("wait", "-n", namespace, "job/now", "--for=condition=Complete", "--timeout=60s", timeout=70)
