"""The stores: the only place with SQL, and the only one that knows asyncpg."""
