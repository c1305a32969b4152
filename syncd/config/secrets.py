"""Turns every way of writing a secret into a SecretStr: a systemd credential, a file, a literal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from syncd.config.complaints import Complaint
from syncd.config.complaints import Path as KeyPath
from syncd.config.policy_checks import table

SECRET_LIMIT_BYTES = 64 * 1024

_SECRET_KEY = re.compile(r"(^|[_-])(token|secret|secrets|password|passphrase|key)$", re.IGNORECASE)
_REFERENCES = ("credential", "file")
_NO_CREDENTIALS = "wants a credential, but $CREDENTIALS_DIRECTORY is not set (LoadCredential= of the unit sets it)"


class Resolver:
    """Resolves the secrets of one tree; collects complaints and warnings on the way."""

    def __init__(
        self, credentials_dir: str | None, config_dir: Path, vouched: Mapping[str, Any]
    ) -> None:
        self.complaints: list[Complaint] = []
        self.literals: list[KeyPath] = []
        self._credentials_dir = credentials_dir
        self._config_dir = config_dir
        self._vouched = vouched
        """What came from credential files named like keys: nothing to warn about."""

    def resolve(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The tree with the secrets of `database.dsn`, `[ops]` and all options in place."""
        tree = dict(tree)
        for place, key in (("database", "dsn"), ("ops", "token")):
            section = tree.get(place)
            if isinstance(section, dict) and key in section:
                value = self._one(section[key], (place, key), secret=True)
                tree[place] = {**section, key: value}
        tokens = table(tree, "ops").get("tokens")
        if isinstance(tokens, dict):
            named = {name: self._token(token, name) for name, token in tokens.items()}
            tree["ops"] = {**tree["ops"], "tokens": named}
        channels = tree.get("channels")
        if isinstance(channels, dict):
            tree["channels"] = {
                name: self._channel(channel, ("channels", name, "options"))
                for name, channel in channels.items()
            }
        return tree

    def _token(self, token: Any, name: str) -> Any:
        if not isinstance(token, dict) or "token" not in token:
            return token
        path = ("ops", "tokens", name, "token")
        return {**token, "token": self._one(token["token"], path, secret=True)}

    def _channel(self, channel: Any, path: KeyPath) -> Any:
        if not isinstance(channel, dict) or not isinstance(channel.get("options"), dict):
            return channel
        options = {
            key: self._one(value, (*path, key), secret=bool(_SECRET_KEY.search(key)))
            for key, value in channel["options"].items()
        }
        return {**channel, "options": options}

    def _one(self, value: Any, path: KeyPath, *, secret: bool) -> Any:
        if isinstance(value, dict):
            if any(key in value for key in _REFERENCES) and len(path) > 1:
                return self._reference(value, path)
            return {
                key: self._one(inner, (*path, key), secret=secret or bool(_SECRET_KEY.search(key)))
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [
                self._one(inner, (*path, str(number)), secret=secret)
                for number, inner in enumerate(value)
            ]
        if secret and isinstance(value, str):
            return self._literal(value, path)
        return value

    def _literal(self, value: str, path: KeyPath) -> Any:
        if not value.strip():
            self.complaints.append(Complaint(path, "must not be empty"))
        elif not holds(self._vouched, path) and not _harmless(path, value):
            self.literals.append(path)
        return SecretStr(value)

    def _reference(self, value: dict[str, Any], path: KeyPath) -> SecretStr:
        """The secret named by `{ credential = … }` or `{ file = … }`; complains and goes on."""
        words = secret = None
        if len(value) != 1:
            words = 'must hold one thing, "credential" or "file"'
        else:
            ((kind, where),) = value.items()
            if not isinstance(where, str) or not where or "\0" in where:
                words = f"the {kind} must be named in quotes"
            elif kind == "credential":
                words, secret = self._credential(where)
            else:
                words, secret = _read(self._config_dir / where, "the file")
        if words is not None:
            self.complaints.append(Complaint(path, words))
        # a stand-in keeps the tree whole, so that the other problems are found too
        return SecretStr(secret or "postgresql://")

    def _credential(self, name: str) -> tuple[str | None, str | None]:
        if "/" in name or name in {".", ".."}:
            return "the credential's name must have no slash", None
        if not self._credentials_dir:
            return _NO_CREDENTIALS, None
        return _read(Path(self._credentials_dir) / name, "the credential")


def _read(path: Path, what: str) -> tuple[str | None, str | None]:
    """Complaint and content; exactly one is given. Line ends at the end are no part of it."""
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_LIMIT_BYTES + 1)
        text = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return f"{what} cannot be read: {reason}", None
    except ValueError:
        return f"{what} is not UTF-8 text", None
    if len(raw) > SECRET_LIMIT_BYTES:
        return f"{what} is larger than {SECRET_LIMIT_BYTES} bytes", None
    if not text.strip():
        return f"{what} is empty", None
    return None, text


def holds(tree: Any, path: KeyPath) -> bool:
    """True if the tree has this key."""
    for key in path:
        if isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
            tree = tree[int(key)]
        elif isinstance(tree, Mapping) and key in tree:
            tree = tree[key]
        else:
            return False
    return True


def _harmless(path: KeyPath, value: str) -> bool:
    """A dsn without a password may stand in the file."""
    if path != ("database", "dsn"):
        return False
    userinfo, at, _ = value.partition("://")[2].rpartition("@")
    return not (at and ":" in userinfo) and "password=" not in value
