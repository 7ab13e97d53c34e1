"""Redshift's own statements, which no parser of SQL knows: CREATE TABLE with its attributes, COPY, UNLOAD, options."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .catalog import Column
from .sqltypes import SqlError, Type, parse_type, refuse

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|''|\\.)*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<word>[A-Za-z_\u0080-\uffff#][\w$#\u0080-\uffff]*)
    |(?P<sign>::|<=|>=|<>|!=|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)


# They are names in double quotes only. https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html
_RESERVED = frozenset(
    "aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup between "
    "binary blanksasnull both bytedict bzip2 case cast check collate column constraint create credentials cross "
    "current_date current_time current_timestamp current_user current_user_id default deferrable deflate defrag "
    "delta delta32k desc disable distinct do else emptyasnull enable encode encrypt encryption end except "
    "explicit false for foreign freeze from full globaldict256 globaldict64k grant group gzip having identity "
    "ignore ilike in initially inner intersect interval into is isnull join language leading left like limit "
    "localtime localtimestamp lun luns lzo lzop minus mostly16 mostly32 mostly8 natural new not notnull null "
    "nulls off offline offset oid old on only open or order outer overlaps parallel partition percent permissions "
    "placing primary raw readratio recover references rejectlog resort respect restore right select session_user "
    "similar snapshot some sysdate system table tag tdes text255 text32k then timestamp to top trailing true "
    "truncatecolumns union unique user using verbose wallet when where with without".split()
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # string, quoted, dollar, number, word, sign
    text: str
    start: int
    end: int


def tokens(sql: str) -> list[Token]:
    """The tokens of a text, comments left out; raises SqlError for a string that does not end."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup or "", match.group()
        kind = "dollar" if kind == "tag" else kind
        if kind == "sign" and text in ("'", '"'):
            what = "string" if text == "'" else "identifier"
            raise SqlError(f'unterminated quoted {what} at or near "{sql[match.start() :][:40]}"')
        if kind != "space":
            found.append(Token(kind, text, match.start(), match.end()))
    return found


def split(sql: str) -> list[str]:
    """The statements of a text."""
    found, start = [], 0
    for token in tokens(sql):
        if token.text == ";":
            found.append(sql[start : token.start])
            start = token.end
    found.append(sql[start:])
    return [s.strip() for s in found if tokens(s)]


def literal(text: str) -> str:
    """What a quoted literal holds; backslashes are Redshift's escapes for a quote and themselves."""
    return re.sub(r"''|\\'", "'", text[1:-1]).replace("\\\\", "\\")


class Reader:
    """Reads a statement token by token; words are compared without case."""

    def __init__(self, sql: str) -> None:
        self.sql, self.tokens, self.at = sql, tokens(sql), 0

    def peek(self, ahead: int = 0) -> str:
        """The next token, lower case ("" at the end)."""
        index = self.at + ahead
        return self.tokens[index].text.lower() if index < len(self.tokens) else ""

    @property
    def kind(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def accept(self, *words: str) -> bool:
        """Takes these words when they come next."""
        if all(self.peek(n) == w for n, w in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.error()

    def error(self) -> SqlError:
        if self.at < len(self.tokens):
            return SqlError(f'syntax error at or near "{self.tokens[self.at].text}"')
        return SqlError("syntax error at end of input")

    def take(self) -> Token:
        if self.at >= len(self.tokens):
            raise self.error()
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self) -> str:
        """An identifier; Redshift makes lower case of quoted ones, too."""
        if self.kind not in ("word", "quoted") or self.peek() in _RESERVED:
            raise self.error()
        token = self.take()
        return token.text.lower() if token.kind == "word" else token.text[1:-1].replace('""', '"').lower()

    def dotted(self) -> tuple[str, str]:
        """A name with or without its schema."""
        first = self.name()
        return (first, self.name()) if self.accept(".") else ("", first)

    def string(self) -> str:
        if self.kind == "dollar":
            text = self.take().text
            return text[text.index("$", 1) + 1 : text.rindex("$", 0, -1)]
        if self.kind != "string":
            raise self.error()
        return literal(self.take().text)

    def number(self) -> int:
        sign = -1 if self.accept("-") else 1
        if self.kind != "number":
            raise self.error()
        return sign * int(self.take().text)

    def names(self) -> list[str]:
        """(a, b, c)"""
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return found

    def group(self) -> str:
        """The text between a pair of parentheses."""
        self.expect("(")
        start, depth = self.tokens[self.at - 1].end, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(self.take().text, 0)
        return self.sql[start : self.tokens[self.at - 1].start]

    def rest(self) -> str:
        """All that has not been read, as it was written."""
        start = self.tokens[self.at].start if self.at < len(self.tokens) else len(self.sql)
        self.at = len(self.tokens)
        return self.sql[start:]

    def end(self) -> None:
        self.accept(";")
        if self.at < len(self.tokens):
            raise self.error()


# Tables


@dataclass
class TableText:
    """A CREATE TABLE, read: `like` or `query` in the place of columns."""

    schema: str
    name: str
    temporary: bool
    if_not_exists: bool
    columns: list[Column]
    names: list[str]  # of a CREATE TABLE … AS, when it gives them
    like: tuple[str, str] | None = None
    like_defaults: bool = False
    query: str = ""
    diststyle: str = ""
    distkey: str = ""
    sortkeys: list[str] | None = None
    interleaved: bool = False
    sort_auto: bool = False
    primary_key: list[str] | None = None


_ENCODINGS = "raw az64 bytedict delta delta32k lzo mostly8 mostly16 mostly32 runlength text255 text32k zstd".split()
_TYPE_WORDS = ("varying", "precision", "without", "with", "time", "zone")


def create_table(r: Reader, temporary: bool) -> TableText:
    """CREATE TABLE, from behind the word TABLE. https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_NEW.html"""
    exists = r.accept("if", "not", "exists")
    schema, name = r.dotted()
    table = TableText(schema, name.removeprefix("#"), temporary or name.startswith("#"), exists, [], [])
    if r.peek() == "(":
        _elements(r, table)
    _attributes(r, table)
    if r.accept("as"):
        table.query = r.rest()
    elif not table.columns and table.like is None:
        raise r.error()
    r.end()
    return table


def _elements(r: Reader, table: TableText) -> None:
    r.expect("(")
    while True:
        if r.accept("like"):
            table.like = r.dotted()
            while r.peek() in ("including", "excluding"):
                table.like_defaults = r.take().text.lower() == "including"
                r.expect("defaults")
        elif r.peek() in ("primary", "unique", "foreign", "constraint"):
            _constraint(r, table)
        elif r.peek(1) in (",", ")"):
            table.names.append(r.name())
        else:
            table.columns.append(column(r, table))
        if r.accept(")"):
            return
        r.expect(",")


def _constraint(r: Reader, table: TableText) -> None:
    """Redshift keeps these for its planner and enforces none of them."""
    if r.accept("constraint"):
        r.name()
    if r.accept("primary", "key"):
        table.primary_key = r.names()
    elif r.accept("unique"):
        r.names()
    else:
        r.expect("foreign", "key")
        r.names()
        _references(r)


def _references(r: Reader) -> None:
    r.expect("references")
    r.dotted()
    if r.peek() == "(":
        r.names()


def read_type(r: Reader) -> Type:
    """A data type, as long as it may be."""
    words = [r.take().text]
    while r.kind == "word" and r.peek() in _TYPE_WORDS:
        words.append(r.take().text)
    text = " ".join(words)
    if r.peek() == "(":
        text += f"({r.group()})"
    while r.kind == "word" and r.peek() in _TYPE_WORDS:
        text += f" {r.take().text}"
    return parse_type(text)


def column(r: Reader, table: TableText | None = None) -> Column:
    """A column's definition with its attributes."""
    found = Column(r.name(), read_type(r), encoding="")
    while r.peek() not in (",", ")", ""):
        if r.accept("not", "null"):
            found.not_null = True
        elif r.accept("null") or table is not None and r.accept("unique"):
            pass
        elif r.accept("default"):
            found.default = _expression(r)
        elif r.peek() in ("identity", "generated"):
            found.by_default = r.accept("generated", "by", "default", "as")
            r.expect("identity", "(")
            seed = r.number()
            r.expect(",")
            found.identity = (seed, r.number())
            r.expect(")")
            if not found.type.name.startswith("int"):
                raise SqlError(f'identity column "{found.name}" must be of type INT or BIGINT')
        elif r.accept("encode"):
            found.encoding = r.take().text.lower()
            if found.encoding not in _ENCODINGS:
                raise SqlError(f'encoding type "{found.encoding}" is not supported')
        elif table is not None and r.peek() in ("distkey", "sortkey"):
            word = r.take().text.upper()
            if table.distkey if word == "DISTKEY" else table.sortkeys:
                raise SqlError(f"{word} can be the attribute of one column only")
            if word == "DISTKEY":
                table.distkey = found.name
            else:
                table.sortkeys = [found.name]
        elif table is not None and r.accept("primary", "key"):
            table.primary_key, found.not_null = [found.name], True
        elif table is not None and r.peek() == "references":
            _references(r)
        elif r.accept("collate"):
            if r.take().text.lower() not in ("case_sensitive", "cs"):
                raise refuse("COLLATE CASE_INSENSITIVE")
        else:
            raise r.error()
    return found


def _expression(r: Reader) -> str:
    """A DEFAULT's expression: up to the next attribute, as it was written."""
    ends = ("not", "null", "unique", "primary", "references", "encode", "distkey", "sortkey", "identity", "generated")
    start, depth, end = r.tokens[r.at].start if r.peek() else 0, 0, 0
    first = True
    while r.peek() and (depth or first or (r.peek() not in (",", ")") and r.peek() not in ends)):
        token = r.take()
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        end, first = token.end, False
    return r.sql[start:end]


def _attributes(r: Reader, table: TableText) -> None:
    while r.peek() not in ("", "as", ";"):
        if r.accept("backup"):
            r.take()
        elif r.accept("diststyle"):
            table.diststyle = r.take().text.upper()
            if table.diststyle not in ("EVEN", "KEY", "ALL", "AUTO"):
                raise SqlError(f'invalid DISTSTYLE "{table.diststyle.lower()}"')
        elif r.accept("distkey"):
            table.distkey = r.names()[0]
        elif r.accept("sortkey", "auto"):
            table.sort_auto = True
        elif r.peek() in ("compound", "interleaved", "sortkey"):
            table.interleaved = r.peek() == "interleaved"
            if r.peek() != "sortkey":
                r.take()
            r.expect("sortkey")
            table.sortkeys = r.names() if r.peek() == "(" else [r.name()]
        elif r.accept("encode", "auto"):
            pass
        else:
            raise r.error()
    if table.like and (table.distkey or table.diststyle or table.sortkeys):
        raise SqlError("a table that is made LIKE another takes its distribution style and sort keys")
    if table.distkey and table.diststyle not in ("", "KEY"):
        raise SqlError(f"cannot specify DISTKEY with DISTSTYLE {table.diststyle}")
    if table.diststyle == "KEY" and not table.distkey:
        raise SqlError("DISTKEY must be specified with DISTSTYLE KEY")


# COPY and UNLOAD

_FLAGS = (
    "gzip bzip2 zstd lzop manifest emptyasnull blanksasnull trimblanks truncatecolumns roundec acceptanydate "
    "fillrecord ignoreblanklines escape removequotes explicit_ids noload header addquotes allowoverwrite cleanpath "
    "encrypted fixedwidth avro orc shapefile ssh readratio"
).split()
_VALUES = (
    "delimiter ignoreheader dateformat timeformat maxerror encoding comprows region quote "
    "access_key_id secret_access_key session_token kms_key_id master_symmetric_key maxfilesize rowgroupsize extension"
).split()


def copy_options(r: Reader) -> dict[str, str | list[str]]:
    """The options behind COPY … FROM or UNLOAD … TO: name -> value ("" for a flag).

    https://docs.aws.amazon.com/redshift/latest/dg/r_COPY-parameters.html
    """
    found: dict[str, str | list[str]] = {}
    while r.peek() not in ("", ";"):
        if r.accept("iam_role"):
            found["iam_role"] = "default" if r.accept("default") else r.string()
        elif r.accept("credentials"):
            r.accept("as")
            name, _, value = r.string().partition("=")
            if name != "aws_iam_role":
                raise refuse("COPY or UNLOAD with keys: only with a role")
            found["iam_role"] = value
        elif r.accept("format"):
            r.accept("as")
            if r.peek() not in ("csv", "json", "parquet", "avro", "orc", "text"):
                raise r.error()
        elif r.peek() in ("csv", "parquet", "text"):
            found["format"] = r.take().text.lower()
        elif r.accept("json"):
            found["format"] = "json"
            r.accept("as")
            found["json"] = r.string() if r.kind == "string" else "auto"
        elif r.accept("null"):
            r.accept("as")
            found["null"] = r.string()
        elif r.accept("acceptinvchars"):
            r.accept("as")
            found["acceptinvchars"] = r.string() if r.kind == "string" else "?"
        elif r.peek() in ("compupdate", "statupdate", "parallel"):
            name = r.take().text.lower()
            found[name] = r.take().text.lower() if r.peek() in ("on", "off", "true", "false", "preset") else "on"
        elif r.accept("manifest"):
            found["manifest"] = "verbose" if r.accept("verbose") else ""
        elif r.accept("partition", "by"):
            found["partition"] = r.names()
            found["include"] = "1" if r.accept("include") else ""
        elif r.peek() in _FLAGS:
            found[r.take().text.lower()] = ""
        elif r.peek() in _VALUES:
            name = r.take().text.lower()
            r.accept("as")
            found[name] = r.string() if r.kind == "string" else r.take().text
            if name in ("maxfilesize", "rowgroupsize"):
                found[name] = f"{found[name]} {r.take().text if r.peek() in ('mb', 'gb') else 'mb'}"
        else:
            raise r.error()
    return found
