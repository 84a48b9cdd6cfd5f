"""One walker over a model's fields: names, labels, values, and the plain forms of a tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.errors import InputError
from snapcal_workbench.options import (
    CalibrationOptions,
    Request,
    Settings,
    flattened,
    in_words,
    leaves,
    nested,
    value_at,
)

NAMES = st.text("abc_", min_size=1, max_size=3)
TREES = st.recursive(
    st.dictionaries(NAMES, st.integers(), min_size=1), lambda inner: st.dictionaries(NAMES, inner, min_size=1)
)


@given(TREES)
def test_the_flat_form_is_the_tree(tree: dict) -> None:
    assert nested(flattened(tree)) == tree


def test_the_leaves_are_those_of_the_plain_form() -> None:
    """The walk over declarations and the walk over values find the same."""
    for model in (CalibrationOptions, Request):
        assert [leaf.name for leaf in leaves(model)] == list(flattened(model().model_dump()))
        assert {leaf.name: value_at(model(), leaf.path) for leaf in leaves(model)} == flattened(model().model_dump())


def test_settings_name_options_as_requests_do() -> None:
    settings = Settings()
    assert set(flattened({"options": CalibrationOptions().model_dump()})) <= set(settings.effective())


def test_every_option_is_declared_with_all_that_is_shown_of_it() -> None:
    for leaf in leaves(CalibrationOptions):
        assert leaf.field.title
        assert leaf.field.description
        assert leaf.section_title
        assert leaf.condition is None or leaf.condition[0] in flattened(CalibrationOptions().model_dump())


def test_a_leaf_says_what_was_declared() -> None:
    found = {leaf.name: leaf for leaf in leaves(CalibrationOptions)}
    passes, largest, model = found["pixels.max_passes"], found["pixels.max_offset_bins"], found["groups.model"]
    assert (passes.kind, passes.may_be_empty, passes.bound("ge"), passes.bound("le")) == (int, False, 1.0, 50.0)
    assert passes.condition == ("pixels.skip", False)
    assert (largest.kind, largest.may_be_empty, largest.bound("ge")) == (float, True, None)
    assert model.choices[0] == "DIFC"
    assert model.section_title == "Group calibration"


def test_a_name_that_is_a_leaf_and_a_section_is_refused() -> None:
    with pytest.raises(InputError, match=r"'a\.b' lies below 'a'"):
        nested({"a": 1, "a.b": 2})


def test_a_request_is_changed_by_the_names_of_its_leaves() -> None:
    changed = Request().changed({"pixels.max_passes": "3", "lite": "no", "pixels.max_offset_bins": "4"})
    assert changed.options.pixels.max_passes == 3
    assert not changed.lite
    assert changed.changed({"pixels.max_offset_bins": ""}).options.pixels.max_offset_bins is None
    assert changed.differences(Request()) == {
        "pixels.max_passes": (5, 3),
        "lite": (True, False),
        "pixels.max_offset_bins": (None, 4.0),
    }


def test_a_misspelt_name_gets_the_right_one() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'pixels\.max_passes'\?"):
        Request().changed({"pixels.max_passe": 3})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["58882", "58883"], "58882, 58883"),
        ([], "none"),
        (None, "none"),
        (True, "yes"),
        ([[1, [2, 2, 0]], [3, [4, 0, 0]]], "1:2,2,0, 3:4,0,0"),
        (0.5, "0.5"),
    ],
)
def test_a_value_in_words_is_what_a_scientist_types(value: object, text: str) -> None:
    assert in_words(value) == text
