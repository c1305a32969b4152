-- Who else writes: numbers that came back after ours, and listings where nothing is written any more;
-- and what a listing was last read to show, for people.

create table alternation (
    listing_id  bigint primary key,
    theirs      bigint not null,
    ours        bigint not null,
    times       smallint not null,
    repeats     smallint not null,
    at_once     smallint not null,
    last_at     timestamptz not null
);
comment on table alternation is 'A number found in place of the known one, and how often it came back after ours.';
comment on column alternation.at_once is 'So many of these times in the reading that followed our own write.';

alter table shelf
    add column quarantined_at timestamptz,
    add column observed bigint,
    add column observed_at timestamptz;
comment on column shelf.quarantined_at is 'Since when nothing is written, since another writer puts its own number back each time.';
comment on column shelf.observed is 'What the newest reading that said something new said, for people; nothing is decided by it.';
