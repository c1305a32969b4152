-- How fast items sell, what may have been sold unseen on a silent channel, and raises told in steps.
--
-- Lock order: head of the first migration. A row of `sales` changes only under the shelves of all the
-- item's listings in that warehouse, as its level does.

create table sales (
    item_id       bigint not null,
    warehouse_id  integer not null,
    channel_id    integer not null,
    sold          bigint not null check (sold > 0),
    hours         integer not null check (hours > 0),
    unseen        bigint not null default 0 check (unseen >= 0),
    primary key (item_id, warehouse_id, channel_id)
) with (fillfactor = 70);
comment on table sales is 'Units sold of late, of the items that a rule asks it of: a speed buffer, or a channel that may fall silent.';
comment on column sales.channel_id is 'Whose sales; 0: nobody''s.';
comment on column sales.hours is 'In how many hours they were sold.';
comment on column sales.unseen is 'Units this channel may have sold since nothing was heard of it: every other one shows so many less.';
create index sales_by_channel on sales (channel_id);

create index movement_by_time on movement using brin (recorded_at) with (autosummarize = on);

alter table channel
    add column heard_at timestamptz,
    add column silent_from timestamptz,
    add column silent_at timestamptz;
comment on column channel.heard_at is 'Our clock: the newest reading or message of it, written down now and then.';
comment on column channel.silent_from is 'While it is silent: when it was last heard of before.';
comment on column channel.silent_at is 'When it was found silent; null: it is not.';

create table announcement (
    listing_id  bigint primary key,
    at          timestamptz not null
);
comment on table announcement is 'When a listing whose raises are told in steps was last raised by one.';
