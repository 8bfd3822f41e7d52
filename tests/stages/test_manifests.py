"""Manifests of Kubernetes: those of the template and of others who mean it well end green, sabotaged ones red."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from verify.result import Check, Options, Outcome
from verify.stages.configuration import deployed

from ..conftest import Emit

PACKAGE = "orders_api"
RESTRICTED: dict[str, Any] = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
SERVE = ["python", "-m", PACKAGE, "serve", "--host", "0.0.0.0"]  # noqa: S104 - in a container
AUTOSCALER = "kind: HorizontalPodAutoscaler\nspec: {maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: %s}}\n"
PATCH = "spec: {template: {spec: {containers: [{name: api, %s}]}}}"


def container(**more: Any) -> dict[str, Any]:
    base = {"name": "api", "image": "registry.example/orders-api:1", "securityContext": RESTRICTED}
    return {**base, "resources": {"limits": {"memory": "512Mi"}}, **more}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"containers": list(containers or (container(),)), **spec}


def manifest(spec: dict[str, Any], kind: str = "Deployment") -> str:
    inner: dict[str, Any] = {"template": {"spec": spec}}
    inner = {"Pod": spec, "CronJob": {"jobTemplate": {"spec": inner}}}.get(kind, inner)
    return yaml.safe_dump({"apiVersion": "v1", "kind": kind, "metadata": {"name": "api"}, "spec": inner})


def without(key: str, **more: Any) -> dict[str, Any]:
    return container(securityContext={name: each for name, each in RESTRICTED.items() if name != key} | more)


def patched(text: str) -> dict[str, str]:
    """A kustomization that changes something in what another file describes."""
    return {"prod/kustomization.yaml": yaml.safe_dump({"patches": [{"target": {"kind": "Deployment"}, "patch": text}]})}


def replaced(path: str, value: Any) -> str:
    return yaml.safe_dump([{"op": "replace", "path": f"/spec/template/spec/{path}", "value": value}])


SABOTAGED: dict[str, tuple[str | dict[str, str], str]] = {
    **{
        f"replicas that count in memory: {value or 'nothing said'}": (
            manifest(pod(container(env=[{"name": "APP_STORE_URL", "value": value}] if value else []))).replace(
                "spec:\n", "spec:\n  replicas: 3\n", 1
            ),
            "kubernetes.replicas insecure 3 containers, and each counts in memory",
        )
        for value in ("memory://", "")
    },
    "an autoscaler beside it": (
        {"k8s/api.yaml": manifest(pod()), "k8s/hpa.yaml": AUTOSCALER % "api"},
        "kubernetes.replicas insecure up to 9 containers",
    ),
    "root": (manifest(pod(container(securityContext=RESTRICTED | {"runAsUser": 0}))), "runAsUser: 0"),
    "root, said of the pod": (manifest(pod(without("runAsNonRoot"), securityContext={"runAsUser": 0})), "runAsUser: 0"),
    "root, as runAsNonRoot": (manifest(pod(without("x", runAsNonRoot=False))), "runAsNonRoot: false"),
    "the group of root": (manifest(pod(without("x", runAsGroup=0))), "runAsGroup: 0"),
    "the socket of docker": (
        manifest(pod(volumes=[{"name": "x", "hostPath": {"path": "/var/run/docker.sock"}}])),
        "hostPath: /var/run/docker.sock",
    ),
    "the socket of containerd": (
        manifest(pod(volumes=[{"name": "x", "hostPath": {"path": "/run/containerd/containerd.sock"}}])),
        "hostPath",
    ),
    "a folder of the node": (
        manifest(pod(volumes=[{"hostPath": {"path": "/mnt/x"}}])),
        "hostPath: /mnt/x",
    ),
    "a port of the node": (manifest(pod(container(ports=[{"hostPort": 80}]))), "hostPort: 80"),
    "no profile of AppArmor": (manifest(pod(without("x", appArmorProfile={"type": "Unconfined"}))), "appArmorProfile"),
    "all of /proc": (manifest(pod(without("x", procMount="Unmasked"))), "procMount: unmasked"),
    "a container to look into another": (manifest(pod(ephemeralContainers=[container(securityContext={})])), "misses"),
    "a variable in its words": (
        manifest(pod(container(args=[*SERVE, "$(MORE)"], env=[{"name": "MORE", "value": "--dev"}]))),
        "start insecure .*--dev",
    ),
    "ours by its ConfigMap": (
        manifest(pod({"name": "x", "image": "acme/backend", "envFrom": [{"configMapRef": {"name": "x"}}]}))
        + "---\nkind: ConfigMap\nmetadata: {name: x}\ndata: {APP_ALLOWED_HOSTS: x.example}\n",
        "confined insecure",
    ),
    "an autoscaler of KEDA": (
        {
            "k8s/api.yaml": manifest(pod()),
            "k8s/x.yaml": "kind: ScaledObject\nspec: {maxReplicaCount: 9, scaleTargetRef: {name: api}}\n",
        },
        "kubernetes.replicas insecure up to 9 containers",
    ),
    "replicas of a kustomization": (
        {"k8s/api.yaml": manifest(pod()), "prod/kustomization.yaml": "replicas:\n  - {name: api, count: 7}\n"},
        "kubernetes.replicas insecure 7 containers",
    ),
    "a Secret": ({"k8s/x.yaml": "kind: Secret\nstringData: {APP_ENV: development}\n"}, "start insecure APP_ENV"),
    "a Secret, encoded": ({"k8s/x.yaml": "kind: Secret\ndata: {APP_DOCS: dHJ1ZQ==}\n"}, "start insecure APP_DOCS=true"),
    "a generated Secret": (
        {"prod/kustomization.yaml": "secretGenerator: [{name: x, literals: [APP_DOCS=true]}]"},
        "start insecure APP_DOCS=true",
    ),
    "operations in a file": (
        {"prod/patch.yaml": replaced("containers/0/args", [*SERVE, "--dev"])},
        "prod/patch.yaml kubernetes.start insecure .*--dev",
    ),
    "the files of the node": (manifest(pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}])), "hostPath: /"),
    "privileged": (manifest(pod(without("x", privileged=True))), "privileged: true"),
    "the network of the node": (manifest(pod(hostNetwork=True)), "hostNetwork: true"),
    "the processes of the node": (manifest(pod(hostPID=True)), "hostPID: true"),
    "a capability": (manifest(pod(without("x", capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}))), "SYS_ADMIN"),
    "no profile": (manifest(pod(without("seccompProfile"))), "misses seccompProfile"),
    "a profile of none": (manifest(pod(without("x", seccompProfile={"type": "Unconfined"}))), "Unconfined"),
    "no context at all": (manifest(pod(container(securityContext={}))), "misses readOnly.*runAsNonRoot.*drop: .ALL"),
    "a file system to write to": (manifest(pod(without("x", readOnlyRootFilesystem=False))), "readOnlyRootFilesystem"),
    "memory without a bound": (manifest(pod(container(resources={}))), "limits: {memory}"),
    "without serve": (manifest(pod(container(args=["python", "-m", PACKAGE]))), "start insecure .*without `serve`"),
    "--dev": (manifest(pod(container(args=[*SERVE, "--dev"]))), "start insecure .*--dev"),
    "--dev alone": (manifest(pod(container(args=["--dev"]))), "start insecure .*--dev"),
    "--dev in a command": (manifest(pod(container(command=[*SERVE, "--dev"]))), "start insecure .*--dev"),
    "--dev in a shell": (
        manifest(pod(container(command=["sh", "-c"], args=[f"exec python -m {PACKAGE} serve --dev"]))),
        "start insecure .*--dev",
    ),
    "another server": (manifest(pod(container(command=["uvicorn", "orders_api.app:app"]))), "start insecure .*uvicorn"),
    "development": (
        manifest(pod(container(env=[{"name": "APP_ENV", "value": "development"}]))),
        "start insecure APP_ENV=development",
    ),
    "development out of a Secret, beside what is no text": (
        "kind: Secret\ndata: {x: /w==, APP_ENV: ZGV2ZWxvcG1lbnQ=}\n",
        "start insecure APP_ENV=development",
    ),
    "development beside a value that says its type": (
        "kind: ConfigMap\ndata: {x: !!timestamp tomorrow, APP_ENV: development}\n",
        "start insecure APP_ENV=development",
    ),
    "development out of a ConfigMap": (
        yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "data": {"APP_ENV": "development"}}),
        "start insecure APP_ENV=development",
    ),
    "development out of a generated one": (
        {"prod/kustomization.yaml": "configMapGenerator: [{name: x, literals: [APP_DOCS=true]}]"},
        "start insecure APP_DOCS=true",
    ),
    "development out of a file of it": (
        {"prod/kustomization.yml": "configMapGenerator: [{name: x, envs: [x.env]}]", "prod/x.env": "APP_DOCS=true\n"},
        "start insecure APP_DOCS=true",
    ),
    "the other containers": (manifest(pod(initContainers=[container(securityContext={})])), "confined insecure"),
    "a list": (
        json.dumps({"kind": "List", "items": [json.loads(json.dumps(yaml.safe_load(manifest(pod(hostIPC=True)))))]}),
        "hostIPC",
    ),
    "the second document": (manifest(pod()) + "---\n" + manifest(pod(hostPID=True), "StatefulSet"), "hostPID"),
    "JSON": ({"k8s/api.json": json.dumps(yaml.safe_load(manifest(pod(hostPID=True))))}, "hostPID"),
    "a patch with --dev": (patched(PATCH % f"args: {json.dumps([*SERVE, '--dev'])}"), "start insecure .*--dev"),
    "a patch of the file system": (patched(PATCH % "securityContext: {readOnlyRootFilesystem: false}"), "readOnlyRoot"),
    "a patch of the pod": (patched("spec: {template: {spec: {hostNetwork: true}}}"), "hostNetwork"),
    "a patch in a file": (
        {"prod/patch.yaml": f"kind: Deployment\n{PATCH % 'securityContext: {runAsUser: 0}'}"},
        "runAsUser",
    ),
    "an operation": (patched(replaced("containers/0/args", [*SERVE, "--dev"])), "start insecure .*--dev"),
    "an operation on one word": (
        patched(replaced("containers/0/securityContext/privileged", True)),
        "privileged: true",
    ),
    "an operation that takes it away": (
        patched('[{"op": "remove", "path": "/spec/template/spec/containers/0/securityContext"}]'),
        "securityContext: null",
    ),
    "a patch that takes a part away": (
        patched(PATCH % "securityContext: {readOnlyRootFilesystem: null}"),
        "readOnlyRootFilesystem: null",
    ),
    "an operation that adds a variable": (
        patched(replaced("containers/0/env/-", {"name": "APP_ENV", "value": "development"})),
        "start insecure APP_ENV=development",
    ),
    **{
        f"a {kind}": (manifest(pod(hostNetwork=True), kind), "hostNetwork")
        for kind in ("Pod", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout", "Service")
    },
}
HONEST: dict[str, str | dict[str, str]] = {
    "as restricted asks": manifest(pod()),
    "said of the pod": manifest(
        pod(
            container(securityContext={key: RESTRICTED[key] for key in list(RESTRICTED)[1:4]}),
            securityContext={"runAsUser": 10001, "seccompProfile": {"type": "Localhost", "localhostProfile": "x"}},
        )
    ),
    "serve, said": manifest(pod(container(args=SERVE))),
    "a low port": manifest(pod(without("x", capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}))),
    "another application": manifest(pod({"name": "web", "image": "nginx"})),
    "replicas with a store": manifest(
        pod(container(env=[{"name": "APP_STORE_URL", "value": "redis://r:6379/0"}]))
    ).replace("spec:\n", "spec:\n  replicas: 3\n", 1),
    "replicas with a store that a Secret says": manifest(
        pod(container(envFrom=[{"secretRef": {"name": "x"}}]))
    ).replace("spec:\n", "spec:\n  replicas: 3\n", 1),
    "replicas with a store that an overlay says": {
        "k8s/api.yaml": manifest(pod()).replace("spec:\n", "spec:\n  replicas: 3\n", 1),
        "prod/patch.yaml": f"kind: Deployment\nmetadata: {{name: api}}\n{PATCH % 'env: [{name: APP_STORE_URL, value: redis://r}]'}",
    },
    "an autoscaler of something else": {"k8s/api.yaml": manifest(pod()), "k8s/hpa.yaml": AUTOSCALER % "web"},
    "a sidecar of others": manifest(pod(container(), {"name": "proxy", "image": "envoyproxy/envoy:v1"})),
    "a migration": manifest(pod(container(args=["alembic", "upgrade", "head"])), "Job"),
    "a patch of replicas": {"prod/patch.yaml": "kind: Deployment\nmetadata: {name: api}\nspec: {replicas: 5}\n"},
    "a patch of memory": {"prod/patch.yaml": f"kind: Deployment\n{PATCH % 'resources: {limits: {memory: 1Gi}}'}"},
    "a patch of the image": patched(PATCH % "imagePullPolicy: Always"),
    "an operation on replicas": patched('[{"op": "replace", "path": "/spec/replicas", "value": 5}]'),
    "for development": {"overlays/dev/patch.yaml": f"kind: Deployment\n{PATCH % 'args: [--dev]'}"},
    "a template of a chart": {
        "chart/templates/api.yaml": "kind: Deployment\nspec: {{- toYaml .Values | nindent 2 }}\n",
        "chart/Chart.yaml": "name: orders\n",
    },
    "what others have named so": {"x.yaml": "kind: Rollout\nspec: {template: {spec: {containers: [{image: x}]}}}\n"},
    "a Secret": "kind: Secret\ndata: {APP_ENV: cHJvZHVjdGlvbg==, x: '***'}\n",
    "operations in a file": {"prod/patch.yaml": replaced("containers/0/image", "x")},
    "replicas of another": {
        "k8s/api.yaml": manifest(pod()),
        "kustomization.yml": "replicas: [{name: x, count: 7}]\n",
    },
    "production, in a ConfigMap": yaml.safe_dump({"kind": "ConfigMap", "data": {"APP_ENV": "production", "x": "y"}}),
}


def looked(folder: Path, files: str | dict[str, str]) -> list[Check]:
    for name, text in (files if isinstance(files, dict) else {"k8s/api.yaml": files}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [each for each in deployed.checks(Options(folder, PACKAGE)) if each.id.startswith("kubernetes.")]


@pytest.fixture
def folder(emit: Emit, tmp_path: Path) -> Path:
    """An emitted service with its manifests."""
    return Path(shutil.copytree(emit(example="accounts", store="redis", deploy="kubernetes"), tmp_path / "orders-api"))


def told(checks: list[Check]) -> str:
    return "\n".join(f"{each.object} {each.id} {each.outcome.name.lower()} {each.seen}" for each in checks)


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_sabotaged_manifest_is_red(folder: Path, name: str) -> None:
    files, because = SABOTAGED[name]
    bad = [each for each in looked(folder, files) if each.outcome is Outcome.INSECURE]
    assert re.search(because, told(bad)), told(bad)
    assert all(each.remedy for each in bad)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_manifest_is_green(folder: Path, name: str) -> None:
    checks = looked(folder, HONEST[name])
    assert not {Outcome.INSECURE, Outcome.UNVERIFIED} & {each.outcome for each in checks}, told(checks)
    assert len({(each.id, each.object) for each in checks}) == len(checks), told(checks)


def test_what_is_emitted_is_proved_and_has_to_be_there_if_it_was_asked_for(folder: Path) -> None:
    proved = [each.id for each in looked(folder, {}) if each.outcome is Outcome.PROVED]
    shutil.rmtree(folder / "deploy")

    assert proved.count("kubernetes.confined") == 2  # the Deployment and the recipe of a Job
    assert proved.count("kubernetes.start") == 1
    (missing,) = looked(folder, {})
    assert (missing.id, missing.outcome) == ("kubernetes.confined", Outcome.INSECURE)
    assert "deploy: kubernetes" in missing.seen
    (missing,) = (x for x in looked(folder, manifest(pod({"name": "x", "image": "acme/backend"}))) if x.object == "")
    assert missing.outcome is Outcome.INSECURE, "none of those that are here runs the service"
    shutil.rmtree(folder / "k8s")
    answers = folder / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("deploy: kubernetes", "deploy: container"))
    assert looked(folder, {}) == []
