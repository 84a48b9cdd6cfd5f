"""Every algorithm's models become properties from which the same model comes back."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.algorithms.properties import (
    PropertyDeclaration,
    camel_case,
    from_property,
    input_properties,
    messages,
    model_of,
    property_values,
    result_properties,
)
from snapcal_workbench.options import GroupOptions, PeakOptions, PixelOptions
from snapcal_workbench.workspaces.protocol import Algorithm

each = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
CALIBRATE = ALGORITHMS["CalibrateDiffraction"].inputs


def filled(algorithm: Algorithm, **more: object) -> BaseModel:
    """Inputs with all that must be given."""
    required = {name: field for name, field in algorithm.inputs.model_fields.items() if field.is_required()}
    values = {name: ("58882",) if name == "runs" else f"the_{name}" for name in required}
    return algorithm.inputs.model_validate({**values, **more})


def through_properties(algorithm: Algorithm, model: BaseModel) -> BaseModel:
    """What an algorithm gets that was called with only the properties that differ from the default."""
    declarations = input_properties(algorithm.inputs)
    values = {d.name: d.default for d in declarations} | property_values(declarations, model)
    return model_of(algorithm.inputs, declarations, lambda d: values[d.name])


@each
def test_inputs_come_back_from_their_properties(algorithm: Algorithm) -> None:
    model = filled(algorithm)
    assert through_properties(algorithm, model) == model


def test_every_kind_of_value_comes_back() -> None:
    model = filled(
        ALGORITHMS["CalibrateDiffraction"],
        mask_workspaces=("m1", "m2"),
        excluded_peaks=((1, (1, 1, 1)), (3, (2, 2, 0))),
        delta_theta=None,
        pixels=PixelOptions(skip=True, max_shift=None, max_passes=7, estimator="correlation"),
        groups=GroupOptions(model="DIFC+TZERO", max_chi2=1.0 / 3.0),
        peaks=PeakOptions(intensity_fraction=0.05),
    )
    assert through_properties(ALGORITHMS["CalibrateDiffraction"], model) == model


def test_a_dictionary_goes_as_json() -> None:
    save = ALGORITHMS["SaveCalibrationVersion"]
    model = filled(save, provenance={"passes": [1, 2], "label": 'a "quoted" text'})
    values = property_values(input_properties(save.inputs), model)
    assert json.loads(str(values["Provenance"])) == {"passes": [1, 2], "label": 'a "quoted" text'}
    assert through_properties(save, model) == model


@each
def test_names_are_unique_camel_case_and_not_those_that_mantid_keeps(algorithm: Algorithm) -> None:
    declared = [*input_properties(algorithm.inputs), *result_properties(algorithm.outputs)]
    names = [declaration.name for declaration in declared]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and name[0].isupper() for name in names)
    assert not {"Version", "StoreInADS", "EnableLogging", "LoggingOffset", "Message"} & set(names)


@each
def test_every_property_has_a_documentation(algorithm: Algorithm) -> None:
    for declaration in (*input_properties(algorithm.inputs), *result_properties(algorithm.outputs)):
        assert declaration.doc, declaration.name


@each
def test_workspaces_keep_kind_direction_and_whether_they_are_optional(algorithm: Algorithm) -> None:
    for declaration in input_properties(algorithm.inputs):
        extra = algorithm.inputs.model_fields.get(declaration.path[0])
        assert extra is not None
        stated = extra.json_schema_extra
        if declaration.kind == "workspace":
            assert isinstance(stated, dict)
            assert declaration.workspace == stated["workspace"]
            assert declaration.output == (stated["direction"] == "output")
            assert declaration.optional == stated["optional"]


@each
def test_what_enables_a_property_exists_and_can_have_that_value(algorithm: Algorithm) -> None:
    declared = {d.name: d for d in input_properties(algorithm.inputs)}
    for declaration in declared.values():
        if declaration.enabled_when is not None:
            other, value = declaration.enabled_when
            allowed = declared[other].choices if declared[other].kind == "choice" else ("0", "1")
            assert value in allowed


def declared(name: str) -> PropertyDeclaration:
    return next(d for d in input_properties(CALIBRATE) if d.name == name)


def test_options_are_groups_of_properties_with_bounds_and_choices() -> None:
    passes = declared("PixelsMaxPasses")
    assert (passes.kind, passes.default, passes.group) == ("integer", 5, "Pixels")
    assert (passes.lower, passes.upper) == (1.0, 50.0)
    assert declared("PixelsEstimator").choices == ("likelihood", "correlation")
    assert declared("PixelsReference").enabled_when == ("PixelsEstimator", "correlation")
    assert declared("PeaksIntensityFraction").default is None
    assert declared("PeaksIntensityFraction").optional
    assert declared("PeaksCrystalDMin").doc.endswith(", A")


def test_the_second_step_s_reserved_name_is_replaced() -> None:
    names = [d.name for d in input_properties(ALGORITHMS["LoadCalibrationVersion"].inputs)]
    assert "CalibrationVersion" in names


def problems(**values: object) -> dict[str, str]:
    declarations = input_properties(CALIBRATE)
    given = {d.name: d.default for d in declarations} | values
    with pytest.raises(ValidationError) as caught:
        model_of(CALIBRATE, declarations, lambda d: given[d.name])
    return messages(declarations, caught.value)


def test_errors_stand_beside_their_property() -> None:
    found = problems(PixelsMaxPasses=0, GroupsModel="cubic", ExcludedPeaks="[[1, [1, 1]]]")
    assert "greater than or equal to 1" in found["PixelsMaxPasses"]
    assert "GroupsModel" in found
    assert "ExcludedPeaks" in found
    assert found["Calibrant"] == "It must be given"


def test_text_that_is_no_json_is_an_error_of_its_property() -> None:
    assert "ExcludedPeaks" in problems(ExcludedPeaks="{1, 1 1}")


def test_a_list_may_have_blanks_and_nothing_between_commas() -> None:
    assert from_property(declared("MaskWorkspaces"), " a, b ,,c ") == ("a", "b", "c")


@pytest.mark.parametrize(("name", "found"), [("d_crop_low", "DCropLow"), ("max_chi2", "MaxChi2"), ("lite", "Lite")])
def test_camel_case(name: str, found: str) -> None:
    assert camel_case(name) == found
