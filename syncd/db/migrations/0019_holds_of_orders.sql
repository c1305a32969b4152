-- Holds: units that orders promise and that are not booked, since nobody has paid for them yet.

alter table order_line
    add column held bigint not null default 0,
    add column held_until timestamptz,
    add column based bigint,
    add column came_back bigint;
comment on column order_line.held is 'Units promised and not booked: they lower the other listings of the item, its own only by what is taken of them.';
comment on column order_line.held_until is 'When the platform takes no payment any more; null: as long as it is not cancelled.';
comment on column order_line.based is 'Where units are owed once paid: so many are owed unpaid, since a count or a cut-over lacks them; null: not known.';
comment on column order_line.came_back is 'Where returned units are never owed back: so many of them were before that began; null: not known.';
create index order_line_held on order_line (item_id, warehouse_id) where held <> 0;
create index order_line_expiring on order_line (held_until) where held_until is not null;
