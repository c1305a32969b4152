-- Movements in: what a WMS, an ERP or a till posted, and counts that were made at a time.
--
-- Whoever posts or answers for a channel first takes an advisory lock of its own (db/postings.py),
-- before every lock of the order at the head of the first migration.

alter table level add column counted_at timestamptz;
comment on column level.counted_at is 'The newest moment at which it was counted; a movement that occurred before it is inside that count.';

create table stock_count (
    id            bigint generated always as identity primary key,
    item_id       bigint not null,
    warehouse_id  integer not null,
    counted_at    timestamptz not null,
    quantity      bigint not null,
    counted       text not null check (counted in ('available', 'on_hand')),
    waiting       bigint not null default 0,
    booked        bigint not null default 0,
    revision      integer not null default 0,
    cause         text not null,
    channel_id    integer,
    actor         text not null,
    note          text not null default '',
    recorded_at   timestamptz not null,
    unique (item_id, warehouse_id, cause)
);
comment on table stock_count is 'Counts as they were made, and what each has moved the level by.';
comment on column stock_count.waiting is 'Units sold and neither picked nor shipped then: on hand, and not to be sold.';
create index stock_count_by_time on stock_count (item_id, warehouse_id, counted_at, id);

create table posting (
    channel_id        integer not null,
    cause             text not null,
    item_id           bigint not null,
    warehouse_id      integer not null,
    post              text not null,
    delta             bigint,
    order_channel_id  integer,
    order_ref         text not null default '',
    standing          text not null check (standing in ('booked', 'kept', 'provisional', 'suspense',
                          'answered')),
    booked            bigint not null,
    revision          integer not null,
    digest            bytea not null,
    actor             text not null,
    note              text not null,
    occurred_at       timestamptz not null,
    suspense_id       bigint,
    recorded_at       timestamptz not null,
    primary key (channel_id, cause, item_id, warehouse_id)
);
comment on table posting is 'Movements as they were posted, each cause once, with what is booked of each.';
comment on column posting.delta is 'As posted; null: a count (stock_count has it).';
comment on column posting.order_ref is 'The order it names, by id or number without a leading #.';
create index posting_by_cause on posting (cause);
create index posting_by_order on posting (order_ref, item_id, warehouse_id) where order_ref <> '';
create index posting_unheard on posting (recorded_at) where standing in ('provisional', 'suspense', 'answered');

create index posting_by_suspense on posting (suspense_id) where suspense_id is not null;

create index sales_order_by_number on sales_order (number) where number <> '';

alter table suspense alter column listing_id drop not null;
alter table suspense add column channel_id integer;
comment on column suspense.listing_id is 'Null: of no listing, but of an item; channel_id says who told of it.';
create table posted_order (
    order_id   text primary key,
    body       bytea not null,
    actor      text not null,
    posted_at  timestamptz not null
);
comment on table posted_order is 'Orders of no channel, as posted last: nobody else can be asked for them again.';
