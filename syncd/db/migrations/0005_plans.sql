-- Plans: changes of many counts that are shown before they are made, and what came of them.
--
-- Lock order: a plan's row before everything of the first migration; its rows after everything.

create table plan (
    id           bigint generated always as identity primary key,
    kind         text not null,
    state        text not null check (state in ('loading', 'open', 'applying', 'applied', 'rejected', 'expired')),
    title        text not null,
    actor        text not null,
    channel_id   integer references channel,
    undoes       bigint references plan,
    created_at   timestamptz not null,
    expires_at   timestamptz,
    decided_at   timestamptz,
    decided_by   text not null default '',
    done_at      timestamptz,
    rows         integer not null default 0,
    done         integer not null default 0,
    summary      jsonb not null default '{}'
);
comment on table plan is 'A change of many counts or listings that was asked for, waits for a person, or was made.';
comment on column plan.state is 'loading: its rows are still coming; applying: it is being made, and goes on after a crash.';
comment on column plan.expires_at is 'An open plan is closed after this; null: it waits.';
comment on column plan.summary is 'What it would change when it was made: in all, and on each channel.';
create index plan_open on plan (id) where state in ('loading', 'open', 'applying');

create table plan_row (
    plan_id       bigint not null references plan on delete cascade,
    position      integer not null,
    source_row    integer not null default 0,
    sku           text not null,
    item_id       bigint,
    warehouse_id  integer not null,
    quantity      bigint,
    seen          bigint,
    units         bigint,
    counted_at    timestamptz,
    delta         bigint,
    applied_at    timestamptz,
    primary key (plan_id, position)
);
comment on table plan_row is 'One count of a plan: counted, set over a level that was seen, or units to book as they are.';
comment on column plan_row.source_row is 'The row of the file it came from.';
comment on column plan_row.item_id is 'Null: the sku becomes an item when the plan is applied.';
comment on column plan_row.quantity is 'What was counted, or what is to be there instead of `seen`.';
comment on column plan_row.units is 'Signed units to book as they are: what an undo gives back.';
comment on column plan_row.delta is 'What was booked; computed when it was applied, from the level of that moment.';

alter table wish drop constraint if exists wish_kind_check, add constraint wish_kind_check check (kind <> '');
alter table wish add column plan_id bigint;
comment on column wish.plan_id is 'The plan that is to be applied.';
