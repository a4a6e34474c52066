"""Documents that clients name instead of sending: from a manifest of trusted ones, or by Apollo's APQ.

    documentId: "sha256:..."                            GraphQL over HTTP, and Relay's persisted ids
    extensions.persistedQuery: {version, sha256Hash}    Apollo, for both

A manifest is a JSON file: Apollo's (`operations` with `id` and `body`), or Relay's and graphql-codegen's (each id
with its text). With "documents only", what is not in it does not run: for everybody, or for all without a secret
key. APQ lets clients add documents for as long as the service runs; it saves bytes and protects nothing, so it is
off unless asked for.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gql_epoint.errors import ConfigurationError
from gql_epoint.schema.access import Credential
from gql_epoint.setting_values import DocumentsOnly
from gql_epoint.web.asking import Asked

SETTING = "GQL_EPOINT_DOCUMENTS"

_SHA256 = "sha256:"
_ADDED_MAX = 500
_ADDED_CHARACTERS_MAX = 20_000  # of one document: what is longer is sent each time


class DocumentError(Exception):
    """The document of a request is not known or not allowed; `code` goes to the client."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message


class Documents:
    """The documents that can be named."""

    def __init__(
        self,
        trusted: Mapping[str, str] | None = None,
        *,
        only: DocumentsOnly = DocumentsOnly.NOBODY,
        apq: bool = False,
    ) -> None:
        self._trusted = dict(trusted or {})
        # Clients may name a document by its hash, whatever its id in the manifest is.
        self._trusted |= {_SHA256 + sha256(text): text for text in self._trusted.values()}
        self._only = only
        self._apq = apq
        self._added: OrderedDict[str, str] = OrderedDict()

    def resolve(self, asked: Asked, credential: Credential | None) -> Asked:
        """Return what is asked with the text of its document. Raises DocumentError.

        Documents are added for callers with a credential only: nobody else may fill the memory.
        """
        has_key = credential is not None and not credential.is_browser
        is_bound = self._only is DocumentsOnly.ALL or (self._only is DocumentsOnly.CLIENT and not has_key)
        may_add = credential is not None and not is_bound
        persisted = (asked.extensions or {}).get("persistedQuery")
        if asked.document_id is not None:
            text = self._named(asked.document_id)
            # The graphql-ws client cannot leave `query` out, so it is empty there.
            if asked.query and asked.query != text:
                raise DocumentError("`documentId` names another document than `query`.", "BAD_REQUEST")
        elif persisted is not None:
            text = self._persisted(persisted, asked.query, may_add)
        else:
            text = asked.query or ""
        if is_bound and _SHA256 + sha256(text) not in self._trusted:
            whose = "" if self._only is DocumentsOnly.ALL else " without a secret key"
            message = f"Only documents of the manifest run here{whose} (GQL_EPOINT_DOCUMENTS_ONLY)."
            raise DocumentError(message, "DOCUMENT_NOT_TRUSTED")
        return asked if text == asked.query else msgspec.structs.replace(asked, query=text)

    def _named(self, document_id: str) -> str:
        text = self._trusted.get(document_id) or self._trusted.get(_SHA256 + document_id)
        if text is None and document_id.startswith(_SHA256):
            text = self._added.get(document_id.removeprefix(_SHA256))
        if text is None:
            raise DocumentError("PersistedDocumentNotFound", "PERSISTED_DOCUMENT_NOT_FOUND")
        return text

    def _persisted(self, persisted: Any, query: str | None, may_add: bool) -> str:
        digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if not isinstance(digest, str) or persisted.get("version") != 1:
            raise DocumentError("`persistedQuery` must have version 1 and a sha256Hash.", "BAD_REQUEST")
        if query:
            if sha256(query) != digest:
                raise DocumentError("The sha256Hash is not that of the query.", "BAD_REQUEST")
            if self._apq and may_add and len(query) <= _ADDED_CHARACTERS_MAX:
                self._added[digest] = query
                if len(self._added) > _ADDED_MAX:
                    self._added.popitem(last=False)
            return query
        trusted = self._trusted.get(_SHA256 + digest)
        if trusted is not None:
            return trusted
        if not self._apq:
            raise DocumentError("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
        if digest not in self._added:
            raise DocumentError("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
        self._added.move_to_end(digest)
        return self._added[digest]


def sha256(text: str) -> str:
    """Return the hash of a document in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Operation(msgspec.Struct):
    id: str
    body: str


class _Manifest(msgspec.Struct):
    operations: list[_Operation]


def read_manifest(path: Path | None) -> dict[str, str]:
    """Return the documents of a manifest by their ids. Raises ConfigurationError if it cannot be used."""
    if path is None:
        return {}
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(SETTING, f"names a file that cannot be read: {exc.strerror}") from None
    try:
        found = _documents(msgspec.json.decode(raw))
    except (msgspec.DecodeError, ValueError):
        expected = 'Apollo\'s {"operations": [{"id", "body"}]} or {"<id>": "<text>"}'
        raise ConfigurationError(SETTING, f"names a file that is no manifest: {expected}") from None
    for document_id, text in found.items():
        if document_id.startswith(_SHA256) and document_id.removeprefix(_SHA256) != sha256(text):
            raise ConfigurationError(SETTING, f"names a manifest where {document_id} is not the hash of its text")
    return found


def _documents(manifest: Any) -> dict[str, str]:
    if isinstance(manifest, dict) and isinstance(manifest.get("operations"), list):
        return {operation.id: operation.body for operation in msgspec.convert(manifest, _Manifest).operations}
    return msgspec.convert(manifest, dict[str, str])
