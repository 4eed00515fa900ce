"""What the repository promises about itself: words, imports, dependencies, pages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lrpe

OWN = {"lrpe", "experiments", "data_prep", "benchmarks", "tests", "hydra_plugins"}
PEERS = {"fast_transformers"}  # of benchmarks, where somebody has built it: it is not on PyPI in a form that installs
# Distributions whose import has another name.
DISTRIBUTIONS = {
    "PIL": "pillow", "fairseq": "fairseq-fixed", "fairseq_cli": "fairseq-fixed", "fla": "flash-linear-attention",
    "huggingface_hub": "huggingface-hub", "hydra": "hydra-core", "rotary_embedding_torch": "rotary-embedding-torch",
    "sklearn": "scikit-learn", "wandb_workspaces": "wandb-workspaces", "yaml": "pyyaml",
}  # fmt: skip
# Imported by name at run time: Hydra finds launchers, pandas a writer, and so on.
PLUGINS = {
    "hydra-joblib-launcher", "hydra-submitit-launcher", "submitit", "flash-linear-attention", "rotary-embedding-torch",
    "transformers", "pytest", "pytest-xdist", "pytest-cov", "psutil", "pyright", "ruff", "playwright", "hypothesis",
    "mkdocs-material",
}  # fmt: skip
BRITISH = re.compile(
    r"(?i)\w*(?:normal|initial|token|optim|synchron|special|summar|maxim|minim|general|organ|recogn|serial|visual"
    r"|parallel|vector|parametr|quant|regular|util|factor|final|penal|local|random|memor|categor|character)is"
    r"(?:e[ds]?|er|ing|ation)s?\b"
    r"|\w*(?:colour|behaviour|favour|flavour|neighbour|honour|labell|modell|centre\b|\bgrey|licence)\w*"
)
RETIRED = re.compile(
    r"\b(?:reflect_and_turn|turn_back|samples_a_pass|samples_an_update|updates_an_epoch|a person has to mend"
    r"|DESIGN section|RECIPE \d|[Ww]hoever|microseconds a"
    r"|a (?:line|row|folder) an? (?:row|layer|image|class|case|run|file))\b"
)


def _python(root: Path, *folders: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=root, capture_output=True, text=True, check=True)
    return [root / name for name in listed.stdout.split("\n") if name.endswith(".py")]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: imports here are absolute"
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_american_spelling_and_no_retired_names(root: Path) -> None:
    for path in _python(root, "lrpe", "experiments", "data_prep", "benchmarks"):
        text = path.read_text(encoding="utf-8")
        assert not BRITISH.findall(text), path
        assert not RETIRED.findall(text), path


def test_imports_flow_one_way(root: Path) -> None:
    for path in _python(root, "lrpe"):
        assert not {name for name in _imports(path) if name.partition(".")[0] in OWN - {"lrpe"}}, path
    for path in _python(root, "data_prep"):
        assert not {name for name in _imports(path) if name.partition(".")[0] in OWN - {"data_prep"}}, path
    for path in _python(root, "experiments"):
        if "experiments/engine" not in path.as_posix():
            assert not {name for name in _imports(path) if name.partition(".")[0] == "fairseq"}, path


def test_nothing_imports_a_command_and_the_engine_no_commands_package(root: Path) -> None:
    modules = {f"experiments.{path.stem}" for path in (root / "experiments").glob("[a-z]*.py")}
    packages = {f"experiments.{path.parent.name}" for path in (root / "experiments").glob("*/__main__.py")}
    commands = modules | {f"{package}.__main__" for package in packages}
    above = packages - {"experiments.runs"} | {"experiments.tables", "experiments.tuning"}  # the run store is a library
    assert {"experiments.train", "experiments.figures.__main__"} <= commands
    for path in _python(root, "experiments", "hydra_plugins"):
        imported = _imports(path)
        assert not (imported & commands), f"{path} imports a command"
        if "experiments/engine" in path.as_posix():
            assert not {name for name in imported if name.startswith(tuple(above))}, f"{path} imports a command's"


def test_declared_dependencies_are_those_imported(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[<>=~\[; ]", word)[0].lower() for group in groups for word in group}
    found = {name.partition(".")[0] for path in _python(root, *sorted(OWN - {"tests"})) for name in _imports(path)}
    imported = {
        DISTRIBUTIONS.get(name, name) for name in found if name not in OWN | PEERS | set(sys.stdlib_module_names)
    }
    assert imported - declared - PLUGINS == set()
    assert declared - imported - PLUGINS == set()


def test_the_librarys_public_names(root: Path) -> None:
    assert {"LRPE", "LinearAttention"} <= set(lrpe.__all__)
    assert all(hasattr(lrpe, name) for name in lrpe.__all__)
    assert (root / "lrpe" / "py.typed").is_file()


def test_links_between_pages_lead_somewhere(root: Path) -> None:
    for page in [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_short(root: Path) -> None:
    assert len((root / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("name", ["alm", "blm", "glue", "imagenet"])
def test_every_family_is_in_the_docs(root: Path, name: str) -> None:
    assert f"`{name}`" in (root / "docs" / "families.md").read_text()
