-- Marks on long ledgers: what an item's movements added up to at some of them, so that nobody who looks
-- back reads all of them. They are made from the ledger, long after a sale; without them all is as true.

create table mark (
    item_id       bigint not null,
    warehouse_id  integer not null,
    movement_id   bigint not null,
    recorded_at   timestamptz not null,
    sums          jsonb not null,
    primary key (item_id, warehouse_id, movement_id)
);
comment on table mark is 'What an item''s movements up to this one add up to, by kind; only where there are many.';
comment on column mark.recorded_at is 'All movements up to it were recorded by then, and all later ones after.';
comment on column mark.sums is 'By kind: [count, units, first recorded, last recorded], the times as text.';

create table marked (
    only_row     boolean primary key default true check (only_row),
    movement_id  bigint not null
);
comment on table marked is 'Through which movement the marks are made.';
insert into marked (movement_id) values (0);
