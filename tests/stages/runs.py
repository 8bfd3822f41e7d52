"""The stages of the proof that look at the lock file, in an emitted service and with a real pip-audit: clean,
vulnerable and could not tell are three answers, and no fault of the service or the tools turns one into another.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGE = "orders_api"
# Runs stages and prints what they found. The waits are those of an impatient person; a preparation may break a tool.
DRIVER = """
import importlib, json, sys
from pathlib import Path
from verify.runner import subprocesses
from verify.stages import audit, pip_audit
from verify.result import Options
pip_audit.SOCKET_TIMEOUT, pip_audit.PAUSES = 1, (0.01, 0.01)
exec(sys.argv[1])
stages = [importlib.import_module(f"verify.stages.{name}").stage for name in sys.argv[2:]]
options = Options(Path.cwd(), "orders_api")
print(json.dumps([check.as_json() for stage in stages for check in stage(options)]))
"""

Check = dict[str, Any]
Prove = Callable[..., list[Check]]

# Only the canary and one package are looked up; for tests of what does not depend on how many there are.
SHORT = """
from dataclasses import replace
read = audit.Lock.read
def few(project):
    lock = read(project)
    return replace(lock, packages=tuple(each for each in lock.packages if each.is_own or each.name == "click"))
audit.Lock.read = few
"""


def outcomes(checks: list[Check]) -> set[str]:
    return {check["outcome"] for check in checks}


def named_twice(checks: list[Check]) -> list[tuple[str, ...]]:
    """Checks of one run that a report, an acceptance or a link could not tell from another one."""
    names = Counter((check["step"], check["id"], check["object"]) for check in checks)
    return [name for name, count in names.items() if count > 1]


def told(checks: list[Check]) -> str:
    """All that the checks say, to look for words in."""
    return "\n".join(f"{check['outcome']}: {check['name']}: {check['seen']} -> {check['remedy']}" for check in checks)


def ask_for(service: Path, *requirements: str) -> None:
    """Lock further runtime dependencies, without installing them."""
    subprocess.run(["uv", "add", "--quiet", "--no-sync", *requirements], cwd=service, check=True)


def refuses(checks: list[Check], because: str) -> None:
    assert "unverified" in outcomes(checks), told(checks)
    assert "insecure" not in outcomes(checks), told(checks)
    assert not any("no locked package" in check["name"] for check in checks), told(checks)
    assert re.search(because, told([check for check in checks if check["outcome"] == "unverified"])), told(checks)
    assert all(check["remedy"] for check in checks if check["outcome"] == "unverified")
