-- Listings taken out of sale while nothing is left of them, and back.
--
-- Lock order: head of the first migration. A row of `retirement` changes only under its listing's shelf.

create table retirement (
    listing_id  bigint primary key,
    channel_id  integer not null,
    wants       boolean not null,
    retired     boolean not null default false,
    unsure      boolean not null default false,
    owed_at     timestamptz not null,
    not_before  timestamptz not null,
    tries       smallint not null default 0,
    parked_at   timestamptz,
    reason      text not null default ''
) with (fillfactor = 70);
comment on table retirement is 'Listings that are taken out of sale when they show 0: what is wanted, and what the platform confirmed.';
comment on column retirement.wants is 'True: out of sale; false: on sale again.';
comment on column retirement.retired is 'What the platform confirmed last.';
comment on column retirement.unsure is 'It was asked for something and has not answered yet: what is wanted is asked again until it does.';
create index retirement_owed on retirement (channel_id, not_before)
    where parked_at is null and (unsure or wants <> retired);
