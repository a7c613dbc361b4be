import csv
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.evidence.paper.by_hand import DRAWS, ROWS, SMALL, origin, runs_of
from whosings.errors import WhosingsError
from whosings.evidence.paper.pages import notes, write_table
from whosings.evidence.paper.plan import TABLES, Row
from whosings.evidence.paper.tables import Place, build_table

ODD = '<b>"odd" & | na*me</b>'
SONGS = Place("mix", 5, "song")
FIRST, SECOND, THIRD = ROWS


@pytest.fixture(scope="module")
def report():
    return build_table(SMALL, runs_of(), origin())


@pytest.fixture(scope="module")
def one_run():
    return build_table(SMALL, runs_of(draws=DRAWS[:1]), origin(DRAWS[:1], shared_split=False))


@pytest.fixture(scope="module")
def files(report, tmp_path_factory):
    return write_table(report, tmp_path_factory.mktemp("table"))


def table_lines(markdown, start):
    return [line.split(" | ") for line in markdown.splitlines() if line.startswith(start)]


def test_five_files_named_after_the_table(files):
    assert {kind: path.name for kind, path in files.items()} == {
        kind: f"table3.{kind}" for kind in ("md", "csv", "html", "json", "png")
    }
    assert files["png"].read_bytes().startswith(b"\x89PNG")


def test_csv_holds_every_figure_in_full(report, files):
    with files["csv"].open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(report.entries) == 6
    for line, entry in zip(lines, report.entries, strict=True):
        assert (line["row"], line["level"]) == (entry.row.label, entry.place.level)
        assert float(line["f1_weighted_average"]) == entry.f1_weighted.average
        assert float(line["f1_macro_spread"]) == entry.f1_macro.spread
        assert tuple(map(float, line["f1_weighted_runs"].split("; "))) == entry.f1_weighted.runs
        assert (float(line["f1_weighted_low"]), float(line["f1_weighted_high"])) == entry.f1_weighted.interval
        assert line["published_average"] == (str(entry.published.average) if entry.published else "")
    song = next(line for line in lines if line["row"] == THIRD.label and line["level"] == "song")
    above = next(
        one for one in report.comparisons if (one.row, one.other, one.place) == (THIRD, SECOND, SONGS)
    )
    first = next(
        one for one in report.comparisons if (one.row, one.other, one.place) == (THIRD, FIRST, SONGS)
    )
    assert float(song["less_above"]) == above.difference["f1_weighted"]
    assert float(song["less_above_holm_p"]) == above.holm_p
    assert float(song["less_first_p"]) == first.p_value["f1_weighted"]
    assert song["less_first_holm_p"] == ""


def test_json_holds_everything(report, files):
    found = json.loads(files["json"].read_text(encoding="utf-8"))
    assert len(found["entries"]) == 6
    assert found["entries"][0]["f1_weighted"]["runs"] == list(report.entries[0].f1_weighted.runs)
    assert found["entries"][0]["published"]["paper"].startswith("Kuo")
    assert [one["p_value"] for one in found["comparisons"]] == [one.p_value for one in report.comparisons]
    assert found["provenance"]["command"] == report.provenance.command
    assert found["notes"] == notes(report)
    assert found["table"]["rows"][2]["recipe"] == "crnn_fgnl_lca"


def test_markdown_puts_published_figures_beside_ours(report, files):
    markdown = files["md"].read_text(encoding="utf-8")
    assert markdown.startswith("### Table 3: Three systems\n")
    heads, *_ = table_lines(markdown, "| system")
    assert heads == ["| system", "", "windows 5 s", "songs 5 s", "parameters |"]
    ours = next(line for line in table_lines(markdown, "| CRNN |") if line[1] == "average")
    average = report.entry(FIRST, SONGS).f1_weighted.average
    assert ours[3].startswith(f"{average:.3f}".lstrip("0"))
    assert "| *published* | *.45 (best .47)* | *.55 (best .59)* | *0.39 M* |" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6, 4}  # the table, then the tests


def test_bold_only_where_the_best_stands_out(report, files):
    bold = [line for line in files["md"].read_text(encoding="utf-8").splitlines() if "| **" in line]
    assert len(bold) == 1
    assert bold[0].startswith(f"| {THIRD.label} | average | **")
    assert bold[0].count("**") == 4
    close = build_table(
        replace(SMALL, rows=ROWS[:2]), [run for run in runs_of() if run.row != THIRD], origin()
    )
    assert not any(close.leads(row, SONGS) for row in ROWS)
    assert any("no row that stands out" in note for note in notes(report))


def test_markdown_tests_have_holm_for_neighbours_songs_only(files):
    markdown = files["md"].read_text(encoding="utf-8")
    ((_, window, song),) = table_lines(markdown, "| CRNNM less CRNN |")
    assert "Holm" in song and "Holm" not in window and " p " in window
    ((_, _, song),) = table_lines(markdown, f"| {THIRD.label} less CRNN |")
    assert "Holm" not in song


def test_provenance_and_command_are_told(files):
    for kind in ("md", "html"):
        text = files[kind].read_text(encoding="utf-8")
        for fact in (
            "songs of six, 6 singers",
            "kuo; split abababababab for all",
            "seed 0, seed 21, seed 42",
        ):
            assert fact in text
        for fact in ("24 songs, 144 windows of 5 s", "learning_rate=0.0005", "2 CPU threads", "abc1234"):
            assert fact in text
        assert "whosings reproduce table3 songs --out runs" in text


def test_html_stands_alone_and_escapes_odd_names(tmp_path):
    rows = (Row(ODD, "crnn"), SECOND)
    table = replace(SMALL, rows=rows)
    report = build_table(table, runs_of(table), origin(collection=ODD, command="whosings 'a<b>'"))
    files = write_table(report, tmp_path)
    page = files["html"].read_text(encoding="utf-8")
    assert "odd" in page
    assert "<b>&#34;odd" not in page and '<b>"odd' not in page and "a<b>" not in page
    assert 'src="data:image/png;base64,' in page and "http" not in page
    markdown, _, _ = files["md"].read_text(encoding="utf-8").partition("```")  # the command is verbatim
    assert "<b>" not in markdown
    rows_of_words = [line for line in markdown.splitlines() if "odd" in line and line.startswith("| &lt;b>")]
    assert rows_of_words and all("\\|" in line and "na\\*me" in line for line in rows_of_words)


class Balance(HTMLParser):
    """Fails where a table tag is closed that is not open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag in ("table", "thead", "tbody", "tr", "td", "th"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("table", "thead", "tbody", "tr", "td", "th"):
            assert self.open.pop() == tag


def test_html_tables_are_whole(files):
    parser = Balance()
    parser.feed(files["html"].read_text(encoding="utf-8"))
    assert parser.open == []


def test_one_run_says_so_and_shows_no_spread(one_run, tmp_path):
    told = notes(one_run)
    assert "One run each: average and best are the same and say nothing of spread." in told
    assert not any("±" in note or "best run is chosen" in note for note in told)
    markdown = write_table(one_run, tmp_path)["md"].read_text(encoding="utf-8")
    assert "best, spread" not in markdown and "±" not in markdown


def test_notes_of_a_short_training_on_other_data(report):
    told = " ".join(notes(report))
    assert "Epochs: 20 instead of 800." in told
    assert "Epochs before the second step of training: 5 instead of 20." in told
    assert "1 of 2 trainings were best at their last epoch" in told
    assert "ours on songs of six: other data" in told
    assert "± is the seed spread" in told
    assert "tests of songs between neighbouring rows" in told


def test_notes_of_a_full_reproduction():
    like_the_paper = origin(artist20=True, epochs=(800,), first_steps=(20,), best_was_last=0)
    told = " ".join(notes(build_table(SMALL, runs_of(own_split=True), like_the_paper)))
    assert "other data" not in told and "instead" not in told and "last epoch" not in told
    assert "± is the split and seed spread" in told


def test_notes_of_what_is_wrong_are_told():
    wrong = origin(
        warning="This split leaks.", failed=3, mix_db=-5.0, commits=("a1", "b2-dirty"), machines=("x", "y")
    )
    told = " ".join(notes(build_table(SMALL, runs_of(), wrong)))
    for words in (
        "This split leaks.",
        "Up to 3 songs",
        "-5 dB",
        "more than one commit",
        "more than one machine",
    ):
        assert words in told
    assert "changed after commit b2-dirty" in told


def test_notes_say_what_separated_the_vocals():
    table = replace(SMALL, rows=ROWS[:2], sources=("mix", "vocals"))
    for separators, words in (((), "collection's own stems"), (("spleeter",), "separated by spleeter")):
        told = " ".join(notes(build_table(table, runs_of(table), origin(separators=separators))))
        assert words in told
    told = " ".join(notes(build_table(table, runs_of(table), origin(separators=("openunmix",)))))
    assert "Vocals" not in told


def test_missing_cells_are_empty_and_counted(tmp_path):
    kept = [run for run in runs_of() if run.row == FIRST or (run.row == THIRD and run.cell.draw == DRAWS[0])]
    report = build_table(SMALL, kept, origin())
    files = write_table(report, tmp_path)
    markdown = files["md"].read_text(encoding="utf-8")
    assert "| CRNNM | average | - 0 of 3 runs | - 0 of 3 runs |  |" in markdown
    assert "), 1 of 3 runs |" in markdown
    assert "- 5 of 9 runs are not there yet" in markdown
    assert "paired tests could not be made" in markdown
    with files["csv"].open(encoding="utf-8", newline="") as file:
        empty = [line for line in csv.DictReader(file) if line["row"] == "CRNNM"]
    assert [(line["runs"], line["f1_weighted_average"], line["less_above"]) for line in empty] == [
        ("0", "", "")
    ] * 2


def test_tables_of_the_ablations_say_that_the_paper_stops_early():
    table = TABLES["table2"]
    told = notes(build_table(table, runs_of(table, DRAWS[:2]), origin(DRAWS[:2])))
    assert "20 epochs; the paper stops these early, at epochs that it does not print." in told
    assert "The papers have 3 runs, this table at most 2." in told


def test_every_table_can_be_written_while_it_has_one_run(tmp_path):
    for table in TABLES.values():
        first = runs_of(replace(table, windows=table.windows[:1], rows=table.rows[:1]), DRAWS[:1])
        report = build_table(table, first[:1], origin(DRAWS[:1]))
        assert set(write_table(report, tmp_path / table.name)) == {"md", "csv", "html", "json", "png"}


def test_a_folder_that_is_a_file_is_refused(report, tmp_path):
    (tmp_path / "there").write_text("")
    with pytest.raises(WhosingsError, match="cannot be written"):
        write_table(report, tmp_path / "there")
