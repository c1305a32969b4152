-- The spine: inbox, catalogue, ledger, outbox, journal.
--
-- Lock order, for every transaction: sales_order, shelf, level, outbox, look (each in key order).
-- The shelf row is its listing's lock: whoever changes a level, an attempt or an outbox row of an
-- item holds the shelves of all its listings in that warehouse first. The hot tables carry no foreign
-- keys: checking one locks the parent row, and the shelf is the lock already.

create table channel (
    id               integer generated always as identity primary key,
    name             text not null unique,
    platform         text not null,
    orders_through   timestamptz,
    orders_asked_at  timestamptz,
    swept_at         timestamptz,
    lease_gen        bigint not null default 0
);
comment on table channel is 'One configured account on a platform; settings live in the configuration.';
comment on column channel.orders_through is 'Watermark: order changes before it were fetched and booked.';
comment on column channel.orders_asked_at is 'When, by our clock, the newest complete order fetch began.';
comment on column channel.lease_gen is 'Grows with every daemon that takes the lane; older generations settle nothing.';

create table warehouse (
    id         integer generated always as identity primary key,
    name       text not null unique,
    seeded_at  timestamptz
);
comment on table warehouse is 'One pool of stock.';
comment on column warehouse.seeded_at is 'When its source first gave it counts; later items of the source join by themselves.';

create table item (
    id          bigint generated always as identity primary key,
    sku         text not null unique,
    created_at  timestamptz not null
);
comment on table item is 'A thing we count, one per sku; sku is text, never a number.';

create table level (
    item_id       bigint not null references item,
    warehouse_id  integer not null references warehouse,
    quantity      bigint not null,
    changed_at    timestamptz not null,
    seeded_at     timestamptz not null,
    primary key (item_id, warehouse_id)
) with (fillfactor = 70);
comment on table level is 'Sellable quantity: always the sum of its movements; negative means oversold.';
comment on column level.changed_at is 'Our clock; a blind raise waits for an order fetch that began after it.';
comment on column level.seeded_at is 'Orders created before it are inside the first count and move nothing.';

create table movement (
    id            bigint generated always as identity primary key,
    item_id       bigint not null,
    warehouse_id  integer not null,
    delta         bigint not null check (delta between -1000000000 and 1000000000),
    kind          text not null check (kind in ('sale', 'cancellation', 'refund', 'restock', 'receipt',
                      'pick', 'adjustment', 'stocktake', 'transfer', 'seed', 'edit', 'correction')),
    cause         text not null,
    channel_id    integer,
    event_id      bigint,
    actor         text not null,
    note          text not null default '',
    occurred_at   timestamptz not null,
    recorded_at   timestamptz not null,
    unique (item_id, warehouse_id, cause)
);
comment on table movement is 'The ledger: signed, immutable rows; a cause happens at most once per item and warehouse.';
alter table movement set (autovacuum_vacuum_insert_scale_factor = 0.05);

create table listing (
    id            bigint generated always as identity primary key,
    channel_id    integer not null references channel,
    location      text not null,
    remote        text not null,
    alias         text not null default '',
    batch_group   text not null default '',
    sku           text not null,
    title         text not null default '',
    item_id       bigint references item,
    warehouse_id  integer references warehouse,
    managed       boolean not null,
    skip          text not null default '',
    gone_at       timestamptz,
    unique (channel_id, remote, location)
);
comment on table listing is 'One item as one channel location shows it, with the platform''s ids.';
comment on column listing.alias is 'A second id by which order lines name it.';
comment on column listing.batch_group is 'Only listings of one group can share a write.';
comment on column listing.skip is 'Why nothing is delivered to it (unlinked, unmapped, duplicate, excluded); empty: it is served.';
create index listing_by_sku on listing (channel_id, sku);
create index listing_by_alias on listing (channel_id, alias) where alias <> '';
create index listing_by_item on listing (item_id, warehouse_id) where item_id is not null;

create sequence turn;
comment on sequence turn is 'Orders readings against writes: a reading counts only if its listing''s turn is older than the asking.';

create table shelf (
    listing_id   bigint primary key references listing,
    shown        bigint,
    shown_at     timestamptz,
    turn         bigint not null default nextval('turn'),
    attempt_id   uuid,
    stale_times  smallint not null default 0,
    lag_asks     smallint not null default 0,
    surprised_at timestamptz
) with (fillfactor = 70);
comment on table shelf is 'The hot half of a listing; no index but the key, so that every update is heap-only.';
comment on column shelf.shown is 'Last value that is accounted for (levels) or predicted (orders); null: not known yet.';
comment on column shelf.shown_at is 'The platform''s stamp of it.';
comment on column shelf.surprised_at is 'Our clock: when a reading last found what no order explains; a blind raise waits for an order fetch that began after it.';
comment on column shelf.attempt_id is 'The one open attempt; while set, nothing is read, attributed or written.';

create table sales_order (
    channel_id   integer not null,
    order_id     text not null,
    number       text not null default '',
    version      bigint not null,
    digest       bytea not null,
    terminal     boolean not null,
    placed_at    timestamptz,
    primary key (channel_id, order_id)
) with (fillfactor = 80);
comment on table sales_order is 'The newest state of an order that was booked; terminal states are absorbing.';
comment on column sales_order.placed_at is 'By the platform''s clock, as first heard; a first count that was read before it does not hold the order.';
create index sales_order_by_time on sales_order using brin (placed_at);

create table order_line (
    channel_id    integer not null,
    order_id      text not null,
    line_id       text not null,
    location      text not null,
    listing_id    bigint,
    item_id       bigint,
    warehouse_id  integer,
    taken         bigint not null,
    booked        bigint not null,
    revision      integer not null,
    primary key (channel_id, order_id, line_id, location)
) with (fillfactor = 80);
comment on table order_line is 'What each order line holds off its shelf (taken) and what of it the ledger has (booked).';

create table annotation (
    id           bigint generated always as identity primary key,
    listing_id   bigint not null,
    order_id     text not null,
    number       text not null default '',
    kind         text not null,
    units        bigint not null,
    at           timestamptz not null
);
comment on table annotation is 'Where levels are the truth, orders only explain: signed units an order moved and no reading has booked yet.';
create index annotation_by_listing on annotation (listing_id);

create table look (
    listing_id   bigint primary key,
    channel_id   integer not null,
    wish         bigint not null default nextval('turn'),
    expected     bigint,
    reason       text not null,
    received_at  timestamptz,
    wished_at    timestamptz not null,
    not_before   timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
comment on column look.expected is 'The wish is off if the shelf is known to show this by the time it is due: spares dear readings.';
comment on table look is 'The wish to read a listing; a wish made after the asking survives the reading.';
create index look_due on look (channel_id, not_before);

create table order_look (
    channel_id  integer not null references channel,
    order_id    text not null,
    wish        bigint not null default nextval('turn'),
    tries       smallint not null default 0,
    not_before  timestamptz not null,
    primary key (channel_id, order_id)
);
comment on table order_look is 'Orders to fetch because their message did not say enough.';

create table outbox (
    listing_id   bigint primary key,
    channel_id   integer not null,
    version      bigint not null default 1,
    rank         smallint not null,
    risk         bigint not null,
    forced       boolean not null default false,
    owed_at      timestamptz not null,
    received_at  timestamptz,
    not_before   timestamptz not null,
    tries        smallint not null default 0,
    batch_cap    smallint not null default 32767,
    parked_at    timestamptz,
    reason       text not null default ''
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
comment on table outbox is 'Desired state: at most one delivery per listing; a newer target bumps the version.';
comment on column outbox.rank is '0 falls to zero, 1 falls, 2 rises or unknown; with age, the order inside a lane.';
comment on column outbox.risk is 'Units shown too high when it was owed.';
comment on column outbox.batch_cap is 'Largest batch this row may go in after one failed without naming a row.';
create index outbox_by_rank on outbox (channel_id, rank, owed_at) where parked_at is null;
create index outbox_by_age on outbox (channel_id, owed_at) where parked_at is null;
create index outbox_put_off on outbox (channel_id, not_before) where parked_at is null and tries > 0;

create table attempt (
    id             uuid primary key,
    channel_id     integer not null references channel,
    op             text not null,
    lease_gen      bigint not null,
    created_at     timestamptz not null,
    times_sent     integer not null default 0,
    last_sent_at   timestamptz,
    not_before     timestamptz not null
);
comment on table attempt is 'One write as stored before it is sent; its id is the key sent to the platform.';
create index attempt_by_channel on attempt (channel_id);

create table attempt_row (
    listing_id     bigint primary key,
    attempt_id     uuid not null references attempt on delete cascade,
    position       smallint not null,
    from_quantity  bigint,
    to_quantity    bigint not null,
    level          bigint not null,
    version        bigint not null,
    turn           bigint not null,
    received_at    timestamptz
);
comment on table attempt_row is 'Immutable rows of an attempt; the key says that a listing has at most one.';
create index attempt_row_by_attempt on attempt_row (attempt_id);

create table suspense (
    id            bigint generated always as identity primary key,
    listing_id    bigint not null references listing,
    item_id       bigint,
    warehouse_id  integer,
    reason        text not null,
    candidates    bigint[] not null,
    proposal      bigint not null,
    evidence      jsonb not null,
    created_at    timestamptz not null,
    resolved_at   timestamptz,
    resolution    text
);
comment on table suspense is 'Amounts that could not be attributed with certainty; a person decides.';
create index suspense_open on suspense (listing_id) where resolved_at is null;

create table delivery_seen (
    channel_id  integer not null,
    digest      bytea not null,
    seen_on     date not null,
    primary key (channel_id, digest, seen_on)
) partition by range (seen_on);
comment on table delivery_seen is 'Names of the deliveries received, to store each once; weekly partitions.';

create sequence inbox_id;
create table inbox (
    id            bigint not null default nextval('inbox_id'),
    channel_id    integer not null,
    topic         text not null,
    body          bytea not null,
    triggered_at  timestamptz,
    received_at   timestamptz not null
) partition by range (received_at);
comment on table inbox is 'Events exactly as received; daily partitions, dropped after the retention time.';
create index inbox_by_id on inbox (id);

create table inbox_queue (
    event_id     bigint primary key,
    channel_id   integer not null,
    received_at  timestamptz not null,
    not_before   timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
comment on table inbox_queue is 'Events not yet booked; a row leaves in the transaction that books it.';

create table inbox_parked (
    event_id     bigint primary key,
    channel_id   integer not null,
    received_at  timestamptz not null,
    parked_at    timestamptz not null,
    reason       text not null
);
comment on table inbox_parked is 'Poison: events that could not be booked, with the reason, until a person acts.';

create table journal (
    at          timestamptz not null,
    channel_id  integer,
    listing_id  bigint,
    sku         text not null,
    outcome     text not null,
    before      bigint,
    after       bigint,
    reason      text not null default '',
    detail      jsonb
) partition by range (at);
comment on table journal is 'The searchable record of what was done, skipped and failed, per sku; monthly partitions.';
create index journal_by_sku on journal (sku, at desc);
create index journal_by_time on journal (at desc);

create table wish (
    id          bigint generated always as identity primary key,
    kind        text not null check (kind in ('sweep', 'push', 'seed', 'retry')),
    channel     text,
    skus        text[],
    asked_at    timestamptz not null,
    started_at  timestamptz,
    done_at     timestamptz,
    result      jsonb
);
comment on table wish is 'What other processes ask the daemon to do; NOTIFY syncd is its doorbell.';
create index wish_open on wish (id) where done_at is null;
