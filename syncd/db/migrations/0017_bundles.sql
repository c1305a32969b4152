-- Bundles: items that are made of other items when they are sold, and what orders took of those.
--
-- Who changes what a bundle is made of takes an advisory lock first (db/bundles.py), then the shelves of
-- the bundle and of all its components. Who moves a component's level holds the shelves of its bundles
-- too: db/shelf.py adds them to those that are named.

create table bundle (
    item_id     bigint primary key references item,
    source      text not null check (source in ('config', 'csv', 'api', 'hand')),
    actor       text not null,
    changed_at  timestamptz not null
);
comment on table bundle is 'Items without stock of their own: they show how many of them their components make.';
comment on column bundle.source is 'Who said what it is made of; what the configuration says is changed there alone.';
comment on column bundle.changed_at is 'Our clock: when it was last said; a blind raise waits for an order fetch that began after it.';

create table component (
    bundle_id     bigint not null references bundle on delete cascade,
    component_id  bigint not null references item,
    units         integer not null check (units between 1 and 1000000),
    primary key (bundle_id, component_id),
    check (bundle_id <> component_id)
);
comment on table component is 'Units of an item that one bundle takes; no component is a bundle itself.';
create index component_by_component on component (component_id);
analyze bundle, component;

alter table order_line
    add column part bigint not null default 0,
    add column units integer not null default 1,
    drop constraint order_line_pkey,
    add primary key (channel_id, order_id, line_id, location, part);
comment on column order_line.part is 'The component that this row holds of a bundle''s line; 0: the line itself, which books nothing where it has parts.';
comment on column order_line.units is 'Units of the component in one bundle, as it was made when the line was first booked.';
