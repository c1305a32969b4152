"""The access token of a Shopify channel: a given one, or one fetched by client credentials."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from syncd.connectors.base import Clock
from syncd.connectors.http import Http, error_words
from syncd.errors import ChannelClosed, RetryLater


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Either an access token, or a client's id and secret."""

    access_token: str
    client_id: str
    client_secret: str


class Grant:
    """The access token: a given one, or one fetched by client credentials, renewed at 80 % of its life."""

    def __init__(self, credentials: Credentials, http: Http, clock: Clock) -> None:
        self._credentials = credentials
        self._http = http
        self._clock = clock
        self._alone = asyncio.Lock()
        self._fetched = ""
        self._fetched_at = self._renew_at = clock()

    def use(self) -> Use:
        return Use(self)

    async def current(self) -> str:
        if self._credentials.access_token:
            return self._credentials.access_token
        async with self._alone:
            if not self._fetched or self._clock() >= self._renew_at:
                await self._fetch()
            return self._fetched

    def refused(self, token: str) -> bool:
        """A token that did not work: True where a new one may (ours was not fetched just now)."""
        if self._credentials.access_token:
            return False
        if token != self._fetched:
            return True
        fresh = self._clock() - self._fetched_at < timedelta(seconds=60)
        self._fetched = ""
        return not fresh

    async def _fetch(self) -> None:
        grant = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
        }
        try:
            answer = await self._http.call("token", "POST", "/admin/oauth/access_token", json=grant)
        except RetryLater as error:
            # What was to be done with the token has not even been sent.
            raise RetryLater(
                error.reason, after_s=error.after_s, throttled=error.throttled
            ) from error
        if answer.status != 200:
            raise ChannelClosed(f"no access token ({answer.status}): {error_words(answer)}")
        body = answer.json()
        token, life_s = (
            (body.get("access_token"), body.get("expires_in"))
            if isinstance(body, dict)
            else ("", 0)
        )
        if not isinstance(token, str) or not token:
            raise RetryLater("no access token in the answer")
        # 86 399 s in the vendor documentation; a missing life is taken as the hour of other grants.
        seconds = float(life_s) if isinstance(life_s, int | float) and 0 < life_s < 1e7 else 3600.0
        self._fetched, self._fetched_at = token, self._clock()
        self._renew_at = self._fetched_at + timedelta(seconds=0.8 * seconds)


class Use:
    """One use of the token; a refusal of an old fetched one means another try, not a closed channel."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self._token = ""

    async def __aenter__(self) -> str:
        self._token = await self._grant.current()
        return self._token

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ChannelClosed) and self._grant.refused(self._token):
            raise RetryLater("the access token had ended", after_s=0.0) from error
