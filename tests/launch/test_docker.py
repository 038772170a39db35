"""The image: what may go in, at which versions, and as whom it runs."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "launch" / "Dockerfile"
LOCKS = ("requirements.lock", "requirements-tpu.lock", "requirements-cuda.lock")


def stages():
    """Name of a stage -> [(instruction, the rest)], and the stage that it is from."""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE)
    found, parents, lines = {}, {}, None
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            lines, parents[name] = found.setdefault(name, []), parent
        elif word:
            lines.append((word, " ".join(rest.split())))
    return found, parents


@pytest.mark.parametrize("target", ["tpu", "cuda"])
def test_a_target_runs_as_nobody_special_and_hands_signals_on(target):
    found, parents = stages()
    words = dict(found[target])
    assert words["USER"] == "babyvlm"
    assert words["ENTRYPOINT"] == '["tini", "--"]'
    assert [word for word, _ in found[target]][-2:] == ["USER", "ENTRYPOINT"]
    assert parents[target] == f"{target}-base"
    assert parents[f"{target}-base"] == "base"
    assert any("useradd" in rest and "babyvlm" in rest for _, rest in found["base"])


def test_versions_come_from_the_locks_alone():
    found, _ = stages()
    runs = [rest for lines in found.values() for word, rest in lines if word == "RUN"]
    installs = [rest for rest in runs if "pip install" in rest]
    assert len(installs) == 5
    for rest in installs:
        assert re.fullmatch(
            r"pip install --no-deps (-r requirements(-\w+)?\.lock|--editable \.)", rest
        )


def test_only_what_is_named_goes_in_and_all_of_it_is_there():
    found, _ = stages()
    copied = [
        name
        for lines in found.values()
        for word, rest in lines
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    ]
    assert not any(word == "ADD" for lines in found.values() for word, _ in lines)
    ignore = FILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / name).exists() for name in copied)


def test_no_credential_has_a_place():
    text = FILE.read_text()
    assert not re.search(r"^(ARG|ENV).*(TOKEN|SECRET|KEY|CREDENTIAL)", text, re.M)
    assert "--mount=type=secret" not in text


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_once(name):
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).open()]
    pins = [line.partition(";")[0].strip() for line in lines if line]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", pin) for pin in pins)
    names = [pin.partition("==")[0].lower().replace("_", "-") for pin in pins]
    assert len(set(names)) == len(names)


def test_a_lock_of_accelerators_adds_to_the_first_and_repeats_nothing():
    def names(lock):
        lines = (ROOT / lock).read_text().splitlines()
        return {line.partition("==")[0].lower() for line in lines if "==" in line}

    for lock in LOCKS[1:]:
        assert not names(lock) & names(LOCKS[0])
        assert "gcsfs" in names(lock)
    assert "libtpu" in names(LOCKS[1])
