"""Statuses: the words and details that clients match on."""

import pytest

from apimachinery import errors, field


def test_not_found_says_resource_and_name() -> None:
    assert errors.not_found("apps", "deployments", "web").status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_conflict_words_are_upstreams() -> None:
    assert str(errors.conflict("", "pods", "x")) == (
        'Operation cannot be fulfilled on pods "x": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert str(errors.already_exists("", "pods", "x")) == 'pods "x" already exists'


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("", "pods", "x", "no"), 'pods "x" is forbidden: no'),
        (("apps", "deployments", "", "no"), "deployments.apps is forbidden: no"),
        (("", "", "", "no"), "forbidden: no"),
    ],
)
def test_forbidden_names_what_there_is_to_name(args: tuple[str, str, str, str], message: str) -> None:
    assert str(errors.forbidden(*args)) == message


def test_invalid_lists_every_cause_and_repeats_none() -> None:
    wrong = [field.required("spec.containers"), field.invalid("spec.x", "a", "why"), field.required("spec.containers")]
    error = errors.invalid("", "Pod", "x", wrong)
    assert str(error) == 'Pod "x" is invalid: [spec.containers: Required value, spec.x: Invalid value: "a": why]'
    assert error.causes == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"},
        {"reason": "FieldValueInvalid", "message": 'Invalid value: "a": why', "field": "spec.x"},
    ]
    assert str(errors.invalid("apps", "Deployment", "x", wrong[:1])).startswith('Deployment.apps "x" is invalid: spec.')


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (field.not_supported("a", "z", ["x", "y"]), 'a: Unsupported value: "z": supported values: "x", "y"'),
        (field.duplicate("a[1]", 80), "a[1]: Duplicate value: 80"),
        (field.forbidden("a", "may not change"), "a: Forbidden: may not change"),
        (field.too_long("a", 63), "a: Too long: may not be more than 63 bytes"),
        (field.too_many("a", 5, 3), "a: Too many: 5: must have at most 3 items"),
        (field.not_found("a", "x"), 'a: Not found: "x"'),
        (field.invalid("a", {"k": "v"}, "immutable"), 'a: Invalid value: {"k":"v"}: immutable'),
        (field.invalid("a", None, "immutable"), "a: Invalid value: null: immutable"),
    ],
)
def test_field_errors_read_as_upstreams(error: field.FieldError, message: str) -> None:
    assert error.message() == message


def test_received_status_makes_the_same_class() -> None:
    sent = errors.TooManyRequests("slow down", retry_after=7)
    received = errors.from_status(sent.status, 429)
    assert isinstance(received, errors.TooManyRequests)
    assert received.retry_after == 7
    assert received.status == sent.status
    assert str(errors.from_status(errors.Timeout("late").status, 504)) == "Timeout: late"


def test_answer_without_a_status_goes_by_its_code() -> None:
    assert isinstance(errors.from_status({}, 503), errors.ServiceUnavailable)
    assert isinstance(errors.from_status({"reason": "AlreadyExists"}, 409), errors.AlreadyExists)
    teapot = errors.from_status({}, 418)
    assert (type(teapot), teapot.code) == (errors.StatusError, 418)
