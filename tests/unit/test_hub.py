"""Hub names: a local folder wins, the cache is used, only needed files are fetched, messages say what to do."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from fastseq.models.hub import choose_files, model_folder


def test_a_local_folder_always_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    assert model_folder("owner/name") == Path("owner/name")
    assert model_folder(folder) == folder


def test_one_form_of_the_weights_is_fetched() -> None:
    every = ["README.md", "config.json", "source.spm", "vocab.json", "onnx/model.onnx", "tf_model.h5", ".gitattributes"]
    shards = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert choose_files([*every, "pytorch_model.bin"]) == [
        "config.json",
        "source.spm",
        "vocab.json",
        "pytorch_model.bin",
    ]
    assert choose_files([*every, "pytorch_model.bin", "model.safetensors"])[-1] == "model.safetensors"
    assert choose_files([*every, "pytorch_model.bin", *shards])[-3:] == shards
    assert "1_Pooling/config.json" in choose_files(["modules.json", "1_Pooling/config.json", "2_Dense/config.json"])
    dense = ["2_Dense/config.json", "2_Dense/pytorch_model.bin"]
    assert choose_files(["model.safetensors", *dense]) == [*dense, "model.safetensors"]
    assert choose_files([*dense, "2_Dense/model.safetensors"]) == [dense[0], "2_Dense/model.safetensors"]


def test_names_that_cannot_be_of_the_hub(tmp_path: Path) -> None:
    for name in ("no-such-folder", "a/b/c", "../x/y", str(tmp_path / "no" / "such")):
        with pytest.raises(FileNotFoundError, match="no model folder"):
            model_folder(name)


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "huggingface_hub":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=r"there is no folder 'owner/name'.*pip install 'fastseq-cpu\[text\]'"):
        model_folder("owner/name")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub in offline mode, as the package lays it out."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--owner--name" / "refs").mkdir()
    (tmp_path / "models--owner--name" / "refs" / "main").write_text(commit)
    return snapshot


def test_offline_the_cache_is_used(cache: Path) -> None:
    assert model_folder("owner/name") == cache


def test_offline_and_not_in_the_cache(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not in the cache, and HF_HUB_OFFLINE is set"):
        model_folder("owner/other")


@pytest.mark.parametrize("failure", ["network", "http", "missing", None])
def test_online(failure: str | None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the hub's two calls replaced: no test goes to the network."""
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    asked: dict[str, Any] = {}
    fetch = hub.snapshot_download

    def listed(name: str, revision: str | None = None) -> list[str]:
        if failure == "network":
            raise ConnectionError("no route to host")
        if failure == "http":
            raise hub.errors.HfHubHTTPError.__mro__[1]("no such host")
        if failure == "missing":
            error = hub.errors.RepositoryNotFoundError.__new__(hub.errors.RepositoryNotFoundError)
            raise error
        return ["config.json", "model.safetensors", "model.onnx"]

    def fetched(name: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return str(fetch(name, **options))
        asked.update(options)
        return str(cache)

    monkeypatch.setattr(hub, "list_repo_files", listed)
    monkeypatch.setattr(hub, "snapshot_download", fetched)
    if failure == "missing":
        with pytest.raises(FileNotFoundError, match="no such model on the hub"):
            model_folder("owner/name")
        return
    assert model_folder("owner/name") == cache
    if failure is None:
        assert asked["allow_patterns"] == ["config.json", "model.safetensors"]
        assert asked["tqdm_class"](total=1, disable=None).disable is True  # standard error is no terminal here
    else:
        with pytest.raises(FileNotFoundError, match=r"the hub cannot be reached \((ConnectionError|HTTPError)\)"):
            model_folder("owner/other")
