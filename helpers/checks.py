"""The exercises' checks, and errors that a lesson provokes.

    answer = ...
    check("00-1", answer)

    with expect_error("ResourceNotFoundException"):
        kinesis.describe_stream(StreamName="no-such-stream")

A check judges what the answer is, or what the cloud's state has become, never how the code was written. The
checks of a notebook stand in helpers/exercises/, one module a notebook: nb00.py, nb01.py, ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

Judge = Callable[[Any], str]


def published(stage: str) -> dict[str, str]:
    """What a notebook has published for the later ones: the parameters below /workbook/<stage>."""
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/workbook/{stage}")
    return {p["Name"].rpartition("/")[2]: p["Value"] for page in pages for p in page["Parameters"]}


class Wrong(Exception):
    """An answer is not right. The message is the hint that the learner reads."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found; `message` is what the answer proves, or the hint."""

    number: str
    status: Literal["right", "wrong", "unattempted"]
    message: str

    def __str__(self) -> str:
        said = {"right": "Right", "wrong": "Not yet", "unattempted": "Not answered yet"}[self.status]
        return f"{said} ({self.number}): {self.message}"


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise: its number ("02-1"), the hint for who has not begun, and what judges an answer."""

    number: str
    hint: str
    judge: Judge


_exercises: dict[str, Exercise] = {}


def exercise(number: str, hint: str) -> Callable[[Judge], Judge]:
    """Register the check of an exercise:

        @exercise("02-1", hint="A shard takes 1,000 records a second.")
        def shards_of_the_stream(answer: int) -> str:
            if ...:
                raise Wrong("...")  # the hint for this wrong answer
            return "..."  # what the right answer proves

    It gets the learner's answer and looks at the cloud with boto3. A boto3 error or a wrong type counts as
    a wrong answer.
    """

    def register(judge: Judge) -> Judge:
        _exercises[number] = Exercise(number, hint, judge)
        return judge

    return register


def grade(number: str, answer: Any) -> Verdict:
    """Judge an answer; nothing is printed. Raises LookupError if there is no such exercise."""
    found = _find(number)
    if _unattempted(answer):
        return Verdict(number, "unattempted", found.hint)
    try:
        return Verdict(number, "right", found.judge(answer))
    except Wrong as hint:
        return Verdict(number, "wrong", str(hint))
    except (ClientError, BotoCoreError) as error:
        return Verdict(number, "wrong", f"{_words(error)} {found.hint}")
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        kind = type(answer).__name__
        return Verdict(number, "wrong", f"cannot use this {kind} ({_one_line(str(error))}). {found.hint}")


def check(number: str, answer: Any, solutions: bool = False) -> None:
    """Judge an answer and print one line: what it proves, or a hint. Only `...` counts as not answered.

    With `solutions=True`, as in the cell of the solution, anything but a right answer raises AssertionError.
    """
    verdict = grade(number, answer)
    print(verdict)
    if solutions and verdict.status != "right":
        raise AssertionError(f"the solution does not solve its exercise: {verdict}")


def _find(number: str) -> Exercise:
    if number not in _exercises:
        module = f"helpers.exercises.nb{number[:2]}"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    if number not in _exercises:
        raise LookupError(f"there is no exercise {number!r}")
    return _exercises[number]


def _unattempted(answer: Any) -> bool:
    if isinstance(answer, dict):
        answer = list(answer.values())
    return answer is ... or (isinstance(answer, list | tuple) and any(item is ... for item in answer))


@dataclass(slots=True)
class Caught:
    """What `expect_error` caught; None until the block has ended."""

    error: Exception | None = None


@contextmanager
def expect_error(expected: str | type[Exception]) -> Generator[Caught]:
    """Pass when the block raises that error, and print it as AWS words it, in one line.

    `expected` is AWS's code ("AccessDeniedException") or an exception's class. Raises AssertionError when the
    block raises nothing or something else: a lesson whose error has gone is wrong.
    """
    name = expected if isinstance(expected, str) else expected.__name__
    caught = Caught()
    try:
        yield caught
    except Exception as error:
        if not _is(error, expected):
            raise AssertionError(f"expected {name}, but got {_words(error)}") from error
        caught.error = error
        print(_words(error))
    else:
        raise AssertionError(f"expected {name}, but nothing was raised")


def _is(error: Exception, expected: str | type[Exception]) -> bool:
    if isinstance(expected, type):
        return isinstance(error, expected)
    if isinstance(error, ClientError):
        return bool(error.response["Error"]["Code"] == expected)
    return type(error).__name__ == expected


def _words(error: Exception) -> str:
    """`Code: message` for an error of AWS, `Class: message` for any other, in one line."""
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return _one_line(f"{told['Code']}: {told['Message']}")
    return _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
