-- Edits on channels with blind writes: stretches, order steps, and the questions they leave.
--
-- Whoever reads or changes a listing's stretches or order steps holds its shelf: they have no place of
-- their own in the lock order.

create table stretch (
    listing_id   bigint not null,
    t0           timestamptz not null,
    start_kind   text not null check (start_kind in ('reading', 'write', 'unknown')),
    v0           bigint not null,
    a            timestamptz,
    va           bigint,
    late_until   timestamptz,
    watch_at     timestamptz[] not null,
    watch_value  bigint[] not null,
    b            timestamptz,
    vb           bigint,
    end_kind     text not null check (end_kind in ('write', 'split', 'open')),
    settled      boolean not null,
    booked       bigint not null,
    candidates   bigint[] not null,
    proposal     bigint not null,
    in_suspense  boolean not null,
    revision     integer not null,
    channel_id   integer not null,
    read_at      timestamptz not null,
    ahead        interval not null,
    due_at       timestamptz,
    primary key (listing_id, t0)
);
comment on table stretch is 'The time between two own writes, or two exact readings, of a blind channel''s listing; all times but read_at and due_at are the platform''s.';
comment on column stretch.late_until is 'Until then an unanswered write may still land, and nothing is written.';
comment on column stretch.booked is 'What the ledger holds of it, by so many revisions.';
comment on column stretch.read_at is 'Our clock: when the newest reading in it was asked for.';
comment on column stretch.ahead is 'How far the platform''s clock was ahead of ours at that reading.';
comment on column stretch.due_at is 'Our clock: when it can be split or settled; null: it waits for nothing.';
create unique index stretch_open on stretch (listing_id) where end_kind = 'open';
create index stretch_unsettled on stretch (listing_id) where not settled or in_suspense;
create index stretch_due on stretch (channel_id, due_at) where due_at is not null;

create table order_step (
    listing_id  bigint not null,
    at          timestamptz not null,
    units       bigint not null
);
comment on table order_step is 'When orders moved a followed listing''s shelf, by the platform''s clock, and by how many units taken.';
create index order_step_by_listing on order_step (listing_id, at);

alter table shelf add column followed boolean not null default false;
comment on column shelf.followed is 'Stretches of it are kept: order steps are noted, and a reading ends or extends the open one.';
alter table shelf add column held boolean not null default false;
comment on column shelf.held is 'A person is asked about a count that was changed here (edits = "alert"): nothing is written until then.';

alter table suspense add column stretch_t0 timestamptz;
comment on column suspense.stretch_t0 is 'The stretch (with listing_id) that asks; null: not an edit.';
create unique index suspense_of_stretch on suspense (listing_id, stretch_t0)
    where resolved_at is null and stretch_t0 is not null;

alter table suspense
    add column answer bigint,
    add column answer_to bigint[],
    add column answered_by text not null default '';
comment on column suspense.answer is 'The amount a person gave, until the daemon has booked it.';
comment on column suspense.answer_to is 'The candidates that the person saw: others since ask anew.';
alter table wish drop constraint if exists wish_kind_check, add constraint wish_kind_check check (kind <> '');
