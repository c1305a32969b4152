"""The daemon's database: the operator's or our own embedded one, migrated, watched, and led by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from syncd.config import Settings
from syncd.db import migrate, status
from syncd.db.embedded import Embedded
from syncd.db.pool import Database
from syncd.errors import DatabaseAway
from syncd.telemetry import notify
from syncd.telemetry.logs import get_logger
from syncd.telemetry.metrics import Metrics

log = get_logger("syncd.storage")

RETRY_S = 0.5
WATCH_S = 2.0
EXTEND_S = 30.0


class Storage:
    """Opens the database when it can be had, and knows whether this process leads."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._embedded: Embedded | None = None
        self._watch: asyncio.Task[None] | None = None
        self._migrated = False
        self.leading = False

    async def open(self) -> None:
        """Wait until the database can be had, then bring its schema up to date.

        Raises ConfigError for what waiting does not mend.
        """
        dsn = self._settings.database.dsn
        if dsn is None:
            self._embedded = Embedded(self._settings.state_dir)
            address = await self._embedded.start()
            self._watch = asyncio.create_task(self._keep_embedded(self._embedded))
        else:
            address = dsn.get_secret_value()
        self.db = Database(address, min_size=2, max_size=12)
        said = False
        while True:
            try:
                await self.db.open()
                applied = await migrate.migrate(self.db)
            except DatabaseAway as error:
                if not said:
                    log.warning("database.away", reason=str(error))
                    said = True
                notify.status("waiting for the database")
                notify.extend_timeout(EXTEND_S)
                await asyncio.sleep(RETRY_S)
            else:
                break
        self._migrated = True
        if applied:
            log.info("database.migrated", applied=[str(one) for one in applied])

    async def _keep_embedded(self, embedded: Embedded) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                if await embedded.ensure_running():
                    log.warning("database.restarted")
            except Exception:
                log.exception("database.restart_failed")

    async def check(self) -> tuple[bool, str]:
        """Whether the database answers."""
        try:
            async with self.db.statement("health") as conn:
                await status.answer(conn)
        except DatabaseAway as error:
            return False, str(error)
        return True, "answers"

    async def lead(
        self, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]
    ) -> None:
        """Wait for the leader's lock, `begin`, and keep the lock; `end` when another one has it.

        The lock goes with its connection, and another daemon may have led before we have it back:
        then our lanes are fenced off by their lease generation. So `begin` is called every time.
        """
        standing_by = False
        while True:
            try:
                async with self.db.connection("leader") as conn:
                    if await status.lead(conn):
                        standing_by = False
                        self.leading = True
                        log.info("daemon.leads")
                        await begin()
                        await status.stay(conn)
                    elif not standing_by:
                        standing_by = True
                        log.warning("daemon.standby", reason="another syncd leads this database")
                        await end()
            except DatabaseAway:
                if self.leading:
                    log.warning("daemon.lead_lost", reason="the connection that held it is gone")
            finally:
                self.leading = False
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close the pool; stop the embedded database if we started it."""
        if self._watch is not None:
            self._watch.cancel()
        if hasattr(self, "db"):
            await self.db.close()
        if self._embedded is not None:
            await self._embedded.stop()
