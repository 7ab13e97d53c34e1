"""Addresses from which anyone who has one downloads a function's zip, for ten minutes.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote

from .types import AwsError, Request

PATH = "/_aws/code/"  # and when it expires, whose code, which code
SECONDS = 600
_TO_PATH, _FROM_PATH = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")


@dataclass(frozen=True)
class CodeLinks:
    """Signs and reads them; with the lab its secret goes, and so do they."""

    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    now: Callable[[], float] = time.time

    def sign(self, host: str, arn: str, code_sha256: str) -> str:
        """The address of this code of the function, below http://host."""
        path = f"{PATH}{int(self.now()) + SECONDS}/{arn}/{code_sha256.translate(_TO_PATH)}"
        return f"http://{host}{quote(path)}?X-Amz-Signature={self._mark(path)}"

    def read(self, request: Request) -> tuple[str, str]:
        """The function's ARN and its code's SHA-256. Raises AwsError, as S3 has it, for what is not, or no longer,
        an address that was signed here."""
        path = unquote(request.path)
        given = parse_qs(request.query).get("X-Amz-Signature", [""])[0]
        if request.method != "GET" or not hmac.compare_digest(given.encode(), self._mark(path).encode()):
            text = "The request signature we calculated does not match the signature you provided."
            raise AwsError("SignatureDoesNotMatch", text, 403)
        until, arn, code = path[len(PATH) :].split("/")
        if self.now() > int(until):
            raise AwsError("AccessDenied", "Request has expired", 403)
        return arn, code.translate(_FROM_PATH)

    def _mark(self, path: str) -> str:
        return hashlib.blake2b(path.encode(), key=self.secret, digest_size=32).hexdigest()
