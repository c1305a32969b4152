"""The road to the database: named transactions on a pool, and one word, DatabaseAway, for every
reason why the database cannot serve now. Nothing above `syncd.db` ever sees another one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from syncd.errors import ConfigError, DatabaseAway

Connection: TypeAlias = PoolConnectionProxy
"""What `Database.transaction` gives: an asyncpg connection; jsonb travels as text."""

Observe: TypeAlias = Callable[[str, float], None]
"""Told the name and the seconds of every finished transaction, acquiring included."""

T = TypeVar("T")

PUT_BACK_S = 1.0
"""A rollback and a reset may take this long, then the connection is cut: a frozen backend obeys
no time-out of its own and would hang both (observed with asyncpg 0.32)."""

CONNECT_S = 5.0

SERVER_SETTINGS = {
    "application_name": "syncd",
    "statement_timeout": "15s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "30s",
    # a backend whose client has gone gives its locks back within this time
    "client_connection_check_interval": "5s",
    "timezone": "UTC",
    "jit": "off",
    # hot rows are in memory or on flash: with the default of 4 a batch of two hundred keys reads
    # whole tables of some ten thousand rows (observed on PostgreSQL 18)
    "random_page_cost": "1.1",
}

_LOST_RACE = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,
)

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by a time-out
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresIOError,
    ConnectionError,
    TimeoutError,
)

_WRONG_ADDRESS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


class LostRace(DatabaseAway):
    """The transaction lost against another one and was rolled back: run it again (`retrying`)."""


class _Tallied(asyncpg.Connection):  # type: ignore[misc] # asyncpg ships no types
    """Counts what it sends, and resets its session only after a loan that may have changed it."""

    tally: Database | None = None
    changed = False

    def lend_session(self) -> None:
        self.changed = True

    def get_reset_query(self) -> str:
        # a transaction leaves nothing behind in its session: that reset would be a wasted trip
        if not self.changed:
            return ""
        self.changed = False
        return str(super().get_reset_query())

    def _count(self) -> None:
        if self.tally is not None:
            self.tally.statements += 1

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().execute(*args, **kwargs)

    async def executemany(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().executemany(*args, **kwargs)

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().fetch(*args, **kwargs)

    async def fetchrow(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().fetchrow(*args, **kwargs)

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().fetchval(*args, **kwargs)

    async def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return await super().fetchmany(*args, **kwargs)


class Database:
    """A pool of connections to one PostgreSQL database.

    `statements` counts what was sent, BEGIN and COMMIT included (not cursors and COPY).
    A `DatabaseAway` out of a transaction means nothing was stored, with one exception that no
    database can spare its caller: when the connection is lost during COMMIT, nobody knows.
    """

    def __init__(
        self,
        dsn: str,
        *,
        min_size: int = 2,
        max_size: int = 10,
        acquire_timeout_s: float = 0.8,
        statement_timeout_s: float = 20.0,
        observe: Observe | None = None,
    ) -> None:
        """`acquire_timeout_s` bounds the wait for a connection. `statement_timeout_s` is the
        client's own bound on one statement, above the server's 15 s: it ends a wait for a backend
        that is frozen or unreachable.
        """
        self._dsn = dsn
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._acquire_timeout_s = acquire_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._observe = observe
        self._pool: asyncpg.Pool | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self.statements = 0

    async def open(self) -> None:
        """Connect; raises DatabaseAway (call it again later) or ConfigError (a dsn that is wrong)."""
        if self._pool is not None:
            return
        try:
            pool = asyncpg.create_pool(
                self._dsn,
                init_size=self._min_size,
                # no floor to keep: restoring it logs a traceback for every try of an outage
                # (asyncpg 0.32), and idle connections are never closed anyway
                min_size=0,
                max_size=self._max_size,
                max_inactive_connection_lifetime=0,
                connection_class=_Tallied,
                init=self._adopt,
                timeout=CONNECT_S,
                command_timeout=self._statement_timeout_s,
                server_settings=SERVER_SETTINGS,
                statement_cache_size=512,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=64 * 1024,
            )
            await pool
        except _WRONG_ADDRESS as error:
            raise ConfigError([f"database: {_words(error)}"]) from error
        except ValueError:
            # its words may quote a piece of the password
            raise ConfigError(["database: the dsn cannot be read"]) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseAway(_words(error)) from error
        self._pool = pool

    async def close(self) -> None:
        """Give back every connection; those that are still busy after a moment are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        await asyncio.gather(*self._leaving, return_exceptions=True)
        try:
            async with asyncio.timeout(PUT_BACK_S):
                await pool.close()
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            pool.terminate()

    @asynccontextmanager
    async def transaction(
        self, name: str, *, acquire_timeout_s: float | None = None
    ) -> AsyncIterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        `name` is a literal, the label in metrics and logs. Session state (SET without LOCAL,
        session locks, LISTEN) does not belong in it. Raises DatabaseAway, or LostRace (one of
        them) after a deadlock or a failed serialisation; other errors pass as they are.
        """
        began = time.perf_counter()
        conn = await self._acquire(acquire_timeout_s)
        act = conn.transaction()
        try:
            await act.start()
            yield conn
            await act.commit()
        except BaseException as error:
            away = _away(error, name, gone=_gone(conn))
            await self._abandon(conn, error, act)
            if away is not None:
                raise away from error
            raise
        await self._put_back(conn)
        if self._observe is not None:
            self._observe(name, time.perf_counter() - began)

    @asynccontextmanager
    async def connection(
        self, name: str, *, acquire_timeout_s: float | None = None
    ) -> AsyncIterator[Connection]:
        """A connection without a transaction, for what cannot run in one; its session is reset after."""
        conn = await self._acquire(acquire_timeout_s)
        conn.lend_session()
        try:
            yield conn
        except BaseException as error:
            away = _away(error, name, gone=_gone(conn))
            await self._abandon(conn, error)
            if away is not None:
                raise away from error
            raise
        await self._put_back(conn)

    @asynccontextmanager
    async def statement(self, name: str) -> AsyncIterator[Connection]:
        """A connection for one statement, which is then a transaction by itself: for the hottest.

        Saves the trips of BEGIN and COMMIT. Raises and is observed as `transaction` is.
        """
        began = time.perf_counter()
        conn = await self._acquire(None)
        try:
            yield conn
        except BaseException as error:
            away = _away(error, name, gone=_gone(conn))
            await self._abandon(conn, error)
            if away is not None:
                raise away from error
            raise
        await self._put_back(conn)
        if self._observe is not None:
            self._observe(name, time.perf_counter() - began)

    async def _acquire(self, timeout_s: float | None) -> Connection:
        pool = self._pool
        if pool is None:
            raise DatabaseAway("the database is not open")
        bound_s = self._acquire_timeout_s if timeout_s is None else timeout_s
        try:
            return await pool.acquire(timeout=bound_s)
        except TimeoutError as error:
            raise DatabaseAway(f"no connection within {bound_s} s") from error
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
        ) as error:
            raise DatabaseAway(_words(error)) from error

    async def _adopt(self, raw: _Tallied) -> None:
        raw.tally = self

    async def _abandon(
        self, conn: Connection, error: BaseException, act: Transaction | None = None
    ) -> None:
        """Roll back and give back; a caller that was cancelled does not wait for it."""
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            await self._put_back(conn, act)
            return
        task = asyncio.get_running_loop().create_task(self._put_back(conn, act))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _put_back(self, conn: Connection, act: Transaction | None = None) -> None:
        """Roll back what is open and release; never raises, and cuts what would hang."""
        pool = conn._holder._pool  # noqa: SLF001 - still known while the pool closes
        try:
            async with asyncio.timeout(PUT_BACK_S):
                if act is not None and not _gone(conn) and conn.is_in_transaction():
                    await act.rollback()
                await pool.release(conn)
        except (
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
        ):
            # says so when the release was faster than the bound
            with suppress(asyncpg.InterfaceError):
                conn.terminate()


async def retrying(
    db: Database, name: str, body: Callable[[Connection], Awaitable[T]], *, tries: int = 5
) -> T:
    """Run `body` in a transaction; after a deadlock or a failed serialisation run it again.

    After `tries` runs the last LostRace passes: it is a DatabaseAway, and nothing was stored.
    """
    for left in range(tries - 1, -1, -1):
        try:
            async with db.transaction(name) as conn:
                return await body(conn)
        except LostRace:
            if not left:
                raise
            await asyncio.sleep(0.01 * (tries - left))
    raise ValueError("tries must be at least 1")


def _away(error: BaseException, name: str, *, gone: bool) -> DatabaseAway | None:
    """The one translation: what of asyncpg's and the network's errors means the database is away."""
    if isinstance(error, DatabaseAway) or not isinstance(error, Exception):
        return None
    if isinstance(error, _LOST_RACE):
        return LostRace(f"{name}: {_words(error)}")
    broken = gone and isinstance(
        error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError
    )
    if broken or isinstance(error, _AWAY):
        return DatabaseAway(f"{name}: {_words(error)}")
    return None


def is_away(error: BaseException) -> bool:
    """Whether this error, raised inside a transaction, leaves it as DatabaseAway or LostRace.

    For whoever looks at errors inside one: nothing is wrong with what was being booked.
    """
    return isinstance(error, DatabaseAway) or _away(error, "", gone=False) is not None


def _gone(conn: Connection) -> bool:
    """Whether the connection is lost; asyncpg empties the loan of one that broke."""
    raw = conn._con  # noqa: SLF001 - every public question to an emptied loan raises
    return raw is None or bool(raw.is_closed())


def _words(error: BaseException) -> str:
    """One line; asyncpg's messages name users, databases and files, never passwords."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {first}" if str(error) else first
