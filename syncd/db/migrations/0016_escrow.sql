-- Escrow: an account for each channel that sells an item, and units on their way from one to another.
--
-- Lock order: head of the first migration. A row of `account` or `transfer` changes only under the shelves
-- of all the item's listings in that warehouse, as its level does. Of an item that has accounts, they and
-- what is under way add up to the level at the end of every transaction.

create table account (
    item_id       bigint not null,
    warehouse_id  integer not null,
    channel_id    integer not null,
    units         bigint not null,
    primary key (item_id, warehouse_id, channel_id)
) with (fillfactor = 70);
comment on table account is 'What a channel may sell of an item in escrow; below 0 where it sold more than it had.';

create table transfer (
    item_id       bigint not null,
    warehouse_id  integer not null,
    giver_id      integer not null,
    taker_id      integer not null check (taker_id <> giver_id),
    units         bigint not null check (units > 0),
    begun_at      timestamptz not null,
    primary key (item_id, warehouse_id, giver_id, taker_id)
);
comment on table transfer is 'Units under way between accounts: taken from the giver, who has to show less before the taker has them.';
