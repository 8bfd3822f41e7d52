# Owned by the template: an update rewrites this file.
"""Manifests of Kubernetes: a pod of ours is what its restricted level admits and no more, and starts as production does."""

import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...common.yaml import documents, mapping, pairs, texts
from ...result import Check, Options, Rule, UnverifiedError, listed
from .compose import HARMLESS, YES, several
from .docker import Image
from .start import Start, files_of_team, is_development, is_ours, judge

CONFINED = Rule("configuration", "kubernetes.confined", "the pods of Kubernetes are confined")
START = Rule("configuration", "kubernetes.start", "Kubernetes starts the service with `serve`, in production")

REPLICAS = Rule("configuration", "kubernetes.replicas", "several replicas share one store")

_KIND = re.compile(r"\bkind[\"']?\s*:\s*[\"']?(\w+)")
_CONTAINERS = re.compile(r"[\"']?\bcontainers[\"']?\s*:\s*[-\[]")
_OPERATION = re.compile(r"\bpath[\"']?\s*:\s*[\"']?/(spec|data)/")
"""Of a JSON patch (RFC 6902) in a file of its own."""
_SETS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"}
_KINDS = {"Pod", "PodTemplate", "Job", "CronJob", *_SETS}
_BESIDE = {"ConfigMap", "Secret", "Kustomization", "Component", "List"}
"""What sets variables, changes what another file says, or holds others."""
_CONTAINED = ("initContainers", "containers", "ephemeralContainers")
_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
_SCALES = re.compile("HorizontalPodAutoscaler|ScaledObject|^replicas:", re.MULTILINE)
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_SECURE = {
    "readOnlyRootFilesystem": "true",
    "allowPrivilegeEscalation": "false",
    "runAsNonRoot": "true",
    "privileged": "false",
    "procMount": "default",
}
_NEEDED = ("readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false")


def is_manifest(path: Path, text: str) -> bool:
    """Whether a file describes pods, what is in their environment, or what is changed in either."""
    if path.stem.lower() == "kustomization":
        return True
    kinds = set(_KIND.findall(text)) if path.suffix in (".yaml", ".yml", ".json") else set()
    known = kinds & (_KINDS | _BESIDE) or (kinds and _CONTAINERS.search(text))
    return bool(known or (path.suffix in (".yaml", ".yml", ".json") and _OPERATION.search(text)))


def checks(path: Path, name: str, options: Options) -> Iterator[Check]:
    """What is asked of each container of ours, and of what a patch says of one; as `docker.checks`.

    Raises:
        UnverifiedError: It cannot be read, such as a chart's template, which is no YAML before it is filled in.
    """
    variables: dict[str, str] = {}
    seen: dict[str, int] = {}
    every = list(_flat(documents(name, path.read_text(encoding="utf-8", errors="replace"))))
    data = {str(mapping(each.get("metadata")).get("name")): list(mapping(each.get("data"))) for each in every}
    for document in every:
        variables |= _variables(document, path.parent)
        for pod, container in _containers(document):
            words = [text for _, text in pairs([container.get(key) for key in ("command", "args", "env", "envFrom")])]
            said = " ".join([*words, *(key for word in words for key in data.get(word, ()))])
            if "image" in container and not is_ours(str(container["image"]), said, options):
                seen.setdefault("", 0)
                continue
            of = document.get("kind"), mapping(document.get("metadata")).get("name"), container.get("name")
            about = " ".join([name, *(str(each) for each in of if each)])
            seen[about] = seen.get(about, 0) + 1
            about += f" {seen[about]}" if seen[about] > 1 else ""
            yield _confined(CONFINED.of(about), pod, container, name)
            yield from _started(START.of(about), container, options, name)
            if "image" in container and "jobTemplate" not in mapping(document.get("spec")):
                scaled = dict(_scaled(path, every, options))
                count = scaled.get(str(of[1])) or str(mapping(document.get("spec")).get("replicas", 1))
                patched = count not in ("0", "1") and _store_is_patched(path, document, options)
                elsewhere = "envFrom" in container or patched
                yield from several(REPLICAS.of(about), count, _environment(container), options, elsewhere=elsewhere)
    if bad := [f"{key}={value}" for key, value in variables.items() if is_development(key, value)]:
        yield START.of(name, START.name).insecure(listed(bad), f"Leave it out of {name}.")
    if list(seen) == [""]:
        yield CONFINED.of(name, CONFINED.name).not_looked_at("it runs no image of ours")


def _flat(values: list[Any]) -> Iterator[dict[str, Any]]:
    """Every object; those of a list, and what the patches of a kustomization say, one by one."""
    for value in values:
        if isinstance(value, list):  # a file of operations
            yield from map(_operation, map(mapping, value))
        document = mapping(value)
        yield from _flat(document.get("items") or []) if str(document.get("kind")).endswith("List") else [document]
        for key in ("patches", "patchesStrategicMerge", "patchesJson6902"):
            for each in document.get(key) or ():
                text = mapping(each).get("patch", each)
                if isinstance(text, str) and ":" in text:
                    yield from _flat(documents("a patch", text))


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    """What an operation of a JSON patch (RFC 6902) puts into an object."""
    value: Any = operation.get("value")
    for part in reversed(str(operation.get("path", "")).strip("/").split("/")):
        value = [value] if part.isdecimal() or part == "-" else {part: value}
    return mapping(value)


def _variables(document: dict[str, Any], folder: Path) -> dict[str, str]:
    """What a ConfigMap, or one that is generated, would put into an environment."""
    if document.get("kind", "Kustomization") not in _BESIDE:
        return {}
    said = {**mapping(document.get("data")), **mapping(document.get("stringData"))}
    lines = [f"{key}={value}" for key, value in said.items()]
    for key, value in mapping(document.get("data")).items() if document.get("kind") == "Secret" else ():
        with suppress(ValueError):  # it is no text
            lines.append(f"{key}={b64decode(str(value)).decode()}")
    for each in map(mapping, [*(document.get("configMapGenerator") or ()), *(document.get("secretGenerator") or ())]):
        lines += texts(each.get("literals"))
        for file in (folder / name for name in texts([each.get("envs"), each.get("env")])):
            lines += file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return {name.strip(): value for name, _, value in (each.partition("=") for each in lines)}


def _containers(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container of the pod that an object is, has a template of or changes, with that pod."""
    is_known = document.get("kind", "Pod") in _KINDS
    spec = mapping(document.get("spec"))
    while nested := mapping(spec.get("jobTemplate") or spec.get("template") or document.get("template")):
        document, spec = {}, mapping(nested.get("spec"))
    every = [mapping(each) for key in _CONTAINED for each in spec.get(key) or ()]
    if not is_known:  # whatever makes pods of it, such as a Rollout or a Service of Knative
        every = [each for each in every if "image" in each]
    elif not every and any(key in spec for key in ("volumes", "securityContext", *_HOST)):
        every = [{}]  # a patch of the pod alone
    yield from ((spec, each) for each in every)


def _confined(rule: Rule, pod: dict[str, Any], container: dict[str, Any], file: str) -> Check:
    context = {**mapping(pod.get("securityContext")), **mapping(container.get("securityContext"))}
    plain = {key: str(value).lower() for key, value in context.items()}
    capabilities = mapping(context.get("capabilities"))
    loose = [f"{key}: {plain[key]}" for key, safe in _SECURE.items() if plain.get(key, safe) != safe]
    loose += [f"{key}: {plain[key]}" for key in ("runAsUser", "runAsGroup") if re.fullmatch("0+", plain.get(key, ""))]
    loose += [f"{key}: true" for key in _HOST if str(pod.get(key)).lower() in YES]
    added = (each.upper().removeprefix("CAP_") for each in texts(capabilities.get("add")))
    loose += [f"capabilities.add: {each}" for each in added if not HARMLESS.fullmatch(each)]
    profiles = {key: mapping(context.get(key)).get("type", "") for key in ("seccompProfile", "appArmorProfile")}
    loose += [f"{key}: Unconfined" for key, value in profiles.items() if value == "Unconfined"]
    paths = (mapping(mapping(each).get("hostPath")).get("path") for each in pod.get("volumes") or ())
    loose += [f"hostPath: {each}" for each in paths if each]
    loose += [f"hostPort: {x['hostPort']}" for x in map(mapping, container.get("ports") or ()) if "hostPort" in x]
    every = (each["securityContext"] for each in (pod, container) if "securityContext" in each)
    loose += ["securityContext: null"] * any(not isinstance(each, dict) for each in every)
    missing, limits = list[str](), mapping(mapping(container.get("resources")).get("limits"))
    if "image" in container:  # a patch says no more than it changes
        missing = [each for each in _NEEDED if each.partition(":")[0] not in plain]
        missing += ["runAsNonRoot: true"] * (not plain.keys() & {"runAsNonRoot", "runAsUser"})
        missing += ["capabilities: {drop: [ALL]}"] * ("ALL" not in map(str.upper, texts(capabilities.get("drop"))))
        missing += ["seccompProfile: {type: RuntimeDefault}"] * (not profiles["seccompProfile"])
        missing += ["resources: {limits: {memory}}"] * ("memory" not in limits)
    if missing or loose:
        seen = [f"it misses {listed(missing, 9)}"] * bool(missing) + [f"it has {each}" for each in loose]
        return rule.insecure("; ".join(seen), f"Put it right in {file}, as the restricted level of pod security asks.")
    return rule.proved("as the restricted level asks" if "image" in container else "it takes nothing of that back")


def _environment(container: dict[str, Any]) -> dict[str, str]:
    variables = map(mapping, container.get("env") or ())
    return {str(each.get("name")): str(each.get("value", "$elsewhere")) for each in variables}


def _scaled(path: Path, every: list[dict[str, Any]], options: Options) -> Iterator[tuple[str, str]]:
    """How many a kustomization, or an autoscaler of this file or of one beside it, may make of what it names."""
    above = [each for each in files_of_team(options.project) if each.stem.lower() == "kustomization"]
    for other in {*path.parent.glob("*.y*ml"), *above}:
        with suppress(UnverifiedError):  # which is told where that file is looked at
            text = other.read_text(encoding="utf-8", errors="replace")
            every = every + list(_flat(documents(other.name, text))) if _SCALES.search(text) else every
    for each in every:
        yield from ((str(x.get("name")), str(x.get("count"))) for x in map(mapping, each.get("replicas") or ()))
        if each.get("kind") in _SCALERS:
            spec = mapping(each.get("spec"))
            name, most = str(mapping(spec.get("scaleTargetRef")).get("name")), spec.get("maxReplicas")
            most = str(spec.get("maxReplicaCount", 1) if most is None else most)
            yield name, most if most == "1" else f"up to {most} containers"


def _store_is_patched(path: Path, document: dict[str, Any], options: Options) -> bool:
    """Whether another manifest names the store and this object, such as the patch of an overlay."""
    named = re.compile(rf"\bname: *[\"']?{re.escape(str(mapping(document.get('metadata')).get('name')))}\b")
    others = (each for each in files_of_team(options.project) if each != path and each.suffix in (".yaml", ".yml"))
    found = ((each, each.read_text(encoding="utf-8", errors="replace")) for each in others)
    return any("APP_STORE_URL" in text and named.search(text) and is_manifest(each, text) for each, text in found)


def _started(rule: Rule, container: dict[str, Any], options: Options, file: str) -> Iterator[Check]:
    files = (options.project / each for each in ("Dockerfile", "Containerfile"))
    text = next((each.read_text(encoding="utf-8", errors="replace") for each in files if each.is_file()), "")
    words = (texts(container.get(key)) for key in ("command", "args"))
    said = [tuple(re.sub(r"\$\((\w+)\)", r"${\1}", word) for word in each) or None for each in words]
    made, env = Image(text).start(*said), _environment(container)
    if any(said) or any(map(is_development, env, env.values())) or ("image" in container and made.argv):
        yield judge(rule, Start(made.argv, {**made.env, **env}), options, file)
    elif "image" in container:
        yield rule.not_looked_at("its image says what it starts")
