"""The manifests of `deploy/`: valid, admitted by the restricted level, and of one mind with the image and compose.

There is no cluster here. What stands in for one: kustomize itself, the schemas of Kubernetes, and checkov.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Emit, in_one_text
from .containers import tool

pytestmark = pytest.mark.world

ANSWERS = [{"example": example, "store": store} for example in ("accounts", "minimal") for store in ("memory", "redis")]
DIGEST = f"sha256:{'0' * 64}"
RECIPES = {
    "kustomization.yaml": ("  # - migration.yaml", "  # - autoscaler.yaml"),
    "deployment.yaml": tuple(
        f"      # {line}"
        for line in (
            "topologySpreadConstraints:",
            "  - maxSkew: 1",
            "    topologyKey: kubernetes.io/hostname",
            "    whenUnsatisfiable: ScheduleAnyway",
            "    labelSelector:",
            "      matchLabels:",
            "        app.kubernetes.io/name:",
        )
    ),
}
Objects = list[dict[str, Any]]


@pytest.fixture(scope="module", params=ANSWERS, ids=lambda each: "-".join(each.values()))
def deploy(emit: Emit, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The manifests, with every recipe in them and with an image, as a pipeline writes it."""
    folder = tmp_path_factory.mktemp("kubernetes") / "deploy"
    shutil.copytree(emit(**request.param, deploy="kubernetes") / "deploy", folder)
    for name, lines in RECIPES.items():
        text = (folder / name).read_text()
        for line in lines:
            assert line in text or "migration" in line
            text = text.replace(line, line.replace("# ", "", 1))
        (folder / name).write_text(text.replace("newTag: unset", f"digest: {DIGEST}"))
    return folder


def built(folder: Path) -> str:
    done = subprocess.run([tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(folder: Path) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(built(folder))}


def pods(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [found[kind]["spec"]["template"]["spec"] for kind in ("Deployment", "Job") if kind in found]


def valid(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "built.yaml").write_text(text)
    return in_one_text(["uvx", "--quiet", "kubernetes-validate", "--strict", folder / "built.yaml"])


def judged(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "built.yaml").write_text(text)
    checkov = ["uvx", "--quiet", "checkov", "--framework", "kubernetes", "--skip-download", "--compact", "--quiet"]
    return in_one_text([*checkov, "--file", folder / "built.yaml"])


def test_it_is_what_the_schemas_and_checkov_ask_for(deploy: Path, tmp_path: Path) -> None:
    text = built(deploy)
    schema, checkov = valid(text, tmp_path), judged(text, tmp_path)

    assert schema.returncode == 0, schema.stdout
    assert checkov.returncode == 0, checkov.stdout
    assert "Failed checks: 0" in checkov.stdout
    assert {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"} <= set(
        objects(deploy)
    )
    assert DIGEST in text
    assert "unset" not in text


def test_both_would_say_so(emit: Emit, tmp_path: Path) -> None:
    shutil.copytree(emit(deploy="kubernetes") / "deploy", tmp_path / "deploy")
    text = built(tmp_path / "deploy")

    assert valid(text.replace("runAsNonRoot", "runsAsNonRoot"), tmp_path).returncode
    assert "CKV_K8S_43" in judged(text, tmp_path).stdout  # the image that no pipeline has written yet
    assert (
        "CKV_K8S_22"
        in judged(text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"), tmp_path).stdout
    )


def test_the_restricted_level_admits_it(deploy: Path) -> None:
    """Each control of https://kubernetes.io/docs/concepts/security/pod-security-standards/ that a pod may fail."""
    found = objects(deploy)
    every = pods(found)

    assert len(every) == (2 if "Job" in found else 1)
    assert found["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in every:
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert {key for each in pod["volumes"] for key in each} <= {"name", "emptyDir", "secret"}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not [each for each in container.get("ports", ()) if "hostPort" in each]


def test_it_is_of_one_mind_with_the_image_and_compose(emit: Emit, deploy: Path) -> None:
    found = objects(deploy)
    api = yaml.safe_load((emit() / "compose.yaml").read_text())["services"]["api"]
    dockerfile = (emit() / "Dockerfile").read_text()
    (pod, *_) = pods(found)
    (container,) = pod["containers"]
    started = (
        sum(container["startupProbe"][each] for each in ("periodSeconds",))
        * container["startupProbe"]["failureThreshold"]
    )

    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n" in dockerfile
    assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in dockerfile
    assert container["resources"]["limits"]["memory"] == api["mem_limit"].replace("m", "Mi")
    assert float(container["resources"]["limits"]["cpu"]) == api["cpus"]
    assert {each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if "emptyDir" in each} == {"16Mi"}
    assert "size=16m" in api["tmpfs"][0]
    stop = pod["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert stop >= int(api["stop_grace_period"].removesuffix("s"))
    assert not {"command", "args"} & container.keys()  # the image says `serve`
    assert (
        container["livenessProbe"]["httpGet"]
        == container["startupProbe"]["httpGet"]
        == {"path": "/health/live", "port": "http"}
    )
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "http"}
    assert started >= 20  # what the HEALTHCHECK of the image gives
    secrets = [each for each in pod["volumes"] if "secret" in each]
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    directory = {each["name"]: each["value"] for each in container["env"]}.get("APP_SECRETS_DIR")
    assert [mounted[each["name"]] for each in secrets] == ([directory] if directory else [])
    assert not [each for each in container["env"] if "valueFrom" in each or "URL" in each["name"]]


def test_what_finds_it_names_it(deploy: Path) -> None:
    found = objects(deploy)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = {
        "Deployment": found["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": found["Service"]["spec"]["selector"],
        "NetworkPolicy": found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        "PodDisruptionBudget": found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }

    assert {kind for kind, chosen in selectors.items() if not chosen.items() <= labels.items()} == set()
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    if "Job" in found:  # nobody asks it, and the network lets it out
        of_job = found["Job"]["spec"]["template"]["metadata"]["labels"].items()
        assert {kind for kind, chosen in selectors.items() if chosen.items() <= of_job} == {"NetworkPolicy"}
