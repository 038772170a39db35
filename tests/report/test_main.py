"""The command on a whole made-up run folder."""

import html.parser
import pathlib
import shutil
import subprocess
import sys

import pytest

from babyvlm_jax.report.__main__ import main, report
from babyvlm_jax.report.collect import Phase
from babyvlm_jax.report.page import duration, phase_settings
from babyvlm_jax.runtime.errors import EXIT_USER_ERROR, UserError
from tests.report import fake_run

SHOWN = ("picture_vocabulary", "memory", "compare_synthetic")
VOID = ("meta", "img", "br")
DRAWN = ("line", "circle", "polyline", "polygon", "path")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    fake_run.write_run(workdir, num_items=8, tasks=SHOWN)
    out = workdir / "report.html"
    report(workdir, workdir / "shards", out, show=False)
    return workdir, out.read_text(encoding="utf-8")


class Reader(html.parser.HTMLParser):
    """Checks that elements close in order; collects attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in DRAWN, tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data + " "


def test_page_is_well_formed_and_loads_nothing(run):
    reader = Reader(run[1])
    assert reader.open == [] and "url(" not in run[1]
    assert not {"script", "link"} & {tag for tag, _ in reader.attributes}
    for tag, attributes in reader.attributes:
        assert attributes.get("href", "#").startswith("#"), tag
        assert attributes.get("src", "data:image/").startswith("data:image/"), tag


def test_every_picture_and_drawing_has_a_text(run):
    for tag, attributes in Reader(run[1]).attributes:
        if tag == "img":
            assert attributes["alt"].startswith("picture ")
        if tag == "svg":
            assert "aria-hidden" in attributes or attributes["aria-label"]


def test_page_says_what_a_reader_must_know(run):
    text = " ".join(Reader(run[1]).text.split())
    needed = ("SYNTHETIC", "2 of 3 tasks", "Not above chance: Who Has More", "Seed 0")
    needed += ("Touch the image of '", "✓ right", "✗ wrong", "of 15 rounds right")
    needed += ("adjusted 66.3 %, chance 25.0 %; learning 93.0 %",)
    needed += ("Language", "Vision", "Connector", "Joint", "Instruct")
    assert [words for words in needed if words not in text] == []


def test_page_is_moderate_in_size_and_nothing_half_written_stays(run):
    workdir, page = run
    assert len(page) < 1_000_000
    assert [path.name for path in workdir.glob("report*")] == ["report.html"]


def test_same_run_gives_the_same_page(run):
    workdir, page = run
    again = workdir / "again.html"
    report(workdir, workdir / "shards", again, show=False)
    assert again.read_text(encoding="utf-8") == page


def test_results_that_are_not_synthetic_carry_no_banner(run, tmp_path):
    workdir, _ = run
    other = tmp_path / "real"
    other.mkdir()
    evaluation = other / "eval" / "900"
    fake_run.write_results(evaluation, SHOWN[:1], synthetic=False)
    lines = workdir / "eval" / "900" / "predictions.jsonl"
    kept = [line for line in lines.open() if SHOWN[0] in line]
    (evaluation / "predictions.jsonl").write_text("".join(kept))
    out = tmp_path / "page.html"
    report(other, workdir / "shards", out, show=False)
    text = Reader(out.read_text(encoding="utf-8")).text
    assert "SYNTHETIC" not in text
    assert "Every task is." in text
    assert "moving average" not in text


def test_growth_and_published_numbers_are_drawn_when_asked_for(run, tmp_path):
    workdir, page = run
    early = workdir / "eval" / "300"
    fake_run.write_results(early, SHOWN, step=300)
    out = tmp_path / "page.html"
    report(workdir, workdir / "shards", out, show=False, published=True)
    shutil.rmtree(early)
    drawn = Reader(out.read_text(encoding="utf-8"))
    assert drawn.open == []
    text = " ".join(drawn.text.split())
    for words in ("Published numbers, not measured here", "human adults", "Growth"):
        assert words in text and words not in page


def test_user_errors_name_the_remedy(tmp_path):
    out = tmp_path / "report.html"
    with pytest.raises(UserError, match="is not a folder; give a run folder"):
        report(tmp_path / "none", tmp_path, out, show=False)
    fake_run.write_results(tmp_path / "eval" / "1")
    with pytest.raises(UserError, match="run the command without --show"):
        report(tmp_path, tmp_path, out, show=True)
    with pytest.raises(UserError, match="is not a folder; make it first"):
        report(tmp_path, tmp_path, tmp_path / "none" / "report.html", show=False)


def test_show_prints_table_and_path_with_the_standard_library_alone(run):
    workdir, _ = run
    heavy = {"jax", "numpy", "PIL", "jinja2", "tensorflow_datasets"}
    code = (
        "import sys\n"
        "from babyvlm_jax.report.__main__ import main\n"
        "try: main()\n"
        f"finally: print(sorted({heavy} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, f"--workdir={workdir}", "--show"],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert "NOT ABOVE CHANCE" in shown.stdout
    assert f"report: {workdir}/report.html" in shown.stdout
    assert shown.stdout.endswith("[]\n")


def test_a_missing_evaluation_ends_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", f"--workdir={tmp_path}"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == EXIT_USER_ERROR
    assert capsys.readouterr().err.count("\n") == 1


def test_durations_read_as_a_person_says_them():
    assert duration(0.4) == "0 s"
    assert duration(59.6) == "1 min 0 s"
    assert duration(185.2) == "3 min 5 s"
    assert duration(7384) == "2 h 3 min"


def test_settings_come_from_the_config_of_the_phase():
    config = {
        "num_steps": 1200,
        "data": {"batch_size": 8, "mixture": {"devcv_vdr_open": 1, "text": 2}},
        "optim": {"name": "muon", "lr_peak": 0.003},
    }
    phases = (
        Phase("joint", (1,), (2.0,), 61.0, config),
        Phase("bare", (1,), (2.0,), 61.0, {}),
    )
    assert phase_settings(phases) == [
        ("joint", "1,200", "8", "muon", "0.003", "1 min 1 s", "text, vdr open")
    ]
