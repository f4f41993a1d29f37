"""A blend is written by a person: what they mean is understood, and what is wrong is said by its key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from token_runs import blend_of_two

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.blend import compile_blend
from tokenmill.manifests.current_pointer import point
from tokenmill.manifests.manifest import Manifest


@pytest.fixture
def blend(tmp_path: Path) -> Callable[..., Path]:
    return blend_of_two(tmp_path)


@pytest.mark.parametrize(
    ("until", "samples"),
    [
        pytest.param([0.25, 1], [50, 150], id="shares"),
        pytest.param([500, 2_000], [50, 150], id="tokens"),
        pytest.param([0.25, None], [50, 150], id="the last may go without"),
        pytest.param(["5e2", 1.0], [50, 150], id="as YAML reads 5e2"),
    ],
)
def test_a_phase_ends_at_a_share_or_a_number_of_tokens(
    blend: Callable[..., Path], until: list[Any], samples: list[int]
) -> None:
    phases = [{"name": f"p{i}", "until": u, "weights": {"web": 1, "code": 1}} for i, u in enumerate(until)]
    assert [p["samples"] for p in compile_blend(blend(phases=phases)).body["phases"]] == samples


def test_counts_may_be_written_as_people_write_them(blend: Callable[..., Path]) -> None:
    assert compile_blend(blend(total_tokens="2e3")).body["total_tokens"] == 2_000
    assert compile_blend(blend(total_tokens=2e3, sequence_length=10.0)).body["samples"] == 200
    path = blend()
    path.write_text(path.read_text().replace("total_tokens: 2000", "total_tokens: 2_009"))
    assert compile_blend(path).body["samples"] == 200  # the rest is less than a sequence


PHASE = {"name": "all", "weights": {"web": 1, "code": 1}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"total_token": 5}, r"total_token: unknown key \(did you mean total_tokens\?\)", id="unknown key"),
        pytest.param(
            {"sources": {"web": {"manifst": "web"}}},
            r"web.manifst: unknown key \(did you mean manifest\?\)",
            id="in a source",
        ),
        pytest.param(
            {"phases": [{**PHASE, "weigts": {}}]},
            r"phases.0.weigts: unknown key \(did you mean weights\?\)",
            id="in a phase",
        ),
        pytest.param({"zzz": 1}, r"zzz: unknown key \(known: name, tokenizer, ", id="nothing near"),
        pytest.param({"sequence_length": None}, "sequence_length: Field required", id="missing key"),
        pytest.param({"total_tokens": "many"}, "total_tokens: .* got 'many'", id="no number"),
        pytest.param({"sequence_length": 0}, "sequence_length: .* greater than or equal to 1", id="no length"),
        pytest.param({"name": "a/b"}, "name: String should match", id="a name that is a path"),
        pytest.param({"seed": 2**32}, "seed: .* less than 4294967296", id="seed beyond numpy's"),
        pytest.param(
            {"phases": [{"name": "all", "weights": {"web": 1, "code": 0}}]}, "code: .* greater than 0", id="zero weight"
        ),
        pytest.param({"phases": []}, "phases: .* at least 1", id="no phases"),
        pytest.param(
            {"phases": [{"name": "all", "weights": {"web": 1, "code": 1, "cod": 1}}]},
            r"gives a weight to cod, which is no source \(did you mean code\?\)",
            id="weight without a source",
        ),
        pytest.param(
            {"phases": [{"name": "all", "weights": {"web": 1}}]},
            "source code has no weight in any phase",
            id="no weight",
        ),
        pytest.param({"phases": [PHASE, PHASE]}, "2 phases are called all", id="a name twice"),
        pytest.param(
            {"phases": [PHASE, {**PHASE, "name": "b"}]}, "phase all has no `until`, and only the last", id="no until"
        ),
        pytest.param(
            {"phases": [{**PHASE, "until": 0.5}, {**PHASE, "name": "b", "until": 0.5}]},
            "want an increase",
            id="no increase",
        ),
        pytest.param({"phases": [{**PHASE, "until": 0.5}]}, "is the last and ends at 50", id="not all"),
        pytest.param(
            {"phases": [{**PHASE, "until": 3_000}]}, "ends at 3,000 tokens, and there are 2,000", id="too far"
        ),
        pytest.param({"total_tokens": 9}, "less than one sequence of 10 tokens", id="less than a sequence"),
        pytest.param(
            {"phases": [{**PHASE, "until": 0.002}, {**PHASE, "name": "b"}]},
            "phase all has less than one sequence",
            id="less than a sequence in a phase",
        ),
        pytest.param(
            {"sources": {"web": {"manifest": "wbe"}, "code": {"manifest": "code"}}},
            "source web: no .*wbe; give the directory of a finished",
            id="no such run",
        ),
        pytest.param(
            {"sources": {"web": {"manifest": "code"}, "code": {"manifest": "code"}}},
            "sources web and code are the same run",
            id="one run twice",
        ),
        pytest.param(
            {"sources": {"web": {"manifest": "web", "identity": "ab" * 32}, "code": {"manifest": "code"}}},
            f"source web: pinned to the run {'ab' * 32}, and .*web holds .*; name the directory of that run, or pin",
            id="pinned to another run",
        ),
        pytest.param(
            {"sources": {"web": {"manifest": "web", "identity": "abab"}, "code": {"manifest": "code"}}},
            "web.identity: String should match",
            id="pinned by a part of an identity",
        ),
        pytest.param({"tokenizer": "tokenizer.json"}, "tokenizer: no file .*tokenizer.json", id="no tokenizer"),
        pytest.param(
            {"tokenizer": "sha256:cd"}, "source web: made with the tokenizer sha256:abab", id="another tokenizer"
        ),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(
    blend: Callable[..., Path], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(RecipeError, match=complaint):
        compile_blend(blend(**changes))


def test_a_blend_that_pins_identities_names_the_runs_behind_pointers(
    blend: Callable[..., Path], tmp_path: Path
) -> None:
    identity = Manifest.load(tmp_path / "web").identity
    point(str(tmp_path / "current"), str(tmp_path / "web"), identity)
    for manifest in ("current", "current/manifest.json"):
        sources = {"web": {"manifest": manifest, "identity": identity}, "code": {"manifest": "code"}}
        compiled = compile_blend(blend(sources=sources))
        assert compiled.body["sources"]["web"]["directory"] == str(tmp_path / "web")
        assert all(b"current" not in content for content in compiled.files.values())
    point(str(tmp_path / "current"), str(tmp_path / "code"), "")
    with pytest.raises(RecipeError, match=f"source web: pinned to the run {identity}, and .*code holds "):
        compile_blend(tmp_path / "blend.yaml")


def test_what_is_no_yaml_or_has_a_key_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blend.yaml"
    with pytest.raises(RecipeError, match=r"blend\.yaml: cannot be read"):
        compile_blend(path)
    for content, complaint in [
        ("a: [", "not YAML"),
        ("- a", "want the keys of a blend"),
        ("a: 1\na: 2", "'a' stands here twice"),
    ]:
        path.write_text(content)
        with pytest.raises(RecipeError, match=complaint):
            compile_blend(path)
