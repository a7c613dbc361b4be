from itertools import product

import pytest

from whosings.evidence.paper.plan import TABLES
from whosings.evidence.paper.published import LEVELS, published, published_parameters

ABLATION = "CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main)"


@pytest.mark.parametrize(
    ("table", "label", "window", "source", "level", "average", "best"),
    [
        ("table1", "CRNN_FGNL (main)", 5, "mix", "window", 0.53, 0.55),
        ("table1", ABLATION, 5, "mix", "song", 0.73, 0.80),
        ("table2", "CRNN_FGNL (w/ LCA), without two-step training", 5, "mix", "song", 0.72, 0.77),
        ("table2", "CRNN_FGNL (w/ LCA), with two-step training", 5, "mix", "window", 0.55, 0.57),
        ("table3", "CRNN", 3, "mix", "window", 0.44, 0.46),
        ("table3", "CRNN", 10, "vocals", "song", 0.74, 0.77),
        ("table3", "CRNN-large", 10, "mix", "song", 0.59, None),
        ("table3", "CRNNM", 5, "mix", "song", 0.61, 0.68),
        ("table3", "CRNN_FGNL", 10, "vocals", "window", 0.51, 0.53),
        ("table3", "CRNN_FGNL (w/ LCA)", 5, "mix", "song", 0.78, 0.80),
        ("table3", "CRNN_FGNL (w/ LCA)", 3, "vocals", "window", 0.44, 0.45),
        ("table3", "CRNNM_FGNL", 5, "vocals", "song", 0.83, None),
        ("table4", "Counterfactual attention branch", 5, "mix", "window", 0.16, None),
        ("table4", "Counterfactual attention branch", 10, "mix", "song", 0.51, None),
    ],
)
def test_printed_figures(table, label, window, source, level, average, best):
    found = published(table, label, window, source, level)
    assert (found.average, found.best) == (average, best)


@pytest.mark.parametrize(
    "place",
    [
        ("table3", "CRNN-large", 5, "mix", "window"),
        ("table3", "CRNN-large", 5, "vocals", "song"),
        ("table3", "CRNNM_FGNL (w/ LCA)", 5, "mix", "song"),
        ("table3", "CRNN", 4, "mix", "song"),
        ("table1", "CRNN_FGNL (main)", 3, "mix", "song"),
        ("table4", "Main branch", 5, "vocals", "song"),
    ],
)
def test_nothing_is_printed(place):
    assert published(*place) is None


def test_sources_are_named():
    assert "Kuo" in published("table3", "CRNN", 3, "mix", "song").paper
    assert "LCA paper" in published("table3", "CRNN", 3, "mix", "song").paper
    assert "Kuo" in published("table3", "CRNNM_FGNL", 3, "mix", "song").paper
    assert "Counterfactual" in published("table3", "CRNN_FGNL (w/ LCA)", 3, "mix", "song").paper


def test_parameters():
    found = {row.label: published_parameters("table3", row.label) for row in TABLES["table3"].rows}
    assert {label: value for label, value in found.items() if value} == {
        "CRNN": 0.39,
        "CRNNM": 0.78,
        "CRNN_FGNL": 0.58,
        "CRNN_FGNL (w/ LCA)": 0.58,
    }


def test_every_row_of_the_ablations_and_of_table_4_is_found_by_its_label():
    for table in (TABLES[name] for name in ("table1", "table2", "table4")):
        for row, window, level in product(table.rows, table.windows, LEVELS):
            assert published(table.name, row.label, window, "mix", level), (table.name, row.label)


def test_figures_agree_with_each_other():
    for window, level in product((3, 5, 10), LEVELS):  # the paper prints its own system twice
        main = published("table4", "Main branch", window, "mix", level)
        assert main.average == published("table3", "CRNN_FGNL (w/ LCA)", window, "mix", level).average
    for table in TABLES.values():
        for row, window, source, level in product(table.rows, table.windows, table.sources, LEVELS):
            found = published(table.name, row.label, window, source, level)
            assert found is None or found.best is None or found.best >= found.average
