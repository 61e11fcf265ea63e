"""The rules on imports, files and the environment are facts: each is read from the code.

A rule takes one module and names what breaks it; every rule has to flag a module made up to do so.
"""

import ast
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.modules import REPOSITORY, Module, dotted, modules

MAX_LINES = 250


Rule = Callable[[Module], list[str]]


def no_service_imports_another(module: Module) -> list[str]:
    if module.parts[0] != "services" or len(module.parts) < 3:
        return []
    own = ".".join(module.parts[:2])
    return [name for name in module.imports_of("services") if not f"{name}.".startswith(f"{own}.")]


def the_library_imports_no_service(module: Module) -> list[str]:
    return module.imports_of("services") if module.within("tiercel") else []


def the_maths_the_text_and_the_protocol_know_no_transport(module: Module) -> list[str]:
    pure = module.within("tiercel.decoding", "tiercel.text") or module.name.startswith(
        "tiercel.draft_stream"
    )
    transport = ("grpc", "google", "tiercel.v1", "tiercel.wire", "tiercel.rpc", "tiercel.clients")
    return module.imports_of(*transport) if pure else []


# Both ends of the long streams move messages themselves; what is in them is domain types.
STREAM_ENDS = [
    f"tiercel.speculation.{n}"
    for n in ("connection", "draft_stream_client", "draft_session", "draft_server")
]
STREAM_ENDS += [f"services.verifier.{n}" for n in ("sessions", "generation", "verification")]


def only_the_edges_import_the_stubs(module: Module) -> list[str]:
    edges = module.within("tiercel.v1", "tiercel.wire", "tiercel.rpc", "tiercel.clients")
    if edges or module.parts[-1] in ("servicer", "__main__") or module.name in STREAM_ENDS:
        return []
    return module.imports_of("tiercel.v1")


def only_config_and_the_cache_folder_read_the_environment(module: Module) -> list[str]:
    if module.name in ("tiercel.config", "tiercel.models.storage"):
        return []
    readers = ("os.environ", "os.environb", "os.getenv")
    used = [dotted(node) for node in module.nodes() if isinstance(node, ast.Attribute)]
    return [name for name in [*used, *module.imports()] if name in readers]


def only_the_torch_engine_and_training_import_torch(module: Module) -> list[str]:
    trainers = ("tiercel.distillation.torch", "tiercel.specialisation.torch")
    trainers += ("tiercel.prediction.quality.torch",)
    if module.name.startswith(("tiercel.engines.torch", *trainers)):
        return []
    return module.imports_of("torch", "transformers")


def nothing_is_pickled(module: Module) -> list[str]:
    picklers = ("pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")
    calls = [node for node in module.nodes() if isinstance(node, ast.Call)]
    loads = [ast.unparse(call) for call in calls if dotted(call.func) == "torch.load"]
    allowed = [ast.unparse(call) for call in calls if allows_pickle(call)]
    return [*module.imports_of(*picklers), *loads, *allowed]


def allows_pickle(call: ast.Call) -> bool:
    return any(
        keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
        for keyword in call.keywords
    )


def every_module_has_a_docstring(module: Module) -> list[str]:
    return [] if ast.get_docstring(ast.parse(module.source)) else [module.path]


def no_file_is_long(module: Module) -> list[str]:
    length = len(module.source.splitlines())
    return [] if length < MAX_LINES else [f"{length} lines"]


def every_import_is_declared(module: Module) -> list[str]:
    return [
        name for name in module.imports() if not is_declared(name.partition(".")[0], declared())
    ]


def is_declared(top: str, requirements: set[str]) -> bool:
    if top in sys.stdlib_module_names or top in ("tiercel", "services"):
        return True
    distributions = installed().get(top, [])
    return any(canonicalize_name(name) in requirements for name in distributions)


installed = cache(packages_distributions)


@cache
def declared() -> set[str]:
    """Return the names of everything that pyproject.toml declares for running, not for work."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [text for name in ("torch", "train", "specialise") for text in extras[name]]
    texts += project["dependencies"]
    return {canonicalize_name(Requirement(text).name) for text in texts}


# Each rule, with modules made up to break it: (rule, [(path, source)]).
RULES: list[tuple[Rule, list[tuple[str, str]]]] = [
    (
        no_service_imports_another,
        [
            ("services/drafter/servicer.py", "from services.verifier import session"),
            ("services/drafter/servicer.py", "from ..verifier import session"),
            ("services/drafter/servicer.py", "from services import drafter_pool"),
        ],
    ),
    (the_library_imports_no_service, [("tiercel/config.py", "import services.router")]),
    (
        the_maths_the_text_and_the_protocol_know_no_transport,
        [
            ("tiercel/decoding/noise.py", "from google.protobuf import message"),
            ("tiercel/text/stops.py", "import grpc.aio"),
            ("tiercel/draft_stream/parent.py", "from tiercel import wire"),
        ],
    ),
    (
        only_the_edges_import_the_stubs,
        [
            ("services/router/deciding.py", "from tiercel.v1 import router_pb2"),
            ("tiercel/decoding/noise.py", "from ..v1 import router_pb2"),
        ],
    ),
    (
        only_config_and_the_cache_folder_read_the_environment,
        [
            ("tiercel/telemetry.py", "import os\nos.environ['HOME']"),
            ("tiercel/telemetry.py", "from os import getenv"),
        ],
    ),
    (
        only_the_torch_engine_and_training_import_torch,
        [
            ("tiercel/engines/onnx.py", "def load():\n    import torch.nn"),
            ("services/drafter/__main__.py", "import importlib\nimportlib.import_module('torch')"),
        ],
    ),
    (
        nothing_is_pickled,
        [
            ("tiercel/models/weights.py", "import pickle"),
            ("tiercel/models/weights.py", "torch.load('weights.pt')"),
            ("tiercel/models/weights.py", "np.load('weights.npy', allow_pickle=True)"),
        ],
    ),
    (every_module_has_a_docstring, [("tiercel/types.py", "x = 1")]),
    (no_file_is_long, [("tiercel/types.py", "\n" * MAX_LINES)]),
    (
        every_import_is_declared,
        [("tiercel/types.py", "import pytest"), ("tiercel/x.py", "import nosuch")],
    ),
]
NAMES = [rule.__name__ for rule, _ in RULES]


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES], ids=NAMES)
def test_no_module_breaks_the_rule(rule: Rule):
    broken = {module.path: rule(module) for module in modules("tiercel", "services")}
    assert {path: what for path, what in broken.items() if what} == {}


@pytest.mark.parametrize(("rule", "examples"), RULES, ids=NAMES)
def test_the_rule_flags_a_module_that_breaks_it(rule: Rule, examples: list[tuple[str, str]]):
    assert [path for path, source in examples if not rule(Module(path, source))] == []


@pytest.mark.parametrize("rule", [no_file_is_long, nothing_is_pickled])
def test_scripts_and_tests_keep_the_rules_of_every_file(rule: Rule):
    broken = {module.path: rule(module) for module in modules("scripts", "tests")}
    assert {path: what for path, what in broken.items() if what} == {}


def test_modules_are_found_and_stubs_are_not():
    paths = {module.path for module in modules("tiercel", "services")}
    assert {"tiercel/types.py", "services/__init__.py"} <= paths
    assert not any("_pb2" in path for path in paths)
