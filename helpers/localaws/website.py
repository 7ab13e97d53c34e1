"""S3's static websites: `http://<bucket>.localhost:<port>/` serves a bucket to anyone whom its policy lets read it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html and, below the same address,
IndexDocumentSupport, CustomErrorDocSupport, how-to-page-redirect, access-control-block-public-access.
As with S3, only GET and HEAD are answered, and a missing key is 404 only for who may list the bucket, otherwise 403.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from .permissions import anyone_allowed
from .types import AwsError, Request, Response

_REASONS = {301: "Moved Permanently", 302: "Moved Temporarily", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_REASONS |= {405: "Method Not Allowed", 416: "Requested Range Not Satisfiable", 500: "Internal Server Error"}
# What of a request S3 looks at here: all else (cookies, signatures) has no meaning for a website.
_READ = ("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


@dataclass(frozen=True, slots=True)
class Site:
    """A bucket as a website: `restricted` when its public access block takes no heed of a public policy."""

    index: str
    error: str | None
    redirect: str | None  # RedirectAllRequestsTo: protocol://host, or //host
    policy: dict[str, Any] | None
    restricted: bool


# (bucket) -> its website; raises AwsError NoSuchBucket, NoSuchWebsiteConfiguration
Find = Callable[[str], Site]
# (bucket, key, request) -> S3's own answer to GetObject
Read = Callable[[str, str, Request], Response]


def serve(bucket: str, request: Request, find: Find, read: Read) -> Response:
    """The website's answer. Raises nothing."""
    try:
        site = find(bucket)
        return _serve(site, bucket, request, read)
    except AwsError as error:
        return page(error)


def _serve(site: Site, bucket: str, request: Request, read: Read) -> Response:
    if request.method == "OPTIONS":
        raise AwsError("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", 403)
    if request.method not in ("GET", "HEAD"):
        text = "The specified method is not allowed against this resource."
        raise AwsError("MethodNotAllowed", text, 405, Method=request.method, ResourceType="OBJECT")
    if site.redirect:
        query = f"?{request.query}" if request.query else ""
        return _redirect(301, site.redirect + request.path + query)
    key = unquote(request.path[1:], errors="replace")
    folder = not key or key.endswith("/")
    try:
        return _object(site, bucket, key + site.index if folder else key, request, read)
    except AwsError as error:
        if not folder and error.status in (403, 404) and _exists(site, bucket, f"{key}/{site.index}", read):
            return _redirect(302, "/" + quote(f"{key}/"))
        if not site.error:
            raise
        try:
            plain = Request(request.method, "/", "", {})
            found = _object(site, bucket, site.error, plain, read)
        except AwsError as second:
            return page(error, second)
        return Response(error.status, found.body, found.headers | _error_headers(error))


def _object(site: Site, bucket: str, key: str, request: Request, read: Read) -> Response:
    arn = f"arn:aws:s3:::{bucket}"
    public = None if site.restricted else site.policy
    denied = AwsError("AccessDenied", "Access Denied", 403)
    if not anyone_allowed(public, "s3:GetObject", f"{arn}/{key}"):
        raise denied
    headers = {name: request.headers[name] for name in _READ if name in request.headers}
    answer = read(bucket, key, Request(request.method, f"/{bucket}/{quote(key)}", "", headers))
    if answer.status == 404 and not anyone_allowed(public, "s3:ListBucket", arn):
        raise denied
    if answer.status >= 400:
        told = {name: re.search(rf"<{name}>([^<]*)<".encode(), answer.body) for name in ("Code", "Message")}
        code, message = (found[1].decode() if found else "" for found in told.values())
        if answer.status == 404:  # HEAD has no body to read
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=key)
        raise AwsError(code or "InvalidRequest", message or _REASONS.get(answer.status, ""), answer.status)
    target = next((v for k, v in answer.headers.items() if k.lower() == "x-amz-website-redirect-location"), None)
    return _redirect(301, target) if target else Response(answer.status, answer.body, answer.headers | _ids())


def _exists(site: Site, bucket: str, key: str, read: Read) -> bool:
    try:
        return _object(site, bucket, key, Request("HEAD", "/", "", {}), read).status == 200
    except AwsError:
        return False


def _redirect(status: int, location: str) -> Response:
    return Response(status, b"", {"Location": location.replace("\r", "").replace("\n", ""), **_ids()})


def _ids() -> dict[str, str]:
    return {"x-amz-request-id": os.urandom(8).hex().upper(), "x-amz-id-2": os.urandom(28).hex(), "Server": "AmazonS3"}


def _error_headers(error: AwsError) -> dict[str, str]:
    details = {f"x-amz-error-detail-{name}": str(value) for name, value in error.members.items()}
    headers = {"x-amz-error-code": error.code, "x-amz-error-message": error.message, **details}
    return {name: re.sub(r"[^ -~]", "?", value) for name, value in headers.items()}


def page(error: AwsError, second: AwsError | None = None) -> Response:
    """An error as S3's website endpoints show it; `second` is why the bucket's own error document could not be."""
    ids = _ids()
    title = f"{error.status} {_REASONS.get(error.status, 'Error')}"
    told = [*_told(error), ("RequestId", ids["x-amz-request-id"]), ("HostId", ids["x-amz-id-2"])]
    lines = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<h1>{title}</h1>", *_list(told)]
    if second:
        lines += ["<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>"]
        lines += _list(_told(second))
    body = "\n".join([*lines, "<hr/>", "</body>", "</html>", ""])
    headers = {"Content-Type": "text/html; charset=utf-8", **_error_headers(error), **ids}
    return Response(error.status, body.encode(), headers)


def _told(error: AwsError) -> list[tuple[str, str]]:
    members = [(name, str(value)) for name, value in error.members.items()]
    return [("Code", error.code), ("Message", error.message), *members]


def _list(told: list[tuple[str, str]]) -> list[str]:
    return ["<ul>", *(f"<li>{name}: {escape(value)}</li>" for name, value in told), "</ul>"]
