"""Exercises: solutions solve, plausible wrong answers get their hint, and what is not answered stays green."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from helpers import checks
from helpers.checks import Wrong, check, exercise, expect_error, grade
from helpers.exercises.nb01 import SAMPLE
from helpers.rows import Selection, read_rows, revenue
from tests.notebooks import NOTEBOOKS, exercises_in


@pytest.fixture(autouse=True)
def own_exercises() -> Iterator[None]:
    """What a test registers, as 99-…, is gone after it."""
    yield
    for number in [number for number in checks._exercises if number.startswith("99")]:
        del checks._exercises[number]


def aws_error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutRecord")


def doubled(answer: Any) -> str:
    if answer * 2 == 4:
        return "2 × 2 = 4."
    raise Wrong("try a smaller one." if answer > 2 else "try a larger one.")


every_notebook = pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")), ids=lambda path: path.stem
)


# --- the machinery


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., "Not answered yet (99-1): Halve 4."),
        ([1, ...], "Not answered yet (99-1): Halve 4."),
        ({"a": ...}, "Not answered yet (99-1): Halve 4."),
        (2, "Right (99-1): 2 × 2 = 4."),
        (3, "Not yet (99-1): try a smaller one."),
        (1, "Not yet (99-1): try a larger one."),
    ],
)
def test_check_prints_one_line_and_raises_nothing(answer: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    exercise("99-1", hint="Halve 4.")(doubled)
    check("99-1", answer)
    assert capsys.readouterr().out == said + "\n"


@pytest.mark.parametrize("answer", [None, "two", [], object()])
def test_an_answer_of_the_wrong_type_is_wrong_not_broken(answer: Any) -> None:
    exercise("99-1", hint="Halve 4.")(doubled)
    verdict = grade("99-1", answer)
    assert verdict.status == "wrong" and verdict.message.startswith(f"cannot use this {type(answer).__name__}")
    assert verdict.message.endswith("Halve 4.")


def test_what_aws_says_is_part_of_the_hint() -> None:
    @exercise("99-2", hint="Make the stream first.")
    def looks(answer: Any) -> str:
        raise aws_error("ResourceNotFoundException", "Stream x\nnot found.")

    verdict = grade("99-2", "x")
    assert (verdict.status, verdict.message) == (
        "wrong",
        "ResourceNotFoundException: Stream x not found. Make the stream first.",
    )


def test_a_broken_check_is_not_hidden() -> None:
    @exercise("99-3", hint="h")
    def broken(answer: Any) -> str:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        grade("99-3", 1)


@pytest.mark.parametrize("answer", [..., 3, "two"])
def test_a_solution_that_does_not_solve_is_an_error(answer: Any) -> None:
    exercise("99-1", hint="Halve 4.")(doubled)
    check("99-1", 2, True)
    with pytest.raises(AssertionError, match="does not solve its exercise: .*99-1"):
        check("99-1", answer, True)


@pytest.mark.parametrize("number", ["98-1", "00-9", "nonsense"])
def test_an_unknown_exercise_is_named(number: str) -> None:
    with pytest.raises(LookupError, match=f"there is no exercise '{number}'"):
        grade(number, 1)


# --- expect_error


def test_an_expected_error_is_printed_as_aws_words_it(capsys: pytest.CaptureFixture[str]) -> None:
    with expect_error("AccessDeniedException") as caught:
        raise aws_error("AccessDeniedException", "User: arn:aws:sts::1 is not\n authorized")
    assert capsys.readouterr().out == "AccessDeniedException: User: arn:aws:sts::1 is not authorized\n"
    assert isinstance(caught.error, ClientError)


@pytest.mark.parametrize("expected", [KeyError, LookupError, "KeyError"])
def test_other_exceptions_can_be_expected(expected: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with expect_error(expected):
        {}["context"]  # noqa: B018
    assert capsys.readouterr().out == "KeyError: 'context'\n"


def test_no_error_is_a_failure() -> None:
    with (
        pytest.raises(AssertionError, match="^expected AccessDenied, but nothing was raised$"),
        expect_error("AccessDenied"),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "said"),
    [(aws_error("Throttling", "slow down"), "Throttling: slow down"), (ValueError("x"), "ValueError: x")],
)
def test_another_error_is_a_failure(error: Exception, said: str) -> None:
    with pytest.raises(AssertionError, match=f"^expected AccessDenied, but got {said}$"), expect_error("AccessDenied"):
        raise error


# --- the exercises of notebooks 00 and 01


def no_cancellations() -> Decimal:
    return revenue(row for row in read_rows(SAMPLE) if row["InvoiceNo"][0] != "C")


FIRST = "online-retail-sample:000133"
WEEK = {"since": dt.date(2011, 11, 21), "until": dt.date(2011, 11, 25)}


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("00-1", 4),
        ("00-1", 4.0),
        ("00-2", {"thumbnails": "SQS", "orders": "Kinesis", "bank": "Kafka"}),
        ("00-3", Decimal("0.14")),
        ("00-3", "0.140"),
        ("01-1", Selection(**WEEK)),
        ("01-2", FIRST),
        ("01-3", no_cancellations()),
    ],
)
def test_right_answers(number: str, answer: Any) -> None:
    verdict = grade(number, answer)
    assert verdict.status == "right", verdict
    assert re.search(r"[a-z]", verdict.message)


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        ("00-1", 3, "the bytes do not"),
        ("00-1", 2, "do not even take the 2,500 records"),
        ("00-1", 3.58, "round up"),
        ("00-1", 5, "fewer will do"),
        ("00-1", "four", "cannot use this str"),
        ("00-2", {"thumbnails": "kinesis", "orders": "kinesis", "bank": "kafka"}, "thumbnails: who keeps jobs"),
        ("00-2", {"thumbnails": "sqs", "orders": "kafka", "bank": "kafka"}, "orders: several readers"),
        ("00-2", {"thumbnails": "sqs", "orders": "kinesis", "bank": "sqs"}, "bank: which one is an open protocol"),
        ("00-2", {"orders": "kinesis"}, "keys thumbnails, orders, bank"),
        ("00-2", "kinesis", "keys thumbnails"),
        ("00-3", Decimal(35), "a request for each row"),
        ("00-3", 0.14, "a float is no money"),
        ("00-3", Decimal(140), "how many requests"),
        ("01-1", Selection(since=WEEK["since"], until=dt.date(2011, 11, 24)), "rows of that week are missing"),
        ("01-1", Selection(since=WEEK["since"], until=dt.date(2011, 11, 27)), "rows of other days"),
        ("01-1", Selection(date=WEEK["since"]), "missing"),
        ("01-1", "2011-11-21", "give a Selection"),
        ("01-2", "C536020", "that is its invoice"),
        ("01-2", 133, "a RowId is a string"),
        ("01-2", "online-retail-sample:133", "a RowId is a string"),
        ("01-2", "online-retail-sample:000132", "one off"),
        ("01-2", "online-retail-sample:000001", "no cancellation"),
        ("01-3", float(no_cancellations()), "a float is no money"),
        ("01-3", revenue(read_rows(SAMPLE)), "leave out the rows"),
        ("01-3", Decimal("1.00"), "not the sum"),
    ],
)
def test_plausible_wrong_answers_get_their_hint(number: str, answer: Any, hint: str) -> None:
    verdict = grade(number, answer)
    assert verdict.status == "wrong" and hint in verdict.message, verdict


@every_notebook
def test_every_notebook_has_exercises_with_folded_solutions(path: Path) -> None:
    found = exercises_in(path)
    assert len(found) in (2, 3) and all(number.startswith(path.stem[:2]) for number in found)
    for number, cells in found.items():
        values: dict[str, Any] = {}
        exec(cells["exercise"].source, values)
        assert grade(number, values["answer"]).status == "unattempted"
        assert cells["solution"].source.startswith("if solutions:\n")
        assert cells["solution"].metadata["jupyter"]["source_hidden"], "a solution must be folded away"
        assert re.search(r"^    (answer\b|def answer\()", cells["solution"].source, re.MULTILINE)
