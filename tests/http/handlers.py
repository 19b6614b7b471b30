"""What our YAML says beyond gabbi's own keys."""

from typing import Any

from gabbi.handlers import base, jsonhandler

PATCH_TYPES = (
    "application/openstack-images-v2.0-json-patch",
    "application/openstack-images-v2.1-json-patch",
)


class Patch(jsonhandler.JSONHandler):
    """Writes ``data`` of the two patch media types as JSON."""

    @staticmethod
    def accepts(content_type: str) -> bool:
        return content_type.split(";")[0].strip() in PATCH_TYPES


class Body(base.ResponseHandler):
    """``response_body``: the whole body, exactly; bytes are read as Latin-1."""

    test_key_suffix = "body"
    test_key_value: str | None = None

    def __call__(self, test: Any) -> None:
        expected = test.test_data[self._key]
        if expected is None:
            return
        found = test.output
        if isinstance(found, bytes):
            found = found.decode("latin-1")
        assert str(expected) == found


class Names(base.ResponseHandler):
    """``response_names``: the names of the listed images, in the order of the list."""

    test_key_suffix = "names"
    test_key_value: list[str] = []

    def __call__(self, test: Any) -> None:
        expected = test.test_data[self._key]
        if not expected:
            return
        assert isinstance(test.response_data, dict), test.output
        found = [image["name"] for image in test.response_data["images"]]
        assert expected == found


class Lacks(base.ResponseHandler):
    """``response_lacks``: members that the JSON object in the body has not."""

    test_key_suffix = "lacks"
    test_key_value: list[str] = []

    def action(self, test: Any, item: str, value: object = None) -> None:
        assert item not in test.response_data


class Keys(base.ResponseHandler):
    """``response_keys``: exactly the members of the JSON object in the body."""

    test_key_suffix = "keys"
    test_key_value: list[str] = []

    def __call__(self, test: Any) -> None:
        expected = test.test_data[self._key]
        if expected:
            assert sorted(expected) == sorted(test.response_data)


HANDLERS = (Patch, Body, Names, Lacks, Keys)
