"""Pods on the node agent: what they are given, how they end, what their status says."""

import json
import time
from typing import Any

import pytest

from pods import POD_IP, WEB_SERVER, Namespace, container, deployment, eventually, pod, shell

pytestmark = pytest.mark.integration

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
ASK_API = f"""
import os, ssl, urllib.error, urllib.request
tls = ssl.create_default_context(cafile="{TOKEN}/ca.crt")
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
for resource in ("configmaps", "secrets"):
    url = f"https://{{host}}:{{port}}/api/v1/namespaces/" + open("{TOKEN}/namespace").read() + "/" + resource
    request = urllib.request.Request(url, headers={{"Authorization": "Bearer " + open("{TOKEN}/token").read()}})
    try:
        print(resource, urllib.request.urlopen(request, context=tls).status)
    except urllib.error.HTTPError as error:
        print(resource, error.code)
"""


def test_rbac_is_enforced_when_a_pod_asks_the_api_with_its_own_token(namespace: Namespace) -> None:
    namespace.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace.name}:default")
    namespace.apply(pod("asker", container(["python", "-c", ASK_API]), restartPolicy="Never"))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asker", "--timeout=20s")
    assert namespace.kubectl("logs", "asker").splitlines() == ["configmaps 200", "secrets 403"]


def test_pod_sees_its_environment_and_volumes_when_it_runs(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "conf", "--from-literal=greeting=hello")
    namespace.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=xyzzy")
    environment = [
        POD_IP,
        {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "greeting"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "JOINED", "value": "$(GREETING)-$(WORD)-$$(WORD)"},
    ]
    main = shell(
        "echo $POD_IP $JOINED $CPUS $HOSTNAME $(cat /etc/conf/greeting) $(cat /hidden/word) $(cat /podinfo/app);"
        "echo kept > /scratch/file; cat /scratch/file; touch /etc/conf/new 2>/dev/null || echo read-only",
        env=environment,
        resources={"limits": {"cpu": "250m", "memory": "200Mi"}},
        volumeMounts=[
            {"name": "conf", "mountPath": "/etc/conf"},
            {"name": "hidden", "mountPath": "/hidden"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "podinfo", "mountPath": "/podinfo"},
        ],
    )
    downward = {"items": [{"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}
    volumes = [
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "hidden", "secret": {"secretName": "hidden"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "podinfo", "downwardAPI": downward},
    ]
    namespace.apply(pod("looker", main, metadata={"labels": {"app": "look"}}, volumes=volumes, restartPolicy="Never"))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/looker", "--timeout=20s")
    address = namespace.get("pod", "looker")["status"]["podIP"]
    assert address.startswith("127.")
    said = namespace.kubectl("logs", "looker").splitlines()
    assert said == [f"{address} hello-xyzzy-$(WORD) 250 looker hello xyzzy look", "kept", "read-only"]


def test_configmap_volume_follows_when_the_configmap_changes(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "conf", "--from-literal=key=before")
    main = shell("while :; do cat /conf/key; echo; sleep 0.3; done", volumeMounts=[{"name": "c", "mountPath": "/conf"}])
    volumes = [{"name": "c", "configMap": {"name": "conf"}}]
    namespace.apply(pod("watcher", main, volumes=volumes, terminationGracePeriodSeconds=0))
    eventually(lambda: "before" in namespace.kubectl("logs", "watcher", check=False))
    namespace.kubectl("patch", "configmap", "conf", "-p", '{"data":{"key":"after"}}')
    eventually(lambda: "after" in namespace.kubectl("logs", "watcher", "--tail=3"))


def test_pod_is_ready_when_probe_and_readiness_gate_agree(namespace: Namespace) -> None:
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    main = container(WEB_SERVER, env=[POD_IP], ports=[{"name": "http", "containerPort": 8080}], readinessProbe=probe)
    namespace.apply(pod("gated", main, readinessGates=[{"conditionType": "example.com/checked"}]))
    namespace.kubectl("wait", "--for=condition=ContainersReady", "pod/gated", "--timeout=20s")
    assert _condition(namespace, "gated", "Ready") == "False"
    gate = {"status": {"conditions": [{"type": "example.com/checked", "status": "True"}]}}
    namespace.kubectl("patch", "pod", "gated", "--subresource=status", "-p", json.dumps(gate))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/gated", "--timeout=10s")


def _condition(namespace: Namespace, name: str, kind: str) -> str:
    conditions = namespace.get("pod", name)["status"]["conditions"]
    return str(next(one["status"] for one in conditions if one["type"] == kind))


def test_container_restarts_when_its_liveness_probe_fails(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["test", "-e", "/scratch/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    main = shell(
        "touch /scratch/alive; trap 'exit 0' TERM; sleep 1.5; rm /scratch/alive; sleep 60 & wait", livenessProbe=probe
    )
    volumes = [{"name": "scratch", "emptyDir": {}}]
    main["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    namespace.apply(pod("mortal", main, volumes=volumes))
    eventually(lambda: namespace.status_of("mortal").get("restartCount", 0) >= 1)
    assert namespace.events("mortal", "Unhealthy")
    assert "failed liveness probe" in namespace.events("mortal", "Killing")[0]["message"]


def test_restarts_are_delayed_when_a_container_keeps_crashing(namespace: Namespace) -> None:
    namespace.apply(pod("crasher", shell("echo going down; exit 7")))
    seen = eventually(lambda: _waiting(namespace, "crasher", "CrashLoopBackOff"))
    assert seen["lastState"]["terminated"]["exitCode"] == 7
    assert seen["lastState"]["terminated"]["reason"] == "Error"
    assert "back-off" in seen["state"]["waiting"]["message"]
    assert namespace.kubectl("logs", "crasher", "--previous").strip() == "going down"


def _waiting(namespace: Namespace, name: str, reason: str) -> dict[str, Any]:
    status = namespace.status_of(name)
    return status if status.get("state", {}).get("waiting", {}).get("reason") == reason else {}


def test_container_is_oom_killed_when_it_outgrows_its_limit(namespace: Namespace) -> None:
    main = container(["python", "-c", "x = bytearray(300_000_000)"], resources={"limits": {"memory": "64Mi"}})
    namespace.apply(pod("glutton", main, restartPolicy="Never"))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/glutton", "--timeout=20s")
    terminated = namespace.status_of("glutton")["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


def test_cpu_time_is_rationed_when_a_container_has_a_cpu_limit(namespace: Namespace) -> None:
    burn = "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    main = container(["python", "-c", burn], resources={"limits": {"cpu": "200m"}})
    namespace.apply(pod("burner", main, restartPolicy="Never"))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/burner", "--timeout=30s")
    assert float(namespace.kubectl("logs", "burner")) < 0.2 * 2 * 1.5


def test_pod_starts_when_its_missing_image_appears(namespace: Namespace) -> None:
    from localcluster.spec import Image

    namespace.apply(pod("homeless", {"name": "main", "image": "not-there:v1"}))
    eventually(
        lambda: _waiting(namespace, "homeless", "ErrImagePull") or _waiting(namespace, "homeless", "ImagePullBackOff")
    )
    namespace.cluster.add_image(Image("not-there:v1", command=("sleep", "60")))
    eventually(lambda: "running" in namespace.status_of("homeless").get("state", {}))


def test_init_containers_run_in_order_before_the_main_one(namespace: Namespace) -> None:
    volume = [{"name": "shared", "mountPath": "/shared"}]
    inits = [
        {**shell(f"echo {word} >> /shared/order", volumeMounts=volume), "name": word} for word in ("first", "second")
    ]
    main = shell("cat /shared/order", volumeMounts=volume)
    volumes = [{"name": "shared", "emptyDir": {}}]
    namespace.apply(pod("staged", main, initContainers=inits, volumes=volumes, restartPolicy="Never"))
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/staged", "--timeout=20s")
    assert namespace.kubectl("logs", "staged").split() == ["first", "second"]


def test_pre_stop_and_grace_are_honoured_when_a_pod_is_deleted(namespace: Namespace) -> None:
    script = "trap 'echo told to stop; exit 0' TERM; echo up; sleep 60 & wait"
    main = shell(script, lifecycle={"preStop": {"sleep": {"seconds": 1}}})
    namespace.apply(pod("polite", main, terminationGracePeriodSeconds=20))
    eventually(lambda: "up" in namespace.kubectl("logs", "polite", check=False))
    begun = time.monotonic()
    namespace.kubectl("delete", "pod", "polite", "--timeout=15s")
    assert 1.0 <= time.monotonic() - begun < 10.0


def test_stubborn_process_is_killed_when_the_grace_is_over(namespace: Namespace) -> None:
    namespace.apply(
        pod("stubborn", shell("trap '' TERM; echo up; while :; do sleep 1; done"), terminationGracePeriodSeconds=1)
    )
    eventually(lambda: "up" in namespace.kubectl("logs", "stubborn", check=False))
    namespace.kubectl("delete", "pod", "stubborn", "--timeout=10s")


def test_deployment_rolls_out_and_answers_when_it_is_applied_and_changed(namespace: Namespace) -> None:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    main = container(WEB_SERVER, env=[POD_IP], readinessProbe=probe)
    namespace.apply(deployment("web", main, replicas=2))
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    namespace.kubectl("set", "env", "deployment/web", "VERSION=2")
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    addresses = {one["status"]["podIP"] for one in namespace.items("pods") if one["status"]["phase"] == "Running"}
    assert len(addresses) >= 2


def test_exec_is_refused_clearly(namespace: Namespace) -> None:
    namespace.apply(pod("closed", shell("sleep 60"), terminationGracePeriodSeconds=0))
    eventually(lambda: "running" in namespace.status_of("closed").get("state", {}))
    with pytest.raises(Exception, match="does not offer"):
        namespace.kubectl("exec", "closed", "--", "true")
