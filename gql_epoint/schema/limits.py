"""Refuse a document that would cost too much, before anything walks through it that could be slow.

Validation compares fields with fields, a fragment may be spread in fragments that are spread in others, and a page
of pages fans out: a small text can cost a server its time. So a text is scanned once before it is parsed, and the
document is walked once before it is validated. The walk looks at each node one time; what a fragment adds up to
is remembered and counted again wherever it is spread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from graphql import GraphQLError


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a document may hold and ask for; there is room for what explorers and code generators send."""

    characters: int = 100_000
    tokens: int = 5_000
    word: int = 1_000  # characters of a name or a number; Python refuses to read numbers of 4,300 digits
    nesting: int = 64  # brackets inside brackets: of selections, lists and objects

    operations: int = 20
    fragments: int = 60
    variables: int = 100  # of one operation
    variables_bytes: int = 65_536  # of their values as JSON
    list_items: int = 100  # of one list that is sent, in the document or in the variables
    aliases: int = 60
    directives: int = 150
    directives_per_node: int = 5
    written_fields: int = 1_000
    repeats: int = 30  # of one field in one place; validation compares each with each

    root_fields: int = 20
    depth: int = 20  # fields inside fields, fragments followed; the usual introspection query needs 16
    fields: int = 20_000  # in an answer, if every page is full
    introspection_fields: int = 600_000  # twice the usual query, by the sizes in weighing.py
    introspection_lists: int = 2  # of fields and the like inside each other


LIMITS = Limits()

_encoder = msgspec.json.Encoder()

_TOKEN = re.compile(
    r'"""(?:\\"""|[^"]|"(?!""))*(?:"""|\Z)'  # block text
    r'|"(?:\\.|[^"\\\n\r])*"?'  # text
    r"|\#[^\n\r]*"  # comment
    r"|[\[{(]|[\]})]"
    r"|[^\s,\[\](){}\"\#!$&:=@|.]+"  # names and numbers
    r"|\.\.\.|[!$&:=@|.]"
)


class LimitError(GraphQLError):
    """A document, or its variables, is over a limit. `extensions.limit` names it."""

    def __init__(self, limit: str, allowed: int, what: str) -> None:
        super().__init__(
            f"The document is over a limit: {what} ({allowed}).",
            extensions={"code": "DOCUMENT_LIMIT", "limit": limit},
        )


def check_text(source: str, limits: Limits = LIMITS) -> None:
    """Raise LimitError for a text that is too long, has too many tokens, or nests too deeply for any parser."""
    if len(source) > limits.characters:
        raise LimitError("characters", limits.characters, "characters")
    nesting = 0
    for tokens, found in enumerate(_TOKEN.finditer(source), start=1):  # Comments cost the lexer as much.
        token = found.group()
        if tokens > limits.tokens:
            raise LimitError("tokens", limits.tokens, "tokens")
        if len(token) > limits.word and token[0] not in '"#':
            raise LimitError("word", limits.word, "characters of a name or a number")
        if token in ("{", "[", "("):
            nesting += 1
            if nesting > limits.nesting:
                raise LimitError("nesting", limits.nesting, "brackets inside brackets")
        elif token in ("}", "]", ")"):
            nesting -= 1


def check_variables(variables: Mapping[str, Any] | None, limits: Limits = LIMITS) -> None:
    """Raise LimitError for variables that are too many bytes as JSON."""
    if variables and _size(variables) > limits.variables_bytes:
        raise LimitError("variables_bytes", limits.variables_bytes, "bytes of variables")


def _size(variables: Mapping[str, Any]) -> int:
    try:
        return len(_encoder.encode(variables))
    except (UnicodeEncodeError, OverflowError):  # Text or a number that no field takes: its field will say so.
        return len(json.dumps(variables))
