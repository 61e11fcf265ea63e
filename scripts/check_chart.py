"""Lint, render and validate the Helm chart with its defaults and every set in its ci/ folder."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from scripts.get_helm import HelmUnavailable, get_helm

CHART = Path(__file__).resolve().parent.parent / "deploy" / "helm" / "tiercel"
VALUES_SETS = [None, *sorted(CHART.glob("ci/*-values.yaml"))]
# The oldest that the chart allows, and the newest that the validator knows.
KUBERNETES_VERSIONS = ("1.30.0", "1.37.0")

Manifest = dict[str, Any]


class ChartError(Exception):
    """helm refused the chart or the values; the text is helm's own."""


def helm(*arguments: str) -> str:
    """Run helm and return what it prints; raises ChartError, HelmUnavailable."""
    result = subprocess.run([get_helm(), *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise ChartError(result.stdout + result.stderr)
    return result.stdout


def render(values: Path | None, *settings: str, version: str = "1.33.0") -> list[Manifest]:
    """Return the manifests of a release `demo`; `settings` are helm's --set-json texts."""
    chosen = ["--values", str(values)] if values else []
    chosen += [part for text in settings for part in ("--set-json", text)]
    target = ["--namespace", "serving", "--kube-version", version]
    text = helm("template", "demo", str(CHART), *target, *chosen)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def problems(manifests: list[Manifest], version: str) -> Iterator[str]:
    """Yield one line for each manifest that Kubernetes of that version would not take."""
    for manifest in manifests:
        name = f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name')}"
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"


def check(values: Path | None) -> Iterator[str]:
    """Yield one line for each problem of the chart under one set of values."""
    helm("lint", "--strict", "--quiet", str(CHART), *(["--values", str(values)] if values else []))
    for version in KUBERNETES_VERSIONS:
        manifests = render(values, version=version)
        yield from (f"Kubernetes {version}: {line}" for line in problems(manifests, version))


def main() -> None:
    """Check every set of values; a machine where helm cannot be had says so and goes on."""
    try:
        found = [line for values in VALUES_SETS for line in check(values)]
    except HelmUnavailable as error:
        print(f"chart: not checked: {error}", file=sys.stderr)
        return
    except ChartError as error:
        sys.exit(str(error))
    sys.exit("\n".join(found) if found else 0)


if __name__ == "__main__":
    main()
