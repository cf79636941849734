"""Patches that can't be decoded are refused in the words of Go's decoder."""

from __future__ import annotations

import pytest

from apimachinery import errors
from apiserver.endpoints.writing import _decoded_patch
from apiserver.registry.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH


@pytest.mark.parametrize(
    ("raw", "content_type", "message"),
    [
        (b"{spec:1}", STRATEGIC_PATCH, "invalid character 's' looking for beginning of object key string"),
        (b"{spec:1}", MERGE_PATCH, "error decoding patch: invalid character 's' looking for beginning of object key string"),  # noqa: E501
        (b'{"a":x}', STRATEGIC_PATCH, "invalid character 'x' looking for beginning of value"),
        (b'{"a":', STRATEGIC_PATCH, "unexpected end of JSON input"),
        (b'"a"', STRATEGIC_PATCH, "json: cannot unmarshal string into Go value of type map[string]interface {}"),
        (b"[]", MERGE_PATCH, "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),  # noqa: E501
        (b"{}", JSON_PATCH, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),  # noqa: E501
    ],
)  # fmt: skip
def test_why_a_patch_is_no_patch(raw: bytes, content_type: str, message: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        _decoded_patch(raw, content_type)
    assert caught.value.message == message
