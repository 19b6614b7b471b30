import json
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.api.schema import checks, extension

SHIPPED = Path(__file__).parents[4] / "etc" / "schema-image.json"


def test_without_a_file_there_are_no_definitions():
    assert extension.load(None) == {}


def test_the_shipped_file_makes_a_schema():
    schema = checks.ImageSchema(extension=extension.load(str(SHIPPED)))

    schema.check({"kernel_id": None, "os_distro": "debian"}, whole=True)
    with pytest.raises(errors.BadRequest, match="do_not_delete"):
        schema.check({"cinder_encryption_key_deletion_policy": "x"}, whole=True)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"properties": {}, "required": "a"}', '{"a": {']
)
def test_a_broken_file_is_refused(tmp_path, text):
    file = tmp_path / "schema-image.json"
    file.write_text(text)

    with pytest.raises(errors.Misconfigured, match="schema-image.json"):
        checks.ImageSchema(extension=extension.load(str(file)))


def test_a_definition_that_is_no_schema_is_refused():
    with pytest.raises(errors.Misconfigured):
        checks.ImageSchema(extension={"a": {"type": "strange"}})


def test_the_flat_form_may_define_a_property_named_properties():
    flat = {"properties": {"type": "string", "maxLength": 3}}

    assert extension.parts(flat).properties == flat


def test_both_forms_mean_the_same():
    flat = {"a": {"type": "string"}}
    extended = {"properties": flat, "required": ["a"]}

    assert extension.parts(flat) == (flat, [])
    assert extension.parts(extended) == (flat, ["a"])


def test_a_definition_equal_to_the_base_one_is_no_contradiction():
    base = checks.ImageSchema().document["properties"]["name"]

    found = checks.ImageSchema(extension=json.loads(json.dumps({"name": base})))

    assert found.document["properties"]["name"] == base


def test_messages_name_the_attribute_and_do_not_repeat_what_was_sent():
    schema = checks.ImageSchema()

    with pytest.raises(errors.BadRequest) as caught:
        schema.check({"name": ["secret"] * 1000}, whole=True)

    assert str(caught.value) == "'name' must be null or string"
