-- What a target is made from besides the level, and what the target of an attempt was made from.
--
-- Lock order: head of the first migration. A row of `suspicion`, and an open row of `suspense`, changes
-- only under the shelves of all the item's listings in that warehouse, as its level does: who holds a
-- shelf and looks after that sees what its target is made from.

create table suspicion (
    listing_id    bigint primary key,
    item_id       bigint not null,
    warehouse_id  integer not null,
    own           bigint not null,
    others        bigint not null check (others <= 0),
    changed_at    timestamptz not null
) with (fillfactor = 70);
comment on table suspicion is 'Units that people seem to have changed on a listing and that are not booked: its open amount; none, no row.';
comment on column suspicion.own is 'Proposed: added to its own target, whatever the sign.';
comment on column suspicion.others is 'At the lowest, never above 0: every other listing of the item there shows so many less.';
create index suspicion_by_item on suspicion (item_id, warehouse_id);

alter table suspense add counted boolean not null default true;
comment on column suspense.counted is 'False: its listing''s row in `suspicion` holds its amount already.';
create index suspense_counted on suspense (item_id, warehouse_id) where resolved_at is null and counted;

alter table attempt_row add inputs jsonb;
comment on column attempt_row.inputs is 'What its target was made from, as stock/policy.py stores it; null: of the level alone.';
