-- Places, links and switches: which warehouse a location feeds, why a listing is its item, what people
-- switched off, and what is gone at the source.
--
-- Lock order: as in the first migration; place and item come before sales_order, exclusion and
-- item_gone are written by whoever holds the shelves of their item.

create table place (
    channel_id    integer not null references channel,
    location      text not null,
    warehouse_id  integer not null references warehouse,
    primary key (channel_id, location),
    unique (channel_id, location, warehouse_id)
);
comment on table place is 'A location of a channel feeds one warehouse at most, whatever the configuration says.';

insert into place (channel_id, location, warehouse_id)
select distinct on (channel_id, location) channel_id, location, warehouse_id
from listing where warehouse_id is not null
group by channel_id, location, warehouse_id
order by channel_id, location, count(item_id) desc, warehouse_id;

update listing l set warehouse_id = p.warehouse_id
from place p
where p.channel_id = l.channel_id and p.location = l.location and l.warehouse_id <> p.warehouse_id
  and l.item_id is null;

alter table listing add constraint listing_place
    foreign key (channel_id, location, warehouse_id)
    references place (channel_id, location, warehouse_id) on update cascade;

alter table item
    add column barcode text not null default '',
    add column handle text not null default '',
    add column channels integer[];
comment on column item.barcode is 'As its source has it; listings are matched by it where their channel says so.';
comment on column item.handle is 'The source''s name in addresses, with the variant''s options; likewise.';
comment on column item.channels is 'The channels it is offered on; null: on all.';
create index item_by_barcode on item (barcode) where barcode <> '';
create index item_by_handle on item (handle) where handle <> '';

alter table listing
    add column barcode text not null default '',
    add column handle text not null default '',
    add column known_as text,
    add column linked_by text not null default ''
        check (linked_by in ('', 'sku', 'barcode', 'handle', 'hand', 'cut')),
    add column tagged boolean not null default false,
    add column withheld text not null default ''
        check (withheld in ('', 'included', 'excluded', 'elsewhere', 'tagged')),
    add column orphaned boolean not null default false;
comment on column listing.known_as is 'The sku of its item where its own is another or none: rules and journal go by it.';
comment on column listing.linked_by is 'The rule that made its link; hand: a person did; cut: a person unlinked it, and no rule may link it.';
comment on column listing.tagged is 'It bears a tag that its channel excludes.';
comment on column listing.withheld is 'Why it is not offered, beside the configuration: what people switched, its item''s channels, its tags; included: a person said so, whatever else does.';
comment on column listing.orphaned is 'Its item is gone at the source of its warehouse: it is not raised.';
update listing set linked_by = 'sku' where item_id is not null;
update listing l set known_as = i.sku from item i where i.id = l.item_id and i.sku <> l.sku;
create index listing_waiting_sku on listing (sku) where item_id is null;
create index listing_waiting_barcode on listing (barcode) where item_id is null and barcode <> '';
create index listing_waiting_handle on listing (handle) where item_id is null and handle <> '';

create table exclusion (
    item_id     bigint not null references item,
    channel_id  integer references channel,
    excluded    boolean not null,
    actor       text not null,
    at          timestamptz not null,
    unique nulls not distinct (item_id, channel_id)
);
comment on table exclusion is 'Items that people took out of, or into, a channel (null: all), whatever the configuration says.';

create table item_gone (
    item_id       bigint not null references item,
    warehouse_id  integer not null references warehouse,
    at            timestamptz not null,
    primary key (item_id, warehouse_id)
);
comment on table item_gone is 'Items whose source does not list them any more: kept, not raised, told.';

alter table channel
    add column switched boolean,
    add column switched_by text not null default '',
    add column switched_at timestamptz;
comment on column channel.switched is 'A person switched it on or off while running; it beats the configuration. Null: as configured.';
